"""From the spool to every format, with privacy: nothing private is rendered, and what an event means stays."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from forwarder.catalogue import load_catalogue
from forwarder.contracts import Held, Origin, Secret
from forwarder.contracts.identity import content_digests
from forwarder.contracts.privacy import PrivacyConfig, preset
from forwarder.contracts.settings import FilterRule
from forwarder.records.filters import Filter
from forwarder.records.maker import Prepared, RecordMaker
from forwarder.records.normalizers import Normalizers
from forwarder.records.privacy import PrivateRecords, build_privacy
from forwarder.records.privacy.tables import TABLES
from forwarder.registry import FORMATS, build_format
from forwarder.spool.contract import Chunk
from tests.events import golden_bodies
from tests.records.test_privacy import context_of, documents, planted, texts

ORIGIN = Origin("acme", "organization", "a1b2c3d4-0000-1111-2222-333344445555")
SOUND = {
    name: body
    for name, body in golden_bodies().items()
    if not (Path(__file__).parents[1] / "golden" / "organization" / name / "reason.txt").exists()
}


def chunk_of(bodies: list[bytes]) -> Chunk:
    keys = b"".join(number.to_bytes(16, "big") for number in range(len(bodies)))
    return Chunk(
        source=1, origin=ORIGIN, first=1, bodies=bodies, keys=keys, derived=frozenset(), revisions={}, settled=frozenset(),
        read_ms=1_727_952_300_000,
    )  # fmt: skip


def maker(render: str, privacy: PrivacyConfig | None, chosen: Filter | None = None, **more: Any) -> RecordMaker:
    normalizers = Normalizers(load_catalogue(), shared=True)
    return RecordMaker(
        build_format(render, **more),
        chosen or Filter(None, None),
        normalizers,
        Counter(),
        privacy=PrivateRecords(build_privacy(privacy), normalizers.anew) if privacy is not None else None,
    )


def made(render: str, bodies: list[bytes], privacy: str | PrivacyConfig | None, **more: Any) -> Prepared:
    config = preset(privacy) if isinstance(privacy, str) else privacy
    return maker(render, config, **more).make(chunk_of(bodies))


PRIVATE = (b"Nora Vale", b"nora.vale", b"Iver Holm", b"iver.holm", b"203.0.113.155", b"Kyiv", b"WEB-1", b"site-admins")


@pytest.mark.parametrize("render", sorted(FORMATS.names()))
@pytest.mark.parametrize("original", [False, True])
def test_no_format_renders_what_is_private(render, original):
    if original and render not in {"ecs", "ocsf"}:
        pytest.skip("only these formats keep the original")
    more = {"original": True} if original else {}
    prepared = made(render, list(SOUND.values()), "strict", **more)
    assert len(prepared.records) > 100
    for record in prepared.records:
        for text in PRIVATE:
            assert text not in record.body, record.body
            assert text not in record.raw


@pytest.mark.parametrize("privacy", ["strict", "no_content", "no_persons"])
def test_what_an_event_means_is_not_lost_with_its_words(privacy):
    whole, private = ({r.seq: json.loads(r.body)["event"] for r in made("ecs", [*SOUND.values()], how).records}
                      for how in (None, privacy))  # fmt: skip
    assert len(private) == len(whole)
    for number, event in private.items():
        for name in ("action", "code", "category", "type", "outcome", "severity"):
            assert event.get(name) == whole[number].get(name)


def test_a_record_says_that_it_was_made_private():
    [record] = made("ecs", [SOUND["project_created"]], "no_content").records
    assert json.loads(record.body)["atlassian"]["audit"]["marks"] == ["private"]


LEAKS = "Canary Bird shared it with canary@example.com"
"""A text that cannot be the API's own, wherever it stands."""


@cache
def one_text_at_a_time(feed: str) -> list[bytes]:
    """Return events of a feed, each with a canary in one of its texts, and every place of a text once."""
    folder = {"guard_detect": "guard_detect"}.get(feed, feed if "_" not in feed else "datacenter")
    golden = [json.loads(body) for body in read_golden(folder)]
    trees = [tree for tree in golden if isinstance(tree, dict)]
    trees += documents("jira_datacenter" if "datacenter" in feed else feed) if feed != "guard_detect" else []
    tried: set[Any] = set()
    bodies: list[bytes] = []
    for tree in trees:
        for path in texts(tree):
            kind = tuple("*" if isinstance(part, int) else part for part in path), context_of(path, tree)
            if kind not in tried:
                tried.add(kind)
                bodies.append(planted(tree, path, LEAKS))
    return bodies


def read_golden(folder: str) -> Iterator[bytes]:
    for path in sorted((Path(__file__).parents[1] / "golden" / folder).glob("*/in.json")):
        body = path.read_bytes()
        try:
            json.loads(body)
        except ValueError:
            continue
        yield body


@pytest.mark.parametrize("feed", sorted(TABLES))
@pytest.mark.parametrize("render", sorted(FORMATS.names()))
def test_no_text_that_cannot_be_the_apis_own_comes_back_in_any_format(feed, render):
    bodies = one_text_at_a_time(feed)
    origin = Origin("acme", feed, "", "acme.example.net") if feed != "organization" else ORIGIN
    prepared = maker(render, preset("strict")).make(msgspec.structs.replace(chunk_of(bodies), origin=origin))
    assert len(prepared.records) >= 15
    for record in prepared.records:
        assert b"canary" not in record.body.lower(), record.body
        assert b"canary" not in msgspec.json.encode(record).lower()


