"""What a CEF record of ours is made of: every key with its meaning, its length and whether it may be cut.

Names, types and lengths are those of the CEF standard, revision 27 (the headers: 63, 63, 31, 1023 and 512 characters).
`c6a2` is missing in that revision's list of keys but not in what receivers know: it is where they look for an IPv6
source. Keys of our own are formed as the standard wants them, vendor and product in front: `AtlassianAudit…`.

The order is the order in a record. In one that is too long, those of equal need go from the end.
"""

from __future__ import annotations

import re

from forwarder.formats.kit.columns import Column, Table
from forwarder.formats.kit.fields import Rules
from forwarder.formats.kit.shortening import Need

VENDOR = "Atlassian"
PRODUCT = "Audit"
MAPPING_VERSION = "1"
"""Version of the mapping below, sent as device version: Atlassian's cloud has none that could be known."""

LONGEST_CLASS = 1023
LONGEST_NAME = 512


KEYS = (
    Column("time", "rt", Need.ESSENTIAL, "when it happened", 0),
    Column("action", "act", Need.ESSENTIAL, "action, cut to 63 characters; whole as the event class id", 63),
    Column("outcome", "outcome", Need.WHOLE, "`success` or `failure`; absent when it is not known", 63),
    Column("reason", "reason", Need.HANDY, "why it failed, in the words of the source", 1023),
    Column("category", "cat", Need.WHOLE, "ECS categories of the action, joined by commas", 1023),
    Column("product", "destinationServiceName", Need.WHOLE, "product, such as `jira`", 1023),
    Column("feed", "deviceFacility", Need.HANDY, "kind of log it comes from, such as `organization`", 1023),
    Column("act", "AtlassianAuditAct", Need.HANDY, "what is done, in one word: `view`, `create`, `grant` …", 63),
    Column("object", "AtlassianAuditObject", Need.HANDY,
        "what kind of thing it is done to: `permission`, `policy` …", 63),
    Column("layer", "AtlassianAuditLayer", Need.HANDY, "what that meaning rests on; `unknown`: on nothing", 63),
    Column("id", "externalId", Need.ESSENTIAL,
        "id of the event, or the document id where CEF cannot carry that one", 40),
    Column("actor_id", "suid", Need.ESSENTIAL, "account id of who acted", 1023),
    Column("actor_user", "suser", Need.ACTOR, "e-mail address of who acted, or else the name", 1023),
    Column("actor_name", "AtlassianAuditActorName", Need.TEXT, "display name of who acted", 1023),
    Column("actor_kind", "AtlassianAuditActorKind", Need.HANDY,
        "`person`, `app`, `agent`, `service_account`, `system` …", 63),
    Column("source_ip", "src", Need.WHOLE, "IPv4 address that the act came from", 0),
    Column("source_ipv6", "c6a2", Need.WHOLE, "IPv6 address that the act came from", 0, "Source IPv6 Address"),
    Column("source_address", "shost", Need.TEXT,
        "where the act came from, when the event states it and it is not an IP address", 1023),
    Column("user_agent", "requestClientApplication", Need.TEXT, "user agent", 1023),
    Column("effective", "flexString1", Need.WHOLE,
        "for or as whom it was done: account id, else address, else name", 1023, "Effective User"),
    Column("effective_name", "AtlassianAuditEffectiveName", Need.TEXT, "display name of that user", 1023),
    Column("effective_email", "AtlassianAuditEffectiveEmail", Need.WHOLE, "e-mail address of that user", 1023),
    Column("auth_type", "cs3", Need.WHOLE, "how the actor was authenticated", 4000, "Authentication"),
    Column("token_id", "cs4", Need.WHOLE, "id of the API token that was used", 4000, "Token"),
    Column("token_label", "AtlassianAuditTokenLabel", Need.TEXT, "label of the API token that was used", 1023),
    Column("auth_app_id", "sourceServiceName", Need.HANDY, "id of the app that acted for the actor", 1023),
    Column("auth_app_name", "AtlassianAuditActingAppName", Need.TEXT, "name of that app", 1023),
    Column("auth_app_kind", "AtlassianAuditActingAppKind", Need.HANDY, "`app`, `agent` or `service_account`", 63),
    Column("target_id", "duid", Need.WHOLE, "account id of the user it was done to", 1023),
    Column("target_user", "duser", Need.WHOLE, "e-mail address of the user it was done to, or else the name", 1023),
    Column("target_name", "AtlassianAuditTargetName", Need.TEXT, "display name of the user it was done to", 1023),
    Column("target_role", "dpriv", Need.WHOLE,
        "role that was granted or revoked; `duid` or `cs1` says whose, if anything does", 1023),
    Column("group", "cs1", Need.TEXT, "group it was done to: its name, or else its id", 4000, "Group"),
    Column("space", "cs2", Need.TEXT, "space: its key, or else its name, or else its id", 4000, "Space"),
    Column("object_kind", "fileType", Need.WHOLE, "kind of the object: `page`, `issue`, `app` …", 1023),
    Column("object_id", "fileId", Need.WHOLE, "id of the object", 1023),
    Column("object_key", "filePath", Need.WHOLE, "key of the object, such as `WEB-1`", 1023),
    Column("object_name", "fname", Need.TEXT, "name of the object", 1023),
    Column("object_url", "request", Need.HANDY, "address of the object in the web", 1023),
    Column("object_vendor", "AtlassianAuditVendor", Need.TEXT, "vendor of the object", 1023),
    Column("object_api_url", "AtlassianAuditApiUrl", Need.HANDY, "address of the object in an API", 1023),
    Column("domain", "AtlassianAuditDomain", Need.TEXT, "domain that the event is about", 1023),
    Column("organization_name", "AtlassianAuditOrganization", Need.TEXT, "name of the organization", 1023),
    Column("related", "AtlassianAuditRelated", Need.HANDY, "the same in every log that records this change", 63),
    Column("late_seconds", "AtlassianAuditLateSeconds", Need.WHOLE,
        "of an event that did not come as it happened: seconds until it was read", 19),
    Column("late_reader", "AtlassianAuditLateReader", Need.HANDY,
        "who read that one: `reread`, `heal`, `backfill` …", 63),
    Column("message", "msg", Need.TEXT, "message of the event", 1023),
    Column("processed_at", "deviceCustomDate1", Need.HANDY, "when Atlassian had processed it", 0, "Processed At"),
    Column("site_host", "dvchost", Need.HANDY, "host of the site", 100),
    Column("organization", "deviceExternalId", Need.HANDY, "organization id", 255),
    Column("read_at", "deviceCustomDate2", Need.HANDY, "when it was read from the API", 0, "Read At"),
    Column("country", "AtlassianAuditCountry", Need.TEXT, "country of the source", 1023),
    Column("region", "AtlassianAuditRegion", Need.TEXT, "region of the source", 1023),
    Column("city", "AtlassianAuditCity", Need.TEXT, "city of the source", 1023),
    Column("geo", "AtlassianAuditGeo", Need.TEXT,
        "place of the source as the API gives it, mostly `latitude,longitude`", 1023),
    Column("marks", "flexString2", Need.ESSENTIAL,
        "what is odd about this record: `truncated`, `derived_id` …", 1023, "Marks"),
    Column("also", "AtlassianAuditAlso", Need.HANDY,
        "further users, things, roles and products that are named, as JSON", 4000),
    Column("changes", "cs5", Need.LEAST, "fields that changed, as JSON", 4000, "Changes"),
    Column("context", "cs6", Need.LEAST, "`context` of the event, the JSON of the API", 4000, "Context"),
    Column("container", "AtlassianAuditContainer", Need.LEAST, "`container` of the event, the JSON of the API", 4000),
)  # fmt: skip

