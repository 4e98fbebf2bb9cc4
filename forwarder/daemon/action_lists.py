"""What the daemon learns about actions: the lists that organizations keep themselves, and the names no one knows.

Both live in the state folder, so that a restart and the command `catalogue` know them too. Neither ever stands in the
way of an event: what goes wrong is logged, shown in the status, and tried again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from forwarder.catalogue import load_catalogue
from forwarder.catalogue.state_files import read_state, state_file, write_state
from forwarder.contracts import ForwarderError, ListedAction, ListsActions
from forwarder.contracts.log import get_logger
from forwarder.records.maker import MOST_UNKNOWN_NAMES
from forwarder.records.normalizers import Normalizers

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from forwarder.catalogue import Catalogue
    from forwarder.catalogue.meaning import Meaning
    from forwarder.config.settings import Settings
    from forwarder.contracts import Clock
    from forwarder.observe.reports import LaneReport, SourceReport

DAILY = 24 * 3600.0
AGAIN = 15 * 60.0
"""Seconds until the list is asked for again: when it came, and when it did not."""


class KeptList(msgspec.Struct):
    """The list of one organization, as it was read last."""

    organization: str
    read_at: float  # epoch seconds
    actions: list[ListedAction]


def kept_lists(folder: Path) -> list[KeptList]:
    """Return every list in the state folder."""
    found = (read_state(path, KeptList) for path in sorted(folder.glob("event-actions-*.json")))
    return [kept for kept in found if kept is not None]


def _own_records(files: Iterable[Path]) -> dict[str, Meaning]:
    if not files:
        return {}
    from forwarder.catalogue.own import local_records  # noqa: PLC0415 -- few have records of their own

    return local_records(files)


def learned_catalogue(settings: Settings) -> Catalogue:
    """Return the catalogue as a daemon has it: with the user's own records, and the lists that were read last."""
    catalogue = load_catalogue(_own_records(settings.catalogue.files))
    for kept in kept_lists(settings.spool.path.expanduser().parent):
        catalogue.learn(kept.actions)
    return catalogue


class ActionLists:
    """Keeps the list of one source fresh; a runner.

    Args:
        source: Whose list.
        organization: Its stable name.
        folder: The state folder.
        catalogue: What learns from it.
        report: Where it says how it goes.
        clock: Time.
        stopping: Set when the end begins.
    """

    def __init__(
        self,
        source: ListsActions,
        organization: str,
        *,
        folder: Path,
        catalogue: Catalogue,
        report: SourceReport,
        clock: Clock,
        stopping: asyncio.Event,
    ) -> None:
        self._source = source
        self._organization = organization
        self._path = state_file(folder, "event-actions", organization)
        self._catalogue = catalogue
        self._report = report
        self._clock = clock
        self._stopping = stopping
        self._log = get_logger()

    async def run(self) -> None:
        """Ask at once, then daily, until the end."""
        kept = read_state(self._path, KeptList)
        if kept is not None:
            self._learn(kept)
        while not self._stopping.is_set():
            rest = DAILY if await self._read() else AGAIN
            with suppress(TimeoutError):
                async with asyncio.timeout(rest):
                    await self._stopping.wait()

    async def _read(self) -> bool:
        ended, asked = asyncio.ensure_future(self._stopping.wait()), asyncio.ensure_future(self._source.actions())
        try:
            await asyncio.wait({ended, asked}, return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                return False
            actions = asked.result()
        except ForwarderError as error:
            self._report.actions_problem = str(error)
            self._log.warning("event_actions_not_read", source=self._report.name, reason=str(error), again_in=AGAIN)
            return False
        finally:
            ended.cancel()
            asked.cancel()
            await asyncio.gather(ended, asked, return_exceptions=True)
        if not actions:  # the source is read by an API without such a list; what another gave before stays known
            self._report.actions_problem = ""
            return True
        kept = KeptList(self._organization, self._clock.time(), actions)
        self._learn(kept)
        self._report.actions_problem = ""
        try:
            await asyncio.to_thread(write_state, self._path, kept)
        except OSError as error:
            self._report.actions_problem = f"not kept: {error.strerror}"
            self._log.warning("event_actions_not_kept", source=self._report.name, reason=error.strerror)
        self._log.info("event_actions_read", source=self._report.name, actions=len(actions))
        return True

    def _learn(self, kept: KeptList) -> None:
        self._catalogue.learn(kept.actions)
        self._report.actions, self._report.actions_read = len(kept.actions), kept.read_at


class Learning:
    """The catalogue of a daemon, and everything that it learns.

    Args:
        settings: Where the state folder and the user's own records are.
        clock: Time.

    Raises SettingsError when the user's own records cannot be used.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._folder = settings.spool.path.expanduser().parent
        self._clock = clock
        self._catalogue = load_catalogue(_own_records(settings.catalogue.files))
        self.normalizers = Normalizers(self._catalogue, shared=len(settings.sinks) > 1)
        self._unknown: UnknownActions | None = None

    def lists(self, source: ListsActions, report: SourceReport, stopping: asyncio.Event) -> ActionLists:
        """Return what keeps the list of actions of one source fresh."""
        return ActionLists(
            source,
            report.identity,
            folder=self._folder,
            catalogue=self._catalogue,
            report=report,
            clock=self._clock,
            stopping=stopping,
        )

    async def keep(self, lanes: Iterable[LaneReport]) -> None:
        """Write down which actions no one knows."""
        counts = [Counter(lane.unknown_actions) for lane in lanes]
        try:
            if self._unknown is None:
                self._unknown = UnknownActions(self._folder)
            await asyncio.to_thread(self._unknown.write, counts)
        except OSError as error:
            get_logger().warning("unknown_actions_not_kept", reason=error.strerror)


class UnknownActions:
    """Counts of actions whose meaning no one knows, over restarts: the most that any lane met, since all meet the same.

    Args:
        folder: The state folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = state_file(folder, "unknown-actions")
        self._before = Counter(read_state(self._path, dict[str, int]) or {})
        self._written: Counter[str] | None = None

    def counts(self, lanes: Iterable[Counter[str]] = ()) -> Counter[str]:
        """Return the counts now, the most frequent names only."""
        now: Counter[str] = Counter()
        for lane in lanes:
            now |= lane
        return Counter(dict((self._before + now).most_common(MOST_UNKNOWN_NAMES)))

    def write(self, lanes: Iterable[Counter[str]]) -> None:
        """Keep them, when they have changed. Raises OSError."""
        counts = self.counts(lanes)
        if counts != self._written:
            write_state(self._path, dict(counts.most_common()))
            self._written = counts
