"""Which events a lane gets, and whether the choice needs to know what an event means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forwarder.contracts import Origin
from forwarder.contracts.settings import FilterRule
from forwarder.records.filters import Filter
from forwarder.testing.lanes import bench, event
from tests.delivery.scripted import ScriptedSink

ACME = Origin("acme", "organization", "org-1")
ON_MEANING = [{"action": "user_*"}, {"product": "jira"}, {"actor": "a1"}, {"site": "x*"}]
ON_ORIGIN = [{"source": "acm?"}, {"organization": "org-*"}]


def rules(*trees: dict[str, Any]) -> list[FilterRule]:
    return [FilterRule(**tree) for tree in trees]


@pytest.mark.parametrize("tree", ON_MEANING)
@pytest.mark.parametrize("side", ["include", "exclude", "both"])
def test_a_rule_on_meaning_needs_it_on_either_side(tree: dict[str, Any], side: str) -> None:
    include = rules(tree) if side == "include" else rules(*ON_ORIGIN) if side == "both" else None
    made = Filter(include, rules(tree) if side != "include" else None)
    assert made.by_origin(ACME) is None


@pytest.mark.parametrize("tree", ON_ORIGIN)
def test_a_rule_on_the_origin_needs_no_meaning(tree: dict[str, Any]) -> None:
    for include, exclude in ((rules(tree), None), (None, rules(tree))):
        made = Filter(include, exclude)
        assert made.by_origin(ACME) is made.passes(ACME, None) is (include is not None)


def test_no_rule_is_no_filter_and_an_empty_list_lets_nothing_in() -> None:
    assert Filter(None, None).by_origin(ACME) is Filter(None, []).by_origin(ACME) is True
    assert Filter(None, []).passes(ACME, None)
    nothing = Filter([], None)
    assert nothing.by_origin(ACME) is nothing.passes(ACME, None) is False


HERE, ELSEWHERE = {"source": "acme"}, {"source": "other"}
LOGIN = {"action": "user_*"}


@pytest.mark.parametrize(
    ("include", "exclude", "decided"),
    [
        ([ELSEWHERE | LOGIN], None, False),
        ([HERE | LOGIN], None, None),
        ([ELSEWHERE | LOGIN, HERE], None, True),
        ([ELSEWHERE, LOGIN], None, None),
        (None, [ELSEWHERE | LOGIN], True),
        (None, [HERE | LOGIN], None),
        (None, [LOGIN, HERE], False),
        ([HERE], [ELSEWHERE | LOGIN], True),
        ([HERE], [LOGIN], None),
        ([LOGIN], [HERE], False),
        ([ELSEWHERE], [LOGIN], False),
        ([LOGIN], [ELSEWHERE], None),
        ([{"source": ["x", "ACM*"]}], None, True),
        ([{"source": []}], None, False),
    ],
)
def test_what_is_decided_by_the_origin_alone(include, exclude, decided: bool | None) -> None:
    made = Filter(include and rules(*include), exclude and rules(*exclude))
    assert made.by_origin(ACME) is decided
    assert made.by_origin(ACME) is decided


@pytest.mark.parametrize(
    "tree",
    [{"action": "user_*"}, {"actor": "A1"}, {"action": ["x", "USER_LOGIN"]}, {"action": "user_*", "actor": "a*"}],
)
async def test_a_raw_lane_leaves_out_by_meaning(tmp_path: Path, tree: dict[str, Any]) -> None:
    """Its format needs no meaning, so only the filter asks for it."""
    async with bench(tmp_path) as b:
        sink = ScriptedSink()
        b.start("raw", sink, exclude=[tree])
        other = event("other", "jira_issue_viewed").replace(b'"a1"', b'"b2"')
        await b.fill(event("login"), other)
        await b.drained("raw")
        assert sink.seen == ["other"]
        (line,) = await b.spool.books()
        assert (line.accepted, line.filtered) == (1, 1)
        await b.balanced()


async def test_a_raw_lane_that_leaves_out_by_origin_delivers_what_no_one_understands(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        by_origin, by_meaning = ScriptedSink(), ScriptedSink()
        b.start("origin", by_origin, exclude=[{"source": "elsewhere"}])
        b.start("meaning", by_meaning, exclude=[{"product": "elsewhere"}])
        await b.fill(b'{"id":"odd","attributes":{"action":["not","text"]}}', event("fine"))
        await b.drained("origin")
        await b.drained("meaning")
        assert by_origin.seen == ["odd", "fine"]
        assert by_meaning.seen == ["fine"]
        await b.balanced()
