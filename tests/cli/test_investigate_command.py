"""`investigate` and `hunt`: what they print, where they write, and what a script learns from their exit codes."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sys

import pytest
from typer.testing import CliRunner

from forwarder.cli.app import app
from tests.investigate.evidence import Archive
from tests.investigate.lines import event


@pytest.fixture
def few(tmp_path):
    """A file of a few events; two people have one name."""
    lines = [
        event(
            "user_login", ident=f"e{number}", user=user, name=name, email=mail, time=f"2026-03-01T10:0{number}:00.000Z"
        )
        for number, (user, name, mail) in enumerate(
            [("a1", "Ada", "ada@example.com"), ("a2", "Ada", "ada2@example.com"), ("a3", "Bob", "bob@example.com")] * 2
        )
    ]
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    return file


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def asked(few, kind, who, *more):
    return run("investigate", kind, who, "--events", few, "--tz", "UTC", *more)


def test_one_account_is_answered_with_0_and_what_was_asked_of(few):
    result = asked(few, "user", "bob")
    assert result.exit_code == 0, result.output
    assert "Bob" in result.stdout
    assert "2 events of 6 in this time" in result.stdout
    assert "+00:00" in result.stdout
    assert result.stdout.index("LIMITS") < result.stdout.index("FINDINGS") < result.stdout.index("SESSIONS")


def test_a_name_of_several_is_a_list_and_2(few):
    result = asked(few, "user", "ada")
    assert result.exit_code == 2
    assert "a1" in result.stdout
    assert "a2" in result.stdout
    as_json = asked(few, "user", "ada", "--json")
    assert as_json.exit_code == 2
    assert {one["id"] for one in json.loads(as_json.stdout)["subject"]["candidates"]} == {"a1", "a2"}


@pytest.mark.parametrize(
    ("kind", "who"),
    [("user", "nobody"), ("ip", "198.51.100.9"), ("content", "x-1"), ("token", "none"), ("day", "2020-01-01")],
)
def test_nothing_found_is_0_and_says_what_was_searched(few, kind, who):
    result = asked(few, kind, who)
    assert result.exit_code == 0, result.output
    assert "Nothing found: searched for" in result.stdout


def test_nothing_in_this_time_says_when_it_was_seen(few):
    result = asked(few, "user", "bob", "--from", "2026-04-01")
    assert result.exit_code == 0
    assert "Nothing found" in result.stdout
    assert "It was seen Sun 1 Mar 2026" in result.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--from", "yesterday"], "is not a time"),
        (["--from", "2026-03-02", "--to", "2026-03-01"], "--from is not before --to"),
        (["--tz", "Mars/Olympus"], "no such time zone"),
        (["--gap", "soon"], "--gap soon"),
        (["--gap", "0s"], "--gap 0s"),
        (["--around", "e1", "--from", "2026-03-01"], "--around"),
        (["--around", "nothing"], "there is no event of this id"),
        (["--only", "views,secrets"], "no kind of act"),
        (["--depth", "deep"], "brief or full"),
        (["--json", "--csv"], "three faces"),
        (["--archive", "x"], "--events and --archive"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_way_out(few, words, message):
    result = run("investigate", "user", "bob", "--events", few, *words)
    assert result.exit_code == 2, result.output
    assert message in result.output.replace("\n", " ")
    assert "Traceback" not in result.output


def test_a_time_without_an_offset_is_of_the_zone(few):
    def subject(*words):
        return json.loads(run("investigate", "user", "bob", "--events", few, "--json", *words).stdout)

    berlin = subject("--tz", "Europe/Berlin", "--from", "2026-03-01T11:03", "--to", "2026-03-01T11:10")
    with_offset = subject("--tz", "Asia/Tokyo", "--from", "2026-03-01T11:03+01:00", "--to", "2026-03-01T10:10Z")
    utc = subject("--tz", "UTC", "--from", "2026-03-01T11:03", "--to", "2026-03-01T11:10")
    assert berlin["question"]["since"] == with_offset["question"]["since"] == "2026-03-01T10:03:00.000Z"
    assert berlin["totals"] == with_offset["totals"]
    assert berlin["totals"]["subject"] == 1
    assert utc["totals"]["subject"] == 0


def test_around_is_half_an_hour_before_and_after(few):
    result = json.loads(asked(few, "user", "bob", "--around", "e0", "--json").stdout)
    assert result["question"]["since"] == "2026-03-01T09:30:00.000Z"
    assert result["totals"]["subject"] == 2


def test_only_limits_the_timeline_and_says_how_much_it_leaves_out(few):
    result = json.loads(asked(few, "user", "bob", "--only", "views", "--json").stdout)
    assert result["totals"]["subject"] == 2
    assert result["totals"]["left_out"] == 2
    assert result["timeline"] == []


def test_csv_is_one_table(few):
    rows = list(csv.DictReader(io.StringIO(asked(few, "user", "bob", "--csv").stdout, newline="")))
    assert {row["part"] for row in rows} >= {"question", "limits", "sessions", "timeline", "evidence.objects"}


def test_a_page_is_written_for_a_case(few, tmp_path):
    page = tmp_path / "case-17.html"
    page.write_text("an older report, of which nothing is left" * 100_000)
    page.chmod(0o644)
    result = asked(few, "user", "bob", "--html", page, "--case", "17", "--reason", "strange <b>login</b>")
    assert result.exit_code == 0
    assert str(page) in result.stdout
    assert page.stat().st_mode & 0o077 == 0
    text = page.read_text(encoding="utf-8")
    assert "strange &lt;b&gt;login&lt;/b&gt;" in text
    assert "older report" not in text
    assert asked(few, "user", "bob", "--html", tmp_path / "no" / "such.html").exit_code == 2


def test_the_evidence_is_named_by_its_hash(few):
    found = json.loads(asked(few, "user", "bob", "--json").stdout)["evidence"]
    [one] = found["objects"]
    assert one == {"name": "events.ndjson", "sha256": hashlib.sha256(few.read_bytes()).hexdigest()}
    listed = f"{one['sha256']}  {one['name']}\n".encode()
    assert found["sha256"] == hashlib.sha256(listed).hexdigest()


def test_what_was_typed_may_be_no_utf_8(few):
    assert asked(few, "user", "bob\udcff", "--json").exit_code == 0


def test_without_duckdb_the_command_names_what_to_install(few, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    result = asked(few, "user", "bob")
    assert result.exit_code == 2
    assert "pip install 'audit-forwarder[investigate]'" in result.output.replace("\n", " ")


@pytest.fixture
def archive(tmp_path):
    made = Archive(tmp_path / "archive")
    for hour, who in (("2026-03-01T10", "bob"), ("2026-03-02T10", "bob"), ("2026-03-02T11", "ada")):
        made.put(hour, [event(ident=f"{hour}-{who}", user=who, name=who, time=f"{hour}:00:00.000Z")])
        made.digest(hour)
    made.put("2026-03-03T10", [event(ident="fresh", user="bob", name="bob", time="2026-03-03T10:00:00.000Z")])
    return made


def test_an_archive_is_asked_and_each_object_of_the_answer_is_named_with_its_hash(archive):
    result = run("investigate", "user", "bob", "--archive", archive.folder, "--tz", "UTC", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["totals"] == {"window": 4, "subject": 3, "shown": 3, "left_out": 0}
    names = [one["name"] for one in found["evidence"]["objects"]]
    assert len(names) == 3
    assert names == sorted(names)
    for one in found["evidence"]["objects"]:
        assert one["sha256"] == hashlib.sha256(archive.path(one["name"]).read_bytes()).hexdigest()
    [limit] = [limit["text"] for limit in found["limits"] if limit["code"] == "not_proved"]
    assert "2 objects are as the 2 digests of their hours say" in limit
    assert "Not proven: who wrote 2 digests" in limit
    assert "Not proven: anything about 1 objects from 2026-03-03 10:00Z on" in limit


def test_damaged_evidence_is_a_limit_and_4_unless_that_is_allowed(archive):
    name = json.loads(run("investigate", "user", "ada", "--archive", archive.folder, "--json").stdout)["evidence"][
        "objects"
    ][0]
    archive.change(name["name"], b"damaged")
    words = ("investigate", "user", "bob", "--archive", archive.folder, "--tz", "UTC")
    result = run(*words)
    assert result.exit_code == 4, result.output
    assert "damaged" in result.stdout
    assert result.stdout.index("damaged") < result.stdout.index("FINDINGS")
    assert run(*words, "--allow-incomplete").exit_code == 0


def test_a_folder_that_is_no_archive_is_said(tmp_path):
    result = run("investigate", "user", "bob", "--archive", tmp_path / "nothing")
    assert result.exit_code == 2
    assert "no archive" in result.output


def test_hunt_runs_every_rule_and_names_those_without_a_match(tmp_path):
    views = [
        event(
            "confluence_page_viewed",
            ident=f"v{number}",
            user="a1",
            name="Ada",
            time=f"2026-03-01T10:{number // 3:02}:00.000Z",
        )
        for number in range(120)
    ]
    off = event("twosv_disabled_for_user", ident="off", user="a2", name="Bob")
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"".join(line + b"\n" for line in [*views, off]))
    result = run("hunt", "--events", file, "--tz", "UTC", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert {one["name"]: one["matches"] for one in found["matches"]} == {
        "many_spaces_exported": 0,
        "many_views": 1,
        "two_step_off": 1,
    }
    assert sorted(one["value"] for one in found["findings"]) == [1, 120]
    assert found["not_found"] == ["no match of many_spaces_exported"]
    one = json.loads(run("hunt", "--events", file, "--rule", "two_step_off", "--json").stdout)
    assert [each["events"] for each in one["findings"]] == [["off"]]
    unknown = run("hunt", "--events", file, "--rule", "nothing")
    assert unknown.exit_code == 2
    assert "many_views" in unknown.output
    for face in ((), ("--csv",), ("--html", tmp_path / "hunt.html")):
        assert run("hunt", "--events", file, *face).exit_code == 0


def test_a_time_leaves_what_was_before_it_for_comparisons(tmp_path):
    made = Archive(tmp_path / "archive")
    for day in range(1, 20):
        made.put(
            f"2026-03-{day:02}T10", [event(ident=f"d{day}", user="bob", name="bob", time=f"2026-03-{day:02}T10:00:00Z")]
        )
    words = ("investigate", "user", "bob", "--archive", made.folder, "--tz", "UTC", "--from", "2026-03-18", "--json")
    found = json.loads(run(*words).stdout)
    assert found["totals"]["subject"] == 2
    assert found["evidence"]["first"] == "2026-03-01T10:00:00.000Z"
    assert found["evidence"]["events"] == 19
    assert found["first_seen"] == []
    assert any("has 16 days 14 h before it" in limit["text"] for limit in found["limits"])


def test_nothing_found_in_damaged_evidence_says_so(tmp_path):
    file = tmp_path / "bad.ndjson"
    file.write_bytes(b"no event\n" + event(user="a1", name="Ada") + b"\n")
    result = run("investigate", "user", "nobody", "--events", file, "--tz", "UTC")
    assert result.exit_code == 0
    assert "lines of the evidence that are no event" in result.stdout
    assert result.stdout.index("LIMITS") < result.stdout.index("Nothing found")


def test_nobody_in_an_archive_with_a_gap_is_4(tmp_path):
    made = Archive(tmp_path / "archive")
    name = made.put("2026-03-01T10", [event(user="ada", name="ada")])
    made.put("2026-03-01T11", [event(user="bob", name="bob")])
    made.change(name, b"damaged")
    result = run("investigate", "user", "ada", "--archive", made.folder, "--tz", "UTC")
    assert result.exit_code == 4, result.output
    assert "damaged" in result.stdout


def test_events_that_stand_twice_are_said_and_a_file_named_twice_is_one(few, tmp_path):
    more = tmp_path / "more.ndjson"
    more.write_bytes(few.read_bytes())
    twice = asked(few, "user", "bob", "--events", few)
    both = asked(few, "user", "bob", "--events", more)
    assert "2 events of 6" in twice.stdout
    assert "once more" not in twice.stdout
    assert "2 events of 12" in both.stdout
    assert (
        "events that stand there once more: each is counted once; numbers of all accounts count each: 6" in both.stdout
    )
