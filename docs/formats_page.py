"""The page of the formats: what each is, and what its keys, attributes or names mean, from their own tables."""

from __future__ import annotations

from docs.markdown import code, table
from forwarder.formats.cef.keys import KEYS, LONGEST_CLASS, LONGEST_NAME, MAPPING_VERSION, PRODUCT, VENDOR
from forwarder.formats.ecs.format import ECS_VERSION
from forwarder.formats.leef.attributes import ATTRIBUTES, DELIMITER, LONGEST_EVENT_ID, TIME_FORMAT
from forwarder.formats.ocsf.format import OCSF_VERSION
from forwarder.formats.structured_data.names import NAMES, SD_ID
from forwarder.registry import FORMATS, OWN_DISTRIBUTION

INTRO = """What a sink's `format` may be. An absent fact is an absent field, in every format; nothing is filled in."""

MEANING = {
    "cef": f"`CEF:0|{VENDOR}|{PRODUCT}|{MAPPING_VERSION}|…`, one line: ArcSight and other readers, such as Sentinel",
    "ecs": f"one line of JSON by the Elastic Common Schema {ECS_VERSION}, and `atlassian.audit.*` for what that lacks",
    "leef": f"`LEEF:2.0|{VENDOR}|{PRODUCT}|{MAPPING_VERSION}|…|{DELIMITER}|…`, one line: IBM QRadar",
    "ocsf": f"one line of JSON by the Open Cybersecurity Schema Framework {OCSF_VERSION}, and `unmapped` for what a "
    "class has no place for",
    "raw": "the JSON of the API, byte for byte but for line ends between tokens; needs no meaning, so it passes what "
    "is not understood",
    "rfc5424_sd": f"one element of syslog's structured data, `[{SD_ID} …]`, without a message",
}

SHORTER = """## A record that is too long for its sink

A sink that carries so many bytes only (syslog) has longer records written again. In this order, until it fits:

1. long texts are cut in the JSON of the API (`context`, `container`, changes); in ECS, OCSF and raw these go when that
   is not enough, the biggest first; in OCSF `observables`, which say nothing new, go before;
2. long texts elsewhere are cut: messages, names, user agents;
3. all but the essentials goes: in ECS, OCSF and raw the biggest first, in CEF, LEEF and structured data what is
   needed least. There an id, an address or a time is never cut: half an id would be a wrong one.

Id, time, action and who acted stay as they are, and in OCSF what the class requires; only the name of an actor without
an id may be cut, to no fewer than 16 characters. Cuts are between characters, never within an escape. The record says
that it was cut: `flexString2` (CEF), `marks` (LEEF, structured data) and `atlassian.audit.marks` (ECS) hold
`truncated`, OCSF has `metadata.is_truncated`, raw JSON has the member `audit_forwarder` with the length it had. A
record whose essentials do not fit becomes a dead letter `too_large`."""

OCSF = """## OCSF

- The class is that of the action ([actions](actions.md)) where the event names what the class requires. Otherwise it is
  another one that is true, and `unmapped.instead_of` has the `type_uid` of the action: power given to a group is Group
  Management; power over a thing, with no user named, updates the thing; what is done to a part of the thing that
  is named (a restriction of a page) is an update of that thing; looking at, searching or exporting something unnamed is
  done to the space, the site or the organization that holds it; the rest is a Base Event, activity Other.
- An unknown action is a Base Event, activity Unknown. `metadata.event_code` is the action, always.
- `actor` is who acted, in every class (where a class has none of its own, by the profile `host`); `user` is whose
  account or session it is, or who gets or loses power; who signs in is both.
- `user.uid` is the account id, `user.display_name` the display name, `user.name` the e-mail address, or the display
  name of who has neither.
- `time` is when it happened, `metadata.original_time` the same as Atlassian wrote it, `metadata.logged_time` when
  Atlassian stored it, `metadata.processed_time` when it was read. `metadata.uid` is our document id,
  `metadata.original_event_uid` the event's own.
- `severity_id` is the severity 1 to 10 halved and rounded up, 0 is Unknown; the finer one is `unmapped.severity`.
- OCSF wants the codes of countries and regions, Atlassian gives names: they are under `unmapped.source`.
- 3001 and 3005 are to give way to 3007 in OCSF 1.9; which class an act gets is data (`kinds.toml`).
- Elasticsearch takes it only with `unmanaged: true`, a template of your own and a pipeline that makes `@timestamp` of
  `time`; and so it does `raw`, where that is `attributes.time`."""

