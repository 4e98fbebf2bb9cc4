"""Has the index of each archive made again and again, by a process of its own.

The process is `audit-forwarder investigate index`: it has less priority and bounded memory, and DuckDB is loaded there
only. It ends when the daemon does, however that ends, for its standard input closes then; what it had not finished is
made the next time.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from forwarder.contracts.log import get_logger
from forwarder.contracts.units import size_text
from forwarder.daemon.chore import chore
from forwarder.observe.record import IndexReport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from forwarder.admin.kept_places import Place
    from forwarder.contracts import Clock


class _Outcome(msgspec.Struct):
    """What the command prints."""

    events: int
    made: dict[str, int] = {}
    failed: dict[str, str] = {}


class Indexing:
    """Makes the indexes until the end, one after the other.

    Args:
        places: The archives, by the names of their sinks.
        reports: Told of each what became of it.
        every: Seconds between two times.
        memory: Of DuckDB, in bytes.
        clock: Time.
        stopping: Set when the end begins.
        clean: Takes secrets out of a text.
    """

    def __init__(
        self,
        places: Mapping[str, Place],
        reports: dict[str, IndexReport],
        *,
        every: float,
        memory: int,
        clock: Clock,
        stopping: asyncio.Event,
        clean: Callable[[str], str] = str,
    ) -> None:
        self._places = places
        self._reports = reports
        self._every = every
        self._memory = memory
        self._clock = clock
        self._stopping = stopping
        self._clean = clean
        self._log = get_logger()
        reports |= {name: IndexReport(name) for name in places if name not in reports}

    async def run(self) -> None:
        """Make them, and wait, until the end."""
        while not self._stopping.is_set():
            for name, place in self._places.items():
                await self._make(name, place)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await self._stopping.wait()

    async def _make(self, name: str, place: Place) -> None:
        report = self._reports[name]
        report.began = self._clock.time()
        try:
            outcome = await self._outcome(place)
        except (OSError, ValueError) as error:  # no process, or one that said what it should not
            outcome = f"it could not be made: {error}"
        if self._stopping.is_set():
            return
        report.ended = self._clock.time()
        if isinstance(outcome, _Outcome):
            report.good = report.ended
            report.events, report.failed_parts = outcome.events, len(outcome.failed)
            report.reason = next((f"{part}: {why}" for part, why in outcome.failed.items()), "")
        else:
            report.reason = self._clean(outcome)
        if report.reason:
            self._log.warning("index_not_made", sink=name, reason=report.reason)
        elif isinstance(outcome, _Outcome) and outcome.made:
            self._log.info("index_made", sink=name, parts=len(outcome.made), events=outcome.events)

    async def _outcome(self, place: Place) -> _Outcome | str:
        """Return what the process printed, or why it did not."""
        words = ["investigate", "index", "--json", "--for-daemon", f"--memory={size_text(self._memory)}"]
        done = await chore([*words, *place.words()], place.environment(os.environ), self._stopping)
        if done is None:
            return "the daemon ends"
        try:
            return msgspec.json.decode(done.printed, type=_Outcome)
        except msgspec.MsgspecError:
            return done.why()
