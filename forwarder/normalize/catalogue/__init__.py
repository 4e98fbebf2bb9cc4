"""The catalogue: what every action means, in layers; every event says which of them decided.

0. `local`: records in the user's own files.
1. `attested`: `records/*.tsv`, one for every publicly known action, by id, or by the display name that the organization
   gives an id.
2. `organization`: the organization's own list of actions (id, display name, groups), read as English.
3. `words`: the words of the id, then the verb that begins the message.
4. `unknown`: no category is pretended.

`words.toml` is the language, `grammar.py` reads it, `kinds.toml` says what an act done to a kind of thing is in ECS and
OCSF. Actions are an open set that others fill, so answers are remembered in bounded memory.
"""

from __future__ import annotations

import tomllib
from importlib.resources import files
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from forwarder.contracts import ListedAction
from forwarder.normalize.catalogue.grammar import Grammar
from forwarder.normalize.catalogue.kinds import Kinds
from forwarder.normalize.catalogue.meaning import UNKNOWN, Layer, Meaning, Outcome
from forwarder.normalize.catalogue.records import Records
from forwarder.normalize.catalogue.words import LONGEST_ACTION, Vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["UNKNOWN", "Catalogue", "Layer", "ListedAction", "Meaning", "Outcome", "UsesCatalogue", "load_catalogue"]

REMEMBERED = 4096
MESSAGE_WORDS = 6
"""Words at the beginning of a message that are looked at; what follows is somebody's title or name."""

_PLACING = frozenset({"to", "from"})
"""Words behind which a message says where something was put: `Removed issue WEB-1 from sprint 7`."""


class Catalogue:
    """Answers what an action means. Not for use by several threads at once.

    Args:
        records: What is publicly known.
        grammar: Reads ids and names.
        local: The user's own records, by id.

    Attributes:
        remembered: Answers by action; emptied whenever the organization's list is read anew.
    """

    def __init__(self, records: Records, grammar: Grammar, local: Mapping[str, Meaning] | None = None) -> None:
        self.records = records
        self.grammar = grammar
        self.local = dict(local or {})
        self.remembered: dict[str, Meaning] = {}
        self._listed: dict[str, ListedAction] = {}
        self._messages: dict[tuple[str, bool], Meaning] = {}
        self._settings: dict[tuple[str, str], Meaning] = {}

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

    def meaning_of_setting(self, action: str, before: Meaning, setting: str) -> Meaning:
        """Return what a change of settings means when it says which setting: `AuthenticationPolicy` is no other."""
        if before.object != "setting":
            return before
        found = self._settings.get((action, setting))
        if found is None:
            found = self.grammar.of_setting(before, setting)
            if len(action) + len(setting) <= LONGEST_ACTION:
                if len(self._settings) >= REMEMBERED:
                    self._settings.clear()
                self._settings[action, setting] = found
        return found

    def _look_up(self, action: str) -> Meaning:
        found = self.local.get(action) or self.records.by_id.get(action)
        if found is not None:
            return found
        listed = self._listed.get(action)
        name = listed.name if listed is not None and listed.name else None
        if listed is not None and name is not None:
            found = self.records.by_name.get(name.casefold())
            if found is None:
                found = self.grammar.meaning(name, " ".join(listed.groups), layer="organization", name=name)
            if found.category:
                return found
        words = self.grammar.meaning(action, name=name)
        return found if found is not None and found.layer != "unknown" and not words.category else words


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
    """Read the catalogue that comes with the package."""
    kinds, vocabulary = Kinds(read_table("kinds.toml")), Vocabulary(read_table("words.toml"))
    return Catalogue(Records(kinds, vocabulary), Grammar(vocabulary, kinds), local)
