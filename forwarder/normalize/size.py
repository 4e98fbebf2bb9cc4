"""How much a JSON text from outside would become once it is read: bounded by counting, before anything is built.

A value takes 16 to 100 bytes of memory and as little as two on the wire, and a text of which one character is beyond
the first 65 536 takes four times its bytes.
"""

from __future__ import annotations

LONGEST_EVENT = 8 * 2**20
"""Bytes of an event, or of anything else that is read as a whole. The most that real ones were seen to have is 1 MB."""

MOST_VALUES = 400_000
"""Values in it, counted by what separates and opens them; a text that holds so many commas counts as well."""


def values_in(text: bytes) -> int:
    """Return at least the number of values in a JSON text."""
    return 1 + text.count(b",") + text.count(b"[") + text.count(b"{")


def is_beyond_reading(text: bytes) -> bool:
    """Say whether reading a JSON text could take more memory and time than any real event is worth."""
    return len(text) > LONGEST_EVENT or (len(text) > MOST_VALUES and values_in(text) > MOST_VALUES)
