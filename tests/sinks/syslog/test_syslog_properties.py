"""Whatever an event or a setting holds: one message, one frame, read back by two parsers that are not ours."""

from __future__ import annotations

import asyncio
import re
import warnings
from collections.abc import Coroutine
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

with warnings.catch_warnings():  # its grammar library imports a module that Python 3.11 calls deprecated
    warnings.simplefilter("ignore", DeprecationWarning)
    from syslog_rfc5424_parser import SyslogMessage

import contextlib

from forwarder.contracts import AuditEvent, Held, Origin, Record, Retryable
from forwarder.testing.events import HOSTILE
from simulator.receivers.syslog_wire import Counted, Lines, RelpFrames, read_3164, read_5424
from sinks.syslog.message import Composer, newline_ended, octet_counted
from sinks.syslog.relp import Answer, Relp
from tests.hostile import text

body_text = st.one_of(
    text, st.lists(st.sampled_from([*HOSTILE, "110 <110>1 ", "\n12 x", "0 "]), max_size=8).map("".join)
)
bodies = st.one_of(st.binary(max_size=200), body_text.map(lambda value: value.encode("utf-8", "replace")))
words = st.sampled_from(["{action}", "{product}", "{organization}", "{site}"])
header = st.lists(st.one_of(text.filter(lambda value: not re.search("[{}]", value)), words), max_size=4).map("".join)
settings_of_headers = st.fixed_dictionaries({
    "hostname": header, "app_name": header, "procid": header, "msgid": header,
})  # fmt: skip
moments = st.integers(-(2**62), 2**62)
maybe_event = st.one_of(
    st.none(),
    st.builds(
        AuditEvent,
        st.just("0" * 32),
        st.just("organization"),
        text,
        text,
        moments,
        moments,
        severity=st.integers(-5, 20),
    ),
)
records = st.builds(
    lambda event, body, site, read_ms: Record(1, Origin("a", "organization", "org", site), "0" * 32, b"{}", event, body, read_ms),
    maybe_event, bodies, text, moments,
)  # fmt: skip


def blank(body: bytes) -> bytes:
    """What a body must come back as, written anew from the documentation."""
    return re.sub(rb"[\x00-\x1f\x7f]|\xc2[\x80-\x9f]", b" ", body)


@given(records, settings_of_headers, st.integers(0, 23), st.booleans())
def test_one_message_with_our_header(record: Record, names: dict[str, str], facility: int, bom: bool) -> None:
    raw = Composer("rfc5424", facility, names, bom=bom).compose(record)
    mark = b"\xef\xbb\xbf" if bom else b""
    try:
        record.body.decode()
    except UnicodeDecodeError:
        if bom:
            return  # a mark before what is no UTF-8 is a promise that the receiver rightly refuses
    message = read_5424(raw)
    assert message.facility == facility
    assert message.structured == {}
    assert message.content == mark + blank(record.body)
    with contextlib.suppress(UnicodeDecodeError):
        other = SyslogMessage.parse(raw.decode())
        assert other.msg is None or other.msg.encode().lstrip() == message.content.lstrip()
        fields = [
            None if field == "-" else field for field in (other.hostname, other.appname, other.procid, other.msgid)
        ]
        ours = [message.hostname, message.app_name, message.procid, message.msgid]
        assert fields[:2] + fields[3:] == ours[:2] + ours[3:]
        assert fields[2] == (int(ours[2]) if ours[2] and ours[2].isdecimal() else ours[2])  # it reads a number


@given(records, settings_of_headers)
def test_one_message_in_the_old_manner(record: Record, names: dict[str, str]) -> None:
    message = read_3164(Composer("rfc3164", 13, names).compose(record))
    assert message.content == blank(record.body)


@given(st.lists(records, max_size=6), settings_of_headers, st.data())
def test_frames_come_apart_again_wherever_they_are_cut(
    several: list[Record], names: dict[str, str], data: st.DataObject
) -> None:
    composer = Composer("rfc5424", 13, names)
    messages = [composer.compose(record) for record in several]
    for frame, reader in ((octet_counted, Counted(1 << 20)), (newline_ended, Lines(1 << 20))):
        stream = frame(messages)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
        pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        assert [message for piece in pieces for message in reader.feed(piece)] == messages
        assert reader.rest == b""


