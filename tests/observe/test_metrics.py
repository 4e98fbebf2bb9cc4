import re
import shutil
import subprocess
from collections import Counter
from typing import get_args

import msgspec
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from forwarder.contracts.errors import ErrorKind
from forwarder.observe.exposition import Exposition
from forwarder.observe.metric_rows import GAP_CAUSES
from forwarder.observe.metrics import METRICS
from forwarder.observe.reports import AGE_BUCKETS, SEND_BUCKETS, ComponentState
from forwarder.observe.status_json import report_to_dict
from forwarder.spool.gap import Gap
from tests.observe.reports import NOW, books, full_report, lane_report, source_report, spool_status

TROUBLED = {
    "sources": [source_report(next_try=NOW + 18, trouble_since=NOW - 75)],
    "lanes": [lane_report(next_try=NOW + 20, trouble_since=NOW - 70)],
}


def samples(report, name):
    """Return {labels: value} of one metric as a scraper reads it."""
    page, _ = Exposition(lambda: report).render()
    order = next(metric.labels for metric in METRICS if metric.name == name)
    return {
        tuple(sample.labels[label] for label in order): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
        if sample.name == name
    }


def families(report):
    page, _ = Exposition(lambda: report).render()
    return {family.name: family for family in text_string_to_metric_families(page.decode())}


def test_every_row_is_on_the_page_with_its_type_and_labels():
    found = families(full_report(**TROUBLED))
    for metric in METRICS:
        family = found[metric.name.removesuffix("_total") if metric.type == "counter" else metric.name]
        assert family.type == metric.type, metric.name
        assert family.documentation == metric.help
        assert family.samples, f"{metric.name} is silent in a full report"
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels), metric.name


def test_every_forwarder_series_is_a_row():
    known = {metric.name for metric in METRICS}
    for family in families(full_report()).values():
        for sample in family.samples:
            if sample.name.startswith("forwarder_"):
                assert re.sub(r"_(bucket|sum|count)$", "", sample.name) in known


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_follow_the_conventions(metric):
    assert re.fullmatch(r"forwarder(_[a-z]+)+", metric.name)
    assert metric.help.endswith(".") or metric.help.endswith("alert.")
    assert not re.search(r"_(count|sum|bucket|created)$", metric.name)
    known = {"source", "sink", "credential", "kind", "reason", "state", "task", "version", "python", "digest"}
    known |= {"reader"}
    assert set(metric.labels) <= known
    if metric.type == "counter":
        assert re.search(r"_(requests|pages|events|ids|heals|errors|batches|bytes|restarts)_total$", metric.name)
    else:
        units = "seconds|bytes|events|batches|receipts|requests|requests_per_minute|pages|gaps|letters|lanes|cursors|components|days|parts|tasks|findings|ratio"
        assert re.search(rf"_({units}|state|info)$", metric.name)


def test_rows_are_unique_and_each_field_has_its_own():
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    plain = [metric.origin for metric in METRICS if not metric.origin.startswith("now - ")]
    assert len(set(plain)) == len(plain)


