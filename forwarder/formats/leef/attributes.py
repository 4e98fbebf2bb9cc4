"""What a LEEF record of ours is made of: every attribute with its meaning and whether it may be cut.

Where IBM predefines an attribute that means just what we say, it is used; all others are our own. `identSrc` and its
like are left alone: by them QRadar would change what it knows of its own assets. Names are part of what people search
by: they are never changed, only added to. The order is the order in a record. In one that is too long, those of equal
need go from the end.

Source: IBM, "Log Event Extended Format (LEEF)", version 2: predefined attributes.
"""

from __future__ import annotations

import re

from forwarder.formats.kit.columns import Column, Table
from forwarder.formats.kit.fields import Rules
from forwarder.formats.kit.shortening import Need

VENDOR = "Atlassian"
PRODUCT = "Audit"
MAPPING_VERSION = "1"
"""Version of the mapping below, sent as product version: Atlassian's cloud has none that could be known."""

DELIMITER = "^"
"""Between attributes. Not the tab, which is the default: syslog servers write it anew (`#011`) or as a blank."""

LONGEST_EVENT_ID = 255
TIME_FORMAT = "yyyy-MM-dd'T'HH:mm:ss.SSSZ"
"""What `devTimeFormat` says, in the letters of Java's SimpleDateFormat."""


