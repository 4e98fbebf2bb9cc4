"""Takes secrets out of everything that is logged or shown.

Three nets, one behind the other: values that are known secrets, in every spelling in which Python, JSON or a URL may
show them; values whose name says that they are secret; and text that looks like a credential. A secret seen once stays
known after it was rotated, because a request with the old one may still fail and be reported.

Invariant: `scrub` returns plain JSON values whose text is printable; it never raises for what it is given.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

from forwarder.text import shorten, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from forwarder.fields import Secret

STARS = "**********"
SHORTEST = 6
"""Shorter secrets are not searched for by value: the stars would be everywhere, and would tell where it occurs."""

_LONGEST_TEXT = 8192
_DEEPEST = 8
_MOST_REMEMBERED = 200

_SECRET_NAME = re.compile(
    r"authorization|password|passwd|passphrase|secret|token|cookie|api[-_. ]?key|private[-_. ]?key|credential",
    re.IGNORECASE,
)
_HARMLESS_NAME = re.compile(r"(_file|_path|_id)$", re.IGNORECASE)
_HEADER = re.compile(
    r"""(?P<name>\b(?:proxy-)?authorization|\bx-api-key|\b(?:set-)?cookie)"""
    r"""(?P<between>\\?["']\s*[:,]\s*b?\\?["']|\s*[:=]\s*)[^\r\n"']+""",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"\b(?P<name>bearer|basic|splunk|apikey)\s+[\w+/=.~-]{16,}", re.IGNORECASE)
_USERINFO = re.compile(r"(?P<name>\b[a-z][a-z0-9+.-]*://)[^/\s@\"']+@", re.IGNORECASE)


def spellings(secret: str) -> set[str]:
    """Return the secret as it may stand in text: raw, in a Python or JSON literal, in a URL, and line by line."""
    found = {secret, quote(secret, safe="", errors="replace"), quote_plus(secret, errors="replace")}
    found.add(quote(secret, errors="replace"))
    for literal in (repr, ascii):
        inner = literal("'\"" + secret)[4:-1]  # both quotes in front, so that the literal escapes the single one
        found |= {inner, inner.replace("\\'", "'")}
    found.add(repr(b"'\"" + secret.encode("utf-8", "surrogatepass"))[5:-1])
    found |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], visible(secret)}
    found |= {line.strip() for line in secret.splitlines() if not line.startswith("-----")}
    return {spelling for spelling in found if len(spelling) >= SHORTEST}


class Redactor:
    """Knows the secrets and takes them out.

    Args:
        secrets: Returns the secrets of now, as text or as `Secret`; asked for every line, so it must be quick. One
            that cannot be read, because its file is being replaced or is gone, does not hide the others, and what
            was known stays known.
    """

    def __init__(self, secrets: Callable[[], Iterable[str | Secret]] = tuple) -> None:
        self._secrets = secrets
        self._known: dict[str, None] = {}
        self._pattern: re.Pattern[str] | None = None

    def text(self, text: str) -> str:
        """Return `text` without secrets; line ends and control characters stay."""
        self._learn()
        if self._pattern is not None:
            text = self._pattern.sub(STARS, text)
        text = _HEADER.sub(rf"\g<name>\g<between>{STARS}", text)
        text = _SCHEME.sub(rf"\g<name> {STARS}", text)
        return _USERINFO.sub(rf"\g<name>{STARS}@", text)

    def scrub(self, value: Any, *, most_items: int = 100) -> Any:
        """Return a plain JSON value without secrets, whose text is printable and not too long.

        Args:
            value: Anything.
            most_items: Of each list and mapping only so many are kept.
        """
        return self._scrub(value, 0, most_items)

    def _learn(self) -> None:
        try:
            now = {_reveal(secret) for secret in self._secrets()}
        except (OSError, ValueError):
            return  # as in `_reveal`
        fresh = {text for text in now if len(text) >= SHORTEST and text not in self._known}
        if not fresh:
            return
        self._known |= dict.fromkeys(sorted(fresh))
        while len(self._known) > _MOST_REMEMBERED:
            del self._known[next(iter(self._known))]
        every = {spelling for secret in self._known for spelling in spellings(secret)}
        longest_first = sorted(every, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def _scrub(self, value: Any, depth: int, most: int) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            return value if self.text(str(value)) == str(value) else STARS
        if depth >= _DEEPEST:
            return "…"
        if isinstance(value, dict):
            return self._mapping(value, depth, most)
        if isinstance(value, list | tuple | set | frozenset):
            return self._items(list(value)[:most], depth, most)
        return visible(shorten(self.text(_as_text(value)), _LONGEST_TEXT))

    def _mapping(self, value: Mapping[Any, Any], depth: int, most: int) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        for key, item in list(value.items())[:most]:
            name = visible(shorten(self.text(_as_text(key)), _LONGEST_TEXT))
            plain[name] = STARS if _names_a_secret(name, item) else self._scrub(item, depth + 1, most)
        return plain

    def _items(self, items: list[Any], depth: int, most: int) -> list[Any]:
        if len(items) == 2 and isinstance(items[0], str | bytes) and _names_a_secret(_as_text(items[0]), items[1]):
            return [self._scrub(items[0], depth + 1, most), STARS]
        return [self._scrub(item, depth + 1, most) for item in items]


def _reveal(secret: str | Secret) -> str:
    try:
        return secret if isinstance(secret, str) else secret.reveal()
    except (OSError, ValueError):
        return ""  # whoever needs the secret reports it; the line that is written now must not fail for it


def _names_a_secret(name: str, value: Any) -> bool:
    if value is None or isinstance(value, bool) or _HARMLESS_NAME.search(name):
        return False
    return _SECRET_NAME.search(name) is not None


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "backslashreplace")
    try:
        return f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else repr(value)
    except Exception as error:  # noqa: BLE001 -- a foreign object's own repr; logging must not fail for it
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"
