"""Which events a sink gets: rules of globs over where an event comes from and what it means.

An event passes when it matches any `include` rule (or there is none) and no `exclude` rule. A rule matches when every
field it names matches any of its globs, without regard to case; an absent fact matches nothing but `*`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from fnmatch import translate
from typing import Protocol

from forwarder.contracts import AuditEvent, Origin
from forwarder.contracts.heartbeat import HEARTBEAT
from forwarder.contracts.settings import FilterRule
from forwarder.records.places import Places, sites_of

Facts = Callable[[Origin, AuditEvent | None], Sequence[str | None]]


def _site(origin: Origin, event: AuditEvent | None) -> Sequence[str | None]:
    urls = [event.site.url] if event is not None and event.site is not None and event.site.url else []
    return [*(name for names in sites_of(origin, event) for name in names), *urls] or (None,)


def _actor(_origin: Origin, event: AuditEvent | None) -> Sequence[str | None]:
    actor = event.actor if event else None
    return (actor.id, actor.address, actor.name) if actor else (None,)


_FACTS: dict[str, Facts] = {
    "source": lambda origin, _event: (origin.source,),
    "organization": lambda origin, _event: (origin.organization,),
    "site": _site,
    "product": lambda _origin, event: (event.product if event else None,),
    "action": lambda _origin, event: (event.action if event else None,),
    "actor": _actor,
}
_NO_PLACES = Places({})
_OF_ORIGIN = {"source", "organization"}


class _Rule:
    def __init__(self, rule: FilterRule, places: Places) -> None:
        self.rule = rule
        self.tests: list[tuple[Facts, re.Pattern[str]]] = []
        self.of_origin: list[tuple[Facts, re.Pattern[str]]] = []
        self.of_place: list[tuple[Facts, re.Pattern[str]]] = []
        for name, facts in {**_FACTS, "place": places.of}.items():
            globs = rule.source_globs() if name == "source" else getattr(rule, name)
            if globs is None:
                continue
            globs = [globs] if isinstance(globs, str) else globs
            test = facts, re.compile("|".join(map(translate, globs)) or r"(?!)", re.IGNORECASE)
            self.tests.append(test)
            if name in _OF_ORIGIN:
                self.of_origin.append(test)
            elif name == "place":
                self.of_place.append(test)

    def matches(self, origin: Origin, event: AuditEvent | None) -> bool:
        return _all_hold(self.tests, origin, event)

    def by_origin(self, origin: Origin) -> bool | None:
        """Return whether it matches every event of an origin, or none; None when that depends on the event."""
        if not _all_hold(self.of_origin, origin, None):
            return False
        # Of a log of one site every event lies where that site does, and perhaps elsewhere, too.
        placed = self.of_place if origin.site and _all_hold(self.of_place, origin, None) else []
        return True if len(self.of_origin) + len(placed) == len(self.tests) else None


def _all_hold(tests: list[tuple[Facts, re.Pattern[str]]], origin: Origin, event: AuditEvent | None) -> bool:
    return all(any(pattern.match(fact or "") for fact in facts(origin, event)) for facts, pattern in tests)


class Chooses(Protocol):
    """What decides which events a lane sends."""

    def by_origin(self, origin: Origin) -> bool | None:
        """Return whether every event of an origin passes, or none does; None when that depends on what it means."""
        ...

    def passes(self, origin: Origin, event: AuditEvent | None) -> bool:
        """Return True when the event is for this lane."""
        ...


class Filter:
    """The filter of one lane.

    Args:
        include: Rules of which an event must match one; None lets every event through.
        exclude: Rules of which it may match none.
        places: Where sites lie.
    """

    def __init__(
        self,
        include: Sequence[FilterRule] | None,
        exclude: Sequence[FilterRule] | None,
        places: Places = _NO_PLACES,
    ) -> None:
        self._include = None if include is None else [_Rule(rule, places) for rule in include]
        self._exclude = [_Rule(rule, places) for rule in exclude or ()]
        self._decided: dict[Origin, bool | None] = {}

    def by_origin(self, origin: Origin) -> bool | None:
        """Return whether every event of an origin passes, or none does; None when that depends on what it means."""
        if origin not in self._decided:
            self._decided[origin] = self._by_origin(origin)
        return self._decided[origin]

    def _by_origin(self, origin: Origin) -> bool | None:
        if origin.feed == HEARTBEAT:
            return True  # it says that this sink is reached, whatever else is for it
        included = [True] if self._include is None else [rule.by_origin(origin) for rule in self._include]
        excluded = [rule.by_origin(origin) for rule in self._exclude]
        if True in excluded or not any(found is not False for found in included):
            return False
        return True if True in included and all(found is False for found in excluded) else None

    def passes(self, origin: Origin, event: AuditEvent | None) -> bool:
        """Return True when the event is for this sink."""
        if self._include is not None and not any(rule.matches(origin, event) for rule in self._include):
            return False
        return not any(rule.matches(origin, event) for rule in self._exclude)

    def why_not(self, origin: Origin, event: AuditEvent | None) -> str:
        """Name the rule that keeps an event from the sink, for people; empty when it passes."""
        if origin.feed == HEARTBEAT:
            return ""
        for number, rule in enumerate(self._exclude, start=1):
            if rule.matches(origin, event):
                return f"rule {number} of exclude matches it: {_in_words(rule.rule)}"
        if self._include is None or any(rule.matches(origin, event) for rule in self._include):
            return ""
        rules = "; ".join(_in_words(rule.rule) for rule in self._include)
        return f"no rule of include matches it: {rules or 'there is none'}"


def _in_words(rule: FilterRule) -> str:
    return json.dumps(rule.model_dump(exclude_none=True), ensure_ascii=False)


class Chosen:
    """What a replay sends: events of a time that a rule names, among those that are for the sink.

    Args:
        filter_: Of the sink.
        where: What was asked for.
        since_ms, until_ms: When the events happened, epoch milliseconds, both included.
    """

    def __init__(self, filter_: Filter, where: Filter, since_ms: int, until_ms: int) -> None:
        self._filter = filter_
        self._where = where
        self._since_ms = since_ms
        self._until_ms = until_ms

    def by_origin(self, origin: Origin) -> bool | None:
        """Return False when no event of an origin is chosen; else that depends on its time. No heartbeat ever is."""
        if origin.feed == HEARTBEAT or self._filter.by_origin(origin) is False:
            return False
        return False if self._where.by_origin(origin) is False else None

    def passes(self, origin: Origin, event: AuditEvent | None) -> bool:
        """Return True when the event is chosen."""
        if event is None or not self._since_ms <= event.time_ms <= self._until_ms:
            return False
        return self._where.passes(origin, event) and self._filter.passes(origin, event)