EXPECTED = {
    "forwarder_archive_check_age_seconds": 992,
    "forwarder_archive_check_interval_seconds": 994,
    "forwarder_archive_findings": 991,
    "forwarder_heartbeat_age_seconds": 989,
    "forwarder_heartbeat_interval_seconds": 990,
    "forwarder_source_requests_total": 101,
    "forwarder_source_pages_total": 102,
    "forwarder_source_events_total": 103,
    "forwarder_source_spooled_events_total": 104,
    "forwarder_source_repeated_events_total": 105,
    "forwarder_source_revised_events_total": 106,
    "forwarder_source_derived_ids_total": 107,
    "forwarder_source_late_events_total": 108,
    "forwarder_source_late_beyond_overlap_events_total": 109,
    "forwarder_source_own_events_total": 113,
    "forwarder_source_heals_total": 110,
    "forwarder_source_unrouted_events_total": 114,
    "forwarder_source_received_requests_total": 115,
    "forwarder_source_last_received_timestamp_seconds": NOW - 5,
    "forwarder_source_last_received_age_seconds": 5,
    "forwarder_source_last_good_poll_timestamp_seconds": NOW - 11,
    "forwarder_source_last_good_poll_age_seconds": 11,
    "forwarder_source_tip_reached_timestamp_seconds": NOW - 12,
    "forwarder_source_next_poll_timestamp_seconds": NOW + 19,
    "forwarder_source_newest_event_timestamp_seconds": NOW - 3700,
    "forwarder_source_credential_ends_timestamp_seconds": NOW + 31 * 86_400,
    "forwarder_source_newest_event_age_seconds": 3700,
    "forwarder_source_hour_events": 121,
    "forwarder_source_expected_hour_events": 122.5,
    "forwarder_source_least_hour_events": 120,
    "forwarder_source_quieter_than_ever_state": 0,
    "forwarder_source_budget_requests_per_minute": 12.5,
    "forwarder_source_budget_remaining_requests": 7,
    "forwarder_source_limit_requests": 50,
    "forwarder_source_others_requests_total": 131,
    "forwarder_source_others_share_ratio": 0.25,
    "forwarder_source_foreign_limit_errors_total": 132,
    "forwarder_source_history_left_seconds": 7300,
    "forwarder_source_reread_stretch_seconds": 133,
    "forwarder_source_reread_period_seconds": 134,
    "forwarder_source_reread_left_out_seconds": 135,
    "forwarder_source_cursors": 2,
    "forwarder_sink_accepted_events_total": 201,
    "forwarder_sink_duplicate_events_total": 213,
    "forwarder_sink_rejected_events_total": 202,
    "forwarder_sink_filtered_events_total": 203,
    "forwarder_sink_linked_events_total": 31,
    "forwarder_sink_held_back_events_total": 4,
    "forwarder_sink_left_out_duplicate_events_total": 7,
    "forwarder_sink_resent_events_total": 204,
    "forwarder_sink_doubtful_events_total": 205,
    "forwarder_sink_batches_total": 206,
    "forwarder_sink_sent_bytes_total": 207,
    "forwarder_sink_in_flight_batches": 208,
    "forwarder_sink_pending_receipts": 209,
    "forwarder_sink_lag_events": 211,
    "forwarder_sink_lag_seconds": 90,
    "forwarder_sink_oldest_waiting_timestamp_seconds": NOW - 90,
    "forwarder_sink_last_accepted_timestamp_seconds": NOW - 95,
    "forwarder_sink_dead_letters": 212,
    "forwarder_sink_timely_events_total": 7,
    "forwarder_sink_objective_seconds": 61,
    "forwarder_sink_next_try_timestamp_seconds": NOW + 20,
    "forwarder_sink_trouble_age_seconds": 70,
    "forwarder_source_next_try_timestamp_seconds": NOW + 18,
    "forwarder_source_trouble_age_seconds": 75,
    "forwarder_books_filtered_ratio": 50 / 675,
    "forwarder_spool_unconfigured_lanes": 0,
    "forwarder_spool_oldest_open_gap_age_seconds": NOW - 0.001,
    "forwarder_sink_max_dead_letters": 214,
    "forwarder_sink_retried_events_total": 215,
    "forwarder_sink_replay_waiting_events": 216,
    "forwarder_sink_replay_accepted_events": 217,
    "forwarder_sink_unknown_action_events_total": 11,
    "forwarder_spool_used_bytes": 301,
    "forwarder_spool_file_bytes": 302,
    "forwarder_spool_max_bytes": 2**31,
    "forwarder_spool_id_memory_bytes": 304,
    "forwarder_spool_id_memory_max_bytes": 305,
    "forwarder_spool_pages": 308,
    "forwarder_spool_time_left_seconds": 26.5 * 3600,
    "forwarder_books_spooled_events_total": 1000,
    "forwarder_books_accepted_events_total": 500,
    "forwarder_books_rejected_events": 100,
    "forwarder_books_discarded_events_total": 75,
    "forwarder_books_filtered_events_total": 50,
    "forwarder_books_detached_events_total": 25,
    "forwarder_books_waiting_events": 325,
    "forwarder_books_imbalance_events": 0,
    "forwarder_reconcile_expected_events": 991,
    "forwarder_reconcile_delivered_events": 992,
    "forwarder_reconcile_recovered_events": 993,
    "forwarder_reconcile_missing_events": 994,
    "forwarder_reconcile_incomplete_days": 995,
    "forwarder_reconcile_window_age_seconds": 7200,
    "forwarder_index_events": 996,
    "forwarder_index_failed_parts": 997,
    "forwarder_index_age_seconds": 998,
    "forwarder_start_timestamp_seconds": NOW - 86_400 * 3,
    "forwarder_report_timestamp_seconds": NOW,
    "forwarder_loop_turn_age_seconds": 0.5,
    "forwarder_loop_tasks": 402,
    "forwarder_spool_turn_age_seconds": 1.5,
    "forwarder_draining_state": 0,
    "forwarder_degraded_components": 1,
    "forwarder_task_restarts_total": 2,
    "forwarder_log_errors_total": 401,
}


