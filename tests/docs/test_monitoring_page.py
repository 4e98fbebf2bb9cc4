"""The page on monitoring names every alert by its severity, and its pieces of YAML are sound."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from tests.content.prometheus import alerts, names

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")


def test_every_alert_stands_in_the_line_of_its_severity() -> None:
    wanted = {(alert["labels"]["severity"], alert["alert"]) for alert in alerts()}
    lines = re.findall(r"^\| (critical|warning|info) \| [a-z ,]+ \| (.*) \|$", PAGE, re.MULTILINE)
    found = {(severity, name) for severity, line in lines for name in re.findall(r"\(runbooks/(\w+)\.md\)", line)}
    assert found == wanted


def test_what_is_to_be_copied_is_sound() -> None:
    scrape, alertmanager = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
    assert scrape["scrape_configs"][0]["job_name"] == "audit-forwarder"
    silenced = re.findall(r'alertname="(\w+)"', str(alertmanager))
    assert len(silenced) == 4
    assert set(silenced) <= set(names())


def test_links_lead_somewhere() -> None:
    links = set(re.findall(r"\]\(([^)#]+)\)", PAGE))
    assert links
    for link in links:
        assert (ROOT / "docs" / link).exists(), link
