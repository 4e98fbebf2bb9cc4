"""The kinds of faults. Each plays a world of its own, plants so many of its faults in it, and says what came of them."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from forwarder.contracts import AuthFailed, Retryable
from forwarder.polling import backfill
from forwarder.spool.gap import Gap
from forwarder.spool.operations import ReplayOrder
from tests.truth.log import Entry
from tests.truth.verdict import Plant, Row, judged
from tests.truth.world import DAY, HOUR, MINUTE, FarEnd, World

Kind = Callable[[Path, random.Random, int], Awaitable[Row]]


def _around(entry: Entry) -> Callable[[Gap], bool]:
    return lambda gap: gap.from_ms is not None and gap.to_ms is not None and gap.from_ms <= entry.processed < gap.to_ms


async def _row(kind: str, world: World, plants: list[Plant], sink: FarEnd | None = None) -> Row:
    await world.follow(20 * MINUTE, plain_every=DAY)
    await world.deliver()
    row = judged(kind, plants, await world.gaps(), world.missing(sink))
    await _check_verdict(world, row)
    await world.spool.close()
    return row


async def _check_verdict(world: World, row: Row) -> None:
    """See that the verdict says what the gaps say: complete, but for what cannot be closed."""
    verdict = await world.verdict()
    gaps = {gap.number for gap in await world.gaps() if gap.state != "closed"}
    shown = {gap.number for gap in verdict.gaps}
    if not await world.balances():
        row.wrong.append("the books do not balance")
    if gaps != shown:
        row.wrong.append(f"open gaps are {gaps}, and the verdict shows {shown}")
    if not gaps and not verdict.complete:
        row.wrong.append(f"no gap is open, and the verdict is not complete: {verdict.lines}")
    for line in verdict.lines:
        if line.expected != line.delivered + line.rejected + line.filtered + line.waiting + line.missing:
            row.wrong.append(f"a line does not add up: {line}")


# --------------------------------------------------------------------------------------------------------- late events


def _late(kind: str, least: float, most: float, cause: str, by: str, days: float, **settings: Any) -> Kind:
    async def play(folder: Path, rng: random.Random, count: int) -> Row:
        world = World(folder, rng, source=settings)
        await world.start()
        await world.follow(HOUR)
        entries = []
        for number in range(count):
            entries.append(world.log.happen(f"late-{number}", hidden=rng.uniform(least, most)))
            await world.follow(rng.uniform(1, 30 * MINUTE))
        await world.follow(days * DAY)
        await world.deliver()
        there = world.sinks["out"].has
        plants = [Plant(entry.name, cause, _around(entry), 1, by, entry.body in there) for entry in entries]
        return await _row(kind, world, plants)

    return play


async def hidden_for_good(folder: Path, rng: random.Random, count: int) -> Row:
    """What no answer ever shows is claimed by nobody, and nothing is said of it."""
    world = World(folder, rng)
    await world.start()
    for number in range(count):
        world.log.happen(f"never-{number}", never=True)
        await world.follow(rng.uniform(1, 30 * MINUTE))
    await world.follow(1.5 * DAY)
    return await _row("hidden for good", world, [Plant(f"never-{number}", "") for number in range(count)])


async def reordered(folder: Path, rng: random.Random, count: int) -> Row:
    """Events come in any order within their pages, and some behind the cursor: the re-read has them, it is no gap."""
    world = World(folder, rng)
    world.log.shuffles = True
    world.log.limit = 7
    await world.start()
    await world.follow(HOUR)
    entries = []
    for number in range(count):
        entries += [world.log.happen(f"burst-{number}-{at}", ago=rng.uniform(0, 4 * MINUTE)) for at in range(9)]
        entries[-1:] = [world.log.happen(f"behind-{number}", ago=rng.uniform(0, 4 * MINUTE))]
        await world.follow(rng.uniform(1, 20 * MINUTE))
    await world.follow(1.5 * DAY)
    await world.deliver()
    there = world.sinks["out"].has
    plants = [Plant(each.name, "", _around(each), arrived=each.body in there) for each in entries[8::9]]
    return await _row("reordered", world, plants)


def _reissued(kind: str, after: float, cause: str, by: str) -> Kind:
    async def play(folder: Path, rng: random.Random, count: int) -> Row:
        world = World(folder, rng)
        await world.start()
        await world.follow(HOUR)
        entries = []
        for number in range(count):
            world.log.happen(f"event-{number}")
            entries.append(world.log.happen(f"event-{number}", version=2, hidden=after * rng.uniform(0.8, 1.2)))
            await world.follow(rng.uniform(1, 20 * MINUTE))
        await world.follow(2 * DAY)
        await world.deliver()
        there = world.sinks["out"].has
        plants = [Plant(each.name, cause, _around(each), 1, by, each.body in there) for each in entries]
        return await _row(kind, world, plants)

    return play


# -------------------------------------------------------------------------------------------------------- a hurt spool


def _pages(parts: Any, first: int) -> list[int]:
    return [last for (last,) in parts.database.con.execute("SELECT last_seq FROM pages WHERE last_seq > ?", (first,))]


def _hurt(kind: str, cause: str, sql: tuple[str, ...], *, stopped: bool) -> Kind:
    async def play(folder: Path, rng: random.Random, count: int) -> Row:
        world = World(folder, rng)
        world.sinks["slow"] = FarEnd("slow")
        await world.start()
        await world.follow(HOUR)
        slow = world.sinks["slow"]
        plants = []
        for _ in range(count):
            await world.deliver()
            slow.takes = False
            first = (await world.spool.status()).last_seq
            await world.follow(rng.uniform(2, 4) * HOUR)
            hit = await world.spool._run(lambda parts, first=first: rng.choice(_pages(parts, first)))

            def hurt(seq: int = hit) -> None:
                with contextlib.closing(sqlite3.connect(folder / "spool.db")) as con, con:
                    for statement in sql:
                        con.execute(statement, (seq,))

            def hurt_live(parts: Any, seq: int = hit) -> None:
                for statement in sql:
                    parts.database.con.execute(statement, (seq,))
                parts.pages.drop((seq,))

            if stopped:
                await world.restart(hurt)
            else:  # the file is locked for others, so what has it open is made to do it
                await world.spool._run(hurt_live)
            plants.append(Plant(f"page {hit}", cause, lambda gap, seq=hit: gap.last_seq == seq, None, "heal"))
            slow.takes = True
            await world.follow(2 * HOUR)
        await world.follow(5 * HOUR)
        return await _row(kind, world, plants, slow)

    return play


# --------------------------------------------------------------------------------------------------------------- lanes


async def detached(folder: Path, rng: random.Random, count: int) -> Row:
    """The spool is full, and a lane that takes nothing is moved past what then leaves; a backfill for its sink has it."""
    world = World(folder, rng, spool={"max_bytes": 4 * 2**20, "retain": 0}, source={"reconcile": "off"})
    slow = world.sinks["slow"] = FarEnd("slow", on_full="detach")
    await world.start()
    await world.follow(HOUR)
    plants: list[Plant] = []
    for number in range(count):
        await world.deliver()
        slow.takes = False
        known = len(await world.gaps())
        for at in range(360):
            world.log.happen(f"bulky-{number}-{at}", size=12_000)
            if at % 12 == 11:
                await world.follow(6 * MINUTE)
        await world.follow(10 * MINUTE)
        slow.takes = True
        await world.deliver()
        lacks = len(set(world.sinks["out"].has) - set(slow.has)) - sum(plant.events or 0 for plant in plants)
        new = (await world.gaps())[known:]
        numbers = {gap.number for gap in new[:1]}
        plants.append(
            Plant(f"spell {number}", "detached", lambda gap, mine=numbers: gap.number in mine, lacks, "backfill")
        )
        await world.follow(2 * HOUR)
    world.is_eager = True
    now = world.log.now_ms
    name = backfill.name_of(1)
    order = backfill.Order(world.log.entries[0].processed - DAY * 1000, now, "slow", "nobody", now)
    await world.poller._store.order(name, lambda _: order)
    world.poller._plan[name].due = 0.0
    await world.follow(8 * HOUR)
    return await _row("detached, spool full", world, plants, slow)


async def forgotten(folder: Path, rng: random.Random, count: int) -> Row:
    """A sink is no longer configured, and somebody has its lane forgotten: what waited for it stays on record."""
    world = World(folder, rng)
    await world.start()
    plants = []
    for number in range(count):
        name = f"gone-{number}"
        world.sinks[name] = FarEnd(name)
        await world.restart()
        await world.follow(HOUR)
        world.sinks[name].takes = False
        await world.follow(rng.uniform(2, 6) * HOUR)
        del world.sinks[name]
        await world.restart()
        waited = await world.spool.operations.forget_lane(name, "nobody")
        plants.append(Plant(name, "lane_forgotten", lambda gap, sink=name: gap.lane == sink, waited))
    await world.follow(HOUR)
    return await _row("lane forgotten", world, plants)


async def dropped(folder: Path, rng: random.Random, count: int) -> Row:
    """A sink does not have what it acknowledged; a replay brings it, and the next look closes what the first opened."""
    world = World(folder, rng)
    await world.start()
    await world.follow(count * 1.3 * DAY, plain_every=2 * HOUR)
    await world.deliver()
    out = world.sinks["out"]
    entries = {entry.body: entry for entry in world.log.entries}
    by_day: dict[str, list[bytes]] = {}
    for body in out.has:
        by_day.setdefault(entries[body].minute[:10], []).append(body)
    plants = []
    for day in rng.sample(sorted(by_day), min(count, len(by_day) - 1)):
        gone = rng.sample(by_day[day], rng.randint(1, min(4, len(by_day[day]))))
        for body in gone:
            del out.has[body]
        concerns = _around(entries[gone[0]])
        plants.append(Plant(day, "dropped_by_sink", concerns, len(gone), "a look at the sink"))
    await world.verify()
    gaps = await world.gaps()
    opened = judged("", plants, gaps, [])
    if opened.found != len(plants) or any(gap.state != "open" for gap in gaps):
        opened.wrong.append(f"before the replay: {gaps}")
    await world.replay(out, ReplayOrder("out", 0, world.log.now_ms, who="nobody"))
    await world.verify()
    return await _row("dropped by a sink", world, plants)


# ------------------------------------------------------------------------------------------------------------- outages


async def cursor_lost(folder: Path, rng: random.Random, count: int) -> Row:
    """The log forgets our cursor; what it has is read again from before the last good point."""
    world = World(folder, rng, source={"reconcile": "off"})
    world.log.limit = 5
    await world.start()
    await world.follow(HOUR)
    plants = []
    for number in range(count):
        world.log.epoch += 1
        at = world.log.now_ms
        for each in range(7):
            world.log.happen(f"while-{number}-{each}")
        await world.follow(rng.uniform(2, 3) * HOUR)
        until = world.log.now_ms
        plants.append(
            Plant(f"loss {number}", "cursor_lost", lambda gap, a=at, b=until: a <= gap.opened_ms < b, None, "heal")
        )
    await world.follow(2 * HOUR)
    return await _row("cursor lost", world, plants)


def _outage(
    kind: str, fault: Callable[[], Exception], cause: str, hours: tuple[float, float], retention: float = 180 * DAY
) -> Kind:
    async def play(folder: Path, rng: random.Random, count: int) -> Row:
        world = World(folder, rng, retention_ms=int(retention * 1000))
        await world.start()
        await world.follow(HOUR)
        plants = []
        for number in range(count):
            at = world.log.now_ms
            world.log.fault = fault
            await world.follow(rng.uniform(*hours) * HOUR)
            world.log.fault = None
            await world.follow(rng.uniform(0.6, 2) * HOUR)
            until = world.log.now_ms
            by = "tail" if cause else ""
            plants.append(Plant(f"outage {number}", cause, lambda gap, a=at, b=until: a <= gap.opened_ms < b, None, by))
        await world.follow(6 * HOUR)
        return await _row(kind, world, plants)

    return play


def _refused() -> Exception:
    return AuthFailed("the key is refused", fix="Renew it.")


def _limited() -> Exception:
    return Retryable("429", kind="rate_limited", retry_after=30)


def _broken() -> Exception:
    return Retryable("503", kind="server_error")


KINDS: dict[str, Kind] = {
    "late by minutes": _late("late by minutes", 60, 8 * MINUTE, "", "", 1.5),
    "late by an hour": _late("late by an hour", 70 * MINUTE, 110 * MINUTE, "late", "reconcile", 0.5),
    "late by hours": _late("late by hours", 4 * HOUR, 23 * HOUR, "late", "reconcile", 2.2),
    "late by days": _late(
        "late by days", 27 * HOUR, 6.9 * DAY, "late", "reconcile", 9.2, every=1200, trailing_every=3600
    ),
    "hidden for good": hidden_for_good,
    "reordered": reordered,
    "re-issued at once": _reissued("re-issued at once", 3 * MINUTE, "", ""),
    "re-issued later": _reissued("re-issued later", 6 * HOUR, "late", "reconcile"),
    "pages deleted": _hurt(
        "pages deleted",
        "missing_page",
        ("DELETE FROM bodies WHERE last_seq = ?", "DELETE FROM pages WHERE last_seq = ?"),
        stopped=False,
    ),
    "pages deleted, stopped": _hurt(
        "pages deleted, stopped",
        "missing_page",
        ("DELETE FROM bodies WHERE last_seq = ?", "DELETE FROM pages WHERE last_seq = ?"),
        stopped=True,
    ),
    "pages damaged": _hurt(
        "pages damaged",
        "damaged_page",
        ("UPDATE bodies SET packed = zeroblob(40) WHERE last_seq = ?",),
        stopped=True,
    ),
    "detached, spool full": detached,
    "lane forgotten": forgotten,
    "cursor lost": cursor_lost,
    "key refused": _outage("key refused", _refused, "key_outage", (1.3, 5)),
    "rate limited": _outage("rate limited", _limited, "rate_limited", (1.3, 5)),
    "refused, not for long": _outage("refused, not for long", _refused, "", (0.1, 0.8)),
    "the API is broken": _outage("the API is broken", _broken, "", (1.3, 5)),
    "about to be dropped": _outage("about to be dropped", _broken, "retention", (3.5, 6), 7 * DAY + 2 * HOUR),
    "dropped by a sink": dropped,
}
