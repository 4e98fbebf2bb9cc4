"""`import --from`: the evidence of an archive is read object by object, and handed in as the events of its sources."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forwarder.archive.evidence import DamagedEvidence, Evidence, events_of, header_of
from forwarder.cli.commands.event_import import EventImport, say
from forwarder.cli.daemon_client import connect
from forwarder.cli.kept_archives import store_of
from forwarder.cli.times import SHAPES, parse
from forwarder.config.problems import Problem, SettingsError
from forwarder.contracts.errors import ConfigError, ForwarderError
from forwarder.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from forwarder.archive.evidence import EvidenceObject
    from forwarder.cli.invocation import Invocation
    from forwarder.config.settings import Settings

_HOUR_MS = 3_600_000


@dataclass(frozen=True)
class ArchiveChoice:
    """What the options said.

    Attributes:
        place: Name of a configured sink of type archive, or the archive's own place.
        source: Of which source; empty: of all that the archive has and that are configured.
        sink: For which sink alone; empty: for all.
        since, until: When the events were read from their source, as written.
        again: Also what the spool has had and has forgotten the ids of.
    """

    place: str
    source: str = ""
    sink: str = ""
    since: str | None = None
    until: str | None = None
    again: bool = False

    def times(self) -> tuple[int, int]:
        """Return the period, epoch milliseconds. Raises SettingsError."""
        now = time.time()
        problems: list[Problem] = []
        found: list[int | None] = []
        for name, value in (("--since", self.since), ("--until", self.until)):
            try:
                found.append(parse(value, now))
            except ValueError:
                problems.append(Problem(name, "not a time", SHAPES))
        if problems:
            raise SettingsError(problems)
        since, until = found[0] or 0, int(now * 1000) + 1 if found[1] is None else found[1]
        if since >= until:
            raise SettingsError([Problem("--since", "not before --until", "name an earlier moment")])
        return since, until


def import_archive(invocation: Invocation, choice: ArchiveChoice) -> ExitCode:
    """Import an archive. Returns UNEXPECTED when something of it was left out."""

    async def run(settings: Settings) -> ExitCode:
        since, until = choice.times()
        store = store_of(invocation, choice.place, "--from")
        codes: list[ExitCode] = []
        try:
            evidence = Evidence(store)
            sources = await _sources(evidence, settings, choice)
            async with connect(settings) as found:
                for source in sources:
                    objects = [each async for each in evidence.objects(source)]
                    done = EventImport(found, source, choice.sink, sum(each.size for each in objects))
                    await done.begin(again=choice.again)
                    try:
                        await _read(evidence, objects, done, since, until)
                    except ForwarderError:
                        if done.new or done.known:
                            say(f"until there: {done}; the same command goes on")
                        raise
                    codes.append(done.finish())
        finally:
            await store.close()
        return max(codes, default=ExitCode.OK)

    return asyncio.run(run(invocation.settings()))


async def _sources(evidence: Evidence, settings: Settings, choice: ArchiveChoice) -> list[str]:
    """Return the sources whose events are read. Raises ConfigError when there are none."""
    there = await evidence.sources()
    if choice.source:
        if choice.source not in there:
            names = ", ".join(there) or "none; is this the folder of an archive?"
            raise ConfigError(f"--source: the archive has nothing of {choice.source}; its sources are: {names}")
        return [choice.source]
    known = [source for source in there if source in settings.readers]
    for source in there:
        if source not in known:
            say(f"{source} is left out: no source of this name is configured")
    if not known:
        names = ", ".join(there) or "none; is this the folder of an archive?"
        raise ConfigError(f"--from: no configured source has events in this archive; its sources are: {names}")
    return known


async def _read(evidence: Evidence, objects: list[EvidenceObject], done: EventImport, since: int, until: int) -> None:
    """Hand in what was read from its source within a period. An object that is damaged is left out as a whole."""
    far = 0
    so_far: Callable[[], int] = lambda: far  # noqa: E731 -- what follows changes it
    for each in objects:
        if each.said.hour.timestamp() * 1000 + _HOUR_MS > since:  # it was stored after it was read
            data = await evidence.read(each.name)
            try:
                header = header_of(data)
                for _ in events_of(data):  # its checksum stands at the end
                    pass
            except DamagedEvidence as error:
                done.leave_out(each.name, f"{error}; audit-forwarder archive verify says more")
            else:
                for line, ((_, read_ms), body) in enumerate(zip(header.numbers(), events_of(data), strict=True), 1):
                    if since <= read_ms < until:
                        await done.add(f"{each.name} line {line}", body, so_far)
        far += each.size
    await done.hand_in()
