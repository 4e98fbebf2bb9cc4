"""The alerts: written by the conventions, about metrics that exist, each tried firing and silent by promtool."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from forwarder.observe.exposition import Exposition
from forwarder.observe.metrics import METRICS
from tests.content.prometheus import RULE_TESTS, RULES, Prometheus, alerts, metrics_in, names, rules
from tests.observe.reports import full_report

KNOWN = {metric.name: metric for metric in METRICS}
ALLOWED = ['forwarder_reconcile_incomplete_days use base unit "seconds" instead of "days"']
"""Days are counted there, and are no unit."""

BY_SEVERITY = [
    pytest.param(alert, id=f"{alert['alert']}-{alert['labels']['severity']}-{number}")
    for number, alert in enumerate(alerts())
]


def test_there_are_as_many_as_a_person_can_know() -> None:
    assert 12 <= len(names()) <= 20


@pytest.mark.parametrize("alert", BY_SEVERITY)
def test_an_alert_is_written_by_the_conventions(alert: dict[str, Any]) -> None:
    assert re.fullmatch(r"AuditForwarder([A-Z][a-z]+)+", alert["alert"])
    assert set(alert["labels"]) == {"severity"}, "a label that changes makes a new alert"
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    notes = alert["annotations"]
    assert set(notes) == {"summary", "description", "runbook_url"}
    assert "{{" not in notes["summary"], "figures that change belong into the description"
    assert notes["summary"].endswith(".")
    assert notes["description"].endswith(".")
    assert notes["runbook_url"] == f"RUNBOOK_BASE_URL/{alert['alert']}"


@pytest.mark.parametrize("rule", [pytest.param(rule, id=str(number)) for number, rule in enumerate(rules())])
def test_a_rule_asks_for_metrics_and_labels_that_exist(rule: dict[str, Any]) -> None:
    asked = metrics_in(rule["expr"])
    assert asked <= set(KNOWN)
    recorded = {each["record"] for each in rules() if "record" in each}
    assert set(re.findall(r"sink:\w+:\w+", rule["expr"])) <= recorded
    assert asked or "sink:" in rule["expr"]
    labels = {label for name in asked for label in KNOWN[name].labels} | {"sink", "instance", "job"}
    described = " ".join(rule.get("annotations", {}).values())
    assert set(re.findall(r"\$labels\.(\w+)", described)) <= labels


def test_a_state_that_is_asked_for_can_be() -> None:
    text = RULES.read_text(encoding="utf-8")
    page = Exposition(full_report).render()[0].decode()
    for metric, label, value in re.findall(r"(forwarder_\w+)\{(\w+)=\"(\w+)\"\}", text):
        assert re.search(rf'^{metric}\{{.*{label}="{value}"', page, re.MULTILINE), (metric, label, value)


def test_each_severity_of_each_alert_fires_in_one_test_and_each_alert_is_silent_in_another() -> None:
    fires: dict[str, set[str]] = defaultdict(set)
    silent = set()
    for file in RULE_TESTS:
        for test in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]:
            for look in test["alert_rule_test"]:
                for found in look["exp_alerts"]:
                    fires[look["alertname"]].add(found["exp_labels"]["severity"])
                if not look["exp_alerts"]:
                    silent.add(look["alertname"])
    wanted: dict[str, set[str]] = defaultdict(set)
    for alert in alerts():
        wanted[alert["alert"]].add(alert["labels"]["severity"])
    assert fires == wanted
    assert silent == set(wanted)


@pytest.mark.packaging
def test_promtool_has_nothing_to_say_of_the_rules(prometheus: Prometheus) -> None:
    prometheus.promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)


@pytest.mark.packaging
@pytest.mark.parametrize("file", RULE_TESTS, ids=lambda file: file.stem)
def test_each_alert_fires_when_it_should_and_only_then(prometheus: Prometheus, file: Path) -> None:
    prometheus.promtool("test", "rules", file)


def complaints(prometheus: Prometheus, page: bytes) -> list[str]:
    """Return what promtool has to say of our metrics on a page."""
    ours = b"".join(line for line in page.splitlines(keepends=True) if b"forwarder_" in line)
    return prometheus.promtool("check", "metrics", feed=ours, content=False).splitlines()


@pytest.mark.packaging
def test_promtool_has_nothing_to_say_of_our_metrics(prometheus: Prometheus) -> None:
    assert complaints(prometheus, Exposition(full_report).render()[0]) == ALLOWED
