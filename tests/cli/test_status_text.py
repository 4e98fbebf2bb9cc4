import re
from collections import Counter

import pytest

from forwarder.cli.status_text import status_lines
from forwarder.cli.tables import Screen
from forwarder.observe.record import Completeness
from forwarder.observe.reports import Aside
from forwarder.observe.status_json import report_to_dict
from forwarder.spool.contract import LaneStatus
from tests.observe.reports import NOW, books, full_report, lane_report, source_report, spool_status

HOSTILE = "x\x1b[2J\x1b]8;;http://evil.example.com\x07\r\nspool: well \u202e[bold red]m[/bold red][/] \x9b31m"


def on_terminal(report, width=200):
    return "\n".join(status_lines(report, Screen(width, coloured=True)))


def in_pipe(report):
    return "\n".join(status_lines(report, Screen()))


def shown(report):
    """Return both forms, the terminal's without its own colours."""
    return [re.sub(r"\x1b\[[0-9;]*m", "", on_terminal(report)), in_pipe(report)]


def test_what_matters_is_there():
    for text in shown(report_to_dict(full_report())):
        assert "audit-forwarder 1.2.3, process 4242, up 3 d: degraded: elastic" in text
        assert re.search(r"acme +working +11 s ago +1 h 1 min ago +104 +4\b", text)
        assert re.search(r"elastic +held +211 +1 min 30 s +500 +212 +2 +delivered", text)
        assert re.search(r"archive +working +0 +0 s +500 +212 +2 +delivered", text)
        assert "failed: tries since this process started, 3 d ago" in text
        assert "spool: 301 B of 2.0 GiB (0 %); 308 pages" in text
        assert "full in 1 d 2 h if every sink stopped now and events came in as in the last hour" in text
        assert re.search(r"1 +cursor_lost +open +acme", text)
        assert "detached +elastic" not in text


def test_everything_that_is_not_well_shows_reason_and_fix():
    lanes = [
        lane_report(),
        lane_report(name="b", state="retrying", reason="No answer", fix=""),
        lane_report(name="c", state="held", reason="", fix="Make room"),
    ]
    report = report_to_dict(
        full_report(
            sources=[source_report(state="held", reason="The key has expired.", fix="Make a new key.")], lanes=lanes
        )
    )
    for text in shown(report):
        assert "source acme is held for 50 s: The key has expired. To do: Make a new key." in text
        assert (
            "sink elastic is held for 1 min: The index template is missing. To do: Run audit-forwarder setup." in text
        )
        assert "sink b is retrying for 1 min: No answer." in text
        assert "sink c is held for 1 min: no reason given. To do: Make room." in text


def test_one_trouble_has_one_age_a_count_and_a_next_try():
    lane = lane_report(state="retrying", reason="reset", fix="", since=NOW - 31, trouble_since=NOW - 97)
    lane.tries, lane.next_try = 12, NOW + 7.2
    for text in shown(report_to_dict(full_report(lanes=[lane]))):
        assert "sink elastic is retrying for 1 min 37 s, 12 failed tries, next in 8 s: reset." in text
    lane.tries, lane.next_try = 1, NOW - 5
    for text in shown(report_to_dict(full_report(lanes=[lane]))):
        assert "1 min 37 s, 1 failed try, next now: reset." in text


@pytest.mark.parametrize(
    ("lane", "waits"),
    [
        (lane_report(state="idle", lag=0, oldest_waiting=0.0), False),
        (lane_report(state="working", lag=9, oldest_waiting=NOW - 2), False),
        (lane_report(state="working", lag=9, oldest_waiting=NOW - 61), True),
        (lane_report(state="retrying", lag=9, oldest_waiting=NOW - 2), True),
        (lane_report(state="held", lag=0, oldest_waiting=0.0), False),
    ],
)
def test_how_long_the_spool_lasts_is_said_only_while_a_sink_waits(lane, waits):
    for text in shown(report_to_dict(full_report(lanes=[lane]))):
        assert ("if every sink stopped now" in text) is waits
        assert "at this rate" not in text


def test_rows_say_what_the_books_say_whatever_the_process_counted():
    """After a restart the process has counted a part only."""
    report = report_to_dict(
        full_report(
            sources=[source_report(spooled=3)],
            lanes=[lane_report(accepted=2)],
            books=[books(), books(source="other", accepted=7, spooled=507)],
        )
    )
    for text in shown(report):
        assert re.search(r"acme +working .* 104 +4\b", text)
        assert re.search(r"elastic +held +211 +1 min 30 s +507 +212\b", text)


