"""The queries of the analyst's page name only fields that ECS has and our index template types."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from sinks.elasticsearch.template import index_template

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "analyst-questions.md").read_text(encoding="utf-8")
OWN = {"atlassian.audit.authentication.token_id", "atlassian.audit.content.id", "atlassian.audit.authentication.app_id"}
"""ECS has no field for a token nor for an app that acts: the page says so."""


def ecs_fields() -> set[str]:
    return {
        line.split("\t")[0] for line in (ROOT / "tests" / "formats" / "ecs" / "fields.tsv").read_text().splitlines()
    }


def fields(tree: Any) -> set[str]:
    """Return every field that a query or an aggregation names."""
    if isinstance(tree, list):
        return set().union(*map(fields, tree))
    if not isinstance(tree, dict):
        return set()
    named = {tree["field"]} if isinstance(tree.get("field"), str) else set()
    for clause in ("term", "terms", "range", "wildcard", "prefix"):
        named |= {key for key in tree.get(clause, {}) if key not in {"field", "size", "min_doc_count"}}
    named |= {key for one in tree.get("sort", ()) for key in one}
    return named.union(*(fields(value) for value in tree.values()))


def mapped(mapping: dict[str, Any], path: str = "") -> set[str]:
    found: set[str] = set()
    for name, field in mapping.get("properties", {}).items():
        found |= {f"{path}{name}"} | mapped(field, f"{path}{name}.")
    return found


def test_every_field_is_one_of_ecs_and_has_a_type() -> None:
    asked = [fields(json.loads(body)) for body in re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)]
    lines = re.findall(r"^```kql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    in_kql = [set(re.findall(r"([a-z@][a-z_.@]*)(?:: | >= | < )", re.sub(r'"[^"]*"', '""', line))) for line in lines]
    assert len(asked) == len(in_kql) == 10
    assert all(asked)
    for query, line in zip(asked, in_kql, strict=True):
        assert line <= query, "the line of KQL asks for what the query does not"
    named = set().union(*asked)
    assert named - ecs_fields() <= OWN
    assert named <= mapped(index_template("logs-atlassian.audit-default", "opensearch")["template"]["mappings"])
