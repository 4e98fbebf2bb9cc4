"""RELP against a strict server: each record by its own answer, and whatever a server may do wrong."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from forwarder.contracts import Delivery, Held, Retryable
from forwarder.testing.lanes import batch_of, bench, event
from forwarder.testing.waiting import until
from simulator.receivers.syslog import Rule, SyslogReceiver
from sinks.syslog.relp import Relp
from sinks.syslog.sink import SyslogSink
from tests.sinks.syslog.receivers import Authority, receiving, sink_for
from tests.sockets import listening

BODIES = [b"%d" % n for n in range(50)]


def contents(receiver: SyslogReceiver) -> list[bytes]:
    return [message.content for message in receiver.messages]


async def sent(sink: SyslogSink, *bodies: bytes) -> Delivery:
    return await sink.send(batch_of(*bodies))


@pytest.mark.parametrize(
    ("settings", "patience"),
    [({}, 300.0), ({"relp_patience": 7}, 7.0), ({"patience": 5}, None), ({"patience": 5, "relp_patience": 7}, 7.0)],
)
async def test_the_lanes_own_patience_counts_when_only_that_is_set(
    settings: dict[str, Any], patience: float | None
) -> None:
    async with receiving("relp") as receiver:
        sink = sink_for(receiver, **settings)
        assert sink.patience == patience, "None means that of the lane"
        await sink.close()


@pytest.mark.parametrize("window", [1, 3, 128])
async def test_everything_is_answered_and_arrives_in_order(window: int) -> None:
    async with receiving("relp") as receiver:
        sink = sink_for(receiver, relp_window=window)
        for _ in range(3):
            assert await sent(sink, *BODIES) == Delivery(accepted=range(50))
        assert contents(receiver) == BODIES * 3
        assert receiver.connections == 1
        await sink.close()
        await sink.close()


async def test_no_more_than_the_window_is_on_its_way() -> None:
    async with receiving("relp") as receiver:
        receiver.rules = [Rule("silence", times=None)]
        sink = sink_for(receiver, relp_window=7, silence_timeout=0.3)
        with pytest.raises(Retryable) as caught:
            await sent(sink, *BODIES)
        assert (caught.value.kind, caught.value.sent) == ("timeout", True)
        assert contents(receiver) == BODIES[:7]
        await sink.close()


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("silence", "silent"),
        ("stall", "silent"),
        ("reset", "reset"),
        ("close", "ended"),
        ("half_close", "ended"),
        ("serverclose", "closes the session"),
        ("wrong_number", "breaks the protocol"),
        ("garbage", "breaks the protocol"),
        ("twice", "breaks the protocol"),
    ],
)
async def test_whatever_goes_wrong_only_what_was_answered_is_accepted(what: Any, words: str) -> None:
    async with receiving("relp") as receiver:
        receiver.rules = [Rule(what, after=20)]
        sink = sink_for(receiver, relp_window=10, silence_timeout=0.5)
        delivery = await sent(sink, *BODIES)
        accepted = list(delivery.accepted)
        assert set(range(10)) <= set(accepted) <= set(range(50)) - (set() if what == "twice" else {20})
        assert delivery.rejected == {}
        assert sorted([*accepted, *delivery.kept]) == list(range(50))
        assert delivery.doubtful
        assert words in delivery.reason
        rest = [BODIES[n] for n in delivery.kept]
        assert await sent(sink, *rest) == Delivery(accepted=range(len(rest)))
        assert set(contents(receiver)) == set(BODIES)
        doubled = [body for body in BODIES if contents(receiver).count(body) > 1]
        assert set(doubled) <= set(rest)
        await sink.close()
        receiver.violations.clear()


async def test_a_session_that_ends_before_any_answer_is_tried_again() -> None:
    async with receiving("relp") as receiver:
        receiver.rules = [Rule("reset", only=lambda _: True)]
        sink = sink_for(receiver)
        with pytest.raises(Retryable) as caught:
            await sent(sink, b"a")
        assert caught.value.sent
        assert await sent(sink, b"a") == Delivery(accepted=range(1))
        await sink.close()


async def test_what_is_refused_is_kept_and_the_lane_is_told_how() -> None:
    async with receiving("relp") as receiver:
        receiver.rules = [Rule("refuse", times=None, only=lambda message: message.content == b"7", words="no\x1b[31m")]
        sink = sink_for(receiver)
        first = await sent(sink, *BODIES)
        assert (list(first.kept), first.rejected, first.doubtful, first.suspect) == ([7], {}, False, True)
        assert "1 of 50 records" in first.reason
        assert "500 no" in first.reason
        assert first.reason.isprintable()
        assert sorted(contents(receiver)) == sorted(body for body in BODIES if body != b"7")
        await sink.close()


@pytest.mark.parametrize("first", [0, 20])
async def test_a_server_that_takes_nothing_any_more_gets_all_of_it_again(first: int) -> None:
    async with receiving("relp") as receiver:
        receiver.rules = [Rule("refuse", times=None, only=lambda message: int(message.content) >= first)]
        sink = sink_for(receiver)
        delivery = await sent(sink, *BODIES)
        assert (list(delivery.kept), delivery.rejected) == (list(range(first, 50)), {})
        assert "anything" in delivery.reason or first
        receiver.rules.clear()
        rest = BODIES[first:]
        assert await sent(sink, *rest) == Delivery(accepted=range(len(rest)))
        await sink.close()


@pytest.mark.parametrize("window", [1, 2])
async def test_behind_the_lane_a_refused_record_is_a_dead_letter_and_a_server_that_takes_nothing_waits(
    window: int, tmp_path: Path
) -> None:
    def of(*names: str) -> Rule:
        return Rule("refuse", times=None, only=lambda message: json.loads(message.content)["id"] in names)

    async with receiving("relp") as receiver, bench(tmp_path) as b:
        receiver.rules = [Rule("refuse", times=None)]
        sink = sink_for(receiver, slots=2, relp_patience=0.1, format="raw")
        lane = b.start("one", sink, window=window)
        await b.fill(*(event(f"e{n}") for n in range(25)))
        await b.until(lambda: lane.report.tries >= 20)
        assert lane.report.dead_letters == 0
        assert "500" in lane.report.reason
        receiver.rules = [of("e0", "e1", "e13", "e24")]
        await b.drained("one")
        letters = {letter.seq: letter.reason for letter in await b.spool.dead_letters("one")}
        assert letters == dict.fromkeys((1, 2, 14, 25), "not_taken")
        assert len(receiver.messages) == 21
        await b.stop("one")
        await sink.close()


async def test_a_session_that_the_server_closed_in_a_quiet_time_is_seen() -> None:
    async with receiving("relp") as receiver:
        sink = sink_for(receiver)
        await sent(sink, b"a")
        await receiver.close()
        await receiver.start()
        assert await sent(sink, b"b") == Delivery(accepted=range(1))
        assert contents(receiver) == [b"a", b"b"]
        await sink.close()


async def test_a_cancelled_send_ends_the_session() -> None:
    async with receiving("relp") as receiver:
        receiver.rules = [Rule("silence", times=1)]
        sink = sink_for(receiver)
        sending = asyncio.create_task(sent(sink, b"a"))
        await until(lambda: len(receiver.messages) == 1)
        sending.cancel()
        await asyncio.wait({sending})
        assert sending.cancelled()
        assert await sent(sink, b"a") == Delivery(accepted=range(1))
        assert receiver.connections == 2
        await sink.close()


async def test_leaving_is_said() -> None:
    async with receiving("relp") as receiver:
        sink = sink_for(receiver)
        await sent(sink, b"a")
        await sink.close()
        await until(lambda: receiver.leaves == 1)


async def test_numbers_go_round() -> None:
    async with receiving("relp") as receiver:
        sink = sink_for(receiver)
        await sent(sink, b"a")
        session: Relp = sink._slots[0]._relp  # type: ignore[attr-defined]
        [talk] = receiver.talks
        session._number = talk.last = 999_999_997
        assert await sent(sink, *BODIES) == Delivery(accepted=range(50))
        assert talk.last == 48
        await sink.close()


async def answered_with(answer: bytes) -> Exception:
    """Send one record to a server that says this to whatever it gets."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            writer.write(answer)
        writer.close()

    async with listening(serve) as place, receiving("relp") as receiver:
        sink = sink_for(receiver, address=f"relp://127.0.0.1:{place}", silence_timeout=0.3)
        try:
            with pytest.raises((Retryable, Held)) as caught:
                await sent(sink, b"a")
            probed = await sink.probe()
            assert not probed[-1].ok
            assert probed[-1].fix
        finally:
            await sink.close()
    return caught.value


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"1 rsp 37 500 no\nrelp_version=0\ncommands=syslog\n", Held),
        (b"1 rsp 40 200 OK\nrelp_version=0\ncommands=something\n", Held),
        (b"1 rsp 6 200 OK\n", Held),
        (b"2 rsp 6 200 OK\n", Retryable),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Retryable),
        (b"1 rsp 6 2x0 OK\n", Retryable),
        (b"1 rsp 6 200 OKAY\n", Retryable),
        (b"1 rsp 99999999 200 OK", Retryable),
        (b"0 serverclose 0\n", Retryable),
        (b"", Retryable),
        (b"1 r", Retryable),
    ],
)
async def test_a_server_that_does_not_open_relp_gets_nothing(answer: bytes, kind: type[Exception]) -> None:
    error = await answered_with(answer)
    assert type(error) is kind
    assert not getattr(error, "sent", False)


