"""What a command does not use it does not import: lists rather than timings."""

from __future__ import annotations

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPARED = {"attr", "click", "fastapi", "httpcore", "httpx._main", "pygments", "rich"}
"""What our libraries import where it is there, and nothing of ours uses."""
HEAVY = SPARED | {
    "anyio", "apscheduler", "cryptography", "duckdb", "multiprocessing", "obstore", "prometheus_client", "starlette",
    "uvicorn", "forwarder.admin.server", "forwarder.archive", "forwarder.daemon", "forwarder.delivery",
    "forwarder.investigate", "forwarder.testing", "simulator",
}  # fmt: skip
"""What neither of these commands needs."""
ENGINE = {"httpx", "pydantic", "rich", "sqlite3", "structlog", "yaml", "forwarder.config.settings"}
MODELS = {
    "asyncio", "httpx", "pydantic_settings", "sqlite3", "structlog", "forwarder.cli.app", "forwarder.config.settings", "sinks",
}  # fmt: skip
DELIVERY = {
    "h11", "httpx", "structlog", "forwarder.catalogue.own", "forwarder.cli.app", "forwarder.records.maker", "forwarder.sources.organization.normalizer",
    "forwarder.spool.sqlite.store",
}  # fmt: skip
ASKED = {
    "httpx", "sqlite3", "structlog", "yaml", "forwarder.admin.server", "forwarder.assembly", "forwarder.config.settings",
    "forwarder.daemon", "forwarder.investigate.hunt.hunting", "forwarder.investigate.packing", "obstore", "sinks",
}  # fmt: skip
"""What a question needs for a hunt, a package or an archive of the configuration only."""
CONFIG = """
spool: {path: spool.db}
sources:
  acme:
    {type: organization, org_id: 7d5a6a0e-1c55-4b92-9a37-0a4ad7a3c1aa, api_key: kT7vQ2mZx9Lr4Wb8, base_url: "http://127.0.0.1:9"}
sinks: {elastic: {type: elasticsearch, url: "http://127.0.0.1:9", unmanaged: true}}
"""


@pytest.fixture
def answering() -> Iterator[int]:
    """Give the port of something that answers as a daemon does."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"sources": [], "sinks": []}')

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever).start()
        yield server.server_port
        server.shutdown()


ENDS_ONCE_IT_LISTENS = """
import os, threading, time
def end():
    while not os.path.exists('spool.db.sock'): time.sleep(0.02)
    os.kill(os.getpid(), 15)
threading.Thread(target=end, daemon=True).start()
"""


def imported(folder: Path, words: list[str], unwanted: set[str], port: int = 9, before: str = "") -> str:
    """Run a command and return what it imported of what it should not."""
    (folder / "config.yaml").write_text(f"{CONFIG}admin: {{listen: '127.0.0.1:{port}'}}\n", encoding="utf-8")
    code = (
        f"{before}\n"
        f"import sys; sys.argv = ['audit-forwarder', *{words!r}]\n"
        "from forwarder.__main__ import main\n"
        "try: main()\n"
        "except SystemExit as ended: code = ended.code\n"
        "import gc; assert gc.get_freeze_count() > 10_000, 'the end would look for garbage in everything'\n"
        f"print('imported', code, *sorted({unwanted!r} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    return done.stdout.splitlines()[-1].removeprefix("imported ")


@pytest.mark.parametrize(
    ("words", "unwanted"),
    [
        (["--version"], HEAVY | ENGINE),
        (["--help"], HEAVY | ENGINE),
        (["status", "-c", "config.yaml"], HEAVY | MODELS),
        (["check", "-c", "config.yaml"], HEAVY | DELIVERY),
        (["investigate", "user", "ada", "--events", "config.yaml"], ASKED),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_command_imports_nothing_that_it_does_not_use(tmp_path, answering, words, unwanted) -> None:
    port = answering if words[0] == "status" else 9
    assert imported(tmp_path, words, unwanted, port) == "0"


def test_a_daemon_imports_nothing_that_it_does_not_use(tmp_path) -> None:
    others = {
        "cryptography",
        "duckdb",
        "forwarder.formats.cef",
        "forwarder.testing",
        "obstore",
        "simulator",
        "sinks.file",
    }
    unwanted = SPARED - {"click"} | others  # uvicorn imports its command line, and has no other way
    assert imported(tmp_path, ["run", "-c", "config.yaml"], unwanted, 0, ENDS_ONCE_IT_LISTENS) == "0"
