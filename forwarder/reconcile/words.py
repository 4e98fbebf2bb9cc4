"""A verdict in words and as JSON: the same for the command and for the report that is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.contracts.moments import beside, iso_ms, utc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from forwarder.reconcile.verdict import GapLine, Judgement, Verdict

COUNTS = ("expected", "delivered", "rejected", "filtered", "waiting", "missing", "recovered")
"""The numbers of a line, in the order of people."""


MEANINGS = {
    "expected": "events that the log showed, each once, by the date that the log writes, since the sink is there; from "
    "the books of the spool, counted in the transaction that wrote the events",
    "delivered": "accepted by the sink, without those that it was found not to have; from the books and from looks at "
    "the sink (reconcile --verify-sink)",
    "rejected": "refused by the sink for good: dead letters, and discarded ones; from the books",
    "filtered": "kept from this sink by its own rules; from the books",
    "waiting": "in the spool and not settled by the sink yet; counted from the pages of the spool",
    "missing": "left the spool before the sink had them, or accepted by the sink and not found there; from the books "
    "and the gaps, each of which is named above",
    "recovered": "of the expected ones: not there at first, and found when the time was read again; from the books",
}
"""What each number is, and where it comes from."""

JUDGEMENTS: dict[Judgement, str] = {
    "gap": "events are missing, or may be; the gap is named above",
    "waiting": "nothing is missing, and something is still on its way to the sink",
    "not compared": "the day was not read again yet to see whether all of it is there",
    "not read again": "all that was read is there, and nothing reads the day a second time to see whether that was all",
    "not provable": "all was sent, and nothing confirms that the sink keeps it",
    "complete": "none of these: read twice, and all of it is with the sink or accounted for",
}
"""What each judgement says, the worst first."""

PROOFS = {
    "delivered": "the sink keeps what it accepted, and says so",
    "received": "it came in at the sink; whether it is kept is not said",
    "none": "it was sent; nothing says that it came in",
    "": "not known, for the sink is not configured",
}
"""What an acceptance of a sink is worth."""


def worst_of(judgements: Iterable[str]) -> Judgement | None:
    """Return the worst of several judgements; None of none."""
    found = set(judgements)
    return next((judgement for judgement in JUDGEMENTS if judgement in found), None)


def sums_in_words(verdict: Verdict, zone: str = "UTC") -> Iterator[str]:
    """Yield what the numbers mean, and each gap; moments in UTC, and in a zone beside."""
    sums = {name: sum(getattr(line, name) for line in verdict.lines) for name in COUNTS}
    if len(sinks := {line.sink for line in verdict.lines}) > 1:
        yield f"Over {len(sinks)} sinks, so an event that is for all of them counts {len(sinks)} times:"
    yield (
        f"expected {sums['expected']} = delivered {sums['delivered']} + rejected {sums['rejected']} + "
        f"filtered {sums['filtered']} + waiting {sums['waiting']} + missing {sums['missing']}"
    )
    unproven = sorted({line.sink for line in verdict.lines if not line.provable})
    if unproven:
        yield f"not provable, for nothing confirms that it keeps what it was sent: {', '.join(unproven)}"
    if any(line.judgement == "not compared" for line in verdict.lines):
        yield "not compared: the day was not read again yet to see whether all of it is there"
    if any(line.judgement == "not read again" for line in verdict.lines):
        yield "not read again: the day was read once, and nothing reads it again to see whether all of it is there"
    for gap in verdict.gaps:
        yield f"gap {gap.number}: {gap_in_words(gap, zone)}"
    if not verdict.gaps and verdict.complete:
        yield "nothing that the logs showed is missing; what they do not show: audit-forwarder docs completeness"


def gap_in_words(gap: GapLine, zone: str = "UTC") -> str:
    """Return what is known of a gap, in one line; moments in UTC, and in a zone beside."""
    where = " to ".join(filter(None, (gap.source and f"from {gap.source}", gap.sink)))
    events = "" if gap.events is None else f", {gap.events} events"
    stretch = ", ".join(
        f"{word} {iso_ms(at)}{beside(moment, zone) if (moment := utc(at / 1000)) else ''}"
        for word, at in (("since", gap.since_ms), ("until", gap.until_ms))
        if at is not None
    )
    repair = gap.repair and f"to fetch it: {gap.repair}"
    parts = (f"{gap.cause} ({gap.state}){events}", where, stretch, gap.detail, gap.why, repair)
    return "; ".join(part for part in parts if part)


def verdict_as_dict(verdict: Verdict) -> dict[str, Any]:
    """Return the JSON of a verdict."""
    return {
        "made_at": iso_ms(verdict.made_ms),
        "complete": verdict.complete,
        "sums": {name: sum(getattr(line, name) for line in verdict.lines) for name in COUNTS},
        "lines": [
            {
                **{name: value for name, value in msgspec.to_builtins(line).items() if name != "late_ms"},
                "day": line.day or None,
                "provable": line.provable,
            }
            for line in verdict.lines
        ],
        "gaps": [
            {
                **{name: value for name, value in msgspec.to_builtins(gap).items() if not name.endswith("_ms")},
                "opened_at": iso_ms(gap.opened_ms),
                "since": iso_ms(gap.since_ms),
                "until": iso_ms(gap.until_ms),
            }
            for gap in verdict.gaps
        ],
    }
