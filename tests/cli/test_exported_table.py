"""Tables that people exported, as they may come: by any spreadsheet, in any encoding, written by anybody."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.cli.commands.exported_columns import Columns, HowToRead, Unreadable
from forwarder.cli.commands.exported_table import read_table
from forwarder.contracts.errors import ConfigError
from forwarder.contracts.export import ExportedRow

HEADER = "Date,Activity,Actor,IP address,Where\n"
NEVER = 1e18


def cells_of(text: str | bytes) -> list[list[str] | str]:
    return [cells for _, cells in read_table(text if isinstance(text, bytes) else text.encode()).rows]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('a,b\n1,"x, y"\n', [["1", "x, y"]]),
        ('a,b\r\n1,"say ""no"""\r\n', [["1", 'say "no"']]),
        ('a;b\n1;"x\ny"\n2;z\n', [["1", "x\ny"], ["2", "z"]]),
        ("sep=;\na,x;b\n1;2\n", [["1", "2"]]),
        ("a\tb\r1\t\r", [["1", ""]]),
        ("a,b\n\n , \n,\n1,2", [[" ", " "], ["1", "2"]]),
        ('a,b\n=HYPERLINK("http://x"),@SUM(1)\n1,\'=2\n', ["a quote stands where none can be, or is never closed", ["1", "'=2"]]),
        ('a,b\n"=cmd|\'/c calc\'!A0",-1\n', [["=cmd|'/c calc'!A0", "-1"]]),
        ('a,b\n1,"never closed\n2,3\n', ["a quote stands where none can be, or is never closed", ["2", "3"]]),
        ("a,b\n1,2,3\n4\n5,6\n", ["it has 3 cells, and the first line names 2 columns",
                                  "it has 1 cells, and the first line names 2 columns", ["5", "6"]]),
        ("a,b\n1,\u202e\x1b[2J\n", [["1", "\u202e\x1b[2J"]]),
    ],
)  # fmt: skip
def test_cells_are_what_was_in_them(text: str, rows: list[list[str] | str]) -> None:
    assert cells_of(text) == rows


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_spreadsheets_save_is_read(encoding: str) -> None:
    table = read_table("Datum;Wer\n1;Zoë 🙂\n".encode(encoding))
    assert (table.header, table.rows) == (["Datum", "Wer"], [(2, ["1", "Zoë 🙂"])])


