"""A folder with a configuration and a spool that holds dead letters, hostile ones among them; and a terminal."""

from __future__ import annotations

import os
import pty
import select
from pathlib import Path

from forwarder.contracts import Batch, Delivery, Rejection
from forwarder.testing.lanes import bench
from tests.commands import start
from tests.delivery.scripted import ScriptedSink

HOSTILE = "\x1b[2J\x1b]0;owned\x07\r\nerror: forged \u202egpj.exe [bold red]markup[/] \u2028\x9b31m\x00"
"""What a terminal, a log or a markup reader could trip over."""

CONFIG = """
spool:   {path: ./state/spool.db}
sources:
  acme:  {type: organization, org_id: org-1, api_key: planted-secret-value}
sinks:
  elastic: {type: elasticsearch, url: 'http://127.0.0.1:9', api_key: planted-secret-value, max_dead_letters: 500}
  archive: {type: file, path: ./out/events.ndjson, format: raw}
"""


TAKEN = b'{"id":"taken","attributes":{"action":"x"}}'


def hostile_event(name: str) -> bytes:
    escaped = HOSTILE.replace("\x1b", "\\u001b").replace("\x07", "\\u0007").replace("\x00", "\\u0000")
    escaped = escaped.replace("\r\n", "\\r\\n")
    return (
        f'{{"id":"{name}", "n":1.10,"n":12345678901234567890123,\n"text":"{escaped}","attributes":{{"action":"x"}}}}'
    ).encode()


async def fill(folder: Path, events: list[bytes], *, reasons: list[str], detail: str = "no") -> None:
    """Make `folder` a place to call commands in; every event becomes a dead letter of `elastic`.

    One more, behind them, is taken: a sink that refuses everything alike would be held.
    """
    (folder / "config.yaml").write_text(CONFIG)

    def answer(batch: Batch, _: int) -> Delivery:
        refused = {
            i: Rejection(reasons[record.seq % len(reasons)], detail)
            for i, record in enumerate(batch.records)
            if record.raw != TAKEN
        }
        return Delivery(accepted=[i for i in range(len(batch.records)) if i not in refused], rejected=refused)

    async with bench(folder / "state") as b:
        b.start("elastic", ScriptedSink(answer), batch={"events": 1000, "wait": 0.01})  # all in one answer
        await b.fill(*events, TAKEN)
        await b.drained("elastic")
        await b.stop("elastic")


def on_terminal(
    folder: Path, *arguments: str, keys: bytes = b"", lines: int = 60, pager: str = "false", **env: str
) -> tuple[int, str]:
    """Run the command on a terminal of its own; return the exit code and all that was shown."""
    primary, secondary = pty.openpty()
    env |= {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TERM": "xterm",
        "LINES": str(lines),
        "COLUMNS": "120",
        "PAGER": pager,
    }
    process = start(*arguments, cwd=folder, env=env, streams=(secondary, secondary, secondary), new_session=True)
    os.close(secondary)
    shown = b""
    try:
        while True:
            if select.select([primary], [], [], 60)[0]:
                try:
                    part = os.read(primary, 65536)
                except OSError:
                    break  # the other side is closed
                if not part:
                    break
                shown += part
                if keys and b"[y/N]" in shown:
                    os.write(primary, keys)
                    keys = b""
            else:
                raise AssertionError(f"nothing more came; shown so far: {shown!r}")
    finally:
        os.close(primary)
        code = process.wait()
    return code, shown.decode("utf-8", "surrogateescape")
