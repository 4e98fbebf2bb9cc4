"""Which fact of an event stands under which key of CEF, as they differ from event to event.

Keys and values come in turns in one flat list, a key as `BEFORE` has it: the fastest shape to look through and to join.
An absent fact is not in it.
"""

from __future__ import annotations

from forwarder.contracts import Actor, AuditEvent, Authentication, Thing
from forwarder.formats.cef.keys import BEFORE
from forwarder.formats.kit.named_facts import HASH

ID, SUID, SUSER = BEFORE["externalId"], BEFORE["suid"], BEFORE["suser"]
_ACTOR_KIND, _ACTOR_NAME, _EFFECTIVE = (
    BEFORE["AtlassianAuditActorKind"],
    BEFORE["AtlassianAuditActorName"],
    BEFORE["flexString1"],
)
_AUTH, _TOKEN, _TOKEN_LABEL, _APP = (
    BEFORE["cs3"],
    BEFORE["cs4"],
    BEFORE["AtlassianAuditTokenLabel"],
    BEFORE["sourceServiceName"],
)
_SRC, _IPV6, _ADDRESS, _AGENT = BEFORE["src"], BEFORE["c6a2"], BEFORE["shost"], BEFORE["requestClientApplication"]
_DUID, _DUSER, _TARGET_NAME, _ROLE = (
    BEFORE["duid"],
    BEFORE["duser"],
    BEFORE["AtlassianAuditTargetName"],
    BEFORE["dpriv"],
)
_KIND, _OBJECT, _KEY, _NAME = BEFORE["fileType"], BEFORE["fileId"], BEFORE["filePath"], BEFORE["fname"]
_URL, _GROUP, _SPACE, _MESSAGE = BEFORE["request"], BEFORE["cs1"], BEFORE["cs2"], BEFORE["msg"]
_PROCESSED, _ORGANIZATION_NAME = BEFORE["deviceCustomDate1"], BEFORE["AtlassianAuditOrganization"]
_EFFECTIVE_NAME, _EFFECTIVE_EMAIL = (
    BEFORE["AtlassianAuditEffectiveName"],
    BEFORE["AtlassianAuditEffectiveEmail"],
)
_VENDOR, _API_URL, _DOMAIN = (
    BEFORE["AtlassianAuditVendor"],
    BEFORE["AtlassianAuditApiUrl"],
    BEFORE["AtlassianAuditDomain"],
)
JSON = (BEFORE["AtlassianAuditAlso"], BEFORE["cs5"], BEFORE["cs6"], BEFORE["AtlassianAuditContainer"])


def facts(event: AuditEvent) -> list[str]:
    """Return what differs from event to event, keys and values in turns; the id of the event comes first."""
    parts = [ID, event.event_id or event.document_id[:HASH]]
    if event.actor is not None:
        _add_person(parts, event.actor, SUID, SUSER, _ACTOR_NAME)
        if event.actor.kind is not None:
            parts += _ACTOR_KIND, event.actor.kind
    if event.ip is not None:
        parts += _IPV6 if ":" in event.ip else _SRC, event.ip
    if event.source_address is not None:
        parts += _ADDRESS, event.source_address
    if event.user_agent is not None:
        parts += _AGENT, event.user_agent
    if event.impersonated is not None or event.on_behalf_of is not None:
        _add_effective(parts, event.impersonated or event.on_behalf_of)
    if event.authentication is not None:
        _add_authentication(parts, event.authentication)
    _add_targets(parts, event)
    if event.message is not None:
        parts += _MESSAGE, event.message
    if event.processed_ms is not None:
        parts += _PROCESSED, str(event.processed_ms)
    return parts


def _add_person(parts: list[str], person: Actor, ident: str, known_as: str, name: str) -> None:
    if person.id is not None:
        parts += ident, person.id
    if person.address is not None:
        parts += known_as, person.address
    elif person.name is not None:
        parts += known_as, person.name
    if person.name is not None:
        parts += name, person.name


def _add_effective(parts: list[str], person: Actor | None) -> None:
    if person is None or not (named := person.id or person.address or person.name):
        return
    parts += _EFFECTIVE, named
    if person.name is not None:
        parts += _EFFECTIVE_NAME, person.name
    if person.address is not None:
        parts += _EFFECTIVE_EMAIL, person.address


def _add_authentication(parts: list[str], authentication: Authentication) -> None:
    if authentication.type is not None:
        parts += _AUTH, authentication.type
    if authentication.token_id is not None:
        parts += _TOKEN, authentication.token_id
    if authentication.token_label is not None:
        parts += _TOKEN_LABEL, authentication.token_label
    if authentication.app_id is not None:
        parts += _APP, authentication.app_id


def _add_targets(parts: list[str], event: AuditEvent) -> None:
    if event.target_user is not None:
        _add_person(parts, event.target_user, _DUID, _DUSER, _TARGET_NAME)
    if event.target_role is not None:
        parts += _ROLE, event.target_role
    group, space = event.target_group, event.space
    if group is not None and (named := group.name or group.id):
        parts += _GROUP, named
    if space is not None and (named := space.key or space.name or space.id):
        parts += _SPACE, named
    thing = event.content or event.app
    if thing is not None:
        _add_thing(parts, thing)
    if event.domain is not None:
        parts += _DOMAIN, event.domain
    if event.organization_name is not None:
        parts += _ORGANIZATION_NAME, event.organization_name


def _add_thing(parts: list[str], thing: Thing) -> None:
    parts += _KIND, thing.kind
    if thing.id is not None:
        parts += _OBJECT, thing.id
    if thing.key is not None:
        parts += _KEY, thing.key
    if thing.name is not None:
        parts += _NAME, thing.name
    if thing.url is not None:
        parts += _URL, thing.url
    if thing.vendor is not None:
        parts += _VENDOR, thing.vendor
    if thing.api_url is not None:
        parts += _API_URL, thing.api_url
