"""What events say is text in every face: it is no markup, no formula, no control of a terminal, no statement."""

from __future__ import annotations

import csv
import io
import json

import msgspec
import pytest

from forwarder.cli.investigation_text import answer_text
from forwarder.cli.tables import Screen
from forwarder.cli.terminal import json_visible
from forwarder.investigate.faces.as_csv import as_csv
from forwarder.investigate.faces.as_html import POLICY, as_html
from forwarder.investigate.faces.as_json import as_dict
from forwarder.investigate.questions.shapes import SHAPES
from forwarder.investigate.result import (
    Candidate,
    Evidence,
    EvidenceGap,
    EvidenceObject,
    Finding,
    Limit,
    Part,
    Query,
    Question,
    Result,
    Run,
    Subject,
    Totals,
)
from forwarder.investigate.without_index import tables_of_files
from forwarder.testing.events import HOSTILE
from simulator.render import _HOSTILE as OF_THE_SIMULATOR
from tests.investigate.asked import ask
from tests.investigate.lines import entry, event
from tests.investigate.test_faces import Page

TEXTS = [*OF_THE_SIMULATOR, *HOSTILE, "[link=https://example.com]x[/link]", "[/x]", "</style><script>x</script>", "+1+1", "\uff1d1+1",
         "-2", "@sum(1)", "\t=1", " =1", "\ufeff=1", "{value}", "{0.__class__}", "x' or '1'='1"]  # fmt: skip
TAGS = {
    "html", "head", "meta", "title", "style", "body", "header", "p", "h1", "h2", "small", "dl", "dt", "dd", "section", "ul", "ol",
    "li", "span", "bdi", "details", "summary", "code", "pre", "br", "div", "table", "thead", "tbody", "tr", "th", "td", "figure",
    "figcaption", "svg", "path", "rect", "footer",
}  # fmt: skip
ATTRIBUTES = {
    "lang", "charset", "http-equiv", "content", "name", "class", "id", "open", "scope", "colspan", "viewbox", "role", "d",
    "preserveaspectratio", "aria-label", "x", "y", "width", "height", "opacity",
}  # fmt: skip


def _everywhere(kind, text):
    """Return an answer that has a text in every place that holds one."""
    parts = []
    for table in SHAPES[kind].tables:
        row = tuple(
            {"time": 1, "number": 1, "texts": [text, text], "ids": [text]}.get(column.kind, text)
            for column in table.columns
        )
        parts.append(Part(table.name, table.title, table.columns, (row, row), table.note))
    finding = Finding("F1", "!!", text, "a rule", 1, start_ms=1, end_ms=2, count=1, events=(text,))
    evidence = Evidence(text, (EvidenceObject(text, "ab"),), "cd", 2, 1, 2, (EvidenceGap(1, 2, text),), text, text)
    return Result(
        Question(kind, text, "UTC"),
        Subject(kind, text or "x", text, text, (text, text), (text,), 1, 2),
        Run(1, text, text, "1", text, text),
        evidence, Totals(2, 2, 2), (Limit("x", text, 1),), (finding,), tuple(parts), (), text,
        (Query("q", "select $who", {"who": text}),),
    )  # fmt: skip


def _is_harmless(result):
    for screen in (Screen(), Screen(60)):
        for line in answer_text(result, screen, brief=False):
            assert line.isprintable(), repr(line)
    page = as_html(result)
    found = Page(page)
    assert set(found.tags) <= TAGS, set(found.tags) - TAGS
    assert {name for _, name, _ in found.attributes} <= ATTRIBUTES
    assert "script" not in page.replace("&lt;script", "").replace("&lt;/script", "").lower() or "<script" not in page
    assert POLICY in page
    assert all(char.isprintable() or char == "\n" for char in page)
    lines = as_csv(result).removesuffix("\r\n").split("\r\n")
    rows = list(csv.reader(io.StringIO(as_csv(result))))
    assert len(lines) == len(rows)
    assert len({len(row) for row in rows}) == 1
    for row in rows[1:]:
        for cell in row:
            assert cell.isprintable()
            assert not cell.lstrip().startswith(("=", "+", "@", "\uff1d")), cell
            assert not cell.lstrip().startswith("-") or cell.lstrip("- ").replace(".", "").isdigit(), cell
    shown = msgspec.json.format(msgspec.json.encode(_sound(as_dict(result))), indent=2).decode()
    assert all(json_visible(line).isprintable() for line in shown.split("\n"))


def _sound(value):
    """Return JSON values without halves of characters, which the index does not hold either."""
    return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


@pytest.mark.parametrize("kind", ["user", "content", "day"])
@pytest.mark.parametrize("text", TEXTS)
def test_a_text_in_every_column_is_text(kind, text):
    _is_harmless(_everywhere(kind, text))
    several = Subject(kind, candidates=(Candidate("a", text, text, 1, 2, 3), Candidate(text or "b", text)))
    _is_harmless(msgspec.structs.replace(_everywhere(kind, text), subject=several))
    _is_harmless(msgspec.structs.replace(_everywhere(kind, text), subject=Subject(kind), totals=Totals()))


def _events(text, number):
    """Return events that have a text wherever one stands."""
    who = {"user": f"{text}", "name": text, "email": text, "ip": f"203.0.113.{number % 200}"}
    page = entry("sites", text, siteName=text, siteHostName=text, product=text, pageId=text, key=text, name=text)
    token = {"auth": {"authType": text, "tokenId": text, "tokenLabel": text}}
    group = entry("groups", text, groupName=text)
    return [
        event(ident=f"{number}-1", container=[page], **who),
        event(ident=f"{number}-2", action=text or "x", **who, **token),
        event("user_added_to_group", ident=f"{number}-3", context=[entry("users", text, name=text, email=text), group], **who),
        event("group_granted_admin_access", ident=f"{number}-4", context=[group], **who),
        event("org_settings_update", ident=f"{number}-5", context=[entry("orgs", text, settingName=text, settingValues=text)], **who),
        event("user_logged_in_as_user", ident=f"{number}-6", context=[entry("users", text, name=text, email=text)], **who),
        event("api_token_created", ident=f"{number}-7", context=[entry("api-tokens", text, name=text)], **who),
        event("confluence_space_export_completed", ident=f"{number}-8", context=[entry("space", text, name=text, key=text)], **who),
    ]  # fmt: skip


def test_hostile_events_are_asked_about_in_every_way(tmp_path):
    texts = dict.fromkeys(
        [*OF_THE_SIMULATOR, "[/x]", "</style><script>x</script>", "{value}", "x' or '1'='1", "\ud800"]
    )
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"".join(line + b"\n" for number, text in enumerate(texts) for line in _events(text, number)))
    with tables_of_files([file]) as tables:
        answered = 0
        for text in texts:
            for kind in ("user", "content", "token", "group", "app"):
                result = ask(tables, kind, text.encode("utf-8", "replace").decode())
                answered += bool(result.totals.subject)
                _is_harmless(result)
        assert answered >= 2 * (len(texts) - 1)
        _is_harmless(ask(tables, "ip", "203.0.113.1"))
        _is_harmless(ask(tables, "day", "2026-03-01"))
