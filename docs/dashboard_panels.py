"""What the dashboard shows: a row for each question, and in it the panels that its answer is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_OF = 'instance=~"$instance"'
_SOURCE = f'{_OF}, source=~"$source"'
_SINK = f'{_OF}, sink=~"$sink"'
_PAIR = f'{_SOURCE}, sink=~"$sink"'

STATES = {
    "starting": "text",
    "idle": "green",
    "working": "green",
    "retrying": "orange",
    "held": "red",
    "paused": "purple",
    "stopped": "text",
}


class Panel(NamedTuple):
    """One panel.

    Attributes:
        asks: PromQL by the name of each series, which may hold `{{label}}`.
        kind: `timeseries`, `stat`, `table` or `state-timeline`.
        unit: As Grafana calls it.
        limits: From which value on it is which colour.
        words: What a value is called.
    """

    title: str
    text: str
    asks: Mapping[str, str]
    kind: str = "timeseries"
    unit: str = "short"
    width: int = 8
    height: int = 7
    limits: tuple[tuple[float, str], ...] = ()
    words: Mapping[str, str] = {}


def _rate(counter: str, labels: str, window: str = "$__rate_interval") -> str:
    return f"rate({counter}{{{labels}}}[{window}])"


def _states(kind: str, labels: str) -> str:
    """Ask for the state of each component as a number: the place in the list of states."""
    each = (
        f'{place} * (forwarder_{kind}_state{{{labels}, state="{state}"}} == 1)' for place, state in enumerate(STATES)
    )
    return f"max by ({kind}) (" + " or ".join(each) + ")"


ANSWERS = [
    Panel(
        "Is it reading?",
        "Time since the API of the slowest source last answered well. One asked once an hour may be an hour old.",
        {"": f"max(forwarder_source_last_good_poll_age_seconds{{{_SOURCE}}})"},
        "stat",
        "s",
        6,
        5,
        ((0, "green"), (300, "orange"), (900, "red")),
    ),
    Panel(
        "Is it delivering?",
        "Sinks that are retried, held or paused.",
        {"": f'sum(forwarder_sink_state{{{_SINK}, state=~"retrying|held|paused"}})'},
        "stat",
        "short",
        6,
        5,
        ((0, "green"), (1, "orange")),
        {"0": "all sinks are"},
    ),
    Panel(
        "How late?",
        "How long the oldest event that waits for a sink has been in the spool.",
        {"": f"max(forwarder_sink_lag_seconds{{{_SINK}}})"},
        "stat",
        "s",
        6,
        5,
        ((0, "green"), (300, "orange"), (960, "red")),
        {"0": "nothing waits"},
    ),
    Panel(
        "Is anything missing?",
        "Events that a sink lacks, gaps that are open or lost for good, and books that do not balance.",
        {
            "": f"(sum(forwarder_reconcile_missing_events{{{_PAIR}}}) or vector(0))"
            f" + sum(forwarder_spool_open_gaps{{{_OF}}}) + sum(forwarder_spool_lost_gaps{{{_OF}}})"
            f" + (sum(abs(forwarder_books_imbalance_events{{{_PAIR}}})) or vector(0))"
        },
        "stat",
        "short",
        6,
        5,
        ((0, "green"), (1, "red")),
        {"0": "nothing known"},
    ),
]

ROWS: Mapping[str, list[Panel]] = {
    "Reading": [
        Panel(
            "State of the sources",
            "What each source is doing. Held: a person must fix something. Paused: the spool is full.",
            {"{{source}}": _states("source", _SOURCE)},
            "state-timeline",
            width=12,
        ),
        Panel(
            "Since the last good poll",
            "Time since the API last answered well.",
            {"{{source}}": f"max by (source) (forwarder_source_last_good_poll_age_seconds{{{_SOURCE}}})"},
            unit="s",
            width=12,
        ),
        Panel(
            "Events read",
            "New events that were spooled, without those that were known.",
            {"{{source}}": f"sum by (source) ({_rate('forwarder_source_spooled_events_total', _SOURCE)})"},
            unit="cps",
        ),
        Panel(
            "Events of an hour, beside what is usual",
            "Events of the last full hour, and the median of the same hour of the last weeks; unknown at first.",
            {
                "{{source}}": f"forwarder_source_hour_events{{{_SOURCE}}}",
                "{{source}}, usual": f"forwarder_source_expected_hour_events{{{_SOURCE}}}",
            },
        ),
        Panel(
            "Failed requests",
            "Requests that failed, by kind of error.",
            {"{{source}}: {{kind}}": f"sum by (source, kind) ({_rate('forwarder_source_errors_total', _SOURCE)}) > 0"},
            unit="reqps",
        ),
        Panel(
            "Requests, beside the budget",
            "Requests a minute, and how many there may be.",
            {
                "{{source}}": f"sum by (source) ({_rate('forwarder_source_requests_total', _SOURCE)}) * 60",
                "{{source}}, budget": f"forwarder_source_budget_requests_per_minute{{{_SOURCE}}}",
            },
            unit="rpm",
        ),
        Panel(
            "History still to fetch",
            "Time until history is complete; nothing while none is fetched.",
            {"{{source}}": f"forwarder_source_history_left_seconds{{{_SOURCE}}}"},
            unit="s",
        ),
        Panel(
            "Keys end in",
            "Time until the last key of each source ends, where its end is configured.",
            {"{{source}}": f"max by (source) (forwarder_source_credential_left_seconds{{{_SOURCE}}})"},
            "stat",
            "s",
            limits=((-1e9, "red"), (86_400, "orange"), (7 * 86_400, "yellow"), (30 * 86_400, "green")),
        ),
    ],
    "Delivering": [
        Panel(
            "State of the sinks",
            "What each sink is doing. Held: a person must fix something. Paused: a person wants it so.",
            {"{{sink}}": _states("sink", _SINK)},
            "state-timeline",
            width=12,
        ),
        Panel(
            "Events delivered",
            "Events that the sink accepted.",
            {"{{sink}}": f"sum by (sink) ({_rate('forwarder_sink_accepted_events_total', _SINK)})"},
            unit="cps",
            width=12,
        ),
        Panel(
            "Failed sends",
            "Sends that failed, by kind of error.",
            {"{{sink}}: {{kind}}": f"sum by (sink, kind) ({_rate('forwarder_sink_errors_total', _SINK)}) > 0"},
            unit="ops",
        ),
        Panel(
            "Dead letters",
            "Events that were refused for good, and are kept.",
            {"{{sink}}": f"sum by (sink) (forwarder_sink_dead_letters{{{_SINK}}})"},
        ),
        Panel(
            "Time of a send",
            "How long a send took, answer included: of the slowest in a hundred, and of half of them.",
            {
                f"{{{{sink}}}}, {name}": f"histogram_quantile({share}, sum by (sink, le) "
                f"({_rate('forwarder_sink_send_duration_seconds_bucket', _SINK)}))"
                for name, share in (("99%", 0.99), ("50%", 0.5))
            },
            unit="s",
        ),
        Panel(
            "Sent again",
            "Events that were sent again, for whatever reason.",
            {"{{sink}}": f"sum by (sink) ({_rate('forwarder_sink_resent_events_total', _SINK)})"},
            unit="cps",
        ),
        Panel(
            "Left out by filters",
            "Part of what is settled that the filters of the sink left out.",
            {"{{source}} to {{sink}}": f"forwarder_books_filtered_ratio{{{_PAIR}}}"},
            unit="percentunit",
        ),
        Panel(
            "Lanes without a sink",
            "Events that wait for a sink that is not configured any more.",
            {"{{sink}}": f"sum by (sink) (forwarder_spool_unclaimed_events{{{_OF}}})"},
        ),
    ],
    "How late": [
        Panel(
            "Oldest event that waits",
            "How long the oldest event that waits for a sink has been in the spool.",
            {"{{sink}}": f"max by (sink) (forwarder_sink_lag_seconds{{{_SINK}}})"},
            unit="s",
        ),
        Panel(
            "Events that wait",
            "Events in the spool that the sink has not settled.",
            {"{{sink}}": f"sum by (sink) (forwarder_sink_lag_events{{{_SINK}}})"},
        ),
        Panel(
            "Age when accepted",
            "How long after reading live events were accepted: the oldest of a hundred, half of them, the objective.",
            {
                **{
                    f"{{{{sink}}}}, {name}": f"histogram_quantile({share}, sum by (sink, le) "
                    f"({_rate('forwarder_sink_delivery_age_seconds_bucket', _SINK)}))"
                    for name, share in (("99%", 0.99), ("50%", 0.5))
                },
                "{{sink}}, objective": f"max by (sink) (forwarder_sink_objective_seconds{{{_SINK}}})",
            },
            unit="s",
        ),
        Panel(
            "In time",
            "Part of the live events in this period that were accepted within the objective; 99% are to be.",
            {
                "{{sink}}": f"sum by (sink) (increase(forwarder_sink_timely_events_total{{{_SINK}}}[$__range]))"
                f" / sum by (sink) (increase(forwarder_sink_delivery_age_seconds_count{{{_SINK}}}[$__range]))"
            },
            "stat",
            "percentunit",
            12,
            limits=((0, "red"), (0.98, "orange"), (0.99, "green")),
        ),
        Panel(
            "How fast the tolerated part is used up",
            "1: all of it in 30 days. Above 14.4 in an hour, or 6 in six hours, it is a page at night.",
            {
                f"{{{{sink}}}}, {window}": (
                    f"(1 - sum by (sink) ({_rate('forwarder_sink_timely_events_total', _SINK, window)})"
                    f" / sum by (sink) ({_rate('forwarder_sink_delivery_age_seconds_count', _SINK, window)})) / 0.01"
                )
                for window in ("1h", "6h")
            },
            width=12,
        ),
    ],
    "What is missing": [
        Panel(
            "Books",
            "Spooled = accepted + rejected + filtered + detached + waiting, for each source and sink.",
            {
                name: f"sum by (source, sink) (forwarder_books_{name}_events{end}{{{_PAIR}}})"
                for name, end in (
                    ("spooled", "_total"),
                    ("accepted", "_total"),
                    ("rejected", ""),
                    ("filtered", "_total"),
                    ("detached", "_total"),
                    ("waiting", ""),
                )
            },
            "table",
            width=24,
        ),
        Panel(
            "Missing events",
            "Events that the log showed and the sink does not have; and books that do not balance.",
            {
                "{{source}} to {{sink}}": f"sum by (source, sink) (forwarder_reconcile_missing_events{{{_PAIR}}})",
                "{{source}} to {{sink}}, out of balance": f"forwarder_books_imbalance_events{{{_PAIR}}} != 0",
            },
        ),
        Panel(
            "Gaps",
            "Gaps by cause: open ones may still be closed, lost ones cannot.",
            {
                "{{reason}}, open": f"sum by (reason) (forwarder_spool_open_gaps{{{_OF}}})",
                "{{reason}}, lost": f"sum by (reason) (forwarder_spool_lost_gaps{{{_OF}}})",
            },
        ),
        Panel(
            "Not yet read a second time",
            "Age of the newest time before which everything was read again to see whether all of it is there.",
            {"{{source}}": f"max by (source) (forwarder_reconcile_window_age_seconds{{{_SOURCE}}})"},
            unit="s",
        ),
    ],
    "Spool and process": [
        Panel(
            "Spool",
            "Bytes in use, and the limit.",
            {
                "used, {{instance}}": f"forwarder_spool_used_bytes{{{_OF}}}",
                "limit, {{instance}}": f"forwarder_spool_max_bytes{{{_OF}}}",
            },
            unit="bytes",
        ),
        Panel(
            "Room for",
            "Time until the spool would be full if every sink stopped now.",
            {"{{instance}}": f"forwarder_spool_time_left_seconds{{{_OF}}}"},
            unit="s",
        ),
        Panel(
            "Runs since",
            "Time since the daemon started; each fall is a restart.",
            {"{{instance}}": f"time() - forwarder_start_timestamp_seconds{{{_OF}}}"},
            unit="s",
        ),
        Panel(
            "Memory",
            "Resident memory of the daemon.",
            {
                "{{instance}}": "process_resident_memory_bytes and on (job, instance) "
                f"group by (job, instance) (forwarder_build_info{{{_OF}}})"
            },
            unit="bytes",
        ),
        Panel(
            "Processor",
            "Part of one core that the daemon uses.",
            {
                "{{instance}}": "rate(process_cpu_seconds_total[$__rate_interval]) and on (job, instance) "
                f"group by (job, instance) (forwarder_build_info{{{_OF}}})"
            },
            unit="percentunit",
        ),
        Panel(
            "Not well",
            "Sources and sinks that are retried, held or paused.",
            {"{{instance}}": f"forwarder_degraded_components{{{_OF}}}"},
        ),
    ],
}