async def test_over_tls_and_by_name(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = authority.server(ask=True)
    async with receiving("relp", ssl=context) as receiver:
        files = {"ca_file": str(authority.ca_file), "cert_file": str(authority.client)}
        sink = sink_for(receiver, tls=files)
        assert await sent(sink, *BODIES) == Delivery(accepted=range(50))
        assert all(finding.ok for finding in await sink.probe())
        await sink.close()
        stranger = sink_for(receiver, tls={"ca_file": str(authority.ca_file)})
        with pytest.raises(Retryable, match="cert_file") as caught:
            await sent(stranger, b"a")
        assert not caught.value.sent
        assert not (await stranger.probe())[-1].ok
        await stranger.close()
        assert receiver.ssl is not None
        assert receiver.ssl.verify_mode == ssl.CERT_REQUIRED


async def test_what_was_answered_before_a_reset_in_the_middle_of_a_write_is_accepted() -> None:
    def serve(listener: socket.socket) -> None:
        opened, _ = listener.accept()
        with opened, opened.makefile("rb", buffering=0) as stream:
            line = stream.readline()  # of `open`, which has two more
            stream.readline()
            stream.readline()
            opened.sendall(b"1 rsp 53 200 OK\nrelp_version=0\nrelp_software=x\ncommands=syslog\n")
            assert line.startswith(b"1 open")
            while stream.read(1) != b" ":  # the number of the first message, and no more of it
                pass
            opened.sendall(b"2 rsp 6 200 OK\n")
        # what is not read makes a reset of the end

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(asyncio.to_thread(serve, listener))
        async with receiving("relp") as receiver:
            sink = sink_for(
                receiver, address=f"relp://127.0.0.1:{listener.getsockname()[1]}", max_message_bytes="16MiB"
            )
            delivery = await sent(sink, b"x" * 1_000_000, *[b"y" * 10_000_000] * 2)
            await serving
            await sink.close()
        assert (list(delivery.accepted), list(delivery.kept), delivery.doubtful) == ([0], [1, 2], True)
