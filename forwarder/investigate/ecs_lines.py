"""Lines of ECS, as a sink writes them, back to events: for answers from the files of a `file` sink.

A line that holds `event.original` is understood anew by its normaliser; another one is taken as it stands. ECS has one
`user.effective`: after an impersonation it is as whom it was done, else for whom.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from forwarder.contracts import Actor, Also, AuditEvent, Authentication, Change, Origin, Thing
from forwarder.contracts.event import ActorKind
from forwarder.net.json_size import UNREADABLE

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Who(msgspec.Struct, gc=False):
    id: str | None = None
    full_name: str | None = None
    email: str | None = None


class _User(_Who, gc=False):
    target: _Who | None = None
    effective: _Who | None = None


class _Group(msgspec.Struct, gc=False):
    id: str | None = None
    name: str | None = None


class _Event(msgspec.Struct, gc=False):
    provider: str
    kind: str = "event"
    id: str | None = None
    action: str | None = None
    code: str | None = None
    category: tuple[str, ...] = ()
    type: tuple[str, ...] = ()
    outcome: Literal["success", "failure", "unknown"] = "unknown"
    reason: str | None = None
    severity: int = 0
    created: datetime | None = None
    original: str | None = None


class _Geo(msgspec.Struct, gc=False, frozen=True):
    country_name: str | None = None
    region_name: str | None = None
    city_name: str | None = None


class _Source(msgspec.Struct, gc=False, frozen=True):
    ip: str | None = None
    address: str | None = None
    geo: _Geo = _Geo()


class _Audit(msgspec.Struct, gc=False):
    act: str | None = None
    layer: str = "unknown"
    product: str | None = None
    action_name: str | None = None
    actor_kind: ActorKind | None = None
    processed_at: datetime | None = None
    marks: tuple[str, ...] = ()
    authentication: Authentication | None = None
    content: Thing | None = None
    space: Thing | None = None
    site: Thing | None = None
    app: Thing | None = None
    roles: tuple[str, ...] = ()
    domain: str | None = None
    also: Also | None = None
    changes: tuple[Change, ...] = ()
    related: str | None = None


class _Atlassian(msgspec.Struct, gc=False):
    audit: _Audit


class _Organization(msgspec.Struct, gc=False, frozen=True):
    id: str = ""


class _Url(msgspec.Struct, gc=False, frozen=True):
    full: str | None = None


class _Agent(msgspec.Struct, gc=False, frozen=True):
    original: str | None = None


class _Line(msgspec.Struct, gc=False):
    event: _Event
    atlassian: _Atlassian
    timestamp: datetime | None = msgspec.field(name="@timestamp", default=None)
    message: str | None = None
    organization: _Organization = _Organization()
    user: _User | None = None
    group: _Group | None = None
    source: _Source = _Source()
    url: _Url = _Url()
    user_agent: _Agent = _Agent()


class Original(msgspec.Struct, frozen=True):
    """The event as the API sent it, and where from."""

    body: bytes
    origin: Origin
    read_ms: int


class EcsLines:
    """Reads lines of ECS."""

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder(_Line).decode

    def read(self, line: bytes) -> AuditEvent | Original | None:
        """Return the event, or what it was made of; None for a line that is no ECS of ours."""
        if b'"ecs":{' not in line:
            return None
        try:
            document = self._decode(line)
        except UNREADABLE:
            return None
        event, organization = document.event, document.organization.id
        if event.original:
            body = event.original.encode("utf-8", "surrogatepass")
            return Original(body, Origin("", event.provider, organization), _milliseconds(event.created))
        return _event(document)


def _event(document: _Line) -> AuditEvent:
    event, audit, user, where = document.event, document.atlassian.audit, document.user, document.source
    effective = user.effective if user is not None else None
    kind = (event.code or "").removesuffix(f".{audit.act}") if audit.act else ""
    impersonates = audit.act == "impersonate"
    return AuditEvent(
        document_id="",
        feed=event.provider,
        organization=document.organization.id,
        action=event.action or "",
        time_ms=_milliseconds(document.timestamp or event.created),
        read_ms=_milliseconds(event.created),
        event_id=event.id,
        processed_ms=_milliseconds(audit.processed_at) if audit.processed_at is not None else None,
        product=audit.product,
        action_name=audit.action_name,
        act=audit.act,
        layer=audit.layer,
        category=event.category,
        types=event.type,
        outcome=event.outcome,
        reason=event.reason,
        severity=event.severity,
        object=kind or None,
        actor=_actor(user, audit.actor_kind),
        on_behalf_of=None if impersonates else _actor(effective),
        impersonated=_actor(effective) if impersonates else None,
        authentication=audit.authentication,
        target_user=_actor(user.target) if user is not None else None,
        target_group=Thing("group", document.group.id, None, document.group.name) if document.group else None,
        target_role=audit.roles[0] if audit.roles else None,
        content=_with_url(audit.content, document.url.full),
        space=audit.space,
        site=audit.site,
        app=audit.app,
        ip=where.ip,
        source_address=where.address,
        country=where.geo.country_name,
        region=where.geo.region_name,
        city=where.geo.city_name,
        user_agent=document.user_agent.original,
        message=document.message,
        changes=audit.changes,
        marks=audit.marks,
        also=_also(audit),
        domain=audit.domain,
        is_alert=event.kind == "alert",
        related=audit.related,
    )


def _actor(who: _Who | None, kind: ActorKind | None = None) -> Actor | None:
    if who is None or not (who.id or who.full_name or who.email or kind):
        return None
    return Actor(who.id, who.full_name, who.email, kind)


def _with_url(content: Thing | None, url: str | None) -> Thing | None:
    return content if content is None or content.url or not url else msgspec.structs.replace(content, url=url)


def _also(audit: _Audit) -> Also | None:
    """Return it; all roles stand in one list, of which the first is not another one."""
    also = audit.also or Also()
    also = msgspec.structs.replace(also, roles=tuple(one for one in audit.roles[1:]) or also.roles)
    return also if also != Also() else None


def _milliseconds(moment: datetime | None) -> int:
    """Return milliseconds of the epoch; 0 for a moment that is not known."""
    if moment is None:
        return 0
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(milliseconds=1)
