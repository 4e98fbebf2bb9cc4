"""`import`: an archive of a file sink is read line by line, and handed to the daemon, or to its spool, part by part."""

from __future__ import annotations

import asyncio
import bz2
import contextlib
import gzip
import lzma
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.admin.imports import MOST_BYTES
from forwarder.cli.commands.event_import import EventImport, say
from forwarder.cli.daemon_client import connect
from forwarder.contracts import plain
from forwarder.contracts.errors import ConfigError, ForwarderError
from forwarder.exit_codes import ExitCode
from forwarder.net.json_size import UNREADABLE

if TYPE_CHECKING:
    from forwarder.cli.invocation import Invocation
    from forwarder.config.settings import Settings

_OPENS: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_BOM = b"\xef\xbb\xbf"
_ABSENT = msgspec.Raw()
_CSV = (
    "this is not an archive of JSON lines. If it is a table that was exported from the admin page, say --csv. Of a "
    "file sink, import what has the format raw, or ecs or ocsf with `original: true`"
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


async def _read(done: EventImport, stream: Any, place: Callable[[], int]) -> None:
    """Hand in a whole stream of lines that a file sink wrote."""
    for number, line in lines_of(stream):
        if number == 1 and line[:1] != b"{" and b"," in line:
            raise ConfigError(_CSV)
        try:
            body = body_of(line)
        except _LeftOut as error:
            done.leave_out(f"line {number}", str(error))
            continue
        await done.add(f"line {number}", body, place)
    await done.hand_in()


def import_(invocation: Invocation, file: Path, source: str, sink: str, *, again: bool) -> ExitCode:
    """Import an archive. Returns UNEXPECTED when lines were left out."""

    async def run(settings: Settings) -> ExitCode:
        async with connect(settings) as found:
            with contextlib.ExitStack() as opened:
                try:
                    raw = sys.stdin.buffer if str(file) == "-" else opened.enter_context(file.open("rb"))
                    size = os.fstat(raw.fileno()).st_size if raw is not sys.stdin.buffer else 0
                except OSError as error:
                    raise ConfigError(f"{file}: {error.strerror or error}") from None
                unpack = _OPENS.get(file.suffix)
                stream = opened.enter_context(unpack(raw)) if unpack is not None else raw  # type: ignore[arg-type]
                done = EventImport(found, source, sink, size)
                await done.begin(again=again)
                try:
                    await _read(done, stream, raw.tell if size else lambda: 0)
                except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
                    reason = plain(str(error), 200)
                    raise ForwarderError(f"{file}: cannot be read on ({reason}); until there: {done}") from None
                except ForwarderError as error:
                    if done.new or done.known:
                        say(f"until there: {done}; the same command goes on")
                    raise error from None
        return done.finish()

    return asyncio.run(run(invocation.settings()))
