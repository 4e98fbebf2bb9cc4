"""Events as Elastic Common Schema 9.4: one JSON object on one line.

Absent facts are absent fields. What ECS has no field for stands under `atlassian.audit`; the untouched parts of the
API are `atlassian.audit.context` and `.container`. Every text goes through the encoder; only those two parts are
copied, and their normaliser has proved them JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import msgspec

from forwarder import __version__
from forwarder.contracts import Also, AuditEvent, FieldsConfig, Format, Late, Record, UnexpectedPayload
from forwarder.formats.ecs.document import (
    Atlassian,
    Audit,
    Document,
    Event,
    Geo,
    Group,
    Related,
    Source,
    Url,
    User,
    UserAgent,
)
from forwarder.formats.ecs.fields import rules
from forwarder.formats.ecs.people import names as names_of_all
from forwarder.formats.ecs.people import names_of, roles_of, user_with_others
from forwarder.formats.kit.fields import check
from forwarder.formats.kit.json_fields import JsonTemplate
from forwarder.formats.kit.json_lines import JsonLines
from forwarder.formats.kit.json_shortening import Plan, decode, shorten
from forwarder.formats.kit.memory import FEW, Memory
from forwarder.formats.kit.texts import truncated
from forwarder.formats.kit.web import coordinates, domain
from forwarder.normalize.addresses import valid_host
from forwarder.normalize.times import TimeWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

ECS_VERSION = "9.4.0"
NOWHERE: tuple[str, ...] = ()
TAGS = "tags"

_REVISION_AT = 33  # a document id is 32 hex characters; a revision has `-` and its digest behind them


_PLAN = Plan(
    essential=(
        *(("@timestamp",), ("ecs",), ("event", "kind"), ("event", "dataset"), ("event", "id"), ("event", "action")),
        *(("user", "id"), ("atlassian", "audit", "revision"), ("atlassian", "audit", "marks")),
        *(("tags",), ("event", "ingested"), ("atlassian", "audit", "late")),
    ),
    actor=(("user", "id"), ("user", "email"), ("user", "full_name")),
    least=tuple(("atlassian", "audit", name) for name in ("container", "context", "changes")),
)


class EcsFormat:
    """Renders ECS. Not for use by several threads at once.

    Args:
        original: Whether `event.original` holds the event as the API sent it.
        tags: What every document has in `tags`, before those of its own.
    """

    writes: ClassVar[Literal["json", "line", "structured_data"]] = "json"
    has_timestamp: ClassVar[bool] = True
    needs_event: ClassVar[bool] = True
    keeps_original: ClassVar[bool] = True

    def __init__(self, *, original: bool = False, tags: tuple[str, ...] = ()) -> None:
        self._original, self._tags = original, tags
        self._encode = msgspec.json.Encoder().encode
        self._lines = JsonLines("ECS", self._shape)
        self._write = TimeWriter().write
        self._ecs = msgspec.Raw(self._encode({"version": ECS_VERSION}))
        observer = {"product": "audit-forwarder", "type": "forwarder", "version": __version__}
        self._observer = msgspec.Raw(self._encode(observer))
        self._places = Memory(self._place)
        self._hosts = Memory(_host)
        self._moments = Memory(self._write, most=FEW)  # pages are read at one moment
        self._organizations = Memory(self._organization)

    def render(self, records: Sequence[Record]) -> list[bytes | UnexpectedPayload]:
        """Return one JSON object per record, in order, without a line end."""
        return self._lines.render(records)

    def shrink(self, record: Record, limit: int) -> bytes | UnexpectedPayload:
        """Return the document in at most `limit` bytes: the JSON of the API is cut first, then other texts.

        Id, time, action and who acted stay as they are; a limit that cannot hold them is refused. The document is
        marked `truncated` in `atlassian.audit.marks`.
        """
        [body] = self.render([record])
        if isinstance(body, UnexpectedPayload):
            return body
        tree = decode(body)
        tree["event"].pop("original", None)  # the whole or nothing: half of it would be no original
        audit = tree["atlassian"]["audit"]
        audit["marks"] = truncated(tuple(audit.get("marks", ())))
        try:
            short = shorten(tree, limit, _PLAN)
        except RecursionError:
            return UnexpectedPayload("the event is nested too deeply to be shortened")
        return short or UnexpectedPayload(f"what must be said of this event takes more than {limit} bytes of ECS")

    def with_fields(self, changes: FieldsConfig) -> Format:
        """Return this format with a sink's changes to what it writes. Raises ConfigError.

        A fixed value of `tags` is one of several: a late event has one more.
        """
        if TAGS not in changes.add:
            return JsonTemplate(self, changes, rules(_PLAN.essential))
        check(changes, rules(_PLAN.essential, without=TAGS))
        own = changes.add[TAGS]
        others = {name: value for name, value in changes.add.items() if name != TAGS}
        tagged = EcsFormat(original=self._original, tags=(own if isinstance(own, str) else self._encode(own).decode(),))
        return JsonTemplate(tagged, changes.model_copy(update={"add": others}), rules(_PLAN.essential))

    def _shape(self, record: Record, event: AuditEvent) -> Document:
        document = self._document(event)
        if self._original and document.event is not None:
            document.event.original = record.raw.decode("utf-8", "replace")
        if self._tags:
            document.tags = self._tags
        if event.late is not None:
            self._mark(document, event, event.late)
        return document

    def _mark(self, document: Document, event: AuditEvent, late: Late) -> None:
        """Say of an event that did not come as it happened when we had it, how late that was, and by whom."""
        document.tags = (*self._tags, late.kind)
        if document.event is not None and document.atlassian is not None:
            found_ms = event.time_ms + 1000 * (late.seconds or 0)  # later than it was read, where it is sent once more
            document.event.ingested = self._moments[max(event.read_ms, found_ms)]
            document.atlassian.audit.late = late

    def _document(self, event: AuditEvent) -> Document:
        write, actor, ip, group = self._write, event.actor, event.ip, event.target_group
        content, site = event.content, event.site
        created, act, thing = self._moments[event.read_ms], event.act, event.object
        user: User | None = None
        names: tuple[str, ...] = ()
        if event.target_user or event.on_behalf_of or event.impersonated:
            user, names = user_with_others(event)
        elif actor is not None:
            user, names = User(actor.id, actor.name, actor.address, actor.address), names_of(actor)
        ident, geo = event.event_id or event.document_id, event.geo
        url, hosts = None, NOWHERE
        if content is not None and content.url is not None:
            host, hosts = self._hosts[_start(content.url)]
            url = Url(content.url, host)
        elif site is not None and site.url is not None:
            hosts = self._hosts[_start(site.url)][1]
        also = event.also
        if also is not None or event.domain is not None:
            names, hosts = self._with_others(event, names, hosts)
        place = (
            self._places[geo, event.country, event.region, event.city]
            if geo or event.country or event.region or event.city
            else None
        )
        return Document(
            write(event.time_ms),
            self._ecs,
            Event(
                "alert" if event.is_alert else "event",
                "atlassian",
                "atlassian.audit",
                event.feed,
                ident,
                event.action or None,
                f"{thing}.{act}" if thing and act and event.action else None,
                event.category,
                event.types,
                event.outcome,
                event.reason if event.action else None,
                event.severity,
                created,
            ),
            event.message,
            self._organizations[event.organization, event.organization_name] if event.organization else None,
            user,
            Group(group.id, group.name) if group is not None else None,
            Source(ip, event.source_address, place)
            if place is not None or ip is not None or event.source_address is not None
            else None,
            url,
            UserAgent(event.user_agent) if event.user_agent is not None else None,
            Related(names, (ip,) if ip is not None else (), hosts) if names or ip is not None or hosts else None,
            self._observer,
            Atlassian(
                Audit(
                    event.feed,
                    event.layer,
                    event.product,
                    act,
                    event.action_name,
                    actor.kind if actor is not None else None,
                    write(event.processed_ms) if event.processed_ms is not None else None,
                    event.document_id[_REVISION_AT:] or None,
                    event.marks,
                    event.authentication,
                    content,
                    event.space,
                    site,
                    event.app,
                    roles_of(event) if event.target_role is not None else NOWHERE,
                    event.domain,
                    also,
                    event.changes,
                    event.context,
                    event.container,
                    event.related,
                )
            ),
        )

    def _with_others(
        self, event: AuditEvent, names: tuple[str, ...], hosts: tuple[str, ...]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return identifiers and hosts with those of whom and what an event names besides."""
        also = event.also or Also()
        found = dict.fromkeys(hosts)
        for thing in also.things:
            if thing.url is not None:
                found |= dict.fromkeys(self._hosts[_start(thing.url)][1])
            if thing.kind == "domain" and thing.name is not None and valid_host(thing.name):
                found[thing.name.lower()] = None
        if event.domain is not None and valid_host(event.domain):
            found[event.domain.lower()] = None
        return tuple(dict.fromkeys([*names, *names_of_all(*also.users)])), tuple(found)

    def _organization(self, key: tuple[str, str | None]) -> msgspec.Raw:
        ident, name = key
        return msgspec.Raw(self._encode({"id": ident, "name": name} if name else {"id": ident}))

    def _place(self, key: tuple[str | None, str | None, str | None, str | None]) -> msgspec.Raw:
        geo, country, region, city = key
        point = coordinates(geo) if geo else None
        return msgspec.Raw(self._encode(Geo(country, region, city, point, geo if point is None else None)))


def _start(url: str) -> str:
    """Return scheme and authority of an address of the web."""
    end = url.find("/", len("https://"))
    return url if end < 0 else url[:end]


def _host(start: str) -> tuple[str | None, tuple[str, ...]]:
    """Return the host of an address, and the same as a list."""
    host = domain(start)
    return host, ((host,) if host is not None else NOWHERE)
