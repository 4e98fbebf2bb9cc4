"""Foreign text in HTML: the one place where it becomes markup, harmless."""

from __future__ import annotations

from html import escape

from forwarder.contracts.text import visible


def plain(text: str, *, keep: str = "") -> str:
    """Return text for an element or an attribute; what does not print is shown as an escape, but what to keep."""
    return escape(visible(text, keep=keep), quote=True)


def foreign(text: str) -> str:
    """Return text of events as an element of its own, so that its direction ends with it."""
    return f"<bdi>{plain(text)}</bdi>"
