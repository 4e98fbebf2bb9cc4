"""Events by the Open Cybersecurity Schema Framework 1.8.0: one JSON object on one line.

`ocsf_classes` says which class an act gets; what a class has no place for stands under `unmapped`. `actor`, which some
classes lack, comes from the profile `host`. Absent facts are absent, but for the numbers that every event must have:
there 0 is Unknown, and 99 (Other) never stands without its text.

What stays the same from event to event is encoded once and kept as a *run*: the value of one member with the members
that follow it, written in the place of that one value. A run is always the inside of an object that the encoder made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import msgspec

from forwarder import __version__
from forwarder.catalogue.ocsf import BASE, OTHER, ocsf_classes, type_uid
from forwarder.contracts import AuditEvent, Authentication, FieldsConfig, Format, Record, UnexpectedPayload
from forwarder.formats.kit.json_lines import JsonLines
from forwarder.formats.kit.json_shortening import decode
from forwarder.formats.kit.memory import Memory
from forwarder.formats.kit.web import coordinates, domain
from forwarder.formats.ocsf.classes import FINDING, classify, user
from forwarder.formats.ocsf.document import (
    ActingUser,
    Endpoint,
    Event,
    HttpRequest,
    Location,
    Metadata,
    Session,
    SourcePlace,
    Unmapped,
)
from forwarder.formats.ocsf.fields import OcsfTemplate
from forwarder.formats.ocsf.observables import observe
from forwarder.formats.ocsf.shortening import shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

OCSF_VERSION = "1.8.0"

SEVERITIES = {0: "Unknown", 1: "Informational", 2: "Low", 3: "Medium", 4: "High", 5: "Critical"}
STATUSES = {"unknown": (0, "Unknown"), "success": (1, "Success"), "failure": (2, "Failure")}

_LONGEST_IP = 40  # of OCSF; an IPv4 address written as IPv6 may have 45
_WITHOUT_SOURCE = {BASE, FINDING}
_WITH_DESTINATION = {3002, 6001, 6003}
_ALIKE = {"app", "agent", "service_account"}
"""Kinds of actors that OCSF has one number for, or none."""

_NO_PLACE: tuple[msgspec.Raw | None, msgspec.Raw | None] = (None, None)


class ClassFields(NamedTuple):
    """What is the same for every event of an action in a class."""

    class_uid: int
    activity_id: int
    instead_of: tuple[int, int] | None
    action: str
    product: str | None
    action_name: str | None
    act: str | None
    object: str | None
    layer: str
    outcome: str
    reason: str | None
    severity: int
    feed: str
    organization: str
    organization_name: str | None


class OcsfFormat:
    """Renders OCSF. Not for use by several threads at once.

    Args:
        original: Whether `raw_data` holds the event as the API sent it.
    """

    writes: ClassVar[Literal["json", "line", "structured_data"]] = "json"
    needs_event: ClassVar[bool] = True
    keeps_original: ClassVar[bool] = True

    def __init__(self, *, original: bool = False) -> None:
        self._original = original
        self._encode = msgspec.json.Encoder().encode
        self._lines = JsonLines("OCSF", self._write)
        self._by_action: Memory[tuple[object, ...], tuple[msgspec.Raw, msgspec.Raw, msgspec.Raw]] = Memory(
            self._runs_of
        )
        self._places = Memory(self._place)
        self._sites = Memory(self._site)

    def render(self, records: Sequence[Record]) -> list[bytes | UnexpectedPayload]:
        """Return one JSON object per record, in order, without a line end."""
        return self._lines.render(records)

    def shrink(self, record: Record, limit: int) -> bytes | UnexpectedPayload:
        """Return the event in at most `limit` bytes, still valid: observables and the JSON of the API go first.

        Class, ids, time, action, who acted and what the class requires stay; a limit that cannot hold them is refused.
        The event is marked by `metadata.is_truncated`.
        """
        [body] = self.render([record])
        if isinstance(body, UnexpectedPayload):
            return body
        try:
            short = shorten(decode(body), len(body), limit)
        except RecursionError:
            return UnexpectedPayload("the event is nested too deeply to be shortened")
        return short or UnexpectedPayload(f"what must be said of this event takes more than {limit} bytes of OCSF")

    def with_fields(self, changes: FieldsConfig) -> Format:
        """Return this format with a sink's changes to what it writes. Raises ConfigError."""
        return OcsfTemplate(self, changes)

    def _write(self, record: Record, event: AuditEvent) -> Event:
        site = event.site
        actor, method = _acting(event)
        place, names = (
            self._places[event.geo, event.country, event.region, event.city]
            if event.geo or event.country or event.region or event.city
            else _NO_PLACE
        )
        ip, called = event.ip, event.source_address
        if ip is not None and len(ip) > _LONGEST_IP:
            ip, called = None, ip
        rest = Unmapped(
            _NOTHING,
            event.on_behalf_of,
            event.impersonated,
            method,
            event.target_user,
            event.target_group,
            event.target_role,
            event.content,
            event.space,
            site,
            event.app,
            names,
            None,
            event.domain,
            event.also,
            event.changes,
            event.context,
            event.container,
            event.actor.kind if event.actor is not None and event.actor.kind in _ALIKE else None,
        )
        made = Event(
            _NOTHING,
            event.time_ms,
            Metadata(
                _NOTHING,
                event.document_id,
                event.event_id,
                event.time_text,
                event.processed_ms,
                event.read_ms,
                event.marks,
                event.related,
            ),
            event.message,
            actor,
        )
        if ip is not None or called is not None:
            made.src_endpoint = Endpoint(ip, None, called, None, place)
        elif place is not None:
            rest.source = self._where(event)
        class_uid, activity_id = classify(event, made, rest)
        host = None
        if class_uid in _WITHOUT_SOURCE:
            made.src_endpoint = None
            rest.source = self._where(event)
            rest.user_agent = event.user_agent
        elif event.user_agent is not None:
            made.http_request = HttpRequest(event.user_agent)
        if site is not None and class_uid in _WITH_DESTINATION:
            made.dst_endpoint, host, whole = self._sites[site.id, site.name, site.url]
            if whole and site.key is None and site.api_url is None:
                rest.site = None
        wanted = (event.ocsf_class, event.ocsf_activity)
        made.activity_id, made.metadata.version, rest.layer = self._by_action[
            (
                class_uid,
                activity_id,
                None if wanted == (class_uid, activity_id) else wanted,
                event.action,
                event.product,
                event.action_name,
                event.act,
                event.object,
                event.layer,
                event.outcome,
                event.reason,
                event.severity,
                event.feed,
                event.organization,
                event.organization_name,
            )
        ]
        made.observables = observe(event, made, rest, host) or None
        made.unmapped = rest
        if event.late is not None:
            rest.late = event.late
        if self._original:
            made.raw_data = record.raw.decode("utf-8", "replace")
        return made

    def _runs_of(self, key: tuple[object, ...]) -> tuple[msgspec.Raw, msgspec.Raw, msgspec.Raw]:
        """Return class, metadata and the rest of what an action says, as runs without their first name."""
        fields = ClassFields._make(key)
        found = ocsf_classes()[fields.class_uid]
        caption = found.activities[fields.activity_id]
        own = fields.action or fields.act or caption
        severity = (fields.severity + 1) // 2
        head: dict[str, Any] = {
            "activity_id": fields.activity_id,
            "activity_name": own if fields.activity_id == OTHER else caption,
            "category_uid": found.category[0],
            "category_name": found.category[1],
            "class_uid": fields.class_uid,
            "class_name": found.name,
            "type_uid": type_uid(fields.class_uid, fields.activity_id),
            "type_name": f"{found.name}: {caption}",
            "severity_id": severity,
            "severity": SEVERITIES[severity],
        }
        if fields.class_uid != FINDING:  # there a status is how far people got with it
            head["status_id"], head["status"] = STATUSES[fields.outcome]
        head["status_detail"] = fields.reason
        metadata = {
            "version": OCSF_VERSION,
            "product": {"vendor_name": "Atlassian", "name": fields.product or "Atlassian"},
            "profiles": [found.profile] if found.profile else None,
            "log_name": fields.feed,
            "log_provider": "Atlassian",
            "loggers": [{"name": "audit-forwarder", "version": __version__}],
            "tenant_uid": fields.organization or None,
            "event_code": fields.action or None,
        }
        rest = {
            "layer": fields.layer,
            "act": fields.act,
            "object": fields.object,
            "action_name": fields.action_name,
            "severity": fields.severity or None,
            "outcome": fields.outcome if fields.class_uid == FINDING else None,
            "organization_name": fields.organization_name,
            "instead_of": type_uid(*fields.instead_of) if fields.instead_of and fields.instead_of[0] else None,
        }
        return self._run(head), self._run(metadata), self._run(rest)

    def _run(self, members: dict[str, Any]) -> msgspec.Raw:
        whole = self._encode({name: value for name, value in members.items() if value is not None})
        return msgspec.Raw(whole[whole.index(b":") + 1 : -1])

    def _place(
        self, key: tuple[str | None, str | None, str | None, str | None]
    ) -> tuple[msgspec.Raw | None, msgspec.Raw | None]:
        """Return where an address lies, and what OCSF cannot say of it: it wants codes where we have names."""
        geo, country, region, city = key
        code = country if country and len(country) == 2 and country.isascii() and country.isupper() else None
        if not city and not code:
            where = SourcePlace(geo=geo, country=country, region=region)
            return None, msgspec.Raw(self._encode(where))
        found = coordinates(geo) if geo else None
        lat, long = msgspec.json.decode(found).values() if found is not None else (None, None)
        where = SourcePlace(geo=None if found is not None else geo, country=None if code else country, region=region)
        names = self._encode(where)
        location = msgspec.Raw(self._encode(Location(city or None, code, lat, long)))
        return location, msgspec.Raw(names) if names != b"{}" else None

    def _site(self, key: tuple[str | None, str | None, str | None]) -> tuple[msgspec.Raw | None, str | None, bool]:
        """Return the site as an endpoint, its host, and whether that says everything."""
        ident, name, url = key
        host = domain(url) if url else None
        if not (ident or name or host):
            return None, None, False
        whole = url is None or url.rstrip("/") == f"https://{host}"
        return msgspec.Raw(self._encode(Endpoint(None, host, name, ident))), host, whole

    @staticmethod
    def _where(event: AuditEvent) -> SourcePlace | None:
        """Return where an act came from, for a class that cannot say it."""
        where = SourcePlace(event.ip, event.source_address, event.geo, event.country, event.region, event.city)
        return where if where != SourcePlace() else None


def _acting(event: AuditEvent) -> tuple[ActingUser | None, Authentication | None]:
    """Return who acted, and what `actor` cannot say of how he was authenticated."""
    who, auth = user(event.actor), event.authentication
    if auth is None:
        return (ActingUser(who) if who is not None else None), None
    named = auth.session_id is not None or auth.token_id is not None
    method = (
        Authentication(auth.type, None, auth.token_label, app_kind=auth.app_kind)
        if auth.type or auth.token_label or auth.app_kind
        else None
    )
    if who is None and not named and auth.app_id is None and auth.app_name is None:
        return None, method
    session = Session(auth.session_id, auth.token_id) if named else None
    return ActingUser(who, session, auth.app_id, auth.app_name), method


_NOTHING = msgspec.Raw()
"""Stands where a run is put in when the class is known."""
