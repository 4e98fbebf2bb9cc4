"""Standard output and standard error for people and for pipes: the same words, and on a terminal colours.

Texts from outside (paths, names, what a server said) cannot reach a terminal as anything but text.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from typing import TYPE_CHECKING, TextIO

import msgspec

from forwarder.cli.tables import Screen, paragraph, table
from forwarder.contracts.errors import ForwarderError
from forwarder.contracts.text import visible
from forwarder.observe.colours import Style, coloured, paint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rich.console import Console


def console(stream: TextIO | None = None) -> Console:
    """Return what shows that something is under way, on standard output or another stream."""
    from rich.console import Console  # noqa: PLC0415 -- slow to import, and few commands take so long

    stream = stream or sys.stdout
    return Console(file=stream, markup=False, highlight=False, color_system="auto" if coloured(stream) else None)


def screen(stream: TextIO | None = None) -> Screen:
    """Return what is known of standard output, or of another stream."""
    stream = stream or sys.stdout
    return Screen(shutil.get_terminal_size().columns if stream.isatty() else None, coloured(stream))


def print_error(message: str) -> None:
    """Say on standard error why a command fails; one line per problem, folded between words on a terminal."""
    place, lines = screen(sys.stderr), message.splitlines() or [""]
    several = len(lines) > 1
    first = f"error: {len(lines)} problems" if several else f"error: {visible(lines[0])}"
    shown = [*paragraph(first, place), *(each for line in lines if several for each in _problem(line, place))]
    if place.coloured:
        shown[0] = paint("error: ", "bold red") + shown[0].removeprefix("error: ")
    for line in shown:
        print(line, file=sys.stderr)  # noqa: T201 -- the command line's own voice


def _problem(line: str, place: Screen) -> Iterator[str]:
    return paragraph(visible(line), place, indent=2)


def print_line(line: str = "") -> None:
    """Print one plain line on standard output. Raises ForwarderError when it cannot be written, as on a full disk."""
    try:
        print(line)  # noqa: T201 -- the command line's own voice
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ForwarderError(f"the output cannot be written: {error.strerror}") from None


def print_text(text: str, *, indent: int = 0) -> None:
    """Print a paragraph, folded between words on a terminal."""
    for line in paragraph(text, screen(), indent=indent):
        print_line(line)


def print_json(value: object) -> None:
    """Print a value as JSON; on a terminal, what does not print is escaped in it."""
    shown = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    if sys.stdout.isatty():
        shown = "\n".join(json_visible(line) for line in shown.split("\n"))
    print_line(shown)


def json_visible(line: str) -> str:
    r"""Return a line of JSON with all that does not print as `\uXXXX`: the same JSON, and harmless to look at."""
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in line)


def show_rows(rows: Iterable[Sequence[str]], *, head: Sequence[str] = (), styles: Mapping[str, Style] = {}) -> None:
    """Print columns, aligned; with a head line when there is one. Cells have the style of their text."""
    for line in table(rows, screen(), head=head, styles=styles):
        print_line(line)


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
    place = screen()
    if rows and place.width is not None:
        columns = [[title, *cells] for title, *cells in zip(head, *rows, strict=True)]
        head, *rows = zip(*(one for one in columns if any(cell != usual.get(one[0]) for cell in one[1:])), strict=True)
    lines = [line for text in intro for line in paragraph(visible(text), place)]
    if rows:
        lines += ["", *table(rows, place, head=head, one_line=True)]
    lines += [line for text in outro for line in paragraph(visible(text), place)]
    if place.width is None or len(lines) < shutil.get_terminal_size().lines:
        print_line("\n".join(lines))
        return
    import pydoc  # noqa: PLC0415 -- for few calls

    os.environ.setdefault("LESS", "FRX")
    pydoc.pager("\n".join(lines))
