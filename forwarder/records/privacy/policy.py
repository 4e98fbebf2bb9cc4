"""What a sink's privacy makes of the raw JSON of an event, before anything is rendered from it.

Every text has a kind (`tables`), and every kind a treatment (`kinds`). Members that no table knows are unknown, and
their names are, too. Where all of that is left out, an ordinary event takes a shorter way (`quick`) to the same result.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import msgspec

from forwarder.net.json_size import QUICK, TOO_MUCH, is_beyond_reading
from forwarder.normalize.lenient import Unreadable, read_tree
from forwarder.records.privacy.kinds import LOST, Change, Kinds
from forwarder.records.privacy.quick import QUICK_FEEDS, Quick, Shapes, quick_shapes
from forwarder.records.privacy.rules import ANY, BY_RULE, with_rules
from forwarder.records.privacy.tables import EITHER, OTHER, TABLES, ByType, Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from forwarder.contracts.privacy import PrivacyConfig, Treatment
    from forwarder.records.privacy.pseudonyms import Pseudonyms

_NOTHING: Table = {}


@lru_cache(32)
def _quick_shapes(
    feed: str, treatments: tuple[tuple[str, Treatment], ...], ip: str, rules: tuple[tuple[str, Treatment], ...]
) -> Shapes | None:
    """Return what the short way is made of, which is the same for all sinks with the same settings."""
    return quick_shapes(with_rules(TABLES.get(feed, _NOTHING), dict(rules)), dict(treatments), ip)


class Privacy:
    """The privacy of one sink.

    Args:
        config: What is stored, left out, or given a pseudonym.
        pseudonyms: Makes them; None where nothing wants any.
        often: Whether it is worth while to prepare the short way.
    """

    def __init__(self, config: PrivacyConfig, pseudonyms: Pseudonyms | None, *, often: bool = True) -> None:
        self._quick_feeds = QUICK_FEEDS if often else frozenset()
        self._pseudonyms = pseudonyms
        self.active = config.active
        self._kinds = Kinds(config, pseudonyms)
        self._rules = config.fields
        self._by_feed: dict[str, Change] = {}
        self._by_table: dict[int, tuple[dict[str, Table], Callable[[dict[str, Any]], dict[str, Any]]]] = {}
        self._quick_by_feed: dict[str, Quick | None] = {}
        self._encode = msgspec.json.Encoder().encode
        for feed in self._quick_feeds if config.active else ():
            self._quick(feed)  # takes a third of a second, which no event is to wait for

    def look_at_key(self) -> None:
        """Look whether the key of the pseudonyms is another one, before the next events are made private with it."""
        if self._pseudonyms is not None:
            self._pseudonyms.look_again()

    def apply(self, feed: str, raw: bytes) -> bytes:
        """Return the event as this sink may see it, written anew: a member that stands twice hides nothing.

        Raises Unreadable when it is not JSON, or too much of it: then no one can tell what is in it. Raises OSError or
        ValueError when the key of the pseudonyms cannot be read.
        """
        if len(raw) > QUICK and is_beyond_reading(raw):
            raise Unreadable(TOO_MUCH)
        quick = self._quick(feed)
        if quick is not None and (made := quick.apply(raw)) is not None:
            return made
        tree, _ = read_tree(raw)
        try:
            return self._encode(self._change(feed)(tree))
        except RecursionError:
            raise Unreadable("the event is nested too deeply") from None

    def _quick(self, feed: str) -> Quick | None:
        if feed not in self._quick_by_feed:
            settings = tuple(self._kinds.treatments.items()), self._kinds.ip, tuple(self._rules.items())
            made = _quick_shapes(feed, *settings) if feed in self._quick_feeds else None
            alike = self._pseudonyms is None  # a pseudonym changes with the key
            self._quick_by_feed[feed] = made and Quick(made, self._kinds.change, always_alike=alike)
        return self._quick_by_feed[feed]

    def _change(self, feed: str) -> Change:
        if feed not in self._by_feed:
            self._by_feed[feed] = self._compiled(with_rules(TABLES.get(feed, _NOTHING), self._rules))
        return self._by_feed[feed]

    def _compiled(self, table: Table) -> Change:
        """Return what becomes of a value that a table describes."""
        if type(table) is str:
            if not table.startswith(BY_RULE):
                return self._kinds.change(table)
            treatment, _, kind = table.removeprefix(BY_RULE).partition(":")
            return self._kinds.by_rule(kind, cast("Treatment", treatment))
        if type(table) is list:
            return self._compiled(table[0])  # a list is looked through wherever it stands
        if type(table) is ByType:
            tables = {**table.tables, OTHER: table.other, EITHER: table.either}
            by_word, word = {name: self._compiled_object(inner) for name, inner in tables.items()}, table.word
            return self._objects(lambda tree: by_word[word(tree)](tree))
        return self._objects(self._compiled_object(table))

    def _objects(self, change_object: Change) -> Change:
        def change(value: Any) -> Any:
            if type(value) is dict:
                return change_object(value)
            if type(value) is list:
                return [found for each in value if (found := change(each)) is not LOST]
            return self._kinds.treat("unknown", value)

        return change

    def _compiled_object(self, table: dict[str, Table]) -> Callable[[dict[str, Any]], dict[str, Any]]:
        if (known := self._by_table.get(id(table))) is not None:  # most words of a type share one table
            return known[1]
        made = self._compiled_members(table)
        self._by_table[id(table)] = table, made  # with the table, so that its id remains its own
        return made

    def _compiled_members(self, table: dict[str, Table]) -> Callable[[dict[str, Any]], dict[str, Any]]:
        changes = {name: self._compiled(inner) for name, inner in table.items() if name != ANY}
        others = self._compiled(table[ANY]) if ANY in table else None
        treat = self._kinds.treat

        def change(tree: dict[str, Any]) -> dict[str, Any]:
            made: dict[str, Any] = {}
            for name, value in tree.items():
                known = changes.get(name, others)
                if known is None:
                    shown, found = treat("unknown", name), treat("unknown", value)  # users may have given the name
                    if shown is not LOST and found is not LOST:
                        made[shown] = found
                elif (found := known(value)) is not LOST:
                    made[name] = found
            return made

        return change


def unreadable(error: Unreadable) -> bytes:
    """Return what is shown in place of an event of which nobody can tell what is in it."""
    return msgspec.json.encode({"withheld": f"not shown: {error}"})
