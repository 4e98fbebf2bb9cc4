"""Addresses and times that can be used, and are known not to be meant: another program's port, a page for people."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from forwarder.config.leaves import leaves
from forwarder.config.problems import Problem, dotted
from forwarder.contracts.units import duration_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forwarder.config.settings import Settings

_PORTS = {
    "elasticsearch": {
        5601: "Kibana's port; Elasticsearch itself usually has 9200",
        9300: "the port by which the nodes speak with each other; clients use 9200",
    },
    "splunk_hec": {
        8000: "the port of Splunk Web; the HTTP Event Collector usually has 8088",
        8089: "the port of Splunk's management; the HTTP Event Collector usually has 8088",
        9997: "the port of Splunk's own forwarders; the HTTP Event Collector usually has 8088",
    },
}
_SYSLOG_TLS = 6514
_TO_LISTEN_ON = {"0.0.0.0", "::"}
_SURE = "see that this is what you want"
_NO_PATH = "leave out the path; the sink puts its own behind the address"
_THE_API = "write https://api.atlassian.com, or leave it out"
_PEOPLE = {
    "admin.atlassian.com": "the pages for people",
    "id.atlassian.com": "the pages for people",
    "atlassian.net": "the address of a site",
}


def times_to_come(settings: Settings) -> Iterator[Problem]:
    """Yield a problem for each sink that would begin in the future: the spool refuses it."""
    for name, sink in settings.sinks.items():
        try:
            moment = datetime.fromisoformat(sink.start or "")
        except ValueError:
            continue
        if moment.replace(tzinfo=moment.tzinfo or UTC) > datetime.now(UTC):
            yield Problem(f"sinks.{name}.start", "a time in the future", "write now, or a time that has passed")


def odd_addresses(settings: Settings) -> Iterator[Problem]:
    """Yield a problem for each address at which something else than the destination is known to answer."""
    for path, value, _ in leaves(settings, ()):
        if not isinstance(value, str) or "://" not in value or path[0] not in {"sources", "sinks"}:
            continue
        try:
            parts = urlsplit(value)
            port = parts.port
        except ValueError:
            continue
        kind = getattr(getattr(settings, str(path[0]))[str(path[1])], "type", "")
        if what := _odd(parts, port, kind, str(path[-1])):
            yield Problem(dotted(path), *what)


def odd_times(settings: Settings) -> Iterator[Problem]:
    """Yield a problem for each pair of times of which one never comes."""
    for name, sink in settings.sinks.items():
        if sink.confirm_every > sink.confirm_within:
            every, within = duration_text(sink.confirm_every), duration_text(sink.confirm_within)
            what = f"unconfirmed events are sent again after {within}, before the sink is asked (every {every})"
            yield Problem(f"sinks.{name}.confirm_within", what, "write more than confirm_every")
    for section, parts in (("sources", settings.sources), ("sinks", settings.sinks)):
        for name, part in parts.items():
            http = getattr(part, "http", None)
            if http is not None and http.connect_timeout > http.total_timeout:
                what = f"the whole request has {duration_text(http.total_timeout)}, less than connect_timeout alone"
                yield Problem(f"{section}.{name}.http.total_timeout", what, "write more than connect_timeout")


def _odd(parts: SplitResult, port: int | None, kind: str, key: str) -> tuple[str, str] | None:
    host, path = (parts.hostname or "").rstrip("."), parts.path
    for_people = next((name for name in _PEOPLE if host == name or host.endswith(f".{name}")), "")
    of_source = key == "base_url" and kind == "organization"
    odd: tuple[tuple[object, str, str], ...] = (
        (host in _TO_LISTEN_ON, "an address to listen on, not to send to", "write that of the machine, or 127.0.0.1"),
        (port in _PORTS.get(kind, {}), f"{port} is {_PORTS.get(kind, {}).get(port or 0)}", _SURE),
        (kind == "elasticsearch" and {"_bulk", "_doc", "_create"} & set(path.split("/")),
         "its path names an API of Elasticsearch", _NO_PATH),
        (kind == "splunk_hec" and path.startswith(("/services", "/en-")), "its path is one of Splunk's own", _NO_PATH),
        (of_source and for_people, f"{for_people} is {_PEOPLE.get(for_people)}, not the API", _THE_API),
        (of_source and host == "api.atlassian.com" and path.strip("/"), "the source itself writes the path", _THE_API),
        (kind == "syslog" and parts.scheme in {"tcp", "udp"} and port == _SYSLOG_TLS,
         "6514 is the port of syslog over TLS", "write tls://, or see that this is what you want"),
    )  # fmt: skip
    return next(((what, fix) for is_so, what, fix in odd if is_so), None)
