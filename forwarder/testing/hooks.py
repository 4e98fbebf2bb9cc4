"""What a `conftest.py` that names the plugin may say of its package."""

from __future__ import annotations

import pytest

from forwarder.testing.far_end import FarEnd
from forwarder.testing.feed import Feed
from forwarder.testing.sender import Sender


@pytest.hookspec
def pytest_forwarder_far_ends() -> list[type[FarEnd]]:
    """Return the far ends of the package's sinks: each sink has at least one."""
    return []


@pytest.hookspec
def pytest_forwarder_feeds() -> list[type[Feed]]:
    """Return the feeds of the package's sources: each source has at least one."""
    return []


@pytest.hookspec
def pytest_forwarder_senders() -> list[type[Sender]]:
    """Return the senders of the package's sources that receive: each source that is only pushed has at least one."""
    return []
