"""`reconcile --verify-sink`: asks each sink for what it accepted, and puts on record what it does not have."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import suppress
from datetime import date, timedelta
from typing import TYPE_CHECKING

from forwarder.admin.reconcile import Found
from forwarder.assembly import build_sink, close_all
from forwarder.cli.commands.reconcile import known_ids
from forwarder.cli.daemon_client import origins_of
from forwarder.cli.terminal import print_line, print_text, show_rows
from forwarder.contracts import ForwarderError, IsSearched, SinkTraits, Verifies
from forwarder.contracts.text import visible
from forwarder.reconcile.look import Export, look_at, only_recognised
from forwarder.spool.evidence import IdsWanted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from forwarder.cli.daemon_client import VerbClient
    from forwarder.config.settings import Settings
    from forwarder.contracts import Origin, Sink
    from forwarder.reconcile.look import Look
    from forwarder.reconcile.verdict import Line, Verdict

_HEAD = ("day", "source", "sink", "accepted", "found there", "dropped", "result")


async def verify(
    found: VerbClient, settings: Settings, verdict: Verdict, *, result: Path | None, within: float
) -> bool:
    """Look at the sinks of a verdict, and show what they have; tell whether all that was accepted is there.

    Args:
        found: Where ids come from and gaps go to.
        settings: What is configured.
        verdict: The days, sources and sinks to look at.
        result: What a search listed; in place of asking the sink.
        within: Seconds for each sink.
    """
    origins = origins_of(settings)
    lines = [line for line in verdict.lines if line.accepted and line.source in origins]
    looks: list[Look] = []
    is_known = True
    for name in dict.fromkeys(line.sink for line in lines if line.sink in settings.sinks):
        sink = build_sink(name, settings.sinks[name])
        mine = [line for line in lines if line.sink == name]
        try:
            asked = Export(result) if result is not None else sink
            if isinstance(asked, Verifies):
                async with asyncio.timeout(within):
                    looks += only_recognised([await _look(found, line, asked, origins) for line in mine])
            else:
                is_known = False
                _print_what_to_do(name, sink, mine, origins)
        except TimeoutError:
            is_known = False
            _say(f"{name}: not all was asked within {within:g} s; nothing is claimed of it. Give it more time.")
        except ForwarderError as error:
            is_known = False
            _say(f"{name}: nothing is claimed of it: {error}")
        finally:
            await close_all([sink])
    await _record(found, looks)
    _show(looks)
    return is_known and all(look.state == "whole" for look in looks)


async def _look(found: VerbClient, line: Line, sink: Verifies, origins: Mapping[str, Origin]) -> Look:
    shown = time.monotonic()

    def progress(known: int) -> None:
        nonlocal shown
        if sys.stderr.isatty() or time.monotonic() - shown >= 10:
            shown = time.monotonic()
            end = "\x1b[K\r" if sys.stderr.isatty() else "\n"  # what was longer before is cleared
            text = f"{line.source} to {line.sink}, {line.day or 'no known day'}: asked for {known} of {line.expected}"
            print(text, end=end, file=sys.stderr, flush=True)  # noqa: T201 -- what happens meanwhile

    ids = known_ids(found, IdsWanted(line.source, line.sink, line.day))
    return await look_at(line, sink, ids, origin=origins[line.source], progress=progress)


async def _record(found: VerbClient, looks: list[Look]) -> None:
    for look in looks:
        if look.state == "not known" or not look.line.day:
            continue
        detail = f"the sink has {look.found} of {look.line.accepted} that it accepted" if look.dropped else ""
        await found.ask(
            "reconcile.found", Found(look.line.source, look.line.sink, look.line.day, look.dropped, detail), type(None)
        )


def _show(looks: list[Look]) -> None:
    rows = [
        [
            look.line.day or "unknown",
            look.line.source,
            look.line.sink,
            *map(str, (look.line.accepted, look.found, look.dropped)),
            look.state,
        ]
        for look in looks
    ]
    if rows:
        print_line()
        show_rows(rows, head=_HEAD)
    for look in looks:
        where = f"{look.line.day or 'no known day'}, {look.line.source} to {look.line.sink}"
        if look.state == "not known":
            _say(f"{where}: {look.why}")
        elif look.dropped:
            _say(
                f"{where}: {look.dropped} events were accepted and are not there: dropped after they were "
                "acknowledged, or removed by the destination's own retention. A replay brings what the spool still "
                f"has: audit-forwarder replay --sink {look.line.sink} {_stretch(look.line.day)}"
            )
            _say(f"among these: {', '.join(look.absent)}")


def _stretch(day: str) -> str:
    return f"--from {day} --to {date.fromisoformat(day) + timedelta(days=1)}" if day else "--from TIME"


def _say(text: str, indent: int = 0) -> None:
    print_text(visible(text), indent=indent)


def _print_what_to_do(name: str, sink: Sink, lines: list[Line], origins: Mapping[str, Origin]) -> None:
    """Say why the destination cannot be asked, and what a person can do."""
    _say(f"{name}: not asked: {SinkTraits.of(sink).unverifiable}")
    if not isinstance(sink, IsSearched):
        return
    for line in lines:
        with suppress(KeyError):
            _say(f"{line.day or 'no known day'}, {line.source}:", indent=2)
            print_line(f"  {visible(sink.search(origins[line.source], line.day))}")  # it is copied, so never folded
    _say("then:", indent=2)
    print_line(f"  audit-forwarder reconcile --verify-sink --sink {name} --day DAY --result EXPORT.csv")
