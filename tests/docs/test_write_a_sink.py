"""The sink of docs/write-a-sink.md, taken from the page, installed as a package of its own, and used by the forwarder."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAGE = Path(__file__).parents[2] / "docs" / "write-a-sink.md"
_BLOCK = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)

_USE = """
import asyncio, json, sys
from importlib.metadata import entry_points
from forwarder.contracts import ForwarderError
from forwarder.registry import SINKS
from tests.contract.sinks_for_tests import batch_of, context

async def main():
    (point,) = [point for point in entry_points(group="audit_forwarder.sinks") if point.name == "http_ndjson"]
    found = SINKS.load("http_ndjson")
    said = {"distribution": point.dist.name, "file": sys.modules[found.__module__].__file__, "sends": []}
    sink = found(found.Config(url=sys.argv[1], token="t0ken"), context(slots=1))
    said["target"] = sink.target
    for number in range(int(sys.argv[2])):
        try:
            delivery = await sink.send(batch_of(b'{"n":0}', b'{"n":1}', b'{"n":2}'))
        except ForwarderError as error:
            said["sends"].append([type(error).__name__, getattr(error, "retry_after", None), str(error)])
        else:
            said["sends"].append([sorted(delivery.accepted), sorted(delivery.rejected), sorted(delivery.kept)])
    said["probe"] = [finding.ok for finding in await sink.probe()]
    await sink.close()
    await sink.close()
    print(json.dumps(said))

asyncio.run(main())
"""


def _blocks() -> dict[str, str]:
    return dict(_BLOCK.findall(_PAGE.read_text()))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel without a network and install it into a folder of its own."""
    source, folder = tmp_path_factory.mktemp("package"), tmp_path_factory.mktemp("site")
    blocks = _blocks()
    for name in ("pyproject.toml", "http_ndjson.py"):
        (source / name).write_text(blocks[name])
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index"]
    subprocess.run([*pip, "wheel", "--no-build-isolation", *offline, "-w", str(source), str(source)], check=True)
    (wheel,) = source.glob("*.whl")
    subprocess.run([*pip, "install", *offline, "--target", str(folder), str(wheel)], check=True)
    return folder


class _Collector(ThreadingHTTPServer):
    """Answers POSTs by a plan, and keeps what it got."""

    def __init__(self, plan: list[tuple[int, dict[str, str], bytes]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.plan = plan
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Collector

    def do_POST(self) -> None:
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        self.server.bodies.append(gzip.decompress(self.rfile.read(int(self.headers["content-length"]))))
        status, headers, body = self.server.plan[len(self.server.bodies) - 1]
        self._answer(status, headers, body)

    def do_HEAD(self) -> None:
        self._answer(204, {}, b"")

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: Any) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[_Collector]:
    server = _Collector([])
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def _run(command: list[str], installed: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{installed}{os.pathsep}{root}", "COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd, check=False, timeout=60)


def test_the_engine_finds_it_and_it_keeps_the_contract(installed: Path, collector: _Collector, tmp_path: Path) -> None:
    collector.plan = [
        (200, {}, b""),
        (200, {}, b'{"rejected": {"1": "too old"}, "kept": [2]}'),
        (200, {}, b"<html>welcome</html>"),
        (429, {"Retry-After": "7"}, b""),
        (503, {}, b""),
        (401, {}, b""),
        (413, {}, b""),
        (301, {"Location": "https://elsewhere.example/"}, b""),
    ]
    url = f"http://127.0.0.1:{collector.server_port}/audit"
    done = _run([sys.executable, "-c", _USE, url, str(len(collector.plan))], installed, tmp_path)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["distribution"] == "audit-forwarder-http-ndjson"
    assert Path(said["file"]).parent == installed, "not the installed one"
    assert said["target"] == f"http_ndjson:{url}"
    assert said["probe"] == [True]
    taken, refused = said["sends"][:2], said["sends"][2:]
    assert taken == [[[0, 1, 2], [], []], [[0], [1], [2]]]
    assert [send[:2] for send in refused] == [
        ["Retryable", None],
        ["Retryable", 7.0],
        ["Retryable", None],
        ["AuthFailed", None],
        ["PayloadTooLarge", None],
        ["Held", None],
    ]
    assert set(collector.bodies) == {b'{"n":0}\n{"n":1}\n{"n":2}\n'}
    assert {headers["authorization"] for headers in collector.headers} == {"Bearer t0ken"}
    assert "t0ken" not in done.stdout + done.stderr


def test_check_knows_its_settings(installed: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    text = _blocks()["config.yaml"]
    config.write_text(text)
    for name in ("api-key", "token"):
        (tmp_path / name).write_text("made-up")
    command = [str(Path(sys.executable).with_name("audit-forwarder")), "check", "-c", str(config)]
    good = _run(command, installed, tmp_path)
    assert good.returncode == 0, good.stdout + good.stderr
    config.write_text(text.replace("token_file", "tokn_file"))
    wrong = _run(command, installed, tmp_path)
    assert wrong.returncode != 0
    assert "tokn_file" in wrong.stdout + wrong.stderr
    without = _run(command, tmp_path / "nothing", tmp_path)
    assert without.returncode != 0
    assert "unknown sink type" in without.stdout + without.stderr


def test_the_page_holds_what_a_package_needs() -> None:
    assert set(_blocks()) == {"pyproject.toml", "http_ndjson.py", "config.yaml"}


def test_the_sink_on_the_page_passes_the_linters(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    file = tmp_path / "http_ndjson.py"
    file.write_text(_blocks()["http_ndjson.py"])
    for tool in (["check", "--no-cache", "--ignore", "INP001"], ["format", "--check", "--no-cache"]):
        ruff = [str(Path(sys.executable).with_name("ruff")), *tool, "--config", str(root / "pyproject.toml"), str(file)]
        done = subprocess.run(ruff, capture_output=True, text=True, check=False, cwd=root)
        assert done.returncode == 0, done.stdout
