"""An index of an archive: made of closed days only, whole or not at all, and answers do not depend on it."""

import errno
import fcntl
import json
import os
import random
import shutil
import time

import duckdb
import pytest
from typer.testing import CliRunner

from forwarder.cli.app import app
from forwarder.contracts import Held, Origin
from forwarder.investigate import duck, hours, intact
from forwarder.investigate.building import Builder
from forwarder.investigate.columns import Row
from forwarder.investigate.completing import beginnings
from forwarder.investigate.intact import sha256_of
from forwarder.investigate.loading import load_rows
from forwarder.investigate.opening import open_tables
from forwarder.investigate.parts import FILES, Index
from forwarder.investigate.repeated import Repeated
from tests.investigate.evidence import Archive, at
from tests.investigate.lines import entry, event

NOW = at("2026-03-20T12:00")
ALL = 'select * from events order by "evidence.object", "evidence.line"'
NAMES = 'select * from names order by entity, id, kind, "value", feed'
PROBLEMS = 'select * from problems order by "evidence.object", "evidence.line"'


@pytest.fixture
def archive(tmp_path):
    """Give an archive with two months, two sources and lines that are no events."""
    made, dice = Archive(tmp_path / "archive"), random.Random(4)
    for day in ("2026-01-30", "2026-01-31", "2026-02-01", "2026-02-27", "2026-03-01", "2026-03-19", "2026-03-20"):
        for hour in ("00", "23") if day == "2026-01-31" else ("03",):
            lines = [
                event(
                    dice.choice(("page_viewed", "user_login", "something_odd")),
                    ident=f"{dice.getrandbits(128):032x}" if number % 5 else str(dice.getrandbits(60)),
                    time=f"{day}T{hour}:{number:02}:00Z",
                    user=f"712020:{dice.randrange(9)}",
                    name=dice.choice(("Zoë Łuk", "Ada", "x" * 3000)),
                    context=[entry("groups", f"g{dice.randrange(3)}", name="staff") for _ in range(dice.randrange(3))],
                )
                for number in range(40)
            ]
            made.put(f"{day}T{hour}", [*lines, b"no event", b'{"id":"e","attributes":{"action":"\\ud800"}}'])
            jira = [
                json.dumps(
                    {
                        "id": dice.randrange(10**6),
                        "summary": "User created",
                        "created": f"{day}T01:00:00.000+0000",
                        "authorAccountId": "712020:1",
                    }
                ).encode()
            ]
            made.put(f"{day}T{hour}", jira, Origin("jira & co/..", "jira", "", "site"))
    return made


def update(archive, now=NOW, **more):
    with archive.reader() as reader:
        return Builder(reader, archive.index, **more).update(now)


def answers(archive, *, index=True):
    with archive.reader() as reader, open_tables(reader, archive.index if index else None) as tables:
        return [tables.ask(statement).rows for statement in (ALL, NAMES, PROBLEMS)]


@pytest.mark.parametrize("at_once", [True, False])
def test_answers_are_the_same_with_and_without_an_index(archive, monkeypatch, at_once):
    if not at_once:
        monkeypatch.setattr("forwarder.investigate.building.MONTH", 0)
        monkeypatch.setattr("forwarder.investigate.building.FEW", 0)
    without = answers(archive, index=False)
    built = update(archive)
    joined = [] if at_once else [f"day=2026-{day}" for day in ("01-30", "01-31", "02-01", "02-27")]
    assert sorted(built.made) == [*joined, "day=2026-03-01", "day=2026-03-19", "month=2026-01", "month=2026-02"]
    assert not built.failed
    assert len(without[0]) == 8 * (40 + 1 + 1)
    assert len(without[2]) == 8
    assert sorted(archive.index.parts()) == ["day=2026-03-01", "day=2026-03-19", "month=2026-01", "month=2026-02"]
    assert answers(archive) == without
    for path in archive.index.files(archive.index.parts(), "acts.parquet"):
        rows = duckdb.sql(
            f"select who, \"@timestamp\" from read_parquet('{path}', file_row_number=true) order by file_row_number"
        )
        assert rows.fetchall() == rows.order('who, "@timestamp"').fetchall() != []


def test_an_index_that_is_deleted_and_built_again_gives_the_same(archive):
    update(archive)
    before = answers(archive)
    shutil.rmtree(archive.index.folder)
    update(archive)
    assert answers(archive) == before
    assert not update(archive).made


