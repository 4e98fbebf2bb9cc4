"""`import`: an archive of a file sink is read line by line, and handed to the daemon, or to its spool, part by part."""

from __future__ import annotations

import asyncio
import bz2
import contextlib
import gzip
import lzma
import os
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.admin.imports import MOST_BYTES, MOST_EVENTS, Begun, Part, Taken
from forwarder.cli.daemon_client import Refused, connect
from forwarder.cli.terminal import print_line
from forwarder.contracts import plain
from forwarder.contracts.errors import ConfigError, ForwarderError
from forwarder.contracts.text import visible
from forwarder.exit_codes import ExitCode
from forwarder.net.json_size import UNREADABLE

if TYPE_CHECKING:
    from forwarder.cli.daemon_client import VerbClient
    from forwarder.cli.invocation import Invocation
    from forwarder.config.settings import Settings

LINE_EVERY = 60.0
"""Seconds between two lines about how far it came."""

WAIT = 1.0
"""Seconds between two tries to hand in what the daemon does not take just now."""

PATIENCE = 600.0
"""Seconds after which it is given up; the same command goes on."""

MOST_NAMED = 100
"""Lines that were left out and are named; the others are counted."""

_OPENS: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_BOM = b"\xef\xbb\xbf"
_ABSENT = msgspec.Raw()
_CSV = (
    "this is not an archive of JSON lines. A CSV export names no event by its id, so what the API brings as well would "
    "come twice: read the last 180 days by `audit-forwarder backfill start`. Of a file sink, import what has the "
    "format raw, or ecs or ocsf with `original: true`"
)


class _Line(msgspec.Struct, gc=False):
    """The members that tell what wrote a line."""

    ecs: msgspec.Raw = _ABSENT
    event: msgspec.Raw = _ABSENT
    audit_forwarder: msgspec.Raw = _ABSENT
    class_uid: msgspec.Raw = _ABSENT
    raw_data: msgspec.Raw = _ABSENT


class _Original(msgspec.Struct, gc=False):
    original: str | None = None


class _LeftOut(Exception):
    """Why a line holds no event that can be taken."""


_line = msgspec.json.Decoder(_Line).decode
_original = msgspec.json.Decoder(_Original).decode
_text = msgspec.json.Decoder(str).decode


def body_of(line: bytes) -> bytes:
    """Return the event of a line as the API sent it; what is no JSON is for the source to refuse. Raises _LeftOut."""
    if len(line) > MOST_BYTES:
        raise _LeftOut(f"it is longer than {MOST_BYTES} bytes")
    try:
        found = _line(line)
        if bytes(found.audit_forwarder):
            raise _LeftOut("it was cut or repaired when it was written, so it is not what the API sent")
        if bytes(found.ecs):
            name, kept = "event.original", _original(found.event).original if bytes(found.event) else None
        elif bytes(found.class_uid):
            name, kept = "raw_data", _text(found.raw_data) if bytes(found.raw_data) else None
        else:
            return line
    except UNREADABLE:
        return line
    if not kept:
        raise _LeftOut(f"it has no {name}, for its sink had no `original: true`: the event as it was sent is not in it")
    return kept.encode("utf-8", "surrogatepass")


