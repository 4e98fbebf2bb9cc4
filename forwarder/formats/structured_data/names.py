"""What a structured-data element of ours is made of: every name with its meaning and whether it may be cut.

The order is the order in an element. In one that is too long, those of equal need go from the end. Names are part of
what people search by: they are never changed, only added to.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from forwarder.formats.kit.fields import Rules
from forwarder.formats.kit.shortening import Need

SD_ID = "atlassian@32473"
"""Name of the element. Private names end in an enterprise number; 32473 is the one for examples (RFC 5612)."""


class Name(NamedTuple):
    """One parameter: its name, what happens to it in an element that is too long, and its meaning in one line."""

    name: str
    need: Need
    meaning: str


NAMES = (
    Name("time", Need.ESSENTIAL, "when it happened"),
    Name("action", Need.ESSENTIAL, "action"),
    Name("outcome", Need.WHOLE, "`success` or `failure`; absent when it is not known"),
    Name("reason", Need.HANDY, "why it failed, in the words of the source"),
    Name("severity", Need.WHOLE, "0 (unknown) to 10"),
    Name("category", Need.WHOLE, "ECS categories of the action, joined by commas"),
    Name("type", Need.WHOLE, "ECS types of the action, joined by commas"),
    Name("product", Need.WHOLE, "product, such as `jira`"),
    Name("act", Need.HANDY, "what is done, in one word: `view`, `create`, `grant` …"),
    Name("object", Need.HANDY, "what kind of thing it is done to: `permission`, `policy` …"),
    Name("layer", Need.HANDY, "what that meaning rests on; `unknown`: on nothing"),
    Name("feed", Need.HANDY, "kind of log it comes from, such as `organization`"),
    Name("action_name", Need.TEXT, "name of the action for people"),
    Name("id", Need.ESSENTIAL, "id of the event, or else the document id"),
    Name("actor_id", Need.ESSENTIAL, "account id of who acted"),
    Name("actor_name", Need.ACTOR, "display name of who acted"),
    Name("actor_email", Need.WHOLE, "e-mail address of who acted"),
    Name("actor_kind", Need.HANDY, "`person`, `app`, `system` …"),
    Name("source_ip", Need.WHOLE, "IP address that the act came from"),
    Name("source_address", Need.TEXT, "where the act came from, when the event states it and it is not an IP address"),
    Name("user_agent", Need.TEXT, "user agent"),
    Name("effective_id", Need.WHOLE, "account id of the user for or as whom it was done"),
    Name("effective_name", Need.TEXT, "display name of that user"),
    Name("effective_email", Need.WHOLE, "e-mail address of that user"),
    Name("auth_type", Need.WHOLE, "how the actor was authenticated"),
    Name("token_id", Need.WHOLE, "id of the API token that was used"),
    Name("token_label", Need.TEXT, "label of the API token that was used"),
    Name("session_id", Need.WHOLE, "id of the session"),
    Name("auth_app_id", Need.WHOLE, "id of the app that acted for the actor"),
    Name("target_id", Need.WHOLE, "account id of the user it was done to"),
    Name("target_name", Need.TEXT, "display name of that user"),
    Name("target_email", Need.WHOLE, "e-mail address of that user"),
    Name("target_role", Need.WHOLE, "role that was granted or revoked"),
    Name("group_id", Need.WHOLE, "id of the group it was done to"),
    Name("group_name", Need.TEXT, "name of that group"),
    Name("object_kind", Need.WHOLE, "kind of the object: `page`, `issue` …"),
    Name("object_id", Need.WHOLE, "id of the object"),
    Name("object_key", Need.WHOLE, "key of the object, such as `WEB-1`"),
    Name("object_name", Need.TEXT, "name of the object"),
    Name("object_url", Need.HANDY, "address of the object in the web"),
    Name("object_vendor", Need.TEXT, "vendor of the object"),
    Name("object_api_url", Need.HANDY, "address of the object in an API"),
    Name("space_id", Need.WHOLE, "id of the space"),
    Name("space_key", Need.WHOLE, "key of the space"),
    Name("space_name", Need.TEXT, "name of the space"),
    Name("site_id", Need.HANDY, "id of the site"),
    Name("site_name", Need.TEXT, "name of the site"),
    Name("site_url", Need.HANDY, "address of the site"),
    Name("app_id", Need.WHOLE, "id of the app that was installed, changed …"),
    Name("app_name", Need.TEXT, "name of that app"),
    Name("app_vendor", Need.TEXT, "vendor of that app"),
    Name("app_api_url", Need.HANDY, "address of that app in an API"),
    Name("domain", Need.TEXT, "domain that the event is about"),
    Name("organization_name", Need.TEXT, "name of the organization"),
    Name("message", Need.TEXT, "message of the event"),
    Name("processed_at", Need.HANDY, "when Atlassian had processed it"),
    Name("organization", Need.HANDY, "organization id"),
    Name("read_at", Need.HANDY, "when it was read from the API"),
    Name("country", Need.TEXT, "country of the source"),
    Name("region", Need.TEXT, "region of the source"),
    Name("city", Need.TEXT, "city of the source"),
    Name("geo", Need.TEXT, "place of the source as the API gives it, mostly `latitude,longitude`"),
    Name("marks", Need.ESSENTIAL, "what is odd about this record: `truncated`, `derived_id` …"),
    Name("also", Need.HANDY, "further users, things, roles and products that are named, as JSON"),
    Name("changes", Need.LEAST, "fields that changed, as JSON"),
    Name("context", Need.LEAST, "`context` of the event, the JSON of the API"),
    Name("container", Need.LEAST, "`container` of the event, the JSON of the API"),
)

BEFORE = {name.name: f'" {name.name}="' for name in NAMES}
"""What stands between the value before and this value. So names and values in turns need only be joined."""

START = f'[{SD_ID} {NAMES[0].name}="'
"""What stands in front of the first value, the time."""

END = '"]'

BY_BEFORE = {BEFORE[name.name]: name for name in NAMES}

RULES = Rules(
    frozenset(BEFORE),
    frozenset({"time", "action", "id", "marks"}),
    re.compile("[A-Za-z][A-Za-z0-9_.-]{0,31}"),
    "client_ip",
)
"""What a template may do; the form of a name is a part of SD-NAME (RFC 5424, 6.3.3)."""