def test_a_field_that_is_left_out_does_not_come_back_as_the_name_of_the_action():
    body = {"type": {"actionI18nKey": "my.app.share", "action": "Shared with Ada"}, "timestamp": "2024-01-02T03:04:05Z"}
    config = PrivacyConfig(fields={"type.action": "drop"})
    for render in FORMATS.names():
        chunk = msgspec.structs.replace(
            chunk_of([json.dumps(body).encode()]), origin=Origin("dc", "jira_datacenter", "", "jira.example.com")
        )
        [whole], [private] = (maker(render, privacy).make(chunk).records for privacy in (None, config))
        assert b"Ada" in whole.body
        assert b"Ada" not in private.body


def test_the_filter_sees_the_whole_event():
    chosen = Filter([FilterRule(actor="nora.vale@example.com")], None)
    prepared = made("ecs", [SOUND["project_created"]], "strict", chosen=chosen)
    assert len(prepared.records) == 1
    assert not prepared.filtered


def test_an_event_of_which_no_one_can_tell_what_is_private_is_refused_and_shown_to_no_one():
    prepared = made("raw", [b'{"id":"1","x":'], "no_content")
    assert not prepared.records
    [letter] = prepared.refused
    assert "private" in letter.detail


def test_without_its_key_nothing_is_sent(tmp_path):
    path = tmp_path / "key"
    path.write_text("one key")
    config = PrivacyConfig(names="pseudonymise", key=Secret(path=path))
    assert made("raw", [SOUND["project_created"]], config).records
    path.unlink()
    with pytest.raises(Held, match="pseudonyms"):
        made("raw", [SOUND["project_created"]], config)


def test_lanes_side_by_side_never_see_what_the_other_may():
    normalizers = Normalizers(load_catalogue(), shared=True)
    config = preset("strict")
    plain = RecordMaker(build_format("ecs"), Filter(None, None), normalizers, Counter())
    private = RecordMaker(
        build_format("ecs"), Filter(None, None), normalizers, Counter(),
        privacy=PrivateRecords(build_privacy(config), normalizers.anew),
    )  # fmt: skip
    chunk = chunk_of([SOUND["project_created"]])
    for one, other in ((plain, private), (private, plain), (plain, private)):
        bodies = {one: one.make(chunk).records[0].body, other: other.make(chunk).records[0].body}
        assert b"Nora Vale" in bodies[plain]
        assert b"Nora Vale" not in bodies[private]


def revised(body: bytes, privacy: str | None) -> str:
    chunk = msgspec.structs.replace(chunk_of([body]), revisions={0: content_digests([body])[0]})
    [record] = maker("ecs", preset(privacy) if privacy else None).make(chunk).records
    assert "revision" in record.marks
    return record.id


def test_the_id_of_a_revision_says_nothing_of_what_is_left_out():
    one = SOUND["project_created"]
    other = one.replace(b"Nora Vale", b"Iver Holm")
    assert one != other
    assert revised(one, None) == f"{chunk_of([one]).keys.hex()}-{content_digests([one])[0].hex()}"
    assert revised(one, "strict") == revised(one, "strict") == revised(other, "strict") != revised(one, None)
    seen = one.replace(b"project_created", b"project_deleted")
    assert revised(seen, "strict") != revised(one, "strict")


@pytest.mark.parametrize(
    ("feed", "body"),
    [
        ("organization", {"attributes": {"action": "Alice Smith opened Payroll 2024", "time": "2024-01-01T00:00:00Z"}}),
        ("jira", {"summary": "Granted to alice@example.com Payroll", "created": "2024-01-01T00:00:00.000+0000"}),
        ("guard_detect", {"alertId": "1", "activity": {"action": "Payroll of alice@example.com"}}),
    ],
)
@pytest.mark.parametrize("render", ["ecs", "raw"])
def test_names_of_unknown_actions_are_counted_as_they_are_seen(feed, body, render):
    unknown: Counter[str] = Counter()
    origin = ORIGIN if feed == "organization" else Origin("a", feed, "", "acme.example.net")
    normalizers = Normalizers(load_catalogue(), shared=True)
    chunk = msgspec.structs.replace(chunk_of([json.dumps({"id": "1", **body}).encode()]), origin=origin)
    RecordMaker(
        build_format(render), Filter([FilterRule(action="*")], None), normalizers, unknown,
        privacy=PrivateRecords(build_privacy(preset("strict")), normalizers.anew),
    ).make(chunk)  # fmt: skip
    assert "payroll" not in str(unknown).lower()
    assert "alice" not in str(unknown).lower()


def test_a_sentence_is_no_name_of_an_action_of_the_organization():
    unknown: Counter[str] = Counter()
    body = b'{"id":"1","attributes":{"action":"Alice Smith opened Payroll 2024","time":"2024-01-01T00:00:00Z"}}'
    word = body.replace(b"Alice Smith opened Payroll 2024", b"quokka_pondered")
    normalizers = Normalizers(load_catalogue(), shared=True)
    RecordMaker(build_format("ecs"), Filter(None, None), normalizers, unknown).make(chunk_of([body, word]))
    assert unknown == {"(other)": 1, "quokka_pondered": 1}


def test_the_document_id_stays():
    [before] = made("ecs", [SOUND["project_created"]], None).records
    [after] = made("ecs", [SOUND["project_created"]], "strict").records
    assert before.id == after.id
    assert content_digests([before.raw]) != content_digests([after.raw])
