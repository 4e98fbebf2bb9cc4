"""The last 48 hours of a part as small boxes, one an hour, in one picture; and in words for who cannot see it."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

from forwarder.admin.page.pieces import attribute, moment, parsed, short
from forwarder.observe.status_values import duration, is_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Box = Literal["well", "late", "held", "off", "none"]

_STEP, _WIDE, _HIGH = 7, 5.5, 14
_OF_STATE: Mapping[str, Box] = {"idle": "well", "working": "well", "retrying": "late", "held": "held"}
_WORDS: Mapping[Box, str] = {
    "well": "well", "late": "late", "held": "held", "off": "paused", "none": "no record",
}  # fmt: skip
_LATE = 900.0
"""Seconds of lag from when on an hour was late, whatever its state."""


def boxes(kind: str, hours: Mapping[str, Any]) -> list[Box]:
    """Return what each hour was, oldest first."""
    worst, lags = hours.get("worst"), hours.get("lag_seconds")
    if not isinstance(worst, list) or not isinstance(lags, list):
        return []
    return [_box(kind, state, lag) for state, lag in zip(worst, lags, strict=False)]


def _box(kind: str, state: Any, lag: Any) -> Box:
    if state is None:
        return "none"
    if state == "paused":
        return "held" if kind == "source" else "off"
    found = _OF_STATE.get(str(state), "late")
    return "late" if found == "well" and is_number(lag) and lag >= _LATE else found


def strip(kind: str, hours: Mapping[str, Any]) -> str:
    """Return the picture and its line; nothing when there is nothing to show."""
    found, first = boxes(kind, hours), parsed(hours.get("first"))
    if not found or first is None:
        return ""
    shapes = "".join(_shape(box, at * _STEP) for at, box in enumerate(found))
    lags = [lag for lag in hours["lag_seconds"] if is_number(lag)]
    most = f"at most {duration(max(lags))} late" if lags and max(lags) >= 1 else ""
    begin = moment(hours["first"], f"{first:%a %H:%M} UTC")
    label = attribute(f"The last {len(found)} hours: {in_words(found, first)}")
    return (
        f'<svg viewBox="0 0 {len(found) * _STEP} {_HIGH}" role="img" aria-label="{label}">{shapes}</svg>'
        f"<figcaption>{begin}<span>{most}</span><span>now</span></figcaption>"
    )


def in_words(found: Sequence[Box], first: datetime) -> str:
    """Say in words what the boxes say: what was not well, from when to when."""
    spans, at = [], 0
    for box, group in groupby(found):
        length = len(list(group))
        if box != "well":
            begin, end = first + timedelta(hours=at), first + timedelta(hours=at + length)
            spans.append(f"{_WORDS[box]} from {short(begin)} " + ("until now" if at + length == len(found) else
                                                                 f"to {short(end)}"))  # fmt: skip
        at += length
    if not spans:
        return "well in every hour"
    return "; ".join(spans) + ("; else well" if "well" in found else "")


def _shape(box: Box, left: float) -> str:
    right, low = left + _WIDE, _HIGH
    if box == "late":
        return f'<path class="b-late" d="M{left} 7H{right}V{low}H{left}z"/>'
    if box == "held":
        return (
            f'<path class="b-held" d="M{left} 0H{right}V{low}H{left}z"/><path class="b-cut" d="M{left} 11L{right} 3"/>'
        )
    if box == "off":
        return f'<path class="b-off" d="M{left + 1} 1V{low - 1}M{right - 1} 1V{low - 1}"/>'
    if box == "none":
        return f'<path class="b-none" d="M{left + 0.5} .5H{right - 0.5}V{low - 0.5}H{left + 0.5}z"/>'
    return f'<path class="b-well" d="M{left} 0H{right}V{low}H{left}z"/>'


def legend() -> str:
    """Return what the boxes mean."""
    shown = "".join(
        f'<span><svg viewBox="0 0 6 {_HIGH}">{_shape(box, 0)}</svg>{word}</span>' for box, word in _WORDS.items()
    )
    return f'<p class="legend" aria-hidden="true"><span>One box an hour, 48 of them:</span>{shown}</p>'
