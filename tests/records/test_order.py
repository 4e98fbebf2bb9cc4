"""The order in which an event is prepared for a sink: meaning, filter, format; and what is decided before any of it."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any, ClassVar

import pytest

from forwarder.contracts import Origin, Record, UnexpectedPayload
from forwarder.contracts.settings import FilterRule
from forwarder.records.filters import Filter
from forwarder.records.maker import AT_ONCE, HEAVY, RecordMaker
from forwarder.registry import build_format
from forwarder.sources.organization.normalizer import OrganizationNormalizer
from forwarder.spool.contract import Chunk
from forwarder.testing.lanes import event

ACME = Origin("acme", "organization", "org-1")
ODD = b'["no event at all"]'


class Counting(OrganizationNormalizer):
    """Remembers which events it was asked to understand."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []
        self.groups: list[list[int]] = []

    def normalize(self, records: list[Record]) -> list[Any]:
        self.groups.append([record.seq for record in records])
        self.asked += self.groups[-1]
        return super().normalize(records)


def maker(
    normalizer: Counting,
    format_name: str = "ecs",
    *,
    include: Any = None,
    exclude: Any = None,
    wants_event: bool = False,
) -> RecordMaker:
    chosen = Filter(*(rules and [FilterRule(**rule) for rule in rules] for rules in (include, exclude)))
    return RecordMaker(build_format(format_name), chosen, lambda _: normalizer, Counter(), wants_event=wants_event)


def chunk(*bodies: bytes, first: int = 11, settled: frozenset[int] = frozenset()) -> Chunk:
    return Chunk(1, ACME, first, list(bodies), bytes(16 * len(bodies)), 5, settled=settled)


@pytest.mark.parametrize("format_name", ["ecs", "raw"])
@pytest.mark.parametrize(
    "rules",
    [{"exclude": [{"source": "acme"}]}, {"include": [{"source": "other", "action": "user_*"}]}, {"include": []}],
)
def test_what_the_origin_decides_is_filtered_unread(format_name: str, rules: dict[str, Any]) -> None:
    normalizer = Counting()
    prepared = maker(normalizer, format_name, **rules).make(chunk(event("a"), ODD, event("b"), settled=frozenset({13})))
    assert (prepared.filtered, prepared.records, prepared.refused) == ([11, 12], [], [])
    assert normalizer.asked == []


def test_what_cannot_be_understood_is_refused_only_where_its_meaning_is_needed() -> None:
    sent = maker(Counting(), "raw").make(chunk(event("a"), b"{}"))
    assert [record.seq for record in sent.records] == [11, 12]
    for prepared in (maker(Counting(), "ecs"), maker(Counting(), "raw", exclude=[{"action": "nothing_like_it"}])):
        made = prepared.make(chunk(event("a"), ODD))
        assert [record.seq for record in made.records] == [11]
        assert [(letter.seq, letter.reason) for letter in made.refused] == [(12, "not_understood")]
        assert made.filtered == []


def test_a_source_that_no_rule_on_meaning_is_about_needs_no_meaning() -> None:
    """The rule names another source, so nothing of this one can match it."""
    normalizer = Counting()
    made = maker(normalizer, "raw", exclude=[{"source": "other", "action": "user_*"}]).make(chunk(event("a"), b"{}"))
    assert [record.seq for record in made.records] == [11, 12]
    assert normalizer.asked == []


def test_the_filter_sees_the_meaning_and_the_format_only_what_passed() -> None:
    class Format:
        needs_event = False
        seen: ClassVar[list[int]] = []

        def render(self, records: list[Record]) -> list[bytes | UnexpectedPayload]:
            self.seen += [record.seq for record in records]
            return [record.raw for record in records]

    chosen = Filter(None, [FilterRule(action="jira_*")])
    normalizer, render = Counting(), Format()
    made = RecordMaker(render, chosen, lambda _: normalizer, Counter()).make(
        chunk(event("a"), event("b", "jira_issue_viewed"), event("c"))
    )
    assert normalizer.asked == [11, 12, 13]
    assert (render.seen, made.filtered) == ([11, 13], [12])
    assert [record.event for record in made.records] == [None, None], "no one needs it any more"


@pytest.mark.parametrize("wants_event", [True, False])
def test_a_meaning_stays_only_for_a_sink_that_wants_it(wants_event: bool) -> None:
    for format_name in ("ecs", "raw"):
        made = maker(Counting(), format_name, wants_event=wants_event).make(chunk(event("a")))
        assert [record.event is not None for record in made.records] == [wants_event]


def test_groups_and_what_is_settled_make_no_difference() -> None:
    bodies = [event(f"e{n}", "jira_issue_viewed" if n % 3 else "user_login") for n in range(2 * AT_ONCE + 5)]
    settled = frozenset({12, 40})
    made = maker(Counting(), "raw", include=[{"action": "user_*"}]).make(chunk(*bodies, settled=settled))
    passed = [11 + n for n in range(len(bodies)) if n % 3 == 0 and 11 + n not in settled]
    assert [record.seq for record in made.records] == passed
    assert made.filtered == [11 + n for n in range(len(bodies)) if n % 3 and 11 + n not in settled]


def test_a_group_ends_where_the_next_block_begins_and_where_it_is_heavy() -> None:
    """Also where the last of a block was settled before, for lanes share by block."""
    normalizer, first = Counting(), 2 * AT_ONCE - 3
    bodies = [event(f"e{n}") for n in range(AT_ONCE + 6)]
    bodies[5] = event("heavy").replace(b"{", b'{"message":{"content":"%s"},' % (b"x" * HEAVY), 1)
    maker(normalizer).make(chunk(*bodies, first=first, settled=frozenset({first + 2})))
    begins = (first, 2 * AT_ONCE, first + 6, 3 * AT_ONCE, first + len(bodies))
    assert normalizer.groups == [
        [seq for seq in range(begin, end) if seq != first + 2] for begin, end in pairwise(begins)
    ]


@pytest.mark.parametrize("format_name", ["ecs", "raw"])
def test_a_sink_that_wants_the_meaning_keeps_no_second_copy_of_what_is_long(format_name: str) -> None:
    heavy = event("heavy").replace(b"{", b'{"message":{"content":"%s"},' % (b"x" * HEAVY), 1)
    light = event("light").replace(b"{", b'{"message":{"content":"short"},', 1)
    prepared = maker(Counting(), format_name, wants_event=True).make(chunk(light, heavy, light))
    assert [record.event and record.event.message for record in prepared.records] == ["short", None, "short"]
    events = [record.event for record in prepared.records if record.event is not None]
    assert [found.action for found in events] == [events[0].action] * 3
    assert b"x" * HEAVY in prepared.records[1].body
    assert [record.raw for record in prepared.records] == [light, heavy, light], "a dead letter may need it"
