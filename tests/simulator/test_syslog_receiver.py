"""The syslog double refuses what the standards refuse; otherwise a test against it would prove nothing."""

from __future__ import annotations

import asyncio

import pytest

from simulator.receivers.syslog import Rule, SyslogReceiver
from simulator.receivers.syslog_wire import Counted, Lines, Malformed, RelpFrames, read_3164, read_5424

GOOD = b"<110>1 2026-01-31T10:00:00.123Z host app 1 id - "


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<192>1 2026-01-31T10:00:00Z host app 1 id - x",
        b"<01>1 2026-01-31T10:00:00Z host app 1 id - x",
        b"<110>2 2026-01-31T10:00:00Z host app 1 id - x",
        b"<110>1  2026-01-31T10:00:00Z host app 1 id - x",
        b"<110>1 2026-01-31t10:00:00Z host app 1 id - x",
        b"<110>1 2026-01-31T10:00:00z host app 1 id - x",
        b"<110>1 2026-01-31T10:00:00.1234567Z host app 1 id - x",
        b"<110>1 2026-13-31T10:00:00Z host app 1 id - x",
        b"<110>1 2026-01-31 10:00:00Z host app 1 id - x",
        b"<110>1 - %b app 1 id - x" % (b"h" * 256),
        b"<110>1 - host %b 1 id - x" % (b"a" * 49),
        b"<110>1 - host app %b id - x" % (b"p" * 129),
        b"<110>1 - host app 1 %b - x" % (b"m" * 33),
        b"<110>1 - h\xc3\xa9 app 1 id - x",
        b"<110>1 - host app 1 id x",
        b"<110>1 - host app 1 id -x",
        b'<110>1 - host app 1 id [a b="1"]x',
        b'<110>1 - host app 1 id [a b="1"][a b="2"] x',
        b'<110>1 - host app 1 id [a b="1]"] x',
        b'<110>1 - host app 1 id [a b="\\n"] x',
        b'<110>1 - host app 1 id [a  b="1"] x',
        b'<110>1 - host app 1 id [a=b c="1"] x',
        b'<110>1 - host app 1 id [a b="\xff"] x',
        b'<110>1 - host app 1 id [a b="\x01"] x',
        GOOD + b"a\nb",
        GOOD + b"a\x00b",
        GOOD + b"a\x7fb",
        GOOD + b"a\xc2\x9bb",
        GOOD + b"\xef\xbb\xbf\xff",
    ],
)  # fmt: skip
def test_no_message_of_rfc_5424(raw: bytes) -> None:
    with pytest.raises(Malformed):
        read_5424(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"<110>jan 31 10:00:00 host app: x",
        b"<110>Jan  1 10:00:00 host app x",
        b"<110>Jan 1 10:00:00 host app: x",
        b"<110>Jan 32 10:00:00 host app: x",
        b"<110>Jan 31 10:00:00 ho st app: x",
        b"<110>Jan 31 10:00:00 host %b: x" % (b"a" * 33),
        b"<110>Jan 31 10:00:00 host app: a\nb",
    ],
)
def test_no_message_in_the_old_manner(raw: bytes) -> None:
    with pytest.raises((Malformed, ValueError)):
        read_3164(raw)


def test_good_messages_come_apart() -> None:
    message = read_5424(rb'<110>1 2026-01-31T10:00:00.123Z host app 1 id [a@1 b="x\"\\\]" c=""][d] the message')
    assert message.structured == {"a@1": {"b": 'x"\\]', "c": ""}, "d": {}}
    assert message.content == b"the message"
    assert read_5424(b"<0>1 - - - - - -").content == b""
    assert read_3164(b"<13>Jan  1 00:00:00 host app[1]: text").procid == "1"


@pytest.mark.parametrize("stream", [b"x", b" 1 x", b"01 x", b"0 ", b"12345678901", b"9999 x", b"-1 x", b"1\n"])
def test_no_counted_frame(stream: bytes) -> None:
    with pytest.raises(Malformed):
        list(Counted(100).feed(stream))


