"""The dashboard as it is written: nothing overlaps, everything is explained, and it asks for what exists."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import pytest

from forwarder.observe.metrics import METRICS
from tests.content.prometheus import PROJECT, metrics_in

FILE = PROJECT / "content" / "grafana" / "audit-forwarder.json"
DASHBOARD: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def test_the_first_row_answers_four_questions() -> None:
    first = [panel for panel in PANELS if panel["gridPos"]["y"] == 0]
    assert [panel["title"] for panel in first] == [
        "Is it reading?",
        "Is it delivering?",
        "How late?",
        "Is anything missing?",
    ]
    assert {panel["type"] for panel in first} == {"stat"}


def test_nothing_overlaps_and_no_number_comes_twice() -> None:
    cells = [
        (left, top)
        for panel in DASHBOARD["panels"]
        for place in [panel["gridPos"]]
        for left in range(place["x"], place["x"] + place["w"])
        for top in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert {left for left, _ in cells} == set(range(24))
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert all(before < after for before, after in pairwise(ids))


@pytest.mark.parametrize("panel", [pytest.param(panel, id=str(panel["id"])) for panel in PANELS])
def test_a_panel_is_explained_and_asks_the_chosen_prometheus_for_what_exists(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    known = {metric.name: metric for metric in METRICS}
    for target in panel["targets"]:
        assert target["datasource"] == panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        asked = metrics_in(target["expr"])
        assert asked
        assert asked <= set(known)
        assert 'instance=~"$instance"' in target["expr"]
        labels = {label for name in asked for label in known[name].labels} | {"instance"}
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels


def test_what_is_chosen_are_the_prometheus_and_what_is_looked_at() -> None:
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert list(variables) == ["datasource", "instance", "source", "sink"]
    assert variables["datasource"]["type"] == "datasource"
    used = set(re.findall(r"\$(?!__)\{?(\w+)", json.dumps(DASHBOARD["panels"])))
    assert used == set(variables)
