"""Every fault of the simulator, over sockets, with traffic before, during and after: nothing missing, nothing twice.

Each fault is also known by its kind, and while it lasts the status says the likely cause in words.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

from forwarder.observe.reports import DaemonReport, SourceReport
from simulator.config import SimulatorConfig
from simulator.faults import What
from simulator.simulator import Simulator
from tests.daemon.engine import Engine, digests_of, engine, file_sink, lines_of, source, truth

HISTORY = 160
QUICK_HTTP = {"read_timeout": "300ms", "total_timeout": "700ms"}


class Hasty(random.Random):
    """Dice that make every back-off short."""

    def uniform(self, a: float, b: float) -> float:
        return min(b, 0.02)


class Ahead:
    """The machine's clock, moved forward at will; the simulator and the daemon share it."""

    def __init__(self) -> None:
        self.by = 0.0

    def time(self) -> float:
        return time.time() + self.by

    def monotonic(self) -> float:
        return time.monotonic()

    def move_to_second(self, second: float) -> None:
        self.by += (second - self.time()) % 60


@dataclass(frozen=True)
class Case:
    """A fault, the kinds of error it may count as (none: it is no error), and words of the status while it lasts."""

    what: str
    parameters: dict[str, Any]
    kinds: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    state: str = "retrying"

    @property
    def http(self) -> dict[str, str]:
        """Short times only where they are what is tested: on a busy machine they would be errors of their own."""
        return QUICK_HTTP if "timeout" in self.kinds else {}

    @property
    def name(self) -> str:
        return "-".join([self.what, *(f"{key}={value}" for key, value in self.parameters.items())])


def case(what: str, kinds: str = "", says: str = "", state: str = "retrying", **parameters: Any) -> Case:
    return Case(what, parameters, tuple(kinds.split()), tuple(says.split("|")) if says else (), state)


CASES = [
    case("rate_limit", "rate_limited", "rate limit", shape="minute", wait=1),
    case("rate_limit", "rate_limited", "rate limit", shape="seconds", wait=0),
    case("rate_limit", "rate_limited", "rate limit", shape="retry_after", wait=1),
    case("rate_limit", "rate_limited", "rate limit", shape="none"),
    case("unauthorized", "auth", "expired|revoked|API keys|api_key", "held"),
    case("forbidden", "forbidden", "read:events:admin|org_id|admin|Guard|Enterprise", "held"),
    case("not_found", "not_found", "knows no organization|Copy org_id|base_url", "held"),
    case("bad_date", "bad_request", "400|ADMIN-400-3|clock", "held"),
    case("server_error", "server_error", "answers 500", status=500),
    case("server_error", "server_error", "answers 502", status=502),
    case("server_error", "server_error", "answers 503", status=503),
    case("server_error", "server_error", "answers 504", status=504),
    case("html", "server_error", "answers 503", status=503),
    case("html", "login_page", "not JSON|login page|proxy", status=200),
    case("login_page", "login_page", "not JSON|login page|proxy"),
    case("redirect", "redirect", "302|login page|proxy"),
    case("cursor_lost", "cursor_lost"),
    case("cursors_lost", "cursor_lost"),
    case("repeated_ids", count=5),
    case("loop", "loop", "same cursor|same events"),
    case("empty_page"),
    case("unchanged_cursor"),
    case("missing_meta"),
    case("missing_links"),
    case("invalid_json", "not_json", "not a page of events|cut"),
    case("delay", "timeout", "silent for read_timeout", wait=0.6),
    case("stall", "timeout", "silent for read_timeout", wait=0.6),
    case("drip", "timeout", "not finished within total_timeout", chunk=5, pause=0.05),
    case("drip", chunk=200, pause=0.001),
    case("truncated", "truncated", "ends too early"),
    case("half_close", "truncated", "ends too early"),
    case("reset_before", "reset", "the connection ended before"),
    case("reset_after_headers", "reset", "the connection ended before"),
    case("reset_mid", "reset", "the connection ended before"),
    case("garbage", "other", "not HTTP"),
]

ELSEWHERE = {"bad_event", "key_expiry", "key_rotation", "wrong_clock"}


def test_no_fault_is_left_out() -> None:
    assert {case.what for case in CASES} | ELSEWHERE == set(get_args(What))


def the_source(report: DaemonReport) -> SourceReport:
    [found] = report.sources
    return found


async def until(e: Engine, holds: Any) -> DaemonReport:
    """Wait until a report of the daemon fulfils a condition; return it."""

    async def report() -> DaemonReport | None:
        found = await e.daemon.report()
        return found if holds(found) else None

    return await e.until(report)


def balanced(report: DaemonReport) -> bool:
    return bool(report.books) and all(line.waiting == 0 and line.balance == 0 for line in report.books)


