import json
import re
from pathlib import Path

import pytest

from forwarder.observe.reports import Aside
from forwarder.observe.status_json import report_to_dict
from tests.observe.reports import NOW, full_report, lane_report, source_report, spool_status

TOP = {
    "version", "running", "pid", "config_digest", "counters_since", "spool_written", "spool_written_age_seconds", "now", "time_zone", "started", "started_age_seconds", "ready", "not_ready", "draining",
    "degraded", "looks", "loop_turned", "loop_turned_age_seconds", "spool_turned", "spool_turned_age_seconds", "task_restarts",
    "sources", "sinks", "spool", "books", "completeness", "read_again", "indexes", "checks", "heartbeats", "balanced",
    "acts", "configuration", "days", "letters", "replays", "verdict",
}  # fmt: skip


def walk(value, path=""):
    yield path, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from walk(item, f"{path}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from walk(item, f"{path}[]")


def test_the_form_is_frozen():
    """Dashboards and scripts read it: a key may come, and none goes or means something else."""
    lanes = [
        lane_report(
            aside=(Aside(700, "id-700", "reset", NOW - 65, 4),), next_try=NOW + 4, tries=3, trouble_since=NOW - 9
        ),
        lane_report(name="archive", state="working", reason="", fix="", oldest_waiting=0.0, lag=0),
    ]
    listed = {"actions": 111, "actions_read": NOW - 4, "actions_problem": "The list is cut."}
    sources = [
        source_report(**listed, trouble_since=NOW - 7),
        source_report(name="quiet", budget_remaining=-1.0, last_good_poll=0.0, credentials=()),
    ]
    frozen = json.loads(Path(__file__).with_name("status.json").read_text(encoding="utf-8"))
    assert report_to_dict(full_report(sources=sources, lanes=lanes)) == frozen


def test_it_is_plain_json_in_snake_case_with_a_stable_top():
    found = report_to_dict(full_report())
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert set(found) == TOP
    for path, value in walk({key: value for key, value in found.items() if key != "task_restarts"}):
        if isinstance(value, dict) and not path.endswith(".errors"):
            assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", key) for key in value), path


def test_keys_do_not_depend_on_what_happened():
    quiet = full_report(
        sources=[source_report(last_good_poll=0.0, newest_event=0.0, budget_remaining=-1.0)],
        lanes=[lane_report(oldest_waiting=0.0, last_accepted=0.0), lane_report(name="archive")],
    )
    assert {path for path, _ in walk(report_to_dict(quiet))} == {
        path for path, _ in walk(report_to_dict(full_report()))
    }


def test_every_counter_of_a_component_is_shown():
    source = report_to_dict(full_report())["sources"][0]
    assert {value for value in source.values() if isinstance(value, int) and 101 <= value <= 110} == set(
        range(101, 111)
    )
    sink = report_to_dict(full_report())["sinks"][0]
    assert {value for value in sink.values() if isinstance(value, int) and 201 <= value <= 212} == set(range(201, 213))


def test_times_are_iso_in_utc_with_ages():
    found = report_to_dict(full_report())
    assert found["now"] == "2026-09-21T14:13:20.000Z"
    source = found["sources"][0]
    assert source["last_good_poll"] == "2026-09-21T14:13:09.000Z"
    assert source["last_good_poll_age_seconds"] == 11
    assert found["sinks"][0]["lag_seconds"] == 90
    assert found["sinks"][1]["lag_seconds"] == 0
    assert found["sinks"][1]["oldest_waiting"] is None


@pytest.mark.parametrize("moment", [1e300, float("inf"), -1e300])
def test_a_moment_that_no_calendar_holds_does_not_break_the_status(moment):
    assert (
        report_to_dict(full_report(sources=[source_report(newest_event=moment)]))["sources"][0]["newest_event"] is None
    )


def test_no_event_content_no_cursor():
    text = json.dumps(report_to_dict(full_report()))
    for word in ("page_licked", "issue_sniffed", "opaque-cursor-of-the-source"):
        assert word not in text


def test_gaps_name_their_source():
    gap, closed = report_to_dict(full_report())["spool"]["gaps"]
    assert (gap["source"], gap["sink"], gap["opened_age_seconds"], gap["closed"]) == ("acme", None, 9, None)
    assert closed["closed"] is not None
    assert report_to_dict(full_report())["spool"]["open_gaps"] == 1
    unknown = report_to_dict(full_report(spool=spool_status(sources=[])))["spool"]["gaps"][0]
    assert unknown["source"] == "#1"


def test_without_a_spool():
    found = report_to_dict(full_report(spool=None, books=[]))
    assert found["spool"] is None
    assert found["ready"] is False
    assert found["not_ready"] == ["the spool is not open"]
    assert found["balanced"] is True


def test_balance_and_degraded():
    found = report_to_dict(full_report())
    assert found["balanced"] is False
    assert [line["balance"] for line in found["books"]] == [0, 1]
    assert found["degraded"] == ["elastic"]
    assert found["started_age_seconds"] == NOW - (NOW - 86_400 * 3)


def test_numbers_of_a_process_are_unknown_without_one_and_those_of_the_spool_are_not():
    running = report_to_dict(full_report())
    assert running["counters_since"] == running["started"] != running["now"]
    stopped = report_to_dict(full_report(running=False, started=0.0))
    assert stopped["counters_since"] is None
    replayed = {"replay_waiting", "replay_accepted"}
    for kind, durable in (
        ("sources", set()),
        ("sinks", {"position", "lag_events", "lag_seconds", "dead_letters", "dead_letters_max", *replayed}),
    ):
        before, after = running[kind][0], stopped[kind][0]
        counts = {
            key for key, value in before.items() if isinstance(value, int | float) and not isinstance(value, bool)
        }
        ages = {key for key in counts if key.endswith("_age_seconds") or key == "next_try_in_seconds"}
        assert {key for key in counts if after[key] is not None} - ages == durable
    assert stopped["spool"] == running["spool"]
    assert stopped["books"] == running["books"]
