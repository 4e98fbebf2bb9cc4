"""What changed between a configuration and the spool that it will meet: targets, names, removed sinks, other sources.

Found before anything is opened or sent, by `check`, `doctor` and `run` alike; a daemon that runs is not disturbed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.assembly import look_into_spool, targets_and_identities
from forwarder.config.problems import Problem
from forwarder.contracts.errors import ForwarderError
from forwarder.contracts.moments import utc, whole_seconds
from forwarder.contracts.units import duration_text
from forwarder.preflight.targets import one_spelling
from forwarder.spool.known import start_ms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forwarder.config.settings import Settings
    from forwarder.spool.known import KnownLane, KnownSpool


class SpoolChanges:
    """Compares a configuration with its spool.

    Args:
        settings: The configuration.

    Attributes:
        problems: What `run` would refuse.
        looks: What it would do and say; probably, or not, what is meant.
    """

    def __init__(self, settings: Settings) -> None:
        self.problems: list[Problem] = []
        self.looks: list[Problem] = []
        try:
            known = look_into_spool(settings.spool.path)
        except (ForwarderError, OSError) as error:
            self.looks.append(Problem("spool.path", f"nothing can be compared: {error}"))
            return
        if known is not None:
            targets, identities = targets_and_identities(settings)
            self.problems += _sources(known, identities)
            self.problems += _targets(known, settings, targets)
            self.looks += _restarts(known, settings, targets)
            self.looks += _removed(known, settings, targets)
            self.looks += _older(known, settings, targets)


def _targets(known: KnownSpool, settings: Settings, targets: dict[str, str]) -> Iterator[Problem]:
    for lane in known.lanes:
        target = targets.get(lane.name, lane.target)
        if target != lane.target and settings.sinks[lane.name].start is None:
            yield Problem(
                f"sinks.{lane.name}",
                f"wrote to {lane.target} until now and is configured for {target}; {_events(lane)} it",
                f"say where the new target begins, sinks.{lane.name}.start: now | oldest | <time> | continue; or give "
                "the new target a new name",
            )


def _restarts(known: KnownSpool, settings: Settings, targets: dict[str, str]) -> Iterator[Problem]:
    for lane in known.lanes:
        target = targets.get(lane.name, lane.target)
        start = settings.sinks[lane.name].start if lane.name in settings.sinks else None
        if target == lane.target or start is None:
            continue
        what = "goes on where the old one ended" if start == "continue" else f"begins at {start}"
        lost = "" if start == "continue" or not lane.waiting else f"; {_events(lane)} the old one and stay out of it"
        yield Problem(f"sinks.{lane.name}", f"writes to {target} instead of {lane.target}, and {what}{lost}")


def _removed(known: KnownSpool, settings: Settings, targets: dict[str, str]) -> Iterator[Problem]:
    grace = settings.spool.forget_lanes_after
    had = {lane.name for lane in known.lanes}
    for lane in known.lanes:
        if lane.name in settings.sinks or lane.waiting == 0:
            continue
        until = _day(lane.seen_ms / 1000 + grace)
        fix = (
            f"configure it again to deliver them, or let them go: audit-forwarder lanes forget {lane.name}; they are "
            f"forgotten {duration_text(grace)} after it was last there"
        )
        yield Problem(
            f"sinks.{lane.name}",
            f"is in the spool and not in the configuration; {_events(lane)} it at {lane.target}, until {until}",
            fix,
        )
        for name, target in targets.items():
            if target == lane.target and name not in had:
                yield Problem(
                    f"sinks.{name}",
                    f"writes where {lane.name} did; a new name is a new lane: it begins with the oldest event in the "
                    "spool, unless start says otherwise",
                    f"name it {lane.name} again to go on where that ended",
                )


def _older(known: KnownSpool, settings: Settings, targets: dict[str, str]) -> Iterator[Problem]:
    """A lane that is to begin at a time of which the spool no longer has everything."""
    goes_on = {(lane.name, lane.target) for lane in known.lanes}
    for name, target in targets.items():
        since = _start_ms(settings.sinks[name].start)
        if known.whole_since_ms is None or since is None or since >= known.whole_since_ms or (name, target) in goes_on:
            continue
        whole = _day(known.whole_since_ms / 1000)
        begin, end = whole_seconds(since, known.whole_since_ms)
        again = f"--from {begin} --to {end}"
        yield Problem(
            f"sinks.{name}.start",
            f"the spool no longer has what was read before {whole}, so it begins there",
            f"to have the earlier events too: audit-forwarder backfill start --source NAME --sink {name} {again}",
        )


def _sources(known: KnownSpool, identities: dict[str, str]) -> Iterator[Problem]:
    """A name that stood for another organization; two sources that exchange their names are fine."""
    of_name = {name: identity for identity, name in known.sources.items()}
    of_spelling = {one_spelling(identity): identity for identity in known.sources}
    for name, identity in identities.items():
        same = of_spelling.get(one_spelling(identity))
        if same is not None and identity not in known.sources:
            yield Problem(
                f"sources.{name}",
                f"is the same organization as until now, and its id is written otherwise: {identity}, not {same}",
                f"write {same.partition(':')[2]} again: ids of documents are made of it, and every event that is read "
                "once more would come twice",
            )
            continue
        before = of_name.get(name, identity)
        if before != identity and before not in identities.values():
            yield Problem(
                f"sources.{name}",
                f"followed {before} until now and is configured for {identity}",
                "give the new organization a new name: nothing would distinguish the events and gaps of the two",
            )


def _start_ms(start: str | None) -> int | None:
    try:
        return start_ms(start or "")
    except ValueError:
        return None


def _events(lane: KnownLane) -> str:
    if lane.waiting is None:
        return "an unknown number of events may wait for"
    return f"{lane.waiting} event{'' if lane.waiting == 1 else 's'} wait{'s' if lane.waiting == 1 else ''} for"


def _day(seconds: float) -> str:
    moment = utc(seconds)
    return "long from now" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"
