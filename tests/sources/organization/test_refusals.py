"""Whatever the API refuses: the error says what the engine does, names cause and fix, and holds no secret."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from forwarder.contracts import AuthFailed, Held, Retryable, SourceContext
from forwarder.net.retry import RequestBudget
from forwarder.sources.organization.source import OrganizationConfig, OrganizationSource
from simulator.httpd import Request, Response, Server
from tests.clocks import FakeClock
from tests.sources.organization.answers import KEY, ORG, SINCE, harness, onward, refusal

# --------------------------------------------------------------------------------------------------------- errors

HTML = {"content-type": "text/html"}
ECHO = f"invalid {KEY} {quote(KEY, safe='')} c-u-r-s-o-r"

ERRORS: list[tuple[Callable[[], Response], type[Exception], str, list[str]]] = [
    (lambda: refusal(401), AuthFailed, "auth", ["expired", "revoked", "API keys", "api_key"]),
    (lambda: Response(401, HTML, b"<html>"), AuthFailed, "auth", ["expired", "API keys"]),
    (
        lambda: refusal(403, "ADMIN-403-3", "may not"),
        AuthFailed,
        "forbidden",
        ["ADMIN-403-3 may not", ORG, "read:events:admin", "org_id", "Guard", "Enterprise"],
    ),
    (lambda: refusal(404, "ADMIN-404-2"), Held, "not_found", ["ADMIN-404-2", ORG, "base_url"]),
    (lambda: refusal(400, "ADMIN-400-3", "bad date"), Held, "bad_request", ["400", "ADMIN-400-3 bad date", "clock"]),
    (lambda: refusal(400, "ADMIN-400-24"), Held, "bad_request", ["ADMIN-400-24", "report"]),
    (lambda: refusal(418), Held, "unexpected_status", ["418", "base_url"]),
    (lambda: Response(204), Held, "unexpected_status", ["204"]),
    (lambda: refusal(429, "ADMIN-429-1"), Retryable, "rate_limited", ["rate limit"]),
    (lambda: refusal(500, "ADMIN-500-1"), Retryable, "server_error", ["500"]),
    (lambda: Response(502, HTML, b"<html>"), Retryable, "server_error", ["502"]),
    (lambda: Response(503, HTML, b"<html>"), Retryable, "server_error", ["503"]),
    (lambda: Response(504, HTML, b""), Retryable, "server_error", ["504"]),
    (lambda: Response(408), Retryable, "server_error", ["408"]),
    (lambda: Response(301, {"location": "/login"}), Retryable, "redirect", ["301", "login"]),
    (lambda: Response(307, {"location": "https://login.example.com"}), Retryable, "redirect", ["307", "proxy"]),
    (lambda: Response(200, HTML, b"<html><form>"), Retryable, "login_page", ["not JSON", "login", "proxy"]),
    (lambda: Response(200, HTML, b"{oops"), Retryable, "not_json", ["not a page"]),
    (lambda: Response.json({"data": None}), Retryable, "not_json", ["not a page"]),
    (lambda: Response.json({"errors": []}), Retryable, "not_json", ["not a page"]),
    (lambda: Response.json([]), Retryable, "not_json", ["not a page"]),
    (lambda: Response(200, {"content-type": "application/json"}), Retryable, "not_json", ["not a page"]),
    (lambda: refusal(403, ECHO, ECHO), AuthFailed, "forbidden", ["invalid"]),
    (lambda: refusal(400, ECHO, "t" * 115 + ECHO), Held, "bad_request", ["invalid"]),
    (lambda: refusal(403, "a\x1b[31m\n\x00b" * 5, "t\u202e" * 5000), AuthFailed, "forbidden", ["tttt"]),
    (lambda: Response(403, HTML, b'{"errors":[{"title":"\xff\xfe"}]}'), AuthFailed, "forbidden", ["Guard"]),
    (lambda: Response(403, HTML, b"[" * 100_000), AuthFailed, "forbidden", ["Guard"]),
    (lambda: Response.json({"errors": "text"}, 403), AuthFailed, "forbidden", ["Guard"]),
]


@pytest.mark.parametrize("with_cursor", [False, True])
@pytest.mark.parametrize("row", ERRORS, ids=lambda row: f"{row[2]}-{row[3][0][:12]}-{ERRORS.index(row)}")
async def test_every_refusal_names_its_cause_and_no_secret(row: Any, with_cursor: bool) -> None:
    make, type_, kind, words = row
    cursor = "c-u-r-s-o-r"
    async with harness(limit=200) as d:
        if with_cursor:
            await d.step(onward("1", cursor=cursor))
        with pytest.raises(type_) as caught:
            await d.fetch(make())
        error: Any = caught.value
        assert type(error) is type_
        assert error.kind == kind
        text = str(error)
        assert [word for word in words if word not in text] == []
        assert KEY not in text
        assert quote(KEY, safe="") not in text
        assert KEY[:10] not in text
        assert cursor not in text or not with_cursor
        assert len(text) < 900
        assert text.isprintable()
        assert isinstance(error, Retryable) or (error.reason.endswith(".") and error.fix.endswith("."))


async def test_a_429_says_how_long_and_blocks_the_budget() -> None:
    async with harness() as d:
        with pytest.raises(Retryable) as caught:
            await d.fetch(Response(429, {"Retry-After": "17"}))
        assert caught.value.retry_after == 17
        assert d.source._budget.blocked() == 17


async def test_a_503_may_say_how_long_but_only_in_its_own_header() -> None:
    async with harness() as d:
        with pytest.raises(Retryable) as caught:
            await d.fetch(Response(503, {"Retry-After": "9"}))
        assert caught.value.retry_after == 9
        with pytest.raises(Retryable) as caught:
            await d.fetch(Response(503, {"X-RateLimit-Reset": "2999-01-01T00:00Z"}))
        assert caught.value.retry_after is None


async def test_a_key_file_that_cannot_be_read_holds_and_is_read_again(tmp_path) -> None:
    path = tmp_path / "key"
    clock = FakeClock()

    async def handler(request: Request) -> Response:
        assert request.headers["authorization"] == "Bearer second"
        return onward("1", cursor="c")

    async with Server(handler) as server:
        config = OrganizationConfig.model_validate(
            {"type": "organization", "org_id": ORG, "api_key_file": str(path), "base_url": server.url}
        )
        source = OrganizationSource(config, SourceContext("acme", clock, RequestBudget(clock)))
        for content in (None, "", "  \n"):
            if content is not None:
                path.write_text(content)
            with pytest.raises(AuthFailed) as caught:
                await source.fetch(source.walk(SINCE))
            assert "api_key_file" in caught.value.fix
        path.write_text("second\n")
        assert len((await source.fetch(source.walk(SINCE))).bodies) == 1
        await source.close()
    assert server.failures == []


# ---------------------------------------------------------------------------------------------------------- probe


@pytest.mark.parametrize(
    ("answer", "subject", "ok", "words", "fix"),
    [
        (lambda: onward("1", cursor=None), "key", True, "may read", ""),
        (lambda: onward(cursor=None), "log", False, "no event", "Enterprise plan"),
        (lambda: refusal(401), "key", False, "expired", "API keys"),
        (lambda: Response(503), "answer", False, "503", "status page"),
        (lambda: Response(200, HTML, b"<html>"), "answer", False, "login", "status page"),
    ],
)
async def test_a_probe_asks_for_one_event_and_says_what_works(
    answer: Any, subject: str, ok: bool, words: str, fix: str
) -> None:
    async with harness() as d:
        d.answers.append(answer())
        findings = {finding.subject: finding for finding in await d.source.probe()}
        finding = findings[subject]
        assert finding.ok is ok
        assert words in finding.detail
        assert fix in finding.fix
        assert d.query["limit"] == "1"
        assert KEY not in repr(finding)
