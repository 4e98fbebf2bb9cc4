"""Every sink on its far end, behind the real lane and the real spool: the clauses of docs/sink-specification.md.

Each test names the clauses it proves. A far end says what it can play; the rest runs for every sink.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from structlog.testing import capture_logs

from forwarder.registry import OWN_DISTRIBUTION, Registry
from tests.contract.abilities import SECOND_SECRET, SECRET, Ability, secret_file
from tests.contract.delivering import EVENTS, delivering, each, everything
from tests.contract.far_ends import FAR_ENDS, able
from tests.delivery.lanes import event


def test_every_registered_sink_has_a_far_end() -> None:
    assert set(Registry("sink").names(distribution=OWN_DISTRIBUTION)) <= {end.name for end in FAR_ENDS.values()}


# -------------------------------------------------------------------------------------------------------- B: sending


@each()
async def test_b1_b2_everything_arrives_once_and_the_books_balance(name: str, tmp_path: Path) -> None:
    async with delivering(name, tmp_path) as d:
        d.start()
        await d.fill()
        assert await d.arrived() == Counter(everything())
        assert d.lane.report.accepted == EVENTS


@each("reject")
async def test_b3_what_is_refused_is_refused_alone(name: str, tmp_path: Path) -> None:
    bad = {"e0", "e7", "e8", "e24"}
    async with delivering(name, tmp_path) as d:
        d.end.reject(bad)
        d.start()
        await d.fill()
        landed = await d.arrived()
        assert set(landed) == everything() - bad
        await d.only_doubtful_doubles(landed)
        letters = await d.bench.spool.dead_letters("one")
        assert {letter.raw.split(b'"')[3].decode() for letter in letters} == bad
        assert all(letter.reason and " " not in letter.reason for letter in letters)


@each("reject_all")
async def test_b4_what_is_refused_alike_waits_until_the_sink_takes_anything_else(name: str, tmp_path: Path) -> None:
    async with delivering(name, tmp_path) as d:
        d.end.reject(everything())
        d.start()
        await d.fill()
        await d.until(lambda: d.lane.report.state == "held" and d.lane.report.tries >= 6)
        assert d.lane.report.reason
        assert d.lane.report.fix
        assert d.lane.report.dead_letters == 0
        await d.fill(3, "later")
        assert set(await d.arrived()) == everything(3, "later")
        assert d.lane.report.rejected == EVENTS


@each("reject_all")
async def test_b4_what_is_refused_alike_arrives_when_the_sink_is_fixed(name: str, tmp_path: Path) -> None:
    async with delivering(name, tmp_path) as d:
        d.end.reject(everything())
        d.start()
        await d.fill()
        await d.until(lambda: d.lane.report.state == "held" and d.lane.report.tries >= 6)
        d.end.calm()
        landed = await d.arrived()
        assert set(landed) == everything()
        assert d.lane.report.dead_letters == 0
        await d.only_doubtful_doubles(landed)


@each("busy")
async def test_b5_trouble_that_passes_is_outlived(name: str, tmp_path: Path) -> None:
    async with delivering(name, tmp_path) as d:
        d.end.play("busy", 3)
        d.start()
        await d.fill()
        landed = await d.arrived()
        assert set(landed) == everything()
        assert d.lane.report.errors.total() >= 1
        assert d.lane.report.well
        await d.only_doubtful_doubles(landed)


@each("auth")
async def test_b6_a_refused_secret_holds_and_a_new_file_mends_it(name: str, tmp_path: Path) -> None:
    async with delivering(name, tmp_path) as d:
        d.start()
        await d.fill(5, "before")
        await d.arrived()
        d.end.rotate()
        await d.fill()
        await d.until(lambda: d.lane.report.state == "held")
        assert d.lane.report.fix
        assert set(d.end.landed) == everything(5, "before")
        secret_file(tmp_path, SECOND_SECRET)
        landed = await d.arrived()
        assert set(landed) == everything() | everything(5, "before")
        assert landed.total() == len(landed)
        assert d.lane.report.dead_letters == 0


@each("too_large")
async def test_b7_what_is_too_large_is_halved(name: str, tmp_path: Path) -> None:
    async with delivering(name, tmp_path) as d:
        d.end.play("too_large", 2)
        d.start()
        await d.fill()
        assert await d.arrived() == Counter(everything())
        assert d.lane.report.batches > 3
        assert d.lane.report.dead_letters == 0


@pytest.mark.parametrize(
    ("name", "fault"),
    [(n, f) for f in ("slow", "stall", "reset", "garbage") for n in able(f)],  # type: ignore[arg-type]
)
async def test_b9_b10_b14_a_bad_answer_accepts_nothing_and_everything_arrives(
    name: str, fault: Ability, tmp_path: Path
) -> None:
    async with delivering(name, tmp_path) as d:
        d.end.play(fault, 2)
        d.start()
        await d.fill()
        landed = await d.arrived()
        assert set(landed) == everything()
        assert d.lane.report.dead_letters == 0
        await d.only_doubtful_doubles(landed)


@each("restart")
async def test_b11_a_destination_that_was_away_is_found_again(name: str, tmp_path: Path) -> None:
    async with delivering(name, tmp_path) as d:
        d.start()
        await d.fill(5, "before")
        await d.until(lambda: len(d.end.landed) == 5)  # so the far end knows of the connection that it is to cut
        await d.end.close()
        await d.fill()
        await d.until(lambda: d.lane.report.state in {"retrying", "held"})
        await d.end.open()
        landed = await d.arrived()
        assert set(landed) == everything() | everything(5, "before")
        await d.only_doubtful_doubles(landed)


HOUR = timedelta(hours=1)
_CERTIFICATES = {
    "wrong name": {"identities": ("other.example",)},
    "expired": {"identities": ("127.0.0.1",), "not_after": datetime.now(UTC) - HOUR},
    "unknown authority": {"identities": ("127.0.0.1",)},
}


@pytest.mark.parametrize("wrong", list(_CERTIFICATES))
@each("tls")
async def test_b12_a_wrong_certificate_gets_nothing_and_a_right_one_mends_it(
    name: str, wrong: str, tmp_path: Path
) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # handshakes fail on purpose
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issuer = stranger if wrong == "unknown authority" else authority
    facts: dict[str, Any] = dict(_CERTIFICATES[wrong])
    bad = issuer.issue_cert(*facts.pop("identities"), **facts)
    showing = _context(bad)
    door = _context(bad)
    door.sni_callback = lambda handshake, _name, _context: setattr(handshake, "context", showing)
    async with delivering(name, tmp_path) as d:
        await d.end.close()
        await d.end.open(door)
        d.start(tls={"ca_file": str(tmp_path / "ca.pem")})
        await d.fill()
        await d.until(lambda: d.lane.report.errors.total() >= 2)
        assert d.lane.report.state in {"retrying", "held"}
        assert d.end.landed == Counter()
        assert await d.in_doubt() == set(), "nothing was sent, so nothing can have come twice"
        showing = _context(authority.issue_cert("127.0.0.1"))
        assert await d.arrived() == Counter(everything())


def _context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(made)
    return made


HOSTILE = (
    "line\\nbreak", "carriage\\rreturn", "nul\\u0000", "bell\\u0007", "esc\\u001b[31m", "a|b=c]d", 'quote\\"', "back\\\\slash",
    "\\u2028separator\\u2029", "\\u202eright to left", "emoji \U0001f600", "half \\ud83d", "<script>", "}{", "%0a",
)  # fmt: skip


@each()
async def test_b13_hostile_content_stays_inside_its_record(name: str, tmp_path: Path) -> None:
    bodies = [
        f'{{"id":"h{n}","attributes":{{"time":"2026-01-31T10:00:00Z","action":"user_login","actor":{{"id":"a1",'
        f'"name":"{text}"}},"context":[{{"id":"x","attributes":{{"title":"{text}"}}}}]}}}}'.encode()
        for n, text in enumerate(HOSTILE)
    ]
    async with delivering(name, tmp_path) as d:
        d.start()
        await d.bench.fill(*bodies, event("plain"))
        landed = await d.arrived()
        letters = await d.bench.spool.dead_letters("one")
        buried = {letter.raw.split(b'"')[3].decode() for letter in letters}
        assert set(landed) | buried == {f"h{n}" for n in range(len(HOSTILE))} | {"plain"}
        assert buried.isdisjoint(landed)
        assert landed.total() == len(landed)


# ------------------------------------------------------------------------------------------------ C: confirming late


@each("late")
async def test_c_nothing_is_settled_before_it_is_confirmed(name: str, tmp_path: Path) -> None:
    async with delivering(name, tmp_path) as d:
        d.end.play("late", 2)
        d.start()
        await d.fill()
        await d.until(lambda: d.lane.report.pending > 0)
        assert d.lane.report.accepted < EVENTS
        landed = await d.arrived()
        assert set(landed) == everything()
        await d.only_doubtful_doubles(landed)


# --------------------------------------------------------------------------------------------------------- D: ending


@each("stall")
async def test_d1_close_ends_what_is_in_flight_and_the_next_life_sends_it_again(name: str, tmp_path: Path) -> None:
    async with delivering(name, tmp_path) as d:
        d.end.play("stall", 100)
        d.start()
        await d.fill()
        await d.until(lambda: d.lane.report.in_flight > 0)
        lane, task = d.bench.lanes.pop("one")
        task.cancel()
        await asyncio.wait({task})
        await d.sink.close()
        await d.sink.close()
        await d.end.close()
        await d.end.open()
        d.end.calm()
        d.start()
        landed = await d.arrived()
        assert set(landed) == everything()
        await d.only_doubtful_doubles(landed)
        assert lane is not d.lane


@each()
async def test_d2_no_secret_is_seen_anywhere(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with capture_logs() as logs:
        async with delivering(name, tmp_path) as d:
            for fault in ("busy", "garbage", "reset", "too_large"):
                if fault in d.end.can:
                    d.end.play(fault)  # type: ignore[arg-type]
            if "reject" in d.end.can:
                d.end.reject({"e3"})
            d.start()
            await d.fill()
            await d.arrived()
            if "auth" in d.end.can:
                d.end.rotate()
                await d.fill(3, "later")
                await d.until(lambda: d.lane.report.state == "held")
            findings = await d.sink.probe()
            letters = await d.bench.spool.dead_letters("one")
            seen = f"{logs} {caplog.text} {asdict(d.lane.report)} {findings} {letters} {d.sink.target} {vars(d.sink)}"
    assert SECRET not in seen
    assert SECOND_SECRET not in seen
