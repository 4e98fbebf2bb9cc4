"""Two keys roll over without a gap, whatever source they are of, and no day is needed for it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from forwarder.contracts import AuthFailed, Held, SourceContext
from forwarder.net.http import Response as Answer
from forwarder.net.retry import RequestBudget
from forwarder.registry import SOURCES
from simulator.httpd import Request, Response, Server
from tests.clocks import FakeClock

FIRST, SECOND = "first-key-of-the-test+/=", "second-key-of-the-test+/="
EMAIL, ORG = "audit@example.com", "a1b2c3d4-0000-1111-2222-333344445555"
SINCE = 1_790_000_000_000
EMPTY = {
    "data": [], "meta": {"next": None}, "links": {}, "records": [], "total": 0, "offset": 0, "limit": 1000,
    "results": [], "start": 0, "size": 0, "entities": [], "pagingInfo": {"lastPage": True, "size": 0},
}  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {
    "organization": {"org_id": ORG, "base_url": "{url}"},
    "jira": {"site": "acme", "site_url": "{url}", "gateway": "{url}", "email": EMAIL},
    "confluence": {"site": "acme", "site_url": "{url}", "gateway": "{url}", "email": EMAIL, "access": "site"},
    "jira_datacenter": {"url": "{url}"},
    "confluence_datacenter": {"url": "{url}", "user": "audit"},
}
KEYS = {"organization": "api_key", "confluence_datacenter": "password"}


def key_of(request: Request) -> str:
    kind, _, text = request.headers.get("authorization", "").partition(" ")
    return text if kind == "Bearer" else base64.b64decode(text).decode().partition(":")[2]


class Api:
    """Takes some keys and refuses all others; notes what it was shown, in order."""

    def __init__(self) -> None:
        self.takes = {FIRST}
        self.shown: list[str] = []
        self.status = 401
        self.statuses: dict[str, int] = {}
        self.of_gateway: int | None = None
        self.says: Any = {"message": f"no {FIRST} and no {SECOND}", "errors": [{"code": FIRST, "title": SECOND}]}

    async def __call__(self, request: Request) -> Response:
        if "authorization" not in request.headers:
            return Response.json({"cloudId": "11111111-2222-3333-4444-555555555555"})
        self.shown.append(key_of(request))
        if self.shown[-1] in self.takes:
            return Response.json(EMPTY)
        if self.of_gateway is not None and request.path.startswith("/ex/"):
            return Response.json(self.says, self.of_gateway)
        return Response.json(self.says, self.statuses.get(self.shown[-1], self.status))


@asynccontextmanager
async def source_of(kind: str, **changes: Any) -> AsyncIterator[tuple[Api, Any, FakeClock]]:
    api, clock = Api(), FakeClock()
    async with Server(api) as server:
        base = KEYS.get(kind, "token")
        fixed = {name: value.replace("{url}", server.url) for name, value in SETTINGS[kind].items()}
        given = {"": FIRST, "_next": SECOND, **changes}
        named = {f"{base}{end}": value for end, value in given.items() if value is not None}
        made = SOURCES.load(kind)
        source = made(made.Config(type=kind, **fixed, **named), SourceContext("acme", clock, RequestBudget(clock, 1e9)))
        try:
            yield api, source, clock
        finally:
            await source.close()
    assert server.failures == []


async def read(source: Any) -> None:
    await source.fetch(source.walk(SINCE, SINCE + 60_000))


@pytest.mark.parametrize("kind", SETTINGS)
async def test_the_second_key_takes_over_in_the_same_turn_and_stays(kind: str) -> None:
    async with source_of(kind) as (api, source, _):
        await read(source)
        assert set(api.shown) == {FIRST}
        assert source.credentials.in_use == KEYS.get(kind, "token")
        api.takes = {SECOND}
        await read(source)
        assert api.shown[-1] == SECOND
        assert source.credentials.in_use == f"{KEYS.get(kind, 'token')}_next"
        api.shown.clear()
        await read(source)
        assert set(api.shown) == {SECOND}
        api.takes = {FIRST}  # the first was made anew
        await read(source)
        assert api.shown[-1] == FIRST
        assert source.credentials.in_use == KEYS.get(kind, "token")


@pytest.mark.parametrize("kind", SETTINGS)
async def test_a_key_that_has_ended_is_not_shown_while_the_other_is_taken(kind: str) -> None:
    async with source_of(kind, _expires_at="2026-09-23", _next_expires_at="2027-09-22") as (api, source, clock):
        api.takes = {FIRST, SECOND}
        await read(source)
        assert set(api.shown) == {FIRST}
        clock.advance(3 * 86_400)
        api.shown.clear()
        await read(source)
        assert set(api.shown) == {SECOND}
        api.takes = {FIRST}  # the day was wrong, and the second key is not good yet
        await read(source)
        assert api.shown[-1] == FIRST


@pytest.mark.parametrize("kind", SETTINGS)
async def test_both_refused_is_said_and_no_key_is(kind: str) -> None:
    async with source_of(kind) as (api, source, _):
        api.takes = set()
        with pytest.raises(AuthFailed) as caught:
            await read(source)
        assert f"{KEYS.get(kind, 'token')}_next is refused as well" in caught.value.reason
        words = f"{caught.value} {caught.value.fix}"
        assert not any(key[:12] in words for key in (FIRST, SECOND)), words
        for key in (SECOND, FIRST):
            api.takes = {key}
            await read(source)


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize("end", ["", "_next"])
@pytest.mark.parametrize(("written", "cause"), [(None, "cannot be read"), ("", "cannot be used")])
async def test_a_file_of_two_that_cannot_be_read_is_said_when_the_other_key_is_refused(
    kind: str, end: str, written: str | None, cause: str, tmp_path: Any
) -> None:
    base, other, path = KEYS.get(kind, "token"), {"": "_next", "_next": ""}[end], tmp_path / "key"
    path.write_text(SECOND)
    async with source_of(kind, **{"": None, "_next": None, other: FIRST, f"{end}_file": str(path)}) as (api, source, _):
        path.unlink() if written is None else path.write_text(written)
        api.takes = set()
        with pytest.raises(AuthFailed) as caught:
            await read(source)
        assert set(api.shown) == {FIRST}
        assert "refused as well" not in caught.value.reason
        assert f"the file that {base}{end}_file names {cause}" in caught.value.reason
        assert f"Fix the file that {base}{end}_file names" in caught.value.fix
        assert (f"{base}_next was refused" in caught.value.reason) == (end == "")
        assert not any(key[:12] in str(caught.value) for key in (FIRST, SECOND))


@pytest.mark.parametrize("kind", SETTINGS)
async def test_two_files_that_cannot_be_read_are_both_said(kind: str, tmp_path: Any) -> None:
    base, paths = KEYS.get(kind, "token"), [tmp_path / "first", tmp_path / "second"]
    for path in paths:
        path.write_text(FIRST)
    files = {"_file": str(paths[0]), "_next_file": str(paths[1])}
    async with source_of(kind, **{"": None, "_next": None, **files}) as (api, source, _):
        paths[0].unlink()
        paths[1].write_text("")
        with pytest.raises(AuthFailed) as caught:
            await read(source)
        assert api.shown == []
        assert f"{base}_file names cannot be read" in caught.value.reason
        assert f"{base}_next_file names cannot be used" in caught.value.reason


@pytest.mark.parametrize("kind", SETTINGS)
async def test_the_same_key_twice_is_no_second_refusal(kind: str) -> None:
    base = KEYS.get(kind, "token")
    async with source_of(kind, _next=FIRST) as (api, source, _):
        api.takes = set()
        with pytest.raises(AuthFailed) as caught:
            await read(source)
        assert set(api.shown) == {FIRST}
        assert "refused as well" not in caught.value.reason
        assert f"{base}_next is the same as {base}" in caught.value.reason


@pytest.mark.parametrize("kind", SETTINGS)
async def test_one_key_refused_and_the_other_without_permission_are_told_apart(kind: str) -> None:
    base = KEYS.get(kind, "token")
    async with source_of(kind) as (api, source, _):
        api.takes, api.statuses = set(), {FIRST: 401, SECOND: 403}
        with pytest.raises(AuthFailed) as caught:
            await read(source)
        assert caught.value.kind == "forbidden"
        assert f"this is about {base}_next; {base} is refused" in caught.value.reason


@pytest.mark.parametrize("kind", SETTINGS)
async def test_one_key_alone_is_shown_once_and_its_refusal_names_no_other(kind: str) -> None:
    async with source_of(kind, _next=None) as (api, source, _):
        api.takes = set()
        with pytest.raises(AuthFailed) as caught:
            await read(source)
        assert "_next" not in caught.value.reason
        assert len(api.shown) <= 2  # one for each host of a site


@pytest.mark.parametrize("kind", ["organization", "jira_datacenter"])
async def test_what_is_no_matter_of_the_key_shows_no_other(kind: str) -> None:
    async with source_of(kind) as (api, source, _):
        api.takes = set()
        for status in (403, 429, 500, 404):
            api.status = status
            api.shown.clear()
            with pytest.raises((Held, Exception)):
                await read(source)
            assert set(api.shown) == {FIRST}


@pytest.mark.parametrize("kind", SETTINGS)
async def test_a_file_that_is_missing_is_no_gap_while_the_other_key_is_taken(kind: str, tmp_path: Any) -> None:
    gone, there = tmp_path / "gone", tmp_path / "there"
    there.write_text(SECOND)
    files = {"_file": str(gone), "_next_file": str(there)}
    async with source_of(kind, **{"": None, "_next": None, **files}) as (api, source, _):
        api.takes = {SECOND}
        await read(source)
        there.write_text(FIRST)  # replaced, and read again without a restart
        api.takes = {FIRST}
        await read(source)
        there.unlink()
        with pytest.raises(AuthFailed, match="cannot be read"):
            await read(source)


@pytest.mark.parametrize("kind", SETTINGS)
async def test_doctor_tries_each_and_says_how_long_each_is_good(kind: str) -> None:
    base = KEYS.get(kind, "token")
    async with source_of(kind, _expires_at="2026-09-24", _next_expires_at="2027-09-22") as (api, source, _):
        found = {finding.subject: finding for finding in await source.probe()}
        assert not found[f"{base}_next"].ok  # it will be needed
        assert found[base].ok
        assert "in 3 days" in found[f"{base} expires"].detail
        assert f"{base}_next takes over" in found[f"{base} expires"].fix
        assert "good until 2027-09-22" in found[f"{base}_next expires"].detail
        api.takes = {SECOND}
        found = {finding.subject: finding for finding in await source.probe()}
        assert found[f"{base}_next"].ok
        assert found[base].ok  # nothing is interrupted
        assert "refused" in found[base].detail
        assert found[base].fix
        assert not any(key[:12] in str(found) for key in (FIRST, SECOND))


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize("status", [201, 204, 302, 400, 404, 408, 429, 500, 502, 503])
async def test_doctor_calls_no_key_good_that_nobody_took(kind: str, status: int) -> None:
    base = KEYS.get(kind, "token")
    async with source_of(kind) as (api, source, _):
        await source.probe()  # the way is found
        api.takes, api.statuses = {FIRST}, {SECOND: status}
        found = {finding.subject: finding for finding in await source.probe()}
        assert found[base].ok
        assert not found[f"{base}_next"].ok
        assert f"could not be tried: the answer is {status}" in found[f"{base}_next"].detail
        assert found[f"{base}_next"].fix


@pytest.mark.parametrize(("site", "gateway"), [(401, 503), (403, 429), (503, 401), (404, 403)])
async def test_doctor_calls_no_token_refused_that_one_host_could_not_tell_of(site: int, gateway: int) -> None:
    async with source_of("jira") as (api, source, _):
        api.status, api.of_gateway = site, gateway
        found = {finding.subject: finding for finding in await source.probe()}
        assert not found["token_next"].ok
        assert "could not be tried" in found["token_next"].detail


@pytest.mark.parametrize("kind", SETTINGS)
async def test_doctor_covers_no_refused_key_by_one_that_could_not_be_tried(kind: str) -> None:
    async with source_of(kind) as (_, source, _):
        credentials = source.credentials

        async def send(secret: str) -> Any:
            return Answer({FIRST: 401, SECOND: 503}[secret], {"content-type": "application/json"}, b"{}")

        assert [finding.ok for finding in await credentials.try_each(send)] == [False, False]

        async def login(secret: str) -> Any:
            return Answer(200, {"content-type": "text/html"}, b"<title>Log in</title>")

        assert [finding.ok for finding in await credentials.try_each(login)] == [False, False]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"_expires": "2027-01-31", "_expires_at": "2027-01-31"}, "both set"),
        ({"": None, "_next": SECOND}, "required|follows|whole credential"),
        ({"_next": None, "_next_expires_at": "2027-01-31"}, "write both"),
        ({"_expires_at": "soon"}, "not a day"),
        ({"_next_expires_at": "2027-02-30"}, "not a day"),
    ],
)
@pytest.mark.parametrize("kind", SETTINGS)
async def test_settings_that_contradict_each_other_are_refused_and_no_key_is_said(
    kind: str, changes: dict[str, Any], words: str
) -> None:
    if "datacenter" in kind and "_expires" in changes:
        pytest.skip("it has one name only")
    with pytest.raises(ValueError, match=words) as caught:
        async with source_of(kind, **changes):
            pass
    assert not any(key[:12] in str(caught.value) for key in (FIRST, SECOND))


@pytest.mark.parametrize("kind", SETTINGS)
def test_every_credential_of_a_source_has_all_settings_of_one(kind: str) -> None:
    config = SOURCES.load(kind).Config
    assert config.CREDENTIALS
    for base in config.CREDENTIALS:
        assert {f"{base}_expires_at", f"{base}_next", f"{base}_next_expires_at"} <= set(config.model_fields)
        assert f"{base}_next" in config.secret_fields()
