"""Finds secrets in text: whole or in part, in any case, through any number of escapes.

A text that was cut before it came here holds the first part of a secret, or its last, or one from the middle. Each
spelling is therefore known by anchors of four characters, one behind the other: any eight characters of it hold a
whole one. Where an anchor is found, the match is followed in both directions. All of it takes time in proportion to the
text. A set of anchors is faster than an expression made of them, and is made in a tenth of the time.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PART = 8
"""So many characters of a secret are a part of it, whatever stands around them, unless they are a word."""

_ANCHOR = 4

_ROUNDS = 4
"""How often a text may have been escaped."""

_WORDS = re.compile(r"[a-z _.-]*|[A-Z _.-]*|[A-Z][a-z _.-]*")
_LONG_WORDS = 16
_ENCODED = re.compile(r"[A-Za-z0-9+/_=-]")
_CUT = ("…", "...", "[", "<")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'", "nbsp": " "}
_SIMPLE = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "a": "\a", "v": "\v"}
_ESCAPE = re.compile(
    r"%(?P<url>[0-9a-f]{2})|\\x(?P<byte>[0-9a-f]{2})|[\\%]u(?P<code>[0-9a-f]{4})|\\u\{(?P<braces>[0-9a-f]{1,6})\}"
    r"|\\(?P<octal>[0-3][0-7]{2})|\\(?P<one>[\\/\"'nrtbfav])"
    r"|&(?:#x0{0,4}(?P<hex>[0-9a-f]{1,5})|#0{0,4}(?P<number>\d{1,6})|(?P<named>amp|lt|gt|quot|apos|nbsp));",
    re.IGNORECASE,
)

Span = tuple[int, int]


class Search:
    """Looks for known spellings.

    Args:
        spellings: What to look for, from four characters on; True beside it when it is an encoding whose neighbours
            belong to it.
    """

    def __init__(self, spellings: Mapping[str, bool]) -> None:
        self._spellings = spellings
        self._anchors: dict[str, list[tuple[str, int]]] = {}
        for spelling in spellings:
            lower = _lower(spelling)
            last = len(lower) - _ANCHOR
            for offset in (*range(0, last, _ANCHOR), last):
                self._anchors.setdefault(lower[offset : offset + _ANCHOR], []).append((spelling, offset))

    def spans(self, text: str, rounds: int = _ROUNDS) -> list[Span]:
        """Return where secrets stand, in order of discovery; spans may overlap."""
        if not self._anchors:
            return []
        found = self._plain_spans(text)
        if rounds and _ESCAPE.search(text):
            decoded, places = _decoded(text)
            found += [(places.before(a), places.before(b)) for a, b in self.spans(decoded, rounds - 1)]
        return found

    def _plain_spans(self, text: str) -> list[Span]:
        found: list[Span] = []
        floor = 0
        anchors, lower = self._anchors, _lower(text)
        for at in [at for at in range(len(lower) - _ANCHOR + 1) if lower[at : at + _ANCHOR] in anchors]:
            if at < floor:
                continue
            spans = (self._followed(text, at, *place, floor) for place in anchors[lower[at : at + _ANCHOR]])
            if best := max(filter(None, spans), key=lambda span: span[1] - span[0], default=None):
                found.append(best)
                floor = best[1]
        return found

    def _followed(self, text: str, at: int, spelling: str, offset: int, floor: int) -> Span | None:
        """Return how far the text goes on like the spelling, when that is enough of it."""
        begin, end = at, at
        first, last = offset, offset
        while last < len(spelling) and end < len(text) and text[end].lower() == spelling[last].lower():
            end, last = end + 1, last + 1
        while first > 0 and begin > floor and text[begin - 1].lower() == spelling[first - 1].lower():
            begin, first = begin - 1, first - 1
        if not _enough(text, (begin, end), spelling, first, last):
            return None
        if self._spellings[spelling]:
            while end < len(text) and _ENCODED.match(text[end]):
                end += 1
            while begin > floor and _ENCODED.match(text[begin - 1]):
                begin -= 1
        while end > begin and text[end - 1] in "\r\n":  # a line end beside a secret stays
            end -= 1
        while begin < end and text[begin] in "\r\n":
            begin += 1
        return begin, end


def _enough(text: str, span: Span, spelling: str, first: int, last: int) -> bool:
    """Tell a part of a secret from a word that happens to stand in it as well."""
    begin, end = span
    starts, ends = first == 0, last == len(spelling)
    if starts and ends:
        return True
    if end - begin < PART:
        return False
    cut_before = begin == 0 or text.startswith("…", begin - 1) or text.startswith("...", max(0, begin - 3))
    cut_behind = end == len(text) or text.startswith(_CUT, end)
    if (starts and cut_behind) or (ends and cut_before):
        return True
    if _WORDS.fullmatch(spelling, first, last):
        return end - begin >= _LONG_WORDS
    return True


# -------------------------------------------------------------------------------------------------------- escapes


class _Places:
    """Where each character of a decoded text stood before."""

    def __init__(self) -> None:
        self._decoded = [0]
        self._source = [0]

    def note(self, decoded: int, source: int) -> None:
        self._decoded.append(decoded)
        self._source.append(source)

    def before(self, index: int) -> int:
        step = bisect_right(self._decoded, index) - 1
        return self._source[step] + index - self._decoded[step]


def _decoded(text: str) -> tuple[str, _Places]:
    """Return the text with every escape replaced by its character, and where each one stood."""
    pieces: list[str] = []
    places = _Places()
    size = end = 0
    for match in _ESCAPE.finditer(text):
        pieces.append(text[end : match.start()])
        size += match.start() - end
        places.note(size, match.start())
        pieces.append(_character(match))
        size += 1
        end = match.end()
        places.note(size, end)
    pieces.append(text[end:])
    return "".join(pieces), places


def _character(match: re.Match[str]) -> str:
    code = match["url"] or match["byte"] or match["code"] or match["braces"] or match["hex"]
    number = int(code, 16) if code else int(match["number"]) if match["number"] else -1
    if match["octal"]:
        number = int(match["octal"], 8)
    if number >= 0:
        return chr(number) if number <= 0x10FFFF else "\ufffd"
    if match["named"]:
        return _NAMED[match["named"].lower()]
    return _SIMPLE.get(match["one"], match["one"])


def _lower(text: str) -> str:
    """Return the text in lower case, each character at its place: some few become two."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(char.lower()[0] for char in text)
