"""Each line is one row, whatever stands in it and whatever log it is said to be of."""

import itertools
import json

import duckdb
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forwarder.contracts import AuditEvent, Origin
from forwarder.investigate.columns import COLUMNS, GROUPS, Line, Place, Row
from forwarder.investigate.loading import NotWhole, load_rows
from forwarder.investigate.of_events import row_of
from forwarder.investigate.rows import RowReader
from forwarder.registry import SOURCES
from tests.examples import examples
from tests.investigate.lines import event

FEEDS = [
    None,
    "heartbeat",
    "a log of a package that is gone",
    *sorted({SOURCES.load(name).feed for name in SOURCES.names()}),
]
READER = RowReader()
PLACE = Place("acme", "an object")

names = st.sampled_from(
    ["id", "attributes", "action", "actor", "context", "container", "time", "created", "creationDate", "author", "accountId",
     "authorKey", "timestamp", "type", "auditType", "objectItem", "associatedItems", "changedValues", "alertId", "activity",
     "summary", "category", "name", "email", "location", "ip", "ecs", "event", "provider", "user", "atlassian", "audit"]
)  # fmt: skip
texts = st.text(max_size=20) | st.sampled_from(
    ["\x00", "2026-03-01T10:00:00Z", "2026-03-01T10:00:00.000+0000", "9" * 30, "a@b.example"]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names | texts, inner, max_size=6),
    max_leaves=25,
)
bodies = st.binary(max_size=60) | values.map(lambda value: json.dumps(value).encode())


def origin_of(feed):
    return None if feed is None else Origin("acme", feed, "organization")


def rows_of(lines, feed):
    return list(
        READER.read([Line(at, body, 1_772_359_200_000) for at, body in enumerate(lines, 1)], PLACE, origin_of(feed))
    )


def said(reader):
    """Return what was given a number, by it."""
    return {one["number"]: one for one in map(msgspec.json.decode, reader.repeated.written)}


@pytest.mark.parametrize("feed", FEEDS)
@given(lines=st.lists(bodies, min_size=1, max_size=8))
@settings(max_examples=examples(60))
def test_any_line_is_one_row(feed, lines):
    rows = rows_of(lines, feed)
    assert [row.line for row in rows] == list(range(1, len(lines) + 1))
    for row in rows:
        assert row.time is not None or feed is None


@given(lines=st.lists(bodies, min_size=1, max_size=30))
@settings(max_examples=examples(20))
def test_duckdb_takes_every_row(lines, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    with duckdb.connect() as connection:
        rows = [row for feed in FEEDS for row in rows_of(lines, feed)]
        assert load_rows(connection, rows, READER.repeated, folder) == len(rows)
        asked = """select count(*), count("event.kind") + count(problem), count(source) from held"""
        assert connection.execute(asked).fetchall() == [(len(rows),) * 3]


def test_what_reaches_the_table_is_what_the_row_says(tmp_path):
    hostile = [
        "",
        "\x00",
        "'; drop table held",
        '"',
        "\\",
        "\u2028",
        "\ufeff",
        "😀",
        "a\nb\rc",
        "é" * 1999,
        "{",
        "NaN",
        "\u202e",
    ]
    lines = [event(ident=f"i{at}", name=name or "x") for at, name in enumerate(hostile)]
    READER.repeated.clear()
    rows = rows_of(lines, "organization")
    [key] = [column.key for column in COLUMNS if column.name == "user.full_name"]
    wanted = [said(READER)[row.by][key] for row in rows]
    with duckdb.connect() as connection:
        load_rows(connection, rows, READER.repeated, tmp_path)
        found = connection.execute('select "user.full_name" from held order by "evidence.line"').fetchall()
    assert [name for (name,) in found] == wanted
    assert wanted[2] == "'; drop table held"


def test_what_repeats_is_written_once_and_what_is_forgotten_again(tmp_path, monkeypatch):
    monkeypatch.setattr("forwarder.investigate.repeated.MOST", 3000)
    monkeypatch.setattr("forwarder.investigate.loading.FILE", 1000)
    monkeypatch.setattr("forwarder.investigate.loading.BLOCK", 7)
    reader = RowReader()
    people = [f"p{at % 3 if at < 60 else at}" for at in range(100)]
    lines = [Line(at, event(ident=f"i{at}", user=user, name=user.upper())) for at, user in enumerate(people)]
    rows = reader.read(lines, PLACE, origin_of("organization"))
    first = [next(rows) for _ in range(60)]
    assert len(reader.repeated.written) < 10
    with duckdb.connect() as connection:
        assert load_rows(connection, itertools.chain(first, rows), reader.repeated, tmp_path) == 100
        found = connection.execute(
            'select "user.id", "user.full_name", source from held order by "evidence.line"'
        ).fetchall()
        assert found == [(user, user.upper(), "acme") for user in people]
        assert not reader.repeated.written
        first = [next(reader.read(lines, PLACE, origin_of("organization")))]
        reader.repeated.clear()
        with pytest.raises(NotWhole, match="stand for nothing"):
            load_rows(connection, first, reader.repeated, tmp_path)


def test_a_table_has_the_columns_of_a_row():
    shapes = [Row, *GROUPS.values()]
    fields = [field.name for shape in shapes for field in msgspec.structs.fields(shape) if field.name != "number"]
    assert len(COLUMNS) == len(fields) - len(GROUPS)
    assert len({column.name for column in COLUMNS}) == len({column.key for column in COLUMNS}) == len(COLUMNS)


def test_a_log_that_no_package_knows_is_a_problem_and_no_end():
    READER.repeated.clear()
    [row] = rows_of([event()], "a log of a package that is gone")
    [key] = [column.key for column in COLUMNS if column.name == "problem"]
    assert "no installed source knows" in said(READER)[row.what][key]


def test_an_id_that_is_long_is_cut_and_one_with_half_a_character_is_refused(tmp_path):
    READER.repeated.clear()
    rows = rows_of([event(ident="before"), event(ident="x" * 3000)], "organization")
    with duckdb.connect() as connection:
        assert load_rows(connection, rows, READER.repeated, tmp_path) == 2
        asked = """select "event.id", "atlassian.audit.marks" from held order by "evidence.line" """
        assert connection.execute(asked).fetchall() == [("before", None), ("x" * 2000, ["cut"])]
    with pytest.raises(ValueError, match="surrogates"):
        row_of(AuditEvent("", "organization", "", "page_viewed", 1, 1, event_id="\ud83d"), READER.repeated, 1, 1)