def test_values_come_from_the_right_field():
    report = full_report(**TROUBLED, books=[books()])
    for name, value in EXPECTED.items():
        assert list(samples(report, name).values()) == [value], name


def test_the_rows_without_a_plain_value_are_tested_by_name():
    special = {"forwarder_source_errors_total", "forwarder_sink_errors_total", "forwarder_source_state"}
    special |= {"forwarder_source_refused_requests_total", "forwarder_sink_late_events_total"}
    special |= {"forwarder_source_refused_requests_total", "forwarder_source_reader_requests_total"}
    special |= {"forwarder_source_reader_share_ratio"}
    special |= {"forwarder_source_credential_left_seconds", "forwarder_source_credential_info"}
    special |= {"forwarder_sink_state", "forwarder_sink_send_duration_seconds", "forwarder_sink_delivery_age_seconds"}
    special |= {"forwarder_spool_open_gaps", "forwarder_spool_lost_gaps"}
    special |= {"forwarder_build_info", "forwarder_config_info", "forwarder_spool_unclaimed_events"}
    assert {metric.name for metric in METRICS} == set(EXPECTED) | special


def test_late_events_are_counted_by_kind_met_or_not():
    assert samples(full_report(lanes=[lane_report()]), "forwarder_sink_late_events_total") == {
        ("elastic", "late"): 5,
        ("elastic", "recovered"): 2,
        ("elastic", "backfill"): 0,
    }


def test_every_reader_has_its_requests_and_its_share():
    requests = samples(full_report(), "forwarder_source_reader_requests_total")
    assert requests == {("acme", "tail"): 60, ("acme", "backfill"): 41, ("acme", "reread"): 0}
    shares = samples(full_report(), "forwarder_source_reader_share_ratio")
    assert shares == {("acme", "tail"): 0.5, ("acme", "backfill"): 0.375, ("acme", "reread"): 0.0}


def test_every_credential_is_counted_down_and_the_one_in_use_is_named():
    left = samples(full_report(), "forwarder_source_credential_left_seconds")
    assert left == {("acme", "api_key"): 31 * 86_400, ("acme", "api_key_next"): 90 * 86_400}
    assert samples(full_report(), "forwarder_source_credential_info") == {
        ("acme", "api_key"): 1,
        ("acme", "api_key_next"): 0,
    }


def test_books_out_of_balance_show_and_never_cancel():
    lines = [books(), books(sink="archive", waiting=324), books(sink="archive", waiting=326)]
    found = samples(full_report(books=lines), "forwarder_books_imbalance_events")
    assert found["acme", "elastic"] == 0
    assert abs(found["acme", "archive"]) == 1


def test_equal_labels_are_added_because_a_double_sample_breaks_the_page():
    page, _ = Exposition(lambda: full_report(books=[books(), books()])).render()
    assert page.decode().count("forwarder_books_spooled_events_total{") == 1
    assert samples(full_report(books=[books(), books()]), "forwarder_books_spooled_events_total") == {
        ("acme", "elastic"): 2000
    }


@pytest.mark.parametrize("state", get_args(ComponentState))
def test_state_is_one_hot_over_the_closed_set(state):
    found = samples(full_report(sources=[source_report(state=state)]), "forwarder_source_state")
    assert {labels[1]: value for labels, value in found.items()} == {
        known: float(known == state) for known in get_args(ComponentState)
    }


