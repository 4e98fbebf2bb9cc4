"""What a LEEF record of ours is made of: every attribute with its meaning and whether it may be cut.

Where IBM predefines an attribute that means just what we say, it is used; all others are our own. `identSrc` and its
like are left alone: by them QRadar would change what it knows of its own assets. Names are part of what people search
by: they are never changed, only added to. The order is the order in a record. In one that is too long, those of equal
need go from the end.

Source: IBM, "Log Event Extended Format (LEEF)", version 2: predefined attributes.
"""

from __future__ import annotations

import re
from typing import NamedTuple

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


class Attribute(NamedTuple):
    """One attribute.

    Attributes:
        fact: What it says, by the name that fact has in structured data.
        name: As it stands in the record.
        need: What happens to it in a record that is too long.
        meaning: One line for people.
        longest: Characters of its value, where LEEF sets a limit; else 0.
    """

    fact: str
    name: str
    need: Need
    meaning: str
    longest: int = 0


ATTRIBUTES = (
    Attribute("time", "devTime", Need.ESSENTIAL, "when it happened"),
    Attribute("time_format", "devTimeFormat", Need.ESSENTIAL, f"how that is written: `{TIME_FORMAT}`"),
    Attribute("category", "cat", Need.WHOLE, "ECS categories of the action, joined by commas"),
    Attribute("severity", "sev", Need.WHOLE, "1 to 10; absent when it is not known"),
    Attribute("action", "action", Need.ESSENTIAL, "action, whole"),
    Attribute("outcome", "outcome", Need.WHOLE, "`success` or `failure`; absent when it is not known"),
    Attribute("reason", "reason", Need.HANDY, "why it failed, in the words of the source"),
    Attribute("type", "type", Need.WHOLE, "ECS types of the action, joined by commas"),
    Attribute("product", "product", Need.WHOLE, "product, such as `jira`"),
    Attribute("act", "act", Need.HANDY, "what is done, in one word: `view`, `create`, `grant` …"),
    Attribute("object", "object", Need.HANDY, "what kind of thing it is done to: `permission`, `policy` …"),
    Attribute("layer", "layer", Need.HANDY, "what that meaning rests on; `unknown`: on nothing"),
    Attribute("feed", "feed", Need.HANDY, "kind of log it comes from, such as `organization`"),
    Attribute("action_name", "actionName", Need.TEXT, "name of the action for people"),
    Attribute("id", "eventId", Need.ESSENTIAL, "id of the event, or the document id where LEEF cannot carry that one"),
    Attribute("actor_id", "actorId", Need.ESSENTIAL, "account id of who acted"),
    Attribute("actor_name", "actorName", Need.TEXT, "display name of who acted"),
    Attribute("actor_email", "usrName", Need.ACTOR, "e-mail address of who acted, or else the name", 255),
    Attribute("actor_kind", "actorKind", Need.HANDY, "`person`, `app`, `system` …"),
    Attribute("source_ip", "src", Need.WHOLE, "IP address that the act came from, version 4 or 6"),
    Attribute("source_address", "sourceAddress", Need.TEXT,
        "where the act came from, when the event states it and it is not an IP address"),
    Attribute("user_agent", "userAgent", Need.TEXT, "user agent"),
    Attribute("effective_id", "effectiveId", Need.WHOLE, "account id of the user for or as whom it was done"),
    Attribute("effective_name", "effectiveName", Need.TEXT, "display name of that user"),
    Attribute("effective_email", "effectiveEmail", Need.WHOLE, "e-mail address of that user"),
    Attribute("auth_type", "authType", Need.WHOLE, "how the actor was authenticated"),
    Attribute("token_id", "tokenId", Need.WHOLE, "id of the API token that was used"),
    Attribute("token_label", "tokenLabel", Need.TEXT, "label of the API token that was used"),
    Attribute("session_id", "sessionId", Need.WHOLE, "id of the session"),
    Attribute("auth_app_id", "authAppId", Need.WHOLE, "id of the app that acted for the actor"),
    Attribute("target_id", "targetId", Need.WHOLE, "account id of the user it was done to"),
    Attribute("target_name", "targetName", Need.TEXT, "display name of that user"),
    Attribute("target_email", "targetEmail", Need.WHOLE, "e-mail address of that user"),
    Attribute("target_role", "role", Need.WHOLE, "role of that user that was granted or revoked"),
    Attribute("object_role", "objectRole", Need.WHOLE,
        "role that was granted or revoked where no user is named to whom: of the group, space or object"),
    Attribute("group_id", "groupID", Need.WHOLE, "id of the group it was done to"),
    Attribute("group_name", "groupName", Need.TEXT, "name of that group"),
    Attribute("object_kind", "objectKind", Need.WHOLE, "kind of the object: `page`, `issue` …"),
    Attribute("object_id", "objectId", Need.WHOLE, "id of the object"),
    Attribute("object_key", "objectKey", Need.WHOLE, "key of the object, such as `WEB-1`"),
    Attribute("object_name", "resource", Need.TEXT, "name of the object"),
    Attribute("object_url", "url", Need.HANDY, "address of the object in the web"),
    Attribute("object_vendor", "vendor", Need.TEXT, "vendor of the object"),
    Attribute("object_api_url", "apiUrl", Need.HANDY, "address of the object in an API"),
    Attribute("space_id", "spaceId", Need.WHOLE, "id of the space"),
    Attribute("space_key", "spaceKey", Need.WHOLE, "key of the space"),
    Attribute("space_name", "spaceName", Need.TEXT, "name of the space"),
    Attribute("site_id", "siteId", Need.HANDY, "id of the site"),
    Attribute("site_name", "siteName", Need.TEXT, "name of the site"),
    Attribute("site_url", "siteUrl", Need.HANDY, "address of the site"),
    Attribute("app_id", "appId", Need.WHOLE, "id of the app that was installed, changed …"),
    Attribute("app_name", "appName", Need.TEXT, "name of that app"),
    Attribute("app_vendor", "appVendor", Need.TEXT, "vendor of that app"),
    Attribute("app_api_url", "appApiUrl", Need.HANDY, "address of that app in an API"),
    Attribute("domain", "aboutDomain", Need.TEXT, "domain that the event is about"),
    Attribute("organization_name", "organizationName", Need.TEXT, "name of the organization"),
    Attribute("message", "message", Need.TEXT, "message of the event"),
    Attribute("processed_at", "processedAt", Need.HANDY, "when Atlassian had processed it"),
    Attribute("organization", "organization", Need.HANDY, "organization id"),
    Attribute("read_at", "readAt", Need.HANDY, "when it was read from the API"),
    Attribute("country", "country", Need.TEXT, "country of the source"),
    Attribute("region", "region", Need.TEXT, "region of the source"),
    Attribute("city", "city", Need.TEXT, "city of the source"),
    Attribute("geo", "geo", Need.TEXT, "place of the source as the API gives it, mostly `latitude,longitude`"),
    Attribute("marks", "marks", Need.ESSENTIAL,
        "what is odd about this record: `truncated`, `derived_id`, `replaced` (a blank stands for `^` or `|`) …"),
    Attribute("also", "also", Need.HANDY, "further users, things, roles and products that are named, as JSON"),
    Attribute("changes", "changes", Need.LEAST, "fields that changed, as JSON"),
    Attribute("context", "context", Need.LEAST, "`context` of the event, the JSON of the API"),
    Attribute("container", "container", Need.LEAST, "`container` of the event, the JSON of the API"),
)  # fmt: skip

BEFORE = {one.fact: f"{DELIMITER}{one.name}=" for one in ATTRIBUTES}
"""What stands in front of a value, by fact. So names and values in turns need only be joined."""

BY_BEFORE = {BEFORE[one.fact]: one for one in ATTRIBUTES}

BEFORE_NAME = {one.name: BEFORE[one.fact] for one in ATTRIBUTES}

_NOT_OURS = (
    "identMAC identSecondlp isLoginEvent isLogoutEvent calLanguage calCountryOrRegion "
    "identSrc identHostName identNetBios identGrpName"
)
"""Attributes that IBM reserves (the first six, spelled as published), and the others of identity."""

RULES = Rules(
    frozenset(BEFORE_NAME),
    frozenset({"devTime", "devTimeFormat", "action", "eventId", "marks"}),
    re.compile("[A-Za-z][A-Za-z0-9]{0,62}"),
    "clientIp",
    reserved=frozenset(_NOT_OURS.split()),
)
"""What a template may do."""
