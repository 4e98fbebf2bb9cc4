"""Bring in helm, and mark every test here `packaging`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helm.chart import Helm
from tests.helm.tools import Tools, tools_or_skip


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark every test of this folder, before `-m` selects."""
    item.add_marker(pytest.mark.packaging)


@pytest.fixture(scope="session")
def tools() -> Tools:
    return tools_or_skip()


@pytest.fixture
def helm(tools: Tools, tmp_path: Path) -> Helm:
    return Helm(tools, tmp_path)
