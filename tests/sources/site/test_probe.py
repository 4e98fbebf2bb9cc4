"""`doctor` asks both hosts: it says which one takes the token, what to set, and gives no green light to what fails."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import pytest

from forwarder.contracts import Finding
from forwarder.sources.site.config import SiteConfig
from simulator.httpd import Request, Response
from tests.sources.site.harness import BASIC, HTML, TOKEN, harness, records

NO = Response.json({"message": "no"}, 401)
SCOPE = Response.json({"code": 401, "message": "Unauthorized; scope does not match"}, 401)


async def found(site: Any, gateway: Any, *, date: float = 0.0, **config: Any) -> dict[str, Finding]:
    async with harness(**config) as (api, source, clock):

        def answering(answer: Any):
            def answered(request: Request) -> Response:
                made = answer(request) if callable(answer) else answer
                return Response(
                    made.status, {**dict(made.headers), "date": formatdate(clock.time() + date, usegmt=True)}, made.body
                )

            return answered

        api.site, api.gateway = answering(site), answering(gateway)
        return {finding.subject: finding for finding in await source.probe()}


@pytest.mark.parametrize(
    ("site", "gateway", "access", "words"),
    [
        (records(1), NO, "auto", ["without scopes", "access: site"]),
        (NO, records(1), "auto", ["with scopes", "access: gateway"]),
        (records(1), NO, "site", ["without scopes"]),
        (NO, records(1), "gateway", ["with scopes"]),
    ],
)
async def test_the_host_that_takes_the_token_is_named(site, gateway, access, words):
    findings = await found(site, gateway, access=access, token_expires="2026-12-31")
    assert all(finding.ok for finding in findings.values()), findings
    assert all(word in findings["token"].detail for word in words)
    assert findings["log"].detail.startswith("the newest record is of 2026-09-21")
    assert "good until 2026-12-31" in findings["token expires"].detail


@pytest.mark.parametrize(
    ("site", "gateway", "access", "fix"),
    [(records(1), NO, "gateway", "Set access: site."), (NO, records(1), "site", "Set access: gateway.")],
)
async def test_a_pinned_host_that_does_not_take_it_is_told_what_to_set(site, gateway, access, fix):
    findings = await found(site, gateway, access=access)
    assert not findings["token"].ok
    assert findings["token"].fix == fix


@pytest.mark.parametrize(("site", "is_well"), [(records(1), True), (NO, False)])
async def test_a_gateway_of_another_cloud_does_not_get_the_token(site, is_well, monkeypatch):
    monkeypatch.setattr(SiteConfig, "gateway_is_of_another_cloud", True)
    async with harness(access="site") as (api, source, _):
        api.site, api.gateway = site, records(1)
        token = {finding.subject: finding for finding in await source.probe()}["token"]
        assert token.ok is is_well
        assert "access: gateway" not in token.fix
        assert not [one for one in api.asked if one.startswith("gateway")]


FAILS = {
    "both refuse": (NO, NO, "token", "Make an API token"),
    "scope": (NO, SCOPE, "token", "read:audit-log:jira"),
    "permission": (Response.json({"errorMessages": ["no"]}, 403), NO, "token", "Administer Jira"),
    "wrong site": (Response(404, HTML, b"<html>"), Response(404), "answer", "name in site"),
    "outage": (Response(503), Response(503), "answer", "health"),
    "login": (Response(200, HTML, b"<html>"), Response(200, HTML, b"<html>"), "answer", "URL"),
    "renamed": (Response(301, {"location": "https://new.example.com/"}), NO, "token", "Make an API token"),
}


@pytest.mark.parametrize("case", FAILS)
async def test_what_fails_says_what_to_do(case):
    site, gateway, subject, fix = FAILS[case]
    findings = await found(site, gateway)
    bad = [finding for finding in findings.values() if not finding.ok]
    assert [finding.subject for finding in bad] == [subject], findings
    assert fix in bad[0].fix
    assert TOKEN not in str(findings)
    assert BASIC not in str(findings)


async def test_a_clock_that_is_off_and_an_end_that_is_over_are_not_well():
    findings = await found(records(1), NO, date=-600, token_expires="2026-09-01")
    assert not findings["clock"].ok
    assert "600 s ahead" in findings["clock"].detail
    assert not findings["token expires"].ok
    assert "token_expires" in findings["token expires"].fix


async def test_a_log_whose_times_are_not_read_as_they_are_written_is_not_well():
    def shifted(request: Request) -> Response:
        return records() if "from" in request.query else records(1)

    findings = await found(shifted, NO)
    assert not findings["windows"].ok


async def test_an_empty_log_is_a_warning_and_odd_records_are_no_fault():
    assert (await found(records(), NO))["log"].fix
    odd = Response.json({"records": [7]})
    assert all(finding.ok for finding in (await found(odd, NO)).values())