FIELDS = """## Names of your own

A sink's `fields` change what its format has written:

```yaml
fields:
  rename: {source.ip: client_ip}    # the value stays what it is
  drop: [related, message]          # it is not privacy: other fields may say the same
  add: {env: prod}                  # a text, a number, true or false
```

- In `ecs` and `raw` names are dotted paths; what is empty without a dropped field goes, too. In `cef`, `leef` and
  `rfc5424_sd` they are the keys, attributes and names below; in CEF a label goes with its key.
- In `ocsf` new names lie under `unmapped`, and what the class requires stays; where something goes that `observables`
  point at, drop those too.
- Time, id, action and marks stay what they are, in every format, so that no record is without them and a cut one says
  so.
- A new name must not be in use; `check` refuses it, and every name that the format does not have. An event in `raw`
  that has something of its own in the place of a new name becomes a dead letter; nothing is overwritten.
- Ids of documents, filters and whatever a sink takes from the event itself (`index`, `indexed_fields`) know nothing of
  it. In Elasticsearch fields that our template does not name are stored, but not searchable."""

CEF = f"""## CEF

`CEF:0|{VENDOR}|{PRODUCT}|{MAPPING_VERSION}|event class id|name|severity|extension`

- The **event class id** is the action (at most {LONGEST_CLASS} characters), `unknown` for an event without
  one. Rules match it.
- The **name** is that of the action (at most {LONGEST_NAME}); nothing of the single event is in it.
- The **severity** is 0 (unknown) to 10. The device version is the version of this mapping.
- In the header `|` and `\\` are escaped, in a value `=`, `\\` and line ends (`\\n`, `\\r`). Every other control
  character is a blank, and no value begins or ends with one. A value longer than its key allows is cut between
  characters and the record marked `truncated`.
- Times are epoch milliseconds. Keys of our own begin with `AtlassianAudit`."""

LEEF = f"""## LEEF

`LEEF:2.0|{VENDOR}|{PRODUCT}|{MAPPING_VERSION}|event id|{DELIMITER}|attributes`

- The **event id** is the action (at most {LONGEST_EVENT_ID} characters), `unknown` for an event without one: the same
  as the class id of CEF. In QRadar map events by it.
- Attributes are separated by `{DELIMITER}`, as the header says. The default, a tab, would not outlive most syslog
  servers.
- LEEF knows no escapes. In a value and in the event id `|`, `{DELIMITER}`, control characters and line ends are blanks;
  where one of the first two was replaced, the marks say `replaced`. In JSON both are written as `\\u007c` and
  `\\u005e`, which is the same text. No value begins or ends with a blank.
- Times are `{TIME_FORMAT}`, as `devTimeFormat` says for `devTime`.
- The predefined attributes that are used mean what IBM says. Those of identity (`identSrc` …) are not used: by them
  QRadar would change what it knows of your assets."""

SD = f"""## Structured data

One element `{SD_ID}`; 32473 is the enterprise number for examples (RFC 5612), since we have none of our own. In a value
`"`, `\\` and `]` are escaped with `\\` (RFC 5424, 6.3.3); control characters and line ends are blanks. Times are RFC
3339 in UTC, with milliseconds."""


def _first_line(name: str) -> str:
    return str(FORMATS.load(name).__doc__ or "").partition("\n")[0]


def formats() -> str:
    """Return the page's body."""
    names = FORMATS.names(distribution=OWN_DISTRIBUTION)
    about = [[code(name), MEANING.get(name) or _first_line(name)] for name in names]
    keys = [
        [code(key.name), str(key.longest or "-"), key.meaning, code(key.label) if key.label else "-"] for key in KEYS
    ]
    attributes = [[code(one.name), str(one.longest or "-"), one.meaning] for one in ATTRIBUTES]
    parameters = [[code(name.name), name.meaning] for name in NAMES]
    return "\n\n".join(
        [
            INTRO,
            table(["Format", "What it is"], about),
            SHORTER,
            FIELDS,
            OCSF,
            CEF,
            table(["Key", "Characters", "Meaning", "Its `…Label`"], keys),
            LEEF,
            table(["Attribute", "Characters", "Meaning"], attributes),
            SD,
            table(["Name", "Meaning"], parameters),
        ]
    )
