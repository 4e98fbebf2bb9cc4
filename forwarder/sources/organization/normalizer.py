"""Events of the organization audit log to `AuditEvent`.

One strict typed decode reads only what meaning needs; an event it refuses is read again leniently, alone, so one odd
event costs time but neither its neighbours nor its meaning. Every record gives exactly one result; nothing is raised.
Empty text is an absent fact.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.catalogue import Catalogue, Meaning, load_catalogue
from forwarder.contracts import Actor, AuditEvent, Authentication, UnexpectedPayload
from forwarder.normalize.accounts import SERVICE_ACCOUNTS, kind_stated
from forwarder.normalize.addresses import valid_ip, valid_mail
from forwarder.normalize.conclusions import CONCLUDED, conclude
from forwarder.normalize.lenient import Unreadable, read_tree
from forwarder.normalize.times import TimeReader
from forwarder.sources.organization.also import also_of, behalf_in, changes_in, domain_in, names_in
from forwarder.sources.organization.exported import MEMBER
from forwarder.sources.organization.facts import NO_RARE, Facts
from forwarder.sources.organization.marks import marks_of, usable_time
from forwarder.sources.organization.part_reader import PartReader
from forwarder.sources.organization.shapes import (
    Acting,
    App,
    AppAttributes,
    Attributes,
    Auth,
    Event,
    ExactEvent,
    Location,
    Message,
    beside,
    shape,
)
from forwarder.sources.organization.statements import decide, outcomes
from forwarder.sources.records import lenient_marks, read_each

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forwarder.contracts import ActorKind, Record

REMEMBERED = 4096
SYSTEM_ADDRESS = "Atlassian app"
"""What the API puts where a person's address would be when a product acts by itself."""

_NOBODY: dict[str, Any] = {
    "anonymous": "anonymous",
    "unidentified": "anonymous",
    "-2": "anonymous",
    "system": "system",
    "atlassian support": "support",
}
"""Kinds of actors that are no account, by their id, or by their name where they have no id: anybody with an account can
call himself `System`."""

_BY_TOKEN: dict[str | None, Any] = {"session": "person", "connect-token": "app", "auth-token-for-2LO": "app"}
"""Kinds of actors by how they were authenticated, where that leaves no doubt: only people sign in, and Connect and
two-legged OAuth know no user."""


_NOWHERE = Location()
_NO_ATTRIBUTES = AppAttributes()
_NO_AUTHENTICATION = Authentication()
_NOBODY_BEHIND = (None,)
_SIGNS_IN = {"login", "impersonate"}
_fails = re.compile(r"fail|denied|unsuccessful|unable|rejected|blocked", re.IGNORECASE).search
"""A message may say that a sign-in failed of which the id says only that there was one."""


