"""What a structured-data element of ours is made of: every name with its meaning and whether it may be cut.

The order is the order in an element. In one that is too long, those of equal need go from the end. Names are part of
what people search by: they are never changed, only added to.
"""

from __future__ import annotations

import re

from forwarder.formats.kit.columns import Column, Table
from forwarder.formats.kit.fields import Rules
from forwarder.formats.kit.shortening import Need

SD_ID = "atlassian@32473"
"""Name of the element. Private names end in an enterprise number; 32473 is the one for examples (RFC 5612)."""


NAMES = (
    Column("time", "time", Need.ESSENTIAL, "when it happened"),
    Column("action", "action", Need.ESSENTIAL, "action"),
    Column("outcome", "outcome", Need.WHOLE, "`success` or `failure`; absent when it is not known"),
    Column("reason", "reason", Need.HANDY, "why it failed, in the words of the source"),
    Column("severity", "severity", Need.WHOLE, "0 (unknown) to 10"),
    Column("category", "category", Need.WHOLE, "ECS categories of the action, joined by commas"),
    Column("type", "type", Need.WHOLE, "ECS types of the action, joined by commas"),
    Column("product", "product", Need.WHOLE, "product, such as `jira`"),
    Column("act", "act", Need.HANDY, "what is done, in one word: `view`, `create`, `grant` …"),
    Column("object", "object", Need.HANDY, "what kind of thing it is done to: `permission`, `policy` …"),
    Column("layer", "layer", Need.HANDY, "what that meaning rests on; `unknown`: on nothing"),
    Column("feed", "feed", Need.HANDY, "kind of log it comes from, such as `organization`"),
    Column("action_name", "action_name", Need.TEXT, "name of the action for people"),
    Column("id", "id", Need.ESSENTIAL, "id of the event, or else the document id"),
    Column("actor_id", "actor_id", Need.ESSENTIAL, "account id of who acted"),
    Column("actor_name", "actor_name", Need.ACTOR, "display name of who acted"),
    Column("actor_email", "actor_email", Need.WHOLE, "e-mail address of who acted"),
    Column("actor_kind", "actor_kind", Need.HANDY, "`person`, `app`, `agent`, `service_account`, `system` …"),
    Column("source_ip", "source_ip", Need.WHOLE, "IP address that the act came from"),
    Column(
        "source_address",
        "source_address",
        Need.TEXT,
        "where the act came from, when the event states it and it is not an IP address",
    ),
    Column("user_agent", "user_agent", Need.TEXT, "user agent"),
    Column("effective_id", "effective_id", Need.WHOLE, "account id of the user for or as whom it was done"),
    Column("effective_name", "effective_name", Need.TEXT, "display name of that user"),
    Column("effective_email", "effective_email", Need.WHOLE, "e-mail address of that user"),
    Column("auth_type", "auth_type", Need.WHOLE, "how the actor was authenticated"),
    Column("token_id", "token_id", Need.WHOLE, "id of the API token that was used"),
    Column("token_label", "token_label", Need.TEXT, "label of the API token that was used"),
    Column("session_id", "session_id", Need.WHOLE, "id of the session"),
    Column("auth_app_id", "auth_app_id", Need.WHOLE, "id of the app that acted for the actor"),
    Column("auth_app_name", "auth_app_name", Need.TEXT, "name of that app"),
    Column("auth_app_kind", "auth_app_kind", Need.HANDY, "`app`, `agent` or `service_account`"),
    Column("target_id", "target_id", Need.WHOLE, "account id of the user it was done to"),
    Column("target_name", "target_name", Need.TEXT, "display name of that user"),
    Column("target_email", "target_email", Need.WHOLE, "e-mail address of that user"),
    Column("target_role", "target_role", Need.WHOLE, "role that was granted or revoked"),
    Column("group_id", "group_id", Need.WHOLE, "id of the group it was done to"),
    Column("group_name", "group_name", Need.TEXT, "name of that group"),
    Column("object_kind", "object_kind", Need.WHOLE, "kind of the object: `page`, `issue` …"),
    Column("object_id", "object_id", Need.WHOLE, "id of the object"),
    Column("object_key", "object_key", Need.WHOLE, "key of the object, such as `WEB-1`"),
    Column("object_name", "object_name", Need.TEXT, "name of the object"),
    Column("object_url", "object_url", Need.HANDY, "address of the object in the web"),
    Column("object_vendor", "object_vendor", Need.TEXT, "vendor of the object"),
    Column("object_api_url", "object_api_url", Need.HANDY, "address of the object in an API"),
    Column("space_id", "space_id", Need.WHOLE, "id of the space"),
    Column("space_key", "space_key", Need.WHOLE, "key of the space"),
    Column("space_name", "space_name", Need.TEXT, "name of the space"),
    Column("site_id", "site_id", Need.HANDY, "id of the site"),
    Column("site_name", "site_name", Need.TEXT, "name of the site"),
    Column("site_url", "site_url", Need.HANDY, "address of the site"),
    Column("app_id", "app_id", Need.WHOLE, "id of the app that was installed, changed …"),
    Column("app_name", "app_name", Need.TEXT, "name of that app"),
    Column("app_vendor", "app_vendor", Need.TEXT, "vendor of that app"),
    Column("app_api_url", "app_api_url", Need.HANDY, "address of that app in an API"),
    Column("domain", "domain", Need.TEXT, "domain that the event is about"),
    Column("organization_name", "organization_name", Need.TEXT, "name of the organization"),
    Column("related", "related", Need.HANDY, "the same in every log that records this change"),
    Column(
        "late_seconds",
        "late_seconds",
        Need.WHOLE,
        "of an event that did not come as it happened: seconds until it was read",
    ),
    Column("late_reader", "late_reader", Need.HANDY, "who read that one: `reread`, `heal`, `backfill` …"),
    Column("message", "message", Need.TEXT, "message of the event"),
    Column("processed_at", "processed_at", Need.HANDY, "when Atlassian had processed it"),
    Column("organization", "organization", Need.HANDY, "organization id"),
    Column("read_at", "read_at", Need.HANDY, "when it was read from the API"),
    Column("country", "country", Need.TEXT, "country of the source"),
    Column("region", "region", Need.TEXT, "region of the source"),
    Column("city", "city", Need.TEXT, "city of the source"),
    Column("geo", "geo", Need.TEXT, "place of the source as the API gives it, mostly `latitude,longitude`"),
    Column("marks", "marks", Need.ESSENTIAL, "what is odd about this record: `truncated`, `derived_id` …"),
    Column("also", "also", Need.HANDY, "further users, things, roles and products that are named, as JSON"),
    Column("changes", "changes", Need.LEAST, "fields that changed, as JSON"),
    Column("context", "context", Need.LEAST, "`context` of the event, the JSON of the API"),
    Column("container", "container", Need.LEAST, "`container` of the event, the JSON of the API"),
)

TABLE = Table(NAMES, {one.name: f'" {one.name}="' for one in NAMES})

START = f'[{SD_ID} {NAMES[0].name}="'
"""What stands in front of the first value, the time."""

END = '"]'

RULES = Rules(
    frozenset(TABLE.by_name),
    frozenset({"time", "action", "id", "marks"}),
    re.compile("[A-Za-z][A-Za-z0-9_.-]{0,31}"),
    "client_ip",
)
"""What a template may do; the form of a name is a part of SD-NAME (RFC 5424, 6.3.3)."""
