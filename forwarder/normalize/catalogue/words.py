"""Meaning from the words of an action id: one verb, one kind of object, and whether the act is complete.

The rules are data (`words.toml`). They would rather know nothing than be wrong: without a verb there is no meaning, and
without a known object there is an act but no category.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from forwarder.normalize.catalogue.meaning import UNKNOWN, Meaning, Outcome

LONGEST_ACTION = 200
"""Longer ids are no ids, and splitting them would cost more than they can tell."""

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_BREAK = re.compile(r"[^a-z0-9]+")


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One act done to one kind of object."""

    category: tuple[str, ...]
    types: tuple[str, ...]
    severity: int
    failed: int | None = None  # severity when it failed
    act: str | None = None  # the better name of the act, for this kind of object
    target: str = "target"


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rules as they stand in the file."""

    failed: tuple[str, ...]
    open: tuple[str, ...]
    products: dict[str, str]
    done: dict[str, tuple[str, ...]]
    named: dict[str, tuple[str, ...]]
    objects: dict[str, tuple[str, ...]]
    meaning: dict[str, dict[str, Line]]


def split(action: str) -> list[str]:
    """Return the words of an id in order, and every pair of neighbours joined by `_`, longest first at each place."""
    words = [word for word in _BREAK.split(_HUMP.sub("_", action).lower()) if word]
    terms: list[str] = []
    for place, word in enumerate(words):
        if place + 1 < len(words):
            terms.append(f"{word}_{words[place + 1]}")
        terms.append(word)
    return terms


class WordRules:
    """Applies the rules to ids."""

    def __init__(self, rules: dict[str, Any]) -> None:
        words = msgspec.convert(rules, Words)
        self._failed = frozenset(words.failed)
        self._open = frozenset(words.open)
        self._products = words.products
        self._done = {term: act for act, terms in words.done.items() for term in terms}
        self._named = {term: act for act, terms in words.named.items() for term in terms}
        self._objects = {kind: frozenset(terms) for kind, terms in words.objects.items()}
        self._lines = words.meaning

    def meaning(self, action: str) -> Meaning:
        """Return what the words of `action` say; layer `unknown` when they say nothing."""
        if len(action) > LONGEST_ACTION:
            return UNKNOWN
        terms = split(action)
        product = next((self._products[term] for term in terms if term in self._products), None)
        act, complete = self._verb(terms)
        if act is None:
            return msgspec.structs.replace(UNKNOWN, product=product)
        failed = not self._failed.isdisjoint(terms)
        line, kind = self._line(terms, act)
        outcome: Outcome = "unknown"
        if failed:
            outcome = "failure"
        elif complete and self._open.isdisjoint(terms):
            outcome = "success"
        if line is None:
            return Meaning(product=product, act=act, object=kind, outcome=outcome, layer="words")
        return Meaning(
            product=product,
            act=line.act or act,
            object=kind,
            category=line.category,
            types=line.types,
            outcome=outcome,
            severity=line.failed if failed and line.failed is not None else line.severity,
            target="impersonated" if line.target == "impersonated" else "target",
            layer="words",
        )

    def _verb(self, terms: list[str]) -> tuple[str | None, bool]:
        for term in reversed(terms):  # an id that ends in its verb is the rule; `granted_x` is the exception
            if term in self._done:
                return self._done[term], True
        for term in reversed(terms):
            if term in self._named:
                return self._named[term], False
        return None, False

    def _line(self, terms: list[str], act: str) -> tuple[Line | None, str | None]:
        for kind, words in self._objects.items():
            if words.isdisjoint(terms):
                continue
            lines = self._lines.get(kind, {})
            line = lines.get(act) or lines.get("*")
            if line is not None:
                return line, kind
        return None, None
