"""Tables made of lines as they stand: every line is one row, and answers are what the lines say."""

import bz2
import gzip
import json
import lzma
import subprocess
import sys
from pathlib import Path

import duckdb
import msgspec
import pytest

from forwarder.contracts import ConfigError, Held
from forwarder.formats.ecs.format import EcsFormat
from forwarder.investigate.columns import COLUMNS, LONGEST
from forwarder.investigate.without_index import tables_of_files
from forwarder.records.heartbeats import Heartbeat
from tests.events import ORIGIN, golden_bodies, meaning_of, record_of
from tests.investigate.asked import ask
from tests.investigate.lines import entry, event

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def tables(folder: Path, *lines: bytes, name: str = "events.ndjson"):
    file = folder / name
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    return tables_of_files([file])


def rows_of(found, what='"evidence.line", problem', table="held"):
    return found.ask(f'select {what} from {table} order by "evidence.line"').rows


def test_every_line_is_one_row_whatever_stands_in_it(tmp_path):
    hostile = [
        event(ident="first"),
        b"[1]",
        b"nothing of the kind",
        b"{}",
        b'{"attributes": 7}',
        b"\xff\xfe\x00",
        b'{"attributes":{"action":"\\ud800","time":"2026-03-01T10:00:00Z"},"id":"half"}',
        b"[" * 100_000,
        b'{"attributes":{"a":' + b"[" * 50_000,
        b'{"attributes":{"action":"x","time":"99999-01-01T00:00:00Z"},"id":"far"}',
        event(ident="nul", name="a\x00b"),
        event(ident="huge", name="x" * 3_000_000),
        b'{"id":"big","attributes":{"action":"' + b"x" * 9_000_000 + b'"}}',
        b'{"id":"many","attributes":{"context":[' + b"1," * 500_000 + b"1]}}",
        event(ident="sql", name="'); drop table held; --"),
        event(ident="last"),
    ]
    with tables(tmp_path, *hostile) as found:
        rows = rows_of(found)
        assert [number for number, _ in rows] == list(range(1, len(hostile) + 1))
        read = {ident for (ident,) in found.ask('select "event.id" from events').rows}
        assert read >= {"first", "half", "far", "nul", "huge", "sql", "last"}
        assert {number for number, problem in rows if problem} == {2, 3, 4, 5, 6, 8, 9, 13, 14}
        assert found.ask("select count(*) from problems").rows == [(9,)]


def test_a_long_text_is_cut_and_the_row_says_so(tmp_path):
    with tables(tmp_path, event(name="é" * 50_000), event(ident="e2")) as found:
        rows = found.ask(
            'select length("user.full_name"), "atlassian.audit.marks" from events order by "event.id"'
        ).rows
        assert rows[0][0] == LONGEST
        assert "cut" in rows[0][1]
        assert rows[1][1] is None


def test_what_ecs_says_is_what_the_event_says(tmp_path):
    bodies = [body for body in golden_bodies().values() if not isinstance(meaning_of(body), str)]
    pairs = [(body, ecs_line(body)) for body in bodies]
    pairs = [(body, line) for body, line in pairs if line is not None]
    assert len(pairs) > 50
    names = [
        column.name
        for column in COLUMNS
        if column.name not in {"organization.id", "processed_after", "evidence.object"}
    ]
    asked = ", ".join(f'"{name}"' for name in names)
    lines = [record_of(body).raw.replace(b"\n", b" ") for body, _ in pairs]
    with tables(tmp_path, *lines) as raw, tables(tmp_path, *[line for _, line in pairs], name="ecs.ndjson") as ecs:
        for one, other in zip(rows_of(raw, asked), rows_of(ecs, asked), strict=True):
            differing = {
                name: pair
                for name, *pair in zip(names, one, other, strict=True)
                if pair[0] != pair[1]
                and name not in {"event.id", "@timestamp", "event.action", "atlassian.audit.marks"}
            }
            assert not differing, one[-1]


def ecs_line(body: bytes, *, original: bool = False):
    record = record_of(body)
    found = meaning_of(body)
    if not hasattr(found, "action"):
        return None
    record.event = found
    [line] = EcsFormat(original=original).render([record])
    return line


def test_ecs_with_the_original_is_understood_anew(tmp_path):
    line = ecs_line(
        event(context=[entry("groups", "g1", name="one"), entry("groups", "g2", name="two")]), original=True
    )
    spoiled = line.replace(b'"ada@example.com"', b'"eve@example.com"', 1)
    with tables(tmp_path, spoiled) as found:
        assert found.ask('select "user.email", "organization.id" from events').rows == [
            ("ada@example.com", ORIGIN.organization)
        ]


def test_everything_an_event_names_is_touched(tmp_path):
    five = [entry("users", f"712020:{number}", name=f"Person {number}") for number in range(5)]
    with tables(tmp_path, event("user_added_to_group", context=[*five, entry("groups", "g1", name="admins")])) as found:
        touched = found.ask("select list_transform(touched, lambda one: one.id) from events").rows[0][0]
        assert {one["id"] for one in five} | {"g1"} == set(touched)
        rows = found.ask('select touched_kind, touched, touched_name, "event.id" from touches order by touched').rows
        assert rows == [
            *(("user", one["id"], one["attributes"]["name"], "e1") for one in five),
            ("group", "g1", "admins", "e1"),
        ]
        names = found.ask("select account from people where value like 'Person%' order by account").rows
        assert names == [(one["id"],) for one in five]