def test_rows_are_named_by_the_line_in_which_they_begin() -> None:
    assert [line for line, _ in read_table(b'a,b\n"1\n\n",2\n\n3,4\n').rows] == [2, 6]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a table"),
        (b"only one\n1\n", "not a table"),
        (b'{"id":"1"}\n', "not a table"),
        (b'"a,b\n1,2\n', "not a table"),
        ("a,b\n1,Zoë\n".encode("latin-1"), "not UTF-8: line 2"),
        ("a,b\n1,2\n".encode("utf-16-le"), "zero bytes"),
        (b"PK\x03\x04\x14\x00,\xff", "not UTF-8: line 1"),
    ],
)
def test_what_is_no_table_is_refused_with_what_to_do(data: bytes, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_table(data)


@given(
    st.lists(
        st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\0")), min_size=3, max_size=3), max_size=8
    )
)
def test_every_text_that_is_quoted_comes_back(rows: list[list[str]]) -> None:
    kept = [cells for cells in rows if any(cells)]
    lines = [",".join('"' + cell.replace('"', '""') + '"' for cell in cells) for cells in [["a", "b", "c"], *kept]]
    assert cells_of("\n".join(lines)) == kept


@given(st.binary(max_size=200))
def test_whatever_the_bytes_are_it_is_read_or_refused(data: bytes) -> None:
    try:
        read_table(b"a,b\n" + data)
    except ConfigError:
        return


def read(line: str, header: str = HEADER, **how: str | tuple[str, ...]) -> ExportedRow:
    table = read_table((header + line + "\n").encode())
    [(number, cells)] = table.rows
    return Columns(table.header, HowToRead(**how)).read(cells, "export.csv", number, NEVER)  # type: ignore[arg-type]


def test_a_row_says_what_its_columns_do_and_nothing_else() -> None:
    row = read("2026-01-31T10:00:01Z,user_login,ada@example.com,203.0.113.5,Here")
    assert (row.time_ms, row.step_ms, row.action) == (1769853601000, 1000, "user_login")
    assert (row.actor, row.ip, row.message) == (("", "", "ada@example.com"), "203.0.113.5", "")
    assert (row.file, row.line, row.cells[4]) == ("export.csv", 2, ("Where", "Here"))
    assert read("2026-01-31T10:00Z,x,712020:0a1b2c3d-0000-0000-0000-000000000000,none,").actor[0].startswith("712020:")
    assert read("2026-01-31T10:00Z,x,Ada,203.0.113.500,").ip == ""


@pytest.mark.parametrize(
    ("text", "how", "time_ms", "step_ms"),
    [
        ("2026-01-31T10:00:01.250Z", {}, 1769853601250, 1),
        ("2026-01-31 10:00:01.2+01:00", {}, 1769850001200, 100),
        ("2026-01-31 10:00 UTC", {}, 1769853600000, 60_000),
        ("1769853601", {}, 1769853601000, 1000),
        ("1769853601250", {}, 1769853601250, 1),
        ("2026-01-31 10:00:01", {"zone": "UTC"}, 1769853601000, 1000),
        ("2026-01-31 10:00:01", {"zone": "Europe/Paris"}, 1769850001000, 1000),
        ("31 Jan 2026 10:00", {"zone": "UTC", "time_format": "%d %b %Y %H:%M"}, 1769853600000, 60_000),
    ],
)
def test_times_are_read_as_exactly_as_they_are_written(
    text: str, how: dict[str, str], time_ms: int, step_ms: int
) -> None:
    row = read(f'"{text}",x,Ada,,', **how)
    assert (row.time_ms, row.step_ms) == (time_ms, step_ms)


def test_a_header_that_names_utc_is_believed() -> None:
    assert read("2026-01-31 10:00:01,x,Ada", "Date (UTC),Action,Actor\n").time_ms == 1769853601000


@pytest.mark.parametrize(
    ("line", "how", "said"),
    [
        ("2026-01-31 10:00:01,x,Ada,,", {}, "--tz"),
        ("2026-10-25 02:30:00,x,Ada,,", {"zone": "Europe/Paris"}, "either of two"),
        ("2026-01-31,x,Ada,,", {"zone": "UTC"}, "is a day"),
        ("01/02/2026 10:00,x,Ada,,", {}, "--time-format"),
        ("1950-01-31T10:00Z,x,Ada,,", {}, "before 1970"),
        (",x,Ada,,", {}, "no time"),
        ("2026-01-31T10:00Z,,Ada,,", {}, "what happened"),
        ("2026-01-31T10:00Z,x,Ada", {}, "3 cells"),
        ("0001-01-01T00:00+23:00,x,Ada,,", {}, "before 1970"),
    ],
)
def test_what_cannot_be_told_is_left_out_with_why(line: str, how: dict[str, str], said: str) -> None:
    with pytest.raises(Unreadable, match=said):
        read(line, **how)


@pytest.mark.parametrize(
    ("header", "columns", "said"),
    [
        ("Wann,Was,Wer\n", (), "--columns time=NAME,action=NAME,actor=NAME; there are: 'Wann', 'Was', 'Wer'"),
        ("Date,Time,Action,Actor\n", (), "more than one column may be the time: 'Date', 'Time'"),
        ("Date,Action,Date,Actor\n", (), "more than one column may be the time"),
        ("Date,Action,Where\n", (), "known to be the actor"),
        ("Date,Action,Actor\n", ("time=When",), "no column 'When'"),
        ("Date,Action,Actor\n", ("when=Date",), "is not one of time, action"),
        ("Date,Action,Actor\n", ("time",), "is not one of time, action"),
    ],
)
def test_a_first_line_that_may_mean_anything_is_refused(header: str, columns: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Columns(read_table(header.encode()).header, HowToRead(columns))
    assert said in str(refused.value)


def test_columns_are_what_a_person_says_they_are() -> None:
    header = '"Wann","Was, genau","Wer","Date"\n'
    asked = ("time=Wann,action=Was, genau", "actor_email=Wer")
    row = read("2026-01-31T10:00Z,did,ada@example.com,2020", header, columns=asked)
    assert (row.action, row.actor) == ("did", ("", "", "ada@example.com"))


def test_a_zone_that_there_is_not_is_refused() -> None:
    for zone in ("Nowhere/At all", "../../etc/passwd", "\0"):
        with pytest.raises(ConfigError, match="--tz"):
            Columns(["Date", "Action", "Actor"], HowToRead(zone=zone))


def test_ten_thousand_rows_are_read() -> None:
    rng = random.Random(1)
    lines = [
        f'2026-01-31T10:{n // 600 % 60:02}:{n % 60:02}Z,"did ""{n}"", {rng.random()}",Ada,,"a\nb"'
        for n in range(10_000)
    ]
    table = read_table((HEADER + "\r\n".join(lines)).encode("utf-8-sig"))
    columns = Columns(table.header, HowToRead())
    rows = [columns.read(cells, "x", line, NEVER) for line, cells in table.rows]
    assert (len(rows), rows[-1].line, rows[-1].action[:9]) == (10_000, 2 + 2 * 9_999, 'did "9999')
