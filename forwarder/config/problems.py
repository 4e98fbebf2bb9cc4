"""What is wrong with a configuration, said so that a person can fix it: path, place, fault, fix.

No value of the configuration is ever part of a message, because any value may be a secret in the wrong place. What a
plugin's own check says is passed on, with every text that could be a secret blotted out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from forwarder.contracts.errors import ConfigError
from forwarder.contracts.secret import Secret
from forwarder.net.secret_spellings import SHORTEST
from forwarder.observe.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Path = tuple[str | int, ...]
"""Keys from the root of the configuration to a setting."""

BLOT = "**********"
_SECRET_KEY = re.compile(r"key|token|pass|secret|cred|auth|bearer|pwd", re.IGNORECASE)
_PRINTABLE_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_SHORTEST_SECRET = 4


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        path: Dotted path of the setting, or the name of the file or variable when there is no path.
        what: What is wrong with it.
        fix: What to do, in the imperative; may be empty.
        where: Where the value comes from, such as `config.yaml line 7`; may be empty.
    """

    path: str
    what: str
    fix: str = ""
    where: str = ""

    def __str__(self) -> str:
        return (
            f"{self.path}{f' ({self.where})' if self.where else ''}: {self.what}{f'; {self.fix}' if self.fix else ''}"
        )


class SettingsError(ConfigError):
    """The configuration cannot be used; holds every problem that was found, in order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def not_built(part: str, error: ConfigError) -> Problem:
    """Return the problem of a source or sink that cannot be built, such as `sinks.elastic`."""
    what, _, fix = str(error).partition(". ")
    path = f"{part}.{error.setting}" if error.setting else part
    return Problem(path, _in_a_sentence(what), _in_a_sentence(fix).rstrip("."))


def _in_a_sentence(text: str) -> str:
    """Begin with a small letter, unless a name or an abbreviation stands there."""
    return text[:1].lower() + text[1:] if text[1:2].islower() or text[1:2] == " " else text


def dotted(path: Path) -> str:
    """Write a path as people do. What does not look like a key is cut, since it may be a value in the wrong place."""
    return ".".join(str(part) if isinstance(part, int) else shown_key(part) for part in path)


def keys_of(path: str) -> Path:
    """Read a path as `dotted` writes it."""
    return tuple(int(part) if part.isascii() and part.isdigit() else part for part in path.split("."))


def shown_key(key: str) -> str:
    """Return a key as it may be printed."""
    match = _PRINTABLE_KEY.match(key)
    if match is None:
        return "…"
    return key if match.end() == len(key) else f"{re.split(r'[^A-Za-z_]', key)[0][:20]}…"


def secrets_in(tree: Any, *, suspect: bool = False) -> set[str]:
    """Collect every text of a raw configuration that is, or may be, a secret."""
    if isinstance(tree, dict):
        found: set[str] = set()
        for key, value in tree.items():
            found |= secrets_in(value, suspect=suspect or bool(_SECRET_KEY.search(str(key))))
        return found
    if isinstance(tree, list):
        return set().union(*(secrets_in(item, suspect=suspect) for item in tree))
    if isinstance(tree, Secret):
        return secrets_in_text(tree, suspect=True)
    return secrets_in_text(tree, suspect=suspect) if tree is not None and not isinstance(tree, bool) else set()


def secrets_in_text(value: Any, *, suspect: bool) -> set[str]:
    """Return the text itself when it is suspect, and the credentials of a URL in any case."""
    text = str(value)
    found = {text, text.strip()} if suspect else set()
    if "@" in text and "://" in text:
        try:
            parts = urlsplit(text)
        except ValueError:
            return found | {text}
        found |= {part for part in (parts.username, parts.password) if part}
    return {part for part in found if len(part) >= _SHORTEST_SECRET}


def blotted(problems: Iterable[Problem], secrets: set[str]) -> list[Problem]:
    """Return the problems with every secret blotted out of what they say."""
    redactor = Redactor(lambda: secrets)
    short = sorted((secret for secret in secrets if len(secret) < SHORTEST), key=len, reverse=True)

    def clean(text: str) -> str:
        text = redactor.text(text)
        for secret in short:
            text = text.replace(secret, BLOT)
        return text

    return [replace(problem, what=clean(problem.what), fix=clean(problem.fix)) for problem in problems]


def env_name(path: Path) -> str:
    """Return the environment variable that sets a path."""
    return "FORWARDER__" + "__".join(str(part).upper() for part in path)


def first_sentence(text: str | None) -> str:
    """Return the first sentence of a description, on one line."""
    return re.split(r"(?<=[.;])\s", " ".join((text or "").split()), maxsplit=1)[0].rstrip(".;")


def placed(places: Mapping[Path, str], path: Path) -> str | None:
    """Say where a path, or else what lies below it, stands in one layer."""
    if path in places:
        return places[path]
    below = [place for known, place in places.items() if known[: len(path)] == path]
    return below[0] if below else None
