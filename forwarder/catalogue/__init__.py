"""The catalogue: what every action means, in layers; every event says which of them decided.

0. `local`: records in the user's own files.
1. `attested`: `known_actions/*.tsv`, one for every publicly known action, by id, or by the display name that the
   organization gives an id.
2. `organization`: the organization's own list of actions (id, display name, groups), read as English.
3. `words`: the words of the id, then the verb that begins the message.
4. `unknown`: no category is pretended.

`vocabulary.toml` is the language, `grammar.py` reads it, `kinds.toml` says what an act done to a kind of thing is in
ECS and OCSF. Actions are an open set that others fill, so answers are remembered in bounded memory.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import msgspec

from forwarder.catalogue.grammar import Grammar
from forwarder.catalogue.kinds import Kinds
from forwarder.catalogue.known import Records
from forwarder.catalogue.meaning import UNKNOWN, Layer, Meaning, Outcome
from forwarder.catalogue.messages import Messages
from forwarder.catalogue.vocabulary import LONGEST_ACTION, Vocabulary
from forwarder.contracts import ListedAction

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

__all__ = [
    "UNKNOWN",
    "Catalogue",
    "Described",
    "Layer",
    "ListedAction",
    "Meaning",
    "Outcome",
    "UsesCatalogue",
    "load_catalogue",
]

REMEMBERED = 4096
MESSAGE_WORDS = 6
"""Words at the beginning of a message that are looked at; what follows is someone's title or name."""

LONGEST_SWITCH = 20
_SWITCHES = {
    **dict.fromkeys(("true", "on", "yes", "enabled", "enable", "active", "1"), True),
    **dict.fromkeys(("false", "off", "no", "disabled", "disable", "inactive", "0", "none"), False),
}
"""What a setting is now that is on or off."""

_PLACING = frozenset({"to", "from"})
"""Words behind which a message says where something was put: `Removed issue WEB-1 from sprint 7`."""


class Described(NamedTuple):
    """How a record of a product's own audit log describes what happened.

    Attributes:
        category: The log's own.
        summary: What happened, in words.
        key: The same as a key that does not change with the language, or nothing.
    """

    category: str
    summary: str
    key: str = ""

    @property
    def action(self) -> str:
        """The action: the key, or category and summary in small letters, each word joined to the next."""
        if self.key:
            return self.key
        return ".".join(
            filter(None, ("_".join(_LETTERS.findall(_APOSTROPHE.sub("", text.lower()))) for text in self[:2]))
        )


