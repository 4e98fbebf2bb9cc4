"""The syslog sink on a real rsyslog and a real syslog-ng: what they wrote, parsed by them, is what the format said.

Every test has a HOSTNAME of its own, by which it finds its records among those of the others.
"""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from forwarder.contracts import Record
from forwarder.delivery import Lane
from forwarder.registry import FORMATS
from forwarder.testing.far_end import context
from forwarder.testing.lanes import Bench, batch_of, bench, event
from sinks.syslog.sink import SyslogConfig, SyslogSink
from tests.registered import formats
from tests.servers.syslog_daemons import Daemon

SCHEMES = {"udp": "udp", "tcp": "tcp", "lf": "tcp", "tls": "tls", "mtls": "tls", "relp": "relp", "relps": "relps"}

WAYS = [
    *(("rsyslog", way) for way in ("udp", "tcp", "lf", "tls", "mtls", "relp", "relps")),
    *(("syslog_ng", way) for way in ("udp", "tcp", "lf", "tls", "mtls")),
]


def settings(daemon: Daemon, way: str, host: str, **more: Any) -> dict[str, Any]:
    port = daemon.ports.get(way) or daemon.ports["tcp"]  # rsyslog tells the framings apart on one port
    tls = {"ca_file": str(daemon.certificates.ca_file)}
    if way in {"mtls", "relps"}:
        tls["cert_file"] = str(daemon.certificates.client)
    framing = {"lf": "newline"}.get(way, "octet-counting")
    return {
        "address": f"{SCHEMES[way]}://127.0.0.1:{port}",
        "hostname": host,
        "framing": framing,
        "tls": tls,
        "max_message_bytes": daemon.max_bytes,
        "resend": 0.2,
        "silence_timeout": 5,
        **more,
    }


@pytest.fixture
def host() -> str:
    return "t" + uuid.uuid4().hex


@pytest.fixture(params=WAYS, ids="-".join)
def way(request: pytest.FixtureRequest) -> tuple[Daemon, str]:
    product, transport = request.param
    return request.getfixturevalue(product), transport


def found(daemon: Daemon, host: str) -> list[dict[str, Any]]:
    return [record for record in daemon.records() if record["host"] == host]


async def arrived(daemon: Daemon, host: str, count: int) -> list[dict[str, Any]]:
    """Wait for so many different records; no one tells when the daemon has written."""
    async with asyncio.timeout(60):
        records = found(daemon, host)
        while len({record["msg"] + record["sd"] for record in records}) < count:
            await asyncio.sleep(0.05)
            records = found(daemon, host)
    return records


@asynccontextmanager
async def delivering(
    folder: Path, values: dict[str, Any], render: Any = None
) -> AsyncIterator[tuple[Bench, SyslogSink, Lane]]:
    """Run a real lane over a real spool into the sink."""
    sink = SyslogSink(SyslogConfig(**values), context("siem", slots=2, render=values.get("format")))
    async with bench(folder) as b:
        lane = b.start("siem", sink, render=render or FORMATS.load(values["format"])())
        try:
            yield b, sink, lane
        finally:
            for name in list(b.lanes):
                await b.stop(name)
            await sink.close()


# ----------------------------------------------------------------------------------------------------------- contents

HOSTILE = {
    "newline": "line\\nbreak\\n<110>1 - forged - - - -",
    "carriage": "carriage\\rreturn\\r\\n",
    "nul": "a\\u0000b",
    "controls": "\\u0001\\u001b[31m\\u007f \x7f \u0085 \u009b31m",
    "bracket": 'a]b [x y=\\"1\\"]',
    "quote": 'say \\"hello\\"',
    "backslash": "a\\\\b\\\\",
    "pipe": "a|b\\\\|c",
    "equals": "a=b act=forged",
    "emoji": "\U0001f600 \\ud83d\\ude00",
    "rtl": "\u202eabc\u202c \\u202e",
    "separators": "\u2028 \u2029",
    "markup": "<script>alert(1)</script>",
    "counting": "110 <110>1 - a b - - -",
    "spaces": "  around  ",
    "bom": "\ufeffa",
}
BAD_ESCAPES = {"half": "\\ud83d alone", "swapped": "\\ude00\\ud83d"}


def body_of(name: str, text: str, *, broken_up: bool = False) -> bytes:
    gap = "\r\n\t" if broken_up else ""
    return (
        f'{{{gap}"id":"{name}",{gap}"attributes":{{"time":"2026-01-31T10:00:00.123Z","action":"user_login",{gap}"actor":{{'
        f'"id":"a1","name":"{text}"}},"context":[{{"id":"x","attributes":{{"title":"{text}"}}}}]}}{gap}}}'
    ).encode()