def test_every_kind_of_error_is_there_before_it_happens_and_unknown_ones_are_other():
    report = full_report(sources=[source_report(errors=Counter({"rate_limited": 3, "page_licked\n": 4, "other": 1}))])
    found = {labels[1]: value for labels, value in samples(report, "forwarder_source_errors_total").items()}
    assert found == {**dict.fromkeys(get_args(ErrorKind), 0.0), "rate_limited": 3.0, "other": 5.0}


def test_histogram_is_cumulative():
    found = families(full_report(lanes=[lane_report()]))["forwarder_sink_send_duration_seconds"]
    buckets = [(sample.labels["le"], sample.value) for sample in found.samples if sample.name.endswith("_bucket")]
    assert [bound for bound, _ in buckets] == [*map(str, SEND_BUCKETS), "+Inf"]
    assert [count for _, count in buckets] == [1, 1, *[3] * (len(SEND_BUCKETS) - 2), 4]
    values = {sample.name: sample.value for sample in found.samples if not sample.name.endswith("_bucket")}
    assert values["forwarder_sink_send_duration_seconds_count"] == 4
    assert values["forwarder_sink_send_duration_seconds_sum"] == pytest.approx(4.5 + 0.004 + 0.02 + 0.02 + 75)


def test_ages_at_acceptance_are_cumulative_and_their_bounds_are_floats_for_every_prometheus():
    found = families(full_report(lanes=[lane_report()]))["forwarder_sink_delivery_age_seconds"]
    buckets = {sample.labels["le"]: sample.value for sample in found.samples if sample.name.endswith("_bucket")}
    assert list(buckets) == [*map(str, AGE_BUCKETS), "+Inf"]
    assert (buckets["1.0"], buckets["60.0"], buckets["120.0"], buckets["86400.0"], buckets["+Inf"]) == (3, 3, 7, 7, 9)
    values = {sample.name: sample.value for sample in found.samples if not sample.name.endswith("_bucket")}
    assert values["forwarder_sink_delivery_age_seconds_count"] == 9
    assert values["forwarder_sink_delivery_age_seconds_sum"] == 0.5 * 3 + 61 * 4 + 100_000 * 2


def test_what_is_well_is_in_trouble_for_no_time_and_waits_for_no_try():
    well = full_report(lanes=[lane_report()])
    for kind, name in (("source", "acme"), ("sink", "elastic")):
        assert samples(well, f"forwarder_{kind}_trouble_age_seconds") == {(name,): 0}
        assert samples(well, f"forwarder_{kind}_next_try_timestamp_seconds") == {}


def test_a_share_of_nothing_is_absent_and_two_lines_of_a_pair_are_one_share():
    name = "forwarder_books_filtered_ratio"
    assert samples(full_report(books=[books(spooled=9, waiting=9)]), name) == {}
    lines = [books(spooled=10, waiting=0, filtered=10), books(spooled=30, waiting=0, filtered=0)]
    assert samples(full_report(books=lines), name) == {("acme", "elastic"): 0.25}


def test_a_lane_without_a_sink_counts_until_it_is_forgotten():
    row = spool_status().lanes[0]
    gone = msgspec.structs.replace(row, name="siem", forgotten_ms=int(NOW * 1000) + 1)
    forgotten = msgspec.structs.replace(row, name="old", forgotten_ms=int(NOW * 1000) - 1)
    found = samples(full_report(spool=spool_status(lanes=[row, gone, forgotten])), "forwarder_spool_unconfigured_lanes")
    assert found == {(): 1}


def test_open_and_lost_gaps_by_cause_without_the_closed_ones():
    found = samples(full_report(), "forwarder_spool_open_gaps")
    assert found == {(cause,): float(cause == "cursor_lost") for cause in GAP_CAUSES}
    assert {("detached",), ("damaged_page",), ("lane_forgotten",)} <= set(found)
    gaps = [Gap("retention", lost_ms=1), Gap("cursor_lost", fetching_ms=1), Gap("late", closed_ms=1)]
    report = full_report(spool=spool_status(gaps=gaps))
    for name, cause in (("forwarder_spool_open_gaps", "cursor_lost"), ("forwarder_spool_lost_gaps", "retention")):
        assert {labels for labels, count in samples(report, name).items() if count} == {(cause,)}
    shown = report_to_dict(report)["spool"]
    assert shown["open_gaps"] == 1, "a number means one thing, wherever it stands"


