"""One layout for terminals and pipes: aligned, whole, and coloured only where colour is wanted."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.cli.tables import Screen, columns_of, paragraph, table
from forwarder.observe.colours import coloured

ROWS = [
    ["elastic", "held", "5f0c8a9d2b7e4c6f8a1b3d5e7f9a0c2e", "211"],
    ["東京", "working", "0", "9"],
]
HEAD = ("sink", "state", "id", "waiting")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def squeezed(lines: list[str]) -> str:
    return re.sub(r"\s", "", "".join(lines))


def test_a_pipe_gets_a_row_a_line_aligned_and_without_spaces_at_the_end() -> None:
    assert list(table(ROWS, Screen(), head=HEAD, right={"waiting"}, styles={"held": "red"}, indent=1)) == [
        " sink     state    id                                waiting",
        " elastic  held     5f0c8a9d2b7e4c6f8a1b3d5e7f9a0c2e      211",
        " 東京     working  0                                       9",
    ]


def test_a_terminal_that_is_wide_enough_shows_the_same_in_colour() -> None:
    plain = list(table(ROWS, Screen(), head=HEAD))
    shown = list(table(ROWS, Screen(100, coloured=True), head=HEAD, styles={"held": "bold red"}))
    assert "\x1b[1;31mheld   \x1b[0m" in shown[1]
    assert [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in shown] == plain
    assert list(table(ROWS, Screen(100), head=HEAD, styles={"held": "bold red"})) == plain


def test_a_row_whose_words_do_not_fit_side_by_side_is_a_list_in_which_every_id_is_whole() -> None:
    assert list(table(ROWS, Screen(40), head=HEAD, indent=1)) == [
        " sink  state    id  waiting",
        " sink elastic",
        "   state    held",
        "   id       5f0c8a9d2b7e4c6f8a1b3d5e7f9a0c2e",
        "   waiting  211",
        " 東京  working  0   9",
    ]
    assert next(iter(table(ROWS[:1], Screen(40), head=HEAD))) == "sink elastic", "there is no table, so it has no head"
    assert list(table([["spool", "/a/path/of/30/columns/spool.db", "up to 2GiB"]], Screen(36))) == [
        "spool", "  /a/path/of/30/columns/spool.db", "  up to 2GiB"
    ]  # fmt: skip


def test_a_list_leaves_out_what_says_nothing() -> None:
    row = ["elastic", "\u2013", "5f0c8a9d2b7e4c6f8a1b3d5e7f9a0c2e", "-"]
    assert list(table([row], Screen(40), head=HEAD)) == ["sink elastic", f"  id       {row[2]}"]


def test_a_cell_goes_on_below_itself_between_words() -> None:
    rows = [["elastic", "held", "token disabled (code 1): enable it"]]
    assert list(table(rows, Screen(36), head=("sink", "state", "reason"))) == [
        "sink     state  reason", "elastic  held   token disabled (code", "                1): enable it"
    ]  # fmt: skip


def test_one_line_a_row_cuts_nothing_but_the_last_column() -> None:
    rows = [["12", "mapping_conflict", "failed to parse " * 20], ["13", "too_large", "short"]]
    lines = list(table(rows, Screen(60), head=("number", "reason", "answer"), one_line=True))
    assert len(lines) == 3
    assert lines[1].startswith("12      mapping_conflict  failed to parse")
    assert lines[1].endswith("parse…")
    assert columns_of(lines[1]) <= 60
    path = "file:/a/path/of/more/than/forty/columns/spool.db"
    assert path in next(table([["1", path]], Screen(30), one_line=True))
    assert [line.strip() for line in table([["2026-01-31", "not read again"]], Screen(24), one_line=True)] == [
        "2026-01-31  not read", "again"
    ]  # fmt: skip
    narrow = list(table(rows, Screen(12), head=("number", "reason", "answer"), one_line=True))
    assert "mapping_conflict" in narrow[1]


def test_foreign_text_is_a_cell_and_nothing_else() -> None:
    [line] = table([["a\x1b[2J\n|", "[red]b[/red]"]], Screen(80, coloured=True))
    assert line == r"a\x1b[2J\n|  [red]b[/red]"


def test_no_rows_and_no_head_is_nothing() -> None:
    assert list(table([], Screen())) == []
    assert list(table([], Screen(), head=HEAD)) == ["sink  state  id  waiting"]


WORDS = st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=30), min_size=3, max_size=3)


@given(rows=st.lists(WORDS, min_size=1, max_size=5), width=st.integers(10, 90))
def test_no_character_is_lost_and_a_line_is_too_wide_only_by_its_last_word(rows: list[list[str]], width: int) -> None:
    lines = list(table(rows, Screen(width)))
    assert sorted(squeezed(lines)) == sorted(squeezed(list(table(rows, Screen()))))
    assert all(columns_of(line.rpartition(" ")[0]) <= max(width, 12) for line in lines), "only the last word may"
    shown = "\n".join(lines)
    assert all(word in shown for row in table(rows, Screen()) for word in row.split())


def test_a_number_and_its_percent_sign_stay_together() -> None:
    assert list(paragraph("of the last 200, tail 36 %", Screen(25))) == ["of the last 200, tail", "36 %"]


def test_a_paragraph_is_folded_between_words_and_an_address_stays_whole() -> None:
    text = "the sink answers at https://siem.example.com/services/collector/event/1.0 since yesterday"
    assert list(paragraph(text, Screen())) == [text]
    lines = list(paragraph(text, Screen(30, coloured=True), "yellow"))
    assert "\x1b[33mhttps://siem.example.com/services/collector/event/1.0\x1b[0m" in lines
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
    ],
)
def test_whether_there_is_colour(environment: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert coloured(Terminal()) is expected
    assert not coloured(io.StringIO())
