"""What a CEF record of ours is made of: every key with its meaning, its length and whether it may be cut.

Names, types and lengths are those of the CEF standard, revision 27 (the headers: 63, 63, 31, 1023 and 512 characters).
`c6a2` is missing in that revision's list of keys but not in what receivers know: it is where they look for an IPv6
source. Keys of our own are formed as the standard wants them, vendor and product in front: `AtlassianAudit…`.

The order is the order in a record. In one that is too long, those of equal need go from the end.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from forwarder.formats.kit.fields import Rules
from forwarder.formats.kit.shortening import Need

VENDOR = "Atlassian"
PRODUCT = "Audit"
MAPPING_VERSION = "1"
"""Version of the mapping below, sent as device version: Atlassian's cloud has none that could be known."""

LONGEST_CLASS = 1023
LONGEST_NAME = 512


class Key(NamedTuple):
    """One key.

    Attributes:
        name: As it stands in the record.
        longest: Characters of its value; 0 for a number, a time or an address.
        need: What happens to it in a record that is too long.
        meaning: One line for people.
        label: What its `…Label` says, always the same.
    """

    name: str
    longest: int
    need: Need
    meaning: str
    label: str = ""


KEYS = (
    Key("rt", 0, Need.ESSENTIAL, "when it happened"),
    Key("act", 63, Need.ESSENTIAL, "action, cut to 63 characters; whole as the event class id"),
    Key("outcome", 63, Need.WHOLE, "`success` or `failure`; absent when it is not known"),
    Key("reason", 1023, Need.HANDY, "why it failed, in the words of the source"),
    Key("cat", 1023, Need.WHOLE, "ECS categories of the action, joined by commas"),
    Key("destinationServiceName", 1023, Need.WHOLE, "product, such as `jira`"),
    Key("deviceFacility", 1023, Need.HANDY, "kind of log it comes from, such as `organization`"),
    Key("AtlassianAuditAct", 63, Need.HANDY, "what is done, in one word: `view`, `create`, `grant` …"),
    Key("AtlassianAuditObject", 63, Need.HANDY, "what kind of thing it is done to: `permission`, `policy` …"),
    Key("AtlassianAuditLayer", 63, Need.HANDY, "what that meaning rests on; `unknown`: on nothing"),
    Key("externalId", 40, Need.ESSENTIAL, "id of the event, or the document id where CEF cannot carry that one"),
    Key("suid", 1023, Need.ESSENTIAL, "account id of who acted"),
    Key("suser", 1023, Need.ACTOR, "e-mail address of who acted, or else the name"),
    Key("AtlassianAuditActorName", 1023, Need.TEXT, "display name of who acted"),
    Key("AtlassianAuditActorKind", 63, Need.HANDY, "`person`, `app`, `system` …"),
    Key("src", 0, Need.WHOLE, "IPv4 address that the act came from"),
    Key("c6a2", 0, Need.WHOLE, "IPv6 address that the act came from", "Source IPv6 Address"),
    Key("shost", 1023, Need.TEXT, "where the act came from, when the event states it and it is not an IP address"),
    Key("requestClientApplication", 1023, Need.TEXT, "user agent"),
    Key("flexString1", 1023, Need.WHOLE, "for or as whom it was done: account id, else address, else name",
        "Effective User"),
    Key("AtlassianAuditEffectiveName", 1023, Need.TEXT, "display name of that user"),
    Key("AtlassianAuditEffectiveEmail", 1023, Need.WHOLE, "e-mail address of that user"),
    Key("cs3", 4000, Need.WHOLE, "how the actor was authenticated", "Authentication"),
    Key("cs4", 4000, Need.WHOLE, "id of the API token that was used", "Token"),
    Key("AtlassianAuditTokenLabel", 1023, Need.TEXT, "label of the API token that was used"),
    Key("sourceServiceName", 1023, Need.HANDY, "id of the app that acted for the actor"),
    Key("duid", 1023, Need.WHOLE, "account id of the user it was done to"),
    Key("duser", 1023, Need.WHOLE, "e-mail address of the user it was done to, or else the name"),
    Key("AtlassianAuditTargetName", 1023, Need.TEXT, "display name of the user it was done to"),
    Key("dpriv", 1023, Need.WHOLE, "role that was granted or revoked; `duid` or `cs1` says whose, if anything does"),
    Key("cs1", 4000, Need.TEXT, "group it was done to: its name, or else its id", "Group"),
    Key("cs2", 4000, Need.TEXT, "space: its key, or else its name, or else its id", "Space"),
    Key("fileType", 1023, Need.WHOLE, "kind of the object: `page`, `issue`, `app` …"),
    Key("fileId", 1023, Need.WHOLE, "id of the object"),
    Key("filePath", 1023, Need.WHOLE, "key of the object, such as `WEB-1`"),
    Key("fname", 1023, Need.TEXT, "name of the object"),
    Key("request", 1023, Need.HANDY, "address of the object in the web"),
    Key("AtlassianAuditVendor", 1023, Need.TEXT, "vendor of the object"),
    Key("AtlassianAuditApiUrl", 1023, Need.HANDY, "address of the object in an API"),
    Key("AtlassianAuditDomain", 1023, Need.TEXT, "domain that the event is about"),
    Key("AtlassianAuditOrganization", 1023, Need.TEXT, "name of the organization"),
    Key("msg", 1023, Need.TEXT, "message of the event"),
    Key("deviceCustomDate1", 0, Need.HANDY, "when Atlassian had processed it", "Processed At"),
    Key("dvchost", 100, Need.HANDY, "host of the site"),
    Key("deviceExternalId", 255, Need.HANDY, "organization id"),
    Key("deviceCustomDate2", 0, Need.HANDY, "when it was read from the API", "Read At"),
    Key("AtlassianAuditCountry", 1023, Need.TEXT, "country of the source"),
    Key("AtlassianAuditRegion", 1023, Need.TEXT, "region of the source"),
    Key("AtlassianAuditCity", 1023, Need.TEXT, "city of the source"),
    Key("AtlassianAuditGeo", 1023, Need.TEXT, "place of the source as the API gives it, mostly `latitude,longitude`"),
    Key("flexString2", 1023, Need.ESSENTIAL, "what is odd about this record: `truncated`, `derived_id` …", "Marks"),
    Key("AtlassianAuditAlso", 4000, Need.HANDY, "further users, things, roles and products that are named, as JSON"),
    Key("cs5", 4000, Need.LEAST, "fields that changed, as JSON", "Changes"),
    Key("cs6", 4000, Need.LEAST, "`context` of the event, the JSON of the API", "Context"),
    Key("AtlassianAuditContainer", 4000, Need.LEAST, "`container` of the event, the JSON of the API"),
)  # fmt: skip

BEFORE = {key.name: f" {key.name}Label={key.label} {key.name}=" if key.label else f" {key.name}=" for key in KEYS}
"""What stands in front of a value, by key: no fact appears without its label, and no label without its fact."""

BY_BEFORE = {BEFORE[key.name]: key for key in KEYS}

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