ATTRIBUTES = (
    Column("time", "devTime", Need.ESSENTIAL, "when it happened"),
    Column("time_format", "devTimeFormat", Need.ESSENTIAL, f"how that is written: `{TIME_FORMAT}`"),
    Column("category", "cat", Need.WHOLE, "ECS categories of the action, joined by commas"),
    Column("severity", "sev", Need.WHOLE, "1 to 10; absent when it is not known"),
    Column("action", "action", Need.ESSENTIAL, "action, whole"),
    Column("outcome", "outcome", Need.WHOLE, "`success` or `failure`; absent when it is not known"),
    Column("reason", "reason", Need.HANDY, "why it failed, in the words of the source"),
    Column("type", "type", Need.WHOLE, "ECS types of the action, joined by commas"),
    Column("product", "product", Need.WHOLE, "product, such as `jira`"),
    Column("act", "act", Need.HANDY, "what is done, in one word: `view`, `create`, `grant` …"),
    Column("object", "object", Need.HANDY, "what kind of thing it is done to: `permission`, `policy` …"),
    Column("layer", "layer", Need.HANDY, "what that meaning rests on; `unknown`: on nothing"),
    Column("feed", "feed", Need.HANDY, "kind of log it comes from, such as `organization`"),
    Column("action_name", "actionName", Need.TEXT, "name of the action for people"),
    Column("id", "eventId", Need.ESSENTIAL, "id of the event, or the document id where LEEF cannot carry that one"),
    Column("actor_id", "actorId", Need.ESSENTIAL, "account id of who acted"),
    Column("actor_name", "actorName", Need.TEXT, "display name of who acted"),
    Column("actor_email", "usrName", Need.ACTOR, "e-mail address of who acted, or else the name", 255),
    Column("actor_kind", "actorKind", Need.HANDY, "`person`, `app`, `agent`, `service_account`, `system` …"),
    Column("source_ip", "src", Need.WHOLE, "IP address that the act came from, version 4 or 6"),
    Column("source_address", "sourceAddress", Need.TEXT,
        "where the act came from, when the event states it and it is not an IP address"),
    Column("user_agent", "userAgent", Need.TEXT, "user agent"),
    Column("effective_id", "effectiveId", Need.WHOLE, "account id of the user for or as whom it was done"),
    Column("effective_name", "effectiveName", Need.TEXT, "display name of that user"),
    Column("effective_email", "effectiveEmail", Need.WHOLE, "e-mail address of that user"),
    Column("auth_type", "authType", Need.WHOLE, "how the actor was authenticated"),
    Column("token_id", "tokenId", Need.WHOLE, "id of the API token that was used"),
    Column("token_label", "tokenLabel", Need.TEXT, "label of the API token that was used"),
    Column("session_id", "sessionId", Need.WHOLE, "id of the session"),
    Column("auth_app_id", "authAppId", Need.WHOLE, "id of the app that acted for the actor"),
    Column("auth_app_name", "authAppName", Need.TEXT, "name of that app"),
    Column("auth_app_kind", "authAppKind", Need.HANDY, "`app`, `agent` or `service_account`"),
    Column("target_id", "targetId", Need.WHOLE, "account id of the user it was done to"),
    Column("target_name", "targetName", Need.TEXT, "display name of that user"),
    Column("target_email", "targetEmail", Need.WHOLE, "e-mail address of that user"),
    Column("target_role", "role", Need.WHOLE, "role of that user that was granted or revoked"),
    Column("object_role", "objectRole", Need.WHOLE,
        "role that was granted or revoked where no user is named to whom: of the group, space or object"),
    Column("group_id", "groupID", Need.WHOLE, "id of the group it was done to"),
    Column("group_name", "groupName", Need.TEXT, "name of that group"),
    Column("object_kind", "objectKind", Need.WHOLE, "kind of the object: `page`, `issue` …"),
    Column("object_id", "objectId", Need.WHOLE, "id of the object"),
    Column("object_key", "objectKey", Need.WHOLE, "key of the object, such as `WEB-1`"),
    Column("object_name", "resource", Need.TEXT, "name of the object"),
    Column("object_url", "url", Need.HANDY, "address of the object in the web"),
    Column("object_vendor", "vendor", Need.TEXT, "vendor of the object"),
    Column("object_api_url", "apiUrl", Need.HANDY, "address of the object in an API"),
    Column("space_id", "spaceId", Need.WHOLE, "id of the space"),
    Column("space_key", "spaceKey", Need.WHOLE, "key of the space"),
    Column("space_name", "spaceName", Need.TEXT, "name of the space"),
    Column("site_id", "siteId", Need.HANDY, "id of the site"),
    Column("site_name", "siteName", Need.TEXT, "name of the site"),
    Column("site_url", "siteUrl", Need.HANDY, "address of the site"),
    Column("app_id", "appId", Need.WHOLE, "id of the app that was installed, changed …"),
    Column("app_name", "appName", Need.TEXT, "name of that app"),
    Column("app_vendor", "appVendor", Need.TEXT, "vendor of that app"),
    Column("app_api_url", "appApiUrl", Need.HANDY, "address of that app in an API"),
    Column("domain", "aboutDomain", Need.TEXT, "domain that the event is about"),
    Column("organization_name", "organizationName", Need.TEXT, "name of the organization"),
    Column("related", "related", Need.HANDY, "the same in every log that records this change"),
    Column("late_seconds", "lateSeconds", Need.WHOLE,
        "of an event that did not come as it happened: seconds until it was read"),
    Column("late_reader", "lateReader", Need.HANDY, "who read that one: `reread`, `heal`, `backfill` …"),
    Column("message", "message", Need.TEXT, "message of the event"),
    Column("processed_at", "processedAt", Need.HANDY, "when Atlassian had processed it"),
    Column("organization", "organization", Need.HANDY, "organization id"),
    Column("read_at", "readAt", Need.HANDY, "when it was read from the API"),
    Column("country", "country", Need.TEXT, "country of the source"),
    Column("region", "region", Need.TEXT, "region of the source"),
    Column("city", "city", Need.TEXT, "city of the source"),
    Column("geo", "geo", Need.TEXT, "place of the source as the API gives it, mostly `latitude,longitude`"),
    Column("marks", "marks", Need.ESSENTIAL,
        "what is odd about this record: `truncated`, `derived_id`, `replaced` (a blank stands for `^` or `|`) …"),
    Column("also", "also", Need.HANDY, "further users, things, roles and products that are named, as JSON"),
    Column("changes", "changes", Need.LEAST, "fields that changed, as JSON"),
    Column("context", "context", Need.LEAST, "`context` of the event, the JSON of the API"),
    Column("container", "container", Need.LEAST, "`container` of the event, the JSON of the API"),
)  # fmt: skip

TABLE = Table(ATTRIBUTES, {one.name: f"{DELIMITER}{one.name}=" for one in ATTRIBUTES})

_NOT_OURS = (
    "identMAC identSecondlp isLoginEvent isLogoutEvent calLanguage calCountryOrRegion "
    "identSrc identHostName identNetBios identGrpName"
)
"""Attributes that IBM reserves (the first six, spelled as published), and the others of identity."""

RULES = Rules(
    frozenset(TABLE.by_name),
    frozenset({"devTime", "devTimeFormat", "action", "eventId", "marks"}),
    re.compile("[A-Za-z][A-Za-z0-9]{0,62}"),
    "clientIp",
    reserved=frozenset(_NOT_OURS.split()),
)
"""What a template may do."""
