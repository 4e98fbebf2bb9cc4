"""What a source redacts touches no byte of the disk, and everything else stays as it would be without."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forwarder.assembly import build_spool
from forwarder.contracts import Held, Origin, Page, Secret
from forwarder.contracts.clock import SystemClock
from forwarder.contracts.identity import EventKeys, content_digests, is_pushed, pushed_digests
from forwarder.contracts.privacy import PrivacyConfig
from forwarder.records.privacy import Redaction, build_privacy
from forwarder.spool.config import SpoolConfig
from forwarder.spool.contract import PageCommit, Settlement, Spool

ORIGIN = Origin("acme", "organization", "a1b2c3d4-0000-1111-2222-333344445555")


def body_of(ident: str, title: str, city: str = "Kyiv") -> bytes:
    context = [{"id": "98310", "type": "page", "attributes": {"title": title}}]
    attributes = {"action": "page_viewed", "context": context, "location": {"city": city}}
    return json.dumps({"id": ident, "attributes": attributes, "message": {"content": f"saw {title}"}}).encode()


def page_of(*bodies: bytes) -> Page:
    keys = EventKeys(ORIGIN.feed, ORIGIN.scope)
    idents = [json.loads(body)["id"] if body[:1] == b"{" else "odd" for body in bodies]
    return Page(bodies, [keys.key(ident) for ident in idents], content_digests(bodies), [""] * len(bodies), {})


def spool_in(folder: Path, config: PrivacyConfig | None = None) -> Spool:
    redactions = {"acme": Redaction("organization", build_privacy(config))} if config is not None else None
    return build_spool(SpoolConfig(path=folder / "spool.db"), SystemClock(), redactions)


async def committed(spool: Spool, *pages: Page) -> list[tuple[int, int, int]]:
    state = await spool.open_source(ORIGIN)
    found = []
    for page in pages:
        done = await spool.commit(PageCommit(state.number, state.epoch, page=page))
        found.append((done.new, done.repeats, done.revisions))
    return found


async def kept_in(spool: Spool) -> tuple[list[bytes], list[bytes]]:
    lane = await spool.open_lane("out", "t", start=None, on_full="pause")
    taken = await spool.exchange(lane.number, Settlement(), after=0, events=100)
    return [body for chunk in taken.chunks for body in chunk.bodies], [chunk.keys for chunk in taken.chunks]


def on_disk(folder: Path, text: bytes) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and text in path.read_bytes()]


@pytest.mark.parametrize("redacts", [True, False])
async def test_what_is_redacted_touches_no_byte_of_the_disk(tmp_path, redacts):
    spool = spool_in(tmp_path, PrivacyConfig(preset="no_content") if redacts else None)
    await spool.open()
    page = page_of(body_of("e1", "CANARY-4f1d9c"), b"CANARY-4f1d9c is no JSON")
    await committed(spool, page)
    bodies, keys = await kept_in(spool)
    assert any(b"CANARY" in body for body in bodies) is not redacts
    assert b"".join(keys) == b"".join(page.keys)
    await spool.close()
    assert not (redacts and on_disk(tmp_path, b"CANARY"))


async def test_a_copy_that_differs_only_in_what_is_redacted_is_a_repeat(tmp_path):
    spool = spool_in(tmp_path, PrivacyConfig(preset="no_content"))
    await spool.open()
    first, titled, moved = body_of("e1", "One"), body_of("e1", "Two"), body_of("e1", "Two", city="Oslo")
    assert await committed(spool, page_of(first), page_of(titled), page_of(moved)) == [(1, 0, 0), (0, 1, 0), (1, 0, 1)]
    await spool.close()


async def test_other_sources_are_kept_as_the_api_sent_them(tmp_path):
    spool = spool_in(tmp_path)
    await spool.open()
    body = body_of("e1", "Title")
    await committed(spool, page_of(body))
    assert (await kept_in(spool))[0] == [body]
    await spool.close()


async def test_without_its_key_nothing_is_kept(tmp_path):
    config = PrivacyConfig(names="pseudonymise", key=Secret(path=tmp_path / "none"))
    spool = spool_in(tmp_path, config)
    await spool.open()
    named = json.dumps({"id": "e1", "attributes": {"actor": {"name": "Ada"}}}).encode()
    with pytest.raises(Held, match=r"redact\.key_file"):
        await committed(spool, page_of(named))
    assert (await kept_in(spool))[0] == []
    await spool.close()


def test_an_event_that_was_pushed_ahead_stays_known_as_such():
    page = page_of(body_of("e1", "One"), body_of("e2", "Two"))
    ahead = pushed_digests(page.bodies)
    mixed = Page(page.bodies, page.keys, [ahead[0], page.digests[1]], page.minutes, {})
    redacted = Redaction("organization", build_privacy(PrivacyConfig(preset="strict")))(mixed)
    assert [is_pushed(digest) for digest in redacted.digests] == [True, False]
    assert redacted.keys == page.keys


def test_a_pseudonym_stays_what_it_is_in_every_sink_with_the_key(tmp_path):
    (tmp_path / "key").write_text("one key")
    config = PrivacyConfig(
        content="pseudonymise", names="pseudonymise", addresses="pseudonymise", key=Secret(path=tmp_path / "key")
    )
    body = {
        "attributes": {"actor": {"name": "Ada", "email": "ada@example.com"}, "context": [{"type": "x", "id": "a b"}]}
    }
    once = build_privacy(config).apply("organization", json.dumps(body).encode())
    assert build_privacy(config).apply("organization", once) == once
    assert b"Ada" not in once
