"""Build the image once a session, and mark every test here `packaging`."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.image.container import Image, built_image
from tests.servers.cache import Unavailable


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark every test of this folder, before `-m` selects."""
    item.add_marker(pytest.mark.packaging)
    item.add_marker(pytest.mark.timeout(600))  # the first one makes the base and builds


@pytest.fixture(scope="session", autouse=True)
def open_umask() -> Iterator[None]:
    """What is unpacked and mounted is read by the user inside, whoever runs the tests."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(scope="session")
def image(open_umask: None) -> Iterator[Image]:
    """The image of this work tree."""
    try:
        with built_image() as made:
            yield made
    except Unavailable as why:
        if os.environ.get("CI") == "true":
            pytest.fail(f"the image cannot be built, and CI=true forbids to go on without: {why}")
        pytest.skip(f"NO IMAGE: {why}")
