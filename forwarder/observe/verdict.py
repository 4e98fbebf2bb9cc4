"""The one sentence that says how it goes, from the JSON of `/status`: what is wrong, is anything lost, what to do.

Nothing is said that was not seen: *nothing is lost* only while the books balance, nothing is missing and no gap is
open. What waits is safe and late; both are said.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from forwarder.observe.status_problems import strangers, waits
from forwarder.observe.status_sums import is_running
from forwarder.observe.status_values import cell, count_of, is_number, objects, sentence, spool_of, texts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Tone = Literal["well", "busy", "off", "late", "held"]
"""How much it matters, from nothing to do to somebody must."""

_TONES: tuple[Tone, ...] = ("well", "busy", "off", "late", "held")
_MOST_NAMES = 4


class Blind(msgspec.Struct, frozen=True):
    """A sink that has not everything, and the moment (ISO 8601) since when; empty when that is not known."""

    sink: str
    since: str = ""


class Todo(msgspec.Struct, frozen=True):
    """What to do, a sentence, and the part it is for: `sink splunk`; empty for all of it."""

    part: str
    do: str


class Verdict(msgspec.Struct, frozen=True):
    """How it goes.

    Attributes:
        tone: How much it matters.
        word: The state in a word or two.
        what: What is wrong, or that all is well.
        lost: Whether anything is lost.
        is_lost: Whether anything is, or may be.
        todo: What to do, the parts in their order.
        since: When the oldest trouble of this kind began, ISO 8601; empty when nothing is wrong, or it is not known.
        until: When the spool is full at the present rate, ISO 8601; empty while no sink keeps it from being emptied.
        waiting: Events that wait for sinks which do not take them.
        blind: The sinks that lack the newest events.
    """

    tone: Tone
    word: str
    what: str
    lost: str
    is_lost: bool = False
    todo: Sequence[Todo] = ()
    since: str = ""
    until: str = ""
    waiting: int = 0
    blind: Sequence[Blind] = ()


def tone_of(component: Mapping[str, Any]) -> Tone:
    """Return how much the state of a source or sink matters."""
    state = component.get("state")
    if state == "held" or (state == "paused" and not component.get("well", True)):
        return "held"
    if state in {"retrying", "stopped"} or not component.get("well", True):
        return "late"
    return "off" if state == "paused" else "busy" if state == "starting" else "well"


def verdict(report: Mapping[str, Any]) -> Verdict:
    """Return the verdict on a report."""
    lost, is_lost = _lost(report)
    if not is_running(report):
        what = "audit-forwarder does not run."
        return Verdict("held", "Not running", what, lost, is_lost, [Todo("", "Start it: audit-forwarder run.")])
    waiting = [sink for sink in objects(report, "sinks") if waits(sink)]
    until = spool_of(report).get("room_until") if waiting or any(map(waits, strangers(report))) else None
    troubled = [
        (kind, one)
        for kind, key in (("source", "sources"), ("sink", "sinks"))
        for one in objects(report, key)
        if not one.get("well", True)
    ]
    tone: Tone = max((tone_of(one) for _, one in troubled), key=_TONES.index, default="well")
    missing = _missing(report)
    todo = [Todo(f"{kind} {cell(one.get('name'))}", sentence(one.get("fix"))) for kind, one in troubled]
    if missing:
        todo.append(Todo("", "Look into what is missing: audit-forwarder reconcile."))
        tone = "held"
    since = min((text for _, one in troubled if (text := one.get("trouble_since"))), default="")
    return Verdict(
        *_in_words(report, tone, troubled, missing),
        lost,
        is_lost,
        [each for each in todo if each.do],
        since,
        until if isinstance(until, str) else "",
        int(sum(count_of(sink, "lag_events") for sink in waiting)),
        [Blind(cell(sink.get("name")), sink.get("oldest_waiting") or "") for sink in waiting],
    )


def _in_words(
    report: Mapping[str, Any], tone: Tone, troubled: Sequence[tuple[str, Mapping[str, Any]]], missing: str
) -> tuple[Tone, str, str]:
    """Return the tone, the word and the sentence of a daemon that runs."""
    words = {"held": "Held: needs a change", "late": "Late: it is tried again"}
    problem = report.get("problem")
    if problem:
        return "held", "No news", sentence(f"The daemon cannot say how it goes: {cell(problem)}")
    if missing and not troubled:
        return "held", "Incomplete", missing
    if len(troubled) == 1:
        return tone, words.get(tone, "Late"), _one(*troubled[0])
    if troubled:
        worst = sorted(troubled, key=lambda each: -_TONES.index(tone_of(each[1])))
        names = ", ".join(f"{kind} {cell(one.get('name'))}" for kind, one in worst[:_MOST_NAMES])
        more = f" and {len(worst) - _MOST_NAMES} more" if len(worst) > _MOST_NAMES else ""
        return tone, words.get(tone, "Late"), f"{len(troubled)} parts are not well: {names}{more}."
    return _calm(report)


def _calm(report: Mapping[str, Any]) -> tuple[Tone, str, str]:
    """Return the same while no component is in trouble."""
    sinks = objects(report, "sinks")
    paused = [cell(sink.get("name")) for sink in sinks if sink.get("state") == "paused"]
    late = [cell(sink.get("name")) for sink in sinks if waits(sink)]
    found: tuple[Tone, str, str] = "well", "All well", "Everything is read and delivered."
    if report.get("draining"):
        found = "busy", "Ending", "It ends: what is under way is finished first."
    elif not report.get("ready", True):
        found = "busy", "Starting", sentence(f"Not ready: {', '.join(texts(report, 'not_ready'))}")
    elif paused:
        found = "off", "Paused", f"{_sinks(paused, 'S')} {'is' if len(paused) == 1 else 'are'} paused by hand."
    elif late:
        found = "busy", "Catching up", f"{_sinks(late, 'S')} {'is' if len(late) == 1 else 'are'} catching up."
    elif any(is_number(source.get("history_left_seconds")) for source in objects(report, "sources")):
        found = "busy", "Catching up", "History is being read; live events come first."
    return found


def _sinks(names: Sequence[str], begins: str = "s") -> str:
    return f"{begins}ink {names[0]}" if len(names) == 1 else f"{begins}inks {', '.join(names)}"


def _one(kind: str, component: Mapping[str, Any]) -> str:
    name, state = cell(component.get("name")), component.get("state")
    if kind == "sink":
        return f"Sink {name} takes no events." if state == "held" else f"Sink {name} is late: it is tried again."
    if state == "paused":
        return f"The spool is full, so source {name} is not read."
    return f"Source {name} cannot be read." if state == "held" else f"Source {name} does not answer as it should."


def _missing(report: Mapping[str, Any]) -> str:
    """Say what is missing, or that the books are wrong; nothing when neither is known."""
    if not report.get("balanced", True):
        return "The books do not balance: events are lost or invented."
    by_sink = {cell(line.get("sink")): count_of(line, "missing") for line in objects(report, "completeness")}
    lacking = [sink for sink, missing in by_sink.items() if missing]
    missing = int(sum(count_of(line, "missing") for line in objects(report, "completeness")))
    if not missing:
        return ""
    return f"{missing} event{' is' if missing == 1 else 's are'} missing at {_sinks(lacking)}."


def _lost(report: Mapping[str, Any]) -> tuple[str, bool]:
    """Say whether anything is lost, and whether anything may be."""
    if missing := _missing(report):
        return missing, True
    gaps = Counter(str(gap.get("state")) for gap in objects(spool_of(report), "gaps"))
    if lost := gaps["lost"]:
        return f"Something is lost: {lost} gap{'' if lost == 1 else 's'} cannot be closed any more, see below.", True
    if still := gaps.total() - gaps["closed"]:
        return f"Nothing is known to be lost; {still} gap{'' if still == 1 else 's'} not closed yet, see below.", False
    if not objects(report, "completeness"):
        return "Nothing that was read is lost; whether all was read is not judged yet.", False
    return "Nothing is lost.", False
