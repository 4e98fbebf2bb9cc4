"""Which events a sink gets: rules of globs over where an event comes from and what it means.

An event passes when it matches any `include` rule (or there is none) and no `exclude` rule. A rule matches when every
field it names matches any of its globs, without regard to case; an absent fact matches nothing but `*`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fnmatch import translate

from forwarder.contracts import AuditEvent, Origin
from forwarder.contracts.settings import FilterRule

Facts = Callable[[Origin, AuditEvent | None], Sequence[str | None]]


def _site(origin: Origin, event: AuditEvent | None) -> Sequence[str | None]:
    site = event.site if event else None
    return (origin.site, site.id, site.name, site.key, site.url) if site else (origin.site,)


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
_OF_ORIGIN = {"source", "organization"}


class _Rule:
    def __init__(self, rule: FilterRule) -> None:
        self.tests: list[tuple[Facts, re.Pattern[str]]] = []
        self.needs_event = False
        for name, facts in _FACTS.items():
            globs = getattr(rule, name)
            if globs is None:
                continue
            globs = [globs] if isinstance(globs, str) else globs
            self.tests.append((facts, re.compile("|".join(map(translate, globs)) or r"(?!)", re.IGNORECASE)))
            self.needs_event |= name not in _OF_ORIGIN

    def matches(self, origin: Origin, event: AuditEvent | None) -> bool:
        return all(any(pattern.match(fact or "") for fact in facts(origin, event)) for facts, pattern in self.tests)


class Filter:
    """The filter of one lane; `active` is False when everything passes."""

    def __init__(self, include: Sequence[FilterRule] | None, exclude: Sequence[FilterRule] | None) -> None:
        self._include = None if include is None else [_Rule(rule) for rule in include]
        self._exclude = [_Rule(rule) for rule in exclude or ()]
        rules = [*(self._include or ()), *self._exclude]
        self.active = include is not None or bool(self._exclude)
        self.needs_event = any(rule.needs_event for rule in rules)

    def passes(self, origin: Origin, event: AuditEvent | None) -> bool:
        """Return True when the event is for this sink."""
        if self._include is not None and not any(rule.matches(origin, event) for rule in self._include):
            return False
        return not any(rule.matches(origin, event) for rule in self._exclude)
