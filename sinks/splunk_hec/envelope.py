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

from forwarder.contracts import AuditEvent, Late, Record, Rejection
from forwarder.net.json_size import QUICK, UNREADABLE, is_beyond_reading, why_unsound
from sinks.splunk_hec.settings import SplunkHecConfig, chosen

"""Formats whose bodies are JSON objects for certain; of others each body is looked at."""

_REMEMBERED = 1000
"""Most combinations of product, site and origin whose metadata is kept ready."""

_LONGEST_KEY = 1000
"""Characters of product and site of such a combination; what is longer comes from no one's good will."""

_LONGEST = 200
"""Characters of a metadata value."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Metadata:
    """Where a record goes.

    Attributes:
        head: All of it as members of a JSON object, with a comma at the end of each.
        fields: The indexed fields that follow from it, and the labels, as members of a JSON object.
    """

    host: str | None
    source: str | None
    sourcetype: str | None
    index: str | None
    head: bytes
    fields: bytes

    def query(self) -> dict[str, str]:
        """Return it as the parameters of `/raw`."""
        given = {"host": self.host, "source": self.source, "sourcetype": self.sourcetype, "index": self.index}
        return {name: value for name, value in given.items() if value is not None}


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


def _object(event: AuditEvent) -> Any:
    return event.content or event.target_group or event.space or event.app


_CONSTANT: dict[str, Callable[[AuditEvent], str | None]] = {
    "organization": lambda event: event.organization,
    "site": _site_of,
    "product": lambda event: event.product,
}
"""Indexed fields that follow from where a record goes, so that they are kept ready with its metadata."""

_FIELDS: dict[str, Callable[[Record, AuditEvent], str | int | None]] = {
    "event_id": lambda record, event: event.event_id or record.id,
    "document_id": lambda record, _: record.id,
    "action": lambda _, event: event.action or None,
    "outcome": lambda _, event: event.outcome,
    "severity": lambda _, event: event.severity,
    "actor": lambda _, event: (event.actor and event.actor.id) or None,
    "actor_name": lambda _, event: (event.actor and event.actor.name) or None,
    "actor_email": lambda _, event: (event.actor and event.actor.address) or None,
    "src_ip": lambda _, event: event.ip or None,
    "target_user": lambda _, event: (event.target_user and (event.target_user.id or event.target_user.name)) or None,
    "object_type": lambda _, event: ((thing := _object(event)) and thing.kind) or None,
    "object_id": lambda _, event: ((thing := _object(event)) and (thing.id or thing.key)) or None,
}
"""What each other indexed field holds; what is None is left out."""


class Wrapper:
    """Makes envelopes and metadata, as configured.

    Args:
        config: The sink's settings.
        format: Name of the format of the bodies.
        is_json: The bodies are JSON objects.
    """

    def __init__(self, config: SplunkHecConfig, format: str, *, is_json: bool) -> None:  # noqa: A002 -- it is what it is called
        self._config = config
        self._is_json = is_json
        self._sourcetype = "atlassian:audit" if format == "raw" else f"atlassian:audit:{format}"
        self._constant = {name: _CONSTANT[name] for name in config.indexed_fields if name in _CONSTANT}
        names = [name for name in config.indexed_fields if name in _FIELDS]
        self._getters = [_FIELDS[name] for name in names]
        self._fields_type = msgspec.defstruct("Fields", [(name, Any, None) for name in names], omit_defaults=True)
        self._ids = [name for name in names if name in {"event_id", "document_id"}]
        self._metadata: dict[tuple[Any, ...], Metadata] = {}

    def wrap(self, record: Record) -> bytes:
        """Return the envelope of a record."""
        event = record.event
        time_ms = record.read_ms if event is None else event.time_ms
        if time_ms < 0:  # before 1970, when no one recorded anything: Splunk takes no such time, the event tells it
            time_ms = max(record.read_ms, 0)
        metadata = self.metadata(record)
        own, common = self._fields(record, event), metadata.fields
        if record.late is not None:
            own = self._with_late(own, record.late)
        return b'{"time":%d.%03d,%b"event":%b%b%b%b%b%b}' % (
            time_ms // 1000,
            time_ms % 1000,
            metadata.head,
            record.body if self._is_json else _as_json(record.body),
            b',"fields":{' if own or common else b"",
            own,
            b"," if own and common else b"",
            common,
            b"}" if own or common else b"",
        )

    def metadata(self, record: Record) -> Metadata:
        """Return where a record goes."""
        event, origin = record.event, record.origin
        product, site = (event.product, event.site) if event is not None else (None, None)
        organization = event.organization if event is not None else None
        key = (
            *(product, site, organization, origin.source, origin.feed, origin.organization, origin.site),
            record.elsewhere,
        )
        found = self._metadata.get(key)
        if found is None:
            found = self._choose(record)
            texts = (product, site.id, site.key, site.name, site.url) if site is not None else (product,)
            if sum(len(text) for text in texts if text) <= _LONGEST_KEY:
                if len(self._metadata) >= _REMEMBERED:
                    self._metadata.clear()
                self._metadata[key] = found
        return found

    def _fields(self, record: Record, event: AuditEvent | None) -> bytes:
        """Return the fields that differ from record to record, as members of a JSON object."""
        if event is None:
            return _encode(dict.fromkeys(self._ids, record.id))[1:-1]
        values = [get(record, event) for get in self._getters]
        try:
            return _encode(self._fields_type(*values))[1:-1]
        except UnicodeEncodeError:
            return _encode(self._fields_type(*map(_whole, values)))[1:-1]

    def _with_late(self, fields: bytes, late: Late) -> bytes:
        """Return fields with those of an event that did not come as it happened, whatever its format can say of it."""
        found = {"late": late.kind, "late_seconds": late.seconds, "late_reader": late.reader or None}
        own = {name: value for name, value in found.items() if value is not None and name not in self._config.labels}
        return b",".join(filter(None, (fields, _encode(own)[1:-1])))

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

        late = config.late if record.elsewhere else None
        index = fill((late and late.index) or config.index)
        values = {
            "host": fill(config.host),
            "source": fill(config.source),
            "sourcetype": fill((late and late.sourcetype) or config.sourcetype or self._sourcetype),
            "index": index and _index_name(index),
        }
        given = {name: value for name, value in values.items() if value is not None}
        fields = {name: value for name, get in self._constant.items() if event is not None and (value := get(event))}
        return Metadata(
            **values,
            head=_encode(given)[1:-1] + b"," if given else b"",
            fields=_encode({name: _whole(value) for name, value in (fields | config.labels).items()})[1:-1],
        )


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
        if len(body) > QUICK and is_beyond_reading(body):
            return body if why_unsound(body) is None else _encode(body.decode("utf-8", "replace"))
        try:
            _decode(body)
        except UNREADABLE:
            pass
        else:
            return body
    return _encode(body.decode("utf-8", "replace"))


def _index_name(text: str) -> str:
    """Return a name that an index may have: a product of tomorrow may be called anything."""
    return re.sub(r"[^a-z0-9_-]", "_", text.lower()).lstrip("_-") or "unknown"


def _plain(text: str) -> str:
    """Return metadata from outside on one line, printable and short."""
    return "".join(char if char.isprintable() else " " for char in text[:_LONGEST]).strip()


def _whole(value: Any) -> Any:
    """Return a text without halves of surrogates: they have no place in UTF-8."""
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(value, str) else value
