"""The vocabulary of action ids and display names, and texts as terms of it.

A term is one word of `vocabulary.toml`, or several that belong together (`api_token`); an unknown
word is a term too, so that a reader sees that something is there that it does not understand.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_ACTION = 200
"""Longer ids are no ids, and splitting them would cost more than they can tell."""

LONGEST_TERM = 4
_WHOLE = {"token", "mfa", "group", "session", "password", "app"}
"""Kinds all of whose things are at home where `home` says."""

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PREFIX = re.compile(r"\b(un|re|de|dis|e)-(?=[a-z])")
"""A syllable that a hyphen keeps from its word: "un-archived" is no archiving, an "e-mail" is an email."""

_BREAK = re.compile(r"[^a-z0-9]+")
_ASIDE = re.compile(r"\([^()]*\)")


def words_of(text: str) -> list[str]:
    """Return the words of a name in small letters: `siteAdmins` has two."""
    return _BREAK.split(_HUMP.sub("_", text).lower())


def plural(noun: str) -> str:
    """Return the plural of a noun or of the last one of a compound."""
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2:-1] not in "aeiou" else f"{noun}s"


class Term(msgspec.Struct, frozen=True):
    """One word or several, and every part it can play.

    Attributes:
        text: The word; several are joined by `_`.
        thing: What it is the name of.
        kind: The kind of that thing.
        done: The act of which it is the past participle.
        named: The act of which it is the base form or the noun.
        marks: `failed`, `completed`, `open`, `cancelled`, `preposition`, `noise`, `attribute`, `container`, `verb` (one
            of which no one claims an act).
        product: The product it names.
    """

    text: str
    thing: str | None = None
    kind: str | None = None
    done: str | None = None
    named: str | None = None
    marks: frozenset[str] = frozenset()
    product: str | None = None


class Tables(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The vocabulary as it stands in the file."""

    failed: tuple[str, ...]
    completed: tuple[str, ...]
    open: tuple[str, ...]
    cancelled: tuple[str, ...]
    prepositions: tuple[str, ...]
    noise: tuple[str, ...]
    attributes: tuple[str, ...]
    containers: tuple[str, ...]
    assignable: tuple[str, ...]
    explicit: tuple[str, ...]
    parts: tuple[str, ...]
    verbs: tuple[str, ...]
    narrow: dict[str, tuple[str, ...]]
    products: dict[str, str]
    home: dict[str, tuple[str, ...]]
    done: dict[str, tuple[str, ...]]
    named: dict[str, tuple[str, ...]]
    things: dict[str, dict[str, tuple[str, ...]]]


class Vocabulary:
    """Turns texts into terms.

    Attributes:
        assignable: Things that are given to a place rather than made in it.
        explicit: Acts that mean something only for the kinds that say so.
        parts: Things that are made where they are added.
        narrow: Verbs that mean their act only for some kinds and things, and these.
        beginnings: First words of past participles.
    """

    def __init__(self, tables: dict[str, Any]) -> None:
        words = msgspec.convert(tables, Tables)
        self.assignable = frozenset(words.assignable)
        self.explicit = frozenset(words.explicit)
        self.parts = frozenset(words.parts)
        self.narrow = {verb: frozenset(kinds) for verb, kinds in words.narrow.items()}
        marked = {
            "failed": words.failed,
            "completed": words.completed,
            "open": words.open,
            "cancelled": words.cancelled,
            "preposition": words.prepositions,
            "noise": words.noise,
            "attribute": words.attributes,
            "container": words.containers,
            "verb": words.verbs,
        }
        self._kinds = {thing: kind for kind, things in words.things.items() for thing in things}
        self._things = {
            term: thing for things in words.things.values() for thing, terms in things.items() for term in terms
        }
        for thing in [*self._things]:  # whoever names one of a kind names several as well
            self._things.setdefault(plural(thing), self._things[thing])
        self._done = {term: act for act, terms in words.done.items() for term in terms}
        self.beginnings = frozenset(term.partition("_")[0] for term in self._done)
        self._named = {term: act for act, terms in words.named.items() for term in terms}
        self._products = words.products
        self._home = {name: product for product, names in words.home.items() for name in names}
        self._marks: dict[str, frozenset[str]] = {}
        for mark, terms in marked.items():
            for term in terms:
                self._marks[term] = self._marks.get(term, frozenset()) | {mark}
        self._known = {*self._things, *self._done, *self._named, *self._products, *self._marks}

    def kind(self, thing: str) -> str | None:
        """Return the kind of a thing, by its name."""
        return self._kinds.get(thing)

    def home(self, thing: str | None) -> str | None:
        """Return whose things of this name are, where nothing else says it."""
        own = self._home.get(thing or "")
        return own or (
            self._home.get(self._kinds.get(thing or "", "")) if self._kinds.get(thing or "") in _WHOLE else None
        )

    def products(self, texts: Iterable[str]) -> list[str]:
        """Return the products that texts name, each once."""
        found = (term.product for text in texts for term in self.terms(text[:LONGEST_ACTION]) if term.product)
        return list(dict.fromkeys(found))

    def term(self, text: str) -> Term:
        """Return a word with all its parts."""
        if text not in self._known and text.endswith("ed") and not text.endswith("eed"):
            again = self._done.get(text[2:]) if text.startswith("re") else None  # `reassigned` is assigned once more
            return Term(text, done=again, marks=frozenset() if again else frozenset({"verb"}))
        thing = self._things.get(text)
        return Term(
            text,
            thing,
            self._kinds.get(thing) if thing else None,
            self._done.get(text),
            self._named.get(text),
            self._marks.get(text, frozenset()),
            self._products.get(text),
        )

    def thing(self, text: str) -> Term | None:
        """Return the term for a thing, or None when there is none of that name."""
        return self.term(text) if text in self._things else None

    def terms(self, text: str) -> list[Term]:
        """Return the terms of a text in order, the longest that are known; what stands in brackets is left out."""
        plain = _PREFIX.sub(r"\1", _HUMP.sub("_", _ASIDE.sub(" ", text)).lower())
        words = [word for word in _BREAK.split(plain) if word]
        found: list[Term] = []
        place = 0
        while place < len(words):
            for length in range(min(LONGEST_TERM, len(words) - place), 0, -1):
                joined = "_".join(words[place : place + length])
                if length == 1 or joined in self._known:
                    found.append(self.term(joined))
                    place += length
                    break
        return found
