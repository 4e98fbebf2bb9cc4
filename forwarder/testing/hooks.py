"""What a `conftest.py` that names the plugin may say of its package."""

from __future__ import annotations

import pytest

from forwarder.testing.far_end import FarEnd
from forwarder.testing.feed import Feed


@pytest.hookspec
def pytest_forwarder_far_ends() -> list[type[FarEnd]]:
    """Return the far ends of the package's sinks: each sink has at least one."""
    return []


@pytest.hookspec
def pytest_forwarder_feeds() -> list[type[Feed]]:
    """Return the feeds of the package's sources: each source has at least one."""
    return []
