"""Bring in a control plane and helm, and mark every test here `packaging`."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.control_plane.cluster import Cluster
from tests.control_plane.plane import ControlPlane, start
from tests.control_plane.release import Release
from tests.helm.tools import Tools, tools_or_skip
from tests.servers.cache import Cache, Unavailable

_numbers = itertools.count()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark every test of this folder, before `-m` selects."""
    item.add_marker(pytest.mark.packaging)


@pytest.fixture(scope="session")
def tools() -> Tools:
    return tools_or_skip()


@pytest.fixture(scope="session")
def plane() -> Iterator[tuple[ControlPlane, Cluster]]:
    """Give the one control plane of the session; without one a test is skipped, and with `CI=true` it fails."""
    try:
        running = start(Cache.default())
    except Unavailable as why:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no control plane, and CI=true forbids to go on without: {why}")
        pytest.skip(f"NO CONTROL PLANE: {why}")
    yield running
    running[0].stop()


@pytest.fixture
def cluster(plane: tuple[ControlPlane, Cluster]) -> Cluster:
    return plane[1]


@pytest.fixture
def release(plane: tuple[ControlPlane, Cluster], tools: Tools, tmp_path: Path) -> Iterator[Release]:
    """Give a namespace of its own, which keeps the level `restricted`, and warns of what does not."""
    control, cluster = plane
    found = Release(tools.helm, control.kubeconfig, cluster, tmp_path, f"audit-{next(_numbers)}")
    found.make_namespace()
    yield found
    found.remove_namespace()
