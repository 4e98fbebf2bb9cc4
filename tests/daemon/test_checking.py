"""Each archive is checked again and again, by a process of its own, and the daemon says what became of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from forwarder.admin.kept_places import Place
from forwarder.contracts import SystemClock
from forwarder.daemon.checking import FIRST, Checking
from forwarder.observe.exposition import Exposition
from forwarder.observe.record import CheckReport
from forwarder.observe.runbooks import runbooks_of
from forwarder.observe.status_json import report_to_dict
from forwarder.observe.status_problems import problems
from forwarder.observe.status_sums import archive_lines
from forwarder.testing.waiting import until
from tests.clocks import FakeClock
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
    kept: dict[str, Any] = {"targets": {name: f"archive:{name}" for name in places}, "folder": tmp_path}
    made = Checking(places, reports, **kept, every=3600, clock=SystemClock(), stopping=stopping, first=0)
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
    assert "archive of whole: everything as it was written when it was checked last, " in "\n".join(
        archive_lines(shown)
    )
    assert "archive of none: not checked to its end yet" in archive_lines(shown)
    page = Exposition(lambda: full_report(checks=list(reports.values()))).render()[0].decode()
    assert 'forwarder_archive_findings{sink="whole"} 0' in page
    assert 'forwarder_archive_findings{sink="none"}' not in page

    after: dict[str, CheckReport] = {}
    again = Checking(places, after, **kept, every=7200, clock=SystemClock(), stopping=stopping)
    assert after == {name: replace(one, every=7200) for name, one in reports.items()}
    assert again.until_first == FIRST  # not all of it is in order

    kept["targets"]["changed"] = "archive:elsewhere"
    others: dict[str, CheckReport] = {}
    Checking(places, others, **kept, every=3600, clock=SystemClock(), stopping=stopping)
    assert others["changed"] == CheckReport("changed", 3600)


async def test_what_is_in_order_is_checked_again_when_it_is_due(tmp_path: Path) -> None:
    clock = FakeClock()

    def first(good: float) -> float:
        reports = {"whole": CheckReport("whole", 3600, good=good)}
        return Checking(
            {"whole": Place("archive")}, reports, targets={"whole": ""}, folder=tmp_path, every=3600, clock=clock,
            stopping=asyncio.Event(),
        ).until_first  # fmt: skip

    now = clock.time()
    assert [first(good) for good in (0, now - 5000, now - 600, now + 86_400)] == [FIRST, FIRST, 3000, 3600]
