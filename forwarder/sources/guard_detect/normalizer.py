"""Alerts of Guard Detect to `AuditEvent`.

An alert says what a detector saw: who acted, what, on what, in which sessions. It states no severity and no outcome. Of
several sessions with several addresses none is *the* address; all of them are in `container`.
(developer.atlassian.com, Guard Detect, "SIEM webhook"; fields as seen in public code)
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.catalogue import Meaning
from forwarder.contracts import Actor, Also, AuditEvent, Thing
from forwarder.normalize.addresses import valid_ip, web_address
from forwarder.normalize.objects import kind_of, person, site_of
from forwarder.normalize.times import LAST_MS, TimeReader
from forwarder.sources.pushes import refused
from forwarder.sources.records import RecordNormalizer, as_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from forwarder.catalogue import Catalogue
    from forwarder.contracts import Record, UnexpectedPayload

NOT_SOUND = "it is not a sound JSON object"
NO_ALERT = "it is not an alert: it has no alertId, and nothing else that an alert has"
REASONS = NOT_SOUND, NO_ALERT
"""Why what was sent is kept as no alert."""

FINDING = 2004
_CREATE, _UPDATE = 1, 2  # activities of a finding
_DIGITS = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,30})?", re.ASCII)
_ALERT = Meaning(
    act="detect",
    object="alert",
    category=("intrusion_detection",),
    types=("info",),
    severity=7,
    reason="a detector raised an alert",
    ocsf_class=FINDING,
    ocsf_activity=_CREATE,
    layer="words",
)


class Times(msgspec.Struct, gc=False, omit_defaults=True):
    """When the activity began and ended."""

    start: str | int | None = None
    end: str | int | None = None


class Activity(msgspec.Struct, gc=False, omit_defaults=True):
    """What was done; the subject is a text or an object."""

    action: str | None = None
    time: Times | None = None
    subject: msgspec.Raw = msgspec.Raw()


class Session(msgspec.Struct, gc=False, omit_defaults=True):
    """A session of who acted."""

    ipAddress: str | None = None  # noqa: N815 - the product's own names, here and below
    userAgent: str | None = None  # noqa: N815
    loginTime: str | int | None = None  # noqa: N815
    lastActiveTime: str | int | None = None  # noqa: N815


class AlertActor(msgspec.Struct, gc=False, omit_defaults=True):
    """Who acted."""

    accountId: str | None = None  # noqa: N815
    name: str | None = None
    sessions: list[Session] = []
    url: str | None = None


class Where(msgspec.Struct, gc=False, omit_defaults=True):
    """Of which product and site."""

    product: str | None = None
    site: str | None = None


class Workspace(msgspec.Struct, gc=False, omit_defaults=True):
    """Of which workspace."""

    id: str | None = None
    cloudId: str | None = None  # noqa: N815
    orgId: str | None = None  # noqa: N815


class Alert(msgspec.Struct, gc=False, omit_defaults=True):
    """One alert; most members may be missing."""

    alertId: str | None = None  # noqa: N815
    alertTitle: str | None = None  # noqa: N815
    alertDetailURL: str | None = None  # noqa: N815
    detectionTime: int | str | None = None  # noqa: N815
    activity: Activity | None = None
    actor: AlertActor | None = None
    alert: Where | None = None
    type: str | None = None
    workspace: Workspace | None = None


class GuardDetectNormalizer(RecordNormalizer):
    """Gives alerts their meaning."""

    def __init__(self, catalogue: Catalogue | None = None) -> None:
        super().__init__("guard_detect", Alert, _no_record, catalogue)
        self._times = TimeReader()

    def normalize(self, records: Sequence[Record]) -> list[AuditEvent | UnexpectedPayload]:
        """Return one result per record, in order; what could not be read when it came cannot be now."""
        found = [refused(record.raw, REASONS) for record in records]
        events = iter(super().normalize([record for record, no in zip(records, found, strict=True) if no is None]))
        return [no if no is not None else next(events) for no in found]

    def _event(self, record: Record, decoded: Any, marks: tuple[str, ...]) -> AuditEvent:
        alert: Alert = decoded
        activity, who = alert.activity or Activity(), alert.actor or AlertActor()
        title, action = alert.alertTitle or None, activity.action or alert.type or ""
        meaning = self._catalogue.local.get(action) or _ALERT
        moment_ms = moment(alert.detectionTime, self._times)
        known = moment_ms is not None and moment_ms >= 0
        where, workspace = alert.alert or Where(), alert.workspace or Workspace()
        address = _only(session.ipAddress for session in who.sessions)
        ip = address if address and valid_ip(address) else None
        itself = Thing("alert", alert.alertId or None, None, title, web_address(alert.alertDetailURL))
        revised = "revision" in record.marks and (meaning.ocsf_class, meaning.ocsf_activity) == (FINDING, _CREATE)
        return AuditEvent(
            document_id=record.id,
            feed=record.origin.feed,
            organization=record.origin.organization,
            action=action or "alert",
            time_ms=moment_ms if moment_ms is not None and known else record.read_ms,
            read_ms=record.read_ms,
            event_id=alert.alertId or None,
            product=where.product.lower() if where.product else "guard_detect",
            action_name=title,
            act=meaning.act,
            layer=meaning.layer,
            category=meaning.category,
            types=meaning.types,
            outcome=meaning.outcome,
            severity=meaning.severity,
            object=meaning.object,
            ocsf_class=meaning.ocsf_class,
            ocsf_activity=_UPDATE if revised else meaning.ocsf_activity,
            actor=_actor(who),
            content=_subject(activity.subject),
            site=site_of(_host(where.site) or workspace.cloudId or ""),
            ip=ip,
            source_address=address if address and ip is None else None,
            user_agent=_only(session.userAgent for session in who.sessions),
            message=title,
            marks=(*marks, *_marks(alert, moment_ms)),
            time_text=str(alert.detectionTime) if alert.detectionTime is not None else None,
            context=_context(alert),
            container=as_json({"actor": alert.actor}) if alert.actor is not None else None,
            also=Also(things=(itself,)),
            is_alert=True,
        )


def moment(value: float | str | None, times: TimeReader) -> int | None:
    """Return epoch milliseconds of a time of an alert: that number, or a text of it or of ISO 8601, else None."""
    if isinstance(value, str):
        value = float(value) if _DIGITS.fullmatch(value) else times.read(value)
    return int(value) if value is not None and 0 <= value <= LAST_MS else None


def _no_record(decoded: Any, origin: Any) -> Any:
    raise NotImplementedError


def _actor(who: AlertActor) -> Actor | None:
    return person(who.accountId or "", who.name or "")


def _context(alert: Alert) -> msgspec.Raw | None:
    parts = {"activity": alert.activity, "alert": alert.alert, "workspace": alert.workspace}
    return as_json({name: part for name, part in parts.items() if part is not None})


def _subject(raw: msgspec.Raw) -> Thing | None:
    """Return what the activity was about: an object with a name or an id, or a text."""
    if not bytes(raw):
        return None
    subject = msgspec.json.decode(raw)
    if isinstance(subject, str):
        return Thing("object", None, None, subject) if subject else None
    if not isinstance(subject, dict):
        return None
    texts = {key: value for key, value in subject.items() if isinstance(value, str) and value}
    ident, name = texts.get("id") or texts.get("ari"), texts.get("name") or texts.get("title")
    if ident is None and name is None:
        return None
    return Thing(kind_of(texts.get("type", "")), ident, None, name, web_address(texts.get("url")))


def _host(site: str | None) -> str:
    """Return the host of a site that is written as one or as an address."""
    return (site or "").partition("://")[2].partition("/")[0] or (site or "").rstrip("/")


def _only(values: Iterable[str | None]) -> str | None:
    """Return the one value that there is, or None when there are several."""
    found = {value for value in values if value}
    return found.pop() if len(found) == 1 else None


def _marks(alert: Alert, moment_ms: int | None) -> tuple[str, ...]:
    if moment_ms is not None:
        return ()
    return "time_missing" if alert.detectionTime is None else "time_unreadable", "time_of_reading"