def test_the_rest_is_read_from_the_evidence(archive):
    update(archive, at("2026-02-01T12:00"))
    assert sorted(archive.index.parts()) == ["month=2026-01"]
    with archive.reader() as reader, open_tables(reader, archive.index) as tables:
        assert tables.made_of.parts == ("month=2026-01",)
        assert [str(day) for day in tables.made_of.days] == [
            "2026-02-01",
            "2026-02-27",
            "2026-03-01",
            "2026-03-19",
            "2026-03-20",
        ]
    assert answers(archive) == answers(archive, index=False)


def test_a_day_is_not_indexed_before_it_is_closed(archive):
    built = update(archive, at("2026-03-20T00:59"))
    assert "day=2026-03-19" not in built.made
    assert "day=2026-03-19" in update(archive, at("2026-03-20T01:00")).made


def test_a_month_is_not_joined_before_its_last_day_is_closed(archive):
    assert "month=2026-02" not in update(archive, at("2026-03-01T00:30")).made
    assert "month=2026-02" in update(archive, at("2026-03-01T01:00")).made


def test_evidence_that_no_longer_fits_is_indexed_anew(archive):
    update(archive)
    archive.put("2026-01-31T23", [event(ident="belated", time="2026-01-31T23:59:59Z")])
    built = update(archive)
    assert built.removed == ["month=2026-01"]
    assert list(built.made) == ["month=2026-01"]
    assert answers(archive) == answers(archive, index=False)


def test_what_was_deleted_of_the_evidence_is_in_no_answer(archive):
    update(archive)
    shutil.rmtree(archive.folder / "evidence/v1/source=acme/day=2026-01-30")
    shutil.rmtree(archive.folder / "evidence/v1/source=acme/day=2026-01-31")
    assert answers(archive) == answers(archive, index=False)  # before the index knows
    update(archive)
    assert answers(archive) == answers(archive, index=False)


def test_a_new_version_makes_all_of_it_anew(archive, monkeypatch):
    update(archive)
    monkeypatch.setattr("forwarder.investigate.parts.__version__", "9.9.9")
    assert set(update(archive).removed) == {"day=2026-03-01", "day=2026-03-19", "month=2026-01", "month=2026-02"}
    monkeypatch.setattr("forwarder.investigate.parts.VERSION", 99)
    assert not archive.index.parts()
    assert len(update(archive).removed) == 4


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone", "empty", "other"])
def test_damaged_evidence_fails_its_day_by_name_and_questions_say_so(archive, damage):
    name = archive.put("2026-03-02T05", [event(ident=f"d{number}") for number in range(50)])
    archive.digest("2026-03-02T05")
    data = archive.path(name).read_bytes()
    other = archive.put("2026-03-02T05", [event(ident="foreign")])
    if damage == "gone":
        archive.path(name).unlink()
    elif damage == "other":
        archive.change(name, archive.path(other).read_bytes())
    else:
        half = len(data) // 2
        changed = {
            "flipped": data[:half] + bytes([data[half] ^ 1]) + data[half + 1 :],
            "cut": data[:half],
            "empty": b"",
        }
        archive.change(name, changed[damage])
    archive.path(other).unlink()
    built = update(archive)
    assert list(built.failed) == ["day=2026-03-02"]
    assert name in built.failed["day=2026-03-02"]
    assert "day=2026-03-01" in built.made
    if damage != "gone":
        with archive.reader() as reader, open_tables(reader, archive.index) as tables:
            [(problem, day)] = tables.ask(
                """select problem, strftime("@timestamp", '%Y-%m-%d') from problems where "evidence.object" = ? and "evidence.line" = 0""",
                [name],
            ).rows
            assert ("another object" if damage == "other" else "damaged") in problem
            assert day == "2026-03-02"


def test_a_month_with_a_day_that_failed_is_not_joined(archive):
    archive.change(archive.put("2026-02-10T05", [event()]), b"damaged")
    built = update(archive)
    assert list(built.failed) == ["day=2026-02-10"]
    assert "month=2026-02" not in built.made
    assert answers(archive)[0] == answers(archive, index=False)[0]


def test_a_damaged_index_is_no_index(archive):
    update(archive)
    (archive.index.folder / "month=2026-01" / "part.json").write_bytes(b"{")
    (archive.index.folder / "month=2026-02" / "views.parquet").unlink()
    assert answers(archive) == answers(archive, index=False)
    assert set(update(archive).removed) == {"month=2026-01", "month=2026-02"}
    assert answers(archive) == answers(archive, index=False)


DAMAGES = {
    "emptied": lambda data, _: b"",
    "cut": lambda data, dice: data[: dice.randrange(len(data))],
    "longer": lambda data, _: data + b"\0",
    "another byte": lambda data, dice: _changed(data, dice.randrange(len(data)), 1),
    "eight other bytes": lambda data, dice: _changed(data, dice.randrange(len(data) - 8), 8),
    "away": lambda data, _: None,
}


