"""An event that is stored again after a restore counts once; one whose clock was ahead is not missed in silence."""

from __future__ import annotations

import pytest

from forwarder.contracts import Origin
from forwarder.investigate.opened import open_archive
from forwarder.investigate.questions.answer import answer
from forwarder.investigate.questions.shapes import SHAPES
from forwarder.investigate.result import Question
from tests.investigate.asked import RUN, dicts
from tests.investigate.evidence import Archive, at
from tests.investigate.lines import entry, event

MS = 1000
PAGE = [entry("sites", "s1", siteName="acme", pageId="77")]


def _view(ident: str, time: str = "2026-03-01T10:00:00.000Z", **more) -> bytes:
    return event("confluence_page_viewed", ident=ident, time=time, container=PAGE, **more)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Give an archive of which an hour was stored again, with a revision, an event of another source, and of 2099."""
    made = Archive(tmp_path_factory.mktemp("twice"))
    views = [_view("1"), _view("2", "2026-03-01T10:05:00.000Z")]
    made.put("2026-03-01T10", [*views, _view("9", "2099-01-01T00:00:00.000Z"), _view("8", "2026-03-01T14:00:00.000Z")])
    made.put("2026-03-01T12", [*views, _view("2", "2026-03-01T10:05:00.000Z", ip="203.0.113.8")])
    made.put("2026-03-01T12", views[:1], Origin("second", "organization", "b1b2c3d4-0000-1111-2222-333344445555"))
    with open_archive(made.store, None, lambda _: None) as opened:
        yield opened


def _ask(archive, kind: str, who: str, since: str | None = None, until: str | None = None):
    times = [None if one is None else int(at(one).timestamp() * MS) for one in (since, until)]
    return answer(archive, SHAPES[kind], Question(kind, who, "UTC", *times), RUN, lambda _: None)


@pytest.mark.parametrize(("kind", "who"), [("user", "712020:ada"), ("content", "77"), ("ip", "203.0.113.7")])
def test_what_is_kept_twice_counts_once_and_is_said(archive, kind, who):
    result = _ask(archive, kind, who)
    others = 1 if kind == "ip" else 0  # the revision has another address
    assert result.totals.subject == 6 - others
    assert {one.code: one.events for one in result.limits}["kept_twice"] == 2
    assert sum(row["n"] for row in dicts(result, "timeline")) == 6 - others


@pytest.mark.parametrize(("kind", "who"), [("user", "712020:ada"), ("content", "77")])
def test_what_is_dated_later_than_it_was_stored_is_said_though_not_asked_about(archive, kind, who):
    result = _ask(archive, kind, who, "2026-03-01", "2026-03-02")
    limits = {one.code: one for one in result.limits}
    assert result.totals.subject == 5
    assert limits["clock"].events == 2
    assert "1 of them outside" in limits["clock"].text
    assert "2099" in limits["clock"].text
    assert limits["later"].events == 1


def test_of_an_address_only_what_is_dated_after_now_is_known(archive):
    result = _ask(archive, "ip", "203.0.113.7", "2026-03-01T10:00", "2026-03-01T10:06")
    assert "clock" not in {one.code for one in result.limits}
    assert "later" in {one.code for one in result.limits}