async def complete(sim: Simulator, e: Engine, out: Path) -> DaemonReport:
    """Wait until every content is in the file, and nothing else; return the report when the books are closed."""
    await e.until(lambda: len(lines_of(out)) >= len(truth(sim)))
    report = await until(e, balanced)
    found = digests_of(out)
    assert truth(sim) - set(found) == set()
    assert set(found) - truth(sim) == set()
    assert {digest: count for digest, count in found.items() if count > 1} == {}
    assert [line.accepted for line in report.books] == [len(truth(sim))]
    assert report.task_restarts.keys() >= {"source acme", "actions of acme", "sink out", "clean-up"}
    assert set(report.task_restarts.values()) == {0}
    return report


async def recovered(e: Engine) -> SourceReport:
    report = the_source(await until(e, lambda report: the_source(report).state in {"idle", "working"}))
    assert (report.reason, report.fix) == ("", "")
    return report


def small_world(**more: Any) -> SimulatorConfig:
    return SimulatorConfig(events=HISTORY, history="2d", **more)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_fault_at_the_tip(tmp_path: Path, case: Case) -> None:
    out, clock = tmp_path / "out.ndjson", Ahead()
    async with (
        Simulator(small_world(), clock=clock.time) as sim,
        engine(
            tmp_path,
            {"acme": source(sim, limit=40, http=case.http)},
            {"out": file_sink(out)},
            rng=Hasty(),
            clock=clock,
        ) as e,
    ):
        await complete(sim, e, out)
        before = Counter(the_source(await e.daemon.report()).errors)
        if case.parameters.get("shape") == "minute":
            clock.move_to_second(58.5)  # the reset is cut to the minute; it comes with the next one
        sim.faults.add(case.what, lasts=3600, **case.parameters)
        sim.add_events(45)
        if case.says:
            seen = await until(e, lambda report: the_source(report).state == case.state)
            shown = the_source(seen)
            assert [words for words in case.says if words not in f"{shown.reason} {shown.fix}"] == []
            assert shown.fix or case.what == "loop"
            assert seen.degraded == ["acme"]
            assert sim.api_key not in repr(seen)
        await e.until(lambda: sim.faults.fired(case.what) >= 4 or case.parameters.get("shape"))
        sim.faults.clear()
        sim.add_events(45)
        report = the_source(await complete(sim, e, out))
        assert sim.faults.fired(case.what) >= 1
        assert set(report.errors - before) <= set(case.kinds)
        assert sum((report.errors - before).values()) >= (1 if case.kinds else 0)
        await recovered(e)
        if case.what in {"cursor_lost", "cursors_lost"}:
            ended = await until(e, lambda r: r.spool.gaps and all(gap.closed_ms is not None for gap in r.spool.gaps))
            assert {gap.cause for gap in ended.spool.gaps} == {"cursor_lost"}
            assert the_source(ended).heals >= 1
        await complete(sim, e, out)


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.parameters.get("shape") != "minute"], ids=lambda case: case.name
)
async def test_a_fault_in_the_middle_of_history(tmp_path: Path, case: Case) -> None:
    """Every second request fails while the history is read and new events come."""
    out = tmp_path / "out.ndjson"
    times = 2 if "shape" in case.parameters or "timeout" in case.kinds else 6
    rule = {"what": case.what, "every": 2, "times": times, **case.parameters}
    async with (
        Simulator(small_world(rate=100, faults=(rule,))) as sim,
        engine(tmp_path, {"acme": source(sim, limit=20, http=case.http)}, {"out": file_sink(out)}, rng=Hasty()) as e,
    ):
        await e.until(lambda: sim.faults.fired(case.what) >= times)
        sim._living.cancel()
        report = the_source(await complete(sim, e, out))
        # One bad date is taken for a refused limit, and asked again with a smaller one.
        # Where several walks ask by turns, one of them may be given three empty pages in a row: that is an error, and said.
        empty = case.what in {"empty_page", "unchanged_cursor"}
        assert set(report.errors) <= {*case.kinds, *(["other"] if empty else [])}
        assert report.errors or not case.kinds or case.what in {"bad_date", "loop"}
        await recovered(e)


