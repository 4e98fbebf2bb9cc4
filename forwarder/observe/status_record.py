"""The part of the JSON of `/status` that tells of the past: hours, days, errors, dead letters, acts, configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forwarder.contracts.moments import iso, iso_ms
from forwarder.spool.hours import KEPT

if TYPE_CHECKING:
    from forwarder.observe.record import Configuration, Letters
    from forwarder.observe.reports import DaemonReport, Report
    from forwarder.spool.hours import PartHour
    from forwarder.spool.operations import Replay


def record_to_dict(report: DaemonReport) -> dict[str, Any]:
    """Return what is known of the past, always with the same keys."""
    days = [
        {
            "day": day.day, "source": day.source or None, "sink": day.sink, "judgement": day.judgement,
            "expected": day.expected, "delivered": day.delivered, "rejected": day.rejected,
            "filtered": day.filtered, "waiting": day.waiting, "missing": day.missing,
        }
        for day in report.days
    ]  # fmt: skip
    acts = [{"at": iso(act.at), "verb": act.verb, "about": act.about, "who": act.who} for act in report.acts]
    return {
        "days": days,
        "letters": [_letters(each) for each in report.letters],
        "replays": [_replay(each) for each in report.replays],
        "acts": acts[::-1],
        "configuration": None if report.configuration is None else _configuration(report.configuration),
    }


def past_of(kind: str, component: Report, report: DaemonReport) -> dict[str, Any]:
    """Return the last two days and the last errors of a source or sink."""
    now = int(report.now) // 3600
    rows = {row.hour: row for row in report.hours if row.kind == kind and row.name == component.name}
    hours: list[PartHour | None] = [rows.get(hour) for hour in range(now - KEPT + 1, now + 1)]
    return {
        "hours": {
            "first": iso((now - KEPT + 1) * 3600.0),
            "worst": [None if row is None else row.state for row in hours],
            "lag_seconds": [None if row is None else round(row.lag_seconds, 1) for row in hours],
        },
        "last_errors": [
            {"reason": seen.reason, "times": seen.times, "first": iso(seen.first), "last": iso(seen.last)}
            for seen in reversed(component.seen.values())
        ],
    }


def _letters(each: Letters) -> dict[str, Any]:
    count = each.count
    return {
        "sink": count.lane,
        "reason": count.reason,
        "events": count.letters,
        "retried": count.retried,
        "former": count.former,
        "first": iso_ms(count.first_ms),
        "last": iso_ms(count.last_ms),
        "highest": count.highest,
        "advice": each.advice,
    }


def _replay(each: Replay) -> dict[str, Any]:
    return {
        "number": each.number,
        "sink": each.sink,
        "since": iso_ms(each.since_ms),
        "until": iso_ms(each.until_ms),
        "who": each.who,
        "opened": iso_ms(each.opened_ms),
        "events": each.events,
        "waiting": each.waiting,
    }


def _configuration(found: Configuration) -> dict[str, Any]:
    return {
        "file": found.file or None,
        "as_in_file": None if found.problem else not found.differs,
        "differs": list(found.differs),
        "problem": found.problem,
        "settings": [{"path": path, "value": value, "where": where} for path, value, where in found.settings],
    }
