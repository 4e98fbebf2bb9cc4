"""Wraps a rendered event for Splunk: time, metadata and indexed fields around the event itself.

Invariant: one record becomes one JSON object, whatever it contains; the body of a JSON format stands in it byte for
byte, any other body as a JSON text. Source: Splunk, "Format events for HTTP Event Collector".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec

from forwarder.contracts import AuditEvent, Record, Rejection
from sinks.splunk_hec_settings import SplunkHecConfig, chosen

_JSON_FORMATS = {"raw", "ecs"}
"""Formats whose bodies are JSON objects for certain; of others each body is looked at."""

_REMEMBERED = 1000
"""Most combinations of product, site and origin whose metadata is kept ready."""

_LONGEST = 200
"""Characters of a metadata value."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Metadata:
    """Where a record goes; `head` is the same as members of a JSON object, with a comma at the end of each."""

    host: str | None
    source: str | None
    sourcetype: str | None
    index: str | None
    head: bytes

    def query(self) -> dict[str, str]:
        """Return it as the parameters of `/raw`."""
        given = {"host": self.host, "source": self.source, "sourcetype": self.sourcetype, "index": self.index}
        return {name: value for name, value in given.items() if value is not None}


def _object(event: AuditEvent) -> Any:
    return event.content or event.target_group or event.space or event.app


_FIELDS: dict[str, Callable[[Record, AuditEvent], Any]] = {
    "event_id": lambda record, event: event.event_id or record.id,
    "document_id": lambda record, _: record.id,
    "organization": lambda _, event: event.organization,
    "site": lambda _, event: _site_of(event),
    "product": lambda _, event: event.product,
    "action": lambda _, event: event.action,
    "outcome": lambda _, event: event.outcome,
    "severity": lambda _, event: event.severity,
    "actor": lambda _, event: event.actor and event.actor.id,
    "actor_name": lambda _, event: event.actor and event.actor.name,
    "actor_email": lambda _, event: event.actor and event.actor.address,
    "src_ip": lambda _, event: event.ip,
    "target_user": lambda _, event: event.target_user and (event.target_user.id or event.target_user.name),
    "object_type": lambda _, event: (thing := _object(event)) and thing.kind,
    "object_id": lambda _, event: (thing := _object(event)) and (thing.id or thing.key),
}
"""What each indexed field holds: a text or a number; what is None or empty is left out."""


class Wrapper:
    """Makes envelopes and metadata, as configured.

    Args:
        config: The sink's settings.
        format: Name of the format of the bodies.
    """

    def __init__(self, config: SplunkHecConfig, format: str) -> None:  # noqa: A002 -- it is what it is called
        self._config = config
        self._is_json = format in _JSON_FORMATS
        self._sourcetype = "atlassian:audit" if format == "raw" else f"atlassian:audit:{format}"
        self._getters = [(name, _FIELDS[name]) for name in config.fields]
        self._unread = [name for name in config.fields if name in {"event_id", "document_id"}]
        self._labels = _encode(config.labels)[1:-1]
        self._metadata: dict[tuple[Any, ...], Metadata] = {}

    def wrap(self, record: Record) -> bytes:
        """Return the envelope of a record."""
        event = record.event
        time_ms = record.read_ms if event is None else event.time_ms
        if time_ms < 0:  # before 1970, when nobody recorded anything: Splunk takes no such time, the event tells it
            time_ms = max(record.read_ms, 0)
        body = record.body if self._is_json else _as_json(record.body)
        return b'{"time":%d.%03d,%b"event":%b,"fields":{%b}}' % (
            time_ms // 1000,
            time_ms % 1000,
            self.metadata(record).head,
            body,
            self._fields(record, event),
        )

    def metadata(self, record: Record) -> Metadata:
        """Return where a record goes."""
        event, origin = record.event, record.origin
        product, site = (event.product, event.site) if event is not None else (None, None)
        key = (product, site, origin.source, origin.feed, origin.organization, origin.site)
        found = self._metadata.get(key)
        if found is None:
            if len(self._metadata) >= _REMEMBERED:
                self._metadata.clear()
            found = self._metadata[key] = self._choose(record)
        return found

    def _fields(self, record: Record, event: AuditEvent | None) -> bytes:
        """Return the indexed fields as members of a JSON object."""
        if event is None:
            members = _encode(dict.fromkeys(self._unread, record.id))[1:-1]
        else:
            found = {name: value for name, get in self._getters if (value := get(record, event)) not in {None, ""}}
            try:
                members = _encode(found)[1:-1]
            except UnicodeEncodeError:  # half a surrogate has no place in UTF-8
                members = _encode({name: _whole(value) for name, value in found.items()})[1:-1]
        return b"%b,%b" % (members, self._labels) if members and self._labels else members or self._labels

    def _choose(self, record: Record) -> Metadata:
        config, event, origin = self._config, record.event, record.origin
        product = (event.product if event is not None else None) or "unknown"
        site = (_site_of(event) if event is not None else None) or origin.site or origin.organization
        facts = {
            "product": product,
            "organization": origin.organization or origin.site,
            "site": site,
            "feed": origin.feed,
            "source": origin.source,
        }

        def fill(choice: str | dict[str, str] | None) -> str | None:
            template = chosen(choice, product)
            return None if template is None else _plain(template.format_map(facts)) or None

        index = fill(config.index)
        values = {
            "host": fill(config.host),
            "source": fill(config.source),
            "sourcetype": fill(config.sourcetype or self._sourcetype),
            "index": index and _index_name(index),
        }
        given = {name: value for name, value in values.items() if value is not None}
        return Metadata(**values, head=_encode(given)[1:-1] + b"," if given else b"")


def refused(records: Sequence[Record], *, as_lines: bool) -> dict[int, Rejection]:
    """Return, by position, the records that Splunk would not take or would take for another number of events."""
    found: dict[int, Rejection] = {}
    for position, record in enumerate(records):
        body = record.body
        if len(body) < 3 or body.isspace() or (body[:1] == b"{" and body[1:-1].isspace()):
            found[position] = Rejection("blank", "the rendered event is empty")
        elif as_lines and (b"\n" in body or b"\r" in body):
            found[position] = Rejection("line_break", "the rendered event contains a line end")
    return found


def _as_json(body: bytes) -> bytes:
    if body[:1] == b"{":
        try:
            _decode(body)
        except (msgspec.DecodeError, ValueError, RecursionError):
            pass
        else:
            return body
    return _encode(body.decode("utf-8", "replace"))


def _site_of(event: AuditEvent) -> str | None:
    """Return the host of an event's site, or what else names it."""
    site = event.site
    if site is None:
        return None
    if site.url is not None:
        try:
            host = urlsplit(site.url).hostname
        except ValueError:
            host = None
        if host:
            return host
    return site.name or site.id


def _index_name(text: str) -> str:
    """Return a name that an index may have: a product of tomorrow may be called anything."""
    return re.sub(r"[^a-z0-9_-]", "_", text.lower()).lstrip("_-") or "unknown"


def _plain(text: str) -> str:
    """Return metadata from outside on one line, printable and short."""
    return "".join(char if char.isprintable() else " " for char in text[:_LONGEST]).strip()


def _whole(value: Any) -> Any:
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(value, str) else value
