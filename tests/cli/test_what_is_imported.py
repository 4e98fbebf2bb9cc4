"""What a command does not use it does not import: lists rather than timings."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    "anyio", "apscheduler", "cryptography", "duckdb", "fastapi", "httpcore", "multiprocessing", "obstore",
    "prometheus_client", "starlette", "uvicorn", "forwarder.admin.server", "forwarder.archive", "forwarder.daemon",
    "forwarder.delivery", "forwarder.investigate", "forwarder.testing", "simulator",
}  # fmt: skip
"""What neither of these commands needs."""
ENGINE = {"httpx", "pydantic", "rich", "sqlite3", "structlog", "yaml", "forwarder.config.settings"}
CONFIG = """
spool: {path: spool.db}
sources: {acme: {type: organization, org_id: 7d5a6a0e-1c55-4b92-9a37-0a4ad7a3c1aa, api_key: kT7vQ2mZx9Lr4Wb8}}
sinks: {elastic: {type: elasticsearch, url: "http://127.0.0.1:9", unmanaged: true}}
admin: {listen: "127.0.0.1:9"}
"""


@pytest.mark.parametrize(
    ("words", "unwanted"),
    [
        (["--version"], HEAVY | ENGINE),
        (["status", "-c", "config.yaml"], HEAVY | {"sqlite3", "structlog", "forwarder.formats"}),
        (["check", "-c", "config.yaml"], HEAVY),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_command_imports_nothing_that_it_does_not_use(tmp_path, words, unwanted) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG, encoding="utf-8")
    code = (
        f"import sys; sys.argv = ['audit-forwarder', *{words!r}]\n"
        "from forwarder.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"sys.exit(' '.join(sorted({unwanted!r} & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
