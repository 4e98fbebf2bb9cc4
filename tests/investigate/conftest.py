"""One simulated log for all tests of questions: it is read once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from forwarder.investigate.tables import Tables
from forwarder.investigate.without_index import tables_of_files
from simulator.organization import Organization
from tests.investigate.asked import simulated, write


@pytest.fixture(scope="session")
def acme() -> Organization:
    return simulated()


@pytest.fixture(scope="session")
def acme_file(acme: Organization, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(acme, tmp_path_factory.mktemp("acme") / "events.ndjson")


@pytest.fixture(scope="session")
def tables(acme_file: Path) -> Iterator[Tables]:
    with tables_of_files([acme_file]) as found:
        yield found