def test_the_oldest_open_gap_is_told_by_the_time_it_covers():
    name, at = "forwarder_spool_oldest_open_gap_age_seconds", int(NOW * 1000)
    gaps = [
        Gap("retention", from_ms=1, lost_ms=2),
        Gap("late", from_ms=at - 7000, opened_ms=at),
        Gap("missing_page", opened_ms=at - 9000, fetching_ms=at),
    ]
    assert samples(full_report(spool=spool_status(gaps=gaps)), name) == {(): 9}
    assert samples(full_report(spool=spool_status(gaps=gaps[:2])), name) == {(): 7}
    assert samples(full_report(spool=spool_status(gaps=gaps[:1])), name) == {(): 0}


def test_what_never_happened_is_absent_except_a_poll_that_never_succeeded():
    report = full_report(
        sources=[source_report(last_good_poll=0.0, newest_event=0.0, budget_remaining=-1.0)],
        lanes=[lane_report(oldest_waiting=0.0, last_accepted=0.0)],
        spool=spool_status(hours_left=None),
    )
    for name in (
        "forwarder_source_newest_event_timestamp_seconds",
        "forwarder_source_newest_event_age_seconds",
        "forwarder_source_budget_remaining_requests",
        "forwarder_sink_oldest_waiting_timestamp_seconds",
        "forwarder_sink_last_accepted_timestamp_seconds",
        "forwarder_spool_time_left_seconds",
    ):
        assert samples(report, name) == {}, name
    assert samples(report, "forwarder_source_last_good_poll_age_seconds") == {("acme",): 86_400 * 3}
    assert samples(report, "forwarder_sink_lag_seconds") == {("elastic",): 0}


def test_a_clock_that_went_back_gives_no_negative_age():
    report = full_report(sources=[source_report(last_good_poll=NOW + 60)], lanes=[lane_report(oldest_waiting=NOW + 60)])
    assert samples(report, "forwarder_source_last_good_poll_age_seconds") == {("acme",): 0}
    assert samples(report, "forwarder_sink_lag_seconds") == {("elastic",): 0}


def test_without_a_spool_the_rest_is_there():
    report = full_report(spool=None, books=[])
    found = families(report)
    assert not found["forwarder_spool_used_bytes"].samples
    assert found["forwarder_source_requests"].samples


def test_without_a_report_only_the_process_speaks():
    page, _ = Exposition(lambda: None).render()
    assert b"forwarder_" not in page
    assert b"process_cpu_seconds_total" in page


def test_process_platform_and_gc_are_there_and_created_is_not():
    page, _ = Exposition(full_report).render()
    for name in (b"process_resident_memory_bytes", b"python_info", b"python_gc_collections_total"):
        assert name in page
    assert b"_created" not in page


def test_two_applications_in_one_process_do_not_collide():
    first, second = Exposition(lambda: full_report(version="1")), Exposition(lambda: full_report(version="2"))
    assert b'version="1"' in first.render()[0]
    assert b'version="2"' in second.render()[0]


def test_openmetrics_by_accept():
    page, content_type = Exposition(full_report).render("application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert content_type.startswith("application/openmetrics-text")
    assert page.endswith(b"# EOF\n")
    assert {family.name for family in parse_openmetrics(page.decode())} >= {"forwarder_source_requests"}
    assert b"_created" not in page
    assert Exposition(full_report).render("text/html")[1].startswith("text/plain")


def test_a_hostile_label_value_cannot_forge_a_series():
    name = 'a"} 1\nforwarder_forged_total 1\n\\'
    assert samples(full_report(sources=[source_report(name=name)]), "forwarder_source_pages_total") == {(name,): 102}


def test_promtool_or_the_parser_agrees():
    page, _ = Exposition(full_report).render()
    text = page.decode()
    assert len(
        {(s.name, tuple(s.labels.items())) for f in text_string_to_metric_families(text) for s in f.samples}
    ) == sum(len(f.samples) for f in text_string_to_metric_families(text))
    promtool = shutil.which("promtool")
    if promtool is None:
        return
    done = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, check=False, timeout=30)
    complaints = [
        line for line in done.stdout.decode().splitlines() + done.stderr.decode().splitlines() if "forwarder_" in line
    ]
    assert complaints == []