def hostile_bodies() -> dict[str, bytes]:
    bodies = {name: body_of(name, text) for name, text in {**HOSTILE, **BAD_ESCAPES}.items()}
    bodies |= {f"broken-{name}": body_of(f"broken-{name}", text, broken_up=True) for name, text in HOSTILE.items()}
    return {**bodies, "huge": body_of("huge", "\u00e9|=]" * 250_000)}


class Overheard:
    """A format, and what it said of each event last."""

    def __init__(self, name: str) -> None:
        self._format = FORMATS.load(name)()
        self.needs_event = self._format.needs_event
        self.rendered: dict[str, bytes] = {}
        if hasattr(self._format, "shrink"):
            self.shrink = self._shrink

    def render(self, records: Sequence[Record]) -> list[Any]:
        return [self._note(record, body) for record, body in zip(records, self._format.render(records), strict=True)]

    def _shrink(self, record: Record, limit: int) -> Any:
        return self._note(record, self._format.shrink(record, limit))

    def _note(self, record: Record, body: Any) -> Any:
        if isinstance(body, bytes):
            self.rendered[record.raw.split(b'"')[3].decode()] = body
        return body


def structured(element: bytes) -> dict[str, str]:
    """Take one element apart, whatever the order of its parameters."""
    return {
        name.decode(): re.sub(r'\\(["\\\]])', r"\1", value.decode())
        for name, value in re.findall(rb' ([!#-<>-\\^-~]{1,32})="((?:[^"\\\]]|\\["\\\]])*)"', element)
    }


def by_id(elements: list[dict[str, str]]) -> dict[str, dict[str, str]]:
    return {element["id"]: element for element in elements}


