"""In which places the sites of an event lie, as the configuration maps them, and what no sink is there for.

Invariant: every event is in at least one place: in those of its sites, in `other` for a site that is in none, in
`unknown` when it names no site, or was not read to its end. So a rule can always name it, and what no rule names is
counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from fnmatch import translate
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from forwarder.contracts import AuditEvent, Origin, Record, Thing
    from forwarder.records.filters import Filter

OTHER, UNKNOWN = "other", "unknown"
"""Where a site lies that is in no place of the configuration, and where an event lies that names no site, or was not
read to its end."""

_REMEMBERED = 4096
_HOSTS = ".atlassian.net"


class Places:
    """Finds the places of an event.

    Args:
        places: Ids, names, hosts or addresses of sites, or globs of them, by place.
    """

    def __init__(self, places: Mapping[str, Sequence[str]]) -> None:
        self._places = [(name, _pattern(sites)) for name, sites in places.items()]
        self._known: dict[tuple[str, ...], tuple[str, ...]] = {}

    def of(self, origin: Origin, event: AuditEvent | None) -> Sequence[str]:
        """Return the places of an event's sites, at least one."""
        found: dict[str, None] = {}
        for names in sites_of(origin, event):
            found.update(dict.fromkeys(self._of_site(names)))
        if event is not None and "truncated" in event.marks:  # what was not read may have named another site
            found[UNKNOWN] = None
        return [*found] or (UNKNOWN,)

    def _of_site(self, names: tuple[str, ...]) -> tuple[str, ...]:
        found = self._known.get(names)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = tuple(place for place, pattern in self._places if any(map(pattern.match, names))) or (OTHER,)
            self._known[names] = found
        return found


def sites_of(origin: Origin, event: AuditEvent | None) -> Iterator[tuple[str, ...]]:
    """Yield what each site of an event is called: its id, name, key and host, and `acme` of `acme.atlassian.net`."""
    if origin.site:
        yield _with_short(origin.site)
    if event is None:
        return
    if event.site is not None and (names := _names(event.site)):
        yield names
    for thing in event.also.things if event.also is not None else ():
        if thing.kind == "site" and (names := _names(thing)):
            yield names


def _names(site: Thing) -> tuple[str, ...]:
    named = filter(None, (site.id, site.name, site.key, host_of(site.url) if site.url else None))
    return tuple(dict.fromkeys(each for name in named for each in _with_short(name)))


def _with_short(name: str) -> tuple[str, ...]:
    """Return a name, plainly written as well, and of a host of Atlassian's what people and `sites` call it."""
    plain = (host_of(name) if "/" in name else name).strip().rstrip(".").lower()
    return tuple(dict.fromkeys((name, plain, plain.removesuffix(_HOSTS))))


def host_of(text: str) -> str:
    """Return the host of an address, or the text itself where it is none."""
    try:
        return urlsplit(text).hostname or text
    except ValueError:
        return text


def _pattern(sites: Sequence[str]) -> re.Pattern[str]:
    return re.compile(
        "|".join(translate(host_of(site).strip().rstrip(".")) for site in sites) or r"(?!)", re.IGNORECASE
    )


class Unrouted:
    """Counts the events that the filters of all sinks leave out.

    Of the lanes that must understand an event to decide, the first counts; where the source alone decides for all of
    them, the first of all does. So each event counts once, and none is read for the sake of it.

    Args:
        filters: Of every sink, in the order of the configuration.
        count: Told the name of a source and how many more of its events no sink is there for.
    """

    def __init__(self, filters: Mapping[str, Filter], count: Callable[[str, int], None]) -> None:
        self._filters = filters
        self._count = count
        self._by_origin: dict[Origin, tuple[str | None, list[Filter]]] = {}

    def left_out(self, sink: str, origin: Origin, number: int) -> None:
        """Note that a sink takes nothing of an origin, and left out so many events of it."""
        counts, others = self._counting(origin)
        if counts == sink and not others and number:
            self._count(origin.source, number)

    def filtered(self, sink: str, records: Sequence[Record], kept: Collection[int]) -> None:
        """Note which records a sink keeps of those that it had to understand; the others it leaves out."""
        origin = records[0].origin
        counts, others = self._counting(origin)
        if counts != sink:
            return
        number = sum(
            1
            for record in records
            if record.seq not in kept and not any(each.passes(origin, record.event) for each in others)
        )
        if number:
            self._count(origin.source, number)

    def forget(self) -> None:
        """Forget what was found of the filters, for they have changed."""
        self._by_origin.clear()

    def _counting(self, origin: Origin) -> tuple[str | None, list[Filter]]:
        """Return the sink that counts, and the filters of those that may want what it leaves out."""
        found = self._by_origin.get(origin)
        if found is None:
            decided = {name: chosen.by_origin(origin) for name, chosen in self._filters.items()}
            undecided = [name for name, passes in decided.items() if passes is None]
            if True in decided.values():
                found = None, []
            elif undecided:
                found = undecided[0], [self._filters[name] for name in undecided[1:]]
            else:
                found = next(iter(decided), None), []
            self._by_origin[origin] = found
        return found
