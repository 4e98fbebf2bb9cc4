"""Fixtures for tests on real servers; a folder of such tests imports them in its conftest.

A server that `make servers` left running is used and left alone; others are started when a test first asks and
stopped at the end. At most two of ours run at once: the least recently used one makes room, and the tests are put in
an order that makes that rare. With `CI=true` a server that cannot start is a failure, else a skip that says why.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

import pytest

from tests.servers import azurite as azurite_server
from tests.servers import gcs as gcs_server
from tests.servers import s3 as s3_server
from tests.servers import syslog_daemons
from tests.servers.azurite import Azurite
from tests.servers.cache import Cache, Unavailable
from tests.servers.distributions import KINDS
from tests.servers.gcs import Gcs
from tests.servers.loopback import BucketServer
from tests.servers.node import Node, running, start
from tests.servers.s3 import S3Server
from tests.servers.syslog_daemons import Daemon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_AT_ONCE = 2
_SINGLE = ("rsyslog", "syslog-ng", "s3", "azurite", "gcs")  # there is one of each in a session
B = TypeVar("B", bound=BucketServer)


class Rack:
    """The servers of one test session."""

    def __init__(self) -> None:
        self._cache = Cache.default()
        self._found = {node.kind: node for node in running(self._cache) if node.owner is None}
        self._ours: dict[str, Node] = {}  # least recently used first

    def get(self, kind: str) -> Node:
        """Return a running server of this kind, starting it if need be."""
        if kind in self._found and self._found[kind].process is not None:
            return self._found[kind]
        node = self._ours.pop(kind, None)
        if node is None or node.process is None:
            while len(self._ours) >= _AT_ONCE:
                self._ours.pop(next(iter(self._ours))).stop()
            node = start(KINDS[kind], self._cache, owned=True)
        self._ours[kind] = node
        return node

    def close(self) -> None:
        """Stop what this session started."""
        for node in self._ours.values():
            node.stop()


def _give_up(why: Unavailable) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"a real server is missing, and CI=true forbids to go on without: {why}")
    pytest.skip(f"NO REAL SERVER: {why}")


@pytest.fixture(scope="session")
def rack() -> Iterator[Rack]:
    """All servers of this session."""
    try:
        made = Rack()
    except Unavailable as why:
        _give_up(why)
        raise
    yield made
    made.close()


def _node(rack: Rack, kind: str) -> Node:
    try:
        return rack.get(kind)
    except Unavailable as why:
        _give_up(why)
        raise


@pytest.fixture
def elasticsearch(rack: Rack) -> Node:
    """Elasticsearch without security."""
    return _node(rack, "elasticsearch")


@pytest.fixture
def elasticsearch_secure(rack: Rack) -> Node:
    """Elasticsearch with TLS, passwords and API keys."""
    return _node(rack, "elasticsearch-secure")


@pytest.fixture
def opensearch(rack: Rack) -> Node:
    """OpenSearch without security."""
    return _node(rack, "opensearch")


@pytest.fixture
def opensearch_secure(rack: Rack) -> Node:
    """OpenSearch with TLS and passwords."""
    return _node(rack, "opensearch-secure")


def _bucket_server(start_one: Callable[[Cache], B]) -> Iterator[B]:
    try:
        server = start_one(Cache.default())
    except Unavailable as why:
        _give_up(why)
        raise
    yield server
    server.close()


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """Run an S3 server; a test makes a bucket of its own."""
    yield from _bucket_server(s3_server.start)


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """Run an emulator of Azure's blob storage; a test makes a container of its own."""
    yield from _bucket_server(azurite_server.start)


@pytest.fixture(scope="session")
def gcs() -> Iterator[Gcs]:
    """Run an emulator of Google Cloud Storage; a test makes a bucket of its own."""
    yield from _bucket_server(gcs_server.start)


def _daemon(product: str) -> Iterator[Daemon]:
    try:
        daemon = syslog_daemons.start(product, Cache.default())
    except Unavailable as why:
        _give_up(why)
        raise
    yield daemon
    daemon.close()


@pytest.fixture(scope="session")
def rsyslog() -> Iterator[Daemon]:
    """Run rsyslog; its records pile up over the session, so a test looks for its own."""
    yield from _daemon("rsyslog")


@pytest.fixture(scope="session")
def syslog_ng() -> Iterator[Daemon]:
    """Run syslog-ng."""
    yield from _daemon("syslog-ng")


@pytest.fixture(params=["elasticsearch", "opensearch"])
def plain(rack: Rack, request: pytest.FixtureRequest) -> Node:
    """Each server without security in turn."""
    return _node(rack, request.param)


@pytest.fixture(params=["elasticsearch-secure", "opensearch-secure"])
def secure(rack: Rack, request: pytest.FixtureRequest) -> Node:
    """Each server with security in turn."""
    return _node(rack, request.param)


@pytest.fixture(params=list(KINDS))
def server(rack: Rack, request: pytest.FixtureRequest) -> Node:
    """Every kind of server in turn."""
    return _node(rack, request.param)


def kind_of(item: pytest.Item) -> str:
    """Return which server a test needs, so that tests of one server run one after the other."""
    parameters = getattr(item, "callspec", None)
    if parameters is not None:
        for name in ("plain", "secure", "server"):
            if name in parameters.params:
                return str(parameters.params[name])
    names = {name.replace("_", "-") for name in getattr(item, "fixturenames", ())}
    return next((kind for kind in (*KINDS, *_SINGLE) if kind in names), "")


def group_of(item: pytest.Item) -> str:
    """Return what a test shares with others, so that one process runs them all: a server with and without security is one."""
    return kind_of(item).removesuffix("-secure")