# --------------------------------------------------------------------------------------------------------------- RELP


class Script:
    """A pipe whose other side says what it is told, in these pieces, and keeps what it gets."""

    silence = 60.0

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces, self.got = list(pieces), b""

    async def write(self, content: bytes) -> None:
        self.got += content

    async def read(self, within: float | None = None) -> bytes:
        return self.look()

    def look(self) -> bytes:
        while self.pieces:
            if piece := self.pieces.pop(0):
                return piece
        raise Retryable("the script is over", kind="reset")


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(coroutine)


def cut(stream: bytes, data: st.DataObject) -> list[bytes]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


OPENED = b"1 rsp 54 200 OK\nrelp_version=0\nrelp_software=x\ncommands=syslog\n"
fragments = st.sampled_from([
    b"1 rsp 6 200 OK\n", b"2 rsp 6 200 OK\n", b"3 rsp 6 200 OK\n", b"3 rsp 10 500 a\nb c\n\n", b"0 serverclose 0\n", b"0 serverclose 0 \n",
    b"2 rsp 3 200\n", b"2 rsp 0\n", b"2 rsp 7 200 OK\n", b"2 syslog 6 200 OK\n", b"02 rsp 6 200 OK\n", b" ", b"\n", b"2 rsp 99999999 ", OPENED,
    b"9 rsp 6 200 OK\n", b"2 rsp 6 2000OK\n",
])  # fmt: skip
noise = st.lists(st.one_of(fragments, fragments, st.binary(max_size=12)), max_size=6).map(b"".join)


@given(noise, st.data())
@example(b"2 rsp 6 200 OK\n3 rsp 6 200 OK\n", None)
def test_whatever_a_server_says_only_its_own_200_is_good(reply: bytes, data: st.DataObject | None) -> None:
    pipe = Script(cut(reply, data) if data else [reply])
    relp = Relp(pipe, 128)  # type: ignore[arg-type]
    relp._number = 1  # as after `open`
    answers: dict[int, Answer] = {}
    with contextlib.suppress(Retryable):
        run(relp.deliver([b"first", b"second"], answers))
    sent = [(frame.number, frame.command, frame.content) for frame in RelpFrames(1 << 20).feed(pipe.got)]
    assert sent == [(2, "syslog", b"first"), (3, "syslog", b"second")]
    for position, answer in answers.items():
        if answer.good:
            assert re.search(rb"(?<!\d)0*%d rsp \d+ 200(?!\d)" % (position + 2), reply)


@given(noise)
def test_whatever_a_server_says_opening_ends_in_order(reply: bytes) -> None:
    relp = Relp(Script([reply]), 128)  # type: ignore[arg-type]
    with contextlib.suppress(Retryable, Held):
        run(relp.open())
        assert b"commands=" in reply
        assert b"syslog" in reply


class Patient(Script):
    """Answers what was asked, and only that, in pieces of these sizes."""

    def __init__(self, sizes: list[int]) -> None:
        super().__init__([])
        self._sizes, self._frames, self._ready = sizes, RelpFrames(1 << 20), b""

    def look(self) -> bytes:
        for frame in self._frames.feed(self.got):
            self._ready += b"%d rsp 6 200 OK\n" % frame.number
        self.got = b""
        size = self._sizes.pop(0) if self._sizes else len(self._ready)
        piece, self._ready = self._ready[:size], self._ready[size:]
        return piece or super().look()


@given(st.lists(st.binary(max_size=100), max_size=20), st.integers(1, 5), st.lists(st.integers(1, 40), max_size=9))
def test_messages_and_answers_in_any_pieces_and_any_window(
    messages: list[bytes], window: int, sizes: list[int]
) -> None:
    relp = Relp(Patient(sizes), window)  # type: ignore[arg-type]
    answers: dict[int, Answer] = {}
    run(relp.deliver(messages, answers))
    assert sorted(answers) == list(range(len(messages)))
    assert all(answer.good for answer in answers.values())
