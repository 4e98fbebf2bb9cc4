"""The chart's values are described, their schema follows ours, and the chart is of this version."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from docs.chart_schema import CHART, values_schema
from forwarder import __version__
from forwarder.config.json_schema import json_schema
from forwarder.config.settings import ShutdownConfig, load

DEFAULTS: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
CI_VALUES = sorted((CHART / "ci").glob("*-values.yaml"))


def merged(weak: dict[str, Any], strong: dict[str, Any]) -> dict[str, Any]:
    """Merge as helm does; null takes a default away."""
    result = {**weak}
    for key, value in strong.items():
        both = isinstance(value, dict) and isinstance(weak.get(key), dict)
        result[key] = merged(weak[key], value) if both else value
    return {key: value for key, value in result.items() if value is not None}


def secrets(node: Any) -> Iterator[Any]:
    if isinstance(node, list):
        for item in node:
            yield from secrets(item)
    elif isinstance(node, dict):
        if node.get("writeOnly"):
            yield node
        for value in node.values():
            yield from secrets(value)


def test_the_chart_is_of_this_version():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["appVersion"] == __version__
    assert f'image.version="{__version__}"' in (CHART.parents[1] / "Dockerfile").read_text(encoding="utf-8")


def test_the_schema_has_no_place_for_a_secret_and_ours_has():
    assert list(secrets(json_schema()))
    assert list(secrets(values_schema())) == []


def test_every_value_is_described_and_has_its_place_in_the_file():
    for name, shape in values_schema()["properties"].items():
        assert shape["description"], name
        if name not in {"global", "config"}:
            assert name in DEFAULTS
            for key, inside in shape.get("properties", {}).items():
                assert inside["description"], f"{name}.{key}"
                assert key in {*DEFAULTS[name], "repository", "supplementalGroups"}, f"{name}.{key}"


def test_every_type_has_its_own_branch():
    ours, theirs = json_schema(), values_schema()["properties"]["config"]
    for section in ("sources", "sinks"):
        (values,) = theirs["properties"][section]["patternProperties"].values()
        (before,) = ours["properties"][section]["patternProperties"].values()
        assert [branch["then"] for branch in values["allOf"]] == before["oneOf"]
        assert len(values["properties"]["type"]["enum"]) == len(before["oneOf"])


@pytest.mark.parametrize("path", CI_VALUES, ids=lambda path: path.name)
def test_values_for_the_tests_satisfy_the_schema(path):
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(merged(DEFAULTS, yaml.safe_load(path.read_text(encoding="utf-8"))))


def test_the_full_values_set_every_value():
    full = yaml.safe_load((CHART / "ci" / "full-values.yaml").read_text(encoding="utf-8"))
    assert set(values_schema()["properties"]) - set(full) == {"global"}


def test_the_defaults_are_those_of_the_code_but_for_the_address(tmp_path):
    assert load_config(tmp_path).shutdown == ShutdownConfig()
    assert load_config(tmp_path).spool.max_bytes == 2 * 2**30


def load_config(folder):
    minimal = yaml.safe_load((CHART / "ci" / "minimal-values.yaml").read_text(encoding="utf-8"))
    config = merged(DEFAULTS, minimal)["config"]
    config["sources"]["acme"]["api_key"] = "x"
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return load(folder / "config.yaml")