class Catalogue:
    """Answers what an action means. Not for use by several threads at once.

    Args:
        records: What is publicly known.
        grammar: Reads ids and names.
        messages: Reads how it went.
        local: The user's own records, by id.

    Attributes:
        remembered: Answers by action; emptied whenever the organization's list is read anew.
    """

    def __init__(
        self, records: Records, grammar: Grammar, messages: Messages, local: Mapping[str, Meaning] | None = None
    ) -> None:
        self.records = records
        self.grammar = grammar
        self._sentences = messages
        self.local = dict(local or {})
        self.remembered: dict[str, Meaning] = {}
        self._listed: dict[str, ListedAction] = {}
        self._messages: dict[tuple[str, bool], Meaning] = {}
        self._settings: dict[tuple[str, str, bool | None], Meaning] = {}
        self._outcomes: dict[tuple[Meaning, Outcome], Meaning] = {}
        self._recorded: dict[tuple[str, ...], Meaning] = {}

    def meaning(self, action: str) -> Meaning:
        """Return the meaning of `action`; never fails, whatever the text."""
        found = self.remembered.get(action)
        if found is not None:
            return found
        found = self._look_up(action)
        if len(action) <= LONGEST_ACTION:
            if len(self.remembered) >= REMEMBERED:
                self.remembered.clear()
            self.remembered[action] = found
        return found

    def meaning_of_record(self, feed: str, product: str, record: Described) -> Meaning:
        """Return the meaning of a record in the audit log of one product, by its key, or its category and summary.

        Args:
            feed: The list it is looked for in: `jira`, `confluence` or `datacenter`.
            product: Whose log it is: that is proved.
            record: How the record describes itself.
        """
        key = (feed, product, *record)
        found = self._recorded.get(key)
        if found is None:
            found = self._look_up_record(feed, product, record)
            if sum(map(len, record)) <= LONGEST_ACTION:
                if len(self._recorded) >= REMEMBERED:
                    self._recorded.clear()
                self._recorded[key] = found
        return found

    def _look_up_record(self, feed: str, product: str, record: Described) -> Meaning:
        known = self.local.get(record.action)
        for name in (record.key, record.summary):
            found = self.records.of_product(feed, record.category, name) if known is None and name else None
            if found is not None and found.product == product:
                known = found
        if known is None:
            words = self.grammar.meaning(record.summary, record.category, name=record.summary or None)
            if not words.category and record.key and (by_key := self.grammar.meaning(_end_of(record.key))).category:
                words = by_key
            known = words if words.act is not None else self.records.of_group(product, record.category) or words
        if known.layer == "local":
            return known
        return msgspec.structs.replace(known, product=product, presumed=None, name=known.name or record.summary or None)

    def learn(self, actions: Iterable[ListedAction]) -> None:
        """Take in the organization's own list; what was learnt before of other ids stays."""
        self._listed |= {action.id: action for action in actions}
        self.remembered.clear()
        self._settings.clear()

    @property
    def learnt(self) -> frozenset[str]:
        """The ids of every action that an organization listed."""
        return frozenset(self._listed)

    def listed(self, action: str) -> ListedAction | None:
        """Return an action as the organization lists it."""
        return self._listed.get(action)

    def meaning_of_message(self, message: str, actor: str | None = None) -> Meaning:
        """Return what the verb says with which a message begins, or nothing.

        Only the beginning counts, and only where it is not the name of whoever acted: the rest is in anybody's hand.
        """
        if actor and message.startswith(actor):
            return UNKNOWN
        words = message[:LONGEST_ACTION].split(None, MESSAGE_WORDS)[:MESSAGE_WORDS]
        if not words or not self.grammar.may_begin(words[0]):
            return UNKNOWN
        beginning = " ".join(takewhile(str.isalpha, words))
        placed = len(message) > LONGEST_ACTION or not _PLACING.isdisjoint(message.lower().split())
        found = self._messages.get((beginning, placed))
        if found is None:
            found = self.grammar.beginning(beginning, placed=placed)
            if len(self._messages) >= REMEMBERED:
                self._messages.clear()
            self._messages[beginning, placed] = found
        return found

    def meaning_of_setting(self, action: str, before: Meaning, setting: str, value: str | None = None) -> Meaning:
        """Return what a change of settings means when it says which setting: `AuthenticationPolicy` is no other.

        One that is now on or off was switched.
        """
        if before.object != "setting":
            return before
        on = _SWITCHES.get(value.strip().lower()) if value is not None and len(value) <= LONGEST_SWITCH else None
        found = self._settings.get((action, setting, on))
        if found is None:
            found = self.grammar.of_setting(before, setting, on)
            if len(action) + len(setting) <= LONGEST_ACTION:
                if len(self._settings) >= REMEMBERED:
                    self._settings.clear()
                self._settings[action, setting, on] = found
        return found

    def of_action(self, message: Meaning, action: Meaning) -> Meaning:
        """Return what a message says with the name and the product of the action; a message proves none."""
        presumed = message.product or message.presumed or self.grammar.home(message.object)
        return msgspec.structs.replace(
            message,
            product=action.product,
            presumed=None if action.product else action.presumed or presumed,
            name=action.name,
        )

    def is_told_elsewhere(self, meaning: Meaning, elsewhere: Collection[str]) -> bool:
        """Say whether an act, its thing or the kind of that is one of `elsewhere`."""
        return not {meaning.act, meaning.object, self.grammar.kind(meaning.object)}.isdisjoint(elsewhere)

    def outcome_of_message(self, action: str, before: Meaning, message: str, actor: str | None) -> Outcome:
        """Return how an act went of which the id says only what it is, by a message that names who acted."""
        return self._sentences.outcome(action, before, message, actor)

    def with_outcome(self, before: Meaning, outcome: Outcome, reason: str | None = None) -> Meaning:
        """Return a meaning with another outcome, and with the severity that this gives it."""
        key = (before, outcome)
        found = self._outcomes.get(key)
        if found is None:
            found = self.grammar.with_outcome(before, outcome)
            if len(self._outcomes) >= REMEMBERED:
                self._outcomes.clear()
            self._outcomes[key] = found
        return (
            msgspec.structs.replace(found, failure=before.failure or reason)
            if reason and outcome == "failure"
            else found
        )

    def with_power(self, before: Meaning, names: Iterable[str]) -> Meaning:
        """Return a meaning with more severity where a group or role that is named is one of administrators."""
        return self.grammar.with_power(before, names)

    def _look_up(self, action: str) -> Meaning:
        found = self.local.get(action) or self.records.by_id.get(action)
        if found is not None:
            return found
        words = self.grammar.meaning(action)
        listed = self._listed.get(action)
        if listed is None or not listed.name:
            return self._at_home(words, action, words.product)
        groups = " ".join(listed.groups)
        named = self.grammar.meaning(listed.name, groups, layer="organization", name=listed.name)
        record, proved = self._named(listed, words.product)
        if record is not None and (not proved or record.product == proved or not named.category):
            named = record
        if (not named.category and words.category) or (named.layer == "unknown" and words.layer != "unknown"):
            named = msgspec.structs.replace(words, name=listed.name)
        return self._at_home(named, action, proved, listed.name)

    def _named(self, listed: ListedAction, product: str | None) -> tuple[Meaning | None, str | None]:
        """Return the record that a display name has, and the product that id or group prove.

        The name proves none: several products create projects.
        """
        name = listed.name.casefold()
        record = self.records.by_name.get(name)
        groups = {group.casefold() for group in listed.groups}
        if product is None:
            in_groups = self.grammar.products(listed.groups)
            if len(in_groups) == 1:
                product = in_groups[0]
            elif in_groups:
                pass  # of several, none is proved
            elif record is not None and self.records.group_of[name] in groups:
                product = record.product
            elif _ADMINISTRATION in groups:
                product = "admin"
        return record, product

    def _at_home(self, found: Meaning, action: str, product: str | None, name: str = "") -> Meaning:
        """Return a meaning with the product that is proved, or else with one that is only presumed."""
        presumed = None
        if product is None:
            of_name = self.grammar.products([name]) if name else []
            home = self.grammar.home(found.object) if found.act is not None else None
            presumed = of_name[0] if of_name else home
            if found.product in _NO_PRODUCT:
                presumed = presumed or found.product
            if presumed is None and found.act is not None and not _ORGANIZATION.isdisjoint(_WORD.split(action.lower())):
                presumed = "admin"
        if found.product == product and found.presumed == presumed:
            return found
        return msgspec.structs.replace(found, product=product, presumed=presumed)