class OrganizationNormalizer:
    """Gives events of the organization feed their meaning. Not for use by several threads at once.

    Args:
        catalogue: What actions mean; default: the catalogue of the package.
    """

    def __init__(self, catalogue: Catalogue | None = None) -> None:
        self.use(catalogue or load_catalogue())
        self._decode = msgspec.json.Decoder(ExactEvent).decode
        self._decode_any = msgspec.json.Decoder(Event).decode
        self._times = TimeReader()
        self._outcomes = outcomes()
        self._parts = PartReader(self._outcomes)
        self._ips: set[str] = set()

    def use(self, catalogue: Catalogue) -> None:
        """Take another catalogue from now on."""
        self._catalogue = catalogue
        self._meanings = catalogue.remembered  # the very same, so that what the catalogue forgets is forgotten here

    def normalize(self, records: Sequence[Record]) -> list[AuditEvent | UnexpectedPayload]:
        """Return one result per record, in order."""
        return read_each(records, self._read, self._read_leniently)

    def _read(self, record: Record) -> AuditEvent:
        return self._event(record, self._decode(record.raw), record.marks)

    def _read_leniently(self, record: Record) -> AuditEvent:
        """Read an event that has members besides those we know, or members of other types, or is not quite JSON."""
        with contextlib.suppress(msgspec.MsgspecError, ValueError, RecursionError):
            decoded = self._decode_any(record.raw)
            more = beside(record.raw, decoded)
            marks = (*record.marks, "imported") if MEMBER in more else record.marks
            return self._event(record, decoded, marks, more)
        tree, repaired = read_tree(record.raw)
        decoded, more, odd = shape(tree)
        return self._event(record, decoded, lenient_marks(record, repaired=repaired, odd=odd), more)

    def _event(
        self, record: Record, decoded: Event, marks: tuple[str, ...], more: Mapping[str, Any] | None = None
    ) -> AuditEvent:
        attributes = decoded.attributes
        if attributes is None:
            raise Unreadable("the event has no attributes")
        action, when, origin = attributes.action or "", attributes.time or "", record.origin
        meaning = self._meanings.get(action) or self._catalogue.meaning(action)
        context, container = self._parts.read(attributes.context), self._parts.read(attributes.container)
        context = self._parts.with_members(context, more) if more else context
        rare = context.rare is not None or container.rare is not None
        if meaning.layer == "unknown" or rare:
            meaning = self._by_the_rest(meaning, decoded.message, attributes, context, container)
        if (
            rare
            or (meaning.outcome == "unknown" and meaning.act is not None)
            or (meaning.act in _SIGNS_IN and _may_have_failed(decoded.message, attributes.actor))
        ):
            meaning = self._by_what_is_said(meaning, decoded.message, attributes, context, container)
        meaning = self._catalogue.with_power(meaning, names_in(context, container)) if meaning.admin else meaning
        time_ms = self._times.read(when)
        read = self._times.read(attributes.processedAt or "")
        processed_ms = read if read is not None else self._times.read(decoded.processedAt or "")
        if rare or time_ms is None or time_ms < 0 or not action or not decoded.id or when[-1:] != "Z":
            texts = (decoded.id, action, when)
            marks = marks_of(marks, texts, time_ms, processed_ms, context, container)
            time_ms = usable_time(time_ms, processed_ms, record.read_ms)

        ip = address = None
        where = attributes.location or _NOWHERE
        if where.ip:
            if where.ip in self._ips or self._is_ip(where.ip):
                ip = where.ip
            else:
                address = where.ip

        actor = authentication = None
        who = attributes.actor
        other, *besides = (
            _behind(who, context, container)
            if rare or (who is not None and (who.onBehalfOf is not None or who.impersonator is not None))
            else _NOBODY_BEHIND
        )
        if who is not None:
            if who.auth is not None or who.app is not None:
                authentication = _authentication(who.auth, who.app)
            stated = authentication is not None or who.accountType or who.type
            kind = _kind(who, authentication, other) if stated else None
            actor = _actor(who.id, who.name, who.email, kind)
        user, group, role = container.user, container.group, container.role
        content, space, app, site = container.content, container.space, container.app, container.site
        impersonates = meaning.target == "impersonated"
        named_twice = (  # perhaps; little is found in an ordinary event
            rare or besides or impersonates or user or group or role or app or context.site or context.product
            or (content and context.content) or (space and context.space)
        )  # fmt: skip
        user = context.user or user

        event = AuditEvent(  # by position, in the order of the fields: by name costs 1.5 µs more
            record.id,
            origin.feed,
            origin.organization,
            action,
            time_ms,
            record.read_ms,
            decoded.id or None,
            processed_ms,
            meaning.product or container.product or context.product or meaning.presumed,
            meaning.name,
            meaning.act,
            meaning.layer,
            meaning.category,
            meaning.types,
            meaning.outcome,
            meaning.failure,
            meaning.severity,
            meaning.object,
            meaning.ocsf_class,
            meaning.ocsf_activity,
            container.organization or context.organization,
            actor,
            other,
            user if impersonates else None,
            authentication,
            None if impersonates else user,
            context.group or group,
            context.role or role,
            context.content or content,
            context.space or space,
            site or context.site,
            context.app or app,
            ip,
            address,
            where.geo or None,
            where.countryName or None,
            where.regionName or None,
            where.city or None,
            None,  # the feed names no user agent
            (decoded.message.content or None) if decoded.message is not None else None,
            changes_in(context, container) if rare else (),
            marks,
            when or None,
            context.raw,
            container.raw,
            None,
            also_of(context, container, (*besides, other) if impersonates and user is not None else besides)
            if named_twice
            else None,
            domain_in(context, container) if rare else None,
        )
        return conclude(event) if meaning.act in CONCLUDED else event

    def _by_the_rest(
        self, meaning: Meaning, message: Message | None, attributes: Attributes, context: Facts, container: Facts
    ) -> Meaning:
        """Return what the rest of an event says of its action: the message where no one knows it, and which setting.

        An action stays unknown when that is nothing.
        """
        if meaning.layer == "unknown" and message is not None and message.content:
            of_message = self._catalogue.meaning_of_message(
                message.content, attributes.actor.name if attributes.actor else None
            )
            if of_message.act is not None:
                meaning = self._catalogue.of_action(of_message, meaning)
        if context.rare is None and container.rare is None:
            return meaning
        for change in changes_in(context, container):
            meaning = self._catalogue.meaning_of_setting(attributes.action or "", meaning, change.field, change.after)
        return meaning

    def _by_what_is_said(
        self, meaning: Meaning, message: Message | None, attributes: Attributes, context: Facts, container: Facts
    ) -> Meaning:
        """Return the meaning with the outcome that an event tells beside its action."""
        here, there = context.rare or NO_RARE, container.rare or NO_RARE
        statements = [*here.statements, *there.statements]
        if statements:
            elsewhere = self._catalogue.is_told_elsewhere(meaning, self._outcomes.elsewhere)
            signs_in = meaning.act in _SIGNS_IN
            outcome, reason = decide(meaning.outcome, statements, elsewhere=elsewhere, signs_in=signs_in)
            if outcome != meaning.outcome or (reason and not meaning.failure):
                meaning = self._catalogue.with_outcome(meaning, outcome, reason)
            if outcome != "unknown" or elsewhere:
                return meaning
        if message is not None and message.content and attributes.actor is not None and attributes.actor.name:
            name, content = attributes.actor.name, message.content
            others: list[Any] = [*filter(None, (context.user, container.user, context.group, container.group)),
                *here.users, *there.users]  # fmt: skip
            if any(other.name and other.name.startswith(name) and content.startswith(other.name) for other in others
                   if other.name != name):  # fmt: skip
                return meaning
            tried = self._catalogue.with_outcome(meaning, "unknown") if meaning.outcome == "success" else meaning
            outcome = self._catalogue.outcome_of_message(attributes.action or "", tried, content, name)
            if outcome != "unknown" and (outcome == "failure" or tried is meaning):
                return self._catalogue.with_outcome(meaning, outcome)
        return meaning

    def _is_ip(self, text: str) -> bool:
        if not valid_ip(text):
            return False
        if len(self._ips) >= REMEMBERED:
            self._ips.clear()
        self._ips.add(text)
        return True


