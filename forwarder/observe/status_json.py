"""The JSON of `/status` and of `status --json`: a stable form of `DaemonReport`.

Times are ISO 8601 in UTC with an age in seconds beside them; what never happened is null. Nothing here shows an event,
a cursor or an action's name: of dead letters and unknown actions there are only counts.

`sources` and `sinks` count since `counters_since`, the start of the process (null while none runs); `spool` and `books`
are durable. What waits for a sink, its position and its dead letters are the spool's in either place.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from forwarder.observe.health import why_not_ready

if TYPE_CHECKING:
    from forwarder.observe.reports import DaemonReport, LaneReport, Report, SourceReport
    from forwarder.spool.contract import Books, Gap, SpoolStatus


_SINCE_START = {
    "errors", "tries", "requests", "pages", "events", "spooled", "repeats", "revisions", "derived_ids", "late_found",
    "late_beyond_overlap", "heals", "requests_per_minute", "budget_remaining", "actions_listed", "accepted",
    "duplicates", "rejected", "filtered", "resent", "doubtful", "batches", "bytes", "in_flight", "pending", "retried",
    "unknown_action_events",
}  # fmt: skip


def report_to_dict(report: DaemonReport) -> dict[str, Any]:
    """Return the report as plain JSON values, in snake_case, always with the same keys."""
    now = report.now
    reasons = why_not_ready(report) if report.running else ["it is not running"]
    return {
        "version": report.version,
        "running": report.running,
        "pid": report.pid or None,
        "config_digest": report.config_digest,
        "now": _iso(now),
        **_moment("started", report.started, now),
        "counters_since": _iso(report.started),
        "ready": not reasons,
        "not_ready": reasons,
        "draining": report.draining,
        "degraded": report.degraded,
        **_moment("loop_turned", _before(report.loop_age, now), now),
        **_moment("spool_turned", _before(report.spool_age, now), now),
        **_moment("spool_written", report.spool_written, now),
        "task_restarts": dict(sorted(report.task_restarts.items())),
        "sources": [_of_process(_source(source, now), report) for source in report.sources],
        "sinks": [_of_process(_lane(lane, now), report) for lane in report.lanes],
        "spool": None if report.spool is None else _spool(report.spool, now),
        "books": [_books(line) for line in report.books],
        "balanced": all(line.balance == 0 for line in report.books),
    }


def _of_process(component: dict[str, Any], report: DaemonReport) -> dict[str, Any]:
    """Leave out the numbers that only a running process has: null is unknown, and 0 would be a claim."""
    if report.running:
        return component
    return {key: None if key in _SINCE_START else value for key, value in component.items()}


def _component(component: Report, now: float) -> dict[str, Any]:
    return {
        "name": component.name,
        "type": component.type,
        "state": component.state,
        "well": component.well,
        "reason": component.reason,
        "fix": component.fix,
        **_moment("since", component.since, now),
        **_moment("trouble_since", component.trouble_since, now),
        "tries": component.tries,
        "next_try": _iso(component.next_try),
        "next_try_in_seconds": round(max(0.0, component.next_try - now), 3) if component.next_try else None,
        "errors": {kind: count for kind, count in sorted(component.errors.items()) if count},
    }


def _source(source: SourceReport, now: float) -> dict[str, Any]:
    return {
        **_component(source, now),
        "identity": source.identity,
        **_moment("last_good_poll", source.last_good_poll, now),
        **_moment("newest_event", source.newest_event, now),
        "actions_listed": source.actions,
        **_moment("actions_read", source.actions_read, now),
        "actions_problem": source.actions_problem,
        "requests": source.requests,
        "pages": source.pages,
        "events": source.events,
        "spooled": source.spooled,
        "repeats": source.repeats,
        "revisions": source.revisions,
        "derived_ids": source.derived_ids,
        "late_found": source.late_found,
        "late_beyond_overlap": source.late_beyond_overlap,
        "heals": source.heals,
        "requests_per_minute": source.requests_per_minute,
        "budget_remaining": None if source.budget_remaining < 0 else source.budget_remaining,
        "cursors": list(source.cursors),
    }


def _lane(lane: LaneReport, now: float) -> dict[str, Any]:
    return {
        **_component(lane, now),
        "target": lane.target,
        "proof": lane.proof,
        "format": lane.format,
        "accepted": lane.accepted,
        "duplicates": lane.duplicates,
        "rejected": lane.rejected,
        "filtered": lane.filtered,
        "resent": lane.resent,
        "doubtful": lane.doubtful,
        "batches": lane.batches,
        "bytes": lane.bytes,
        "in_flight": lane.in_flight,
        "pending": lane.pending,
        "position": lane.position,
        "lag_events": lane.lag,
        "lag_seconds": _age(lane.oldest_waiting, now) or 0.0,
        **_moment("oldest_waiting", lane.oldest_waiting, now),
        **_moment("last_accepted", lane.last_accepted, now),
        "dead_letters": lane.dead_letters,
        "dead_letters_max": lane.dead_letters_max,
        "retried": lane.retried,
        "unknown_action_events": lane.unknown_actions.total(),
        "aside": [
            {
                "number": event.seq,
                "id": event.document_id,
                "reason": event.reason,
                **_moment("since", event.since, now),
                "tries": event.tries,
            }
            for event in lane.aside
        ],
    }


def _spool(spool: SpoolStatus, now: float) -> dict[str, Any]:
    names = {source.number: source.name for source in spool.sources}
    return {
        "path": spool.path,
        "bytes_used": spool.bytes_used,
        "bytes_max": spool.bytes_max,
        "bytes_file": spool.bytes_file,
        "id_bytes": spool.id_bytes,
        "id_bytes_max": spool.id_bytes_max,
        "pages": spool.pages,
        "first_seq": spool.first_seq,
        "last_seq": spool.last_seq,
        "hours_left": spool.hours_left,
        "sources": [
            {
                "name": source.name,
                "identity": source.identity,
                "spooled": source.spooled,
                "repeats": source.repeats,
                "revisions": source.revisions,
            }
            for source in spool.sources
        ],
        "lanes": [
            {
                "name": lane.name,
                "target": lane.target,
                "active": lane.active,
                "on_full": lane.on_full,
                "position": lane.position,
                "head": lane.head,
                "lag_events": lane.lag,
                **_moment("oldest_waiting", (lane.oldest_ms or 0) / 1000, now),
                "dead_letters": lane.dead_letters,
                "retried": lane.retried,
                "forgotten": _iso((lane.forgotten_ms or 0) / 1000),
            }
            for lane in spool.lanes
        ],
        "gaps": [_gap(gap, names, now) for gap in spool.gaps],
        "open_gaps": sum(gap.closed_ms is None for gap in spool.gaps),
    }


def _gap(gap: Gap, names: dict[int, str], now: float) -> dict[str, Any]:
    return {
        "number": gap.number,
        "cause": gap.cause,
        "detail": gap.detail,
        "source": None if gap.source is None else names.get(gap.source, f"#{gap.source}"),
        "sink": gap.lane,
        "from": _iso((gap.from_ms or 0) / 1000),
        "to": _iso((gap.to_ms or 0) / 1000),
        "first_seq": gap.first_seq,
        "last_seq": gap.last_seq,
        "events": gap.events,
        **_moment("opened", gap.opened_ms / 1000, now),
        "closed": _iso((gap.closed_ms or 0) / 1000),
    }


def _books(line: Books) -> dict[str, Any]:
    return {
        "source": line.source,
        "sink": line.sink,
        "spooled": line.spooled,
        "accepted": line.accepted,
        "rejected": line.rejected,
        "filtered": line.filtered,
        "detached": line.detached,
        "waiting": line.waiting,
        "discarded": line.discarded,
        "balance": line.balance,
    }


def _moment(name: str, moment: float, now: float) -> dict[str, Any]:
    return {name: _iso(moment), f"{name}_age_seconds": _age(moment, now)}


def _before(age: float | None, now: float) -> float:
    """Return the moment that lies so many seconds before now; 0 for one that never was."""
    return 0.0 if age is None else now - age


def _age(moment: float, now: float) -> float | None:
    return round(max(0.0, now - moment), 3) if moment else None


def _iso(moment: float) -> str | None:
    """Return ISO 8601 in UTC with milliseconds, or None for a moment that never was or that no calendar holds."""
    if not moment:
        return None
    try:
        return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return None
