"""What the page says of every state, in which order, and that foreign text is text."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from forwarder.admin.page.document import document, main, no_report
from forwarder.admin.page.forms import ACTS, Hand
from forwarder.admin.page.parts import waits_for_a_try
from forwarder.admin.page.pieces import instruction, number, slot, unit
from forwarder.admin.page.strip import boxes, strip
from forwarder.cli.app import app
from forwarder.observe.redaction import Redactor
from forwarder.observe.runbooks import runbooks_of
from forwarder.observe.status_json import report_to_dict
from forwarder.observe.status_problems import remarks
from tests.admin.page.states import EVIL, states
from tests.examples import examples

STATES = states()
EVERY = Hand([act.verb for act in ACTS.values()], "TICKET")
NONE = Hand(None, "TICKET")
VOID = {"meta", "link", "input", "img", "br", "path", "circle", "use"}
ALLOWED = {
    "a", "article", "bdi", "blockquote", "button", "caption", "circle", "code", "dd", "details", "div", "dl", "dt",
    "figcaption", "figure", "form", "h1", "h2", "h3", "header", "input", "label", "li", "main", "nav", "ol", "p", "path",
    "section", "small", "span", "strong", "summary", "svg", "table", "tbody", "td", "th", "thead", "time", "tr", "ul", "use",
}  # fmt: skip


class Page(HTMLParser):
    """Reads a page: tags are closed in order, ids are there once; keeps text, tags and attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def ids(self) -> list[str]:
        return [attrs["id"] or "" for _, attrs in self.tags if "id" in attrs]


@cache
def shown(name: str) -> dict[str, Any]:
    """Return the JSON of a state; nothing of it is changed."""
    found: dict[str, Any] = Redactor().scrub({**report_to_dict(STATES[name]), "problem": ""}, most_items=10**6)
    return found


def page(name: str, hand: Hand = EVERY) -> Page:
    return Page(main(shown(name), hand))


@pytest.mark.parametrize("name", STATES)
def test_every_state_is_one_well_formed_page_in_one_order(name: str) -> None:
    found = page(name)
    assert len(found.ids()) == len(set(found.ids()))
    assert {tag for tag, _ in found.tags} <= ALLOWED
    sections = [
        each for each in found.ids() if each in {"verdict", "way", "spool", "books", "later", "record", "config"}
    ]
    assert sections == ["verdict", "way", "spool", "books", "later", "record", "config"]
    assert [tag for tag, _ in found.tags].count("h1") == 1
    assert not any(name.startswith("on") or name == "style" for _, attrs in found.tags for name in attrs)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("well", ["All well", "Everything is read and delivered.", "Nothing is lost.", "Reading", "Delivering",
                  "in 212 d", "What runs is what the file", "The latest sink is behind by"]),
        ("held", ["Held: needs a change", "Sink splunk takes no events.", "Nothing is known to be lost", "12\u202f431",
                  "Time you have", "1 d 7 h", "2\u202f556", "in 4 s", "Token disabled", "in 19 d", "qradar is not in the",
                  "3 dead letters in elastic", "document_parsing_exception", "cursor lost", "who knows admin.token"]),
        ("key", ["Source acme cannot be read.", "Make a new API key", "over"]),
        ("late", ["Late: it is tried again", "timed out after 30 s", "in 41 s"]),
        ("paused", ["Sink siem is paused by hand.", "called by ann"]),
        ("full", ["2 parts are not well", "Paused: the spool is full"]),
        ("history", ["History is being read", "in 2 h 1 min", "1 d 1 h of it to go"]),
        ("missing", ["3 events are missing at sink elastic.", "INCOMPLETE", "audit-forwarder reconcile"]),
        ("unbalanced", ["The books do not balance", "DO NOT BALANCE"]),
        ("several", ["6 parts are not well", "and 2 more", "3 events are missing", "is not what runs", "log.level",
                     "Replay 4 sends siem again", "380 of 900 events left"]),
        ("beginning", ["Not judged yet.", "Starting"]),
        ("empty", ["There is no source.", "There is no sink.", "It is not open."]),
    ],
)  # fmt: skip
def test_every_state_says_what_matters(name: str, words: list[str]) -> None:
    text = page(name).text
    assert [word for word in words if word not in text] == []


@pytest.mark.parametrize("name", [name for name in STATES if name != "hostile"])
def test_the_page_says_what_the_terminal_says(name: str) -> None:
    found = shown(name)
    text = page(name).text
    links = [attrs["href"] for tag, attrs in page(name).tags if tag == "a" and "runbooks/" in str(attrs["href"])]
    assert links == [f"runbooks/{runbook}" for runbook in runbooks_of(found)]
    for remark in remarks(found):
        if remark.kind not in {"trouble", "letters"}:
            assert remark.what in text
            assert remark.do.replace("`", "") in text
    for one in (*found["sources"], *found["sinks"]):
        if not one["well"]:
            assert one["reason"] in text
            assert one["fix"].rstrip(".").replace("`", "") in text


