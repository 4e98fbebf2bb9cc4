"""Standard output and standard error for people and for pipes: colour and boxes on a terminal, plain text elsewhere.

Texts from outside (paths, names, what a server said) are never read as markup.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO

from forwarder.contracts.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console

WIDEST = 32
"""Columns of a terminal for a cell, but for the last one of a row."""

WIDE = 10_000
"""Columns of a pipe: nothing is folded, so that grep finds what it looks for."""


def console(stream: TextIO | None = None) -> Console:
    """Return a console on standard output, or on another stream."""
    from rich.console import Console  # noqa: PLC0415 -- slow to import, and not every command prints

    stream = stream or sys.stdout
    wide = None if stream.isatty() else WIDE
    return Console(file=stream, markup=False, highlight=False, emoji=False, soft_wrap=not wide, width=wide)


def print_error(message: str) -> None:
    """Say on standard error why a command fails; plain, one line per problem."""
    prefix = "error: "
    if sys.stderr.isatty():
        prefix = f"\x1b[1;31m{prefix}\x1b[0m"
    lines = message.splitlines() or [""]
    if len(lines) == 1:
        print(f"{prefix}{visible(lines[0])}", file=sys.stderr)  # noqa: T201 -- the command line's own voice
        return
    print(f"{prefix}{len(lines)} problems", file=sys.stderr)  # noqa: T201
    for line in lines:
        print(f"  {visible(line)}", file=sys.stderr)  # noqa: T201


def print_line(line: str = "") -> None:
    """Print one plain line on standard output."""
    print(line)  # noqa: T201 -- the command line's own voice


def show_rows(rows: Iterable[Sequence[str]], *, head: Sequence[str] = (), styles: Mapping[str, str] = {}) -> None:
    """Print columns, aligned; with a head line when there is one. On a terminal cells have the style of their text."""
    cells = [[visible(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table(*head, box=None, show_header=bool(head), header_style="bold", pad_edge=False)
        for row in cells:
            table.add_row(*(Text(cell, styles.get(cell, "")) for cell in row))
        console().print(table)
        return
    everything = [list(head), *cells] if head else cells
    widths = [max(map(len, column)) for column in zip(*everything, strict=True)]
    for row in everything:
        print_line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def page_rows(
    rows: Sequence[Sequence[str]],
    *,
    head: Sequence[str],
    intro: Iterable[str] = (),
    outro: Iterable[str] = (),
    usual: Mapping[str, str] = {},
) -> None:
    """Print an introduction and a table; on a terminal one line a row, and through a pager when it is long.

    Args:
        rows: Cells; the last of a row may be long.
        head: Titles.
        intro: Lines before the table.
        outro: Lines after it.
        usual: By title, what says nothing: a terminal shows no column that holds only that.
    """
    lines, last = [visible(line) for line in intro], [visible(line) for line in outro]
    if not sys.stdout.isatty():
        print_line("\n".join([*lines, ""] if rows else lines))
        if rows:
            show_rows(rows, head=head)
        if last:
            print_line("\n".join(last))
        return
    from rich.text import Text  # noqa: PLC0415

    screen = console()
    columns = [[title, *column] for title, *column in zip(head, *rows, strict=True)]
    columns = [column for column in columns if any(cell != usual.get(column[0]) for cell in column[1:])]
    shown = [_column(column, last=column is columns[-1]) for column in columns if len(column) > 1]
    table = [Text("  ".join(cells)) for cells in zip(*shown, strict=True)]
    for number, row in enumerate(table):
        row.truncate(screen.width, overflow="ellipsis")
        row.stylize("" if number else "bold")

    def show() -> None:
        screen.print(*map(Text, lines), sep="\n", soft_wrap=False)
        if table:
            screen.print()
        for text in table:
            screen.print(text, no_wrap=True)
        if last:
            screen.print(*map(Text, last), sep="\n", soft_wrap=False)

    if len(lines) + len(table) + len(last) + 2 <= screen.height:
        show()
        return
    os.environ.setdefault("LESS", "FRX")
    with screen.pager(styles=True):
        show()


def _column(cells: Sequence[str], *, last: bool) -> list[str]:
    """Return the cells of a column, all but the last one of a table equally wide."""
    shown = [visible(cell) for cell in cells]
    if last:
        return shown
    width = min(WIDEST, max(map(len, shown)))
    return [(cell if len(cell) <= width else cell[: width - 1] + "…").ljust(width) for cell in shown]
