"""Which servers are ours, which are someone else's, and who is stopped; with sleeping processes instead of servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]
import pytest

from tests.servers.cache import Cache, Unavailable
from tests.servers.node import Node, kinds, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Sleeper = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    (tmp_path / "run").mkdir()
    return Cache(tmp_path)


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    made: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        made.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]))
        return made[-1]

    yield start
    for process in made:
        process.kill()
        process.wait()


def _record(cache: Cache, process: subprocess.Popen[bytes], owner: tuple[int, float] | None) -> Path:
    folder = cache.runs / f"node-{process.pid}"
    folder.mkdir()
    started = psutil.Process(process.pid).create_time()
    node = Node("opensearch", "http://127.0.0.1:1", process.pid, started, str(folder), owner)
    (folder / "node.json").write_text(json.dumps(asdict(node)))
    return folder


def _me() -> tuple[int, float]:
    return os.getpid(), psutil.Process().create_time()


def test_a_server_of_nobody_and_one_of_a_living_session_stay(cache: Cache, sleeper: Sleeper) -> None:
    free, owned = sleeper(), sleeper()
    _record(cache, free, None)
    _record(cache, owned, _me())
    assert {(node.pid, node.owner is None) for node in running(cache)} == {(free.pid, True), (owned.pid, False)}
    assert free.poll() is None
    assert owned.poll() is None


def test_a_server_whose_session_died_is_stopped(cache: Cache, sleeper: Sleeper) -> None:
    session, server = sleeper(), sleeper()
    owner = (session.pid, psutil.Process(session.pid).create_time())
    folder = _record(cache, server, owner)
    session.kill()
    session.wait()
    assert list(running(cache)) == []
    assert not psutil.pid_exists(server.pid)
    assert not folder.exists()


def test_another_process_with_the_same_number_is_left_alone(cache: Cache, sleeper: Sleeper) -> None:
    stranger = sleeper()
    folder = _record(cache, stranger, None)
    record = json.loads((folder / "node.json").read_text())
    (folder / "node.json").write_text(json.dumps({**record, "started": record["started"] - 100}))
    assert list(running(cache)) == []
    assert stranger.poll() is None
    assert not folder.exists()


def _break(cache: Cache, final: Path) -> None:
    with cache.making(final) as rough:
        (rough / "half").write_text("x")
        raise Unavailable("the download broke")


def test_what_fails_while_it_is_made_leaves_nothing(cache: Cache) -> None:
    final = cache.folder / "made"
    with pytest.raises(Unavailable):
        _break(cache, final)
    assert [path.name for path in cache.folder.iterdir()] == ["run"]
    with cache.making(final) as rough:
        (rough / "whole").write_text("x")
    assert (final / "whole").exists()


def test_names_on_the_command_line() -> None:
    assert [kind.name for kind in kinds("all", secure=False)] == ["elasticsearch", "opensearch"]
    assert [kind.name for kind in kinds("all", secure=True)] == ["elasticsearch-secure", "opensearch-secure"]
    assert [kind.name for kind in kinds("opensearch", secure=True)] == ["opensearch-secure"]
    assert [kind.name for kind in kinds("opensearch-secure", secure=False)] == ["opensearch-secure"]
