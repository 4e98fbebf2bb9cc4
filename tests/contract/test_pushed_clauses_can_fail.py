"""The clauses of sources that receive find what they are there for: our own source, with one thing wrong at a time."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import msgspec
import pytest

from forwarder.contracts import Page, Received, Retryable
from forwarder.receiving import server
from forwarder.receiving.inbox import Answer, Inbox
from forwarder.testing import pushed_clauses, sender
from tests.contract.feeds import GuardDetectSender

BYTES = "test_one_and_many_are_read_byte_for_byte"
KEYS = "test_an_event_has_one_key_in_every_life"
DEAD = "test_what_cannot_be_read_is_kept_and_becomes_a_dead_letter"
DURABLE = "test_what_is_acknowledged_is_there_in_the_next_life"
AGAIN = "test_what_comes_again_is_acknowledged_and_not_stored_again"
SECRET = "test_without_the_secret_nothing_is_taken_and_it_is_never_shown"
FULL = "test_a_full_spool_is_said_and_what_was_sent_is_taken_later"

_count = itertools.count()


def changed(found: Received, **page: Any) -> Received:
    return msgspec.structs.replace(found, page=msgspec.structs.replace(found.page, **page))


def written_again(found: Received) -> Received:
    return changed(found, bodies=[body.replace(b" ", b"") for body in found.page.bodies])


def new_keys(found: Received) -> Received:
    return changed(found, keys=[next(_count).to_bytes(16, "big") for _ in found.page.keys])


def forgets_what_it_cannot_read(found: Received) -> Received:
    nothing = Page((), (), (), (), next={})
    return Received(nothing, found.unreadable, found.reason) if found.unreadable else found


@pytest.mark.parametrize(
    ("clause", "change"),
    [
        (BYTES, written_again),
        (KEYS, new_keys),
        (AGAIN, new_keys),
        (DEAD, forgets_what_it_cannot_read),
    ],
)
async def test_a_faulty_source_does_not_pass(clause, change, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = sender.build

    def faulty(*args: Any) -> Any:
        source = build(*args)
        receive = source.receive
        source.receive = lambda body: change(receive(body))
        return source

    monkeypatch.setattr(sender, "build", faulty)
    monkeypatch.setattr(pushed_clauses, "build", faulty)
    with pytest.raises(AssertionError):
        await getattr(pushed_clauses, clause)(GuardDetectSender, tmp_path=tmp_path)


async def acknowledges_first(inbox: Inbox, found: Any) -> Answer:
    return Answer(200, received=len(found.page.bodies), new=len(found.page.bodies))


@pytest.mark.parametrize("clause", [DURABLE, AGAIN])
async def test_an_answer_before_the_disk_does_not_pass(clause, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Inbox, "take", acknowledges_first)
    with pytest.raises((AssertionError, Retryable)):
        await getattr(pushed_clauses, clause)(GuardDetectSender, tmp_path=tmp_path)


async def test_a_port_that_takes_any_secret_does_not_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "brings", lambda values, secrets: True)
    with pytest.raises(AssertionError):
        await getattr(pushed_clauses, SECRET)(GuardDetectSender, tmp_path=tmp_path)


async def test_a_full_spool_that_is_not_said_does_not_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take = Inbox.take

    async def lies(inbox: Inbox, found: Any) -> Answer:
        answer = await take(inbox, found)
        return answer if answer.status == 200 else Answer(200)

    monkeypatch.setattr(Inbox, "take", lies)
    with pytest.raises((AssertionError, IndexError)):
        await getattr(pushed_clauses, FULL)(GuardDetectSender, tmp_path=tmp_path)
