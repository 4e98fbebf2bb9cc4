"""Which of the things that have one id is meant: ids of content are counted by each site, and by kind.

Page 10005 and issue 10005 are two things, and so are the issues 10005 of two sites. They are listed, never mixed, each
as `site/kind/id`, which finds it; an address of the web chooses by its host.

What is not said to differ is one thing: an event that names no site belongs to each of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.investigate.names import folded
from forwarder.investigate.questions.addresses import address, same_site
from forwarder.investigate.result import Candidate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from forwarder.investigate.asking import Asking
    from forwarder.investigate.result import Subject

THINGS = """
select content_kind kind, site_id, site_name, epoch_ms(min(t)) "first", epoch_ms(max(t)) "last", count(*) n,
  arg_max(content_name, t) title from lifetime group by all order by n desc, kind, site_id, site_name
"""

_THIS = """
create or replace table lifetime as select * from lifetime where (content_kind is null or content_kind in
  (select unnest($kinds))) and not (coalesce(site_id in (select unnest($other_ids)), false)
  or coalesce(site_name in (select unnest($other_names)), false))
"""

_ADDRESSES = """select distinct "value" from sightings where kind = 'url' and id = $who"""

_ALIKE = {"blog": "page"}
"""Kinds that are counted together, and may become each other."""


class _Thing(msgspec.Struct):
    kind: str | None
    ids: set[str]
    names: set[str]
    rows: list[dict[str, Any]]

    @property
    def site(self) -> str | None:
        """Return what to call its site: a host rather than a name."""
        return min(self.names, key=lambda name: ("." not in name, name), default=min(self.ids, default=None))

    def is_named(self, word: str) -> bool:
        """Tell whether a word is its kind or its site."""
        return word in {self.kind, *self.ids} or any(same_site(name, word) for name in self.names)

    def said(self, ident: str, kinds: bool) -> str:
        return "/".join(filter(None, (self.site, self.kind if kinds or not self.site else None, ident)))


def choose(asking: Asking, subject: Subject, typed: str) -> Subject:
    """Leave in `lifetime` the events of the thing that is meant; return the subject, with a list of several."""
    things = _things(asking.run("which things have this id", THINGS))
    words = _words(subject, typed)
    named = [one for one in things if words and all(map(one.is_named, words))]
    if len(things) < 2 and (named or not words or not things or _may_lie_there(asking, subject, things[0], typed)):
        return subject
    if len(named) == 1:
        [this] = named
        others = [one for one in things if one is not this]
        asking.run(
            "the one that is meant",
            _THIS,
            kinds=[this.kind, *(kind for kind, like in _ALIKE.items() if like == this.kind)],
            other_ids=sorted({ident for one in others for ident in one.ids} - this.ids),
            other_names=sorted({name for one in others for name in one.names} - this.names),
        )
        return msgspec.structs.replace(subject, name=_title(this) or subject.name)
    kinds = len({one.kind for one in things}) > 1
    listed = tuple(_candidate(one, subject.id or "", kinds) for one in named or things)
    return msgspec.structs.replace(subject, id=None, name=None, candidates=listed)


def _words(subject: Subject, typed: str) -> list[str]:
    """Return what was typed besides an id: the host of an address, or what stands before it in `site/kind/id`."""
    typed = typed.strip()
    if typed == subject.id or any(folded(typed) in folded(name) for name in subject.names):
        return []
    at = address(typed)
    return typed.split("/")[:-1] if at is None else [at.host]


def _may_lie_there(asking: Asking, subject: Subject, thing: _Thing, typed: str) -> bool:
    """Tell whether a thing may be at an address: its events name no site, or gave it an address of that host."""
    at = address(typed)
    if at is None or not thing.names:
        return at is not None
    known = asking.run("addresses of this id", _ADDRESSES, who=subject.id)
    return any(same_site(row["value"], at.host) for row in known)


def _things(rows: Sequence[dict[str, Any]]) -> list[_Thing]:
    """Return the things that differ; events that do not say of which they are count with the first that they fit."""
    found: list[_Thing] = []
    for row in sorted(rows, key=lambda row: (row["kind"] is None, row["site_id"] is None, row["site_name"] is None)):
        kind, ids, names = _ALIKE.get(row["kind"], row["kind"]), _some(row["site_id"]), _some(row["site_name"])
        own = next((one for one in found if not _differ(one, kind, ids, names)), None)
        if own is None:
            found.append(_Thing(kind, ids, names, [row]))
        else:
            own.ids |= ids
            own.names |= names
            own.rows.append(row)
    return sorted(found, key=lambda one: -sum(row["n"] for row in one.rows))


def _differ(thing: _Thing, kind: str | None, ids: set[str], names: set[str]) -> bool:
    if kind is not None and thing.kind is not None and kind != thing.kind:
        return True
    if ids & thing.ids or any(same_site(one, other) for one in names for other in thing.names):
        return False
    return bool((ids and thing.ids) or (names and thing.names))


def _some(value: str | None) -> set[str]:
    return set() if value is None else {value}


def _title(thing: _Thing) -> str | None:
    return next((row["title"] for row in sorted(thing.rows, key=lambda row: -row["last"]) if row["title"]), None)


def _candidate(thing: _Thing, ident: str, kinds: bool) -> Candidate:
    first, last = min(row["first"] for row in thing.rows), max(row["last"] for row in thing.rows)
    return Candidate(thing.said(ident, kinds), _title(thing), None, first, last, sum(row["n"] for row in thing.rows))


def spellings(text: str) -> Iterable[str]:
    """Return what of `site/kind/id` is the id."""
    return () if "://" in text or "/" not in text else (text.rpartition("/")[2],)
