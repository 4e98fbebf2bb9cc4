"""Finds secrets in text: whole or in part, in any case, through any number of escapes.

A text that was cut before it came here holds the first part of a secret, or its last, or one from the middle. Each
spelling is therefore known by short anchors: its first characters, its last, and every block of eight between. Where an
anchor is found, the match is followed in both directions. All of it takes time in proportion to the text.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ANCHOR = 8
"""Characters by which a part of a secret is recognised."""

LONG_PART = 12
"""So many characters from the middle of a secret are a part of it, whatever stands around them."""

_ROUNDS = 4
"""How often a text may have been escaped."""

_WORDS = re.compile(r"[a-z _.-]*|[A-Z _.-]*|[A-Z][a-z _.-]*")
_LONG_WORDS = 16
_ENCODED = re.compile(r"[A-Za-z0-9+/_=-]")
_CUT = ("…", "...", "[", "<")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'", "nbsp": " "}
_SIMPLE = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "a": "\a", "v": "\v"}
_ESCAPE = re.compile(
    r"%(?P<url>[0-9a-f]{2})|\\x(?P<byte>[0-9a-f]{2})|\\u\{?(?P<code>[0-9a-f]{4})\}?|\\(?P<one>[\\/\"'nrtbfav])"
    r"|&(?:#x0{0,4}(?P<hex>[0-9a-f]{1,5})|#0{0,4}(?P<number>\d{1,6})|(?P<named>amp|lt|gt|quot|apos|nbsp));",
    re.IGNORECASE,
)

Span = tuple[int, int]


class Search:
    """Looks for known spellings.

    Args:
        spellings: What to look for; True beside it when it is an encoding whose neighbours belong to it.
    """

    def __init__(self, spellings: Mapping[str, bool]) -> None:
        self._spellings = spellings
        self._anchors: dict[str, list[tuple[str, int]]] = {}
        for spelling in spellings:
            size = min(ANCHOR, len(spelling))
            for offset in {*range(0, len(spelling) - size + 1, size), len(spelling) - size}:
                self._anchors.setdefault(spelling[offset : offset + size].lower(), []).append((spelling, offset))
        self._pattern = re.compile(_alternatives(self._anchors), re.IGNORECASE) if self._anchors else None

    def spans(self, text: str, rounds: int = _ROUNDS) -> list[Span]:
        """Return where secrets stand, in order of discovery; spans may overlap."""
        if self._pattern is None:
            return []
        found = self._plain_spans(text, self._pattern)
        if rounds and _ESCAPE.search(text):
            decoded, places = _decoded(text)
            found += [(places.before(a), places.before(b)) for a, b in self.spans(decoded, rounds - 1)]
        return found

    def _plain_spans(self, text: str, pattern: re.Pattern[str]) -> list[Span]:
        found: list[Span] = []
        position, floor = 0, 0
        while (match := pattern.search(text, position)) is not None:
            best: Span | None = None
            at = match.start()
            for size in range(len(match[0]), ANCHOR + 1):  # the pattern stops at the shortest
                for spelling, offset in self._anchors.get(text[at : at + size].lower(), ()):
                    span = self._followed(text, at, spelling, offset, floor)
                    if span is not None and (best is None or span[1] - span[0] > best[1] - best[0]):
                        best = span
            if best is None:
                position = at + 1
            else:
                found.append(best)
                position = floor = best[1]
        return found

    def _followed(self, text: str, at: int, spelling: str, offset: int, floor: int) -> Span | None:
        """Return how far the text goes on like the spelling, when that is enough of it."""
        begin, end = at, at
        first, last = offset, offset
        while last < len(spelling) and end < len(text) and text[end].lower() == spelling[last].lower():
            end, last = end + 1, last + 1
        while first > 0 and begin > floor and text[begin - 1].lower() == spelling[first - 1].lower():
            begin, first = begin - 1, first - 1
        if not _enough(text, (begin, end), starts=first == 0, ends=last == len(spelling)):
            return None
        if self._spellings[spelling]:
            while end < len(text) and _ENCODED.match(text[end]):
                end += 1
            while begin > floor and _ENCODED.match(text[begin - 1]):
                begin -= 1
        return begin, end


def _enough(text: str, span: Span, *, starts: bool, ends: bool) -> bool:
    """Tell a part of a secret from a word that happens to stand in it as well."""
    begin, end = span
    if starts and ends:
        return True
    if end - begin < ANCHOR:
        return False
    cut_before = begin == 0 or text.startswith("…", begin - 1) or text.startswith("...", max(0, begin - 3))
    cut_behind = end == len(text) or text.startswith(_CUT, end)
    if (starts and cut_behind) or (ends and cut_before):
        return True
    if _WORDS.fullmatch(text, begin, end):
        return end - begin >= _LONG_WORDS
    return starts or end - begin >= LONG_PART or (cut_before and cut_behind)


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
    code = match["url"] or match["byte"] or match["code"] or match["hex"]
    number = int(code, 16) if code else int(match["number"]) if match["number"] else -1
    if number >= 0:
        return chr(number) if number <= 0x10FFFF else "\ufffd"
    if match["named"]:
        return _NAMED[match["named"].lower()]
    return _SIMPLE.get(match["one"], match["one"])


def _alternatives(words: Iterable[str]) -> str:
    """Return a pattern for any of the words as a tree, so that its time does not grow with their number."""
    tree: dict[str, list[str]] = {}
    for word in sorted(words):
        if not word:
            return ""  # the shortest of them ends here
        tree.setdefault(word[0], []).append(word[1:])
    if not tree:
        return ""
    branches = [re.escape(first) + _alternatives(rest) for first, rest in tree.items()]
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"
