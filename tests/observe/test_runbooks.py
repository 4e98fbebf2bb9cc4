"""The status and `doctor` name the runbooks of what they found; each of these exists."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from forwarder.observe import runbooks
from forwarder.observe.looks import Kind as LookKind
from forwarder.observe.reports import Completeness, ComponentState, CredentialReport
from forwarder.observe.runbooks import runbook_commands, runbook_text, runbooks_of
from forwarder.observe.status_json import report_to_dict
from forwarder.observe.status_problems import Kind as RemarkKind
from forwarder.spool.gap import Gap
from tests.observe.reports import NOW, books, full_report, lane_report, source_report, spool_status

FOLDER = Path(__file__).parents[2] / "docs" / "runbooks"
TABLES: list[dict[Any, str]] = [runbooks.OF_STATES, runbooks.OF_REMARKS, runbooks.OF_LOOKS, runbooks.OF_PARTS]


def well(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "sources": [source_report(credentials=())],
        "lanes": [lane_report(state="working", dead_letters=0)],
        "spool": spool_status(gaps=[]),
        "books": [books()],
        "completeness": [],
        "checks": [],
    }
    return report_to_dict(full_report(**{**fields, **changes}))


def test_each_that_is_named_exists() -> None:
    for name in {name for table in TABLES for name in table.values()}:
        assert runbook_text(name) == (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    assert runbook_text("../README") is None


def test_the_tables_are_about_what_there_is() -> None:
    assert {state for _, state in runbooks.OF_STATES} <= set(get_args(ComponentState))
    assert set(runbooks.OF_REMARKS) <= set(get_args(RemarkKind))
    assert set(runbooks.OF_LOOKS) <= set(get_args(LookKind))


def test_what_is_well_needs_none() -> None:
    assert runbooks_of(well()) == []
    assert runbook_commands([]) == []


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"sources": [source_report(credentials=(), state="held")]}, "NotReading"),
        ({"sources": [source_report(credentials=(), state="paused")]}, "SpoolFull"),
        ({"lanes": [lane_report(state="held", dead_letters=0)]}, "SinkHeld"),
        ({"lanes": [lane_report(state="retrying", dead_letters=0)]}, "SinkLate"),
        ({"lanes": [lane_report(state="working", dead_letters=3)]}, "DeadLetters"),
        ({"books": [books(waiting=1)]}, "BooksOutOfBalance"),
        ({"completeness": [Completeness("acme", "elastic", missing=1)]}, "EventsMissing"),
        ({"spool": spool_status(gaps=[Gap("retention", lost_ms=1)])}, "EventsLost"),
        ({"running": False}, "Down"),
    ],
)
def test_what_is_wrong_leads_to_its_own(changes: dict[str, Any], name: str) -> None:
    assert runbooks_of(well(**changes)) == [f"AuditForwarder{name}"]


def test_a_key_that_ends_leads_to_its_own() -> None:
    ending = (CredentialReport("api_key", NOW + 5 * 86_400, in_use=True),)
    assert runbooks_of(well(sources=[source_report(credentials=ending)])) == ["AuditForwarderKeyExpires"]
    report = well()
    report["looks"] = [{"kind": "credential_ends"}, {"kind": "user_activity_not_arriving"}, {"kind": 7}, {}]
    assert runbooks_of(report) == ["AuditForwarderKeyExpires"]


def test_a_line_names_each_once() -> None:
    names = ["AuditForwarderSinkHeld", "", "AuditForwarderDown", "AuditForwarderSinkHeld"]
    assert runbook_commands(names) == [f"audit-forwarder docs AuditForwarder{name}" for name in ("SinkHeld", "Down")]
