"""The clauses find what they are there for: components that break them one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forwarder.contracts import CursorLost, Retryable, UnexpectedPayload
from forwarder.registry import BrokenPlugin
from forwarder.testing import feed as feeds
from forwarder.testing import format_clauses, source_clauses
from tests.contract.feeds import OrganizationFeed


class Sound:
    """A format without fault."""

    writes = "line"
    needs_event = True

    def render(self, records: list[Any]) -> list[Any]:
        return [self.one(record) for record in records]

    def one(self, record: Any) -> Any:
        text = f"{record.event.document_id} {record.event.message or ''}"
        return "".join(char if char.isprintable() else " " for char in text).encode()

    def shrink(self, record: Any, limit: int) -> Any:
        body = self.one(record)
        return body[:limit].decode(errors="ignore").encode() if limit >= 64 else UnexpectedPayload("too short")


class LetsLinesEnd(Sound):
    def one(self, record: Any) -> Any:
        return (record.event.message or "").encode("utf-8", "replace")


class FailsAtHalves(Sound):
    def one(self, record: Any) -> Any:
        return (record.event.message or "").replace("\n", " ").encode()


class Forgets(Sound):
    def render(self, records: list[Any]) -> list[Any]:
        return super().render(records)[:1]


class Counts(Sound):
    seen = 0

    def one(self, record: Any) -> Any:
        self.seen += 1
        return f"{self.seen}".encode()


class Changes(Sound):
    def one(self, record: Any) -> Any:
        record.event.message = "x"
        return b"x"


class Overflows(Sound):
    def shrink(self, record: Any, limit: int) -> Any:
        return self.one(record)


class NeedsAnActor(Sound):
    def one(self, record: Any) -> Any:
        return super().one(record) + record.event.actor.kind.encode()


class ClaimsJson(Sound):
    writes = "json"


HOSTILE = "test_hostile_texts_stay_inside_their_value"
SAME = "test_the_same_event_is_the_same_bytes_in_any_company"
CUT = "test_what_is_cut_keeps_its_limit_and_says_which_event_it_is"
ORDINARY = "test_an_ordinary_event_is_written_and_so_is_nothing"


def hold(clause: str, kind: type[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(format_clauses, "build_format", lambda *_, **__: kind())
    getattr(format_clauses, clause)("made-up")


@pytest.mark.parametrize("clause", [HOSTILE, SAME, CUT, ORDINARY])
def test_a_sound_format_passes(clause: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(clause, Sound, monkeypatch)


@pytest.mark.parametrize(
    ("clause", "kind"),
    [
        (HOSTILE, LetsLinesEnd),
        (HOSTILE, FailsAtHalves),
        (HOSTILE, NeedsAnActor),
        (SAME, Forgets),
        (SAME, Counts),
        (SAME, Changes),
        (CUT, Overflows),
        (ORDINARY, ClaimsJson),
    ],
)
def test_a_faulty_format_does_not(clause: str, kind: type[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises((AssertionError, ValueError, AttributeError)):
        hold(clause, kind, monkeypatch)


class Faulty:
    """Our source with one thing wrong."""

    def __init__(self, source: Any) -> None:
        self.source = source

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)


class Rewrites(Faulty):
    async def fetch(self, state: Any) -> Any:
        page = await self.source.fetch(state)
        return _with(page, bodies=[bytes(body).replace(b": ", b":") for body in page.bodies])


class Skips(Faulty):
    """Its cursor is ahead of its events."""

    async def fetch(self, state: Any) -> Any:
        page = await self.source.fetch(state)
        ahead = await self.source.fetch(page.next) if page.more else page
        return _with(page, next=ahead.next)


class LivesInMemory(Faulty):
    """What it needs to go on is not in its state."""

    async def fetch(self, state: Any) -> Any:
        self.__dict__.setdefault("last", state)
        page = await self.source.fetch(self.last)
        self.last = page.next
        return _with(page, next={})


class SaysTheKey(Faulty):
    async def fetch(self, state: Any) -> Any:
        try:
            return await self.source.fetch(state)
        except Retryable as error:
            raise type(error)(f"{error} {self.source._config.api_key.reveal()}", kind=error.kind) from error


class KeepsLostCursors(Faulty):
    async def fetch(self, state: Any) -> Any:
        try:
            return await self.source.fetch(state)
        except CursorLost as error:
            raise Retryable(str(error)) from error


class SaysNoWait(Faulty):
    async def fetch(self, state: Any) -> Any:
        try:
            return await self.source.fetch(state)
        except Retryable as error:
            raise Retryable(str(error), kind=error.kind) from error


def _with(page: Any, **changes: Any) -> Any:
    members = {name: getattr(page, name) for name in page.__struct_fields__}
    if "bodies" in changes:
        changes["digests"] = source_clauses.content_digests(changes["bodies"])
    return type(page)(**members | changes)


FAULT = "test_a_fault_is_told_by_its_error_and_costs_nothing"


@pytest.mark.parametrize(
    ("clause", "kind", "fault"),
    [
        ("test_odd_json_is_kept_byte_for_byte", Rewrites, None),
        ("test_every_event_comes_once_in_order_and_as_it_was_sent", Skips, None),
        ("test_from_any_cursor_on_nothing_is_missing", LivesInMemory, None),
        ("test_a_cursor_that_is_refused_is_lost", KeepsLostCursors, None),
        (FAULT, SaysTheKey, "server_error"),
        (FAULT, SaysNoWait, "rate_limited"),
    ],
)
async def test_a_faulty_source_breaks_its_clause(
    clause: str, kind: type[Faulty], fault: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = feeds.build_source
    monkeypatch.setattr(source_clauses, "build_source", lambda *args, **more: kind(build(*args, **more)))
    config = {} if fault is None else {"fault": fault}
    with pytest.raises((AssertionError, pytest.fail.Exception, Retryable, KeyError)):
        await getattr(source_clauses, clause)(OrganizationFeed, tmp_path=tmp_path, **config)


def test_a_format_that_is_not_registered_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Exception, match="unknown format type") as caught:
        format_clauses.test_what_a_format_declares_can_be("made-up")
    assert not isinstance(caught.value, BrokenPlugin)
