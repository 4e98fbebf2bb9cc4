"""Tables: columns of text, laid out the same way on a terminal and in a pipe.

A pipe gets each row on one line, however wide. On a terminal a cell that does not fit goes on below itself, between
words. Where not even the longest words fit side by side, each row becomes a list of its cells. So every id, path and
address is whole and can be copied. Nothing is cut but long text in the last column of a table of one line a row.

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
_TIED = "\0"
"""Between a number and its percent sign while a text is folded; no text that is shown has it."""
_LEAST = 8
"""Columns of the screen that the last cell of a row keeps, whatever stands before it."""
_NOTHING = {"", "-", "\u2013"}
"""Cells that say nothing, and are left out of a list."""
_ENOUGH = 24
"""Columns of the screen that the last cell needs where all cells of a row are side by side."""
_SHORT = 40
"""Columns up to which a cell is never cut."""


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
        one_line: On a terminal, cut long text in the last column, between words: to what is left of the line, or to a
            line where the other columns leave too little.
    """
    cells = [[visible(cell) for cell in row] for row in ([head, *rows] if head else rows)]
    if not cells:
        return
    widths = [max(map(columns_of, column)) for column in zip(*cells, strict=True)]
    listed: set[int] = set()
    if screen.width is not None:
        room = screen.width - indent - _GAP * (len(widths) - 1)
        if one_line and sum(widths[:-1]) + _LEAST > room:
            one_line, cells = False, [[*row[:-1], _cut(row[-1], room)] for row in cells]
        if one_line:
            widths[-1] = min(widths[-1], room - sum(widths[:-1]))
        else:
            listed, widths = _fitted(cells, room, with_head=bool(head))
    sides = [_to_the_right if title in right else _to_the_left for title in head or [""] * len(widths)]
    for number, row in enumerate(cells):
        is_head = bool(head) and not number
        if number in listed:
            yield from () if is_head else _listed(row, head, screen, styles, indent)
            continue
        if one_line:
            row[-1] = _cut(row[-1], widths[-1])
        lines = [_fold(cell, width) for cell, width in zip(row, widths, strict=True)]
        marks: list[Style] = ["bold" if is_head else styles.get(cell, "") for cell in row]
        for parts in zip_longest(*lines, fillvalue=""):
            yield _line(parts, widths, sides, marks if screen.coloured else [""] * len(row), indent)


def _fitted(cells: Sequence[Sequence[str]], room: int, *, with_head: bool) -> tuple[set[int], list[int]]:
    """Return which rows have words too long for a table, and the widths that the columns of the others get.

    Nothing stands behind the last cell of a row, so a longer word there may go beyond the edge.
    """
    words = [[_longest_word(cell) for cell in row] for row in cells]
    left = set(range(len(cells)))
    while True:
        least = [max((words[number][place] for number in left), default=0) for place in range(len(cells[0]))]
        least[-1] = min(least[-1], _ENOUGH)
        if sum(least) <= room or not left:
            break
        worst = max(left, key=lambda number: max(words[number][:-1], default=0))
        left = set() if with_head and not worst else left - {worst}
    if left <= ({0} if with_head else set()):
        return set(range(len(cells))), least
    widths = [max(columns_of(cells[number][place]) for number in left) for place in range(len(cells[0]))]
    _narrow(widths, least, room)
    return set(range(len(cells))) - left, widths


def _listed(
    row: Sequence[str], head: Sequence[str], screen: Screen, styles: Mapping[str, Style], indent: int
) -> Iterator[str]:
    """Yield a row as a list: its first cell, and below it a line or more for each of the others."""
    titles = head or [""] * len(row)
    side = max(map(columns_of, titles[1:]), default=0)
    width = (screen.width or 0) - indent
    room = max(_LEAST, width - _GAP - (side + _GAP if side else 0))
    for name in _fold(f"{titles[0]} {row[0]}".strip(), width):
        yield " " * indent + (paint(name, "bold") if screen.coloured else name)
    for title, cell in zip(titles[1:], row[1:], strict=True):
        if head and cell in _NOTHING:
            continue
        style = styles.get(cell, "") if screen.coloured else ""
        for number, line in enumerate(_fold(cell, room) if cell else ()):
            label = _to_the_left("" if number else title, side)
            yield " " * (indent + _GAP) + label + " " * (_GAP if side else 0) + paint(line, style)


def paragraph(text: str, screen: Screen, style: Style = "", *, indent: int = 0) -> Iterator[str]:
    """Yield a line of text, folded between words on a terminal; an address or a path is left whole."""
    before = " " * indent
    if screen.width is None:
        yield before + text.rstrip()
        return
    tied = text.replace(" %", f"{_TIED}%")
    lines = textwrap.wrap(
        tied, screen.width, initial_indent=before, subsequent_indent=before, break_long_words=False,
        break_on_hyphens=False,
    ) or [""]  # fmt: skip
    for line in lines:
        shown = line.replace(_TIED, " ")
        yield paint(shown, style) if screen.coloured else shown


def columns_of(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return len(text) if text.isascii() else sum(map(_width, text))


def _width(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _longest_word(cell: str) -> int:
    return max(map(columns_of, cell.split(" ")))


def _narrow(widths: list[int], words: Sequence[int], room: int) -> None:
    """Take from the widest columns until all fit; none gets narrower than its longest word."""
    while (over := sum(widths) - room) > 0:
        wide = [place for place, width in enumerate(widths) if width > words[place]]
        if not wide:
            return
        place = max(wide, key=widths.__getitem__)
        others = [widths[other] for other in wide if widths[other] < widths[place]]
        widths[place] -= max(1, min(over, widths[place] - max([words[place], *others])))


def _fold(cell: str, width: int) -> list[str]:
    """Return the lines of a cell, folded between words only; a longer word has a line of its own."""
    if columns_of(cell) <= width:
        return [cell]
    lines, line = [], ""
    for word in cell.split(" "):
        if line and columns_of(line) + columns_of(word) > width:
            lines.append(line.rstrip())
            line = ""
        line += f"{word} "
    return [*lines, line.rstrip()]


def _cut(cell: str, width: int) -> str:
    """Return what fits of a long text, up to the end of a word; an address is left whole."""
    if columns_of(cell) <= max(width, _SHORT):
        return cell
    kept = _fold(cell, width - 1)[0]
    return cell if kept == cell else f"{kept}…"


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
