"""Says what is wrong, and what is worth a look, in the JSON of `/status`: a sentence each, with what to do."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from forwarder.contracts.text import visible
from forwarder.observe.status_values import (
    audit_books,
    cell,
    count_of,
    duration,
    is_number,
    moment_text,
    objects,
    sentence,
    spool_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["trouble", "event", "filter", "paused", "removed", "gap", "letters", "archive", "look"]

_SETTLED = ("accepted", "rejected", "filtered", "detached")
_ENOUGH = 10
"""So many events tell that filters let nothing through."""
_MOST_ASIDE = 5
MOST_GAPS = 10
"""Gaps that are shown, the newest."""
_WAITS_LONG = 60.0
"""Seconds of delivery lag from when on it matters how long the spool lasts."""


def waits(sink: Mapping[str, Any]) -> bool:
    """Tell whether events wait for this sink longer than delivery takes."""
    if not sink.get("lag_events"):
        return False
    lag = sink.get("lag_seconds", sink.get("oldest_waiting_age_seconds"))
    return not sink.get("well", True) or (is_number(lag) and lag >= _WAITS_LONG)


def _place(lane: Mapping[str, Any]) -> tuple[str, str]:
    return cell(lane.get("name")), cell(lane.get("target"))


def strangers(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the lanes of the spool, with events that wait, that belong to no configured sink."""
    configured = {_place(sink) for sink in objects(report, "sinks")}
    waiting = [lane for lane in objects(spool_of(report), "lanes") if lane.get("lag_events")]
    return [lane for lane in waiting if _place(lane) not in configured]


class Remark(msgspec.Struct, frozen=True):
    """One thing that is wrong, or worth a look.

    Attributes:
        part: What it concerns: `source` or `sink` and its name, or `gap` and its number.
        what: A sentence, or a clause that `do` follows.
        do: What to do about it, with what leads to it; empty: nothing is known.
        kind: `trouble`: a component is not well. The others can wait: `event`, `filter`, `paused`, `removed`, `gap`,
            `letters`, `archive` and `look`.
    """

    part: str
    what: str
    do: str = ""
    kind: Kind = "trouble"

    @property
    def line(self) -> str:
        """Return all of it."""
        return f"{self.what} {self.do}" if self.do else self.what


def remarks(report: Mapping[str, Any]) -> list[Remark]:
    """Return all that is wrong, and what is worth a look."""
    return [
        *_complaints(report),
        *_aside(report),
        *_kept_out(report),
        *_unrouted(report),
        *_paused(report),
        *_removed(report),
        *_gaps(report),
        *_letters(report),
        *_archives(report),
        *_looks(report),
    ]


def problems(report: Mapping[str, Any]) -> list[str]:
    """Return a line for all that is wrong, and for what is worth a look."""
    return [remark.line for remark in remarks(report)]


def trouble_words(component: Mapping[str, Any]) -> str:
    """Return since when a component is not well, how often it was tried, and when it is tried next."""
    since = component.get("trouble_since_age_seconds")
    facts = [f"for {duration(since if is_number(since) else component.get('since_age_seconds'))}"]
    if is_number(tries := component.get("tries")) and tries:
        facts.append(f"{tries} failed {'try' if tries == 1 else 'tries'}")
    if is_number(wait := component.get("next_try_in_seconds")):
        facts.append(f"next in {duration(math.ceil(wait))}" if wait > 0 else "next now")
    return ", ".join(facts)


def _complaints(report: Mapping[str, Any]) -> list[Remark]:
    """Return what is wrong with every component that is not well, with the fix."""
    found = []
    for kind, key in (("source", "sources"), ("sink", "sinks")):
        for component in objects(report, key):
            if component.get("well", True):
                continue
            part, fix = f"{kind} {cell(component.get('name'))}", sentence(component.get("fix"))
            what = f"{part} is {cell(component.get('state'))} {trouble_words(component)}: "
            what += sentence(component.get("reason")) or "no reason given."
            found.append(Remark(part, what, f"To do: {fix}" if fix else ""))
    return found


def _aside(report: Mapping[str, Any]) -> list[Remark]:
    """Return every event on which a sink fails while it takes others."""
    found = []
    for sink in objects(report, "sinks"):
        events, part = objects(sink, "aside"), f"sink {cell(sink.get('name'))}"
        lines = [
            f"{part} fails on event {cell(event.get('number'))}, id {cell(event.get('id'))}, for "
            f"{duration(event.get('since_age_seconds'))}, sent alone {cell(event.get('tries'))} times: "
            f"{sentence(event.get('reason'))}"
            for event in events[:_MOST_ASIDE]
        ]
        if len(events) > _MOST_ASIDE:
            lines.append(f"{part} fails on {len(events) - _MOST_ASIDE} more events")
        found += [Remark(part, line, kind="event") for line in lines]
    return found


