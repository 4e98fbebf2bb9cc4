"""Says what is wrong, and what is worth a look, in the JSON of `/status`: a sentence each, with what to do."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from forwarder.cli.status_values import audit_books, cell, count_of, duration, is_number, objects, sentence, spool_of
from forwarder.contracts.text import visible

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def problems(report: Mapping[str, Any]) -> list[str]:
    """Return a line for all that is wrong, and for what is worth a look."""
    return [
        *_complaints(report),
        *_aside(report),
        *_kept_out(report),
        *_unrouted(report),
        *_paused(report),
        *_removed(report),
        *_gaps(report),
        *_letters(report),
        *_looks(report),
    ]


def _complaints(report: Mapping[str, Any]) -> list[str]:
    """Return a line with reason and fix for every component that is not well."""
    lines = []
    for kind, key in (("source", "sources"), ("sink", "sinks")):
        for component in objects(report, key):
            if component.get("well", True):
                continue
            since = component.get("trouble_since_age_seconds")
            facts = [f"for {duration(since if is_number(since) else component.get('since_age_seconds'))}"]
            if is_number(tries := component.get("tries")) and tries:
                facts.append(f"{tries} failed {'try' if tries == 1 else 'tries'}")
            if is_number(wait := component.get("next_try_in_seconds")):
                facts.append(f"next in {duration(math.ceil(wait))}" if wait > 0 else "next now")
            line = f"{kind} {cell(component.get('name'))} is {cell(component.get('state'))} {', '.join(facts)}: "
            line += sentence(component.get("reason")) or "no reason given."
            fix = sentence(component.get("fix"))
            lines.append(f"{line} To do: {fix}" if fix else line)
    return lines


def _aside(report: Mapping[str, Any]) -> list[str]:
    """Return a line for every event on which a sink fails while it takes others."""
    lines = []
    for sink in objects(report, "sinks"):
        events, name = objects(sink, "aside"), cell(sink.get("name"))
        lines += [
            f"sink {name} fails on event {cell(event.get('number'))}, id {cell(event.get('id'))}, for "
            f"{duration(event.get('since_age_seconds'))}, sent alone {cell(event.get('tries'))} times: "
            f"{sentence(event.get('reason'))}"
            for event in events[:_MOST_ASIDE]
        ]
        if len(events) > _MOST_ASIDE:
            lines.append(f"sink {name} fails on {len(events) - _MOST_ASIDE} more events")
    return lines


def _kept_out(report: Mapping[str, Any]) -> list[str]:
    """Return a line for every sink whose filters have let nothing through, once there was enough to tell.

    What it holds back because it came too late, its filters had let through.
    """
    held = {cell(sink.get("name")): count_of(sink, "held_back") for sink in objects(report, "sinks")}
    sums: dict[str, Counter[str]] = {}
    for line in audit_books(report):
        sums.setdefault(cell(line.get("sink")), Counter()).update({key: count_of(line, key) for key in _SETTLED})
    return [
        f"sink {name}: its filters let nothing through: all {found['filtered']} events so far were kept out. "
        "To do: correct include and exclude, unless this is meant."
        for name, found in sums.items()
        if found["filtered"] >= _ENOUGH and found["filtered"] == found.total() and not held.get(name)
    ]


def _unrouted(report: Mapping[str, Any]) -> list[str]:
    """Return a line for every source with events that no sink is there for."""
    return [
        f"source {cell(source.get('name'))}: {source['unrouted']} events match the filters of no sink. "
        "To do: name their place, site or action in the include of a sink, unless no one is to get them."
        for source in objects(report, "sources")
        if is_number(source.get("unrouted")) and source["unrouted"]
    ]


def _paused(report: Mapping[str, Any]) -> list[str]:
    """Return a line for every sink that someone paused."""
    return [
        f"sink {cell(lane.get('name'))} is paused {cell(lane['paused'])}: nothing is sent to it, and "
        f"{cell(lane.get('lag_events'))} events wait. "
        f"To do when it may go on: audit-forwarder lanes resume {cell(lane.get('name'))}."
        for lane in objects(spool_of(report), "lanes")
        if isinstance(lane.get("paused"), str) and lane["paused"]
    ]


def _removed(report: Mapping[str, Any]) -> list[str]:
    return [
        f"sink {cell(lane.get('name'))} is not in the configuration, and {cell(lane.get('lag_events'))} events wait "
        f"for it at {cell(lane.get('target'))}{_until(lane.get('forgotten'))}. "
        f"To do: configure it again, or let them go: audit-forwarder lanes forget {cell(lane.get('name'))}."
        for lane in strangers(report)
    ]


def _gaps(report: Mapping[str, Any]) -> list[str]:
    """Return a line for each gap that a command closes."""
    gaps = [gap for gap in objects(spool_of(report), "gaps") if isinstance(gap.get("repair"), str) and gap["repair"]]
    lines = [
        f"gap {cell(gap.get('number'))}: sink {cell(gap.get('sink'))} did not get {cell(gap.get('events'))} events of "
        f"{cell(gap.get('source'))}. To fetch them: {visible(gap['repair'])}"
        for gap in gaps[-MOST_GAPS:]
    ]
    more = len(gaps) - MOST_GAPS
    return [f"{more} more gaps can be closed: audit-forwarder status --json", *lines] if more > 0 else lines


def _until(moment: Any) -> str:
    return f" until {visible(moment[:16].replace('T', ' '))} UTC" if isinstance(moment, str) and moment else ""


def _letters(report: Mapping[str, Any]) -> list[str]:
    """Return a line for every sink that has dead letters."""
    lines = []
    for sink in objects(report, "sinks"):
        if is_number(count := sink.get("dead_letters")) and count:
            most, name = sink.get("dead_letters_max"), cell(sink.get("name"))
            limit = f" of at most {most}" if is_number(most) and most else ""
            lines.append(
                f"sink {name}: {count} dead letters{limit}; see audit-forwarder dead-letters list --sink {name}"
            )
    return lines


def _looks(report: Mapping[str, Any]) -> list[str]:
    """Return a line for everything that is worth a look and is no fault."""
    return [
        f"look: source {cell(look.get('source'))}: {sentence(cell(look.get('what')))} "
        f"To do: {sentence(cell(look.get('fix')))}"
        for look in objects(report, "looks")
    ]
