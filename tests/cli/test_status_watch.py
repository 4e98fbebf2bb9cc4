"""`status --watch`: the same words as `status`, again and again, over restarts of the daemon."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.cli.living import READER, living
from tests.daemon.engine import engine, file_sink, source


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def test_it_survives_a_restart_and_says_when_nobody_answers(tmp_path: Path) -> None:
    more = {"admin": {"listen": f"127.0.0.1:{free_port()}"}}
    async with Simulator(SimulatorConfig(events=5, history="1d")) as sim:
        parts = {"acme": source(sim)}, {"out": file_sink(tmp_path / "out")}
        async with engine(tmp_path, *parts, **more) as e:
            await e.until(lambda: e.daemon.admin_port)
            watching = living(tmp_path, "status", "--watch", "--every", "0.5", "--json")
            shown = await watching.__aenter__()
            await e.until(lambda: any("sources" in json.loads(line) for line in shown.lines))
        begun = len(shown.lines)
        async with engine(tmp_path, *parts, **more) as e:
            await e.until(lambda: len(shown.lines) > begun + 1 and "sources" in json.loads(shown.lines[-1]))
            silent = [json.loads(line) for line in shown.lines if not json.loads(line).get("answered", True)]
            assert all("does not answer" in one["reason"] for one in silent)
            assert (await shown.end(), shown.noted) == (130, "")
        await watching.__aexit__(None, None, None)


def on_small_terminal(folder: Path, *words: str, **env: str) -> str:
    """Watch on a terminal until the second picture, press Ctrl-C, and return all that was shown."""
    primary, secondary = pty.openpty()
    begin = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    process = subprocess.Popen(
        [sys.executable, "-c", begin + "from forwarder.__main__ import main; main()", *words],
        cwd=folder,
        env={**READER, "TERM": "xterm", "COLUMNS": "80", "LINES": "24", **env},
        stdin=secondary,
        stdout=secondary,
        stderr=secondary,
        start_new_session=True,
    )
    os.close(secondary)
    shown = b""
    ended = False
    while select.select([primary], [], [], 60)[0]:
        try:
            part = os.read(primary, 65536)
        except OSError:
            break
        shown += part
        if shown.count(b"no answer since") >= 2 and not ended:
            process.send_signal(signal.SIGINT)
            ended = True
    os.close(primary)
    assert process.wait(timeout=60) == 130
    return shown.decode()


def test_on_a_terminal_it_draws_gives_the_screen_back_and_obeys_no_color(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        f"spool: {{path: ./state/spool.db}}\nadmin: {{listen: '127.0.0.1:{free_port()}'}}\n"
        "sources: {acme: {type: organization, org_id: org-1, api_key: planted-secret-value}}\n"
        "sinks: {out: {type: file, path: ./out, format: raw}}\n"
    )
    shown = on_small_terminal(tmp_path, "status", "--watch", "--every", "0.5", NO_COLOR="1")
    assert "\x1b[?1049l" in shown  # the usual screen is back
    assert "\x1b[?25h" in shown  # and the cursor
    assert "Traceback" not in shown
    assert not any(f"\x1b[{code}m" in shown for code in ("1", "31", "1;31", "33"))
    assert not (tmp_path / "state").exists()
