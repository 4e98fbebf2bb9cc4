"""The shape of an OCSF event as it is encoded: one structure for each object, absent facts left out."""

from __future__ import annotations

import msgspec

from forwarder.contracts import Actor, Also, Authentication, Change, Late, Thing


class User(msgspec.Struct, gc=False, omit_defaults=True):
    """`user`; `type_id` is a run with its `type`."""

    uid: str | None = None
    name: str | None = None
    display_name: str | None = None
    email_addr: str | None = None
    type_id: msgspec.Raw | None = None


class Session(msgspec.Struct, gc=False, omit_defaults=True):
    """`session`."""

    uid: str | None = None
    credential_uid: str | None = None


class ActingUser(msgspec.Struct, gc=False, omit_defaults=True):
    """`actor`."""

    user: User | None = None
    session: Session | None = None
    app_uid: str | None = None
    app_name: str | None = None


class Group(msgspec.Struct, gc=False, omit_defaults=True):
    """`group`, and `organization`, which has the same members."""

    uid: str | None = None
    name: str | None = None


class Endpoint(msgspec.Struct, gc=False, omit_defaults=True):
    """`network_endpoint`."""

    ip: str | None = None
    hostname: str | None = None
    name: str | None = None
    uid: str | None = None
    location: msgspec.Raw | None = None


class Location(msgspec.Struct, gc=False, omit_defaults=True):
    """`location`: `country` is a code of two letters."""

    city: str | None = None
    country: str | None = None
    lat: float | None = None
    long: float | None = None


class Resource(msgspec.Struct, gc=False, omit_defaults=True):
    """`web_resource` and `resource_details`; the latter has no `url_string`."""

    uid: str | None = None
    name: str | None = None
    type: str | None = None
    uid_alt: str | None = None
    url_string: str | None = None


class Entity(msgspec.Struct, gc=False, omit_defaults=True):
    """`managed_entity`; `type_id` is followed by its `type`, which for Other is the word of the source."""

    type_id: int
    type: str
    uid: str | None = None
    name: str | None = None
    user: User | None = None
    group: Group | None = None
    org: Group | None = None


class Service(msgspec.Struct, gc=False):
    """`service`."""

    name: str


class HttpRequest(msgspec.Struct, gc=False):
    """`http_request`."""

    user_agent: str


class Api(msgspec.Struct, gc=False):
    """`api`."""

    operation: str


class FindingInfo(msgspec.Struct, gc=False, omit_defaults=True):
    """`finding_info`."""

    uid: str
    title: str | None = None


class Observable(msgspec.Struct, gc=False):
    """`observable`: `name` is a run of it with `type` and `type_id`."""

    name: msgspec.Raw
    value: str


class Metadata(msgspec.Struct, gc=False, omit_defaults=True):
    """`metadata`: `version` is a run of all that is the same for every event of an action."""

    version: msgspec.Raw
    uid: str
    original_event_uid: str | None = None
    original_time: str | None = None
    logged_time: int | None = None
    processed_time: int | None = None
    labels: tuple[str, ...] = ()
    correlation_uid: str | None = None


class SourcePlace(msgspec.Struct, gc=False, omit_defaults=True):
    """What is said of where an act came from, and has no place in its class."""

    ip: str | None = None
    address: str | None = None
    geo: str | None = None
    country: str | None = None
    region: str | None = None
    city: str | None = None


class Unmapped(msgspec.Struct, gc=False, omit_defaults=True):
    """`unmapped`: what the class has no place for. `layer` is a run of what the catalogue says of the action."""

    layer: msgspec.Raw
    on_behalf_of: Actor | None = None
    impersonated: Actor | None = None
    authentication: Authentication | None = None
    target_user: Actor | None = None
    target_group: Thing | None = None
    target_role: str | None = None
    content: Thing | None = None
    space: Thing | None = None
    site: Thing | None = None
    app: Thing | None = None
    source: msgspec.Raw | SourcePlace | None = None
    user_agent: str | None = None
    domain: str | None = None
    also: Also | None = None
    changes: tuple[Change, ...] = ()
    context: msgspec.Raw | None = None
    container: msgspec.Raw | None = None
    actor_kind: str | None = None
    late: Late | None = None


class Event(msgspec.Struct, gc=False, omit_defaults=True):
    """An event of any class. `activity_id` is a run of everything that names class, activity, severity and status."""

    activity_id: msgspec.Raw
    time: int
    metadata: Metadata
    message: str | None = None
    actor: ActingUser | None = None
    user: User | None = None
    account_switch_type_id: msgspec.Raw | None = None
    service: Service | None = None
    group: Group | None = None
    privileges: tuple[str, ...] = ()
    resource: Resource | None = None
    resources: tuple[Resource, ...] = ()
    access_list: tuple[str, ...] = ()
    entity: Entity | None = None
    web_resources: tuple[Resource, ...] = ()
    api: Api | None = None
    finding_info: FindingInfo | None = None
    src_endpoint: Endpoint | None = None
    dst_endpoint: msgspec.Raw | None = None
    http_request: HttpRequest | None = None
    observables: list[Observable] | None = None
    raw_data: str | None = None
    unmapped: Unmapped | None = None