def test_a_forwarder_that_does_not_run_makes_no_claim_of_a_process():
    report = report_to_dict(
        full_report(
            running=False, pid=0, started=0.0, spool_written=NOW - 7200, monotonic=0.0, loop_alive=0.0,
            sources=[source_report(state="stopped", last_good_poll=0.0, newest_event=0.0)],
            lanes=[lane_report(state="stopped")],
        )
    )  # fmt: skip
    assert (report["running"], report["pid"], report["ready"]) == (False, None, False)
    assert report["sources"][0]["requests"] is report["sinks"][0]["accepted"] is None
    assert report["sinks"][0]["lag_events"] == 211
    for text in shown(report):
        assert "audit-forwarder is NOT RUNNING; its spool was last written 2 h ago." in text
        assert "process" not in text.splitlines()[0]
        assert "never" not in text
        assert "if every sink stopped now" not in text, "nothing comes in"
        assert re.search(r"acme +stopped +- +- +104 +-", text)
        assert re.search(r"elastic +stopped +211 +1 min 30 s +500 +212 +- +delivered", text)


def test_a_lane_that_no_sink_is_configured_for_is_named():
    rows = [
        LaneStatus(1, "elastic", "elasticsearch:https://es.example.com:9200", 1, 1, 5, 5, 0, True, "pause"),
        LaneStatus(2, "old", "http:old.example.com/in", 1, 1, 2790, 5, 0, True, "pause"),
        LaneStatus(3, "gone", "http:gone.example.com/in", 1, 1, 0, None, 0, False, "pause"),
    ]
    for text in shown(report_to_dict(full_report(lanes=[lane_report()], spool=spool_status(lanes=rows)))):
        assert "sink old is not in the configuration, and 2790 events wait for it at http:old.example.com/in." in text
        assert "sink gone" not in text
        assert text.count("not in the configuration") == 1


def test_events_that_wait_aside_are_named_and_counted():
    aside = tuple(Aside(700 + n, f"id-{n}", f"reset {HOSTILE}", NOW - 65, 4) for n in range(7))
    for text in shown(report_to_dict(full_report(lanes=[lane_report(aside=aside)]))):
        flat = " ".join(text.split())
        assert "fails on event 700, id id-0, for 1 min 5 s, sent alone 4 times: reset x" in flat
        assert "event 705" not in flat
        assert "fails on 2 more events" in flat
        assert all(line.isprintable() for line in text.split("\n"))


@pytest.mark.parametrize(
    ("accepted", "filtered", "other", "expected"),
    [
        (0, 10, 0, "all 10 events so far"),
        (0, 10, 5, "all 15 events so far"),
        (0, 9, 0, ""),
        (1, 500, 0, ""),
        (0, 0, 0, ""),
    ],
)
def test_filters_that_let_nothing_through_are_named(accepted, filtered, other, expected):
    counts = {"spooled": 1000, "rejected": 0, "detached": 0}
    lines = [
        books(**counts, accepted=accepted, filtered=filtered, waiting=1000 - accepted - filtered),
        books(**counts, source="second", accepted=0, filtered=other, waiting=1000 - other),
        books(sink="archive"),
    ]
    lanes = [lane_report(late=Counter()), lane_report(name="archive")]
    for text in shown(report_to_dict(full_report(books=lines, lanes=lanes))):
        assert ("sink elastic: its filters let nothing through" in text) == bool(expected)
        assert expected in text
        assert "sink archive: its filters" not in text


def test_books_balanced_and_not():
    for text in shown(report_to_dict(full_report(books=[books(), books(sink="b")]))):
        assert (
            "books: balanced, each event counted for each of 2 sinks: 2000 to deliver = accepted 1000 + rejected 200 + "
            "filtered 100 + detached 50 + waiting 650" in text
        )
    for text in shown(report_to_dict(full_report())):
        assert "1 of 2 lines DO NOT BALANCE" in text
        assert re.search(r"acme +archive +1000 +500 +100 +50 +25 +324 +1\b", text)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"draining": True}, ": draining"),
        ({"spool": None}, ": not ready: the spool is not open"),
        ({"lanes": [lane_report(state="idle")]}, ": well"),
    ],
)
def test_headline(changes, words):
    for text in shown(report_to_dict(full_report(**changes))):
        assert words in text


def test_a_stale_report_says_so():
    for text in shown({**report_to_dict(full_report()), "problem": "the report takes longer than 0.8 s"}):
        assert "(the report takes longer than 0.8 s)" in text


def test_text_from_outside_is_neither_markup_nor_terminal_codes_nor_a_line():
    report = report_to_dict(
        full_report(
            version=HOSTILE,
            sources=[source_report(name=HOSTILE, state=HOSTILE, reason=HOSTILE, fix=HOSTILE)],
            lanes=[lane_report(name=HOSTILE, proof=HOSTILE, reason=HOSTILE, fix=HOSTILE)],
            books=[books(source=HOSTILE, sink=HOSTILE, waiting=0)],
            spool=spool_status(path=HOSTILE),
        )
    )
    plain = in_pipe(report)
    assert all(line.isprintable() for line in plain.split("\n"))
    terminal = on_terminal(report, width=400)
    stripped = re.sub(r"\x1b\[[0-9;]*m", "", terminal)
    assert all(line.isprintable() for line in stripped.split("\n"))
    assert "\x1b]8" not in terminal
    assert "\x1b[2J" not in terminal
    for text in (plain, stripped):
        assert "[bold red]m[/bold red][/]" in text
        assert not any(line.startswith("spool: well") for line in text.splitlines())


