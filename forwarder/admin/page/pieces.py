"""The smallest pieces of the page: numbers, moments, icons, and slots whose content ticks.

What ticks stands in a slot: two pages that differ in nothing else have one shape, and only the slots are put in anew.

Invariant: what comes from outside goes through `forwarder.investigate.faces.markup`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from hashlib import blake2s
from html import escape
from typing import TYPE_CHECKING, Any

from forwarder.contracts.moments import beside
from forwarder.investigate.faces.markup import foreign, plain
from forwarder.observe.status_values import cell, duration, is_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forwarder.observe.verdict import Tone

_BEGIN, _END = "\x01", "\x02"
"""Around what a slot holds; text from outside has neither."""

_SLOT = re.compile(f"{_BEGIN}.*?{_END}", re.DOTALL)
_NARROW = "\u202f"

DASH = "\u2013"
"""Stands for a number that nobody knows."""

ICONS: dict[Tone, str] = {
    "well": '<circle cx="8" cy="8" r="6.25"/><path d="m5 8.3 2.1 2.1L11 6"/>',
    "busy": '<path d="M8 1.8v7.4M4.9 6.3 8 9.4l3.1-3.1M2 10.5v3.2h12v-3.2"/>',
    "late": '<path d="M8 1.8 15 14H1zM8 6.2v3.6M8 11.6v.5"/>',
    "held": '<path class="full" d="M5.2 1.3h5.6l3.9 3.9v5.6l-3.9 3.9H5.2l-3.9-3.9V5.2z"/>'
    '<path class="cut" d="M8 4.3v4.5M8 11v.7"/>',
    "off": '<circle cx="8" cy="8" r="6.25"/><path d="M6.2 5.5v5M9.8 5.5v5"/>',
}
"""A shape for each tone, drawn in 16 by 16."""

ICON_SET = "".join(f'<symbol id="i-{tone}" viewBox="0 0 16 16">{drawing}</symbol>' for tone, drawing in ICONS.items())


def icon(tone: Tone) -> str:
    """Return the shape of a tone; the word beside it says the same."""
    return f'<svg class="icon" aria-hidden="true"><use href="#i-{tone}"/></svg>'


def instruction(text: str) -> str:
    """Return what to do, with what stands between backticks as something to type; the text may quote a server."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return foreign(text)
    return "".join(
        f"<code>{foreign(part)}</code>" if at % 2 else foreign(part) for at, part in enumerate(parts) if part
    )


def slot(name: str, content: str, tag: str = "span", more: str = "") -> str:
    """Return an element whose content ticks; its name is its id, and there is one of it."""
    return f'<{tag} id="{plain(name)}" data-live{more}>{_BEGIN}{content}{_END}</{tag}>'


def unit(name: str, tag: str, content: str, attributes: str = "") -> str:
    """Return an element that is put in anew as a whole when anything of it changed but its slots."""
    shape = blake2s((attributes + _SLOT.sub("", content)).encode(), digest_size=6).hexdigest()
    clean = content.replace(_BEGIN, "").replace(_END, "")
    return f'<{tag} id="{plain(name)}" data-shape="{shape}"{attributes}>{clean}</{tag}>'


def ident(*words: Any) -> str:
    """Return an id made of words, such as `sink-splunk`."""
    return "-".join(re.sub(r"[^A-Za-z0-9_-]+", "-", cell(word)) for word in words)


def number(value: Any) -> str:
    """Return a count with its thousands apart; a dash for one that nobody knows."""
    if not is_number(value):
        return DASH
    return f"{value:,.0f}".replace(",", _NARROW)


_TIME = re.compile(r'<time datetime="([^"]+)" title="([^"]*)">([^<]*)')


def with_zone(markup: str, zone: str) -> str:
    """Return markup with the time of a zone behind each moment that is written out, and in the title of the others."""
    if zone == "UTC":
        return markup

    def in_both(found: re.Match[str]) -> str:
        at = datetime.fromisoformat(found[1])
        there = beside(at, zone).strip().replace(" ", "\u00a0")  # no line ends within it
        words = f"{found[3]} {there}".rstrip() if found[3].endswith("UTC") else found[3]
        return f'<time datetime="{found[1]}" title="{found[2]}{beside(at, zone, "seconds")}">{words}'

    return _TIME.sub(in_both, markup)


def ago(seconds: Any) -> str:
    """Return how long ago something was; a dash when nobody knows."""
    return f"{duration(seconds)} ago" if is_number(seconds) else DASH


def until(seconds: Any) -> str:
    """Return in how long something is."""
    if not is_number(seconds):
        return DASH
    return f"in {duration(seconds)}" if seconds >= 1 else "now"


def moment(text: Any, words: str = "") -> str:
    """Return a moment of the JSON as `<time>`: the words, or the day and the minute in UTC."""
    at = parsed(text)
    if at is None:
        return (words and plain(words)) or DASH
    exact = f"{at:%a} {at.day} {at:%b %Y, %H:%M:%S} UTC"
    return f'<time datetime="{at:%Y-%m-%dT%H:%M:%SZ}" title="{exact}">{plain(words) if words else short(at)}</time>'


def short(at: datetime) -> str:
    """Return day and minute: `Sat 28 Nov 23:41 UTC`."""
    return f"{at:%a} {at.day} {at:%b %H:%M} UTC"


def parsed(text: Any) -> datetime | None:
    """Return a moment of the JSON; None for what is none."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC) if isinstance(text, str) and text else None
    except (ValueError, OverflowError):
        return None


def facts(rows: list[tuple[str, str]], name: str = "figures") -> str:
    """Return labels and values; both are markup already."""
    shown = "".join(f"<div><dt>{label}</dt>{value if value.startswith('<dd') else f'<dd>{value}</dd>'}</div>"
                    for label, value in rows)  # fmt: skip
    return f'<dl class="{name}">{shown}</dl>'


def quoted(text: Any) -> str:
    """Return what somebody else said, as such."""
    return foreign(str(text or ""))


def attribute(text: str) -> str:
    """Return text of our own for an attribute."""
    return escape(text, quote=True)


def table(title: str, heads: Sequence[str], rows: str) -> str:
    """Return a table in a box of its own that can be scrolled; rows are markup, and none is said."""
    if not rows:
        return f'<div><h3 class="small soft">{title}</h3><p class="soft">None.</p></div>'
    shown = "".join(f'<th scope="col">{head}</th>' for head in heads)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{title}"><table class="rows">'
        f"<caption>{title}</caption><thead><tr>{shown}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
