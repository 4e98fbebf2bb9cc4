"""Places and the fields of a privacy: names that nothing bears, and events that no sink is there for."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from forwarder.config.problems import Problem
from forwarder.records.places import OTHER, UNKNOWN, host_of
from forwarder.records.privacy import odd_paths

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forwarder.config.settings import Settings
    from forwarder.contracts.settings import FilterRule, SinkConfig

RESERVED = (OTHER, UNKNOWN)


def odd_places(settings: Settings) -> Iterator[Problem]:
    """Yield places with a name that is taken, and sites that lie in two of them."""
    where: dict[str, str] = {}
    for place, sites in settings.places.items():
        if place in RESERVED:
            yield Problem(f"places.{place}", "this name stands for what is in no place", "choose another")
        for index, site in enumerate(sites):
            path, known = f"places.{place}.{index}", where.setdefault(host_of(site).lower(), place)
            if not site.strip() or site != site.strip():
                yield Problem(path, "not the name of a site", "write an id, a name or a host, without spaces")
            elif known != place:
                yield Problem(path, f"this site is in {known}, too", "leave it in one of them")


def odd_fields(settings: Settings) -> Iterator[Problem]:
    """Yield paths of `privacy.fields` and `redact.fields` that name nothing in an event."""
    privacies = {f"sinks.{name}.privacy": sink.privacy for name, sink in settings.sinks.items()}
    privacies |= {f"sources.{name}.redact": source.redact for name, source in settings.sources.items()}
    for at, config in privacies.items():
        for path, fix in odd_paths(config.fields):
            yield Problem(f"{at}.fields", f"no event has {path}", fix)


def unrouted_places(settings: Settings) -> Iterator[Problem]:
    """Yield places whose events no sink is there for, where all sinks are chosen by place."""
    if not settings.places:
        return
    for place in (*settings.places, *RESERVED):
        if any(_may_take(sink, place) for sink in settings.sinks.values()):
            continue
        meant = {OTHER: "sites that are in no place", UNKNOWN: "events that name no site"}.get(
            place, f"sites in {place}"
        )
        yield Problem(
            "places", f"{meant} match no sink: they are read, counted and sent to no one",
            f"name {place} as place in the include of a sink, unless this is meant",
        )  # fmt: skip


def _may_take(sink: SinkConfig, place: str) -> bool:
    excluded = any(_only_place(rule) and _names(rule, place) for rule in sink.exclude or [])
    included = sink.include is None or any(rule.place is None or _names(rule, place) for rule in sink.include)
    return included and not excluded


def _only_place(rule: FilterRule) -> bool:
    return [*rule.model_dump(exclude_none=True)] == ["place"]


def _names(rule: FilterRule, place: str) -> bool:
    globs = [rule.place] if isinstance(rule.place, str) else rule.place or []
    return any(fnmatchcase(place, glob.lower()) for glob in globs)
