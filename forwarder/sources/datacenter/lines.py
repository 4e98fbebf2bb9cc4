"""Bytes of a log file to its records, one a line. A line is known by where its first letter stands in the file.

What holds nothing (blank lines, and the zero bytes that a crash or a file cut under its writer leaves) is passed. What
is no record all the same is one line like any other: whoever gives it a meaning says what is wrong with it.
"""

from __future__ import annotations

import msgspec

_BLANK = b"\0 \t\r\n\x0b\x0c"
_BOM = b"\xef\xbb\xbf"


class Cut(msgspec.Struct, frozen=True):
    """The lines of a stretch.

    Attributes:
        lines: Where each begins, counted from the beginning of the file, and its bytes without blanks around.
        taken: Bytes that are done with.
        within: What follows is the rest of a line of which the beginning was too long already.
        wants: Bytes that are needed to see the end of the first line; 0 when it is seen, or not written yet.
    """

    lines: list[tuple[int, bytes]]
    taken: int
    within: bool = False
    wants: int = 0


class Cutter:
    """Cuts stretches into lines.

    Args:
        limit: Most lines of one.
        longest: Bytes of a line; of a longer one only its beginning is kept.
    """

    def __init__(self, limit: int, longest: int) -> None:
        self._limit = limit
        self._longest = longest

    def cut(self, data: bytes, at: int, *, within: bool, whole: bool, finished: bool, quiet: bool = False) -> Cut:
        """Return the lines of a stretch.

        Args:
            data: Bytes of the file.
            at: Where they begin.
            within: In the middle of a line that was too long.
            whole: They reach to the end of the file.
            finished: No one will write on there.
            quiet: No one has written there for a while: a record that is whole is one, though its line has no end.
        """
        start = 0
        if within:
            start = data.find(b"\n") + 1
            if start == 0:
                return Cut([], len(data), within=not (whole and finished))
        lines: list[tuple[int, bytes]] = []
        while len(lines) < self._limit and (end := data.find(b"\n", start)) >= 0:
            self._add(lines, data[start:end], at + start)
            start = end + 1
        if start or not data:
            return Cut(lines, start)
        return self._unended(data, at, whole=whole, finished=finished or (quiet and whole and _is_record(data)))

    def _unended(self, data: bytes, at: int, *, whole: bool, finished: bool) -> Cut:
        """Return what is to be done with a line of which the end is not there."""
        content = data.lstrip(b"\0")
        if len(content) < len(data) and (content or not whole):
            return Cut([], len(data) - len(content))  # a hole; at the end of a file it may be filled yet
        lines: list[tuple[int, bytes]] = []
        if len(data) > self._longest:
            self._add(lines, data[: self._longest], at)
            return Cut(lines, self._longest, within=True)
        if not whole:
            return Cut([], 0, wants=self._longest + 1)
        if finished:
            self._add(lines, data, at)
            return Cut(lines, len(data))
        return Cut([], 0)

    def _add(self, lines: list[tuple[int, bytes]], line: bytes, at: int) -> None:
        content = line.lstrip(_BLANK)
        at += len(line) - len(content)
        body = content.rstrip(_BLANK)[: self._longest]
        if at == 0:
            body = body.removeprefix(_BOM)
        if body:
            lines.append((at, body))


def _is_record(data: bytes) -> bool:
    """Tell whether some bytes are one JSON object, whole."""
    if data.strip(_BLANK)[-1:] != b"}":
        return False
    try:
        return isinstance(msgspec.json.decode(data.strip(_BLANK)), dict)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
