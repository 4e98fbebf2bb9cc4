"""The organization's own list of actions, and the names no one knows: over real sockets, restarts and failures."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.catalogue.state_files import read_state, state_file, write_state
from forwarder.contracts import ForwarderError, ListedAction, Retryable
from forwarder.daemon.action_lists import KeptList, UnknownActions, kept_lists
from forwarder.observe.reports import SourceReport
from forwarder.sources.organization.actions import actions_of
from simulator.config import SimulatorConfig
from simulator.httpd import Response
from simulator.simulator import Simulator
from tests.daemon.engine import Engine, engine, file_sink, lines_of, source
from tests.sources.organization.answers import KEY, harness


def few() -> SimulatorConfig:
    return SimulatorConfig(events=300, history="2d")


def listing(*items: Any, following: str | None = None) -> bytes:
    return json.dumps({"data": items, "meta": {"next": following}}).encode()


def item(ident: str, name: str, *groups: str) -> dict[str, Any]:
    return {
        "id": ident,
        "type": "event-actions",
        "attributes": {"displayName": name, "groupDisplayNames": list(groups)},
    }


def polled(e: Engine) -> SourceReport:
    return e.daemon._source_reports.get("acme") or SourceReport("acme", "not built yet")


# ------------------------------------------------------------------------------------------------------- the answer


def test_a_list_is_read():
    one = {"id": "b", "attributes": {"displayName": "B", "groupDisplayName": "G"}}
    found, following = actions_of(listing(item("a", "Did A", "Things", "More"), one, {"id": "c"}, following="n"))
    assert found == [ListedAction("a", "Did A", ("Things", "More")), ListedAction("b", "B", ("G",)), ListedAction("c")]
    assert following == "n"


def test_an_odd_item_costs_only_itself():
    odd = [{"id": 7}, {"id": ""}, {"id": "x" * 300}, "text", None, {"id": "d", "attributes": []}]
    found, _ = actions_of(listing(*odd, item("a", "y" * 500)))
    assert found == [ListedAction("a", "y" * 200)]


@given(st.binary(max_size=60) | st.builds(lambda v: json.dumps(v).encode(), st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["data", "meta", "id", "next"]), inner),
)))  # fmt: skip
def test_any_answer_is_a_list_or_is_refused(body):
    try:
        found, following = actions_of(body)
    except Retryable:
        return
    assert all(action.id for action in found)
    assert following is None or following


async def test_the_source_follows_the_pages_of_the_list():
    async with harness() as d:
        d.answers += [
            Response(200, {"Content-Type": "application/json"}, listing(item("a", "A"), following="c+1/=")),
            Response(200, {"Content-Type": "application/json"}, listing(item("b", "B"))),
        ]
        assert [action.id for action in await d.source.actions()] == ["a", "b"]
        assert [request.path.rsplit("/", 1)[1] for request in d.asked] == ["event-actions"] * 2
        assert d.query == {"cursor": "c+1/="}


async def test_a_refusal_says_why_and_shows_no_key():
    async with harness() as d:
        body = json.dumps({"errors": [{"code": "ADMIN-403-3", "title": f"not with {KEY}"}]}).encode()
        d.answers.append(Response(403, {"Content-Type": "application/json"}, body))
        with pytest.raises(ForwarderError) as caught:
            await d.source.actions()
        assert "403 ADMIN-403-3" in str(caught.value)
        assert KEY not in str(caught.value)


# ------------------------------------------------------------------------------------------------------- the daemon


async def test_the_list_is_learnt_and_kept(tmp_path: Path) -> None:
    async with (
        Simulator(few()) as sim,
        engine(tmp_path, {"acme": source(sim)}, {"out": file_sink(tmp_path / "out", format="ecs")}) as e,
    ):
        await e.until(lambda: bool(kept_lists(tmp_path)))
        await e.until(lambda: polled(e).actions > 20)
        [kept] = kept_lists(tmp_path)
        assert len(kept.actions) == polled(e).actions
        assert (
            ListedAction("confluence_page_viewed", "Viewed Confluence page", ("Confluence user activity",))
            in kept.actions
        )
        [path] = tmp_path.glob("event-actions-*.json")
        assert path.stat().st_mode & 0o777 == 0o600
        assert not list(tmp_path.glob("*.tmp"))


async def test_a_kept_list_serves_while_the_api_refuses_and_events_flow_all_the_same(tmp_path: Path) -> None:
    async with Simulator(few()) as sim:
        kept = KeptList("organization/x", 1.0, [ListedAction("quantum_board_rearranged", "Updated Jira board")])
        sim.faults.add("server_error", status=500, feed="actions", every=1)
        out = tmp_path / "out"
        settings = source(sim)
        async with engine(tmp_path, {"acme": settings}, {"out": file_sink(out)}) as e:
            await e.until(lambda: len(lines_of(out)) >= 300)
            identity = e.daemon._sources["acme"].origin.identity
        write_state(state_file(tmp_path, "event-actions", identity), kept)
        async with engine(tmp_path, {"acme": settings}, {"out": file_sink(out)}, rng=random.Random(1)) as e:
            await e.until(lambda: bool(polled(e).actions_problem))
            report = polled(e)
            assert "500" in report.actions_problem
            assert (report.actions, report.actions_read, report.state in {"idle", "working", "starting"}) == (
                1,
                1.0,
                True,
            )
            meaning = e.daemon._learning.normalizers("organization")._catalogue.meaning("quantum_board_rearranged")
            assert (meaning.layer, meaning.act, meaning.object) == ("organization", "change", "board")


async def test_what_nobody_knows_is_written_down_at_the_end(tmp_path: Path) -> None:
    async with Simulator(few()) as sim:
        sinks = {"out": file_sink(tmp_path / "out"), "other": file_sink(tmp_path / "other")}
        async with engine(tmp_path, {"acme": source(sim)}, sinks) as e:
            await e.until(lambda: len(lines_of(tmp_path / "out")) >= 300)
            e.daemon._lane_reports["out"].unknown_actions.update(x_f00=3, y=1)
            e.daemon._lane_reports["other"].unknown_actions.update(x_f00=2)  # the same events, not all of them yet
        assert UnknownActions(tmp_path).counts() == Counter(x_f00=3, y=1)


# -------------------------------------------------------------------------------------------------- the state folder


def test_counts_go_on_over_restarts_and_stay_few(tmp_path):
    first = UnknownActions(tmp_path)
    first.write([Counter(a=3, b=1), Counter(a=2, c=5)])
    assert UnknownActions(tmp_path).counts() == Counter(a=3, b=1, c=5)
    UnknownActions(tmp_path).write([Counter(a=2)])
    assert UnknownActions(tmp_path).counts()["a"] == 5
    UnknownActions(tmp_path).write([Counter({f"x{number}": 1 for number in range(1000)})])
    assert len(UnknownActions(tmp_path).counts()) == 200
    assert UnknownActions(tmp_path).counts()["c"] == 5


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"a": "x"}', b"[" * 100_000])
def test_a_damaged_file_is_as_good_as_none(tmp_path, body):
    path = state_file(tmp_path, "unknown-actions")
    path.write_bytes(body)
    assert read_state(path, dict[str, int]) is None
    assert UnknownActions(tmp_path).counts() == Counter()


def test_the_name_of_a_state_file_stays_in_its_folder(tmp_path):
    assert state_file(tmp_path, "event-actions", "../../etc/x:y").parent == tmp_path
    assert state_file(tmp_path, "event-actions", "a:b").name == "event-actions-a_b.json"
