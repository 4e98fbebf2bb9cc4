"""CEF as rsyslog itself understands it: its mmnormalize (liblognorm) reads the golden corpus that our sink sends.

The second reader of CEF that is not ours; the first is that of `tests/formats/cef_reader.py`. Its values have to be the same. One
allowance: liblognorm 2.0.6 loses the first letter of the first key unless a blank stands behind the seventh bar.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forwarder.contracts import Change
from forwarder.formats.cef.format import CefFormat
from forwarder.testing.events import HOSTILE, record_of
from forwarder.testing.far_end import context
from forwarder.testing.lanes import batch_of
from sinks.syslog.sink import SyslogConfig, SyslogSink
from tests.formats.cef_reader import strictly
from tests.hostile import TEXT_FIELDS, ordinary_event
from tests.servers.syslog_daemons import Daemon

GOLDEN = Path(__file__).parents[1] / "golden" / "organization"
LONGEST = 65_536


@pytest.fixture
def reading(rsyslog: Daemon, tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """Give the port of an rsyslog that takes CEF apart, and the file where it says what it found."""
    out, port = tmp_path / "read.jsonl", rsyslog.ports["tcp"]
    modules = next(rsyslog.root.rglob("mmnormalize.so")).parent
    (tmp_path / "cef.rulebase").write_text("version=2\nrule=:%cef:cef%\n")
    configuration = f"""
global(workDirectory="{tmp_path}" maxMessageSize="{LONGEST}" net.enableDNS="off")
module(load="{modules}/imtcp") module(load="{modules}/mmnormalize")
template(name="read" type="list") {{ property(name="$!all-json") constant(value="\\n") }}
ruleset(name="read") {{
  action(type="mmnormalize" ruleBase="{tmp_path}/cef.rulebase" useRawMsg="off")
  action(type="omfile" file="{out}" template="read" asyncWriting="off" flushOnTXEnd="on")
}}
input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="read")
"""
    with rsyslog.instead(configuration, port):
        yield out, port


async def read_by_rsyslog(lines: list[bytes], out: Path, port: int) -> list[dict[str, Any]]:
    """Send lines as bodies; return what rsyslog made of each, in order."""
    values = {
        "address": f"tcp://127.0.0.1:{port}",
        "max_message_bytes": LONGEST,
        "resend": 0.2,
        "framing": "octet-counting",
    }
    sink = SyslogSink(SyslogConfig(**values), context("siem"))
    await sink.send(batch_of(*lines))
    async with asyncio.timeout(60):
        found: list[bytes] = []
        while len(found) < len(lines):
            await asyncio.sleep(0.05)
            found = out.read_bytes().splitlines() if out.exists() else []
    await sink.close()
    return [json.loads(line) for line in found]


def same(read: dict[str, Any], line: bytes) -> bool:
    """Compare with what the other parser reads."""
    header, extension = strictly(line)
    if "cef" not in read:
        return False
    found = read["cef"]
    extensions = {"rt" if name == "t" else name: value for name, value in found["Extensions"].items()}
    names = ("DeviceVendor", "DeviceProduct", "DeviceVersion", "SignatureID", "Name", "Severity")
    ours = [header[name] for name in ("vendor", "product", "version", "class", "name", "severity")]
    return extensions == extension and [found[name] for name in names] == ours


async def test_the_golden_corpus(reading: tuple[Path, int]) -> None:
    lines = [path.read_bytes().split(b"\n")[0] for path in sorted(GOLDEN.glob("*/cef.txt"))]
    assert len(lines) >= 190
    found = await read_by_rsyslog(lines, *reading)
    assert [read for read, line in zip(found, lines, strict=True) if not same(read, line)] == []


async def test_whatever_wants_to_break_out(reading: tuple[Path, int]) -> None:
    events = [ordinary_event(**{field: f"x{nasty}y"}) for field in TEXT_FIELDS for nasty in HOSTILE]
    events += [
        ordinary_event(
            changes=(
                Change(nasty.encode("utf-8", "replace").decode(), "", nasty[::-1].encode("utf-8", "replace").decode()),
            )
        )
        for nasty in HOSTILE
    ]
    lines = CefFormat().render([record_of(event) for event in events])
    found = await read_by_rsyslog(lines, *reading)
    assert [read for read, line in zip(found, lines, strict=True) if not same(read, line)] == []