def lines_of(stream: Any) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that hold something with their numbers; of one that is too long, more than may be taken."""
    number = 0
    while line := stream.readline(2 * MOST_BYTES):
        number += 1
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = stream.readline(2 * MOST_BYTES)
        line = (line.removeprefix(_BOM) if number == 1 else line).strip()
        if line:
            yield number, line


class _Import:
    """One run of the command."""

    def __init__(self, found: VerbClient, source: str, size: int) -> None:
        self._found = found
        self._source = source
        self._size = size
        self._numbers: list[int] = []
        self._bodies: list[bytes] = []
        self._bytes = 0
        self._told_at = time.monotonic()
        self.new = self.known = self.revisions = self.left_out = 0

    async def read(self, stream: Any, place: Callable[[], int]) -> None:
        """Hand in a whole stream."""
        for number, line in lines_of(stream):
            if number == 1 and line[:1] != b"{" and b"," in line:
                raise ConfigError(_CSV)
            try:
                body = body_of(line)
            except _LeftOut as error:
                self._leave_out(number, str(error))
                continue
            if len(self._bodies) == MOST_EVENTS or self._bytes + len(body) > MOST_BYTES:
                await self._hand_in()
                self._tell(place())
            self._numbers.append(number)
            self._bodies.append(body)
            self._bytes += len(body)
        await self._hand_in()

    async def _hand_in(self) -> None:
        if not self._bodies:
            return
        part, until = Part(self._source, self._bodies), time.monotonic() + PATIENCE
        while True:
            try:
                taken = await self._found.ask("import.part", part, Taken)
                break
            except Refused as error:
                if error.code is not ExitCode.DEGRADED or time.monotonic() > until:
                    raise
                if time.monotonic() - self._told_at >= LINE_EVERY:
                    self._told_at = time.monotonic()
                    _say(f"waiting: {error}")
                await asyncio.sleep(WAIT)
        self.new += taken.new
        self.known += taken.known
        self.revisions += taken.revisions
        for at, reason in taken.refused:
            self._leave_out(self._numbers[at], reason)
        self._numbers, self._bodies, self._bytes = [], [], 0

    def _leave_out(self, number: int, reason: str) -> None:
        self.left_out += 1
        if self.left_out <= MOST_NAMED:
            _say(f"line {number} is left out: {plain(reason, 200)}")

    def _tell(self, at: int) -> None:
        every = 1.0 if sys.stderr.isatty() else LINE_EVERY
        if time.monotonic() - self._told_at >= every:
            self._told_at = time.monotonic()
            share = f"{100 * at / self._size:.0f} %, " if self._size else ""
            _say(f"{share}{self}")

    def __str__(self) -> str:
        of_them = f" ({self.revisions} of them another version of a known event)" if self.revisions else ""
        return f"{self.new} new{of_them}, {self.known} known already, {self.left_out} lines left out"


def _say(text: str) -> None:
    print(visible(text), file=sys.stderr)  # noqa: T201 -- the command line's own voice


def import_(invocation: Invocation, file: Path, source: str, *, again: bool) -> ExitCode:
    """Import an archive. Returns UNEXPECTED when lines were left out."""

    async def run(settings: Settings) -> ExitCode:
        async with connect(settings) as found:
            begun = await found.ask("import.begin", Part(source), Begun)
            if begun.forgotten and not again:
                days = list(begun.forgotten)
                raise ConfigError(
                    f"the spool has had {sum(begun.forgotten.values())} events of {days[0]} to {days[-1]} and does not "
                    "remember their ids any more (spool.id_retention): those in the archive would be delivered twice, "
                    "under the same document ids. Take these days out of it, or say --again"
                )
            with contextlib.ExitStack() as opened:
                try:
                    raw = sys.stdin.buffer if str(file) == "-" else opened.enter_context(file.open("rb"))
                    size = os.fstat(raw.fileno()).st_size if raw is not sys.stdin.buffer else 0
                except OSError as error:
                    raise ConfigError(f"{file}: {error.strerror or error}") from None
                unpack = _OPENS.get(file.suffix)
                stream = opened.enter_context(unpack(raw)) if unpack is not None else raw  # type: ignore[arg-type]
                done = _Import(found, source, size)
                try:
                    await done.read(stream, raw.tell if size else lambda: 0)
                except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
                    reason = plain(str(error), 200)
                    raise ForwarderError(f"{file}: cannot be read on ({reason}); until there: {done}") from None
                except ForwarderError as error:
                    if done.new or done.known:
                        _say(f"until there: {done}; the same command goes on")
                    raise error from None
        if done.left_out > MOST_NAMED:
            _say(f"{done.left_out - MOST_NAMED} more lines are left out")
        print_line(f"{source}: {done}")
        if not found.running:
            print_line("the daemon is not running; it delivers them when it starts: audit-forwarder run")
        return ExitCode.UNEXPECTED if done.left_out else ExitCode.OK

    return asyncio.run(run(invocation.settings()))
