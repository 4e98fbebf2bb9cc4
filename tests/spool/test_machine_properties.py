"""The spool against a model of dicts and sets, in any order of commits, settlements, crashes, losses and clean-ups."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from forwarder.spool.config import SpoolConfig
from forwarder.spool.contract import CursorMove, PageCommit, Settlement, SpoolFull
from forwarder.spool.letter import PAGE_GONE, DeadLetter, Selection
from forwarder.spool.sqlite.store import SqliteSpool
from tests.clocks import FakeClock
from tests.examples import examples
from tests.spool.spools import ACME, OTHER, body_of, bulky, page_of

LEFT = b"what privacy left"  # what a lane has of an event that it rejects; the spool keeps its own
LANES = {"elastic": "pause", "archive": "detach"}
GONE = "gone"
SOURCES = {"acme": ACME, "other": OTHER}
events = st.lists(st.tuples(st.sampled_from("abcdefghij"), st.sampled_from(["", "x", "y"])), min_size=1, max_size=8)
settled_ways = st.sampled_from(["accepted", "rejected", "filtered"])


class SpoolMachine(RuleBasedStateMachine):
    """What the model knows: the events by number, whom each is for, and what became of each in each lane."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp(prefix="spool-machine-"))
        self.generation = 0
        self.clock = FakeClock()
        self.spool: SqliteSpool
        self.bodies: dict[int, bytes] = {}
        self.audience: dict[int, str] = {}
        self.source_of: dict[int, str] = {}
        self.known: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        self.in_flight: dict[str, set[int]] = defaultdict(set)
        self.settled: dict[str, set[int]] = defaultdict(set)
        self.lost: dict[str, set[int]] = defaultdict(set)
        self.letters: dict[str, dict[int, int]] = defaultdict(dict)  # tries of what is dead, by sequence number
        self.retried: dict[str, dict[int, int]] = defaultdict(dict)  # of what waits again; it stays in `settled`
        self.retaken: dict[str, set[int]] = defaultdict(set)
        self.withdrawn: dict[str, set[int]] = defaultdict(set)  # rejected after the page was taken away
        self.discarded: dict[str, int] = defaultdict(int)
        self.position: dict[str, int] = defaultdict(int)
        self.lanes: dict[str, int] = {}
        self.sources: dict[str, tuple[int, int]] = {}
        self.cursor: dict[str, int | None] = dict.fromkeys(SOURCES)
        self.bulk = 0

    def run(self, work):
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.run(self.spool.close())
        self.loop.close()
        shutil.rmtree(self.folder)

    # ----------------------------------------------------------------------------------------------- begin, end

    @initialize(memory=st.sampled_from([1, 4, 1000]))
    def begin(self, memory: int) -> None:
        self.memory = memory
        self.open(first=True)

    def open(self, *, first: bool = False) -> None:
        config = SpoolConfig(
            path=self.folder / str(self.generation) / "spool.db",
            max_bytes=2**20,
            retain=60,
            id_memory=self.memory,
            forget_lanes_after=86_400,
        )
        self.spool = SqliteSpool(config, self.clock)
        self.run(self.spool.open())
        for name, origin in SOURCES.items():
            state = self.run(self.spool.open_source(origin))
            self.sources[name] = (state.number, state.epoch)
            stored = state.cursors.get("tail")
            assert (stored.version if stored else None) == self.cursor[name]
        self.lanes = {}
        for name, on_full in {**LANES, **({GONE: "detach"} if first else {})}.items():
            state = self.run(self.spool.open_lane(name, "t", start=None, on_full=on_full))
            self.lanes[name] = state.number
            doubtful = {seq for start, end in state.doubtful for seq in range(start, end + 1)}
            assert self.in_flight[name] - self.settled[name] <= doubtful | self.lost[name]
            assert doubtful & self.settled[name] == self.retaken[name]
            self.in_flight[name].clear()
            self.retaken[name].clear()

    @rule()
    def reopen(self) -> None:
        self.run(self.spool.close())
        self.open()

    @rule()
    def crash(self) -> None:
        """Go on from what lies on the disk now, as after a kill."""
        old, new = self.folder / str(self.generation), self.folder / str(self.generation + 1)
        new.mkdir()
        for name in ("spool.db", "spool.db-wal"):
            if (old / name).exists():
                shutil.copyfile(old / name, new / name)
        self.run(self.spool.close())
        shutil.rmtree(old)
        self.generation += 1
        self.open()

    @rule(name=st.sampled_from(sorted(LANES)))
    def leave(self, name: str) -> None:
        self.run(self.spool.leave_lane(self.lanes[name], Settlement()))
        self.in_flight[name].clear()
        self.retaken[name].clear()
        state = self.run(self.spool.open_lane(name, "t", start=None, on_full=LANES[name]))
        assert state.doubtful == ()

    # ------------------------------------------------------------------------------------------------- commits

    def commit(self, source: str, audience: str, page) -> bool:
        number, epoch = self.sources[source]
        move = CursorMove("tail", self.cursor[source], {"at": len(self.bodies)})
        commit = PageCommit(number, epoch, [move], page, audience=audience or None)
        try:
            done = self.run(self.spool.commit(commit))
        except SpoolFull:
            return False
        self.cursor[source] = done.versions["tail"]
        self.done = done
        return True

    @rule(found=events, source=st.sampled_from(sorted(SOURCES)), audience=st.sampled_from(["", "", "", "archive", "x"]))
    def put(self, found: list[tuple[str, str]], source: str, audience: str) -> None:
        known = self.known[source, audience]
        new, revisions = [], 0
        for name, content in found:
            if content in known[name]:
                continue
            revisions += bool(known[name])
            known[name].add(content)
            new.append((name, content))
        before = max(self.bodies, default=0)
        # the minute belongs to the id, as it does in an audit log
        page = page_of(*((name, content, minute_of(name)) for name, content in found))
        if not self.commit(source, audience, page):
            for name, content in new:
                known[name].remove(content)
            return
        assert (self.done.new, self.done.revisions) == (len(new), revisions)
        assert self.done.repeats == len(found) - len(new)
        for at, (name, content) in enumerate(new, start=before + 1):
            self.keep(at, body_of(name, content), source, audience)
        self.look_for_losses()

    @rule(source=st.sampled_from(sorted(SOURCES)))
    def put_much(self, source: str) -> None:
        self.bulk += 1
        page = bulky(f"bulk{self.bulk}-", 4, 40_000)
        before = max(self.bodies, default=0)
        if self.commit(source, "", page):
            for at, body in enumerate(page.bodies, start=before + 1):
                self.keep(at, body, source, "")
            self.look_for_losses()

    @rule(source=st.sampled_from(sorted(SOURCES)), take=st.integers(0, 12))
    def flood(self, source: str, take: int) -> None:
        """Let in more than fits, with the lane that pauses out of the way and the other one in flight."""
        self.take("archive", take + 1, 0)
        for _ in range(8):
            self.drain("elastic")
            self.put_much(source)

    def keep(self, seq: int, body: bytes, source: str, audience: str) -> None:
        self.bodies[seq], self.source_of[seq], self.audience[seq] = body, source, audience

    def mine(self, name: str) -> set[int]:
        return {seq for seq, audience in self.audience.items() if audience in {"", name}}

    def look_for_losses(self) -> None:
        """What the gaps say a lane will not get; the books must say the same, and nothing else may be missing."""
        status = self.run(self.spool.status())
        for gap in status.gaps:
            assert (gap.cause, gap.lane) in {("detached", "archive"), ("detached", GONE), ("lane_forgotten", GONE)}
            names = [gap.lane] if gap.lane else [*LANES, GONE]
            for name in names:
                span = range(gap.first_seq, gap.last_seq + 1)
                fresh = {seq for seq in span if seq < status.first_seq} & self.mine(name) - self.settled[name]
                self.lost[name] |= {seq for seq in fresh if seq not in self.lost[name]}

    # ------------------------------------------------------------------------------------------------ settling

    @rule(name=st.sampled_from(sorted(LANES)), count=st.integers(1, 25), skip=st.integers(0, 10))
    def take(self, name: str, count: int, skip: int) -> None:
        after = self.position[name] + skip
        given_ = self.run(self.spool.exchange(self.lanes[name], Settlement(), after=after, events=count))
        self.is_longest_prefix(name, given_.position)
        total = 0
        for chunk in given_.chunks:
            assert chunk.first > after
            after = chunk.last
            total += len(chunk.bodies)
            for seq, body in zip(range(chunk.first, chunk.last + 1), chunk.bodies, strict=True):
                assert self.bodies[seq] == body
                assert self.audience[seq] in {"", name}
                assert chunk.origin.source == self.source_of[seq]
                assert (seq in chunk.settled) == (seq in self.settled[name])
                if seq not in chunk.settled:
                    assert seq not in self.lost[name]
                    self.in_flight[name].add(seq)
        total += self.take_letters(name, given_.again)
        assert total <= count

    def take_letters(self, name: str, chunks) -> int:
        for chunk in chunks:
            assert chunk.bodies == [LEFT if chunk.first in self.withdrawn[name] else self.bodies[chunk.first]]
            assert chunk.origin.source == self.source_of[chunk.first]
            assert chunk.keys.hex() == "ab" * 16
            assert chunk.first in self.retried[name]
            assert chunk.first not in self.retaken[name]
            self.retaken[name].add(chunk.first)
        return len(chunks)

    @precondition(lambda self: any(self.in_flight[name] for name in LANES))
    @rule(choice=st.data(), way=settled_ways)
    def settle(self, choice, way: str) -> None:
        name = choice.draw(st.sampled_from([name for name in sorted(LANES) if self.in_flight[name]]))
        chosen = choice.draw(st.sets(st.sampled_from(sorted(self.in_flight[name])), min_size=1))
        settlement = Settlement(ranges=[(seq, seq) for seq in chosen])
        again = choice.draw(st.sets(st.sampled_from(sorted(self.retaken[name])))) if self.retaken[name] else set()
        settlement.ranges += [(seq, seq) for seq in again]
        if way == "rejected":
            self.withdrawn[name] |= chosen & self.lost[name]
        if way == "filtered":
            settlement.filtered = list(settlement.ranges)
        for seq in chosen | again:
            tries = 1 + self.retried[name].pop(seq, 0)
            if way == "rejected":
                settlement.dead_letters.append(self.letter(seq))
                self.letters[name][seq] = tries
        for _ in range(2):  # a call that is repeated changes nothing
            done = self.run(self.spool.exchange(self.lanes[name], settlement, after=0, events=0))
        self.in_flight[name] -= chosen
        self.retaken[name] -= again
        self.settled[name] |= chosen
        self.lost[name] -= chosen
        self.is_longest_prefix(name, done.position)

    @precondition(lambda self: any(self.retaken[name] for name in LANES))
    @rule(choice=st.data(), way=settled_ways)
    def settle_again(self, choice, way: str) -> None:
        """Settle retried letters alone."""
        name = choice.draw(st.sampled_from([name for name in sorted(LANES) if self.retaken[name]]))
        again = choice.draw(st.sets(st.sampled_from(sorted(self.retaken[name])), min_size=1))
        settlement = Settlement(ranges=[(seq, seq) for seq in again])
        if way == "filtered":
            settlement.filtered = list(settlement.ranges)
        for seq in again:
            tries = 1 + self.retried[name].pop(seq)
            if way == "rejected":
                settlement.dead_letters.append(self.letter(seq))
                self.letters[name][seq] = tries
        for _ in range(2):
            self.run(self.spool.exchange(self.lanes[name], settlement, after=0, events=0))
        self.retaken[name] -= again

    def letter(self, seq: int) -> DeadLetter:
        source = self.sources[self.source_of[seq]][0]
        return DeadLetter(seq, source, "ab" * 16, "odd" if seq % 2 else "even", "", LEFT)

    @rule(name=st.sampled_from(sorted(LANES)), reason=st.sampled_from(["odd", "even"]), discard=st.booleans())
    def act_on_letters(self, name: str, reason: str, discard: bool) -> None:
        """Retry or discard the letters of one reason."""
        chosen, remainder = Selection(reasons=(reason,)), int(reason == "odd")
        meant = {seq: tries for seq, tries in self.letters[name].items() if seq % 2 == remainder}
        if discard:
            acts = self.run(self.spool.discard_letters(name, chosen, who="me", words=reason))
            self.discarded[name] += len(meant)
        else:
            acts = self.run(self.spool.retry_letters(name, chosen))
            self.retried[name] |= meant
        assert sum(len(act.numbers) for act in acts) == len(meant)
        for seq in meant:
            del self.letters[name][seq]

    @rule(name=st.sampled_from(sorted(LANES)))
    def drain(self, name: str) -> None:
        after = 0
        while True:
            given_ = self.run(self.spool.exchange(self.lanes[name], Settlement(), after=after, events=50))
            self.take_letters(name, given_.again)
            if not given_.chunks:
                if given_.again:
                    continue
                break
            settlement = Settlement()
            for chunk in given_.chunks:
                fresh = set(range(chunk.first, chunk.last + 1)) - chunk.settled
                settlement.ranges += [(seq, seq) for seq in fresh]
                self.settled[name] |= fresh
            after = given_.chunks[-1].last
            self.run(self.spool.exchange(self.lanes[name], settlement, after=0, events=0))
        # everything that is for this lane came to it, or a gap says otherwise
        assert self.mine(name) - self.settled[name] <= self.lost[name]
        self.in_flight[name] &= self.lost[name]

    def is_longest_prefix(self, name: str, position: int) -> None:
        self.watch(name, position)
        missing = self.mine(name) - self.settled[name] - self.lost[name]
        assert position == min(missing, default=max(self.bodies, default=0) + 1) - 1

    def watch(self, name: str, position: int) -> None:
        assert position >= self.position[name]
        self.position[name] = position

    # -------------------------------------------------------------------------------------------------- time

    @rule(seconds=st.sampled_from([1, 61, 3600, 90_000]))
    def clean_up(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.run(self.spool.clean_up())
        self.look_for_losses()

    # -------------------------------------------------------------------------------------------- what must hold

    @invariant()
    def books_balance(self) -> None:
        if not self.sources:
            return
        for line in self.run(self.spool.books()):
            assert line.balance == 0, line
            mine = {seq for seq in self.mine(line.sink) if self.source_of[seq] == line.source}
            assert line.spooled == len(mine)
            if line.sink in LANES:
                again = mine & set(self.retried[line.sink])
                assert line.accepted + line.rejected + line.filtered == len(mine & self.settled[line.sink] - again)
                assert line.detached == len(mine & self.lost[line.sink])

    @invariant()
    def positions_are_the_settled_prefix(self) -> None:
        if not self.sources:
            return
        status = self.run(self.spool.status())
        assert status.last_seq == max(self.bodies, default=0)
        for lane in status.lanes:
            self.watch(lane.name, lane.position)
            assert lane.head >= lane.position
            if lane.name in LANES:
                missing = self.mine(lane.name) - self.settled[lane.name] - self.lost[lane.name]
                assert all(seq > lane.position for seq in missing)
                again, dead = self.retried[lane.name], self.letters[lane.name]
                assert lane.lag == len(missing) + len(again)
                assert (lane.retried, lane.dead_letters) == (len(again), len(dead))

    @invariant()
    def letters_are_those_of_the_model(self) -> None:
        if not self.sources:
            return
        for name in LANES:
            letters = self.run(self.spool.dead_letters(name, limit=10_000))
            assert {letter.seq: letter.tries for letter in letters if not letter.retried} == self.letters[name]
            assert {letter.seq: letter.tries for letter in letters if letter.retried} == self.retried[name]
            for letter in letters:
                withdrawn = letter.seq in self.withdrawn[name]
                assert letter.raw == (LEFT if withdrawn else self.bodies[letter.seq])
                assert not withdrawn or letter.tries > 1 or letter.detail == PAGE_GONE
            lines = [line for line in self.run(self.spool.books()) if line.sink == name]
            assert sum(line.discarded for line in lines) == self.discarded[name]
            assert sum(line.rejected for line in lines) == self.discarded[name] + len(self.letters[name])


def minute_of(name: str) -> str:
    return "" if name == "j" else f"2026-01-31T12:0{ord(name) % 4}"


SpoolMachine.TestCase.settings = settings(max_examples=examples(40), stateful_step_count=40, deadline=None)
TestSpoolMachine = pytest.mark.early(SpoolMachine.TestCase)