@pytest.mark.parametrize("piece", [1, 2, 3, 100])
def test_frames_come_apart_in_any_pieces(piece: int) -> None:
    for reader, stream in ((Counted(100), b"1 a12 bcdefghijklm3 a\nb"), (Lines(100), b"a\nbcd\n\nrest")):
        found = [
            frame for start in range(0, len(stream), piece) for frame in reader.feed(stream[start : start + piece])
        ]
        expected = {Counted: [b"a", b"bcdefghijklm", b"a\nb"], Lines: [b"a", b"bcd", b""]}
        assert found == expected[type(reader)]
        assert reader.rest == (b"" if type(reader) is Counted else b"rest")


def test_a_line_that_is_too_long_is_refused() -> None:
    for stream in (b"x" * 101, b"x" * 101 + b"\n"):
        with pytest.raises(Malformed):
            list(Lines(100).feed(stream))


@pytest.mark.parametrize(
    "stream",
    [b"1 syslog 1 ab\n", b"1 syslog 1  a\n", b"01 syslog 1 a\n", b"1 sys-log 1 a\n", b"1 syslog 0 \n", b"1 syslog 1\n", b"x\n", b"1 syslog 200 a\n", b"x" * 61],
)  # fmt: skip
def test_no_frame_of_relp(stream: bytes) -> None:
    with pytest.raises(Malformed):
        list(RelpFrames(100).feed(stream))


OPEN = b"1 open 30 relp_version=0\ncommands=syslog\n"


async def session(*frames: bytes) -> tuple[bytes, SyslogReceiver]:
    """Say these frames to the double; return what it answers and what became of it."""
    async with SyslogReceiver("relp") as receiver:
        reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
        writer.write(b"".join(frames))
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    return answer, receiver


async def test_a_session_by_the_letter() -> None:
    message = GOOD + b"x"
    answer, receiver = await session(OPEN, b"2 syslog %d %b\n" % (len(message), message), b"3 close 0\n")
    assert receiver.violations == []
    assert [one.content for one in receiver.messages] == [b"x"]
    assert b"\n2 rsp 6 200 OK\n3 rsp 6 200 OK\n0 serverclose 0\n" in answer


@pytest.mark.parametrize(
    "frames",
    [
        (b"1 syslog 1 a\n",),
        (b"2 open 30 relp_version=0\ncommands=syslog\n",),
        (b"1 open 30 relp_version=1\ncommands=syslog\n",),
        (b"1 open 14 relp_version=0\n",),
        (OPEN, b"3 close 0\n"),
        (OPEN, b"2 open 30 relp_version=0\ncommands=syslog\n"),
        (OPEN, b"2 syslog 5 hello\n"),
    ],
)
async def test_a_session_that_breaks_the_rules(frames: tuple[bytes, ...]) -> None:
    _, receiver = await session(*frames)
    assert len(receiver.violations) == 1
    assert receiver.messages == []


async def test_what_was_begun_and_never_ended_is_told() -> None:
    async with SyslogReceiver() as receiver:
        _, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
        writer.write(GOOD + b"whole\n" + GOOD + b"half")
        writer.close()
        await writer.wait_closed()
        while not receiver.halves:  # noqa: ASYNC110 -- the double is another task
            await asyncio.sleep(0.01)
        assert [one.content for one in receiver.messages] == [b"whole"]
        assert receiver.halves == [GOOD + b"half"]


async def test_rules_are_played_in_order_and_used_up() -> None:
    receiver = SyslogReceiver()
    receiver.rules = [Rule("reset", times=2, after=1), Rule("refuse"), Rule("stall", times=0)]
    message = read_5424(GOOD)
    played = [
        receiver.rule(taken, about) for taken, about in ((0, None), (0, message), (1, None), (1, message), (2, message))
    ]
    assert [rule and rule.what for rule in played] == [None, "refuse", "reset", "reset", None]