def test_what_is_to_be_typed_is_marked_and_foreign_text_stays_text() -> None:
    assert instruction("Run `a b`.") == "<bdi>Run </bdi><code><bdi>a b</bdi></code><bdi>.</bdi>"
    assert instruction("`<b>` and `") == "<bdi>`&lt;b&gt;` and `</bdi>"
    assert "<b>" not in instruction("`<b>`")


def test_the_worst_part_comes_first_and_else_the_order_of_the_configuration() -> None:
    found = page("several").ids()
    parts = [each for each in found if re.fullmatch(r"(source|sink)-[a-z-]+", each) and not each.endswith("-acts")]
    ours = [each for each in parts if each in {"sink-splunk", "sink-sentinel", "sink-siem", "sink-elastic"}]
    assert ours == ["sink-splunk", "sink-sentinel", "sink-elastic", "sink-siem"]


def test_where_nobody_may_act_the_command_stands_in_the_place_of_each_form() -> None:
    assert not [tag for tag, _ in page("several", NONE).tags if tag in {"form", "button", "input"}]
    told = [
        ("several", ["audit-forwarder lanes retry-now splunk", "audit-forwarder lanes pause elastic", "admin.token",
                     "audit-forwarder replay --sink siem --from TIME", "audit-forwarder replay cancel 4",
                     "audit-forwarder reload"]),
        ("held", ["audit-forwarder dead-letters discard --sink elastic --reason document_parsing_exception",
                  "audit-forwarder lanes forget qradar"]),
        ("key", ["audit-forwarder cursors retry-now --source acme"]),
    ]  # fmt: skip
    for name, words in told:
        text = page(name, NONE).text
        assert [word for word in words if word not in text] == []
    assert "audit-forwarder lanes pause 'a; b'" in NONE.form("pause", "x", {"sink": "a; b"}).replace("&#x27;", "'")


def test_each_command_that_stands_for_an_act_exists() -> None:
    for act in ACTS.values():
        words = [word for word in act.command.split() if not word.startswith("{")]
        command: Any = typer.main.get_command(app)
        while (inner := getattr(command, "commands", {})).get(words[0] if words else ""):
            command = inner[words.pop(0)]
        assert {word for word in words if word.startswith("-")} <= {
            name for each in command.params for name in each.opts
        }


def test_a_source_that_fails_is_tried_now_and_one_that_waits_for_the_spool_or_is_pushed_is_not() -> None:
    one = {"state": "retrying", "well": False}
    assert waits_for_a_try(one)
    assert not any(
        map(waits_for_a_try, ({**one, "well": True}, {**one, "state": "paused"}, {**one, "is_pushed": True}))
    )
    ids = page("key").ids()
    assert {"source-acme-retry", "verdict-retry"} <= set(ids)


def test_a_verb_that_a_daemon_has_not_brings_no_button() -> None:
    assert "Read the configuration again" not in page("several", Hand(["lanes.pause"], "TICKET")).text
    assert "Read the configuration again" in page("several").text


def test_what_cannot_be_undone_asks_first_and_every_form_has_the_ticket() -> None:
    found = main(shown("several"), EVERY)
    forms = re.findall(r"<form .*?</form>", found)
    assert forms
    assert all('method="post"' in form and 'name="ticket" value="TICKET"' in form for form in forms)
    for form in forms:
        needs = re.search(r'action="do/(letters-discard|forget|replay-cancel)"', form) is not None
        assert ('name="sure"' in form) is needs


def test_a_secret_of_the_configuration_is_shown_as_stars() -> None:
    assert "**********" in page("held").text


# ------------------------------------------------------------------------------------------------------------- hostile


def test_hostile_text_is_text() -> None:
    found = main(shown("hostile"), EVERY)
    assert "<script" not in found.lower().replace('src="page.js"', "")
    assert "<img" not in found
    assert not set("\u202e\x1b\x00\n\r") & set(found)
    assert "\\u202e" in found
    Page(found)


TEXTS = st.text(
    alphabet=st.one_of(st.sampled_from("<>&\"'`=/ \x00\x01\x02\x1b\u202e\u2066\n\r@"), st.characters()), max_size=40
)


def replaced(tree: Any, text: str) -> Any:
    """Return the JSON with every text of it but times, states and kinds made hostile."""
    if isinstance(tree, dict):
        kept = {"state", "tone", "judgement", "now", "kind", "worst", "day"}
        return {key: value if key in kept else replaced(value, text) for key, value in tree.items()}
    if isinstance(tree, list):
        return [replaced(item, text) for item in tree]
    return f"{text}{EVIL}" if isinstance(tree, str) else tree


