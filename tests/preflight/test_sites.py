"""Settings of sites that cannot work, or are probably not meant: each is named with its setting and what to write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from forwarder.config.problems import SettingsError
from forwarder.config.settings import load
from forwarder.preflight import certain_to_fail, worth_a_look

GOOD = {
    "type": "jira",
    "site": "acme",
    "email": "audit@corp.net",
    "token": "ATATT3xFfGF0Z9-8aQw2eRtYuIoPasdfghjklzxcvbnm=1A2B3C4D",
}
KINDS = ("jira", "confluence")
GOVERNMENT = "acme.atlassian-us-gov-mod.net"
OTHER_CLOUD = ["sources.it", "the cloud of a government", "set gateway", "access: site"]


def said_of(folder, **change: Any) -> tuple[list[str], list[str]]:
    """Return what is refused, and what is worth a look, of the source."""
    source = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    sink = {"type": "file", "path": str(folder / "out.ndjson")}
    tree = {"sources": {"it": source}, "sinks": {"out": sink}, "spool": {"path": str(folder / "spool.db")}}
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(tree))
    try:
        settings = load(path)
    except SettingsError as error:
        return [str(error)], []
    found = [str(problem) for problem in certain_to_fail(settings) if problem.path.startswith("sources.")]
    return found, [str(problem) for problem in worth_a_look(settings) if problem.path.startswith("sources.")]


def day(after: int) -> str:
    return f"{datetime.now(UTC) + timedelta(days=after):%Y-%m-%d}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"site": "ACME"},
        {"site": "acme.atlassian.net"},
        {"site": "acme.jira.com"},
        {"site": None, "sites": ["acme", "acme-labs"]},
        {"email": "robot@serviceaccount.atlassian.com", "access": "gateway"},
        {"token_expires": day(60)},
        {"site_url": "https://tickets.corp.net"},
        {"site": GOVERNMENT, "access": "site"},
        {"site": GOVERNMENT, "gateway": "https://gateway.corp.net"},
        {"site_url": "https://acme-atlassian-us-gov.net"},
    ],
    ids=str,
)
def test_what_is_right_is_not_objected_to(kind, change, tmp_path):
    assert said_of(tmp_path, type=kind, **change) == ([], [])


REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    ({"site": "https://acme.atlassian.net/jira/software"}, ["it.site", "an address", "write acme"]),
    ({"site": "acme.atlassian.net/wiki"}, ["an address", "write acme"]),
    ({"site": "acme/"}, ["an address", "write acme"]),
    ({"site": "ari:cloud:jira::site/1111"}, ["an address", "the name alone"]),
    ({"site": "acme.atlassian.com"}, ["not a host that Atlassian gives", "write acme for https://acme.atlassian.net"]),
    ({"site": "acme.atlassian.net.evil.example"}, ["not a host that Atlassian gives", "site_url"]),
    ({"site": "api.atlassian.com"}, ["all customers of Atlassian share"]),
    ({"site": "admin.atlassian.com"}, ["all customers of Atlassian share"]),
    ({"site": "11111111-2222-3333-4444-555555555555"}, ["an id", "found by itself"]),
    ({"site": "acme.atlassian.net:443"}, ["a port"]),
    ({"site": "10.0.0.1"}, ["a network address"]),
    ({"site": "audit@corp.net"}, ["an e-mail address", "email"]),
    ({"site": "my site"}, ["no name of a site"]),
    ({"site": "-acme"}, ["no name of a site"]),
    ({"site": " "}, ["empty"]),
    ({"site": None}, ["neither site nor sites"]),
    ({"sites": ["b"]}, ["both set"]),
    ({"site": None, "sites": []}, ["empty"]),
    ({"site": None, "sites": ["a", "A.atlassian.net"]}, ["a is listed twice"]),
    ({"site": None, "sites": ["a,b"]}, ["sites.0", "no name of a site"]),
    ({"site": None, "sites": "acme, beta"}, ["not a list"]),
    ({"site": None, "sites": ["a", "b"], "site_url": "https://a.corp.net"}, ["the same for all sites", "{site}"]),
    ({"site": "your-site"}, ["it.site", "an example"]),
    ({"site": None, "sites": ["acme", "your-domain"]}, ["it.sites.1", "an example"]),
    ({"email": None}, ["it.email", "missing"]),
    ({"email": "audit"}, ["not an e-mail address"]),
    ({"email": "Audit <audit@corp.net>"}, ["not an e-mail address"]),
    ({"email": "audit@corp.net:secret"}, ["not an e-mail address"]),
    ({"email": "you@corp.net"}, ["it.email", "an example"]),
    ({"email": "name@your-company.com"}, ["it.email", "an example"]),
    ({"token": "audit@corp.net:ATATT3xFf"}, ["it.token", "the address and a colon"]),
    ({"token": "YXVkaXRAY29ycC5uZXQ6QVRBVFQzeEZmR0Yw"}, ["it.token", "base64"]),
    ({"token": "ATCTT3xFfGF0Z98aQw2eRtYuIoPasdfgh"}, ["it.token", "of an organization"]),
    ({"token": "ATBBabcdefghijklmnop"}, ["it.token", "Bitbucket"]),
    ({"token": "ghp_0123456789abcdefABCD"}, ["it.token", "GitHub"]),
    ({"token": "Basic YWJj"}, ["it.token", "Bearer"]),
    ({"token": "replace-me"}, ["it.token", "an example"]),
    ({"access": "gateways"}, ["did you mean gateway"]),
    ({"gateway": "http://api.atlassian.com"}, ["in the clear"]),
    ({"token_expires": "31.10.2027"}, ["not a day"]),
    ({"token_expires": "2027-02-30"}, ["not a day"]),
    ({"limit": 5000}, ["1000"]),
    ({"site": GOVERNMENT}, OTHER_CLOUD),
    ({"site": "acme.atlassian-us-gov.net."}, OTHER_CLOUD),
    ({"site": GOVERNMENT, "access": "gateway"}, OTHER_CLOUD),
    ({"site": GOVERNMENT, "access": "site", "api": "auto"}, OTHER_CLOUD),
    ({"site": GOVERNMENT, "access": "site", "api": "workspace_events"}, OTHER_CLOUD),
    ({"site": GOVERNMENT, "gateway": "https://API.Atlassian.com.:443/"}, OTHER_CLOUD),
    ({"site": None, "sites": ["beta", GOVERNMENT]}, [f"{GOVERNMENT} is in", *OTHER_CLOUD]),
    ({"site_url": "https://{site}.atlassian-us-gov.net"}, ["acme is in", *OTHER_CLOUD]),
    ({"site_url": "https://ACME.Atlassian-US-Gov.net:443"}, OTHER_CLOUD),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("change", "words"), REFUSED, ids=[str(change) for change, _ in REFUSED])
def test_what_cannot_work_is_refused_and_says_what_to_write(kind, change, words, tmp_path):
    problems, _ = said_of(tmp_path, type=kind, **change)
    text = "\n".join(problems)
    assert all(word in text for word in words), text
    assert "ATATT3xFfGF0Z9" not in text


TOKEN, OTHER = (
    "ATATT3xFfGF0Z9-8aQw2eRtYuIoPasdfghjklzxcvbnm=1A2B3C4D",
    "ATATT3xFfGF0Z9-another-of-the-same-account=5E6F7A8B",
)
LOOKS: list[tuple[dict[str, Any], list[str]]] = [
    ({"email": "audit@example.com"}, ["it.email", "an address of examples"]),
    ({"access": "site", "email": "robot@serviceaccount.atlassian.com"}, ["it.access", "gateway only"]),
    ({"gateway": "https://acme.atlassian.net"}, ["it.gateway", "not the API gateway"]),
    ({"gateway": "https://api.atlassian.com/ex/jira"}, ["it.gateway", "leave out the path"]),
    ({"site_url": "https://jira.corp.net/rest/api/3"}, ["it.site_url", "leave out the path"]),
    ({"token": "11111111-2222-3333-4444-555555555555"}, ["it.token", "the form of an id"]),
    ({"token_expires": day(-2)}, ["it.token_expires", "ended on"]),
    ({"token_expires": day(10)}, ["it.token_expires", "ends on", "days"]),
    ({"token_expires_at": day(29)}, ["it.token_expires_at", "ends on", "token_next"]),
    ({"token_next": OTHER, "token_next_expires_at": day(6)}, ["it.token_next_expires_at", "the token_next ends on"]),
    ({"token_next": OTHER, "token_expires_at": day(0)}, ["it.token_expires_at", "token_next takes over"]),
    ({"token_next": "11111111-2222-3333-4444-555555555555"}, ["it.token_next", "the form of an id"]),
    ({"token_next": TOKEN}, ["it.token_next", "same as the one that it follows"]),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("change", "words"), LOOKS, ids=[str(change) for change, _ in LOOKS])
def test_what_is_probably_not_meant_is_worth_a_look(kind, change, words, tmp_path):
    problems, looks = said_of(tmp_path, type=kind, **change)
    text = "\n".join(looks)
    assert problems == []
    assert all(word in text for word in words), text


def test_the_key_of_an_organization_counts_down_as_well(tmp_path):
    key = "ATCTT3xFfGF0Z9-8aQw2eRtYuIoPasdfghjklzxcvbnm=1A2B3C4D"
    org = "a1b2c3d4-5555-4111-8222-333344445555"
    none = dict.fromkeys(("site", "email", "token"))
    _, looks = said_of(tmp_path, **none, type="organization", org_id=org, api_key=key, api_key_expires=day(3))
    assert any("it.api_key_expires" in look and "the api_key ends on" in look for look in looks), looks
