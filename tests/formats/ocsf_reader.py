"""A reader of OCSF that is not ours (ocsf-json-schema with jsonschema), and what it does not check."""

from functools import cache

import jsonschema
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from tests.events import strictly as json_strictly

VERSION = "1.8.0"
SCHEMA = get_ocsf_schema(version=VERSION)  # here, since it takes longer than a test of hypothesis may
EMBEDDED = OcsfJsonSchemaEmbedded(SCHEMA)


@cache
def validator(class_uid: int, profiles: tuple[str, ...]) -> jsonschema.Draft202012Validator:
    name = EMBEDDED.lookup_class_name_from_uid(class_uid)
    return jsonschema.Draft202012Validator(EMBEDDED.get_class_schema(class_name=name, profiles=list(profiles)))


def findings(event: dict) -> list[str]:
    """Return what is wrong with an event, by the schema and by the rules that it cannot say."""
    profiles = tuple(event["metadata"].get("profiles", ()))
    found = [
        f"{error.json_path}: {error.message[:200]}"
        for error in validator(event["class_uid"], profiles).iter_errors(event)
    ]
    if event["type_uid"] != event["class_uid"] * 100 + event["activity_id"]:
        found.append(f"type_uid {event['type_uid']} of {event['class_uid']}/{event['activity_id']}")
    if event["category_uid"] != event["class_uid"] // 1000:
        found.append(f"category_uid {event['category_uid']} of {event['class_uid']}")
    if found:
        return found  # what follows believes the shape
    name = EMBEDDED.lookup_class_name_from_uid(event["class_uid"])
    siblings(event, SCHEMA["classes"][name]["attributes"], "", found)
    for observable in event.get("observables", ()):
        if at(event, observable["name"]) != observable["value"]:
            found.append(f"observable {observable['name']} is not what stands there")
        if not observable["name"].startswith("unmapped."):
            kind = kind_at(SCHEMA["classes"][name]["attributes"], observable["name"])
            if kind != observable["type_id"]:
                found.append(f"observable {observable['name']} is of type {kind}")
    return found


def siblings(event: dict, attributes: dict, path: str, found: list[str]) -> None:
    """Find every number of an enumeration whose text says something else, and every 99 that has none."""
    for name, attribute in attributes.items():
        value = event.get(name)
        here = f"{path}.{name}"
        if value is None:
            continue
        enum, sibling = attribute.get("enum"), attribute.get("sibling")
        if enum and sibling:
            text, caption = event.get(sibling), enum[str(value)]["caption"]
            if value == 99 and sibling != "type_name" and not text:
                found.append(f"{here} is Other without {sibling}")
            if text is not None and text != caption and (value != 99 or sibling == "type_name"):
                found.append(f"{here} {value} is {caption}, not {text}")
        if attribute["type"] == "object_t" and attribute["object_type"] != "object":
            inner = SCHEMA["objects"][attribute["object_type"]]["attributes"]
            for one in value if isinstance(value, list) else [value]:
                siblings(one, inner, here, found)


def kind_at(attributes: dict, path: str) -> int | None:
    """Return the type of observable that the schema gives to `a.b[0].c`."""
    *way, last = [part.partition("[")[0] for part in path.split(".")]
    for part in way:
        attributes = SCHEMA["objects"][attributes[part]["object_type"]]["attributes"]
    attribute = attributes[last]
    return attribute.get("observable") or SCHEMA["dictionary"]["types"]["attributes"][attribute["type"]].get(
        "observable"
    )


def at(event, path: str):
    """Return what stands at `a.b[0].c`."""
    for part in path.split("."):
        name, _, number = part.partition("[")
        event = event[name]
        if number:
            event = event[int(number.rstrip("]"))]
    return event


def strictly(line: bytes) -> dict:
    """Read one line of NDJSON as one valid event, as a strict reader would."""
    event = json_strictly(line)
    assert not (found := findings(event)), (found, event)
    return event
