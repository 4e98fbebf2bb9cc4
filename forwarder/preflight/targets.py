"""Which sinks write to the same place, however it is spelled."""

from __future__ import annotations

import ipaddress
import os
import posixpath
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from forwarder.assembly import build_sink, targets_and_identities
from forwarder.config.problems import Problem
from forwarder.contracts import ConfigError, Connects, ForwarderError
from forwarder.net.addresses import is_loopback
from forwarder.preflight.overlap import never_both

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from forwarder.config.settings import Settings
    from forwarder.contracts import Sink
    from forwarder.contracts.settings import SinkConfig

_ONE_WRITER = {"file": "two writers of one file cut each other's lines"}
"""Types for which no difference in formats or filters makes it work."""

_SAME_IDS = "elasticsearch"
"""The type that gives an event the same id in every sink, so that only the first of two is written."""

_WRITTEN_OTHERWISE = ("format", "original", "fields")
"""Settings by which two sinks write one event otherwise."""

_APART = (
    *("format", "include", "exclude", "fields", "token", "second_token", "username"),
    *("endpoint", "sourcetype", "source", "host", "facility", "app_name", "protocol"),
)
"""Settings by which a destination can tell two sinks apart."""


def same_logs(settings: Settings) -> Iterator[Problem]:
    """Yield a problem for each source that follows what an earlier one does; ids differ neither by case nor dashes."""
    _, identities = targets_and_identities(settings)
    first: dict[str, str] = {}
    for name, identity in identities.items():
        other = first.setdefault(one_spelling(identity), name)
        if other != name:
            what = f"follows the same log as {other} ({identity})"
            yield Problem(f"sources.{name}", what, "remove one: every event would come once anyway")


def one_spelling(identity: str) -> str:
    """Return what the identities of one log have in common, however its id is written; in a host each dash counts."""
    return identity.lower() if "." in identity else identity.lower().replace("-", "")


def same_targets(sinks: Mapping[str, Sink], configs: Mapping[str, SinkConfig]) -> Iterator[tuple[Problem, bool]]:
    """Yield a problem for each sink that writes where an earlier one does, and whether it may be meant all the same."""
    by_place: dict[Any, list[str]] = {}
    for name, sink in sinks.items():
        config = configs[name]
        others = by_place.setdefault(_place_of(sink, config), [])
        found = [(other, *_shared(config, configs[other])) for other in others]
        for other, why, note in sorted(found, key=lambda each: not each[1])[:1]:  # the worst of them says enough
            what = f"writes to the same place as {other}{f': {why or note}' if why or note else ''}"
            fix = "give it a place of its own, or remove one" if why else "see that this is what you want"
            yield Problem(f"sinks.{name}", what, fix), not why
        others.append(name)


async def shared_targets(settings: Settings) -> tuple[list[Problem], list[Problem]]:
    """Return what fails and what may be meant; sinks that cannot be built are left out, others name them."""
    sinks: dict[str, Sink] = {}
    for name, config in settings.sinks.items():
        with suppress(ConfigError):
            sinks[name] = build_sink(name, config)
    try:
        found = list(same_targets(sinks, settings.sinks))
    finally:
        for sink in sinks.values():
            with suppress(ForwarderError):
                await sink.close()
    return [each for each, may_be in found if not may_be], [each for each, may_be in found if may_be]


def _shared(one: SinkConfig, other: SinkConfig) -> tuple[str, str]:
    """Return why two sinks of one place cannot both be, and what is worth knowing when they can."""
    if why := _ONE_WRITER.get(one.type):
        return why, ""
    if one.type == _SAME_IDS:
        if never_both(one, other):
            return "", "no event can pass both filters"
        if any(getattr(one, name) != getattr(other, name) for name in _WRITTEN_OTHERWISE):
            return "an event that passes both filters has one id, and only the first of the two is written", ""
        if (one.include, one.exclude) != (other.include, other.exclude):
            return "", "an event that passes both filters is written once, unless the data stream rolls over in between"
        return "both give their events the same ids, and the second of two is never written", ""
    return "" if _told_apart(one, other) else "every event would come twice", ""


def _told_apart(one: SinkConfig, other: SinkConfig) -> bool:
    """Tell whether two sinks of one place write different things: other events, or the same ones otherwise."""
    return any(getattr(one, name, None) != getattr(other, name, None) for name in _APART)


def _place_of(sink: Sink, config: SinkConfig) -> tuple[Any, ...]:
    kind, _, rest = sink.target.partition(":")
    if rest == "-":
        return config.type, rest
    if rest.startswith("/") and kind == "file":
        return config.type, os.path.realpath(rest)
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return config.type, rest
    endpoints = list(sink.endpoints) if isinstance(sink, Connects) else []
    if endpoints:
        port = endpoints[0].port
    query = sorted(parse_qsl(urlsplit(str(getattr(config, "url", ""))).query, keep_blank_values=True))
    return config.type, _one_name(host), port, posixpath.normpath(f"/{unquote(parts.path)}").lstrip("/"), tuple(query)


def _one_name(host: str) -> str:
    host = host.lower().rstrip(".")
    if is_loopback(host):
        return "localhost"
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host