def _changed(data, at_, count):
    return data[:at_] + bytes(byte ^ 0x55 for byte in data[at_ : at_ + count]) + data[at_ + count :]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_part_with_a_damaged_file_is_not_asked_but_its_evidence_and_is_made_anew(archive, damage):
    """Also where DuckDB would answer, and where size and time of the file are those of before."""
    update(archive)
    dice, whole = random.Random(damage), answers(archive, index=False)
    for file in FILES:
        [name] = dice.sample(sorted(archive.index.parts()), 1)
        path = archive.index.folder / name / file
        said, data = path.stat(), path.read_bytes()
        changed = DAMAGES[damage](data, dice)
        if changed is None:
            path.unlink()
        else:
            path.write_bytes(changed)
            os.utime(path, ns=(said.st_atime_ns, said.st_mtime_ns))
        with archive.reader() as reader, open_tables(reader, archive.index) as tables:
            assert tables.made_of.damaged == (name,)
            assert name not in tables.made_of.parts
            assert [tables.ask(statement).rows for statement in (ALL, NAMES, PROBLEMS)] == whole
        built = update(archive)
        assert (built.damaged, built.removed) == ([name], [name])
        assert archive.index.damaged(archive.index.parts()) == []
        assert answers(archive) == whole


def test_an_answer_and_the_command_say_that_a_part_is_damaged(archive):
    update(archive)
    path = archive.index.folder / "month=2026-01" / "acts.parquet"
    path.write_bytes(_changed(path.read_bytes(), 100, 8))
    ask = ["investigate", "user", "712020:1", "--archive", str(archive.folder), "--tz", "UTC"]
    said = CliRunner().invoke(app, ask).stdout
    assert "parts of the index that are damaged" in said
    build = ["investigate", "index", "--archive", str(archive.folder)]
    with archive.index.reading():
        said = CliRunner().invoke(app, build).stdout
    assert "removed" not in said
    assert "month=2026-01: It is out of date or damaged, and a question reads it" in said
    assert "1 that were damaged removed" in CliRunner().invoke(app, build).stdout
    assert "parts of the index that are damaged" not in CliRunner().invoke(app, ask).stdout


def test_files_are_compared_again_only_where_something_wrote_to_them_or_after_a_day(archive, monkeypatch):
    update(archive)
    folder, parts = archive.index.folder, {name: part.sha256 for name, part in archive.index.parts().items()}
    now = time.time() + 3600
    monkeypatch.setattr(intact.time, "time", lambda: now)
    assert intact.damaged(folder, parts) == []
    compared = []
    monkeypatch.setattr(intact, "sha256_of", lambda path: compared.append(path) or sha256_of(path))
    assert (intact.damaged(folder, parts), compared) == ([], [])
    file = folder / "month=2026-01" / "names.parquet"
    file.write_bytes(file.read_bytes())
    assert (intact.damaged(folder, parts), compared) == ([], [file])
    now += intact.AGAIN
    assert intact.damaged(folder, parts, older_than=intact.AGAIN) == []
    assert len(compared) == 1 + len(FILES) * len(parts)
    (folder / intact.CHECKED).write_bytes(b"{")
    assert intact.damaged(folder, parts) == []
    assert len(compared) == 1 + 2 * len(FILES) * len(parts)


@pytest.mark.parametrize("kept", [b"", b"PAR1", None], ids=["emptied", "cut", "overwritten"])
def test_a_file_of_an_index_that_is_damaged_under_a_question_is_named_with_what_to_do(archive, monkeypatch, kept):
    update(archive)
    for file in archive.index.folder.glob("*=*/acts.parquet"):
        data = file.read_bytes()
        file.write_bytes(b"\xff" * (len(data) - 100) + data[-100:] if kept is None else kept)
    with monkeypatch.context() as patched:
        patched.setattr(Index, "damaged", lambda *_: [])
        done = CliRunner().invoke(app, ["investigate", "user", "712020:1", "--archive", str(archive.folder)])
    assert done.exit_code == 4
    assert "the index cannot be read" in done.stderr
    assert "index/v1" in done.stderr
    assert beginnings(archive.index.folder, ("person",), "712020:1") == ["712020:1"]
    for file in archive.index.folder.glob("*=*/names.parquet"):
        file.write_bytes(b"")
    assert beginnings(archive.index.folder, ("person",), "712020:1") == []


