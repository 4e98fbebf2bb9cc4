"""One answer, four faces: the numbers are the same in each, and limits stand above findings."""

from __future__ import annotations

import csv
import io
import json
from html.parser import HTMLParser

import msgspec
import pytest

from forwarder.cli.investigation_text import answer_text
from forwarder.cli.tables import Screen
from forwarder.investigate.faces.as_csv import as_csv
from forwarder.investigate.faces.as_html import as_html
from forwarder.investigate.faces.as_json import as_dict
from forwarder.investigate.faces.grid import grid
from forwarder.investigate.moments import Clock
from forwarder.investigate.result import Column, Part
from tests.investigate.asked import ask

ASKED = [
    ("user", lambda acme: acme.world.people[7].id, {}),
    ("user", lambda acme: acme.world.people[12].id, {"zone": "Europe/Berlin"}),
    ("content", lambda acme: acme.world.pages[35].id, {}),
    ("ip", lambda acme: acme.world.people[7].home.ip, {}),
    ("token", lambda _: "backup", {}),
    ("group", lambda _: "temp-4711", {}),
    ("day", lambda _: "2026-02-19", {"zone": "America/New_York"}),
]


class Page(HTMLParser):
    """Reads the tables of a page, by the id of their section; and its tags and attributes."""

    def __init__(self, text):
        super().__init__()
        self.sections, self.tags, self.attributes, self.words = {}, [], [], []
        self._section, self._row, self._cell = "", None, None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *one) for one in attrs]
        if tag == "section":
            self._section = dict(attrs).get("id", "")
            self.sections.setdefault(self._section, [])
        elif tag == "tr":
            self._row = []
        elif tag in {"td", "th"}:
            self._cell = ""

    def handle_data(self, data):
        self.words.append(data)
        if self._cell is not None:
            self._cell += data

    def handle_endtag(self, tag):
        if tag in {"td", "th"} and self._row is not None:
            self._row.append(self._cell)
            self._cell = None
        elif tag == "tr" and self._row is not None:
            if len(self._row) > 1:  # not a line of a pause
                self.sections.setdefault(self._section, []).append(self._row)
            self._row = None


def _numbers(part, row):
    return [
        f"{value:g}" if value else "\u2013"
        for column, value in zip(part.columns, row, strict=True)
        if column.kind == "number"
    ]


def _within(wanted, words):
    """Say whether words are there in this order."""
    left = iter(words)
    return all(any(one == word for word in left) for one in wanted)


@pytest.mark.parametrize(("kind", "who", "more"), ASKED)
def test_every_number_is_the_same_in_every_face(acme, tables, kind, who, more):
    result = ask(tables, kind, who(acme), **more)
    assert result.totals.subject
    found = json.loads(json.dumps(as_dict(result)))
    lines = list(csv.DictReader(io.StringIO(as_csv(result))))
    page = Page(as_html(result))
    text = list(answer_text(result, Screen(), brief=False))
    assert found["totals"] == msgspec.to_builtins(result.totals)
    [totals] = [line for line in lines if line["part"] == "totals"]
    assert {name: int(totals[name]) for name in found["totals"]} == found["totals"]
    for name in ("subject", "window"):
        shown = f"{found['totals']['subject']} events of {found['totals']['window']}"
        assert any(shown in line for line in text), name
        assert any(shown in word for word in page.words), name
    for one in result.findings:
        [line] = [line for line in lines if line["part"] == "findings" and line["code"] == one.code]
        [each] = [each for each in found["findings"] if each["code"] == one.code]
        assert float(line["value"]) == each["value"] == one.value
        assert int(line["count"]) == each["count"] == one.count
        assert line["events"].split(", ") == each["events"]
        assert any(one.text in word for word in page.words)
        assert any(one.text in line for line in text)
    for part in result.parts:
        of_csv = [line for line in lines if line["part"] == part.name]
        assert len(of_csv) == len(found[part.name]) == len(part.rows)
        if not part.rows:
            continue
        of_page = page.sections[part.name][1:]
        start = text.index(part.title.upper()) + 2
        of_text = text[start : start + len(part.rows)]
        assert len(of_page) == len(of_text) == len(part.rows)
        for row, as_line, as_object, cells, shown in zip(
            part.rows, of_csv, found[part.name], of_page, of_text, strict=True
        ):
            numbers = [column.name for column in part.columns if column.kind == "number"]
            values = [value for column, value in zip(part.columns, row, strict=True) if column.kind == "number"]
            assert [float(as_line[name]) if as_line[name] else None for name in numbers] == values
            assert [as_object.get(name) for name in numbers] == values
            assert _within(_numbers(part, row), cells)
            assert _within(_numbers(part, row), shown.split())


def test_limits_stand_above_findings_in_every_face(acme, tables):
    result = ask(tables, "user", acme.world.people[7].id)
    assert result.limits
    limit, finding = result.limits[1].text, result.findings[0].text
    for face in ("\n".join(answer_text(result, Screen(), brief=True)), as_html(result), as_csv(result)):
        assert face.index(limit[:40]) < face.index(finding[:40])
    names = list(as_dict(result))
    assert names.index("limits") < names.index("findings") < names.index("sessions")


def test_the_same_question_gives_the_same_bytes_but_for_the_run(acme, tables):
    who = acme.world.people[7].id
    one, two = (json.dumps(as_dict(ask(tables, "user", who))) for _ in range(2))
    assert one == two


def test_a_narrow_terminal_cuts_nothing_off(acme, tables):
    result = ask(tables, "user", acme.world.people[7].id)
    lines = list(answer_text(result, Screen(width=80), brief=True))
    assert all(len(line) <= 80 or " " not in line.strip() for line in lines if "…" not in line)


def test_a_pause_between_sessions_is_shown_on_the_page(acme, tables):
    assert " day" in "".join(Page(as_html(ask(tables, "user", acme.world.people[7].id))).words)


def test_moments_are_in_the_zone_of_the_question_with_their_offset_and_utc_for_programs(acme, tables):
    who = acme.world.people[7].id
    result = ask(tables, "user", who, zone="Europe/Berlin")
    text = "\n".join(answer_text(result, Screen(), brief=True))
    assert "03:00:00 \u2013 03:01:00 +01:00: 6 failed logins" in text
    assert "Europe/Berlin" in text
    assert as_dict(result)["findings"][0]["start"] == "2026-02-10T02:00:00.000Z"


def test_the_first_rows_have_the_columns_of_all():
    columns = (Column("act", "act", "text"), Column("space", "space", "text"), Column("city", "city", "text"))
    part = Part(
        "timeline", "Timeline", columns, tuple((f"a{at}", "FIN" if at == 15 else None, None) for at in range(20))
    )
    whole, first = (grid(part, Clock("UTC"), most=most) for most in (None, 12))
    assert [title.text for title in first.titles] == [title.text for title in whole.titles] == ["act", "space"]
    assert (first.rows, len(whole.rows)) == (whole.rows[:12], 20)
