"""What no one may see or forge: clauses B12 (whom a sink speaks to), B13 (hostile content) and D2 (secrets)."""

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

from forwarder.testing.delivering import delivering, everything
from forwarder.testing.far_end import SECOND_SECRET, SECRET, FarEnd
from forwarder.testing.lanes import event
from forwarder.testing.suite import clause

HOUR = timedelta(hours=1)
_CERTIFICATES: dict[str, dict[str, Any]] = {
    "wrong name": {"identities": ("other.example",)},
    "expired": {"identities": ("127.0.0.1",), "not_after": datetime.now(UTC) - HOUR},
    "unknown authority": {"identities": ("127.0.0.1",)},
}


@pytest.mark.parametrize("wrong", list(_CERTIFICATES))
@clause("tls")
async def test_b12_a_wrong_certificate_gets_nothing_and_a_right_one_fixes_it(
    far_end: type[FarEnd], wrong: str, tmp_path: Path
) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # handshakes fail on purpose
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issuer = stranger if wrong == "unknown authority" else authority
    facts = dict(_CERTIFICATES[wrong])
    bad = issuer.issue_cert(*facts.pop("identities"), **facts)
    showing = _context(bad)
    server_tls = _context(bad)
    server_tls.sni_callback = lambda handshake, _name, _context: setattr(handshake, "context", showing)
    async with delivering(far_end, tmp_path) as d:
        await d.end.close()
        await d.end.open(server_tls)
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
    "line\\nbreak", "carriage\\rreturn", "nul\\u0000", "bell\\u0007", "esc\\u001b[31m", "a|b=c]d", 'quote\\"',
    "back\\\\slash",
    "\\u2028separator\\u2029", "\\u202eright to left", "emoji \U0001f600", "half \\ud83d", "<script>", "}{", "%0a",
)  # fmt: skip


@clause()
async def test_b13_hostile_content_stays_inside_its_record(far_end: type[FarEnd], tmp_path: Path) -> None:
    bodies = [
        f'{{"id":"h{n}","attributes":{{"time":"2026-01-31T10:00:00Z","action":"user_login","actor":{{"id":"a1",'
        f'"name":"{text}"}},"context":[{{"id":"x","attributes":{{"title":"{text}"}}}}]}}}}'.encode()
        for n, text in enumerate(HOSTILE)
    ]
    async with delivering(far_end, tmp_path) as d:
        d.start()
        await d.bench.fill(*bodies, event("plain"))
        landed = await d.arrived()
        letters = await d.bench.spool.dead_letters("one")
        buried = {letter.raw.split(b'"')[3].decode() for letter in letters}
        assert set(landed) | buried == {f"h{n}" for n in range(len(HOSTILE))} | {"plain"}
        assert buried.isdisjoint(landed)
        assert landed.total() == len(landed)


@clause()
async def test_d2_no_secret_is_seen_anywhere(
    far_end: type[FarEnd], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with capture_logs() as logs:
        async with delivering(far_end, tmp_path) as d:
            for fault in ("busy", "garbage", "reset", "too_large"):
                if fault in d.end.can:
                    d.end.play(fault)
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