def test_hostile_columns_of_a_gap():
    report = report_to_dict(full_report())
    report["spool"]["gaps"] = [
        {"number": HOSTILE, "cause": HOSTILE, "source": HOSTILE, "closed": None, "from": HOSTILE}
    ]
    assert all(line.isprintable() for line in in_pipe(report).split("\n"))


@pytest.mark.parametrize(
    "report",
    [
        {},
        {"sources": None, "sinks": 3, "books": "x", "spool": {}},
        {"sources": [{}], "sinks": [{"errors": 3}], "spool": {"gaps": [{}]}, "books": [{}]},
    ],
)
def test_a_report_of_another_version_is_shown_as_far_as_it_goes(report):
    for text in shown(report):
        assert "audit-forwarder" in text


def test_moments_are_in_utc_and_in_the_zone_that_is_set():
    gap = {"number": 1, "cause": "detached", "from": "2026-11-28T23:41:09Z", "to": "2026-11-29T08:00:00Z"}
    lane = {"name": "old", "target": "x", "lag_events": 3, "forgotten": "2026-12-07T12:00:00Z"}
    report = {"spool": {"gaps": [gap], "lanes": [lane]}, "time_zone": "Asia/Tokyo"}
    text = "\n".join(status_lines(report, Screen()))
    assert "2026-11-28 23:41 UTC (Sun 29 Nov 08:41 +09:00)  2026-11-29 08:00 UTC (17:00 +09:00)" in text
    assert "until 2026-12-07 12:00 UTC (21:00 +09:00)." in text
    assert "until 2026-12-07 12:00 UTC." in "\n".join(status_lines({**report, "time_zone": "UTC"}, Screen()))
    assert "until 2026-12-07 12:00 UTC." in "\n".join(status_lines({**report, "time_zone": ["\x00"]}, Screen()))


def test_many_gaps_are_cut_and_counted():
    report = report_to_dict(full_report())
    report["spool"]["gaps"] = [{"number": number, "cause": "detached", "closed": None} for number in range(1, 31)]
    for text in shown(report):
        assert "the newest 10 of 30" in text
        assert re.search(r"\b30 +detached", text)
        assert not re.search(r"\b20 +detached", text)


def test_a_narrow_terminal_loses_nothing_silently():
    text = re.sub(r"\x1b\[[0-9;]*m", "", on_terminal(report_to_dict(full_report()), width=60))
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 60


def test_a_renamed_source_keeps_its_numbers_and_a_stranger_of_its_name_has_none():
    renamed = report_to_dict(full_report(sources=[source_report(name="renamed")]))
    stranger = report_to_dict(full_report(sources=[source_report(identity="organization:o-2")]))
    for text in shown(renamed):
        assert re.search(r"renamed +working .* 104 +4\b", text)
    for text in shown(stranger):
        assert re.search(r"acme +working .* - +4\b", text)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"missing": 0, "incomplete_days": 0},
            "complete: nothing of 991 that the logs showed is missing; all was read",
        ),
        ({"missing": 2, "incomplete_days": 1}, "complete: INCOMPLETE, 2 of 991 missing, 1 days with a gap"),
        ({"missing": 0, "incomplete_days": 1}, "complete: INCOMPLETE, 0 of 991 missing, 1 days with a gap"),
    ],
)
def test_the_status_says_how_complete_it_is(changes: dict[str, int], says: str) -> None:
    line = Completeness("acme", "elastic", expected=991, **changes)
    shown = "\n".join(status_lines(report_to_dict(full_report(completeness=[line])), Screen()))
    assert says in shown
    assert "complete:" not in "\n".join(status_lines(report_to_dict(full_report(completeness=[])), Screen()))


def test_what_a_sink_held_back_is_no_fault_of_its_filters():
    counts = {"spooled": 1000, "rejected": 0, "detached": 0, "accepted": 0, "filtered": 500, "waiting": 500}
    lanes = [lane_report(late=Counter({"held_back": 500})), lane_report(name="archive", late=Counter())]
    for text in shown(report_to_dict(full_report(books=[books(**counts), books(sink="archive")], lanes=lanes))):
        assert "let nothing through" not in text
        assert "sink elastic: of those filtered, 500 were held back because they came too late" in text
        assert "sink archive: of those" not in text


def test_a_paused_sink_is_named_with_who_paused_it_and_is_no_fault():
    words = "by root (uid 0) at 2026-01-31 10:00 UTC"
    row = LaneStatus(1, "elastic", "es", 1, 1, 7, None, 0, active=True, on_full="pause", paused=words)
    lane = lane_report(state="paused", reason=f"paused {words}", fix="")
    report = report_to_dict(full_report(lanes=[lane], spool=spool_status(lanes=[row])))
    assert "elastic" not in report["degraded"]
    for text in shown(report):
        assert (
            "sink elastic is paused by root (uid 0) at 2026-01-31 10:00 UTC: nothing is sent to it, and 7 events"
            in text
        )
        assert "audit-forwarder lanes resume elastic" in text
