"""What may not be kept is taken out of a page before anything of it is written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from forwarder.contracts import Held, Page
from forwarder.spool.contract import PageCommit
from forwarder.spool.sqlite.store import SqliteSpool
from tests.spool.spools import ACME, OTHER, Harness, body_of, move, names


def without_secrets(page: Page) -> Page:
    return msgspec.structs.replace(page, bodies=[body.replace(b"secret", b"***") for body in page.bodies])


class Redacting(Harness):
    """A spool that redacts the pages of `acme`."""

    redact: Callable[[Page], Page] = staticmethod(without_secrets)

    async def open(self) -> Redacting:
        self.spool = SqliteSpool(self.config, self.clock, {"acme": self._redact})
        await super().open()
        return self

    def _redact(self, page: Page) -> Page:
        return self.redact(page)


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Redacting]:
    made = await Redacting(tmp_path).open()
    yield made
    await made.spool.close()


@pytest.mark.parametrize("reopens", [False, True])
async def test_pages_of_the_source_are_written_without_it_and_those_of_others_as_they_came(
    harness: Redacting, reopens: bool
) -> None:
    lane = await harness.lane()
    if reopens:
        await harness.reopen()
    assert (await harness.put(("a", "a secret"), moves=[move("tail", None, at=1)])).new == 1
    assert "tail" in (await harness.put(moves=[move("tail", 1, at=2)])).versions, "a cursor has nothing to take out"
    harness.source = await harness.spool.open_source(OTHER)
    await harness.put(("b", "a secret"))
    assert sorted(await harness.drain(lane)) == [body_of("a", "a ***"), body_of("b", "a secret")]


async def test_a_page_that_cannot_be_redacted_now_is_not_written_and_moves_no_cursor(harness: Redacting) -> None:
    def fail(page: Page) -> Page:
        raise Held("The key is gone.", fix="Put it back.")

    harness.redact = fail
    with pytest.raises(Held, match="The key is gone"):
        await harness.put(*names("a", 2), moves=[move("tail", None, at=1)])
    harness.redact = without_secrets
    done = await harness.spool.commit(
        PageCommit(harness.source.number, harness.source.epoch, [move("tail", None, at=5)])
    )
    assert (done.last_seq, "tail" in done.versions) == (0, True)
    assert (await harness.spool.open_source(ACME)).cursors["tail"].state == {"at": 5}


async def test_a_redaction_that_fails_is_not_taken_for_a_damaged_spool(harness: Redacting) -> None:
    def fail(page: Page) -> Page:
        raise ValueError("of the redaction")

    harness.redact = fail
    with pytest.raises(ValueError, match="of the redaction"):
        await harness.put("a")