BEFORE = {key.name: f" {key.name}Label={key.label} {key.name}=" if key.label else f" {key.name}=" for key in KEYS}
"""What stands in front of a value, by key: no fact appears without its label, and no label without its fact."""

TABLE = Table(KEYS, BEFORE)

_CONSUMERS = (
    "agentDnsDomain agentNtDomain agentTranslatedAddress agentTranslatedZoneExternalID "
    "agentTranslatedZoneURI agentZoneExternalID agentZoneURI agt ahost aid amac art at atz av "
    "customerExternalID customerURI destinationTranslatedZoneExternalID destinationTranslatedZoneURI "
    "destinationZoneExternalID destinationZoneURI deviceTranslatedZoneExternalID deviceTranslatedZoneURI "
    "deviceZoneExternalID deviceZoneURI dlat dlong eventId rawEvent slat slong "
    "sourceTranslatedZoneExternalID sourceTranslatedZoneURI sourceZoneExternalID sourceZoneURI"
)
"""Keys of the standard that only a receiver may set."""

RULES = Rules(
    frozenset(BEFORE),
    frozenset({"rt", "act", "externalId", "flexString2"}),
    re.compile("[A-Za-z][A-Za-z0-9]{0,62}"),
    "clientIp",
    reserved=frozenset(_CONSUMERS.split()).union(f"{key.name}Label" for key in KEYS if key.label),
)
"""What a template may do. A label goes with its key, and is no name of its own."""
