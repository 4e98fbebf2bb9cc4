"""What the page has to show: a report of the daemon for every state, for several troubles at once, and a hostile one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from forwarder.observe.record import Act, Completeness, Configuration, Day, ErrorSeen, Letters
from forwarder.observe.reports import CredentialReport, DaemonReport, LaneReport, ReaderReport, SourceReport
from forwarder.spool.books import Books
from forwarder.spool.contract import LaneStatus, SourceStatus, SpoolStatus
from forwarder.spool.gap import Gap
from forwarder.spool.hours import PartHour
from forwarder.spool.letter import LetterCount
from forwarder.spool.operations import Replay
from tests.observe.reports import NOW
from tests.observe.reports import full_report as _full

HOUR = int(NOW) // 3600
MS = int(NOW * 1000)
EVIL = "<script>alert(1)</script>\"><img src=x onerror=alert(2)>\u202egnp.\x1b[31m\x00'`&lt;"
OUT = 3 * 3600.0 + 33 * 60


def source(name: str = "acme", **changes: Any) -> SourceReport:
    fields: dict[str, Any] = {
        "name": name, "type": "organization", "state": "working", "since": NOW - 90_000, "identity": f"organization:{name}",
        "last_good_poll": NOW - 2, "tip_reached": NOW - 2, "newest_event": NOW - 4, "next_poll": NOW + 28,
        "credentials": (CredentialReport("api_key", NOW + 212 * 86_400, in_use=True),), "budget_remaining": 40.0,
        "requests_per_minute": 50.0, "readers": (ReaderReport("tail", "tail", 0.75, 1.0, None, None),),
    }  # fmt: skip
    return SourceReport(**fields | changes)


def sink(name: str, **changes: Any) -> LaneReport:
    fields: dict[str, Any] = {
        "name": name, "type": "elasticsearch", "format": "ecs", "state": "working", "since": NOW - 90_000,
        "target": f"{name}:https://{name}.example.com", "proof": "delivered", "last_accepted": NOW - 1,
        "dead_letters_max": 10_000,
    }  # fmt: skip
    return LaneReport(**fields | changes)


def held(name: str = "splunk", **changes: Any) -> LaneReport:
    reason = '403 {"text":"Token disabled","code":1}'
    fields: dict[str, Any] = {
        "type": "splunk_hec", "format": "raw", "state": "held", "reason": reason,
        "fix": "Enable the token in Splunk: Settings, Data inputs, HTTP Event Collector; or put another into its file.",
        "since": NOW - OUT, "trouble_since": NOW - OUT, "tries": 2556, "next_try": NOW + 4, "lag": 12_431,
        "oldest_waiting": NOW - OUT, "last_accepted": NOW - OUT, "seen": {reason: ErrorSeen(reason, 1, NOW - OUT, NOW - 1)},
    }  # fmt: skip
    return sink(name, **fields | changes)


def hours(kind: Any, name: str, bad: dict[int, tuple[str, float]] | None = None, known: int = 48) -> list[PartHour]:
    """Return the last hours of a part; `bad` by how many hours ago."""
    rows = []
    for back in range(known):
        state, lag = (bad or {}).get(back, ("working", 3.0))
        rows.append(PartHour(kind, name, HOUR - back, state, lag))
    return rows


def report(sources: list[SourceReport], sinks: list[LaneReport], **changes: Any) -> DaemonReport:
    names = [(each.name, lane.name) for each in sources for lane in sinks]
    today = datetime.fromtimestamp(NOW, UTC).date()
    days = [
        Day(
            (today - timedelta(days=back)).isoformat(),
            of,
            to,
            "complete" if back else "waiting",
            11_316,
            9204,
            3,
            2100,
            9,
        )
        for back in range(13, -1, -1)
        for of, to in (names if not back else [("", lane.name) for lane in sinks if sources])
    ]
    lanes = [
        LaneStatus(at + 1, one.name, one.target, 9, 9, one.lag, int(one.oldest_waiting * 1000) or None, one.dead_letters,
                   active=True, on_full="pause", paused=one.reason.removeprefix("paused ") if one.state == "paused" else "")
        for at, one in enumerate(sinks)
    ]  # fmt: skip
    spool = SpoolStatus(
        path="/var/lib/audit-forwarder/spool.db", bytes_used=1_700_000, bytes_file=2_000_000, bytes_max=16 * 2**20,
        id_bytes=10_000, id_bytes_max=2**30, first_seq=1, last_seq=99_000, pages=300, hours_left=31.0,
        sources=[SourceStatus(at + 1, one.name, one.identity, 99_000, 0, 0, {}) for at, one in enumerate(sources)],
        lanes=lanes + changes.pop("more_lanes", []), gaps=changes.pop("gaps", []),
    )  # fmt: skip
    fields: dict[str, Any] = {
        "sources": sources, "lanes": sinks, "spool": spool, "started": NOW - 90_000,
        "books": [
            Books(of, to, spooled=11_316, accepted=9204, rejected=3, filtered=2100, detached=0, waiting=9) for of, to in names
        ],
        "completeness": [Completeness(of, to, 158_424, 128_000) for of, to in names],
        "read_again": {one.name: NOW - 5400 for one in sources}, "days": days,
        "hours": [row for one in sources for row in hours("source", one.name)]
        + [row for one in sinks for row in hours("sink", one.name)],
        "configuration": Configuration("/etc/audit-forwarder/config.yaml", (
            ("sources.acme.org_id", "a1b2c3d4-0000-1111-2222-333344445555", "/etc/audit-forwarder/config.yaml:7"),
            ("sources.acme.api_key", "**********", "/run/secrets/sources__acme__api_key"),
            ("log.level", "debug", "environment FORWARDER__LOG__LEVEL"),
        )),
    }  # fmt: skip
    return _full(**fields | changes)


def trouble(**changes: Any) -> dict[str, Any]:
    return {"since": NOW - 600, "trouble_since": NOW - 600, "tries": 12, "next_try": NOW + 41} | changes


def letters(name: str = "elastic", reason: str = "document_parsing_exception", advice: str = "") -> Letters:
    count = LetterCount(name, reason, 3, 0, 0, MS - 7_200_000, MS - 3_600_000, 77)
    return Letters(count, advice or "Put the current index template in place with `audit-forwarder setup`, then retry.")


GAP = Gap(
    "cursor_lost",
    "refused",
    source=1,
    from_ms=MS - 90_000_000,
    to_ms=MS - 4_000_000,
    opened_ms=MS - 3_000_000,
    number=7,
)
LATE = {"state": "retrying", "reason": "timed out after 30 s", "fix": "Nothing yet; it is tried again."} | trouble()
REPLAY = Replay(
    number=4, first=1, last=900, since_ms=MS - 90_000_000, until_ms=MS - 4_000_000, chosen="[]", who="the page, from 192.0.2.14",
    whole_since_ms=None, opened_ms=MS - 60_000, closed_ms=None, ended_by="", sink="siem", events=900, accepted=520, rejected=0,
    filtered=0, detached=0, waiting=380,
)  # fmt: skip
STRANGER = LaneStatus(
    9, "qradar", "syslog:tls:qradar.example.com:6514", 1, 1, 2790, MS - 90_000_000, 0, active=False, on_full="pause",
    forgotten_ms=MS + 90_000_000,
)  # fmt: skip


def states() -> dict[str, DaemonReport]:
    """Return every state by its name."""
    two, three = [source(), source("acme-labs")], [sink("elastic"), sink("siem"), sink("archive")]
    key = source(
        state="held", reason="401: the key has expired or was revoked", fix="Make a new API key, and put it into its file.",
        credentials=(CredentialReport("api_key", NOW - 3600, in_use=True),), **trouble(),
    )  # fmt: skip
    full = source(state="paused", reason="the spool is full", fix="Fix the sink that waits.", **trouble())
    by = "by root (uid 0), called by ann at 2026-09-21 11:02 UTC"
    paused = sink("siem", state="paused", reason=f"paused {by}", fix="To let it deliver again: audit-forwarder lanes resume siem",
                  lag=211, oldest_waiting=NOW - 10_000)  # fmt: skip
    reading = source(readers=(
        ReaderReport("tail", "tail", 0.75, 0.4, None, None), ReaderReport("backfill", "backfill", 0.125, 0.6, 90_000.0, 7300.0),
    ))  # fmt: skip
    ending = source("acme-labs", credentials=(CredentialReport("api_key", NOW + 19 * 86_400, in_use=True),))
    bad_hours = [
        *hours("source", "acme", {2: ("retrying", 2000.0), 3: ("held", 5000.0)}),
        *hours("source", "acme-labs", known=5),
        *hours("sink", "splunk", dict.fromkeys(range(4), ("held", OUT)) | {26: ("retrying", 400.0)}),
        *hours("sink", "elastic", {7: ("working", 1800.0)}), *hours("sink", "siem", {1: ("paused", 9.0)}),
    ]  # fmt: skip
    short = [
        Completeness("acme", "elastic", 500, 497, missing=3, incomplete_days=1),
        Completeness("acme", "siem", 500, 500),
    ]
    return {
        "well": report(two, three),
        "held": report([source(), ending], [sink("elastic", dead_letters=3), held(), sink("siem")], gaps=[GAP],
                       letters=[letters()], more_lanes=[STRANGER], hours=bad_hours,
                       acts=[Act(NOW - 900, "tried now", "splunk", "who knows admin.token, from 192.0.2.14")]),
        "key": report([key, source("acme-labs")], three),
        "late": report([source(**LATE)], [sink("elastic", **LATE, lag=40, oldest_waiting=NOW - 700), sink("siem")]),
        "paused": report(two, [sink("elastic"), paused]),
        "full": report([full], [held(), sink("siem")]),
        "history": report([reading], three),
        "missing": report([source()], [sink("elastic"), sink("siem")], completeness=short),
        "unbalanced": report([source()], [sink("elastic")], books=[
            Books("acme", "elastic", spooled=10, accepted=8, rejected=0, filtered=0, detached=0, waiting=0)
        ]),
        "several": report(
            [key, source("acme-labs", **LATE), full_of("jira/acme")],
            [held(), held("sentinel", reason="the index template is missing"), paused, sink("elastic", **LATE, lag=9)],
            gaps=[GAP], letters=[letters(), letters("siem", "too_large")], more_lanes=[STRANGER], hours=bad_hours,
            completeness=short, replays=[REPLAY],
            configuration=Configuration("/etc/config.yaml", (("log.level", "info", "config.yaml:3"),), ("log.level", "sinks.new")),
        ),
        "beginning": report([source(state="starting", last_good_poll=0.0, newest_event=0.0, next_poll=0.0, since=NOW)],
                            [sink("elastic", state="starting", last_accepted=0.0)], completeness=[], days=[], hours=[], books=[],
                            started=NOW - 1, configuration=None),
        "empty": report([], [], spool=None),
        "hostile": report(
            [source(EVIL, state="held", reason=EVIL * 3, fix=EVIL, seen={EVIL: ErrorSeen(EVIL, 2, NOW, NOW)}, **trouble())],
            [held(EVIL, reason=EVIL, fix=EVIL), sink(EVIL + "2", type=EVIL, format=EVIL)],
            letters=[letters(EVIL, EVIL, EVIL)], more_lanes=[LaneStatus(8, EVIL + "3", EVIL, 1, 1, 5, MS, 0, active=False, on_full=EVIL)],
            gaps=[Gap("detached", EVIL, lane=EVIL, first_seq=1, last_seq=2, events=2, opened_ms=MS, number=3)],
            acts=[Act(NOW, EVIL, EVIL, EVIL)], repairs={3: EVIL},
            configuration=Configuration(EVIL, ((EVIL, EVIL, EVIL),), (EVIL,)),
        ),
    }  # fmt: skip


def full_of(name: str) -> SourceReport:
    return source(
        name, type="jira", state="paused", reason="the spool is full", fix="Fix the sink that waits.", **trouble()
    )
