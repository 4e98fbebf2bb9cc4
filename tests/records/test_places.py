"""Events go where the place of their sites says, and what no sink is there for is counted, each event once."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from forwarder.catalogue import load_catalogue
from forwarder.contracts import AuditEvent, Origin, Record
from forwarder.contracts.event import Also, Thing
from forwarder.contracts.settings import FilterRule
from forwarder.records.filters import Filter
from forwarder.records.maker import RecordMaker
from forwarder.records.normalizers import Normalizers
from forwarder.records.places import Places, Unrouted
from forwarder.registry import build_format
from forwarder.sources.organization.normalizer import OrganizationNormalizer
from tests.records.test_private_records import ORIGIN, chunk_of

PLACES = Places({"eu": ["acme.atlassian.net", "acme-labs", "0b8f7b6b-0000-0000-0000-000000000001"], "us": ["us-*"]})
OF_SITE = Origin("jira_eu", "jira", "", "acme.atlassian.net")


def event(*sites: Thing) -> AuditEvent:
    made = AuditEvent("0" * 32, "organization", "o", "jira_issue_viewed", 0, 0)
    made.site = sites[0] if sites else None
    made.also = Also(things=sites[1:]) if sites[1:] else None
    return made


def site(ident: str | None = None, name: str | None = None, url: str | None = None) -> Thing:
    return Thing("site", ident, None, name, url)


@pytest.mark.parametrize(
    ("origin", "what", "places"),
    [
        (ORIGIN, event(site(url="https://ACME.atlassian.net/wiki")), ["eu"]),
        (ORIGIN, event(site(name="Acme-Labs")), ["eu"]),
        (ORIGIN, event(site("0B8F7B6B-0000-0000-0000-000000000001", "other-name")), ["eu"]),
        (ORIGIN, event(site(name="us-west")), ["us"]),
        (ORIGIN, event(site(name="elsewhere")), ["other"]),
        (ORIGIN, event(), ["unknown"]),
        (ORIGIN, None, ["unknown"]),
        (ORIGIN, event(site()), ["unknown"]),
        (ORIGIN, event(site(name="us-west"), site(name="acme-labs")), ["us", "eu"]),
        (OF_SITE, event(), ["eu"]),
        (OF_SITE, None, ["eu"]),
        (ORIGIN, event(site(url="https://acme.atlassian.net.evil.example")), ["other"]),
        (ORIGIN, event(site(url="https://[broken", name="acme-labs")), ["eu"]),
        (ORIGIN, event(site(name=" acme-labs ")), ["eu"]),
        (ORIGIN, event(site(name="acme-labs.")), ["eu"]),
        (ORIGIN, event(site(name="acme-labs.atlassian.net.")), ["eu"]),
        (ORIGIN, event(site(name="https://acme.atlassian.net/wiki")), ["eu"]),
        (ORIGIN, event(site(url="https://acme.atlassian.net./wiki")), ["eu"]),
        (ORIGIN, event(site("0b8f7b6b-0000-0000-0000-000000000001 ")), ["eu"]),
    ],
)
def test_where_an_event_lies(origin, what, places):
    assert [*PLACES.of(origin, what)] == places


def places_of(*context: dict[str, Any], container: Any = (), **members: Any) -> list[str]:
    """Return the places of an event as its normaliser reads it."""
    attributes = {"action": "jira_issue_viewed", "time": "2024-10-03T10:44:26.457Z", "context": context, **members}
    body = json.dumps({"id": "e1", "type": "events", "attributes": {**attributes, "container": container}}).encode()
    [found] = OrganizationNormalizer().normalize([Record(1, ORIGIN, "0" * 32, body)])
    assert isinstance(found, AuditEvent)
    return sorted(PLACES.of(ORIGIN, found))


def entry(kind: str, ident: Any, **attributes: Any) -> dict[str, Any]:
    return {"type": kind, "id": ident, "attributes": attributes}


US = entry("site", "x", siteHostName="https://us-x.atlassian.net")
TWO_HOSTS = ["us-x.atlassian.net", "acme.atlassian.net"]


@pytest.mark.parametrize(
    "parts",
    [
        [entry("site", "x", siteHostName=TWO_HOSTS)],
        [entry("sites", "x", siteHostName=[f"https://{host}" for host in TWO_HOSTS])],
        [entry("site", "x", site_host_name=TWO_HOSTS)],
        [entry("site", "x", siteName=["us-x", "acme-labs"])],
        [entry("site", "x", siteName=[{"name": "us-x"}, {"name": "acme-labs"}])],
        [entry("site", "x", cloudUrl=TWO_HOSTS)],
        [entry("site", ["us-x", "0b8f7b6b-0000-0000-0000-000000000001"])],
        [entry("site", "x", siteHostName="https://us-x.atlassian.net", cloudUrl="https://acme.atlassian.net")],
        [entry("page", "7", siteHostName="acme.atlassian.net"), US],
        [US, entry("issue", "7", siteName="acme-labs")],
        [US, entry("users", "7", name="Bo", cloudUrl="https://acme.atlassian.net")],
        [US, {"type": "space", "id": "7", "siteHostName": "acme.atlassian.net"}],
    ],
)  # fmt: skip
def test_every_site_that_an_event_names_has_its_place(parts):
    assert places_of(*parts) == ["eu", "us"]
    assert places_of(container=parts) == ["eu", "us"]
    assert places_of(parts[0], container=parts[1:]) == ["eu", "us"]


def test_an_entry_that_names_the_site_of_another_adds_none():
    same = entry("page", "7", siteHostName="https://us-x.atlassian.net")
    assert places_of(US, container=[same]) == places_of(same, US) == ["us"]


@pytest.mark.parametrize("last", [entry("site", "acme-labs"), entry("page", "7")])
def test_an_event_that_is_not_read_to_its_end_may_have_named_any_site(last):
    pages = [entry("page", str(number)) for number in range(1, 1000)]
    assert places_of(US, *pages) == ["us"]
    assert places_of(US, *pages, last, entry("site", "acme-labs")) == ["unknown", "us"]


def test_who_must_not_have_an_event_with_unread_sites_excludes_the_unknown():
    cut = event(site(name="us-west"))
    cut.marks = ("truncated",)
    plain = Filter([FilterRule(place="us")], [FilterRule(place="eu")], PLACES)
    careful = Filter([FilterRule(place="us")], [FilterRule(place=["eu", "unknown"])], PLACES)
    assert (plain.passes(ORIGIN, cut), careful.passes(ORIGIN, cut)) == (True, False)
    assert careful.passes(ORIGIN, event(site(name="us-west")))


def body_of(number: int, name: str | None) -> bytes:
    container = [{"id": f"s-{name}", "type": "sites", "attributes": {"siteName": name}}] if name else []
    attributes = {"action": "jira_issue_viewed", "time": "2024-10-03T10:44:26.457Z", "container": container}
    return json.dumps({"id": f"e{number}", "type": "events", "attributes": attributes}).encode()


def delivered(
    rules: dict[str, list[dict[str, Any]] | None], names: list[str | None]
) -> tuple[dict[str, set[int]], int]:
    """Return the numbers of the events that each sink gets, and how many no sink is there for."""
    filters = {
        sink: Filter(None if include is None else [FilterRule(**rule) for rule in include], None, PLACES)
        for sink, include in rules.items()
    }
    counted: Counter[str] = Counter()
    unrouted = Unrouted(filters, lambda source, number: counted.update({source: number}))
    normalizers = Normalizers(load_catalogue(), shared=True)
    chunk = chunk_of([body_of(number, name) for number, name in enumerate(names, 1)])
    found = {}
    for sink, chosen in filters.items():
        maker = RecordMaker(build_format("raw"), chosen, normalizers, Counter(), sink=sink, unrouted=unrouted)
        found[sink] = {record.seq for record in maker.make(chunk).records}
    return found, counted[ORIGIN.source]


SITES = ["acme-labs", "us-west", "elsewhere", None]


@pytest.mark.parametrize(
    ("rules", "got", "left"),
    [
        ({"eu": [{"place": "eu"}], "us": [{"place": "us"}]}, {"eu": {1}, "us": {2}}, 2),
        ({"eu": [{"place": "eu"}], "us": [{"place": ["us", "other"]}]}, {"eu": {1}, "us": {2, 3}}, 1),
        ({"eu": [{"place": ["eu", "unknown"]}], "us": [{"place": "*"}]}, {"eu": {1, 4}, "us": {1, 2, 3, 4}}, 0),
        ({"eu": [{"place": "eu"}], "all": None}, {"eu": {1}, "all": {1, 2, 3, 4}}, 0),
        ({"none": [{"source": "another"}], "eu": [{"place": "eu"}]}, {"none": set(), "eu": {1}}, 3),
        ({"none": [{"source": "another"}], "two": [{"source": "third"}]}, {"none": set(), "two": set()}, 4),
        ({"x": [{"action": "nothing"}], "y": [{"place": "us"}], "z": [{"place": "eu"}]},
         {"x": set(), "y": {2}, "z": {1}}, 2),
    ],
)  # fmt: skip
def test_each_event_goes_to_its_sinks_or_counts_once(rules, got, left):
    assert delivered(rules, SITES) == (got, left)


def test_an_event_of_two_places_goes_to_both_unless_one_excludes_the_other():
    two = event(site(name="us-west"), site(name="acme-labs"))
    us, eu = (Filter([FilterRule(place=place)], None, PLACES) for place in ("us", "eu"))
    assert us.passes(ORIGIN, two)
    assert eu.passes(ORIGIN, two)
    careful = Filter([FilterRule(place="us")], [FilterRule(place="eu")], PLACES)
    assert not careful.passes(ORIGIN, two)


def test_a_rule_for_a_site_sees_every_site_of_an_event():
    two = event(site(name="us-west"), site(name="acme-labs", url="https://acme.example.net"))
    for name in ("us-west", "acme-labs", "ACME.example.net"):
        assert Filter([FilterRule(site=name)], None).passes(ORIGIN, two)
    assert not Filter([FilterRule(site="acme")], None).passes(ORIGIN, two)


def test_where_a_log_of_one_site_lies_is_known_before_its_events_are_read():
    eu, us = (Filter([FilterRule(place=place)], None, PLACES) for place in ("eu", "us"))
    assert eu.by_origin(OF_SITE) is True
    assert us.by_origin(OF_SITE) is None  # an event may name a second site
    assert eu.by_origin(ORIGIN) is None
    assert Filter([FilterRule(place="eu", product="jira")], None, PLACES).by_origin(OF_SITE) is None
    assert Filter(None, [FilterRule(place="eu")], PLACES).by_origin(OF_SITE) is False
