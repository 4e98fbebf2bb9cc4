"""A report of a daemon in which every field has a value of its own, so that a mixed-up field shows."""

from __future__ import annotations

from collections import Counter
from typing import Any

from forwarder.observe.record import CheckReport, Completeness, HeartReport, IndexReport
from forwarder.observe.reports import (
    CredentialReport,
    DaemonReport,
    LaneReport,
    ReaderReport,
    SourceReport,
)
from forwarder.spool.books import Books
from forwarder.spool.contract import CursorRow, LaneStatus, SourceStatus, SpoolStatus
from forwarder.spool.gap import Gap
from forwarder.spool.volume import Volume

NOW = 1_790_000_000.0
VOLUME = Volume(hour=int(NOW) // 3600 - 2, events=121, expected=122.5, least=120, weeks=8)


def source_report(**changes: Any) -> SourceReport:
    fields: dict[str, Any] = {
        "name": "acme",
        "type": "organization",
        "state": "working",
        "since": NOW - 50,
        "errors": Counter({"rate_limited": 3, "timeout": 1}),
        "identity": "organization:o-1",
        "requests": 101,
        "pages": 102,
        "events": 103,
        "spooled": 104,
        "repeats": 105,
        "revisions": 106,
        "derived_ids": 107,
        "late_found": 108,
        "late_beyond_overlap": 109,
        "own_records": 113,
        "heals": 110,
        "unrouted": 114,
        "receives": True,
        "received": 115,
        "last_received": NOW - 5,
        "last_good_poll": NOW - 11,
        "tip_reached": NOW - 12,
        "next_poll": NOW + 19,
        "newest_event": NOW - 3700,
        "credentials": (
            CredentialReport("api_key", NOW + 31 * 86_400, in_use=True),
            CredentialReport("api_key_next", NOW + 90 * 86_400, in_use=False),
        ),
        "requests_per_minute": 12.5,
        "budget_remaining": 7.0,
        "readers": (
            ReaderReport("tail", "tail", 0.75, 0.5, None, None),
            ReaderReport("backfill", "backfill", 0.125, 0.25, 90_000.0, 7300.0),
            ReaderReport("backfill:march", "backfill", 0.125, 0.125, 60.0, 30.0),
        ),
        "requests_by_reader": Counter(tail=60, backfill=41, reread=0),
        "limit": 50.0,
        "others_requests": 131,
        "others_share": 0.25,
        "foreign_limits": 132,
        "reread_stretch": 133.0,
        "reread_period": 134.0,
        "reread_left_out": 135.0,
        "cursors": ("tail", "heal"),
    }
    return SourceReport(**{**fields, **changes})


def lane_report(**changes: Any) -> LaneReport:
    fields: dict[str, Any] = {
        "name": "elastic",
        "type": "elasticsearch",
        "state": "held",
        "reason": "The index template is missing.",
        "fix": "Run audit-forwarder setup.",
        "since": NOW - 60,
        "errors": Counter({"setup_missing": 2}),
        "target": "elasticsearch:https://es.example.com:9200",
        "proof": "delivered",
        "format": "ecs",
        "accepted": 201,
        "duplicates": 213,
        "rejected": 202,
        "filtered": 203,
        "resent": 204,
        "doubtful": 205,
        "batches": 206,
        "bytes": 207,
        "in_flight": 208,
        "pending": 209,
        "position": 210,
        "lag": 211,
        "oldest_waiting": NOW - 90,
        "last_accepted": NOW - 95,
        "dead_letters": 212,
        "dead_letters_max": 214,
        "retried": 215,
        "replay_waiting": 216,
        "replay_accepted": 217,
        "unknown_actions": Counter({"page_licked": 5, "issue_sniffed": 6}),
        "links": Counter({"linked": 31, "left_out": 7}),
        "late": Counter({"late": 5, "recovered": 2, "held_back": 4}),
        "send_seconds": 4.5,
        "objective": 61.0,
    }
    lane = LaneReport(**{**fields, **changes})
    for seconds in (0.004, 0.02, 0.02, 75.0):
        lane.observe_send(seconds)
    for seconds, events in ((0.5, 3), (61.0, 4), (100_000.0, 2)):
        lane.observe_age(seconds, events)
    return lane


def spool_status(**changes: Any) -> SpoolStatus:
    row = CursorRow(name="tail", state={"used": "opaque-cursor-of-the-source"}, version=3)
    fields: dict[str, Any] = {
        "path": "/var/lib/forwarder/spool.db",
        "bytes_used": 301,
        "bytes_file": 302,
        "bytes_max": 2**31,
        "id_bytes": 304,
        "id_bytes_max": 305,
        "first_seq": 306,
        "last_seq": 307,
        "pages": 308,
        "hours_left": 26.5,
        "sources": [SourceStatus(1, "acme", "organization:o-1", 104, 105, 106, {"tail": row}, volume=VOLUME)],
        "lanes": [
            LaneStatus(1, "elastic", "elasticsearch:https://es.example.com:9200", 210, 212, 211, 5, 212, True, "pause")
        ],
        "gaps": [
            Gap("cursor_lost", "refused", source=1, from_ms=1, to_ms=2, opened_ms=int(NOW * 1000) - 9000, number=1),
            Gap("detached", lane="elastic", first_seq=1, last_seq=9, opened_ms=5, closed_ms=6, number=2),
        ],
    }
    return SpoolStatus(**{**fields, **changes})


def books(**changes: Any) -> Books:
    fields: dict[str, Any] = {
        "source": "acme",
        "sink": "elastic",
        "spooled": 1000,
        "accepted": 500,
        "rejected": 100,
        "filtered": 50,
        "detached": 25,
        "waiting": 325,
        "discarded": 75,
    }
    return Books(**{**fields, **changes})


def full_report(**changes: Any) -> DaemonReport:
    fields: dict[str, Any] = {
        "version": "1.2.3",
        "started": NOW - 86_400 * 3,
        "now": NOW,
        "pid": 4242,
        "config_digest": "abc123",
        "draining": False,
        "sources": [source_report()],
        "lanes": [
            lane_report(),
            lane_report(name="archive", state="working", reason="", fix="", oldest_waiting=0.0, lag=0),
        ],
        "spool": spool_status(),
        "books": [books(), books(sink="archive", waiting=324)],
        "completeness": [Completeness("acme", "elastic", 991, 992, 993, 994, 995)],
        "read_again": {"acme": NOW - 7200},
        "checks": [CheckReport("archive", 994, NOW - 993, NOW - 992, 991, "its disk is gone")],
        "heart": HeartReport(990, NOW - 989),
        "indexes": [IndexReport("archive", NOW - 999, NOW - 998, NOW - 998, 996, 997, "a day is damaged")],
        "task_restarts": {"poller:acme": 2},
        "log_lines_left_out": 401,
        "tasks": 402,
        "monotonic": NOW,
        "loop_alive": NOW - 0.5,
        "spool_alive": NOW - 1.5,
    }
    return DaemonReport(**{**fields, **changes})
