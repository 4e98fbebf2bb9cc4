"""What repeats from row to row is written once: who acts, what is done, from where, how, on what, and so on.

Rows have its number. A table of all of it has a row for each number, and the columns of events are joined of both: a
row that is a dozen numbers costs DuckDB a tenth of one that is a text of JSON, and is sorted for less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from forwarder.investigate.columns import (
    CUT,
    SMALL,
    Act,
    Content,
    How,
    More,
    Place,
    Site,
    Space,
    Whence,
    Who,
    cut,
)
from forwarder.normalize.addresses import canonical_ip

if TYPE_CHECKING:
    from collections.abc import Hashable

    from forwarder.contracts import Actor, AuditEvent, Authentication, Thing
    from forwarder.investigate.columns import Group

MOST = 4 * 2**20
"""Bytes of groups, as JSON, that are known by their numbers; then all are forgotten, and what comes again has two
numbers."""


class Repeated:
    """Gives numbers to what repeats, from 1.

    Attributes:
        written: As JSON, what got a number and was not taken yet.
        size: Bytes of it.
        last: The highest number that was given.
        cut: Numbers of what has texts that were cut.
    """

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder().encode
        self._known: dict[type[Group], dict[Hashable, int]] = {}
        self._who = self._known[Who] = {}
        self._act = self._known[Act] = {}
        self._whence = self._known[Whence] = {}
        self._how = self._known[How] = {}
        self._site = self._known[Site] = {}
        self._space = self._known[Space] = {}
        self._content = self._known[Content] = {}
        self._more = self._known[More] = {}
        self._place = self._known[Place] = {}
        self._bytes = 0
        self.last = 0
        self.written: list[bytes] = []
        self.size = 0
        self.cut: set[int] = set()

    def clear(self) -> None:
        """Begin anew: rows to come are of another table."""
        self._forget()
        self.cut.clear()
        self.take()
        self.last = 0

    def take(self) -> list[bytes]:
        """Return, as JSON, what got a number since it was last asked."""
        taken, self.written, self.size = self.written, [], 0
        return taken

    def who(self, one: Actor | None, keys: tuple[str, ...], instance: str) -> int | None:
        """Return the number of who acts.

        Args:
            one: It.
            keys: What the product calls it besides the id.
            instance: Where ids are counted, when they are not Atlassian's.
        """
        if one is None and not keys:
            return None
        key = (one, keys, instance) if keys or instance else one
        known = self._who.get(key)
        if known:
            return known
        named = (one.id, one.name, one.address) if one is not None else (None, None, None)
        kind = one.kind if one is not None else None
        return self._add(key, Who(called(one, instance), *named, keys or None, kind))

    def act(self, event: AuditEvent) -> int:
        """Return the number of what was done."""
        key = (
            event.action, event.object, event.act, event.category, event.types, event.outcome, event.reason,
            event.severity, event.product, event.domain, event.is_alert, event.feed,
        )  # fmt: skip
        return self._act.get(key) or self._add(key, _act(event))

    def problem(self, act: Act) -> int:
        """Return the number of what a line is that is no event."""
        key = (act.feed, act.problem)
        return self._act.get(key) or self._add(key, act)

    def whence(self, event: AuditEvent) -> int:
        """Return the number of where an event came from."""
        key = (event.ip, event.source_address, event.country, event.region, event.city, event.user_agent)
        return self._whence.get(key) or self._add(key, Whence(_spelled_once(event.ip), *key[1:]))

    def how(self, one: Authentication | None) -> int | None:
        """Return the number of how an actor was authenticated."""
        if one is None:
            return None
        return self._how.get(one) or self._add(
            one, How(one.type, one.token_id, one.token_label, one.session_id, one.app_id, one.app_name)
        )

    def site(self, organization: str, one: Thing | None) -> int:
        """Return the number of an organization and its site."""
        key = (organization, one)
        known = self._site.get(key)
        if known:
            return known
        ident, name = (one.id, one.name or one.url) if one is not None else (None, None)
        return self._add(key, Site(organization or None, ident, name))

    def space(self, one: Thing | None) -> int | None:
        """Return the number of where content lies."""
        if one is None:
            return None
        return self._space.get(one) or self._add(one, Space(one.kind, one.id, one.key, one.name))

    def content(self, one: Thing | None) -> int | None:
        """Return the number of what an event is about."""
        if one is None:
            return None
        return self._content.get(one) or self._add(one, Content(one.kind, one.id, one.key, one.name, one.url))

    def more(self, one: More) -> int:
        """Return the number of what few events say."""
        key = self._encode(one)
        return self._more.get(key) or self._add(key, one)

    def place(self, place: Place) -> int:
        """Return the number of an object of evidence."""
        key = (place.source, place.object)
        return self._place.get(key) or self._add(key, Place(place.source, place.object))

    def _add(self, key: Hashable, group: Group) -> int:
        """Give a number. Raises ValueError where a text holds half a character."""
        kind = type(group)
        number = self.last + 1
        group.number = number
        written = self._encode(group)
        if len(written) > SMALL and (short := cut(group)) is not group:
            if isinstance(short, More):
                short.marks = (*(short.marks or ()), *(() if CUT in (short.marks or ()) else (CUT,)))
            written = self._encode(short)
            self.cut.add(number)
        if self._bytes + len(written) > MOST:
            self._forget()
        self._bytes += len(written)
        self._known[kind][key] = self.last = number
        self.written.append(written)
        self.size += len(written)
        return number

    def _forget(self) -> None:
        for known in self._known.values():
            known.clear()
        self._bytes = 0


def _spelled_once(ip: str | None) -> str | None:
    """Return an address in the spelling in which it is searched for; what is no address as it is."""
    try:
        return ip and canonical_ip(ip)
    except ValueError:
        return ip


def called(actor: Actor | None, instance: str) -> str | None:
    """Return the key of an actor in searches: the id, else the address in lower case, else the name."""
    if actor is None:
        return None
    if actor.address and not actor.id:
        return actor.address.lower()
    own = actor.id or actor.name
    return f"{instance}/{own}" if own and instance else own


def _act(event: AuditEvent) -> Act:
    code = f"{event.object}.{event.act}" if event.object and event.act and event.action else None
    return Act(
        "alert" if event.is_alert else "event",
        event.feed,
        event.action or None,
        code,
        code or event.action or None,
        event.category or None,
        event.types or None,
        event.outcome,
        event.reason,
        event.severity,
        event.product,
        event.domain,
    )
