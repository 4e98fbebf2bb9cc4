"""Moments as people write them, in any zone, and events of the first and last years that a calendar has."""

from __future__ import annotations

import pytest

from forwarder.cli.investigation_text import answer_text
from forwarder.cli.tables import Screen
from forwarder.contracts import ConfigError
from forwarder.investigate.faces.as_csv import as_csv
from forwarder.investigate.faces.as_html import as_html
from forwarder.investigate.faces.as_json import as_dict
from forwarder.investigate.moments import Clock, iso, moment_ms, pause, utc, zone_of
from forwarder.investigate.without_index import tables_of_files
from tests.investigate.asked import ask
from tests.investigate.lines import event

NOW = 1_772_452_800.0


@pytest.mark.parametrize(
    ("text", "zone", "utc_text"),
    [
        ("2026-01-31", "UTC", "2026-01-31T00:00:00.000Z"),
        ("2026-01-31", "Europe/Berlin", "2026-01-30T23:00:00.000Z"),
        ("2026-07-31", "Europe/Berlin", "2026-07-30T22:00:00.000Z"),
        ("2026-01-31T12:00", "America/New_York", "2026-01-31T17:00:00.000Z"),
        ("2026-01-31T12:00+05:45", "Europe/Berlin", "2026-01-31T06:15:00.000Z"),
        ("2026-01-31T12:00Z", "Europe/Berlin", "2026-01-31T12:00:00.000Z"),
        ("2026-03-29T02:30", "Europe/Berlin", "2026-03-29T01:30:00.000Z"),
        ("2026-10-25T02:30", "Europe/Berlin", "2026-10-25T00:30:00.000Z"),
        ("7d", "UTC", "2026-02-23T12:00:00.000Z"),
        ("-7d", "Asia/Tokyo", "2026-02-23T12:00:00.000Z"),
        ("1h30m", "UTC", "2026-03-02T10:30:00.000Z"),
        ("9999-12-31T23:59-12:00", "UTC", "9999-12-31T23:59:59.999Z"),
        ("0001-01-01", "Asia/Tokyo", "0001-01-01T00:00:00.000Z"),
    ],
)
def test_a_time_is_read(text, zone, utc_text):
    assert iso(moment_ms(text, zone_of(zone), NOW)) == utc_text


@pytest.mark.parametrize("text", ["", "-", "yesterday", "2026-13-01", "2026-02-30", "12:00", "31.01.2026", "1e400d", "7 days", "inf", "nan", "99999999d"])  # fmt: skip
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ConfigError, match="is not a time"):
        moment_ms(text, zone_of("UTC"), NOW)


@pytest.mark.parametrize("name", ["Mars/Olympus", "../../etc/passwd", "\x00", "UTC\n", "Europe"])
def test_what_is_no_zone_is_refused(name):
    with pytest.raises(ConfigError, match="no such time zone"):
        zone_of(name)


def test_a_span_over_a_change_of_clocks_has_both_offsets():
    clock = Clock("Europe/Berlin")
    before, after = (
        moment_ms("2026-10-25T02:30+02:00", zone_of("UTC"), NOW),
        moment_ms("2026-10-25T02:30+01:00", zone_of("UTC"), NOW),
    )
    assert clock.span(before, after) == "Sun 25 Oct 2026 02:30:00 +02:00 \u2013 Sun 25 Oct 2026 02:30:00 +01:00"


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 s"),
        (59_999, "59 s"),
        (60_000, "1 min"),
        (3_600_000, "1 h"),
        (90_000_000, "1 day 1 h"),
        (200_000_000, "2 days 7 h"),
    ],
)
def test_a_pause_has_its_two_largest_units(ms, text):
    assert pause(ms) == text


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_events_of_the_first_and_last_years_are_answered(tmp_path, zone):
    times = ["0001-01-01T00:00:00.000Z", "2026-03-01T10:00:00.000Z", "9999-12-31T23:59:59.999Z"]
    file = tmp_path / "events.ndjson"
    file.write_bytes(
        b"".join(event("confluence_page_viewed", ident=f"e{at}", time=time) + b"\n" for at, time in enumerate(times))
    )
    with tables_of_files([file]) as tables:
        kept = tables.ask("select count(*) from events").rows[0][0]
        results = [ask(tables, "user", "712020:ada", zone=zone), ask(tables, "ip", "203.0.113.7", zone=zone)]
        results += [ask(tables, "user", "712020:ada", zone=zone, around=f"e{at}") for at in range(3)]
        results.append(ask(tables, "day", "2026-03-01", zone=zone))
    assert results[0].totals.subject == results[1].totals.subject == kept == 3
    assert [one.totals.subject for one in results[2:5]] == [1, 1, 1]
    for result in results:
        assert as_dict(result)
        assert as_csv(result)
        assert as_html(result)
        assert list(answer_text(result, Screen(), brief=False))


def test_what_no_calendar_holds_is_the_nearest_moment():
    assert utc(10**17).year == 9999
    assert utc(-(10**17)).year == 1


def test_a_zone_that_only_this_machine_knows_is_refused(tmp_path):
    file = tmp_path / "events.ndjson"
    file.write_bytes(event())
    with tables_of_files([file]) as tables, pytest.raises(ConfigError, match="--tz posix/UTC: no such time zone"):
        ask(tables, "user", "ada", zone="posix/UTC")
