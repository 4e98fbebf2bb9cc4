"""Takes secrets out of everything that is logged or shown.

Three nets, one behind the other: values that are known secrets, whole or cut, in every spelling that goes over a wire;
values whose name says that they are secret; and text that looks like a credential. A secret seen once stays known after
it was rotated, because a request with the old one may still fail and be reported.

What is shortened is redacted first and cut then: `short` does both, and nothing else may cut what may hold a secret.

Invariant: `scrub` returns plain JSON values whose text is printable; it never raises for what it is given.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

from forwarder.contracts.text import visible
from forwarder.net.hide import STARS, starred
from forwarder.net.secret_search import Search
from forwarder.net.secret_spellings import SHORTEST, encodings, parts, spellings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from forwarder.contracts.settings import Secret

_LONGEST_TEXT = 8192
_DEEPEST = 8
_MOST_REMEMBERED = 200
"""Secrets of before, beside those of now."""

_MARGIN = 8192
"""Characters behind the cut that are looked at as well: a secret may begin before it."""

SECRET_NAME = re.compile(
    r"authorization|password|passwd|passphrase|secret|token|cookie|api[-_. ]?key|private[-_. ]?key|credential",
    re.IGNORECASE,
)
ABOUT_A_SECRET = re.compile(r"_(?:ends|expires|expires_at)$")
"""Names of what is no secret itself, but when one ends."""

_HARMLESS_NAME = re.compile(r"(_file|_path|_id)$", re.IGNORECASE)
_HEADER = re.compile(
    r"""(?P<name>\b(?:proxy-)?authorization|\bx-api-key|\b(?:set-)?cookie)"""
    r"""(?P<between>\\?["']\s*[:,]\s*b?\\?["']|\s*[:=]\s*)[^\r\n"']+""",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"\b(?P<name>bearer|basic|splunk|apikey)\s+[\w+/=.~-]{16,}", re.IGNORECASE)
_PRIVATE_KEY = re.compile(
    r"(?P<begin>-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY-----).*?(?:-----END [A-Z0-9 ]{0,32}PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
"""Of a file in PEM, its line ends in any escape: as it stands in JSON. One that is cut ends with the text."""
_USERINFO = re.compile(r"://[^/\s\"'<>]*@")


_LONGEST_REPEATED = 100
"""Characters of a text that is remembered while one value is scrubbed: names, words, days and numbers come often."""


class _Pass:
    """One value that is scrubbed: how many items of a list are kept, and what its short texts became."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.texts: dict[str, str] = {}


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
        self._search = Search({})
        self._learning = threading.Lock()  # lines are written, and the status is shown, from several threads

    def text(self, text: str) -> str:
        """Return `text` without secrets; line ends and control characters stay."""
        self._learn()
        return self._clean(text)

    def short(self, text: str, limit: int) -> str:
        """Return `text` without secrets, printable, on one line and at most `limit` characters long, plus what says so.

        However long the text is, it costs no more than `limit` and the longest secret do.
        """
        self._learn()
        return self._short(text, limit)

    def scrub(self, value: Any, *, most_items: int = 100) -> Any:
        """Return a plain JSON value without secrets, whose text is printable and not too long.

        Args:
            value: Anything.
            most_items: Of each list and mapping only so many are kept.
        """
        self._learn()
        return self._scrub(value, 0, _Pass(most_items))

    def _clean(self, text: str) -> str:
        text = starred(text, sorted(self._search.spans(text)))
        text = _HEADER.sub(rf"\g<name>\g<between>{STARS}", text)
        text = _SCHEME.sub(rf"\g<name> {STARS}", text)
        text = _PRIVATE_KEY.sub(rf"\g<begin>{STARS}", text)
        return _USERINFO.sub(f"://{STARS}@", text)

    def _short(self, text: str, limit: int) -> str:
        near = limit + _MARGIN
        clean = self._clean(text[:near])
        missing = max(0, len(text) - near) + max(0, len(clean) - limit)
        if not missing:
            return visible(clean)
        return visible(f"{clean[:limit]}… ({missing} more characters)")

    def _learn(self) -> None:
        with self._learning:
            self._learn_alone()

    def _learn_alone(self) -> None:
        try:
            now = {_reveal(secret) for secret in self._secrets()}
        except (OSError, ValueError):
            return  # as in `_reveal`
        fresh = {text for text in now if len(text) >= SHORTEST and text not in self._known}
        if not fresh:
            return
        self._known |= dict.fromkeys(sorted(fresh))
        for old in [text for text in self._known if text not in now][:-_MOST_REMEMBERED]:
            del self._known[old]
        known = {part for secret in self._known for part in parts(secret)}
        encoded = {text for part in known for text in encodings(part)}
        spelled = {text for part in known for text in spellings(part)}
        self._search = Search(dict.fromkeys(sorted(encoded), True) | dict.fromkeys(sorted(spelled), False))

    def _scrub(self, value: Any, depth: int, run: _Pass) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            return value if self._once(str(value), run) == str(value) else STARS
        if depth >= _DEEPEST:
            return "…"
        if isinstance(value, dict):
            return self._mapping(value, depth, run)
        if isinstance(value, list | tuple | set | frozenset):
            return self._items(list(value)[: run.most], depth, run)
        return self._once(_as_text(value), run)

    def _once(self, text: str, run: _Pass) -> str:
        """Return a text as it may be shown; one that comes again and again is looked at once."""
        if len(text) > _LONGEST_REPEATED:
            return self._short(text, _LONGEST_TEXT)
        if text not in run.texts:
            run.texts[text] = self._short(text, _LONGEST_TEXT)
        return run.texts[text]

    def _mapping(self, value: Mapping[Any, Any], depth: int, run: _Pass) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        for key, item in list(value.items())[: run.most]:
            name = self._once(_as_text(key), run)
            plain[name] = STARS if names_a_secret(name, item) else self._scrub(item, depth + 1, run)
        return plain

    def _items(self, items: list[Any], depth: int, run: _Pass) -> list[Any]:
        if len(items) == 2 and isinstance(items[0], str | bytes) and names_a_secret(_as_text(items[0]), items[1]):
            return [self._scrub(items[0], depth + 1, run), STARS]
        return [self._scrub(item, depth + 1, run) for item in items]


def _reveal(secret: str | Secret) -> str:
    try:
        return secret if isinstance(secret, str) else secret.reveal()
    except (OSError, ValueError):
        return ""  # whoever needs the secret reports it; the line that is written now must not fail for it


def names_a_secret(name: str, value: Any) -> bool:
    """Tell whether what is called so is a secret, by its name."""
    if value is None or isinstance(value, bool) or _HARMLESS_NAME.search(name):
        return False
    return SECRET_NAME.search(name) is not None and ABOUT_A_SECRET.search(name) is None


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "backslashreplace")
    try:
        return f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else repr(value)
    except Exception as error:  # noqa: BLE001 -- a foreign object's own repr; logging must not fail for it
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"