def test_a_life_that_ends_between_month_and_days_leaves_no_event_twice(archive):
    update(archive, at("2026-02-01T00:30"))
    days = [archive.index.folder / name for name in archive.index.parts()]
    kept = [shutil.copytree(day, day.parent / f"kept-{day.name}") for day in days]
    update(archive, at("2026-02-01T12:00"))
    for copy, day in zip(kept, days, strict=True):
        if not day.exists():
            copy.rename(day)
    assert answers(archive) == answers(archive, index=False)


def test_two_builders_do_not_write_at_once(archive):
    with archive.index.writing(), pytest.raises(Held, match="another process"):
        update(archive)


def test_no_part_is_removed_under_a_question(archive):
    update(archive)
    archive.put("2026-01-31T23", [event(ident="belated")])
    with archive.reader() as reader, open_tables(reader, archive.index) as tables:
        built = update(archive)
        assert built.removed == []
        assert "month=2026-01" in built.failed
        tables.ask(ALL)
    assert update(archive).removed == ["month=2026-01"]


def test_the_lock_ends_with_the_tables(archive):
    update(archive)
    with archive.reader() as reader, open_tables(reader, archive.index):
        pass
    with (archive.index.folder / "readers").open("rb") as readers:
        fcntl.flock(readers, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_revisions_and_events_without_an_id_keep_their_document_id(archive):
    body = b'{"attributes":{"action":"page_viewed","time":"2026-03-05T10:00:00Z"}}'
    twin = "ab" * 16
    archive.put("2026-03-05T10", [body, event(ident="known")], ids={0: twin, 1: f"{'cd' * 16}-{'ef' * 8}"})
    update(archive)
    with archive.reader() as reader, open_tables(reader, archive.index) as tables:
        rows = tables.ask(
            """select "event.id", "atlassian.audit.marks" from events where "evidence.object" like '%day=2026-03-05%' order by "evidence.line" """
        ).rows
    assert rows[0][0] == twin
    assert "derived_id" in rows[0][1]
    assert rows[1] == ("known", ["revision"])


def test_only_evidence_that_may_hold_a_time_is_read(archive):
    with archive.reader() as reader, open_tables(reader, since=at("2026-03-01T00:00")) as tables:
        assert [str(day) for day in tables.made_of.days] == ["2026-03-01", "2026-03-19", "2026-03-20"]


def test_too_little_memory_fails_a_part_by_name(archive):
    lines = [event(ident=f"{number:064x}", name=f"{number:0999}") for number in range(60_000)]
    archive.put("2026-02-05T05", lines)
    built = update(archive, memory="40MB")
    assert "day=2026-02-01" in built.made
    assert "DuckDB cannot make it" in built.failed["day=2026-02-05"]
    assert "day=2026-03-19" in built.made


def test_a_disk_that_is_full_fails_a_part_by_name(archive, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Index, "publish", full)
    built = update(archive)
    assert not built.made
    assert all("No space left on device; make room" in why for why in built.failed.values())
    with duck.connect(tmp_path) as connection, pytest.raises(Held, match="cannot be written") as caught:
        load_rows(connection, [Row("ada")], Repeated(), tmp_path / "no folder")
    assert "TMPDIR" in caught.value.fix


def test_an_empty_archive_has_empty_tables(tmp_path):
    empty = Archive(tmp_path / "nothing")
    assert update(empty).rows == 0
    assert answers(empty) == [[], [], []]


@pytest.mark.parametrize("before", [7, 0], ids=["parts overlap", "one after the other"])
def test_the_busiest_hour_is_whole_though_several_parts_and_addresses_have_something_of_it(tmp_path, before):
    made = Archive(tmp_path / "archive")
    stored = ("2026-01-31T23", "2026-02-01T00", "2026-02-02T00", "2026-03-20T00")
    for count, hour in enumerate(stored, 1):
        made.put(
            hour,
            [
                event(ident=f"{hour}{number}", time=f"2026-01-{day}T22:{count}{number}:00Z", ip=f"192.0.2.{number % 2}")
                for day, events in ((31, count), (30, before if count == 2 else 0))
                for number in range(events)
            ],
        )
    update(made)
    assert sorted(made.index.parts()) == ["month=2026-01", "month=2026-02"]
    for index in (made.index, None):
        with made.reader() as reader, open_tables(reader, index) as tables:
            for within in (hours.ALL, hours.WHOLE.replace("$begins", "'2026-01-01'").replace("$ends", "'2027-01-01'")):
                tables.ask(within)
                tables.ask(hours.CUT if within is not hours.ALL else "select 1")
                tables.ask(hours.SHARED)
                assert tables.ask("select views, deletions from busiest").rows == [(10, 0)]
