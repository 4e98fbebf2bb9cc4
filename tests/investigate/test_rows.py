"""Each line is one row, whatever stands in it and whatever log it is said to be of."""

import json

import duckdb
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forwarder.contracts import Origin
from forwarder.investigate.columns import COLUMNS, Line, Place, Row
from forwarder.investigate.loading import load_rows
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
        READER.encoded([Line(at, body, 1_772_359_200_000) for at, body in enumerate(lines, 1)], PLACE, origin_of(feed))
    )


@pytest.mark.parametrize("feed", FEEDS)
@given(lines=st.lists(bodies, min_size=1, max_size=8))
@settings(max_examples=examples(60))
def test_any_line_is_one_row(feed, lines):
    rows = [msgspec.json.decode(row, type=Row, strict=True) for row in rows_of(lines, feed)]
    assert [row.line for row in rows] == list(range(1, len(lines) + 1))
    for row in rows:
        assert (row.problem is None) == (row.kind is not None)
        assert row.time is not None or feed is None


@given(lines=st.lists(bodies, min_size=1, max_size=30))
@settings(max_examples=examples(20))
def test_duckdb_takes_every_row(lines, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    with duckdb.connect() as connection:
        rows = [row for feed in FEEDS for row in rows_of(lines, feed)]
        assert load_rows(connection, rows, folder) == len(rows)
        [(count,)] = connection.execute("select count(*) from held").fetchall()
        assert count == len(rows)


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
    rows = rows_of(lines, "organization")
    wanted = [msgspec.json.decode(row, type=Row).user_name for row in rows]
    with duckdb.connect() as connection:
        load_rows(connection, rows, tmp_path)
        found = connection.execute('select "user.full_name" from held order by "evidence.line"').fetchall()
    assert [name for (name,) in found] == wanted
    assert wanted[2] == "'; drop table held"


def test_a_table_has_the_columns_of_a_row():
    assert len(COLUMNS) == len(msgspec.structs.fields(Row))
    assert len({column.name for column in COLUMNS}) == len({column.key for column in COLUMNS}) == len(COLUMNS)


def test_a_log_that_no_package_knows_is_a_problem_and_no_end():
    [row] = [msgspec.json.decode(row, type=Row) for row in rows_of([event()], "a log of a package that is gone")]
    assert "no installed source knows" in row.problem
