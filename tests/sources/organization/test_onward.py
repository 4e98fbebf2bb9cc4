"""Where a page says how it goes on: texts that are links, the Link header, names beside each other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from forwarder.sources.organization.cursors import LONGEST_CURSOR, Onward, is_sendable, onward_of


def read(members: dict[str, Any], link: str = "") -> Onward:
    return onward_of({name: json.dumps(value).encode() for name, value in members.items()}, {"link": link})


@pytest.mark.parametrize(
    ("text", "cursor"),
    [
        ("/x?after=c5", "c5"),
        ("?next_token=c5&limit=5", "c5"),
        ("//api.example.com/x?cursor=c5", "c5"),
        ("admin/v1/events-stream?limit=5&cursor=c5", "c5"),
        ("HTTPS://api.example.com/x?Cursor=c%2F5", "c/5"),
        ("https://api.example.com/x?after=first&cursor=c5", "c5"),
        ("/x?page=2", None),
        ("?limit=5", None),
        ("http://[broken?cursor=c5", None),
        ("/9j/4AAQ==", "/9j/4AAQ=="),  # base64 may begin so
        ("c5?\"'&=#", "c5?\"'&=#"),
        ("what?after=all", "what?after=all"),
    ],
)
def test_a_link_is_never_passed_back_as_a_cursor(text: str, cursor: str | None) -> None:
    for members in ({"links": {"next": text}}, {"meta": {"next": {"href": text}}}, {"next": [text]}):
        assert read(members).cursor == cursor


@pytest.mark.parametrize(
    ("link", "cursor"),
    [
        ('<https://api.example.com/x?cursor=c5>; rel="next"', "c5"),
        ("</x?limit=5&cursor=c5>; rel=next", "c5"),
        ('<?cursor=c1>; rel="prev", <?cursor=c5>; title="a"; REL="next"', "c5"),
        ('<?cursor=c5>; rel="next", <?cursor=c1>; rel="prev"', "c5"),
        ('<?cursor=c1>; rel="prev"', None),
        ('<?cursor=c1>; rel="nextish"', None),
        ('<?page=2>; rel="next"', None),
        ("<" * 1000, None),
    ],
)
def test_the_link_header_is_read(link: str, cursor: str | None) -> None:
    assert read({}, link) == Onward(cursor)
    assert read({"meta": {"next": "c9"}}, link).cursor == "c9"


@pytest.mark.parametrize(
    ("members", "ended"),
    [
        ({}, False),
        ({"meta": {"next": None}}, True),
        ({"meta": {"next": ""}}, True),
        ({"links": {"next": []}}, True),
        ({"links": {"next": [None, {"href": ""}]}}, True),
        ({"meta": {"hasMore": False}}, True),
        ({"meta": {"next": None, "hasMore": True}}, False),
        ({"meta": {"next": "/x?page=2"}}, False),
        ({"meta": {"next": "c" * (LONGEST_CURSOR + 1)}}, False),
        ({"meta": {"next": "c5", "hasMore": False}}, False),
    ],
)
def test_an_end_is_one_only_when_it_is_said(members: dict[str, Any], ended: bool) -> None:
    assert read(members).ended == ended


def test_flags_and_lengths() -> None:
    assert read({"meta": {"hasMore": True}}) == Onward(more=True)
    assert read({"meta": {"hasMore": True, "next": "c5"}}) == Onward("c5")
    assert read({"meta": {"hasMore": "true"}}) == Onward()
    assert read({"meta": {"next": "c" * (LONGEST_CURSOR + 1)}}) == Onward(too_long=True)
    assert read({"meta": {"next": "c" * (LONGEST_CURSOR + 1)}, "links": {"next": "?cursor=c5"}}) == Onward("c5")
    assert is_sendable("c" * LONGEST_CURSOR)
    assert not is_sendable("c" * (LONGEST_CURSOR + 1))
    assert is_sendable("/" * (LONGEST_CURSOR // 3))
    assert not is_sendable("/" * (LONGEST_CURSOR // 3 + 1))
    assert not is_sendable("\ud800")


def test_the_cursor_that_was_used_gives_way_to_any_named_next() -> None:
    assert read({"meta": {"cursor": "used", "next": "c5"}}).cursor == "c5"
    assert read({"cursor": "used", "links": {"next": "c5"}}).cursor == "c5"
    assert read({"meta": {"cursor": "c5"}}).cursor == "c5"
    assert read({"meta": {"cursor": "used", "next": None}}).cursor is None
