"""How a dead letter looks: a row, a page of its own, or a JSON object. Its event and the answer are hostile text.

Invariant: what people read passes `visible`; what programs read is JSON on one line, or base64 when it is none.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.contracts import Origin, Record
from forwarder.contracts.moments import iso_ms
from forwarder.contracts.text import shorten, visible
from forwarder.formats.raw import RawFormat

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from forwarder.spool.letter import DeadLetter, Discard, LetterAct, LetterCount

HEAD = ("number", "rejected", "sink", "source", "reason", "tries", "state", "answer")
USUAL = {"tries": "1", "state": "dead"}
DISCARD_HEAD = ("when", "sink", "letters", "who", "what was asked", "numbers")

_LONGEST_LINE = 2000
_MOST_LINES = 500
_ORIGIN = Origin("", "", "")


def row(letter: DeadLetter) -> list[str]:
    """Return the cells of a table."""
    return [
        str(letter.number),
        moment(letter.at_ms),
        letter.lane,
        letter.source_name or f"#{letter.source}",
        letter.reason,
        str(letter.tries),
        state(letter),
        letter.detail or "-",
    ]


def state(letter: DeadLetter) -> str:
    """Return what is becoming of it."""
    return "retried" if letter.retried else "former" if letter.former else "dead"


_STATES = {
    "dead": "dead: it stays here until it is retried or discarded",
    "retried": "retried: on its way to the sink again",
    "former": "former: a target that this sink no longer writes to refused it; export it, or discard it",
}


def page(letter: DeadLetter, advice: str, *, cut: bool) -> Iterator[str]:
    """Yield the lines of one letter for people; `cut` shortens a very long event."""
    times = "once" if letter.tries == 1 else f"{letter.tries} times; this was the last"
    yield f"dead letter {letter.number} of {letter.lane}"
    for name, value in (
        ("rejected", f"{moment(letter.at_ms)}, {times}"),
        ("reason", letter.reason),
        ("answer", letter.detail or "none"),
        ("to do", advice),
        ("state", _STATES[state(letter)]),
        ("event", f"number {letter.seq} of {letter.source_name or f'source #{letter.source}'}"),
        ("read", moment(letter.read_ms) if letter.read_ms else "at an unknown time"),
        ("document", letter.document_id + (", made from the content" if letter.derived else "")),
    ):
        yield f"  {name:<9} {visible(value)}"
    yield ""
    if not letter.raw:
        yield "  The event itself is damaged in the spool: it can be neither shown nor retried. Atlassian keeps"
        yield "  events for 180 days; look there around the time it was read, then discard this letter."
        return
    lines = _pretty(letter.raw).split("\n")
    for line in lines[:_MOST_LINES] if cut else lines:
        yield "  " + visible(shorten(line, _LONGEST_LINE) if cut else line)
    if cut and len(lines) > _MOST_LINES:
        yield f"  … {len(lines) - _MOST_LINES} more lines; `dead-letters export {letter.number}` writes all of it"


def _pretty(raw: bytes) -> str:
    """Indent without touching a token: numbers, escapes and repeated keys stay as they came."""
    with contextlib.suppress(msgspec.DecodeError, RecursionError):  # what is not JSON is shown as it is
        raw = msgspec.json.format(raw, indent=2)
    return raw.decode("utf-8", "backslashreplace")


def as_dict(letter: DeadLetter, *, event: bool) -> dict[str, Any]:
    """Return a letter as JSON values; the event verbatim where it is JSON, else as base64."""
    found: dict[str, Any] = {
        "number": letter.number,
        "sink": letter.lane,
        "source": letter.source_name or None,
        "state": state(letter),
        "reason": letter.reason,
        "answer": letter.detail,
        "tries": letter.tries,
        "rejected": _iso(letter.at_ms),
        "read": _iso(letter.read_ms) if letter.read_ms else None,
        "event_number": letter.seq,
        "document_id": letter.document_id,
    }
    if event and not letter.raw:
        found |= {"event": None, "damaged": True}
    elif event:
        record = Record(letter.seq, _ORIGIN, letter.document_id, letter.raw)
        (body,) = RawFormat().render([record])
        if isinstance(body, bytes):
            found["event"] = msgspec.Raw(body)
        else:
            found |= {"event": None, "event_base64": base64.b64encode(letter.raw).decode()}
    return found


def summary(
    counts: Sequence[LetterCount], limits: dict[str, int], advice: dict[tuple[str, str], str], *, none: str
) -> Iterator[str]:
    """Yield how many there are, by sink and reason, with what to do; or the words for there being none."""
    total = sum(count.letters for count in counts)
    yield none if not counts else f"{total} dead letter{'' if total == 1 else 's'}"
    for name in dict.fromkeys(count.lane for count in counts):
        mine = [count for count in counts if count.lane == name]
        letters, retried = sum(count.letters for count in mine), sum(count.retried for count in mine)
        limit = f" of at most {limits[name]}" if name in limits else ", a sink that is not configured any more"
        full = "; FULL: the sink waits" if letters >= limits.get(name, letters + 1) else ""
        again = f"; {retried} on their way again" if retried else ""
        yield f"  {visible(name)}: {letters}{limit}{full}{again}"
        for count in mine:
            if count.letters:
                yield f"    {count.letters} {visible(count.reason)}: {advice[name, count.reason]}"


def unlisted(counts: Sequence[LetterCount], listed: int) -> Iterator[str]:
    """Yield how many more there are than were listed, when there are."""
    more = sum(count.letters + count.retried for count in counts) - listed
    if more > 0:
        yield f"… {more} more; --limit shows the oldest {listed} only"


def count_dict(count: LetterCount) -> dict[str, Any]:
    """Return a line of the summary as JSON values."""
    return {
        "sink": count.lane,
        "reason": count.reason,
        "dead": count.letters,
        "retried": count.retried,
        "former": count.former,
        "first_rejected": _iso(count.first_ms),
        "last_rejected": _iso(count.last_ms),
    }


def discard_row(record: Discard) -> list[str]:
    """Return the cells of a table."""
    numbers = ranges_text(letter[0] for letter in record.letters)
    return [moment(record.at_ms), record.lane, str(record.events), record.who, record.chosen, numbers]


def discard_dict(record: Discard) -> dict[str, Any]:
    """Return a discard as JSON values, with every letter it removed."""
    keys = ("number", "event_number", "document_id", "reason")
    letters = [{**dict(zip(keys, found, strict=False)), "rejected": _iso(found[4])} for found in record.letters]
    return {
        "when": _iso(record.at_ms),
        "sink": record.lane,
        "who": record.who,
        "chosen": record.chosen,
        "events": record.events,
        "letters": letters,
    }


def acted(act: LetterAct) -> Iterator[str]:
    """Yield what a retry did to one lane."""
    name = visible(act.lane)
    if act.numbers:
        yield f"{name}: {len(act.numbers)} put back, to be mapped and sent again"
    if act.left:
        yield f"{name}: {act.left} left: a former target refused them; export or discard them"
    if act.damaged:
        its, numbers = "its event is" if len(act.damaged) == 1 else "their events are", ranges_text(act.damaged)
        yield (
            f"{name}: {len(act.damaged)} left ({short(numbers)}): {its} damaged in the spool and cannot be sent; "
            f"see `dead-letters show {act.damaged[0]}`"
        )


def short(numbers: str) -> str:
    """Cut a list of numbers that is too long for a line."""
    return numbers if len(numbers) <= 200 else f"{numbers[:200]}…"


def ranges_text(numbers: Iterable[int]) -> str:
    """Return rising numbers as `1-3, 7`."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def moment(ms: int) -> str:
    """Return a time for people, in UTC."""
    return f"{dt.datetime.fromtimestamp(ms / 1000, dt.UTC):%Y-%m-%d %H:%M:%SZ}"


def _iso(ms: int) -> str | None:
    return iso_ms(ms, "milliseconds")
