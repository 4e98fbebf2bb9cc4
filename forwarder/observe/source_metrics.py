"""The metrics of sources: rows of the one table of metrics."""

from __future__ import annotations

from forwarder.observe.metric_rows import (
    Metric,
    age_of_sources,
    credentials_in_use,
    credentials_left,
    errors,
    moment,
    of_sources,
    of_volumes,
    quieter_than_ever,
    refusals,
    states,
)

SOURCE_METRICS: list[Metric] = [
    of_sources(
        "forwarder_source_requests_total", "counter", "requests", "Requests sent to the API, whatever became of them."
    ),
    of_sources("forwarder_source_pages_total", "counter", "pages", "Pages received."),
    of_sources("forwarder_source_events_total", "counter", "events", "Events received, repeats included."),
    of_sources("forwarder_source_spooled_events_total", "counter", "spooled", "Events spooled since the start."),
    of_sources(
        "forwarder_source_repeated_events_total", "counter", "repeats", "Events received again and dropped as known."
    ),
    of_sources(
        "forwarder_source_revised_events_total",
        "counter",
        "revisions",
        "Known ids that came with new content; spooled.",
    ),
    of_sources(
        "forwarder_source_derived_ids_total",
        "counter",
        "derived_ids",
        "Events without an id of their own; it was derived from the content.",
    ),
    of_sources("forwarder_source_late_events_total", "counter", "late_found", "New events that only a re-read found."),
    of_sources(
        "forwarder_source_late_beyond_overlap_events_total",
        "counter",
        "late_beyond_overlap",
        "Events that came later than the overlap covers.",
    ),
    of_sources(
        "forwarder_source_own_events_total",
        "counter",
        "own_records",
        "Records that our own reading made in the log, and that are left out; one that is read again counts again.",
    ),
    of_sources(
        "forwarder_source_unrouted_events_total",
        "counter",
        "unrouted",
        "Events that the filters of every sink left out: no one gets them.",
    ),
    of_sources(
        "forwarder_source_heals_total", "counter", "heals", "Times a lost cursor was healed by re-reading the overlap."
    ),
    Metric(
        "forwarder_source_errors_total",
        "counter",
        "Failed requests by kind of error.",
        ("source", "kind"),
        "SourceReport.errors",
        lambda report: errors(report.sources),
    ),
    Metric(
        "forwarder_source_state",
        "gauge",
        "1 for the state the source is in, 0 for the others.",
        ("source", "state"),
        "SourceReport.state",
        lambda report: states(report.sources),
    ),
    of_sources(
        "forwarder_source_last_good_poll_timestamp_seconds",
        "gauge",
        "last_good_poll",
        "When the API last answered well; 0 when it never did.",
    ),
    age_of_sources(
        "forwarder_source_last_good_poll_age_seconds",
        "last_good_poll",
        "Time since the API last answered well; since the start when it never did.",
        since_start=True,
    ),
    of_sources(
        "forwarder_source_tip_reached_timestamp_seconds",
        "gauge",
        "tip_reached",
        "When all that the source shows had last been read; absent when that never was, or events are sent to us.",
        lambda source: moment(source.tip_reached),
    ),
    of_sources(
        "forwarder_source_next_poll_timestamp_seconds",
        "gauge",
        "next_poll",
        "When the API is asked again at the latest, by every, budget or back-off; absent while that is unknown.",
        lambda source: moment(source.next_poll),
    ),
    of_sources(
        "forwarder_source_credential_ends_timestamp_seconds",
        "gauge",
        "credential_ends",
        "When the key or token that is in use ends, as configured; absent where nobody wrote it down.",
        lambda source: moment(source.credential_ends),
    ),
    Metric(
        "forwarder_source_credential_left_seconds",
        "gauge",
        "Time until each key or token ends, as configured; negative after that, absent where nobody wrote it down.",
        ("source", "credential"),
        "SourceReport.credentials.ends - now",
        credentials_left,
    ),
    Metric(
        "forwarder_source_credential_info",
        "gauge",
        "1 for the key or token that is presented to the API, 0 for the others.",
        ("source", "credential"),
        "SourceReport.credentials.in_use",
        credentials_in_use,
    ),
    of_sources(
        "forwarder_source_newest_event_timestamp_seconds",
        "gauge",
        "newest_event",
        "Processing time of the newest event seen; absent when none was.",
        lambda source: moment(source.newest_event),
    ),
    age_of_sources(
        "forwarder_source_newest_event_age_seconds",
        "newest_event",
        "Age of the newest event seen; grows while the organization is quiet, which is not a fault.",
        since_start=False,
    ),
    of_volumes(
        "forwarder_source_hour_events",
        "events",
        "Events of the last hour that is over, by their own times in UTC, as far as it was read.",
        lambda _, volume: volume.events,
    ),
    of_volumes(
        "forwarder_source_expected_hour_events",
        "expected",
        "Median of the same hour of the last weeks, eight at most; absent before the first is known.",
        lambda _, volume: volume.expected if volume.weeks else None,
    ),
    of_volumes(
        "forwarder_source_least_hour_events",
        "least",
        "Least that the same hour of the last weeks brought, eight at most; absent before the first is known.",
        lambda _, volume: volume.least if volume.weeks else None,
    ),
    of_volumes(
        "forwarder_source_quieter_than_ever_state",
        "is_least",
        "1 while the last hour brought less than the same hour ever did; no fault by itself. Absent while less than "
        "three weeks are known, or the hour was not read to its end.",
        quieter_than_ever,
    ),
    of_sources("forwarder_source_budget_requests_per_minute", "gauge", "requests_per_minute", "Request budget now."),
    of_sources(
        "forwarder_source_budget_remaining_requests",
        "gauge",
        "budget_remaining",
        "Requests left in this period, as the API said last; absent when it says nothing.",
        lambda source: None if source.budget_remaining < 0 else source.budget_remaining,
    ),
    of_sources(
        "forwarder_source_cursors",
        "gauge",
        "cursors",
        "Named cursors at work; more than one while history or a gap is fetched.",
        lambda source: len(source.cursors),
    ),
    of_sources(
        "forwarder_source_received_requests_total",
        "counter",
        "received",
        "Requests that brought events and were answered with 200; of sources that receive.",
        lambda source: source.received if source.receives else None,
    ),
    Metric(
        "forwarder_source_refused_requests_total",
        "counter",
        "Requests that were to bring events and were refused, by reason.",
        ("source", "reason"),
        "SourceReport.refused",
        refusals,
    ),
    of_sources(
        "forwarder_source_last_received_timestamp_seconds",
        "gauge",
        "last_received",
        "When events were last sent to us; absent when they never were.",
        lambda source: moment(source.last_received),
    ),
    age_of_sources(
        "forwarder_source_last_received_age_seconds",
        "last_received",
        "Time since events were last sent to us; grows while nothing happens, which is not a fault.",
        since_start=False,
    ),
]
