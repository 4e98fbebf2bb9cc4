"""Texts that stay on their line: what becomes of characters that could end one, or begin an escape of a terminal.

Control characters and the line ends of Unicode become blanks; half of a surrogate pair, which no encoding can carry,
becomes U+FFFD. Other characters stay, also those that only look odd: they are evidence.
"""

from __future__ import annotations

import re

import msgspec

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
CONTROL_BUT_LINE_ENDS = re.compile("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def one_line(text: str, control: re.Pattern[str] = CONTROL) -> str:
    """Return a text on one line and writable as UTF-8."""
    return _SURROGATE.sub("\ufffd", control.sub(" ", text))


def truncated(marks: tuple[str, ...]) -> tuple[str, ...]:
    """Return the marks of an event and, once, that something of it was cut."""
    return marks if "truncated" in marks else (*marks, "truncated")


def without_line_ends(text: str) -> str:
    """Return JSON without the white space between its tokens, which says nothing, if any of it breaks lines."""
    return msgspec.json.format(text, indent=-1) if "\n" in text or "\r" in text else text


def is_one_line_json(text: str) -> bool:
    """Say whether JSON surely is on one line as it stands."""
    if text.isascii():  # within its texts control characters are escaped
        return "\n" not in text and "\r" not in text and "\t" not in text and "\x7f" not in text
    return text.isprintable()
