"""One round: troubles, acts and events as its plan says; then calm, rest by condition, and judgement."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import signal
import time
from collections import Counter
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.crash.far_end import look_into
from tests.torture.judge import Judge
from tests.torture.plan import Moment, Plan, Trouble, draw
from tests.torture.truth import Truth
from tests.torture.world import World

REST_WITHIN = 150.0
"""Longest time to come to rest, seconds. An event that waits apart is tried after a quarter of its sink's patience: 75."""

ROUND_WITHIN = 240.0
"""Longest time of a whole round; what takes longer hangs."""


class Failed(Exception):
    """A round did not end as it must; the message says how."""


@dataclass
class Figures:
    """What all rounds so far amount to."""

    rounds: int = 0
    acts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    events: int = 0


class Rounds:
    """Plays rounds in one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.truth = Truth(world.sim.ledger)
        self.judge = Judge(self.truth, world.places)
        self.figures = Figures()
        self.seen = 0
        self.letters = 0
        self._lives_ended = 0
        self.took: dict[str, float] = {}

    async def play(self, number: int) -> None:
        """Play one round. Raises Failed."""
        task = asyncio.create_task(self._play(number))
        done, _ = await asyncio.wait({task}, timeout=ROUND_WITHIN)
        if not done:
            where = io.StringIO()
            task.print_stack(file=where)
            task.cancel()
            raise Failed(f"it hangs after {self.took}:\n{where.getvalue()}")
        task.result()
        self.figures.rounds += 1

    async def _play(self, number: int) -> None:
        world = self.world
        plan = draw(world.seed, number, {name: (place.spells, place.can) for name, place in world.places.items()})
        self.took = {}
        self._lives_ended = 0
        try:
            with self._timed("trouble"):
                if not world.process.alive:
                    await world.process.start()
                if plan.waits:
                    await self._started()
                await self._trouble(plan)
                await self._started()
                await self._spent()
                await self._calm()
            with self._timed("rest"):
                async with asyncio.timeout(REST_WITHIN):
                    status = await self._rest()
                await self._search(status)
            with self._timed("judgement"):
                await self._end(kill=plan.ends_with_kill)
                await self._judge()
        except TimeoutError as error:
            raise Failed(await self._why_no_rest()) from error
        except AssertionError as error:
            raise Failed(str(error)) from error

    @contextlib.contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.took[what] = time.monotonic() - began

    async def _started(self) -> None:
        """Wait until the daemon works; on a full disk it may not."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                await self.world.process.until_logged("started")

    async def _spent(self) -> None:
        """Let the faults of the API have their turn, as far as they still come."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                while not self.world.sim.faults.script.spent:  # noqa: ASYNC110 -- a rule tells no one
                    await asyncio.sleep(0.02)

    # ------------------------------------------------------------------------------------------------------ trouble

    async def _trouble(self, plan: Plan) -> None:
        world, parts = self.world, []
        for fault in plan.api:
            world.sim.faults.add(**fault)
        for name, trouble in plan.troubles.items():
            parts.append(self._befall(name, trouble))
        parts += [self._other(moment) for moment in plan.moments if moment.act not in {"kill", "stop", "hup"}]
        parts += [self._lives([moment for moment in plan.moments if moment.act in {"kill", "stop", "hup"}])]
        parts += [self._happen(plan.bursts)]
        await _all(parts)

    async def _befall(self, name: str, trouble: Trouble) -> None:
        place = self.world.places[name]
        for spell, times in trouble.spells:
            place.play(spell, times)
            self._count(spell, name, times)
        if trouble.refuse:
            # Refused from before they happen, so none of them can have landed.
            happened = set(self.world.happen(trouble.refuse))
            self.judge.accounts[name].refused |= happened
            place.end.reject(happened)
            self._count("reject", name, trouble.refuse)
        if trouble.rotate and not place.rotated:
            at, lasts = trouble.rotate
            await asyncio.sleep(at)
            self._count("credential", name)
            await place.rotate(lasts)
        if trouble.away:
            at, lasts = trouble.away
            await asyncio.sleep(at)
            await place.close()
            await asyncio.sleep(lasts)
            await place.open(wrong=trouble.wrong)
            self._count(f"restart {trouble.wrong}".strip(), name)

    def _count(self, what: str, name: str, times: int = 1) -> None:
        self.figures.faults[f"{self.world.places[name].end.name}: {what}"] += times

    async def _happen(self, bursts: list[tuple[float, int]]) -> None:
        now = 0.0
        for at, count in bursts:
            await asyncio.sleep(at - now)
            now = at
            self.world.happen(count)

    async def _other(self, moment: Moment) -> None:
        world = self.world
        await asyncio.sleep(moment.at)
        if moment.act == "jump" and world.clock.can_jump:
            world.clock.jump(moment.jump)
        elif moment.act == "full_spool" and world.spool_disk.can_be_full:
            world.spool_disk.fill(leave=4096)
        elif moment.act == "full_out" and world.out_disk.can_be_full:
            world.out_disk.fill(leave=10_000)
        elif moment.act == "key":
            await world.rotate_key(moment.lasts)
        else:
            return
        self.figures.acts[moment.act] += 1
        if moment.act != "key":
            await asyncio.sleep(moment.lasts)
        if moment.act == "jump":
            world.clock.jump(0)
        world.spool_disk.free()
        world.out_disk.free()

    async def _lives(self, moments: list[Moment]) -> None:
        now, process = 0.0, self.world.process
        for moment in moments:
            await asyncio.sleep(moment.at - now)
            now = moment.at
            if moment.act == "hup":
                if process.logged("started"):  # before that a hangup ends a process, as any signal no one waits for
                    process.signal(signal.SIGHUP)
                    self.figures.acts["hup"] += 1
                continue
            await self._end(kill=moment.act == "kill")
            await process.start()

    async def _end(self, *, kill: bool) -> None:
        process = self.world.process
        assert process.alive, f"the daemon ended by itself: {process.text[-3000:]}"
        if kill or not process.logged("started"):
            await process.kill()
            self.figures.acts["kill"] += 1
        else:
            code = await process.stop()
            assert code == 0, f"SIGTERM ended it with {code}: {process.text[-3000:]}"
            self.figures.acts["stop"] += 1
        self._lives_ended += 1
        self.world.leaks.search(f"the log {process.log.name}", process.log.read_bytes())

    # --------------------------------------------------------------------------------------------------------- rest

    async def _calm(self) -> None:
        world = self.world
        world.clock.jump(0)
        world.spool_disk.free()
        world.out_disk.free()
        world.sim.faults.clear()
        for name, place in world.places.items():
            await place.repair()
            if self.judge.accounts[name].refused:
                place.end.reject(self.judge.accounts[name].refused)

    async def _rest(self) -> dict[str, Any]:
        """Wait until nothing waits anywhere; what has happened is the measure, not what the daemon says it knows."""
        while True:
            try:
                async with asyncio.timeout(10):
                    return await self.world.process.until_status(self._rests)
            except TimeoutError:
                try:
                    code, body = await self.world.process.get("/status")
                except OSError:
                    continue  # a busy machine starts it slowly
                status = json.loads(body) if code == 200 else {}  # else it opens its spool yet
                if status and self._spooled(status) and set(status["degraded"]) == {"relp"}:
                    # A refusal over RELP is believed while others are taken: the log of a living organization grows.
                    self.world.happen(1)

    def _spooled(self, found: dict[str, Any]) -> bool:
        return all(line["spooled"] == self.truth_size() for line in found["books"])

    def _rests(self, found: dict[str, Any]) -> bool:
        return (
            found["balanced"]
            and len(found["books"]) == len(self.world.places)
            and self._spooled(found)
            and not any(line["waiting"] for line in found["books"])
            and not found["spool"]["open_gaps"]
            and not found["degraded"]
        )

    def truth_size(self) -> int:
        return self.truth.happened

    async def _why_no_rest(self) -> str:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(5):
                _, body = await self.world.process.get("/status")
                return (
                    f"no rest within {REST_WITHIN:.0f} s; {self.truth_size()} events existed; status: {body.decode()}"
                )
        return f"no rest within {REST_WITHIN:.0f} s, and the daemon does not answer: {self.world.process.text[-3000:]}"

    async def _search(self, status: dict[str, Any]) -> None:
        leaks = self.world.leaks
        leaks.search("/status", json.dumps(status).encode())
        leaks.search("/metrics", (await self.world.process.get("/metrics"))[1])
        leaks.search_processes()

    async def _judge(self) -> None:
        for place in self.world.places.values():
            await place.settle()
        self.truth.look()
        kept = await look_into(self.world.spool, after=self.seen, letters_after=self.letters)
        self.truth.number(kept.bodies.items())
        expected = self.seen + len(kept.bodies)
        self.seen = max(kept.bodies, default=self.seen)
        self.letters = max((letter.number for letter in kept.letters), default=self.letters)
        wrong = [] if self.seen == expected else ["a page of this round has left the spool before it was looked at"]
        wrong += self.judge.judge(kept, self._lives_ended)
        for letter in kept.letters:
            text = f"{letter.reason} {letter.detail} {letter.document_id}".encode() + letter.raw
            self.world.leaks.search(f"dead letter {letter.number} of {letter.lane}", text)
        wrong += self.world.leaks.found
        self.figures.events = self.truth.digests.total()
        if wrong:
            raise Failed("\n".join(wrong[:20]))


async def _all(parts: list[Coroutine[Any, Any, None]]) -> None:
    """Run them together; the first failure ends them all and is raised as itself."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
