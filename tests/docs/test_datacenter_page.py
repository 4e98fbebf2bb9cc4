"""The examples of the page about Data Center are good configurations, and it names what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from forwarder.assembly import build_source
from forwarder.config.settings import Settings
from forwarder.registry import SOURCES

PAGE = (Path(__file__).parents[2] / "docs" / "datacenter.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_builds_its_source(example, tmp_path):
    tree = yaml.safe_load(example.replace("./", f"{tmp_path}/"))
    settings = Settings(**tree)
    ((name, config),) = settings.sources.items()
    assert build_source(name, config).origin.site


def test_there_is_an_example_of_each_way_and_every_type_is_named():
    assert len(EXAMPLES) == 2
    types = [name for name in SOURCES.names() if name.endswith("_datacenter")]
    assert len(types) == 3
    assert all(f"`{name}`" in PAGE for name in types)


def test_every_setting_it_names_is_one():
    known = set(SOURCES.load("jira_datacenter").Config.model_fields)
    assert {"nodes", "url", "site", "account", "own_searches", "max_line", "user", "every", "since"} <= known
