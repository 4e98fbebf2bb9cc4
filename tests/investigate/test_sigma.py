"""Rules of Sigma become SQL that means the same; what is not read is refused; what is shipped is what the rules say."""

from __future__ import annotations

from pathlib import Path

import pytest

from forwarder.investigate.columns import COLUMNS
from forwarder.investigate.hunt import shipped
from forwarder.investigate.hunt.sigma import compiled
from forwarder.investigate.moments import utc
from forwarder.investigate.without_index import tables_of_files
from tests.investigate.lines import event

NAMES = [column.name for column in COLUMNS]
EVENTS = [
    event("user_login", ident="in", user="a1", name="Ada_100%"),
    event("user_login_failed", ident="failed", user="a1"),
    event("confluence_page_viewed", ident="view", user="a2", name="O'Sedge *", email=None),
    event("group_created", ident="group", user="a2"),
]


def rule(detection, **more):
    return {"title": "t", "id": "i", "description": "d", "level": "high", "detection": detection, **more}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    file = tmp_path_factory.mktemp("sigma") / "events.ndjson"
    file.write_bytes(b"".join(line + b"\n" for line in EVENTS))
    with tables_of_files([file]) as found:
        yield found


def matched(tables, detection, **more):
    hunt = compiled("test", rule(detection, **more), NAMES)
    values = {"since": utc(0), "until": utc(2**42), "most": 100, **hunt.params}
    used = {name: value for name, value in values.items() if f"${name}" in hunt.sql}
    return {ident for row in tables.ask(hunt.sql, used).dicts() for ident in row["ids"]}


@pytest.mark.parametrize(
    ("selection", "wanted"),
    [
        ({"event.code": "session.login"}, {"in", "failed"}),
        ({"event.code": "SESSION.LOGIN"}, {"in", "failed"}),
        ({"event.code": "session.login", "event.outcome": "failure"}, {"failed"}),
        ({"event.code": ["page.view", "group.create"]}, {"view", "group"}),
        ({"event.code": "*.view"}, {"view"}),
        ({"event.code": "pag?.view"}, {"view"}),
        ({"event.code|startswith": "page"}, {"view"}),
        ({"event.code|endswith": ".view"}, {"view"}),
        ({"event.code|contains": "ess"}, {"in", "failed"}),
        ({"event.action|contains|all": ["user", "failed"]}, {"failed"}),
        ({"user.full_name": "ada_100%"}, {"in"}),
        ({"user.full_name": "adax100%"}, set()),
        ({"user.full_name|contains": "%"}, {"in"}),
        ({"user.full_name|contains": "_"}, {"in"}),
        ({"user.full_name": "O'Sedge *"}, {"view"}),
        ({"event.category": "iam"}, {"group"}),
        ({"user.email": None}, {"view"}),
        ({"user.email|exists": False}, {"view"}),
        ([{"event.code": "page.view"}, {"event.code": "group.create"}], {"view", "group"}),
        ({"user.full_name": "x' or '1'='1"}, set()),
    ],
)
def test_a_selection_matches_what_sigma_says(tables, selection, wanted):
    assert matched(tables, {"selection": selection, "condition": "selection"}) == wanted


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ("a and b", {"failed"}),
        ("a and not b", {"in"}),
        ("not (a or c)", {"group"}),
        ("not d", {"in", "failed", "view", "group"}),
        ("(a or c) and not b", {"in", "view"}),
    ],
)
def test_a_condition_joins_selections(tables, condition, wanted):
    detection = {
        "a": {"event.code": "session.login"},
        "b": {"event.outcome": "failure"},
        "c": {"event.code": "page.view"},
        "d": {"user_agent.original": "curl"},
        "condition": condition,
    }
    assert matched(tables, detection) == wanted


@pytest.mark.parametrize(
    ("detection", "more"),
    [
        ({"selection": {"no.such.field": "x"}, "condition": "selection"}, {}),
        ({"selection": {"event.code|re": "x"}, "condition": "selection"}, {}),
        ({"selection": {"event.code": "x"}, "condition": "1 of selection*"}, {}),
        ({"selection": {"event.code": "x"}, "condition": "selection | count() > 5"}, {}),
        ({"selection": {"event.code": "x"}, "condition": "other"}, {}),
        ({"selection": {"event.code": "x"}, "condition": "selection"}, {"timeframe": "5m"}),
        (
            {"selection": {"event.code": "x"}, "condition": "selection"},
            {"correlation": {"type": "temporal", "group-by": ["who"], "timespan": "1h", "condition": {"gte": 1}}},
        ),
    ],
)
def test_what_is_not_read_is_refused_not_left_out(detection, more):
    with pytest.raises(ValueError, match="test: "):
        compiled("test", rule(detection, **more), NAMES)


def test_what_is_shipped_is_what_the_rules_say():
    folder = Path(shipped.__file__).parent
    assert (folder / "shipped.json").read_text(encoding="utf-8") == shipped.made()
    assert {one.name for one in shipped.hunts()} == {path.stem for path in (folder / "rules").glob("*.yml")}
    assert len({one.id for one in shipped.hunts()}) == len(shipped.hunts()) >= 3
