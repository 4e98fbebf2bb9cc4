"""A client of RELP, the reliable event logging protocol: every message has a number, and its answer settles it.

    TXNR SP COMMAND SP DATALEN [SP DATA] LF        client:  open · syslog · close      server:  rsp · serverclose

Up to a window of messages is on its way at once. Invariants: a message counts as taken only by `rsp` 200 for its own
number; whatever is not the protocol ends the connection. Source: doc/relp.md of librelp.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from forwarder.contracts import Held, Retryable
from sinks.syslog.connection import Pipe

_OFFERS = b"relp_version=0\nrelp_software=audit-forwarder\ncommands=syslog"
_HIGHEST = 999_999_999
_LONGEST_ANSWER = 64 * 1024
_GOODBYE = 2.0
"""Longest time to wait for the answer to `close`, seconds."""

# A trailing space before the line end of an empty frame is seen in the wild, and means nothing.
_HEAD = re.compile(rb"(\d{1,9}) ([a-z]{1,32}) (\d{1,9})(?: ?\n| )")
_UNFINISHED = re.compile(rb"\d{0,9}|\d{1,9} (?:[a-z]{0,32}|[a-z]{1,32} (?:\d{0,9}|\d{1,9} ))")
_CODE = re.compile(rb"(\d{3})(?![^ \n]) ?(.*)", re.DOTALL)


class Answer(NamedTuple):
    """What the server said of one message."""

    code: int
    words: bytes

    @property
    def good(self) -> bool:
        """Whether the server has taken responsibility."""
        return self.code == 200


_TAKEN = Answer(200, b"OK")


class _Frame(NamedTuple):
    number: int
    command: bytes
    content: bytes


class Relp:
    """One session over an open connection."""

    def __init__(self, pipe: Pipe, window: int) -> None:
        self._pipe = pipe
        self._window = window
        self._number = 0
        self._rest = b""
        self.closed = False

    async def open(self) -> None:
        """Agree with the server. Raises Retryable, or Held when it does not take syslog."""
        number = self._next()
        try:
            await self._pipe.write(_frame(number, b"open", _OFFERS))
            frames = await self._arrive()
        except Retryable as error:
            if error.kind != "reset":
                raise
            fix = "it may refuse our certificate (tls.cert_file), or speak no RELP on this port"
            raise Retryable(f"{error} instead of opening RELP; {fix}", kind="reset") from None
        if len(frames) != 1:
            raise _broken("it answers `open` more than once")
        answer = _answer(frames[0], number)
        offers = dict(line.partition(b"=")[::2] for line in answer.words.split(b"\n") if b"=" in line)
        if not answer.good or b"syslog" not in offers.get(b"commands", b"").split(b","):
            fix = "Give the address of an input that takes syslog over RELP (rsyslog: imrelp)."
            raise Held(f"The server does not open RELP for syslog (answer {answer.code}).", fix=fix)

    async def deliver(self, messages: Sequence[bytes], answers: dict[int, Answer]) -> None:
        """Send messages and note the answer to each by its position, as it comes.

        Raises Retryable when the session ends early: what has no answer then may have been taken, or not.
        """
        waiting: dict[int, int] = {}
        position = 0
        while position < len(messages) or waiting:
            frames: list[bytes] = []
            while position < len(messages) and len(waiting) < self._window:
                number = self._next()
                waiting[number] = position
                frames.append(_frame(number, b"syslog", messages[position]))
                position += 1
            if frames:
                try:
                    await self._pipe.write(b"".join(frames))
                except Retryable:
                    with suppress(Retryable):  # what was answered before the end counts
                        self._note(self._frames(self._pipe.look()), waiting, answers)
                    raise
            self._note(await self._arrive(), waiting, answers)

    def _note(self, frames: Sequence[_Frame], waiting: dict[int, int], answers: dict[int, Answer]) -> None:
        """Note answers by position; `waiting` has the position of each number. Raises Retryable for what is none."""
        for frame in frames:
            where = waiting.pop(frame.number, None)
            if where is None:
                raise self._ended() if frame.command == b"serverclose" else _broken("it answers what was not asked")
            answers[where] = _answer(frame, frame.number)

    def look(self) -> None:
        """Raise Retryable when the server has closed the session meanwhile."""
        for frame in self._frames(self._pipe.look()):
            raise self._ended() if frame.command == b"serverclose" else _broken("it answers what was not asked")

    async def close(self) -> None:
        """Take leave and end the connection. Safe to call twice."""
        if self.closed:
            return
        self.closed = True
        with suppress(Retryable, TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                await self._pipe.write(_frame(self._next(), b"close", b""))
                await self._pipe.read()
        await self._pipe.close()

    def abort(self) -> None:
        """End the connection at once."""
        self.closed = True
        self._pipe.abort()

    # --------------------------------------------------------------------------------------------------------- frames

    def _next(self) -> int:
        self._number = self._number + 1 if self._number < _HIGHEST else 1
        return self._number

    async def _arrive(self) -> list[_Frame]:
        """Wait for whole frames and return all there are. Raises Retryable; a frame that trickles in is silence."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._pipe.silence
        while not (frames := self._frames(await self._pipe.read(end - loop.time()))):
            pass
        return frames

    def _frames(self, arrived: bytes) -> list[_Frame]:
        """Return the frames that are whole now. Raises Retryable for what is none."""
        content = self._rest + arrived
        found: list[_Frame] = []
        start = 0
        while start < len(content):
            head = _HEAD.match(content, start)
            if head is None:
                if not _UNFINISHED.fullmatch(content, start):
                    raise _broken("it does not speak RELP")
                break
            length, end = int(head[3]), head.end()
            if length > _LONGEST_ANSWER:
                raise _broken("its answer is too long")
            if content[end - 1] == 10:  # nothing follows
                if length:
                    raise _broken("it does not speak RELP")
                found.append(_Frame(int(head[1]), head[2], b""))
                start = end
                continue
            if len(content) <= end + length:
                break
            if content[end + length] != 10:
                raise _broken("it does not speak RELP")
            found.append(_Frame(int(head[1]), head[2], content[end : end + length]))
            start = end + length + 1
        self._rest = content[start:]
        return found

    @staticmethod
    def _ended() -> Retryable:
        return Retryable("the RELP server closes the session", kind="reset")


def _frame(number: int, command: bytes, content: bytes) -> bytes:
    return b"%d %b %d %b\n" % (number, command, len(content), content) if content else b"%d %b 0\n" % (number, command)


def _answer(frame: _Frame, number: int) -> Answer:
    """Read the answer to `number`. Raises Retryable when the frame is none."""
    if frame.content == b"200 OK" and frame.command == b"rsp" and frame.number == number:  # nearly always
        return _TAKEN
    code = _CODE.match(frame.content)
    if frame.command != b"rsp" or frame.number != number or code is None:
        raise _broken("its answer is malformed")
    return Answer(int(code[1]), code[2])


def _broken(how: str) -> Retryable:
    return Retryable(f"the RELP server breaks the protocol: {how}", kind="other")
