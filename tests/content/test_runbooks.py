"""The runbooks: one for each alert, with commands, metrics that are there and links that lead somewhere.

That their commands exist is tried with those of all pages, in tests/docs/test_commands_in_pages.py.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from forwarder.observe.metrics import METRICS
from tests.content.prometheus import PROJECT, metrics_in, names

FOLDER = PROJECT / "docs" / "runbooks"
RUNBOOKS = sorted(FOLDER.glob("AuditForwarder*.md"))
CODE = re.compile(r"```\n(.*?)```|`([^`\n]+)`", re.DOTALL)
OURS = re.compile(r"^audit-forwarder ([^#|\n]+)", re.MULTILINE)


def test_there_is_one_for_each_alert_and_no_other() -> None:
    assert [path.stem for path in RUNBOOKS] == names()


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_it_says_what_it_means_what_to_look_at_and_what_to_do(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"^#+ .*$", text, re.MULTILINE) == [
        f"# {path.stem}",
        "## What it means",
        "## What to look at",
        "## What to do",
    ]
    assert OURS.search("\n".join(block for block, _ in CODE.findall(text)))
    assert metrics_in(text)
    assert len(text.splitlines()) < 50, "it is read at night"


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_what_it_names_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert metrics_in(text) <= {metric.name for metric in METRICS}
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert (FOLDER / link).is_file(), link
