"""What stands in a message: header fields, priority, time, sizes; and which settings are refused."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from forwarder.contracts import AuditEvent, ConfigError, Late, Origin, Record
from forwarder.testing.far_end import context
from simulator.receivers.syslog_wire import Message, read_3164, read_5424
from sinks.syslog.message import Composer
from sinks.syslog.sink import SyslogConfig, SyslogSink

NAMES = {"hostname": "here", "app_name": "app", "procid": "-", "msgid": "{action}"}
MOMENT = datetime(2026, 1, 31, 10, 0, 0, 123_000, tzinfo=UTC)
MS = int(MOMENT.timestamp() * 1000)


def record(body: bytes = b"body", **facts: Any) -> Record:
    event = AuditEvent(
        "0" * 32, "organization", "org-1", **{"action": "user_login", "time_ms": MS, "read_ms": 1, **facts}
    )
    return Record(1, Origin("acme", "organization", "org-1", "site-1"), "0" * 32, b"{}", event, body, read_ms=MS + 5)


def composed(message: Record | None = None, *, old: bool = False, facility: int = 13, **more: Any) -> Message:
    names = {**NAMES, **{name: more.pop(name) for name in list(more) if name in NAMES}}
    made = Composer("rfc3164" if old else "rfc5424", facility, names, **more)
    return (read_3164 if old else read_5424)(made.compose(message or record()))


def test_every_part_of_the_header() -> None:
    message = composed()
    assert (message.facility, message.severity, message.time) == (13, 6, MOMENT)
    assert (message.hostname, message.app_name, message.procid, message.msgid) == ("here", "app", None, "user_login")
    assert (message.structured, message.content) == ({}, b"body")
    assert message.raw == b"<110>1 2026-01-31T10:00:00.123Z here app - user_login - body"


@pytest.mark.parametrize(
    ("severity", "syslog"), [(0, 6), (1, 6), (3, 6), (4, 5), (6, 5), (7, 4), (8, 4), (9, 3), (10, 3), (99, 3), (-1, 6)]
)
def test_the_severity_of_the_event_decides(severity: int, syslog: int) -> None:
    assert composed(record(severity=severity)).severity == syslog


@pytest.mark.parametrize("bom", [False, True])
def test_a_late_event_says_so_beside_its_body_where_there_is_room(bom: bool) -> None:
    late = record()
    late.late = Late("recovered", 7200, 're"con]cile\\ \n')
    message = composed(late, longest=8192, bom=bom)
    facts = {"marks": "recovered", "late_seconds": "7200", "late_reader": "re_con_cile___"}
    assert message.structured == {"atlassian@32473": facts}
    assert message.content.endswith(b"body")
    assert message.raw.count(b"recovered") == 1
    whole = len(message.raw)
    assert composed(late, longest=whole, bom=bom).raw == message.raw
    short = composed(late, longest=whole - 1, bom=bom)
    assert short.structured == {}
    assert short.raw == composed(record(), bom=bom).raw
    late.late = Late("backfill")
    assert composed(late, longest=8192).structured == {"atlassian@32473": {"marks": "backfill"}}
    assert composed(late, longest=8192, old=True).raw == composed(record(), old=True).raw


def test_structured_data_of_a_format_stays_what_it_is() -> None:
    body = record(b'[atlassian@32473 marks="late"]')
    body.late = Late("late", 7200, "tail")
    assert composed(body, longest=8192, structured=True).structured == {"atlassian@32473": {"marks": "late"}}


@pytest.mark.parametrize("facility", [0, 10, 23])
def test_the_facility_is_chosen(facility: int) -> None:
    assert composed(facility=facility).facility == facility


def test_long_names_from_outside_are_not_remembered() -> None:
    composer = Composer("rfc5424", 13, NAMES)
    tracemalloc.start()
    try:
        for number in range(50):
            composer.compose(record(action=f"{number}{'x' * 100_000}"))
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()


def test_an_event_without_meaning_is_sent_with_the_time_of_reading() -> None:
    bare = record()
    bare.event = None
    message = composed(bare)
    assert (message.severity, message.msgid) == (6, None)
    assert message.time == datetime.fromtimestamp((MS + 5) / 1000, UTC)


@pytest.mark.parametrize("milliseconds", [-1, -62_135_596_800_000, 253_402_300_800_000])
def test_a_time_that_cannot_be_written_is_left_out(milliseconds: int) -> None:
    assert composed(record(time_ms=milliseconds)).time is None


def test_words_in_braces_come_from_the_event_and_are_cleaned() -> None:
    hostile = record(action="a b\n<110>1 é\x00" + "x" * 100, product="jira")
    message = composed(hostile, hostname="{organization}.{site}", app_name="{product}!", procid="p {product}")
    assert (message.hostname, message.app_name, message.procid) == ("org-1.site-1", "jira!", "p_jira")
    assert message.msgid == ("a_b_<110>1___" + "x" * 100)[:32]


def test_a_word_that_is_absent_leaves_nothing_or_nil() -> None:
    message = composed(record(action=""), app_name="{product}", hostname="a{product}b")
    assert (message.msgid, message.app_name, message.hostname) == (None, None, "ab")


def test_the_byte_order_mark_is_put_only_when_asked_for() -> None:
    assert composed(bom=True).content == b"\xef\xbb\xbfbody"
    assert composed(bom=False).content == b"body"


def test_structured_data_takes_the_place_of_the_message() -> None:
    message = composed(record(rb'[x@1 a="b\]\"\\"]'), structured=True)
    assert message.structured == {"x@1": {"a": 'b]"\\'}}
    assert message.content == b""


def test_the_header_of_rfc_3164() -> None:
    message = composed(old=True, procid="{product}", hostname="a b:1", app_name="my app: [x]")
    assert (message.hostname, message.app_name, message.procid) == ("a_b:1", "my_app___x_", None)
    assert message.raw == b"<110>Jan 31 10:00:00 a_b:1 my_app___x_: body"
    first = datetime(2026, 2, 1, tzinfo=UTC)
    early = composed(record(time_ms=int(first.timestamp() * 1000)), old=True, procid="7")
    assert early.raw == b"<110>Feb  1 00:00:00 here app[7]: body"


def test_control_characters_of_a_body_become_blanks() -> None:
    body = bytes(range(32)) + b"\x7f" + "\x80\x9f\xa0é\u2028\u202e😀".encode() + b"\xff\xc2"
    assert composed(record(b"a" + body)).content == b"a" + b" " * 35 + "\xa0é\u2028\u202e😀".encode() + b"\xff\xc2"


def test_headers_from_events_are_not_remembered_without_end() -> None:
    made = Composer("rfc5424", 13, NAMES)
    for number in range(10_000):
        assert read_5424(made.compose(record(action=f"a{number}"))).msgid == f"a{number}"
    assert len(made._headers) <= 4096


# ----------------------------------------------------------------------------------------------------------- settings


def config(**values: Any) -> SyslogConfig:
    return SyslogConfig.model_validate({"address": "tls://siem.example:6514", **values})


@pytest.mark.parametrize(
    "address",
    [
        "siem.example:514",
        "http://siem.example:514",
        "tls://siem.example",
        "tls://siem.example:0",
        "tls://siem.example:70000",
        "tls://:6514",
        "tls://user@siem.example:6514",
        "tls://siem.example:6514/path",
        "tls://siem.example:6514?x",
        "tls://siém.example:6514",
        "tls://[::1:6514",
        "",
    ],
)
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(ValidationError, match="write udp://"):
        config(address=address)


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"msgid": "{nothing}"}, "nothing is not known"),
        ({"hostname": "{}"}, "is not known"),
        ({"facility": 24}, "facility"),
        ({"max_message_bytes": 1000}, "max_message_bytes"),
        ({"address": "udp://127.0.0.1:514", "max_message_bytes": "64KiB"}, "datagram"),
        ({"framing": "crlf"}, "framing"),
    ],
)
def test_settings_that_do_not_fit(values: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        config(**values)


def test_structured_data_needs_the_protocol_that_has_it() -> None:
    old = config(address="udp://127.0.0.1:514", format="rfc5424_sd", protocol="rfc3164")
    with pytest.raises(ConfigError, match="rfc5424_sd needs protocol rfc5424"):
        SyslogSink(old, context("siem", render="rfc5424_sd"))


@pytest.mark.parametrize("scheme", ["udp", "tcp", "relp"])
def test_what_is_readable_on_the_way_must_be_allowed(scheme: str) -> None:
    far = config(address=f"{scheme}://siem.example:514")
    with pytest.raises(ConfigError, match="in the clear"):
        SyslogSink(far, context("siem"))
    assert SyslogSink(far.model_copy(update={"insecure": True}), context("siem")).target == "syslog:siem.example:514"
    for host in ("127.0.0.1", "localhost", "[::1]"):
        SyslogSink(config(address=f"{scheme}://{host}:514"), context("siem"))


def test_what_an_acceptance_is_worth_depends_on_the_transport() -> None:
    proofs = {
        scheme: SyslogSink(config(address=f"{scheme}://127.0.0.1:514"), context("siem")).proof
        for scheme in ("udp", "tcp", "tls", "relp", "relps")
    }
    assert proofs == {"udp": "none", "tcp": "none", "tls": "none", "relp": "delivered", "relps": "delivered"}


@pytest.mark.parametrize(
    "values", [{}, {"protocol": "rfc3164"}, {"bom": True}, {"msgid": "-"}, {"format": "rfc5424_sd"}]
)
@pytest.mark.parametrize("hostname", ["h", "{organization}", "h" * 300])
def test_the_longest_body_leaves_room_for_every_header(values: dict[str, Any], hostname: str) -> None:
    sink = SyslogSink(
        config(max_message_bytes=1024, hostname=hostname, procid="1234", **values),
        context("siem", render=values.get("format")),
    )
    longest = record(b"x" * sink.max_body, action="a" * 500, severity=10)
    longest.origin = Origin("acme", "organization", "o" * 500)
    size = len(sink._composer.compose(longest))
    assert size <= 1024
    assert size >= 1024 - 8, "room is wasted"