def _may_have_failed(message: Message | None, actor: Acting | None) -> bool:
    """Say whether a message that begins with the actor's own name may go on to say that the sign-in failed."""
    if message is None or actor is None or not message.content or not actor.name:
        return False
    return message.content.startswith(actor.name) and _fails(message.content) is not None


def _behind(who: Acting | None, context: Facts, container: Facts) -> Sequence[Actor | None]:
    """Return for or as whom it was done, the one whom the actor names first."""
    others = (who.onBehalfOf, who.impersonator) if who is not None else ()
    people = [
        _actor(one.id, one.name, one.email, kind_stated(one.accountType, one.type)) for one in others if one is not None
    ]
    return list(dict.fromkeys(filter(None, (*people, *behalf_in(context, container))))) or _NOBODY_BEHIND


def _authentication(auth: Auth | None, app: App | None) -> Authentication | None:
    """Return how the actor was authenticated and through which app, or None when nothing is said."""
    found = Authentication()
    if auth is not None:
        found = Authentication(auth.authType or None, auth.tokenId or None, auth.tokenLabel or None)
    if app is not None:
        more = app.attributes or _NO_ATTRIBUTES
        name, kind = app.name or more.name or None, kind_stated(app.type, more.type)
        found = Authentication(found.type, found.token_id, found.token_label, None, app.id or None, name, kind)
    return found if found != _NO_AUTHENTICATION else None


def _kind(who: Acting, how: Authentication | None, other: Actor | None) -> ActorKind | None:
    """Return the kind that an actor states, or that the authentication proves.

    An app with a type that acts on behalf of `other`, or has the actor's own id, is who acts. Else it is the means of
    whoever it acts for, who may be a person.
    """
    if (who.accountType or who.type) and (stated := kind_stated(who.accountType, who.type)):
        return stated
    kind: ActorKind | None = _BY_TOKEN.get(who.auth.authType) if who.auth is not None else None
    if how is None or how.app_kind is None or kind == "person":
        return kind
    if kind == "app" or other is not None or not who.id or who.id == how.app_id:
        return how.app_kind
    return kind


def _actor(ident: str | None, name: str | None, email: str | None, kind: Any = None) -> Actor | None:
    """Return who that is, or None when nothing is said. A system actor has words where an address would be."""
    if email and valid_mail(email):
        if email.endswith(SERVICE_ACCOUNTS):
            kind = "service_account"
        return Actor(ident or None, name or None, email, kind)
    if not (ident or name or email):
        return None
    if email == SYSTEM_ADDRESS:
        kind = "system"
    elif (nobody := (ident or name or "").casefold()) in _NOBODY:
        kind = _NOBODY[nobody]
    return Actor(ident or None, name or None, None, kind)
