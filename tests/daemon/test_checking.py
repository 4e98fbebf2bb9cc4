"""Each archive is checked again and again, by a process of its own, and the daemon says what became of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from forwarder.admin.kept_places import Place
from forwarder.contracts import SystemClock
from forwarder.daemon.checking import Checking
from forwarder.observe.exposition import Exposition
from forwarder.observe.record import CheckReport
from forwarder.observe.runbooks import runbooks_of
from forwarder.observe.status_json import report_to_dict
from forwarder.observe.status_problems import problems
from forwarder.testing.waiting import until
from tests.investigate.evidence import Archive
from tests.investigate.lines import event
from tests.observe.reports import full_report

STORED = "2026-11-20T10"


def archive(folder: Path) -> Archive:
    made = Archive(folder)
    made.put(STORED, [event(ident=f"e{number}") for number in range(5)])
    made.digest(STORED)
    return made


async def test_what_was_changed_is_counted_and_what_cannot_be_checked_says_why(tmp_path: Path) -> None:
    whole, changed = await asyncio.to_thread(lambda: [archive(tmp_path / name) for name in ("whole", "changed")])
    [entries] = changed.entries.values()
    (changed.folder / entries[0].name).write_bytes(b"not what was stored")
    places = {
        "whole": Place("archive", (str(whole.folder),)),
        "changed": Place("archive", (str(changed.folder),)),
        "none": Place("archive", ("--sink=nothing", f"--config={tmp_path / 'none.yaml'}")),
    }
    reports: dict[str, CheckReport] = {}
    stopping = asyncio.Event()
    made = Checking(places, reports, every=3600, clock=SystemClock(), stopping=stopping, first=0)
    task = asyncio.create_task(made.run())
    await until(lambda: reports["none"].reason)
    stopping.set()
    await task
    assert (reports["whole"].findings, reports["changed"].findings > 0) == (0, True)
    assert (reports["none"].good, "cannot be read" in reports["none"].reason) == (0, True)
    shown = report_to_dict(full_report(checks=list(reports.values())))
    said = "\n".join(problems(shown))
    assert "things in its archive are not as they were written" in said
    assert "audit-forwarder archive verify --sink changed" in said
    assert "sink none: its archive could not be checked: " in said
    assert "sink whole: its archive" not in said
    assert "AuditForwarderArchiveVerify" in runbooks_of(shown)
    page = Exposition(lambda: full_report(checks=list(reports.values()))).render()[0].decode()
    assert 'forwarder_archive_findings{sink="whole"} 0' in page
    assert 'forwarder_archive_findings{sink="none"}' not in page
