"""The JSON of `/status` and of `status --json`: a stable form of `DaemonReport`.

Every field of the reports is shown, but for those that are left out here by name. Times are ISO 8601 in UTC with an age
in seconds beside them; what never happened is null. Nothing here shows an event, a cursor or an action's name: of dead
letters and unknown actions there are only counts.

`sources` and `sinks` count since `counters_since`, the start of the process (null while none runs); `spool` and `books`
are durable. What waits for a sink, its position and its dead letters are the spool's in either place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import msgspec

from forwarder.contracts.credentials import days_left
from forwarder.contracts.event import LateKind
from forwarder.contracts.moments import iso
from forwarder.observe.health import why_not_ready
from forwarder.observe.looks import is_quieter_than_ever, looks, spooled_of
from forwarder.observe.status_record import past_of, record_to_dict
from forwarder.observe.verdict import verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forwarder.observe.record import CheckReport, IndexReport
    from forwarder.observe.reports import CredentialReport, DaemonReport, LaneReport, Report, SourceReport
    from forwarder.spool.books import Books
    from forwarder.spool.contract import SpoolStatus
    from forwarder.spool.gap import Gap
    from forwarder.spool.volume import Volume

NOT_CONFIGURED = "not configured"
"""The type of a component that only the spool knows."""

_SINCE_START = {
    "errors", "tries", "requests", "pages", "events", "spooled", "repeats", "revisions", "derived_ids", "late_found",
    "compared", "recovered",
    "late_beyond_overlap", "own_records", "heals", "requests_per_minute", "budget_remaining", "actions_listed",
    "next_poll", "next_poll_in_seconds", "readers", "requests_by_reader", "limit", "others_requests", "others_share",
    "foreign_limits", "reread_stretch_seconds", "reread_period_seconds", "reread_left_out_seconds",
    "history_left_seconds",
    "accepted", "duplicates", "rejected", "filtered", "resent", "doubtful", "batches", "bytes", "in_flight", "pending",
    "retried", "unknown_action_events", "linked",
    "duplicates_left_out", "late", "held_back", "received", "refused", "unrouted",
}  # fmt: skip

_ONLY_METRICS = ("send_buckets", "send_seconds", "age_buckets", "age_seconds", "timely", "objective")

_MOMENTS: Mapping[str, tuple[str, int]] = {
    "since": ("since", 1),
    "trouble_since": ("trouble_since", 1),
    "last_good_poll": ("last_good_poll", 1),
    "newest_event": ("newest_event", 1),
    "tip_reached": ("tip_reached", 1),
    "actions_read": ("actions_read", 1),
    "last_received": ("last_received", 1),
    "oldest_waiting": ("oldest_waiting", 1),
    "last_accepted": ("last_accepted", 1),
    "oldest_ms": ("oldest_waiting", 1000),
    "opened_ms": ("opened", 1000),
}
"""By field, what a moment is called and its units a second; shown with its age."""

_TIMES = {
    name: name.removesuffix("_ms")
    for name in ("from_ms", "to_ms", "closed_ms", "forgotten_ms", "fetching_ms", "lost_ms")
}
"""Moments in milliseconds that are shown without an age."""

_NAMES = {
    "actions": "actions_listed", "lag": "lag_events", "lane": "sink", "seq": "number", "document_id": "id",
    "reread_stretch": "reread_stretch_seconds", "reread_period": "reread_period_seconds",
    "reread_left_out": "reread_left_out_seconds",
}  # fmt: skip


def report_to_dict(report: DaemonReport) -> dict[str, Any]:
    """Return the report as plain JSON values, in snake_case, always with the same keys."""
    now = report.now
    reasons = why_not_ready(report) if report.running else ["it is not running"]
    shown = {
        "version": report.version,
        "running": report.running,
        "pid": report.pid or None,
        "config_digest": report.config_digest,
        "now": _iso(now),
        "time_zone": report.time_zone,
        **_moment("started", report.started, now),
        "counters_since": _iso(report.started),
        "ready": not reasons,
        "not_ready": reasons,
        "draining": report.draining,
        "degraded": report.degraded,
        **_moment("loop_turned", _before(report.loop_age, now), now),
        **_moment("spool_turned", _before(report.spool_age, now), now),
        **_moment("spool_written", report.spool_written, now),
        "looks": [_row(look, now, "stage") for look in looks(report)],
        "task_restarts": dict(sorted(report.task_restarts.items())),
        "sources": [
            _of_process(_source(source, report) | past_of("source", source, report), report)
            for source in report.sources
        ],
        "sinks": [_of_process(_lane(lane, now) | past_of("sink", lane, report), report) for lane in report.lanes],
        "spool": None if report.spool is None else _spool(report, report.spool),
        "books": [_books(line) for line in report.books],
        "completeness": [msgspec.to_builtins(line) for line in report.completeness],
        "read_again": [
            {"source": name, **_moment("up_to", moment, now)} for name, moment in sorted(report.read_again.items())
        ],
        "indexes": [_index(one, now) for one in report.indexes],
        "checks": [_check(one, now) for one in report.checks],
        "heartbeats": {
            "every_seconds": report.heart.every or None,
            **_moment("written", report.heart.written, now),
        },
        "balanced": all(line.balance == 0 for line in report.books),
        **record_to_dict(report),
    }
    return {**shown, "verdict": msgspec.to_builtins(verdict(shown))}


def _index(found: IndexReport, now: float) -> dict[str, Any]:
    return {
        "sink": found.sink,
        **_moment("began", found.began, now),
        **_moment("made", found.good, now),
        "events": found.events,
        "failed_parts": found.failed_parts,
        "reason": found.reason or None,
    }


def _check(found: CheckReport, now: float) -> dict[str, Any]:
    return {
        "sink": found.sink,
        "every_seconds": found.every,
        **_moment("began", found.began, now),
        **_moment("checked", found.good, now),
        "findings": found.findings if found.good else None,
        "reason": found.reason or None,
    }


def _of_process(component: dict[str, Any], report: DaemonReport) -> dict[str, Any]:
    """Leave out the numbers that only a running process has: null is unknown, and 0 would be a claim."""
    if report.running:
        return component
    return {key: None if key in _SINCE_START else value for key, value in component.items()}


def _row(found: object, now: float, *left_out: str) -> dict[str, Any]:
    """Return the fields of a struct or dataclass as plain values, moments in words; without those `left_out`."""
    row: dict[str, Any] = {}
    for field, value in msgspec.to_builtins(found).items():
        if field in left_out:
            continue
        if field in _MOMENTS:
            name, units = _MOMENTS[field]
            row |= _moment(name, (value or 0) / units, now)
        elif field in _TIMES:
            row[_TIMES[field]] = _iso((value or 0) / 1000)
        else:
            row[_NAMES.get(field, field)] = value
    return row


def _component(component: Report, now: float, *left_out: str) -> dict[str, Any]:
    next_try = component.next_try
    return {
        **_row(component, now, "seen", *left_out),
        "well": component.well,
        "next_try": _iso(next_try),
        "next_try_in_seconds": round(max(0.0, next_try - now), 3) if next_try else None,
        "errors": {kind: count for kind, count in sorted(component.errors.items()) if count},
    }


def _source(source: SourceReport, report: DaemonReport) -> dict[str, Any]:
    now, row = report.now, spooled_of(source, report)
    return {
        **_component(source, now, "credentials", "next_poll", "next_look"),
        "next_poll": _iso(source.next_poll),
        "next_poll_in_seconds": round(source.next_poll - now, 3) if source.next_poll else None,
        "key_in_use": source.credential.setting if source.credential is not None else None,
        "credential_ends": _iso(source.credential_ends),
        "keys": [_credential(each, now) for each in source.credentials],
        "volume": None if row is None or row.volume is None else _volume(source, row.volume),
        "budget_remaining": None if source.budget_remaining < 0 else source.budget_remaining,
        "cursors": list(source.cursors),
        "readers": [each._asdict() for each in source.readers],
        "history_left_seconds": source.history_left,
        "refused": {reason: count for reason, count in source.refused.items() if count},
    }


def _credential(each: CredentialReport, now: float) -> dict[str, Any]:
    left = days_left(each.ends, now) if each.ends else None
    return {"setting": each.setting, "in_use": each.in_use, "ends": _iso(each.ends), "days_left": left}


def _volume(source: SourceReport, volume: Volume) -> dict[str, Any]:
    return {
        "hour": _iso(volume.hour * 3600.0),
        "events": volume.events,
        "expected": volume.expected if volume.weeks else None,
        "least": volume.least if volume.weeks else None,
        "weeks": volume.weeks,
        "quieter_than_ever": is_quieter_than_ever(source, volume),
    }


def _lane(lane: LaneReport, now: float) -> dict[str, Any]:
    return {
        **_component(lane, now, "unknown_actions", "links", "late", *_ONLY_METRICS),
        "lag_seconds": _age(lane.oldest_waiting, now) or 0.0,
        "unknown_action_events": lane.unknown_actions.total(),
        "linked": lane.linked,
        "duplicates_left_out": lane.duplicates_left_out,
        "late": {kind: lane.late[kind] for kind in get_args(LateKind)},
        "held_back": lane.held_back,
        "aside": [_row(event._asdict(), now) for event in lane.aside],
    }


def _spool(report: DaemonReport, spool: SpoolStatus) -> dict[str, Any]:
    now = report.now
    names = {source.number: source.name for source in spool.sources}
    configured = {lane.name for lane in report.lanes if lane.type != NOT_CONFIGURED}
    return {
        **_row(spool, now, "ids_since_ms"),
        "sources": [_row(source, now, "number", "cursors", "volume") for source in spool.sources],
        "room_until": None if spool.hours_left is None else _iso(now + spool.hours_left * 3600),
        "lanes": [{**_row(lane, now, "number"), "configured": lane.name in configured} for lane in spool.lanes],
        "gaps": [{**_gap(gap, names, now), "repair": report.repairs.get(gap.number)} for gap in spool.gaps],
        "open_gaps": sum(gap.is_open for gap in spool.gaps),
    }


def _gap(gap: Gap, names: Mapping[int, str], now: float) -> dict[str, Any]:
    source = None if gap.source is None else names.get(gap.source, f"#{gap.source}")
    return {**_row(gap, now), "source": source, "state": gap.state}


def _books(line: Books) -> dict[str, Any]:
    return {**msgspec.to_builtins(line), "balance": line.balance}


def _moment(name: str, moment: float, now: float) -> dict[str, Any]:
    return {name: _iso(moment), f"{name}_age_seconds": _age(moment, now)}


def _before(age: float | None, now: float) -> float:
    """Return the moment that lies so many seconds before now; 0 for one that never was."""
    return 0.0 if age is None else now - age


def _age(moment: float, now: float) -> float | None:
    return round(max(0.0, now - moment), 3) if moment else None


def _iso(moment: float) -> str | None:
    """Return ISO 8601; None for a moment that never was, which a report has as 0."""
    return iso(moment or None)