def _kept_out(report: Mapping[str, Any]) -> list[Remark]:
    """Return every sink whose filters have let nothing through, once there was enough to tell.

    What it holds back because it came too late, its filters had let through.
    """
    held = {cell(sink.get("name")): count_of(sink, "held_back") for sink in objects(report, "sinks")}
    sums: dict[str, Counter[str]] = {}
    for line in audit_books(report):
        sums.setdefault(cell(line.get("sink")), Counter()).update({key: count_of(line, key) for key in _SETTLED})
    return [
        Remark(
            f"sink {name}",
            f"sink {name}: its filters let nothing through: all {found['filtered']} events so far were kept out.",
            "To do: correct include and exclude, unless this is meant.",
            "filter",
        )
        for name, found in sums.items()
        if found["filtered"] >= _ENOUGH and found["filtered"] == found.total() and not held.get(name)
    ]


def _unrouted(report: Mapping[str, Any]) -> list[Remark]:
    """Return every source with events that no sink is there for."""
    return [
        Remark(
            f"source {cell(source.get('name'))}",
            f"source {cell(source.get('name'))}: {source['unrouted']} events match the filters of no sink.",
            "To do: name their place, site or action in the include of a sink, unless no one is to get them.",
            "filter",
        )
        for source in objects(report, "sources")
        if is_number(source.get("unrouted")) and source["unrouted"]
    ]


def _paused(report: Mapping[str, Any]) -> list[Remark]:
    """Return every sink that someone paused."""
    return [
        Remark(
            f"sink {cell(lane.get('name'))}",
            f"sink {cell(lane.get('name'))} is paused {cell(lane['paused'])}: nothing is sent to it, and "
            f"{cell(lane.get('lag_events'))} events wait.",
            f"To do when it may go on: audit-forwarder lanes resume {cell(lane.get('name'))}.",
            "paused",
        )
        for lane in objects(spool_of(report), "lanes")
        if isinstance(lane.get("paused"), str) and lane["paused"]
    ]


def _removed(report: Mapping[str, Any]) -> list[Remark]:
    return [
        Remark(
            f"sink {cell(lane.get('name'))}",
            f"sink {cell(lane.get('name'))} is not in the configuration, and {cell(lane.get('lag_events'))} events "
            f"wait for it at {cell(lane.get('target'))}{_until(lane.get('forgotten'), report)}.",
            f"To do: configure it again, or let them go: audit-forwarder lanes forget {cell(lane.get('name'))}.",
            "removed",
        )
        for lane in strangers(report)
    ]


def _gaps(report: Mapping[str, Any]) -> list[Remark]:
    """Return each gap that a command closes."""
    gaps = [gap for gap in objects(spool_of(report), "gaps") if isinstance(gap.get("repair"), str) and gap["repair"]]
    found = [
        Remark(
            f"gap {cell(gap.get('number'))}",
            f"gap {cell(gap.get('number'))}: sink {cell(gap.get('sink'))} did not get {cell(gap.get('events'))} "
            f"events of {cell(gap.get('source'))}.",
            f"To fetch them: {visible(gap['repair'])}",
            "gap",
        )
        for gap in gaps[-MOST_GAPS:]
    ]
    more = len(gaps) - MOST_GAPS
    if more > 0:
        found.insert(0, Remark("gap", f"{more} more gaps can be closed: audit-forwarder status --json", kind="gap"))
    return found


def _until(moment: Any, report: Mapping[str, Any]) -> str:
    return f" until {moment_text(moment, report.get('time_zone', 'UTC'))}" if moment else ""


def _letters(report: Mapping[str, Any]) -> list[Remark]:
    """Return every sink that has dead letters."""
    found = []
    for sink in objects(report, "sinks"):
        if is_number(count := sink.get("dead_letters")) and count:
            most, name = sink.get("dead_letters_max"), cell(sink.get("name"))
            limit = f" of at most {most}" if is_number(most) and most else ""
            what = f"sink {name}: {count} dead letters{limit};"
            found.append(
                Remark(f"sink {name}", what, f"see audit-forwarder dead-letters list --sink {name}", "letters")
            )
    return found


def _archives(report: Mapping[str, Any]) -> list[Remark]:
    """Return every archive in which something is not as it was written, or that could not be checked."""
    found = []
    for check in objects(report, "checks"):
        name, reason = cell(check.get("sink")), sentence(check.get("reason"))
        do = f"To see all of it: audit-forwarder archive verify --sink {name}"
        if count := count_of(check, "findings"):
            what = f"sink {name}: {count} things in its archive are not as they were written."
            found.append(Remark(f"sink {name}", what, do, "archive"))
        if reason:
            found.append(
                Remark(f"sink {name}", f"sink {name}: its archive could not be checked: {reason}", do, "archive")
            )
    return found


def _looks(report: Mapping[str, Any]) -> list[Remark]:
    """Return everything that is worth a look and is no fault."""
    return [
        Remark(
            f"source {cell(look.get('source'))}",
            f"look: source {cell(look.get('source'))}: {sentence(cell(look.get('what')))}",
            f"To do: {sentence(cell(look.get('fix')))}",
            "look",
        )
        for look in objects(report, "looks")
    ]
