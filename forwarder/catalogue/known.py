"""The publicly known actions: `known_actions/*.tsv`, one line an action, given its meaning by `kinds.toml`."""

from __future__ import annotations

from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any, cast

import msgspec

from forwarder.catalogue.meaning import Meaning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forwarder.catalogue.kinds import Kinds, Person
    from forwarder.catalogue.vocabulary import Vocabulary

LISTS = ("organization", "jira", "confluence", "datacenter")
"""The files, by whose audit log they list."""


class Listed(msgspec.Struct, frozen=True):
    """One line of a list."""

    id: str
    name: str
    group: str
    product: str
    act: str
    object: str
    outcome: str
    more: str
    evidence: str


class Group(msgspec.Struct, frozen=True):
    """One line of `groups.tsv`: a category of Data Center whose actions no one has published."""

    id: str
    group: str
    product: str
    object: str
    ecs: str
    severity: str
    why: str
    evidence: str

    @property
    def meaning(self) -> Meaning:
        """What any action of the category means at least: what it is about, never what was done."""
        category, _, types = self.ecs.partition(":")
        return Meaning(
            product=self.product,
            object=self.object or None,
            category=(category,),
            types=tuple(types.split("+")),
            severity=int(self.severity),
            reason=self.why,
            layer="words",
        )


def groups() -> Iterator[Group]:
    """Give the categories of Data Center of which only the name is known."""
    for fields in _rows("groups"):
        yield Group(*fields)


def lines_of(name: str) -> Iterator[Listed]:
    """Give the lines of a list in their order."""
    for fields in _rows(name):
        yield Listed(*fields)


def _rows(name: str) -> Iterator[list[str]]:
    text = (files(__package__) / "known_actions" / f"{name}.tsv").read_text(encoding="utf-8")
    for line in text.splitlines()[1:]:
        yield line.split("\t")


def meaning_of(line: Listed, kinds: Kinds, vocabulary: Vocabulary) -> Meaning:
    """Return what a listed action means. Raises LookupError when `kinds.toml` has no line for it."""
    more = dict(item.split("=", 1) for item in line.more.split("; ") if item)
    found = kinds.line(vocabulary.kind(line.object), line.act)
    if found is None:
        msg = f"no meaning for {line.act} {line.object}"
        raise LookupError(msg)
    meaning = kinds.meaning(
        found,
        act=line.act,
        thing=line.object,
        outcome=cast("Any", line.outcome),
        layer="attested",
        person=cast("Person", more.get("subject", "")),
        name=line.name or None,
        product=line.product,
    )
    changed: dict[str, Any] = {}
    if "ecs" in more:
        category, _, types = more["ecs"].partition(":")
        changed |= {"category": (category,), "types": tuple(types.split("+"))}
    if "ocsf" in more:
        number, _, activity = more["ocsf"].partition("/")
        changed |= {"ocsf_class": int(number), "ocsf_activity": int(activity)}
    if "severity" in more:
        changed |= {"severity": int(more["severity"]), "reason": more["why"]}
    if "target" in more:
        changed["target"] = more["target"]
    return msgspec.structs.replace(meaning, **changed) if changed else meaning


class Records:
    """What is publicly known. A product's list is read when it is first asked for."""

    def __init__(self, kinds: Kinds, vocabulary: Vocabulary) -> None:
        self._kinds = kinds
        self._vocabulary = vocabulary
        self._products: dict[str, dict[tuple[str, str], Meaning]] = {}

    @cached_property
    def by_id(self) -> dict[str, Meaning]:
        """Actions of the organization's audit log whose id is known."""
        return {line.id: self._meaning(line) for line in lines_of("organization") if line.id}

    @cached_property
    def by_name(self) -> dict[str, Meaning]:
        """Actions of the organization's audit log by display name, in small letters."""
        return {line.name.casefold(): self._meaning(line) for line in lines_of("organization") if line.name}

    @cached_property
    def group_of(self) -> dict[str, str]:
        """The group of an action by its display name, both in small letters."""
        return {line.name.casefold(): line.group.casefold() for line in lines_of("organization") if line.name}

    def lines(self, name: str) -> Iterator[tuple[Listed, Meaning]]:
        """Give the lines of a list with their meaning."""
        return ((line, self._meaning(line)) for line in lines_of(name))

    def of_product(self, name: str, group: str, summary: str) -> Meaning | None:
        """Return what a record of a product's own audit log means.

        Args:
            name: `jira`, `confluence` or `datacenter`.
            group: The record's category.
            summary: What it says happened, or its i18n key or event class.
        """
        if name not in self._products:
            self._products[name] = self._index(name)
        known = self._products[name]
        key = summary.casefold()
        return known.get((group.casefold(), key)) or known.get(("", key))

    def of_group(self, product: str, group: str) -> Meaning | None:
        """Return what a record of Data Center means of which no more than its category, or that one's key, is known."""
        key = group.casefold()
        names = ((line, {line.id.casefold(), line.group.casefold()}) for line in groups() if line.product == product)
        return next((line.meaning for line, known in names if key and key in known), None)

    def _index(self, name: str) -> dict[tuple[str, str], Meaning]:
        """Index a list by group and name; a name that means the same in every group needs no group."""
        index: dict[tuple[str, str], Meaning] = {}
        alone: dict[str, set[tuple[str | None, str | None]]] = {}
        for line in lines_of(name):
            meaning = self._meaning(line)
            for key in filter(None, (line.name.casefold(), line.id.casefold())):
                index.setdefault((line.group.casefold(), key), meaning)
                index.setdefault(("", key), meaning)
                alone.setdefault(key, set()).add((meaning.act, meaning.object))
        for key, meanings in alone.items():
            if len(meanings) > 1:
                del index["", key]
        return index

    def _meaning(self, line: Listed) -> Meaning:
        return meaning_of(line, self._kinds, self._vocabulary)
