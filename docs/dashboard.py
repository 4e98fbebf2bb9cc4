"""Grafana's dashboard: four questions in the first row, and below each the panels that its answer is made of.

A panel is data: what it is called, what it asks of Prometheus, in which unit. The JSON is written by `make docs`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from docs.dashboard_panels import ANSWERS, ROWS, STATES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from docs.dashboard_panels import Panel

DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24


def dashboard() -> str:
    """Return the dashboard as JSON."""
    found = {
        "title": "audit-forwarder",
        "uid": "audit-forwarder",
        "description": "Is it reading, is it delivering, how late, and is anything missing?",
        "tags": ["audit-forwarder"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": _variables()},
        "annotations": {"list": []},
        "links": [],
        "panels": list(_placed()),
    }
    return json.dumps(found, indent=2) + "\n"


def _placed() -> Iterator[dict[str, Any]]:
    """Yield rows and panels from left to right and from top to bottom."""
    number, top = 0, 0
    for row, panels in {"": ANSWERS, **ROWS}.items():
        if row:
            number += 1
            yield {
                "id": number,
                "type": "row",
                "title": row,
                "collapsed": False,
                "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": top},
                "panels": [],
            }
            top += 1
        left = 0
        for panel in panels:
            if left + panel.width > WIDTH:
                left, top = 0, top + panel.height
            number += 1
            yield _panel(panel, number, left, top)
            left += panel.width
        top += panels[-1].height


def _panel(panel: Panel, number: int, left: int, top: int) -> dict[str, Any]:
    now = panel.kind in {"stat", "table"}
    defaults: dict[str, Any] = {"unit": panel.unit, "thresholds": _thresholds(panel)}
    if panel.kind == "state-timeline":
        options = {
            str(place): {"text": state, "color": colour, "index": place}
            for place, (state, colour) in enumerate(STATES.items())
        }
        defaults["mappings"] = [{"type": "value", "options": options}]
    elif panel.words:
        options = {value: {"text": words, "color": "green", "index": 0} for value, words in panel.words.items()}
        defaults["mappings"] = [{"type": "value", "options": options}]
    if panel.kind in {"timeseries", "stat"} and panel.unit != "percentunit":
        defaults["min"] = 0 if panel.title != "Keys end in" else None
    made = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": DATA_SOURCE,
        "gridPos": {"h": panel.height, "w": panel.width, "x": left, "y": top},
        "fieldConfig": {
            "defaults": {key: value for key, value in defaults.items() if value is not None},
            "overrides": [],
        },
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": DATA_SOURCE,
                "expr": ask,
                "legendFormat": name or "__auto",
                **({"instant": True, "range": False} if now else {"instant": False, "range": True}),
                **({"format": "table"} if panel.kind == "table" else {}),
            }
            for place, (name, ask) in enumerate(panel.asks.items())
        ],
    }
    return made | _SHAPES[panel.kind](panel)


def _thresholds(panel: Panel) -> dict[str, Any]:
    limits = panel.limits or ((0, "green"),)
    steps = [{"color": colour, "value": None if place == 0 else value} for place, (value, colour) in enumerate(limits)]
    return {"mode": "absolute", "steps": steps}


def _columns(panel: Panel) -> dict[str, Any]:
    """Make one line of each source and sink, a column of each question."""
    names = {f"Value #{chr(ord('A') + place)}": name for place, name in enumerate(panel.asks)}
    return {
        "options": {"showHeader": True},
        "transformations": [
            {"id": "merge", "options": {}},
            {"id": "organize", "options": {"excludeByName": {"Time": True}, "renameByName": names}},
        ],
    }


_SHAPES: Mapping[str, Any] = {
    "timeseries": lambda _: {
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
    },
    "stat": lambda _: {
        "options": {
            "reduceOptions": {"calcs": ["lastNotNull"]},
            "colorMode": "background",
            "textMode": "auto",
            "graphMode": "none",
        }
    },
    "state-timeline": lambda _: {
        "options": {"mergeValues": True, "showValue": "auto", "legend": {"showLegend": False}}
    },
    "table": _columns,
}


def _variables() -> list[dict[str, Any]]:
    chosen = [
        ("instance", "forwarder_build_info"),
        ("source", "forwarder_source_state"),
        ("sink", "forwarder_sink_state"),
    ]
    return [
        {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
        *(
            {
                "name": name,
                "type": "query",
                "datasource": DATA_SOURCE,
                "query": {"query": f"label_values({metric}, {name})", "refId": name},
                "refresh": 2,
                "multi": True,
                "includeAll": True,
                "allValue": ".*",
                "current": {"text": ["All"], "value": ["$__all"]},
                "sort": 1,
            }
            for name, metric in chosen
        ),
    ]
