"""Which host a token is good on is found out, kept, and found out again; no refusal is taken for another one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forwarder.contracts import AuthFailed, Held, Retryable
from simulator.httpd import Request, Response
from tests.sources.site.harness import BASIC, CLOUD, EMAIL, HTML, SINCE, TOKEN, harness, records

RECORD = "/rest/api/3/auditing/record"
ON_SITE = f"site {RECORD}"
AT_GATEWAY = f"gateway /ex/jira/{CLOUD}{RECORD}"
INFO = "site /_edge/tenant_info"


def refused(status: int, message: str = "no", **more: str) -> Response:
    return Response.json({"message": message}, status, more)


LOGIN = Response(200, HTML, b"<html><title>Log in</title></html>")


async def fetch(source: Any) -> Any:
    return await source.fetch(source.walk(SINCE, SINCE + 60_000))


async def test_a_token_without_scopes_is_good_on_the_site_and_nothing_else_is_asked():
    async with harness() as (api, source, _):
        api.site = records(1)
        for _ in range(2):
            page = await fetch(source)
            assert len(page.bodies) == 1
        assert api.asked == [ON_SITE, ON_SITE]
        assert api.requests[0].headers["authorization"] == f"Basic {BASIC}"


@pytest.mark.parametrize(
    "answer",
    [refused(401), refused(403), refused(404), LOGIN, Response(302, {"location": "/login"}), Response(403, HTML, b"<")],
    ids=["401", "403", "404", "login", "redirect", "page"],
)
async def test_a_token_with_scopes_is_good_at_the_gateway_and_that_is_remembered(answer):
    async with harness() as (api, source, _):
        api.site, api.gateway = answer, records(1, 2)
        assert len((await fetch(source)).bodies) == 2
        assert len((await fetch(source)).bodies) == 2
        assert api.asked == [ON_SITE, INFO, AT_GATEWAY, AT_GATEWAY]


async def test_the_id_of_the_cloud_is_asked_without_the_token():
    async with harness() as (api, source, _):
        api.gateway = records()
        await fetch(source)
        assert [("authorization" in asked.headers) for asked in api.requests] == [True, False, True]


@pytest.mark.parametrize(("access", "path"), [("site", [ON_SITE]), ("gateway", [INFO, AT_GATEWAY])])
async def test_a_pinned_host_is_the_only_one_that_gets_the_token(access, path):
    async with harness(access=access) as (api, source, _):
        for _ in range(2):
            with pytest.raises(AuthFailed):
                await fetch(source)
        assert api.asked == [*path, *path]


async def test_a_token_of_the_other_kind_in_the_same_file_is_found_out(tmp_path):
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o600)
    async with harness(token=None, token_file=str(file)) as (api, source, _):
        api.site = records(1)
        assert (await fetch(source)).bodies
        api.site, api.gateway = refused(401), records(1, 2)
        with pytest.raises(AuthFailed):
            await fetch(source)
        assert len((await fetch(source)).bodies) == 2
        assert api.asked[1:] == [ON_SITE, ON_SITE, INFO, AT_GATEWAY]


async def test_two_requests_at_once_find_it_out_once():
    async with harness() as (api, source, _):
        api.gateway = records(1)
        await asyncio.gather(fetch(source), fetch(source))
        assert sorted(api.asked) == sorted([ON_SITE, INFO, AT_GATEWAY, AT_GATEWAY])


@pytest.mark.parametrize(
    "answer",
    [Response(503), refused(429, **{"retry-after": "7"}), Response(200, {"content-type": "application/json"}, b"{")],
    ids=["outage", "limit", "cut"],
)
async def test_an_outage_says_nothing_of_the_token_and_the_other_host_is_not_asked(answer):
    async with harness() as (api, source, _):
        api.site = answer
        with pytest.raises(Retryable):
            await fetch(source)
        assert api.asked == [ON_SITE]


async def test_an_outage_of_the_gateway_says_why_it_was_asked():
    async with harness() as (api, source, _):
        api.gateway = Response(503, {"retry-after": "9"})
        with pytest.raises(Retryable, match=r"503.*site itself refuses") as caught:
            await fetch(source)
        assert (caught.value.kind, caught.value.retry_after) == ("server_error", 9)


SITE_401 = refused(401, "Client must be authenticated to access this resource.")
SCOPE = refused(401, "Unauthorized; scope does not match")

BOTH: dict[str, tuple[Response, Response, type[Exception], str, str, str]] = {
    "neither takes it": (SITE_401, refused(401), AuthFailed, "auth", "as well", "Make an API token"),
    "a scope is missing": (SITE_401, SCOPE, AuthFailed, "forbidden", "lacks a scope", "read:audit-log:jira"),
    "no permission": (refused(403), refused(401), AuthFailed, "forbidden", "Free", "Administer Jira"),
    "no permission there": (refused(401), refused(403), AuthFailed, "forbidden", "Administer Jira", "Administer Jira"),
    "no such site": (refused(404), refused(404), Held, "not_found", "knows no Jira", "site"),
    "login pages": (LOGIN, LOGIN, Retryable, "login_page", "login page", "something other than the API"),
    "a renamed site": (
        Response(301, {"location": "https://new-name.example.com/x?token=1"}),
        refused(404),
        Retryable,
        "redirect",
        "to https://new-name.example.com/x,",
        "URL",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BOTH)
async def test_of_two_refusals_the_one_that_says_more_is_told(case):
    site, gateway, kind, label, reason, fix = BOTH[case]
    async with harness() as (api, source, _):
        api.site, api.gateway = site, gateway
        with pytest.raises(kind) as caught:
            await fetch(source)
        error: Any = caught.value
        assert error.kind == label
        assert reason in str(error)
        assert fix in error.fix


HOSTILE: list[Callable[[Request], Response]] = [
    lambda _: Response.json({"message": f"bad {TOKEN} and {BASIC}"}, 401),
    lambda _: Response.json({"errorMessages": [f"{EMAIL}:{TOKEN}", "x" * 9999]}, 403),
    lambda _: Response(403, HTML, f"<html><title>{BASIC}\x1b[31m\u202e</title>".encode()),
    lambda _: Response(401, {"content-type": "application/json"}, b"[" * 100_000),
    lambda _: Response(401, {"content-type": "application/json"}, b'{"message":{"message":[[["\xff"]]]}}'),
    lambda _: Response.json({"message": ["a", 1, None], "errors": {"a": "b"}}, 418),
    lambda asked: Response(302, {"location": f"https://evil.example.com/{asked.headers['authorization'][6:]}"}),
    lambda _: Response(204),
    lambda _: Response.json({"message": "t\n\x00" * 5000}, 400),
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
async def test_what_a_host_says_is_printable_short_and_without_the_token(number):
    async with harness() as (api, source, _):
        api.site = api.gateway = HOSTILE[number]
        with pytest.raises((Held, Retryable)) as caught:
            await fetch(source)
        shown = f"{caught.value} {vars(caught.value)}"
        assert TOKEN not in shown
        assert BASIC not in shown
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 900
        assert caught.value.fix


@pytest.mark.parametrize(
    "info",
    [
        Response.json({"cloudId": "../../admin/v1/orgs"}),
        Response.json({"cloudId": "a" * 65}),
        Response.json({"cloudId": 7}),
        Response.json({"cloudId": "x\r\nHost: evil"}),
        Response.json({}),
        Response.json([]),
        Response(200, {"content-type": "application/json"}, b"{" * 100_000),
        Response(200, {"content-type": "application/json"}, b'{"cloudId":"' + b"a" * 1_000_000 + b'"}'),
    ],
)
async def test_a_cloud_id_that_cannot_be_one_goes_into_no_path(info):
    async with harness(access="gateway") as (api, source, _):
        api.info, api.gateway = info, records(1)
        with pytest.raises(Retryable) as caught:
            await fetch(source)
        assert caught.value.fix
        assert api.asked == [INFO]


OTHER = "99999999-2222-3333-4444-555555555555"


@pytest.mark.parametrize(
    "answer", [refused(401), refused(403), refused(404), Response(404, HTML, b"<"), LOGIN], ids=range(5)
)
@pytest.mark.parametrize("access", ["auto", "gateway"])
async def test_the_id_of_a_cloud_that_is_refused_is_asked_for_again_without_the_token(access, answer):
    async with harness(access=access) as (api, source, _):
        api.info = Response.json({"cloudId": OTHER})
        api.gateway = lambda asked: records(1) if CLOUD in asked.path else answer
        with pytest.raises((Held, Retryable)):
            await fetch(source)
        api.info = Response.json({"cloudId": CLOUD})
        for _ in range(2):
            assert len((await fetch(source)).bodies) == 1
        assert api.asked.count(INFO) == 2
        for asked in api.requests:
            assert ("authorization" in asked.headers) == ("_edge" not in asked.path)


@pytest.mark.parametrize("answer", [refused(400), refused(418), Response(503), refused(429)], ids=range(4))
async def test_the_id_of_a_cloud_stays_where_a_refusal_says_nothing_of_it(answer):
    async with harness(access="gateway") as (api, source, clock):
        api.gateway = answer
        with pytest.raises((Held, Retryable)):
            await fetch(source)
        clock.advance(400)
        api.gateway = records(1)
        assert len((await fetch(source)).bodies) == 1
        assert api.asked.count(INFO) == 1


async def test_a_refusal_by_an_old_id_of_a_cloud_does_not_forget_the_new_one():
    async with harness(access="gateway") as (api, source, _):

        def late(_: Request) -> Response:
            source.access._cloud_id = OTHER  # found by another request meanwhile
            return refused(404)

        api.gateway = late
        with pytest.raises(Held):
            await fetch(source)
        assert await source.access.cloud_id() == OTHER


async def test_a_secret_that_cannot_be_read_is_no_fault_of_a_host(tmp_path: Path):
    missing = tmp_path / "nothing"
    async with harness(token=None, token_file=str(missing)) as (api, source, _):
        with pytest.raises(AuthFailed, match="token_file"):
            await fetch(source)
        assert api.asked == []


LIMITS = {
    "burst": ("jira-burst-based", "short time", True),
    "quota": ("jira-quota-tenant-based", "quota", False),
    "writes": ("jira-per-issue-on-write", "one issue", False),
    "unknown": ("some\x1bthing-new", "rate limit", False),
    "none": ("", "rate limit", False),
}


@pytest.mark.parametrize("case", LIMITS)
async def test_a_limit_is_told_by_its_reason_and_a_burst_stops_this_address_alone(case):
    reason, words, alone = LIMITS[case]
    async with harness() as (api, source, clock):
        api.site = refused(429, **{"retry-after": "40"}, **({"ratelimit-reason": reason} if reason else {}))
        with pytest.raises(Retryable, match=words) as caught:
            await fetch(source)
        assert caught.value.retry_after == 40
        budget = source.access._budget
        assert (budget.blocked() == 0) == alone
        api.site = records(1)
        if alone:
            with pytest.raises(Retryable, match="left alone") as again:
                await fetch(source)
            assert again.value.retry_after == 40
            assert len(api.asked) == 1
            clock.advance(41)
        assert len((await fetch(source)).bodies) == 1


@pytest.mark.parametrize(
    ("header", "value", "least", "most"),
    [
        ("retry-after", "3", 3, 3),
        ("x-ratelimit-reset", "2027-01-01T00:00Z", 300, 300),
        ("x-ratelimit-reset", "2026-01-01T00:00Z", 0, 0),
        ("x-ratelimit-reset", "soon", 0, 60),
    ],
)
async def test_the_wait_is_what_the_api_asks_for(header, value, least, most):
    async with harness() as (api, source, _):
        api.site = refused(429, **{header: value})
        with pytest.raises(Retryable) as caught:
            await fetch(source)
        assert least <= (caught.value.retry_after or 0) <= most