async def test_an_api_that_cannot_be_reached(tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    async with (
        Simulator(small_world()) as sim,
        engine(tmp_path, {"acme": source(sim)}, {"out": file_sink(out)}, rng=Hasty()) as e,
    ):
        await complete(sim, e, out)
        await sim.down()
        sim.add_events(30)
        seen = the_source(await until(e, lambda report: the_source(report).errors["connection"] >= 3))
        assert "cannot be reached" in seen.reason
        await sim.up()
        report = the_source(await complete(sim, e, out))
        assert set(report.errors) <= {"connection", "reset"}
        await recovered(e)


@pytest.mark.parametrize("what", ["key_expiry", "key_rotation"])
async def test_a_key_that_ends_and_is_replaced_in_its_file(tmp_path: Path, what: str) -> None:
    out, secret = tmp_path / "out.ndjson", tmp_path / "key"
    async with Simulator(small_world()) as sim:
        secret.write_text(sim.api_key)
        given = {key: value for key, value in source(sim, limit=40).items() if key != "api_key"}
        async with engine(
            tmp_path, {"acme": {**given, "api_key_file": str(secret)}}, {"out": file_sink(out)}, rng=Hasty()
        ) as e:
            await complete(sim, e, out)
            old = sim.api_key
            sim.faults.add(what)
            sim.add_events(45)
            seen = await until(e, lambda report: the_source(report).errors["auth"] >= 3)
            assert the_source(seen).state == "held"
            assert "expired" in the_source(seen).reason
            assert "api_key" in the_source(seen).fix
            assert len(lines_of(out)) == HISTORY
            if what == "key_expiry":
                sim.rotate_key()
            secret.unlink()  # a secret is often replaced in two steps; between them there is none
            at = the_source(seen).errors["auth"]
            seen = await until(e, lambda report: the_source(report).errors["auth"] >= at + 2)
            new = tmp_path / "key.new"
            new.write_text(sim.api_key + "\n")
            new.replace(secret)
            sim.add_events(5)
            report = the_source(await complete(sim, e, out))
            assert sim.faults.fired(what) == 1
            assert set(report.errors) == {"auth"}
            await recovered(e)
            assert old not in repr(seen)
            assert sim.api_key not in repr(seen)


SOUND = {"surrogate", "without_id", "without_time", "bad_time"}
"""Kinds of bad events that are JSON all the same, so that `raw` passes them on: as they came, but for half a character."""


@pytest.mark.parametrize("kind", [*sorted(SOUND), "nan", "huge_number", "bad_utf8"])
async def test_events_with_bad_content(tmp_path: Path, kind: str) -> None:
    raw, ecs = tmp_path / "raw.ndjson", tmp_path / "ecs.ndjson"
    async with (
        Simulator(small_world()) as sim,
        engine(
            tmp_path,
            {"acme": source(sim, limit=40)},
            {"raw": file_sink(raw), "ecs": file_sink(ecs, format="ecs")},
            rng=Hasty(),
        ) as e,
    ):
        await e.until(lambda: len(lines_of(raw)) >= HISTORY)
        good = truth(sim)
        sim.add_events(10)
        sim.faults.add("bad_event", kind=kind, count=3)
        await e.until(lambda: sim.faults.fired("bad_event") == 1)
        sim.add_events(10)
        wanted = truth(sim)
        assert len(wanted) == HISTORY + 23
        report = await until(
            e, lambda r: balanced(r) and [line.spooled for line in r.books] == [len(wanted), len(wanted)]
        )
        books = {line.sink: line for line in report.books}
        letters = await e.daemon._reporter.spool.dead_letters()
        refused = 0 if kind in SOUND else 3
        assert (books["raw"].accepted, books["raw"].rejected) == (len(wanted) - refused, refused)
        of_raw = [letter for letter in letters if letter.lane == "raw"]
        of_ecs = [letter for letter in letters if letter.lane == "ecs"]
        assert len(of_raw) == refused
        assert len(of_ecs) == books["ecs"].rejected
        assert len(lines_of(ecs)) == books["ecs"].accepted
        assert all(letter.reason and letter.detail for letter in letters)
        found = digests_of(raw) + Counter(hashlib.sha256(letter.raw).hexdigest() for letter in of_raw)
        if kind == "surrogate":  # its escape, at which readers stop, has become that of U+FFFD
            changed = [line for line in lines_of(raw) if json.loads(line).get("audit_forwarder") == {"repaired": True}]
            assert len(changed) == len(set(changed)) == 3
            assert len(found - Counter(wanted)) == len(Counter(wanted) - found) == 3
        else:
            assert found == Counter(wanted)
        assert good <= set(digests_of(raw))
        source_report = the_source(report)
        assert source_report.derived_ids == (3 if kind == "without_id" else 0)
        assert source_report.errors == Counter()
        assert source_report.well
        assert set(report.task_restarts.values()) == {0}


async def test_two_organizations_share_the_budget_of_their_key_owner(tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    async with Simulator(small_world(organizations=3)) as sim:
        sources = {f"org{i}": source(sim, org, limit=40, budget="owner") for i, org in enumerate(sim.org_ids)}
        async with engine(
            tmp_path,
            sources,
            {"out": file_sink(out)},
            rng=Hasty(),
            budgets={"owner": {"requests_per_minute": 60_000}},
        ) as e:
            await e.until(lambda: len(lines_of(out)) >= 3 * HISTORY)
            sim.faults.add("forbidden", organization=1, lasts=3600)
            for org in sim.org_ids:
                sim.add_events(20, org)
            # The trouble of one is not the trouble of the others.
            seen = await until(e, lambda r: [s.state for s in r.sources][1] == "held")
            assert seen.degraded == ["org1"]
            await e.until(lambda: len(lines_of(out)) >= 3 * HISTORY + 40)
            sim.faults.clear()
            await e.until(lambda: len(lines_of(out)) >= 3 * HISTORY + 60)
            report = await until(e, balanced)
            assert digests_of(out) == Counter(truth(sim))
            assert [line.accepted for line in report.books] == [HISTORY + 20] * 3
            assert {s.requests_per_minute for s in report.sources} == {60_000}
            assert len({id(budget) for budget in e.daemon._budgets.values()}) == 1
