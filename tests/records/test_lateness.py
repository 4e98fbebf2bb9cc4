"""Late is not new: which events are marked as what, what a sink does with them, and that live ones are untouched."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from forwarder.contracts import FieldsConfig, Late, LateConfig, Origin, Record, SinkConfig
from forwarder.contracts.privacy import preset
from forwarder.records.filters import Filter
from forwarder.records.lateness import KINDS, Lateness
from forwarder.records.maker import Prepared, RecordMaker
from forwarder.records.normalizers import Remembering
from forwarder.records.privacy import PrivateRecords, build_privacy
from forwarder.registry import build_format
from forwarder.sources.organization.normalizer import OrganizationNormalizer
from forwarder.spool.contract import Chunk
from sinks.elasticsearch.settings import ElasticsearchConfig
from sinks.splunk_hec.settings import SplunkHecConfig

ORIGIN = Origin("acme", "organization", "org-1")
HAPPENED = 1_769_853_600_000  # 2026-01-31T10:00:00Z
HOUR_MS = 3_600_000
LIVE = ("tail", "reread", "webhook", "heartbeat", "", "a reader of tomorrow")


def body(number: int = 1, when: str | None = "2026-01-31T10:00:00.000Z") -> bytes:
    actor = {"id": "712020:1", "name": "Nora"}
    attributes = {"action": "user_login", "actor": actor} | ({"time": when} if when is not None else {})
    return json.dumps({"id": f"e-{number}", "attributes": attributes}).encode()


def chunk(reader: str, hours: float, *bodies: bytes, first: int = 1) -> Chunk:
    bodies = bodies or (body(),)
    keys = bytes(range(16)) * len(bodies)
    return Chunk(1, ORIGIN, first, list(bodies), keys, HAPPENED + round(hours * HOUR_MS), reader=reader)


class Lane:
    """What makes the records of a sink, and what it counts."""

    def __init__(self, format_name: str = "ecs", normalizer: Any = None, now: float = 0.0, **more: Any) -> None:
        self.counts: Counter[str] = Counter()
        late = LateConfig.model_validate(more.pop("late", {}))
        normalizer = normalizer or OrganizationNormalizer()
        if more.pop("private", False):
            more["privacy"] = PrivateRecords(build_privacy(preset("strict"), often=False), lambda _: normalizer)
        self.maker = RecordMaker(
            build_format(format_name),
            Filter(None, None),
            lambda _: normalizer,
            Counter(),
            lateness=Lateness(late, self.counts, lambda: now),
            **more,
        )

    def make(self, made: Chunk) -> Prepared:
        return self.maker.make(made)


def ecs(prepared: Prepared, number: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(prepared.records[number].body)
    return found


@pytest.mark.parametrize("reader", LIVE)
def test_an_event_is_late_by_its_age_whoever_reads_live(reader: str) -> None:
    lane = Lane()
    assert ecs(lane.make(chunk(reader, 0.0832))) == ecs(Lane().make(chunk("tail", 0.0832)))
    assert lane.counts == Counter()
    assert ecs(Lane().make(chunk(reader, 0.0834)))["tags"] == ["late"]
    document = ecs(lane.make(chunk(reader, 3)))
    assert document["tags"] == ["late"]
    assert document["atlassian"]["audit"]["marks"] == ["late"]
    assert document["atlassian"]["audit"]["late"] == {
        "kind": "late",
        "seconds": 3 * 3600,
        **({"reader": reader} if reader else {}),
    }
    assert document["@timestamp"].startswith("2026-01-31T10:00:00")
    assert document["event"]["ingested"].startswith("2026-01-31T13:00:00")
    assert lane.counts == Counter({"late": 1})


@pytest.mark.parametrize(
    ("reader", "kind"), [*KINDS.items(), ("backfill:3", "backfill"), ("reconcile/24h", "recovered")]
)
@pytest.mark.parametrize("hours", [0.0834, 0.9, 300])
def test_who_looks_again_or_fetches_history_says_so_of_every_event(reader: str, kind: str, hours: float) -> None:
    document = ecs(Lane(now=HAPPENED / 1000 + hours * 3600).make(chunk(reader, hours)))
    assert document["tags"] == [kind]
    assert document["atlassian"]["audit"]["late"]["seconds"] == max(0, round(hours * 3600))
    assert document["atlassian"]["audit"]["late"]["reader"] == reader


@pytest.mark.parametrize("reader", ["heal", "backfill", "backfill:3"])
@pytest.mark.parametrize("late", [{}, {"events": "hold_back", "after": "5m"}, {"after": "30d"}])
def test_a_walk_that_comes_near_the_present_reads_live_events_as_tail_does(reader: str, late: Any) -> None:
    lane = Lane(late=late, now=HAPPENED / 1000 + 86_400)
    for hours in (-1, 0, 2 / 3600, 0.0832):
        assert ecs(lane.make(chunk(reader, hours))) == ecs(Lane().make(chunk("tail", hours)))
    assert lane.counts == Counter()


def test_a_walk_marks_of_one_page_what_is_old() -> None:
    old, young = body(1), body(2, "2026-01-31T12:59:58.000Z")
    records = Lane().make(chunk("heal", 3, old, young, body(3, when=None))).records
    assert [record.late and record.late.kind for record in records] == ["recovered", None, "recovered"]


def test_a_sink_may_have_a_shorter_measure_of_what_is_live_and_a_longer_one_makes_no_history_live() -> None:
    assert ecs(Lane(late={"after": "10s"}).make(chunk("backfill", 11 / 3600)))["tags"] == ["backfill"]
    assert "tags" not in ecs(Lane(late={"after": "10s"}).make(chunk("backfill", 9 / 3600)))
    assert ecs(Lane(late={"after": "30d"}).make(chunk("backfill", 3)))["tags"] == ["backfill"]


@pytest.mark.parametrize("reader", ["reconcile", "reconcile/24h", "import", "replay"])
def test_what_was_missed_or_is_read_from_elsewhere_says_so_however_young_it_is(reader: str) -> None:
    for hours in (-1, 0, 2 / 3600):
        document = ecs(Lane(now=HAPPENED / 1000 + hours * 3600).make(chunk(reader, hours)))
        assert document["tags"] == [KINDS[reader.split("/", maxsplit=1)[0]]]
        assert document["atlassian"]["audit"]["late"]["seconds"] == max(0, round(hours * 3600))


def test_an_event_without_a_time_is_of_no_age() -> None:
    nothing = body(when=None), body(when="yesterday")
    live = Lane(late="hold_back").make(chunk("tail", 3, *nothing))
    assert [record.late for record in live.records] == [None, None]
    history = Lane(late="hold_back").make(chunk("backfill", 3, *nothing))
    assert [record.late for record in history.records] == [Late("backfill", None, "backfill")] * 2


def test_a_replay_is_as_late_as_it_is_sent() -> None:
    document = ecs(Lane(now=HAPPENED / 1000 + 86_400).make(chunk("replay", 0.01)))
    assert document["atlassian"]["audit"]["late"] == {"kind": "backfill", "seconds": 86_400, "reader": "replay"}
    assert document["event"]["ingested"].startswith("2026-02-01T10:00:00")


@pytest.mark.parametrize("format_name", ["ecs", "ocsf", "cef", "leef", "rfc5424_sd", "raw"])
@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("wants_event", [False, True])
@pytest.mark.parametrize("late", ["hold_back", {"events": "hold_back", "after": "2h"}])
def test_what_is_held_back_is_filtered_and_counted_by_itself(
    format_name: str, private: bool, wants_event: bool, late: Any
) -> None:
    lane = Lane(format_name, late=late, private=private, wants_event=wants_event)
    old, young = body(1), body(2, "2026-01-31T12:59:30.000Z")
    prepared = lane.make(chunk("backfill", 3, old, young, old, first=7))
    assert (prepared.filtered, [record.seq for record in prepared.records]) == ([7, 9], [8])
    assert lane.counts == Counter({"held_back": 2})  # the young one is live
    assert lane.make(chunk("reread", 3)).filtered == [1]
    assert lane.make(chunk("tail", 0.05)).filtered == []
    assert lane.counts == Counter({"held_back": 3})
    assert prepared.refused == []
    assert all((record.event is not None) == wants_event for record in prepared.records)


def test_what_nobody_understands_is_delivered_as_it_is() -> None:
    prepared = Lane("raw", late="hold_back").make(chunk("tail", 3, b'["no event"]', b'{"no":"time"}'))
    assert prepared.filtered == []
    assert len(prepared.records) + len(prepared.refused) == 2


@pytest.mark.parametrize("private", [False, True])
def test_elsewhere_is_told_to_the_sink_and_the_threshold_counts(private: bool) -> None:
    late = SplunkHecConfig.model_validate(
        {"url": "https://127.0.0.1:1", "token": "t", "late": {"events": "elsewhere", "index": "old", "after": "1h"}}
    ).late
    lane = Lane("raw", late=late, private=private, wants_event=True)
    young = body(2, "2026-01-31T12:30:00.000Z")
    records = lane.make(chunk("heal", 3, body(1), young)).records
    assert [record.elsewhere for record in records] == [True, False]
    assert [record.late.kind for record in records if record.late] == ["recovered", "recovered"]
    assert not any(record.elsewhere for record in lane.make(chunk("tail", 0.9)).records)


def test_raw_stays_byte_for_byte() -> None:
    [record] = Lane("raw", wants_event=True).make(chunk("reconcile", 30)).records
    assert record.body == body()
    assert record.late == Late("recovered", 30 * 3600, "reconcile")


def test_a_lane_marks_its_own_copy_of_a_meaning_that_several_share() -> None:
    shared = Remembering(OrganizationNormalizer())
    strict, lenient = Lane(normalizer=shared), Lane(normalizer=shared, late={"after": "30d"})
    made = chunk("reread", 3)
    for _ in range(2):
        assert ecs(strict.make(made))["tags"] == ["late"]
        assert "tags" not in ecs(lenient.make(made))


def test_privacy_takes_no_mark_away() -> None:
    document = ecs(Lane(private=True).make(chunk("import", 300)))
    assert document["tags"] == ["backfill"]
    assert document["atlassian"]["audit"]["marks"] == ["private", "derived_id", "backfill"]
    assert document["atlassian"]["audit"]["late"]["seconds"] == 300 * 3600


def test_own_tags_stand_beside_the_mark() -> None:
    lane = Lane()
    lane.maker._format = build_format("ecs", fields=FieldsConfig(add={"tags": "prod", "labels.env": "x"}))
    assert ecs(lane.make(chunk("tail", 0)))["tags"] == ["prod"]
    assert ecs(lane.make(chunk("tail", 3)))["tags"] == ["prod", "late"]
    assert ecs(lane.make(chunk("tail", 3)))["labels"] == {"env": "x"}


@pytest.mark.parametrize("format_name", ["ecs", "ocsf", "cef", "leef", "rfc5424_sd"])
def test_a_cut_record_keeps_its_mark(format_name: str) -> None:
    long = json.loads(body())
    long["message"] = {"content": "x" * 30_000}
    whole = Lane(format_name).make(chunk("heal", 30, json.dumps(long).encode())).records[0].body
    for limit in (len(whole) - 1, 4000, 1800):
        [record] = Lane(format_name, max_body=limit).make(chunk("heal", 30, json.dumps(long).encode())).records
        assert len(record.body) <= limit
        assert b"recovered" in record.body


# ------------------------------------------------------------------------------------------------------------ settings


class Plain(SinkConfig):
    """Settings of a sink with one place."""

    type: str = "plain"


ELASTIC = {"url": "https://127.0.0.1:1"}
SPLUNK = {"url": "https://127.0.0.1:1", "token": "t"}


@pytest.mark.parametrize(
    ("kind", "more", "late", "words"),
    [
        (Plain, {}, "elsewhere", "one place only"),
        (Plain, {}, {"events": "elsewhere", "after": "1h"}, "one place only"),
        (Plain, {}, "drop", "hold_back"),
        (Plain, {}, {"events": "deliver", "index": "x"}, "index"),
        (Plain, {}, {"after": "0s"}, "1s"),
        (SplunkHecConfig, SPLUNK, "elsewhere", "index or sourcetype"),
        (SplunkHecConfig, SPLUNK, {"index": "old"}, "events: elsewhere"),
        (SplunkHecConfig, SPLUNK, {"events": "elsewhere", "index": "Not An Index"}, "name of an index"),
        (ElasticsearchConfig, ELASTIC, "elsewhere", "data_stream"),
        (ElasticsearchConfig, ELASTIC, {"events": "hold_back", "data_stream": "logs-atlassian.audit-x"}, "elsewhere"),
        (
            ElasticsearchConfig,
            ELASTIC,
            {"events": "elsewhere", "data_stream": "logs-atlassian.audit-default"},
            "another one",
        ),
        (ElasticsearchConfig, ELASTIC, {"events": "elsewhere", "data_stream": "logs-other-late"}, "last part"),
    ],
)
def test_what_cannot_be_meant_is_refused(kind: type[SinkConfig], more: Any, late: Any, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        kind.model_validate({**more, "late": late})


@pytest.mark.parametrize("kind", [Plain, SplunkHecConfig, ElasticsearchConfig])
@pytest.mark.parametrize("word", ["deliver", "hold_back"])
def test_a_word_stands_for_the_mapping(kind: type[SinkConfig], word: str) -> None:
    more = {Plain: {}, SplunkHecConfig: SPLUNK, ElasticsearchConfig: ELASTIC}[kind]
    assert kind.model_validate({**more, "late": word}).late.events == word


def test_marks_cost_a_live_event_nothing_but_a_look() -> None:
    lane = Lane()
    live = [lane.make(chunk(reader, hours)).records[0] for reader, hours in itertools.product(LIVE, (-5, 0, 0.08))]
    assert {(record.late, record.elsewhere, record.marks) for record in live} == {(None, False, ())}
    assert msgspec.structs.asdict(Record(1, ORIGIN, "", b""))["late"] is None
