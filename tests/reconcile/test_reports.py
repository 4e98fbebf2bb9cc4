"""Daily reports: written when their day is due, in a chain that shows every change, and that can be recomputed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from forwarder.reconcile.chain import check
from forwarder.reconcile.passes import Passes
from forwarder.reconcile.reports import MOST_AT_ONCE, ReportFolder, files_of
from forwarder.reconcile.verdict import Judgement, Verdict
from forwarder.reconcile.words import JUDGEMENTS, worst_of
from tests.reconcile.test_verdict import DAY, HOUR, NEXT, NOON, books, gap, verdict_on

BEGIN, END = NOON - 12 * HOUR, NOON + 12 * HOUR
TODAY = "2026-11-16"


def verdict(reached: int = END, at: int = END + 48 * HOUR, **counts: int) -> Verdict:
    found = verdict_on(books(**{"accepted": 5, **counts}), passes={"acme": Passes(BEGIN, [reached, BEGIN])})
    return msgspec.structs.replace(found, made_ms=at)


def report(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / name).read_bytes())
    return found


def test_a_report_is_written_once_the_first_pass_over_its_day_is_through(tmp_path: Path) -> None:
    reports = ReportFolder(tmp_path / "reports")
    assert reports.update(verdict(reached=END - 1), TODAY) == []
    assert reports.update(verdict(), DAY) == []
    [name] = reports.update(verdict(), TODAY)
    assert name == f"report-000001-{DAY}.json"
    found = report(tmp_path / "reports", name)
    assert (found["day"], found["version"], found["previous"], found["replaces"]) == (DAY, 1, None, None)
    assert found["sums"]["expected"] == found["sums"]["delivered"] == 5
    text = (tmp_path / "reports" / name.replace(".json", ".txt")).read_text()
    for word in (
        "expected 5",
        "delivered 5",
        "read again by pass: 1",
        "  waiting: in the spool",
        "  recovered: of the",
    ):
        assert word in text
    assert reports.update(verdict(), TODAY) == []


def test_a_report_keeps_the_newest_digests_of_archives_and_is_not_made_again_for_them(tmp_path: Path) -> None:
    reports = ReportFolder(tmp_path)
    [name] = reports.update(verdict(), TODAY, {"archive": "ab" * 32})
    assert report(tmp_path, name)["archive_heads"] == {"archive": "ab" * 32}
    text = (tmp_path / name.replace(".json", ".txt")).read_text()
    assert f"The newest digest of the archive archive at that moment: SHA-256 {'ab' * 32}" in text
    assert reports.update(verdict(at=END + 60 * HOUR), TODAY, {"archive": "cd" * 32}) == []
    [second] = reports.update(verdict(accepted=6, at=END + 60 * HOUR), TODAY, {"archive": "cd" * 32})
    assert report(tmp_path, second)["archive_heads"] == {"archive": "cd" * 32}
    assert not check(tmp_path).problems


def test_the_text_shows_another_zone_beside(tmp_path: Path) -> None:
    [name] = ReportFolder(tmp_path, zone="Asia/Tokyo").update(verdict(), TODAY)
    text = (tmp_path / name.replace(".json", ".txt")).read_text()
    assert "The day is one of UTC, from 00:00 (09:00 +09:00) on, 24 hours." in text
    assert re.search(r"Made at 2026-\S+Z \([^)]*\+09:00\) by audit-forwarder", text)
    assert "+09:00" not in (tmp_path / name).read_text()
    assert not check(tmp_path).problems


def test_a_later_pass_or_look_makes_a_new_version_that_names_the_old(tmp_path: Path) -> None:
    reports = ReportFolder(tmp_path)
    [first] = reports.update(verdict(), TODAY)
    assert reports.update(verdict(accepted=6, at=END + 48 * HOUR + 1), TODAY) == []  # so soon after
    [second] = reports.update(verdict(accepted=6, at=END + 50 * HOUR), TODAY)
    found = report(tmp_path, second)
    assert (found["version"], found["replaces"], found["previous"]["file"]) == (2, first, first)
    assert found["previous"]["sha256"] == hashlib.sha256((tmp_path / first).read_bytes()).hexdigest()


def test_a_new_life_goes_on_with_the_chain_and_writes_nothing_twice(tmp_path: Path) -> None:
    ReportFolder(tmp_path).update(verdict(), TODAY)
    again = ReportFolder(tmp_path)
    assert again.update(verdict(at=END + 90 * HOUR), TODAY) == []
    [name] = again.update(verdict(accepted=7, at=END + 91 * HOUR), TODAY)
    assert name.startswith("report-000002-")
    assert check(tmp_path).problems == []


def test_a_day_that_is_not_read_again_is_reported_when_nothing_waits_any_more(tmp_path: Path) -> None:
    reports = ReportFolder(tmp_path)

    def plain(at: int, **counts: int) -> Verdict:
        return msgspec.structs.replace(verdict_on(books(accepted=5, **counts), passes={}), made_ms=at)

    assert reports.update(plain(END + HOUR), NEXT) == []
    assert reports.update(plain(END + 3 * HOUR, waiting=1), NEXT) == []
    assert len(reports.update(plain(END + 3 * HOUR), NEXT)) == 1


def of_two(at: int, *, of_other: Passes) -> Verdict:
    passes = {"acme": Passes(BEGIN, [END, BEGIN]), "other": of_other}
    found = verdict_on(books(accepted=5), books(source="other", accepted=5), passes=passes)
    return msgspec.structs.replace(found, made_ms=at)


@pytest.mark.parametrize("last", [7 * 24 * HOUR, 2 * HOUR, 30 * 24 * HOUR])
def test_a_source_that_is_not_read_again_in_time_holds_up_no_report_for_ever(last: int, tmp_path: Path) -> None:
    reports = ReportFolder(tmp_path)
    overdue = END + last + 24 * HOUR
    stuck = Passes(BEGIN, [BEGIN], last)
    assert reports.update(of_two(overdue - 1, of_other=stuck), TODAY) == []
    [first] = reports.update(of_two(overdue, of_other=stuck), TODAY)
    found = report(tmp_path, first)
    assert [line["judgement"] for line in found["lines"]] == ["complete", "not compared"]
    assert "not compared" in (tmp_path / first.replace(".json", ".txt")).read_text()
    [second] = reports.update(of_two(overdue + 1, of_other=Passes(BEGIN, [END], last)), TODAY)
    assert (report(tmp_path, second)["replaces"], check(tmp_path).problems) == (first, [])


def test_what_is_not_read_again_any_more_is_not_waited_for_and_its_older_reports_stay(tmp_path: Path) -> None:
    reports = ReportFolder(tmp_path)
    ended = Passes(BEGIN - 24 * HOUR, [END], None)
    [name] = reports.update(of_two(END + 48 * HOUR, of_other=Passes(BEGIN - 24 * HOUR, [END])), NEXT)
    assert reports.update(of_two(END + 96 * HOUR, of_other=ended), NEXT) == [], f"{name} says it still"
    later = verdict_on(books(NEXT, accepted=5), books(NEXT, source="other", accepted=5), passes={"other": ended})
    assert len(reports.update(msgspec.structs.replace(later, made_ms=END + 30 * HOUR), TODAY)) == 1


def test_what_waits_for_days_is_in_the_report_as_waiting(tmp_path: Path) -> None:
    reports = ReportFolder(tmp_path)
    waits = msgspec.structs.replace(verdict_on(books(accepted=5, waiting=1)), made_ms=END + 26 * HOUR)
    [name] = reports.update(waits, TODAY)
    assert report(tmp_path, name)["sums"]["waiting"] == 1


@pytest.mark.parametrize("lines", [[1, None, "x", []], {}, "x", [{"passes": 3}]])
def test_a_report_whose_lines_are_damaged_is_written_anew(lines: Any, tmp_path: Path) -> None:
    [first] = ReportFolder(tmp_path).update(verdict(), TODAY)
    (tmp_path / first).write_text(json.dumps({**report(tmp_path, first), "lines": lines}))
    [second] = ReportFolder(tmp_path).update(verdict(), TODAY)
    assert report(tmp_path, second)["replaces"] == first


def test_gaps_stand_in_the_report_of_their_day_only(tmp_path: Path) -> None:
    both = verdict_on(
        books(accepted=5),
        books(NEXT, accepted=5),
        gaps=(gap(7, since_ms=NOON, until_ms=NOON, source="acme", sink="out"),),
    )
    names = ReportFolder(tmp_path).update(msgspec.structs.replace(both, made_ms=END + 72 * HOUR), "2026-11-17")
    assert [[each["number"] for each in report(tmp_path, name)["gaps"]] for name in names] == [[7], []]
    assert [report(tmp_path, name)["complete"] for name in names] == [False, True]


class Counted(list[Any]):
    """Lines that count how often all of them are gone over."""

    times = 0

    def __iter__(self) -> Any:
        self.times += 1
        return super().__iter__()


def test_the_lines_are_gone_over_once_for_all_days(tmp_path: Path) -> None:
    found = verdict_on(*(books(f"2026-10-{day:02}", accepted=5) for day in range(1, 20)))
    lines = Counted(found.lines)
    names = ReportFolder(tmp_path).update(msgspec.structs.replace(found, lines=lines, made_ms=END), TODAY)
    assert (len(names), lines.times) == (19, 1)


def three(folder: Path) -> list[str]:
    reports = ReportFolder(folder)
    for number in range(3):
        reports.update(verdict(accepted=5 + number, at=END + (48 + 2 * number) * HOUR), TODAY)
    return [name for _, name, _ in files_of(folder)]


def swap(path: Path, one: str, other: str) -> None:
    assert one in path.read_text()
    path.write_text(path.read_text().replace(one, other, 1))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f, n: swap(f / n[0], '"delivered": 5', '"delivered": 6'), "was changed since"),
        (lambda f, n: swap(f / n[2], '"delivered": 7', '"delivered": 8'), "do not sum up"),
        (lambda f, n: swap(f / n[2].replace(".json", ".txt"), "delivered 7", "delivered 8"), "its text was changed"),
        (lambda f, n: (f / n[1].replace(".json", ".txt")).unlink(), "its text is absent"),
        (lambda f, n: (f / n[1]).unlink(), "before it are absent"),
        (lambda f, n: (f / n[1]).write_text("{"), "is not a report any more"),
        (lambda f, n: (f / n[2]).rename(f / n[2].replace("000003", "000004")), "calls itself report 3"),
    ],
    ids=["number", "last_number", "text", "no_text", "absent", "torn", "renamed"],
)
def test_every_change_of_a_kept_report_shows(
    change: Callable[[Path, list[str]], Any], says: str, tmp_path: Path
) -> None:
    names = three(tmp_path)
    assert check(tmp_path).problems == []
    change(tmp_path, names)
    assert any(says in problem for problem in check(tmp_path).problems)


def test_reports_that_were_moved_away_from_the_beginning_are_not_missed(tmp_path: Path) -> None:
    first = three(tmp_path)[0]
    (tmp_path / first).unlink()
    checked = check(tmp_path)
    assert (checked.reports, checked.problems) == (2, [])
    assert check(tmp_path / "none").reports == 0


def test_a_report_says_of_which_log_it_is_and_what_its_words_mean(tmp_path: Path) -> None:
    books_of_two = (books(accepted=5), books(sink="other", accepted=4, waiting=1))
    found = verdict_on(*books_of_two, passes={"acme": Passes(BEGIN, [END, BEGIN])})
    made = msgspec.structs.replace(found, made_ms=END + 48 * HOUR)
    [name] = ReportFolder(tmp_path, {"acme": "organization:org-1"}).update(made, TODAY)
    kept = report(tmp_path, name)
    assert (kept["judgement"], kept["sources"]) == ("waiting", {"acme": "organization:org-1"})
    assert kept["made_by"].startswith("audit-forwarder ")
    text = (tmp_path / name.replace(".json", ".txt")).read_text()
    for words in (
        "The source acme is: organization:org-1",
        "The day as a whole: waiting, the worst of what follows",
        "Over 2 sinks, so an event that is for all of them counts 2 times:",
        "  waiting: nothing is missing, and something is still on its way to the sink",
        "  complete: ",
    ):
        assert words in text
    assert "  gap: " not in text, "only what is in it is explained"
    (tmp_path / name).write_text(json.dumps({**kept, "judgement": "complete"}))
    assert f"{name}: is judged complete against its own lines" in check(tmp_path).problems


def test_every_judgement_is_explained_and_the_worst_comes_first() -> None:
    assert tuple(JUDGEMENTS) == get_args(Judgement)
    assert worst_of(["complete", "waiting", "not compared"]) == "waiting"
    assert worst_of([]) is None


def test_years_of_days_are_reported_by_and_by(tmp_path: Path) -> None:
    days = [(date(2024, 1, 1) + timedelta(days=n)).isoformat() for n in range(MOST_AT_ONCE + 3)]
    found = verdict_on(*(books(day, accepted=1) for day in days), passes={})
    reports = ReportFolder(tmp_path)
    written = [reports.update(found, TODAY) for _ in range(3)]
    assert [len(names) for names in written] == [MOST_AT_ONCE, 3, 0]
    assert [day for _, _, day in files_of(tmp_path)] == days
