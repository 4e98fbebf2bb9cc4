"""The one table of metrics; `forwarder.observe.exposition` makes the page of it that Prometheus reads.

Each metric is a row of `METRICS`, those of sources in `source_metrics`; the reference, the dashboards and the tests
read the same rows. Label values come from the configuration or from closed sets, never from events.
"""

from __future__ import annotations

import platform

from forwarder.observe.metric_rows import (
    Distribution,
    Metric,
    errors,
    imbalances,
    lag_seconds,
    late_events,
    moment,
    of_books,
    of_completeness,
    of_daemon,
    of_lanes,
    of_spool,
    open_gaps,
    states,
    unclaimed,
)
from forwarder.observe.source_metrics import SOURCE_METRICS

METRICS: list[Metric] = [
    *SOURCE_METRICS,
    # ---- hand-off spool -> sink
    of_lanes("forwarder_sink_accepted_events_total", "counter", "accepted", "Events accepted since the start."),
    of_lanes(
        "forwarder_sink_duplicate_events_total",
        "counter",
        "duplicates",
        "Accepted events that the destination had already; only sinks whose destination reports it count.",
    ),
    of_lanes(
        "forwarder_sink_rejected_events_total",
        "counter",
        "rejected",
        "Events the sink or their format refused for good; now dead letters.",
    ),
    of_lanes("forwarder_sink_filtered_events_total", "counter", "filtered", "Events this sink's filters left out."),
    of_lanes(
        "forwarder_sink_linked_events_total",
        "counter",
        "linked",
        "Events that are one change with an event of another source that came before (`related`).",
    ),
    of_lanes(
        "forwarder_sink_left_out_duplicate_events_total",
        "counter",
        "duplicates_left_out",
        "Of those filtered: left out because this sink got the event of another source (`duplicates.drop_from`).",
    ),
    Metric(
        "forwarder_sink_late_events_total",
        "counter",
        "Events for this sink that did not come as they happened, each marked with its kind.",
        ("sink", "kind"),
        "LaneReport.late",
        lambda report: late_events(report.lanes),
    ),
    of_lanes(
        "forwarder_sink_held_back_events_total",
        "counter",
        "held_back",
        "Of those filtered: held back because they came too late for this sink (`late`).",
    ),
    of_lanes("forwarder_sink_resent_events_total", "counter", "resent", "Events sent again, for whatever reason."),
    of_lanes(
        "forwarder_sink_doubtful_events_total",
        "counter",
        "doubtful",
        "Events sent again that may have been taken the first time.",
    ),
    of_lanes("forwarder_sink_batches_total", "counter", "batches", "Batches sent."),
    of_lanes("forwarder_sink_sent_bytes_total", "counter", "bytes", "Bytes of rendered events sent, uncompressed."),
    of_lanes(
        "forwarder_sink_unknown_action_events_total",
        "counter",
        "unknown_actions",
        "Events whose action the catalogue does not know; delivered all the same.",
        lambda lane: lane.unknown_actions.total(),
    ),
    Metric(
        "forwarder_sink_errors_total",
        "counter",
        "Failed sends by kind of error.",
        ("sink", "kind"),
        "LaneReport.errors",
        lambda report: errors(report.lanes),
    ),
    Metric(
        "forwarder_sink_state",
        "gauge",
        "1 for the state the lane is in, 0 for the others.",
        ("sink", "state"),
        "LaneReport.state",
        lambda report: states(report.lanes),
    ),
    of_lanes("forwarder_sink_in_flight_batches", "gauge", "in_flight", "Batches being sent now."),
    of_lanes("forwarder_sink_pending_receipts", "gauge", "pending", "Receipts the sink has not confirmed yet."),
    of_lanes(
        "forwarder_sink_send_duration_seconds",
        "histogram",
        "send_buckets",
        "Time a send took, answer included.",
        lambda lane: Distribution(tuple(lane.send_buckets), lane.send_seconds),
    ),
    of_lanes("forwarder_sink_lag_events", "gauge", "lag", "Events in the spool that this sink has not settled."),
    Metric(
        "forwarder_sink_lag_seconds",
        "gauge",
        "Delivery lag: how long the oldest waiting event has been in the spool; 0 when none waits.",
        ("sink",),
        "now - LaneReport.oldest_waiting",
        lag_seconds,
    ),
    of_lanes(
        "forwarder_sink_oldest_waiting_timestamp_seconds",
        "gauge",
        "oldest_waiting",
        "When the oldest waiting event was read from the API; absent when none waits.",
        lambda lane: moment(lane.oldest_waiting),
    ),
    of_lanes(
        "forwarder_sink_last_accepted_timestamp_seconds",
        "gauge",
        "last_accepted",
        "When the sink last accepted something; absent when it never did.",
        lambda lane: moment(lane.last_accepted),
    ),
    of_lanes("forwarder_sink_dead_letters", "gauge", "dead_letters", "Dead letters kept for this sink."),
    of_lanes(
        "forwarder_sink_max_dead_letters",
        "gauge",
        "dead_letters_max",
        "Most dead letters it may have; at the limit the lane is held.",
    ),
    of_lanes(
        "forwarder_sink_retried_events_total", "counter", "retried", "Dead letters put back to be sent to it again."
    ),
    # ---- spool
    of_spool("forwarder_spool_used_bytes", "bytes_used", "Bytes in use, counted against the limit."),
    of_spool("forwarder_spool_max_bytes", "bytes_max", "The limit."),
    of_spool("forwarder_spool_file_bytes", "bytes_file", "Size of the spool's files on disk."),
    of_spool("forwarder_spool_id_memory_bytes", "id_bytes", "Bytes of remembered ids."),
    of_spool("forwarder_spool_id_memory_max_bytes", "id_bytes_max", "The limit of remembered ids."),
    of_spool(
        "forwarder_spool_time_left_seconds",
        "hours_left",
        "Time until the spool would be full if every sink stopped now and events came in as in the last hour; absent "
        "while nothing comes in.",
        lambda spool: None if spool.hours_left is None else spool.hours_left * 3600,
    ),
    of_spool("forwarder_spool_pages", "pages", "Pages stored."),
    Metric(
        "forwarder_spool_open_gaps",
        "gauge",
        "Gaps that are not closed, by cause.",
        ("reason",),
        "SpoolStatus.gaps",
        open_gaps,
    ),
    # ---- books, durable: they survive a restart
    of_books("forwarder_books_spooled_events_total", "counter", "spooled", "Events spooled since the lane's start."),
    of_books("forwarder_books_accepted_events_total", "counter", "accepted", "Of these: accepted by the sink."),
    of_books(
        "forwarder_books_rejected_events",
        "gauge",
        "rejected",
        "Of these: dead letters, and discarded ones; falls when letters are retried.",
    ),
    of_books("forwarder_books_discarded_events_total", "counter", "discarded", "Of the rejected: discarded by a user."),
    of_books("forwarder_books_filtered_events_total", "counter", "filtered", "Of these: left out by filters."),
    of_books(
        "forwarder_books_detached_events_total",
        "counter",
        "detached",
        "Of these: given up when the lane was detached; a gap is on record.",
    ),
    of_books("forwarder_books_waiting_events", "gauge", "waiting", "Of these: waiting."),
    Metric(
        "forwarder_books_imbalance_events",
        "gauge",
        "spooled - accepted - rejected - filtered - detached - waiting. Not 0: events are lost or invented; alert.",
        ("source", "sink"),
        "Books.balance",
        imbalances,
    ),
    # ---- completeness, judged every ten seconds over all days of the books
    of_completeness("forwarder_reconcile_expected_events", "expected", "Events that the log showed, for this sink."),
    of_completeness("forwarder_reconcile_delivered_events", "delivered", "Of these: the sink has them."),
    of_completeness(
        "forwarder_reconcile_recovered_events",
        "recovered",
        "Of the expected ones: not there at first, and found when their time was read again.",
    ),
    of_completeness(
        "forwarder_reconcile_missing_events",
        "missing",
        "Of the expected ones: left the spool before the sink had them, or not found at the sink. Not 0: alert.",
    ),
    of_completeness(
        "forwarder_reconcile_incomplete_days",
        "incomplete_days",
        "Days on which something is missing or a gap is open; `reconcile` names the cause.",
    ),
    Metric(
        "forwarder_reconcile_window_age_seconds",
        "gauge",
        "Age of the newest time before which everything was read again to see whether all of it is there.",
        ("source",),
        "now - DaemonReport.read_again",
        lambda report: (((name,), max(0.0, report.now - moment)) for name, moment in report.read_again.items()),
    ),
    # ---- daemon
    Metric(
        "forwarder_build_info",
        "gauge",
        "Always 1; the version is in the labels.",
        ("version", "python"),
        "DaemonReport.version",
        lambda report: [((report.version, platform.python_version()), 1)],
    ),
    Metric(
        "forwarder_config_info",
        "gauge",
        "Always 1; the digest of the configuration is in the label.",
        ("digest",),
        "DaemonReport.config_digest",
        lambda report: [((report.config_digest,), 1)],
    ),
    Metric(
        "forwarder_spool_unclaimed_events",
        "gauge",
        "Events that wait for a sink which is not configured any more; they are forgotten after a grace time.",
        ("sink",),
        "SpoolStatus.lanes",
        unclaimed,
    ),
    of_daemon("forwarder_start_timestamp_seconds", "started", "When it started.", lambda report: report.started),
    of_daemon("forwarder_report_timestamp_seconds", "now", "When this snapshot was taken.", lambda report: report.now),
    of_daemon(
        "forwarder_loop_turn_age_seconds",
        "loop_alive",
        "Time since the event loop last turned; absent before its first turn.",
        lambda report: report.loop_age,
    ),
    of_daemon(
        "forwarder_spool_turn_age_seconds",
        "spool_alive",
        "Time since the spool's thread last turned; absent before its first turn.",
        lambda report: report.spool_age,
    ),
    of_daemon(
        "forwarder_draining_state",
        "draining",
        "1 while the daemon drains before it stops, else 0.",
        lambda report: float(report.draining),
    ),
    of_daemon(
        "forwarder_degraded_components",
        "degraded",
        "Sources and lanes that are retrying, held or paused.",
        lambda report: len(report.degraded),
    ),
    Metric(
        "forwarder_log_errors_total",
        "counter",
        "Lines of the log that its reader did not take, or that could not be written.",
        (),
        "DaemonReport.log_lines_left_out",
        lambda report: [((), report.log_lines_left_out)],
    ),
    Metric(
        "forwarder_task_restarts_total",
        "counter",
        "Times a task ended by a fault and was started again.",
        ("task",),
        "DaemonReport.task_restarts",
        lambda report: (((task,), count) for task, count in report.task_restarts.items()),
    ),
]
