"""Colour for people: on a terminal, and not against their will (no-color.org)."""

from __future__ import annotations

import os
from typing import Literal, TextIO

Style = Literal["bold", "dim", "red", "green", "yellow", "cyan", "bold red", "bold yellow", ""]

_CODES: dict[Style, str] = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "cyan": "36",
    "bold red": "1;31",
    "bold yellow": "1;33",
}


def coloured(stream: TextIO) -> bool:
    """Tell whether colours may be written: to a terminal that knows them, unless `NO_COLOR` is set."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, style: Style) -> str:
    """Return the text in a style, for a stream that is `coloured`."""
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if style and text else text