@settings(max_examples=examples(40))
@given(text=TEXTS, name=st.sampled_from(sorted(STATES)))
def test_no_text_of_any_field_becomes_markup(text: str, name: str) -> None:
    clean = Redactor().scrub(replaced(shown(name), text), most_items=10**6)
    for found in (
        main(clean, EVERY),
        document(no_report(EVIL + text), title=text + EVIL, notice=text + EVIL, place=EVIL),
    ):
        assert not re.search(r"<(?:img|script(?! src=\"page.js\"))", found)
        assert not set("\u202e\u2066\x00\x01\x02\x1b") & set(found)
        tags = {tag for tag, _ in Page(found.removeprefix("<!doctype html>\n")).tags}
        assert tags <= ALLOWED | {"html", "head", "body", "meta", "title", "link", "script", "noscript", "symbol"}


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=examples(40))
@given(key=st.sampled_from(sorted(shown("several"))), value=JSON)
def test_a_field_of_another_kind_or_version_breaks_nothing(key: str, value: Any) -> None:
    found = shown("several")
    Page(main({**found, key: value}, EVERY))
    Page(main({name: each for name, each in found.items() if name != key}, EVERY))
    for part in ("sources", "sinks"):
        Page(main({**found, part: [{**one, key: value, "hours": value, "keys": value} for one in found[part]]}, EVERY))


# --------------------------------------------------------------------------------------------------------------- pieces


def test_two_pages_that_differ_in_what_ticks_only_have_one_shape() -> None:
    shapes = [re.findall(r'data-shape="(\w+)"', unit("a", "p", f"{slot('b', content)} {rest}"))
              for content, rest in (("1 s", "x"), ("2 s", "x"), ("2 s", "y"))]  # fmt: skip
    assert shapes[0] == shapes[1] != shapes[2]


def test_a_second_later_only_slots_changed() -> None:
    found = shown("several")
    later = {**found, "now": "2026-09-21T14:13:21.000Z", "sinks": [
        {**one, "tries": 99, "lag_events": one["lag_events"] + 5, "lag_seconds": 9000.0, "trouble_since_age_seconds": 12781.0,
         "next_try_in_seconds": 3.0} for one in found["sinks"]
    ]}  # fmt: skip
    later["verdict"] = {**found["verdict"], "waiting": 30_000}
    shapes = [re.findall(r'id="([^"]+)" data-shape="(\w+)"', main(each, EVERY)) for each in (found, later)]
    assert {name for (name, one), (_, other) in zip(*shapes, strict=True) if one != other} <= {"later"}


def test_the_boxes_say_what_the_hours_were() -> None:
    worst = [None, "working", "idle", "retrying", "held", "paused", "of a later version", "working"]
    hours = {"first": "2026-09-21T06:00:00Z", "worst": worst, "lag_seconds": [None, 1, 2, 3, 4, 5, 6, 4000.0]}
    assert boxes("sink", hours) == ["none", "well", "well", "late", "held", "off", "late", "late"]
    assert boxes("source", hours)[5] == "held"
    found = strip("sink", hours)
    assert "no record from Mon 21 Sep 06:00 UTC to Mon 21 Sep 07:00 UTC" in found
    assert "late from Mon 21 Sep 12:00 UTC until now; else well" in found
    assert "at most 1 h 6 min late" in found
    assert strip("sink", {"first": "no time", "worst": worst, "lag_seconds": [1]}) == ""


def test_moments_are_in_utc_and_in_the_zone_that_is_set() -> None:
    report = {**shown("held"), "time_zone": "Asia/Tokyo"}
    in_utc, in_both = main(shown("held"), EVERY), main(report, EVERY)
    [since] = re.findall(r'<p class="mood">.*?<time [^>]*>([^<]*) UTC</time>', in_utc)
    at = datetime.strptime(f"2026 {since}", "%Y %a %d %b %H:%M").replace(tzinfo=UTC).astimezone(ZoneInfo("Asia/Tokyo"))
    in_both = in_both.replace("\u00a0", " ")
    assert re.search(rf">{since} UTC \(([A-Z][a-z]+ \d+ [A-Z][a-z]+ )?{at:%H:%M} \+09:00\)</time>", in_both)
    assert len(re.findall(r"<time [^>]*UTC \([^)]*\+09:00\)\">", in_both)) == in_utc.count("<time ")
    assert re.search(r'data-clock="\d\d:\d\d:\d\d UTC \([^)]*\d\d:\d\d:\d\d \+09:00\), 2026-', in_both)
    plain = re.sub(r" \([^)]*\+09:00\)", "", in_both)
    assert re.sub(r'data-shape="\w+"', "", plain) == re.sub(r'data-shape="\w+"', "", in_utc)
    assert main({**report, "time_zone": "Nowhere/Land"}, EVERY) == in_utc


def test_a_number_nobody_knows_is_no_nought() -> None:
    assert [number(value) for value in (None, "7", True, 0, 1234567)] == [
        "\u2013",
        "\u2013",
        "\u2013",
        "0",
        "1\u202f234\u202f567",
    ]


def test_the_day_that_is_not_over_is_no_trouble() -> None:
    found = main(shown("well"), EVERY)
    assert 'title="2026-09-21: not over yet"' in found
    assert 'class="late" title="2026-09-' not in found