@pytest.mark.parametrize("name", formats())
async def test_what_the_daemon_wrote_is_what_the_format_said(
    way: tuple[Daemon, str], host: str, name: str, tmp_path: Path
) -> None:
    daemon, transport = way
    render = Overheard(name)
    bodies = hostile_bodies()
    values = settings(daemon, transport, host, format=name)
    async with delivering(tmp_path, values, render) as (b, sink, _):
        await b.fill(*bodies.values())
        await b.drained("siem")
        await b.balanced()
        buried = {letter.raw.split(b'"')[3].decode() for letter in await b.spool.dead_letters("siem")}
        sent = {ident: body for ident, body in render.rendered.items() if ident not in buried}
        assert all(len(body) <= sink.max_body for body in sent.values())
        records = await arrived(daemon, host, len(sent))
    assert set(sent) | buried == set(bodies)
    assert buried <= {"huge", *BAD_ESCAPES}, "only what no format can say"
    assert ("huge" in sent) == hasattr(render, "shrink")
    blank = [re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", body.decode()) for body in sent.values()]
    if name == "rfc5424_sd":  # syslog-ng writes the values anew, each parameter in its own order
        assert {record["msg"] for record in records} == {""}
        parsed = [structured(record["sd"].encode()) for record in records]
        assert by_id(parsed) == by_id([structured(body.encode()) for body in blank])
    else:
        assert Counter(record["msg"] for record in records) == Counter(blank)
    understood = [record for record in records if record["msgid"] == "user_login"]
    assert {(record["app"], record["pri"]) for record in records} == {("atlassian-audit", "110")}
    moments = {datetime.fromisoformat(record["time"]) for record in understood}
    assert moments == {datetime(2026, 1, 31, 10, 0, 0, 123_000, tzinfo=UTC)}
    assert len(understood) >= len(HOSTILE)


async def test_a_message_of_the_greatest_length_is_neither_cut_nor_split(way: tuple[Daemon, str], host: str) -> None:
    daemon, transport = way
    sink = SyslogSink(SyslogConfig(**settings(daemon, transport, host, msgid="-")), context("siem"))
    bodies = [b"x" * (sink.max_body - 1) + b"%d" % n for n in range(3)]
    await sink.send(batch_of(*bodies))
    records = await arrived(daemon, host, 3)
    await sink.close()
    assert sorted(record["msg"] for record in records) == [body.decode() for body in bodies]
    delivery = await sink.send(batch_of(b"x" * daemon.max_bytes))
    assert {n: rejection.reason for n, rejection in delivery.rejected.items()} == {0: "too_large"}
    await sink.close()


@pytest.mark.parametrize("product", ["rsyslog", "syslog_ng"])
async def test_the_header_of_rfc_3164(product: str, host: str, request: pytest.FixtureRequest) -> None:
    daemon: Daemon = request.getfixturevalue(product)
    transport = "udp" if product == "rsyslog" else "lf"
    values = settings(daemon, transport, host, protocol="rfc3164", app_name="audit", procid="42")
    sink = SyslogSink(SyslogConfig(**values), context("siem"))
    await sink.send(batch_of(b"first", b"second"))
    records = await arrived(daemon, host, 2)
    await sink.close()
    assert [(record["app"], record["procid"], record["msg"].strip()) for record in records] == [
        ("audit", "42", "first"),
        ("audit", "42", "second"),
    ]


# ------------------------------------------------------------------------------------------------------- certificates


@pytest.mark.parametrize(("product", "transport"), [("rsyslog", "mtls"), ("rsyslog", "relps"), ("syslog_ng", "mtls")])
@pytest.mark.parametrize("shown", ["stranger", "nothing"])
async def test_a_refused_client_is_noticed_before_anything_is_believed(
    product: str, transport: str, shown: str, host: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    daemon: Daemon = request.getfixturevalue(product)
    values = settings(daemon, transport, host, format="raw")
    values["tls"].pop("cert_file")
    if shown == "stranger":
        values["tls"]["cert_file"] = str(daemon.certificates.stranger)
    async with delivering(tmp_path, values) as (b, sink, lane):
        await b.fill(*(event(f"e{n}") for n in range(5)))
        await b.until(lambda: lane.report.errors.total() >= 3)
        assert lane.report.state == "retrying"
        assert (lane.report.accepted, lane.report.pending) == (0, 0)
        assert await b.doubts("siem") == [], "something was written to a receiver that had refused us"
        assert any(not finding.ok and finding.fix for finding in await sink.probe())
    assert found(daemon, host) == []


# ----------------------------------------------------------------------------------------------------------- restarts

EVENTS = 2000


def ids_of(records: list[dict[str, Any]]) -> Counter[str]:
    return Counter(json.loads(record["msg"])["id"] for record in records)


async def fill_slowly(b: Bench, breaks: dict[int, Callable[[], None]]) -> None:
    """Fill page by page, and do something before some pages.

    A daemon is started here and in no thread of a pool: it ends with the thread that started it.
    """
    for page in range(EVENTS // 100):
        if page in breaks:
            breaks[page]()
        await b.fill(*(event(f"e{page * 100 + n}") for n in range(100)))
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("transport", ["relp", "relps"])
async def test_relp_loses_nothing_when_the_daemon_restarts(
    transport: str, host: str, tmp_path: Path, rsyslog: Daemon
) -> None:
    values = settings(rsyslog, transport, host, format="raw")
    async with delivering(tmp_path, values) as (b, _, lane):
        await fill_slowly(b, {5: rsyslog.stop, 7: rsyslog.start, 13: rsyslog.stop, 15: rsyslog.start})
        await b.drained("siem")
        await b.balanced()
        doubtful = {f"e{seq - 1}" for first, last in await b.doubts("siem") for seq in range(first, last + 1)}
        assert lane.report.errors.total() >= 1, "no one noticed the restart"
    ids = ids_of(await arrived(rsyslog, host, EVENTS))
    assert set(ids) == {f"e{n}" for n in range(EVENTS)}
    assert {name for name, times in ids.items() if times > 1} <= doubtful


@pytest.mark.parametrize(
    ("product", "transport", "how"),
    [
        ("rsyslog", "lf", "stopped"),
        ("rsyslog", "tcp", "killed"),
        ("rsyslog", "tls", "killed"),
        ("syslog_ng", "tcp", "killed"),
        ("syslog_ng", "tls", "stopped"),
    ],
)
async def test_a_stream_doubles_only_what_is_on_record_when_the_daemon_restarts(
    product: str, transport: str, how: str, host: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    daemon: Daemon = request.getfixturevalue(product)
    down = daemon.kill if how == "killed" else daemon.stop
    values = settings(daemon, transport, host, format="raw", resend=2)
    async with delivering(tmp_path, values) as (b, _, lane):
        await fill_slowly(b, {5: down, 7: daemon.start, 13: down, 15: daemon.start})
        await b.drained("siem")
        await b.balanced()
        doubtful = {f"e{seq - 1}" for first, last in await b.doubts("siem") for seq in range(first, last + 1)}
        assert lane.report.resent > 0
    ids = ids_of(await arrived(daemon, host, EVENTS))
    assert set(ids) == {f"e{n}" for n in range(EVENTS)}
    assert {name for name, times in ids.items() if times > 1} <= doubtful
