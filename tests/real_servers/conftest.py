"""Bring in the server fixtures, mark every test here `servers`, and keep the tests of one server together."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from tests.servers.fixtures import (
    azurite,
    elasticsearch,
    elasticsearch_secure,
    gcs,
    group_of,
    kind_of,
    opensearch,
    opensearch_secure,
    plain,
    rack,
    rsyslog,
    s3,
    secure,
    server,
    syslog_ng,
)

__all__ = [
    "azurite",
    "elasticsearch",
    "elasticsearch_secure",
    "gcs",
    "opensearch",
    "opensearch_secure",
    "plain",
    "rack",
    "rsyslog",
    "s3",
    "secure",
    "server",
    "syslog_ng",
]

_HERE = Path(__file__).parent


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark every test of this folder, before `-m` selects."""
    item.add_marker(pytest.mark.servers)
    item.add_marker(pytest.mark.timeout(600))  # the first test of a server may install and start it
    if group := group_of(item):
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of one server together; their order among themselves stays random."""
    items.sort(key=lambda item: kind_of(item) if _HERE in item.path.parents else "")


@pytest.fixture
def namespace() -> str:
    """A data-stream namespace that no other test uses: servers are shared."""
    return "t" + uuid.uuid4().hex[:12]