def test_for_whom_and_as_whom_stand_apart(tmp_path):
    behalf = event(ident="behalf", onBehalfOf={"id": "712020:boss", "name": "Boss"})
    victim = entry("users", "712020:victim", name="Victim")
    as_other = event("user_logged_in_as_user", ident="as", context=[victim])
    lines = [line.replace(b"\n", b"") for line in (behalf, as_other)]
    asked = 'select "event.id", act, on_behalf_of, impersonated from events order by "event.id"'
    wanted = [("as", "user.impersonate", None, "712020:victim"), ("behalf", "page.view", "712020:boss", None)]
    with tables(tmp_path, *lines) as found, tables(tmp_path, *map(ecs_line, lines), name="ecs") as of_ecs:
        assert [row[:1] + row[2:] for row in found.ask(asked).rows] == [row[:1] + row[2:] for row in wanted]
        assert found.ask(asked).rows == of_ecs.ask(asked).rows


def test_an_event_without_a_time_is_in_the_answer_which_says_so(tmp_path):
    lines = [event(ident="1"), event(ident="2", time="99999-01-01T00:00:00.000Z")]
    with tables(tmp_path, *lines) as found:
        result = ask(found, "user", "712020:ada")
    assert result.totals.subject == 2
    assert "no_time" in {one.code for one in result.limits}


def test_an_unknown_action_still_has_an_act(tmp_path):
    with tables(tmp_path, event("frobnicated_the_gadget_flux")) as found:
        [(code, act)] = found.ask('select "event.code", act from events').rows
        assert (code, act) == (None, "frobnicated_the_gadget_flux")


def test_names_are_kept_with_first_and_last_sight(tmp_path):
    lines = [
        event(ident="1", time="2026-03-01T10:00:00Z", name="Ada Glenmoor"),
        event(ident="2", time="2026-03-02T10:00:00Z", name="Ada Smith", email="ADA@example.com"),
        event(ident="3", time="2026-03-03T10:00:00Z", name="Ada Glenmoor"),
    ]
    with tables(tmp_path, *lines) as found:
        rows = found.ask(
            "select kind, value, folded, strftime(\"first\", '%d'), strftime(\"last\", '%d'), events from people order by kind, value"
        ).rows
        assert rows == [
            ("email", "ada@example.com", "ada@example.com", "01", "03", 3),
            ("id", "712020:ada", "712020:ada", "01", "03", 3),
            ("name", "Ada Glenmoor", "ada glenmoor", "01", "03", 2),
            ("name", "Ada Smith", "ada smith", "02", "02", 1),
        ]


@pytest.mark.parametrize(
    ("ending", "pack"),
    [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress), (".zst", zstd.compress)],
)
def test_packed_files_are_read_and_damaged_ones_named(tmp_path, ending, pack):
    whole = pack(b"".join(event(ident=str(number)) + b"\n" for number in range(500)))
    file = tmp_path / f"events.ndjson{ending}"
    file.write_bytes(whole)
    with tables_of_files([file]) as found:
        assert found.ask("select count(*) from events").rows == [(500,)]
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Held, match=file.name):
        tables_of_files([file])


def test_a_statement_reaches_no_file_and_cannot_change_that(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    with tables(tmp_path, event()) as found:
        for statement in (
            f"select * from read_text('{secret}')",
            f"copy (select 1) to '{tmp_path}/out.csv'",
            f"attach '{tmp_path}/a.db'",
            "set memory_limit = '100GB'",
            "set enable_external_access = true",
            "install httpfs",
        ):
            with pytest.raises(duckdb.Error):
                found.ask(statement)


def test_nothing_stays_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "in").mkdir()
    with tables(tmp_path / "in", event()):
        pass
    with pytest.raises(Held):
        tables_of_files([tmp_path / "missing.ndjson"])
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_products_records_are_understood_by_their_shape(tmp_path):
    lines = [
        json.dumps(
            {
                "id": 7,
                "summary": "User added to group",
                "created": "2026-03-01T10:00:00.000+0000",
                "category": "group management",
                "authorAccountId": "712020:ada",
            }
        ).encode(),
        json.dumps(
            {
                "author": {"type": "user", "accountId": "712020:ada"},
                "creationDate": 1772359200000,
                "summary": "Space created",
                "category": "Spaces",
            }
        ).encode(),
        json.dumps(
            {
                "timestamp": "2026-03-01T10:00:00Z",
                "author": {"name": "ada", "id": "JIRAUSER1"},
                "type": {"categoryI18nKey": "jira.x", "actionI18nKey": "jira.auditing.user.created"},
            }
        ).encode(),
    ]
    with tables(tmp_path, *lines) as found:
        assert rows_of(found, '"event.provider", who') == [
            ("jira", "712020:ada"),
            ("confluence", "712020:ada"),
            ("jira_datacenter", "JIRAUSER1"),
        ]


def test_duckdb_is_loaded_where_somebody_asks_only():
    code = (
        "import sys, forwarder.cli.app, forwarder.daemon.daemon, forwarder.assembly, forwarder.investigate.tables, "
        "forwarder.investigate.opening; sys.exit('duckdb' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_missing_extra_is_named_with_its_fix(tmp_path, monkeypatch):
    monkeypatch.setattr("forwarder.investigate.duck.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install 'audit-forwarder\[investigate\]'"):
        tables(tmp_path, event())


def test_heartbeats_are_no_events_and_their_parts_have_no_names(tmp_path):
    beat = Heartbeat("h1", "2026-03-01T10:00:00.000Z", "acme", "elastic", "idle", 60.0, None, {"spooled": 1})
    with tables(tmp_path, event(), msgspec.json.encode(beat)) as found:
        assert found.ask('select "event.id" from events').rows == [("e1",)]
        assert found.ask('select "event.id", act from heartbeats').rows == [("h1", "heartbeat.report")]
        assert found.ask("select * from names where value in ('acme', 'elastic')").rows == []
        assert found.ask("select count(*) from held").rows == [(2,)]
