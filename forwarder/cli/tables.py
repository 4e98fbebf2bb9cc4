"""Tables: columns of text, laid out the same way on a terminal and in a pipe.

A pipe gets each row on one line, however wide. On a terminal a cell that does not fit goes on below itself, so nothing
is cut, but for the last column of a table of one line a row.

Rich lays out a row in 1 to 2 ms, a list of dead letters in half a minute; this takes microseconds.
"""

from __future__ import annotations

import textwrap
import unicodedata
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from forwarder.contracts.text import visible
from forwarder.observe.colours import Style, paint

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

_GAP = 2
_LEAST = 8
"""Columns of the screen that the last cell of a row keeps, whatever stands before it."""


class Screen(NamedTuple):
    """Where text is shown.

    Attributes:
        width: Columns of a terminal; None for a pipe.
        coloured: Whether styles are shown.
    """

    width: int | None = None
    coloured: bool = False


def table(
    rows: Iterable[Sequence[str]],
    screen: Screen,
    *,
    head: Sequence[str] = (),
    right: Collection[str] = (),
    styles: Mapping[str, Style] = {},
    indent: int = 0,
    one_line: bool = False,
) -> Iterator[str]:
    """Yield the lines of a table; the cells are foreign text.

    Args:
        rows: Cells, as many in each row as there are titles.
        screen: Where it is shown.
        head: Titles.
        right: Titles of columns of numbers, aligned at their ends.
        styles: By the whole text of a cell.
        indent: Spaces before each line.
        one_line: On a terminal, cut the last column at its edge.
    """
    cells = [[visible(cell) for cell in row] for row in ([head, *rows] if head else rows)]
    if not cells:
        return
    widths = [max(map(columns_of, column)) for column in zip(*cells, strict=True)]
    if screen.width is not None:
        room = screen.width - indent - _GAP * (len(widths) - 1)
        if one_line:
            widths[-1] = min(widths[-1], max(_LEAST, room - sum(widths[:-1])))
        else:
            _narrow(widths, room)
    sides = [_to_the_right if title in right else _to_the_left for title in head or [""] * len(widths)]
    for number, row in enumerate(cells):
        if one_line:
            row[-1] = _cut(row[-1], widths[-1])
        lines = [_fold(cell, width) for cell, width in zip(row, widths, strict=True)]
        marks: list[Style] = ["bold" if head and not number else styles.get(cell, "") for cell in row]
        for parts in zip_longest(*lines, fillvalue=""):
            yield _line(parts, widths, sides, marks if screen.coloured else [""] * len(row), indent)


def paragraph(text: str, screen: Screen, style: Style = "") -> Iterator[str]:
    """Yield a line of text, folded between words on a terminal; an address or a path is left whole."""
    if screen.width is None:
        yield text.rstrip()
        return
    lines = textwrap.wrap(text, screen.width, break_long_words=False, break_on_hyphens=False) or [""]
    yield from (paint(line, style) if screen.coloured else line for line in lines)


def columns_of(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return len(text) if text.isascii() else sum(map(_width, text))


def _width(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _narrow(widths: list[int], room: int) -> None:
    """Take from the widest columns until all fit, or each has one column of the screen."""
    while (over := sum(widths) - room) > 0 and (widest := max(widths)) > 1:
        places = [place for place, width in enumerate(widths) if width == widest]
        next_widest = max((width for width in widths if width < widest), default=1)
        step = max(1, min(widest - next_widest, over // len(places)))
        for place in places[: max(1, over)]:
            widths[place] -= step


def _fold(cell: str, width: int) -> list[str]:
    """Return the lines of a cell, between words where it can be; no character is lost."""
    if columns_of(cell) <= width:
        return [cell]
    lines, line = [], ""
    for word in _pieces(cell, width):
        if line and columns_of(line) + columns_of(word.rstrip()) > width:
            lines.append(line.rstrip())
            line = ""
        line += word
    return [*lines, line.rstrip()]


def _pieces(cell: str, width: int) -> Iterator[str]:
    """Yield words with the space behind them, those that are too long in parts."""
    for word in cell.split(" "):
        part = ""
        for char in word:
            if part and columns_of(part) + _width(char) > width:
                yield part
                part = ""
            part += char
        yield f"{part} "


def _cut(cell: str, width: int) -> str:
    if columns_of(cell) <= width:
        return cell
    kept = cell[: width - 1]
    while columns_of(kept) > width - 1:
        kept = kept[:-1]
    return f"{kept}…"


def _to_the_left(cell: str, width: int) -> str:
    return cell + " " * (width - columns_of(cell))


def _to_the_right(cell: str, width: int) -> str:
    return " " * (width - columns_of(cell)) + cell


def _line(
    parts: Sequence[str],
    widths: Sequence[int],
    sides: Sequence[Callable[[str, int], str]],
    styles: Sequence[Style],
    indent: int,
) -> str:
    cells = [side(part, width) for side, part, width in zip(sides, parts, widths, strict=True)]
    while cells and cells[-1].isspace():  # no line ends with spaces
        cells.pop()
    if cells:
        cells[-1] = cells[-1].rstrip()
    return " " * indent + (" " * _GAP).join(paint(cell, style) for cell, style in zip(cells, styles, strict=False))
