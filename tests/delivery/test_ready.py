"""The queue of a lane: what is cut off it, and how much of large events is in memory at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from forwarder.contracts import BatchConfig, Origin, Record
from forwarder.delivery.ready import MOST_AHEAD, ON_THE_WAY, Ready
from forwarder.records.maker import HEAVY

ORIGIN = Origin("acme", "organization", "org-1")


def record(seq: int, *, raw: int = 100, body: int = 100) -> Record:
    return Record(seq=seq, origin=ORIGIN, id=f"{seq:032x}", raw=b"r" * raw, body=b"b" * body)


@given(
    st.lists(st.tuples(st.sampled_from([10, 5_000, HEAVY, 2 * HEAVY]), st.integers(0, 2000)), max_size=40),
    st.integers(1, 10),
    st.integers(1, 5_000),
)
def test_batches_are_the_records_in_order_and_nothing_is_counted_twice(
    sizes: list[tuple[int, int]], events: int, most: int
) -> None:
    ready = Ready(BatchConfig(events=events, bytes=most))
    given_ = [record(number, raw=raw, body=body) for number, (raw, body) in enumerate(sizes, 1)]
    ready.add(given_, 1.0)
    seen = []
    while ready:
        if len(seen) % 3 == 1 and (lent := ready.lend()) is not None:
            assert lent in given_[len(seen) :]
            ready.give_back(lent)
        batch = ready.cut(0)
        assert 1 <= len(batch) <= events
        assert len(batch) == 1 or sum(len(one.body) for one in batch) <= most
        seen += batch
    assert (seen, ready.bytes) == (given_, 0)


def test_a_heavy_event_with_a_short_body_counts_whole() -> None:
    ready = Ready(BatchConfig(bytes=1_000_000))
    ready.add([record(1, raw=8_000_000), record(2, raw=8_000_000)], 0.0)
    assert ready.fills_batch()
    assert ready.cut(0) == [record(1, raw=8_000_000)]


def test_a_large_event_is_sent_when_no_other_large_one_is_on_its_way() -> None:
    ready = Ready(BatchConfig())
    ready.add([record(number, raw=ON_THE_WAY - 1000) for number in (1, 2)] + [record(3)], 0.0)
    assert not ready.waits_its_turn()
    ready.cut(0)
    assert ready.waits_its_turn()
    assert ready.lend() == record(3)  # what shows whether the sink takes anything
    ready.came_back(0)
    assert not ready.waits_its_turn()


def test_large_events_are_on_their_way_together_up_to_the_limit_and_not_beyond() -> None:
    for more, waits in ((0, False), (1, True)):
        ready = Ready(BatchConfig(events=1))
        ready.add([record(1, raw=HEAVY), record(2, raw=ON_THE_WAY - HEAVY + more)], 0.0)
        ready.cut(0)
        assert ready.waits_its_turn() is waits
        ready.cut(0)
        assert not ready


def test_small_batches_never_wait_for_each_other() -> None:
    ready = Ready(BatchConfig(events=1))
    ready.add([record(number) for number in range(1, 9)], 0.0)
    for slot in range(8):
        assert not ready.waits_its_turn()
        ready.cut(slot)


def test_every_record_that_waits_is_lent_sooner_or_later_the_newest_first() -> None:
    ready = Ready(BatchConfig(events=1))
    ready.add([record(number) for number in range(1, 13)], 0.0)
    lent = []
    for _ in range(24):
        one = ready.lend()
        assert one is not None
        lent.append(one.seq)
        ready.give_back(one)
    assert lent[0] == 12
    assert set(lent) == set(range(1, 13))


def test_more_is_taken_while_what_was_lent_comes_back_and_no_more_after_that() -> None:
    ready = Ready(BatchConfig(events=1))
    assert ready.wanted() == 1
    ready.add([record(1)], 0.0)
    assert ready.wanted() == 0
    taken = 1
    for _ in range(20):
        one = ready.lend()
        assert one is not None
        ready.give_back(one)
        wanted = ready.wanted()
        ready.add([record(number) for number in range(taken + 1, taken + wanted + 1)], 0.0)
        taken += wanted
    assert taken == MOST_AHEAD
    ready.forget_lent()
    assert ready.wanted() == 0


def test_large_events_are_not_taken_far_ahead() -> None:
    ready = Ready(BatchConfig(events=1))
    ready.add([record(1, raw=ON_THE_WAY)], 0.0)
    one = ready.lend()
    assert one is not None
    ready.give_back(one)
    assert ready.wanted() == 0
