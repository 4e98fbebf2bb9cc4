"""The index template: complete for what we write, equal to itself in every server's spelling, and frozen by version."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from sinks.elasticsearch.template import VERSION, Flavour, compare, digest, index_template, normal_form, template_name
from tests.events import ecs_of, golden_bodies, meaning_of

STREAM = "logs-atlassian.audit-default"
FLAVOURS: list[Flavour] = ["elasticsearch", "opensearch"]

# A digest that is no longer right means that the template has changed: raise VERSION, then write the new ones here.
DIGESTS = {
    (6, "elasticsearch"): "30116e74c41041e7a133ab7d80ceb448",
    (6, "opensearch"): "5610deb42b6b5f8e9170a0d061406748",
    (5, "elasticsearch"): "325ed92949a394c746a361a88b795cd4",
    (5, "opensearch"): "c0dbe61eecb71729ab7f9210810cbf7f",
    (4, "elasticsearch"): "bc748a7690cb73531802ab073667271f",
    (4, "opensearch"): "3c6a63c36d2d9a3872fade25f0be3b71",
    (3, "elasticsearch"): "f0221f76c3d247ba2cd5a06a4b5d90ee",
    (3, "opensearch"): "59dfd2a0bee478bade77b86dfe1f1a06",
    (2, "elasticsearch"): "db94c966275bf6ba2e8e83b24575fc02",
    (2, "opensearch"): "ba8e03cb770f57a1a19afe012fc9b6b5",
    (1, "elasticsearch"): "98c4becef2ec89639a61f9398262765c",
    (1, "opensearch"): "ac7e7eea6776fac6b89588ee11385bd2",
}


def leaves(tree: Any, path: str = "") -> set[str]:
    if isinstance(tree, list):
        return {leaf for one in tree for leaf in leaves(one, path)}
    if isinstance(tree, dict):
        return {leaf for key, value in tree.items() for leaf in leaves(value, f"{path}.{key}" if path else key)}
    return {path}


def mapped(mapping: dict[str, Any], path: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, field in mapping["properties"].items():
        here = f"{path}.{name}" if path else name
        found |= mapped(field, here) if "properties" in field else {here: field["type"]}
    return found


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_field_that_is_written_has_a_type(flavour: Flavour) -> None:
    types = mapped(index_template(STREAM, flavour)["template"]["mappings"])
    whole = [path for path, type_ in types.items() if type_ in {"flattened", "object", "geo_point"}]
    events = [meaning_of(body) for body in golden_bodies().values()]
    written = {
        leaf for event in events if not isinstance(event, Exception) for leaf in leaves(json.loads(ecs_of(event)))
    }
    assert len(written) > 40
    unmapped = {leaf for leaf in written if leaf not in types and not any(leaf.startswith(f"{w}.") for w in whole)}
    assert unmapped == set()


ECS = Path(__file__).parents[2] / "formats" / "ecs"
SUBSTITUTED = {"match_only_text": "text", "wildcard": "keyword"}
"""What not every server of the family has, and what stands for it: of the same family to every query."""


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_field_of_ecs_has_the_type_that_ecs_gives_it(flavour: Flavour) -> None:
    properties = index_template(STREAM, flavour)["template"]["mappings"]["properties"]
    types = mapped({"properties": properties})
    texts = set((ECS / "multifields.tsv").read_text().split())
    for line in (ECS / "fields.tsv").read_text().splitlines():
        name, kind = line.split("\t")[:2]
        assert types.get(name) == SUBSTITUTED.get(kind, kind), name
        field: dict[str, Any] = {"properties": properties}
        for part in name.split("."):
            field = field["properties"][part]
        assert field.get("fields", {}).keys() == ({"text"} if f"{name}.text" in texts else set()), name


def test_nothing_is_mapped_by_surprise() -> None:
    """Only what is listed is indexed, and the raw event has no properties that could conflict."""
    for flavour in FLAVOURS:
        mappings = index_template(STREAM, flavour)["template"]["mappings"]
        assert mappings["dynamic"] is False
        assert "dynamic_templates" not in mappings
        audit = mappings["properties"]["atlassian"]["properties"]["audit"]["properties"]
        assert all("properties" not in audit[part] for part in ("context", "container"))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_changed_template_has_a_new_version(flavour: Flavour) -> None:
    assert index_template(STREAM, flavour)["_meta"]["digest"] == DIGESTS[VERSION, flavour]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_only_types_that_every_server_of_the_family_knows(flavour: Flavour) -> None:
    """Some distributions lack match_only_text, wildcard, constant_keyword and version."""
    known = {
        "keyword",
        "text",
        "date",
        "long",
        "ip",
        "geo_point",
        "flattened" if flavour == "elasticsearch" else "object",
    }
    assert set(mapped(index_template(STREAM, flavour)["template"]["mappings"]).values()) <= known


@pytest.mark.parametrize(
    ("stream", "name", "pattern"),
    [
        ("logs-atlassian.audit-default", "logs-atlassian.audit", "logs-atlassian.audit-*"),
        ("logs-atlassian.audit-team_a", "logs-atlassian.audit", "logs-atlassian.audit-*"),
        ("metrics-x-y", "metrics-x", "metrics-x-*"),
        ("audit", "audit", "audit"),
        ("our-audit", "our-audit", "our-audit"),
        ("a-b-c-d", "a-b-c-d", "a-b-c-d"),
    ],
)
def test_names_and_patterns(stream: str, name: str, pattern: str) -> None:
    assert template_name(stream) == name
    assert index_template(stream, "elasticsearch")["index_patterns"] == [pattern]


def test_missing_is_shown_whole() -> None:
    step = compare(None, index_template(STREAM, "elasticsearch"), "t")
    assert step.state == "missing"
    assert '+      "@timestamp": {' in step.diff


def _spelled(template: dict[str, Any], how: str) -> dict[str, Any]:
    found = copy.deepcopy(template)
    inner = found["template"]
    if how == "elasticsearch":
        found |= {"composed_of": [], "ignore_missing_component_templates": [], "created_date_millis": 1}
        found["data_stream"] = {"hidden": False, "allow_custom_routing": False}
        inner["settings"] = {"index": {"lifecycle": {"name": "logs"}}}
    elif how == "opensearch":
        found["data_stream"] = {"timestamp_field": {"name": "@timestamp"}}
        inner["settings"] = {"index.lifecycle.name": "logs"}
        inner["mappings"]["dynamic"] = "false"
        inner["aliases"] = {}
    elif how == "flat settings":
        inner["settings"] = {"lifecycle.name": "logs"}
    elif how == "objects named":
        inner["mappings"]["properties"]["event"]["type"] = "object"
    elif how == "text":
        inner["mappings"]["properties"]["event"]["properties"]["action"]["ignore_above"] = "1024"
        inner["mappings"]["properties"]["event"]["properties"]["original"]["index"] = "false"
    return found


@pytest.mark.parametrize("how", ["elasticsearch", "opensearch", "flat settings", "objects named", "text"])
def test_another_spelling_is_the_same(how: str) -> None:
    wanted = index_template(STREAM, "elasticsearch", "logs")
    found = _spelled(wanted, how)
    assert found != wanted
    assert normal_form(found) == normal_form(wanted)
    assert digest(found) == wanted["_meta"]["digest"]
    assert compare(found, wanted, "t").state == "same"


def test_a_field_called_type_is_not_taken_for_a_type() -> None:
    template = index_template(STREAM, "elasticsearch")
    other = copy.deepcopy(template)
    del other["template"]["mappings"]["properties"]["event"]["properties"]["type"]
    assert normal_form(other) != normal_form(template)


@pytest.mark.parametrize("lost", ["data_stream", "priority", "index_patterns"])
def test_what_is_lost_is_a_difference(lost: str) -> None:
    template = index_template(STREAM, "elasticsearch")
    found = {key: value for key, value in template.items() if key != lost}
    assert compare(found, template, "t").state == "foreign"