def _end_of(key: str) -> str:
    """Return what a key says behind whose log it is: `workflow.deleted` of `jira.auditing.workflow.deleted`."""
    words = key.split(".")
    start = max((place + 1 for place, word in enumerate(words) if word in _OF_LOGS), default=0)
    return " ".join(words[start:])


_OF_LOGS = frozenset({"auditing", "audit", "log", "logging", "summary", "action", "event"})
"""Words of a key that say that it is one of an audit log."""

_ADMINISTRATION = "users, groups and roles"
"""A group of the organization's own administration."""

_NO_PRODUCT = {"admin", "atlassian-account", "apps"}
"""What the records name as product and is none: only there the display name is enough."""

_ORGANIZATION = {"org", "orgs", "organization", "organisation"}
_WORD = re.compile(r"[^a-z]+")
_LETTERS = re.compile(r"[^\W_]+")
_APOSTROPHE = re.compile("['\u2019]")


@runtime_checkable
class UsesCatalogue(Protocol):
    """A normaliser that asks a catalogue, and takes another one for it."""

    def use(self, catalogue: Catalogue) -> None:
        """Take another catalogue from now on."""
        ...


def read_table(name: str) -> dict[str, Any]:
    """Return a TOML file of the catalogue."""
    return tomllib.loads((files(__package__) / name).read_text(encoding="utf-8"))


def load_catalogue(local: Mapping[str, Meaning] | None = None) -> Catalogue:
    """Return the catalogue that comes with the package, with what it may learn kept apart from every other one."""
    return Catalogue(*_of_package(), local)


@cache
def _of_package() -> tuple[Records, Grammar, Messages]:
    """Read what the package knows: it learns nothing, so all catalogues of a process share it."""
    kinds, vocabulary = Kinds(read_table("kinds.toml")), Vocabulary(read_table("vocabulary.toml"))
    grammar = Grammar(vocabulary, kinds)
    return Records(kinds, vocabulary), grammar, Messages(vocabulary, grammar)
