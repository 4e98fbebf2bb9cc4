"""The ten questions of docs/analyst-questions.md, asked of a real server about simulated months with known stories.

The queries are read out of the document. What is true is found in the raw events of the simulator's ledger, by their own
JSON: no normaliser, no format and no catalogue of ours has a part in it.
"""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from forwarder.catalogue import load_catalogue
from forwarder.contracts import ListedAction, Origin, Record
from forwarder.formats.ecs.format import EcsFormat
from forwarder.sources.organization.normalizer import OrganizationNormalizer
from forwarder.testing.far_end import context
from forwarder.testing.lanes import batch_of
from simulator.actions import ACTIONS
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from sinks.elasticsearch.settings import ElasticsearchConfig
from sinks.elasticsearch.sink import ElasticsearchSink
from tests.simulator.asking import Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.servers.node import Node

    Raw = dict[str, Any]
    Values = dict[str, str]

DOCUMENT = Path(__file__).parents[2] / "docs" / "analyst-questions.md"
SECTION = re.compile(r"^## (\d+)\. (.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```(json|kql)\n(.*?)^```", re.MULTILINE | re.DOTALL)
EVERYTHING = 10_000
ZONE = timezone(timedelta(hours=1))
MONDAY = datetime(2025, 12, 15, tzinfo=ZONE)


@dataclass(frozen=True)
class Question:
    title: str
    body: str
    kql: str


def questions() -> dict[int, Question]:
    found = {}
    for number, title, text in SECTION.findall(DOCUMENT.read_text(encoding="utf-8")):
        blocks = BLOCK.findall(text)
        assert [kind for kind, _ in blocks] == ["json", "kql"], f"question {number}"
        found[int(number)] = Question(title, blocks[0][1], blocks[1][1].strip())
    return found


# ------------------------------------------------------------------------------------------------- what is true


def action(event: Raw) -> str:
    return str(event["attributes"]["action"])


def actor(event: Raw) -> Raw:
    found: Raw = event["attributes"]["actor"]
    return found


def when(event: Raw) -> datetime:
    return datetime.fromisoformat(event["attributes"]["time"])


def entries(event: Raw, kind: str, part: str = "context") -> list[Raw]:
    return [entry for entry in event["attributes"].get(part, ()) if entry["type"] == kind]


def ids_of(event: Raw, kind: str) -> list[str]:
    return [entry["id"] for entry in entries(event, kind)]


def viewed(event: Raw) -> bool:
    return action(event).endswith("_viewed")


def address(event: Raw) -> str | None:
    return next((entry["links"]["alt"] for entry in entries(event, "sites", "container")), None)


def behalf(event: Raw) -> str | None:
    return (actor(event).get("onBehalfOf") or {}).get("id")


def as_whom(event: Raw) -> list[str]:
    """Return who was impersonated, or for whom it was done."""
    return ids_of(event, "users") if action(event) == "user_logged_in_as_user" else list(filter(None, [behalf(event)]))


def did(event: Raw, values: Values) -> bool:
    inside = datetime.fromisoformat(values["from"]) <= when(event) < datetime.fromisoformat(values["to"])
    return inside and values["account id"] in {actor(event)["id"], *as_whom(event)}


def became_admin(event: Raw, values: Values) -> bool:
    if action(event) == "user_granted_role":
        return any("admin" in entry["attributes"].get("role", "") for entry in entries(event, "users"))
    if action(event) == "user_added_to_group":
        groups = {entry["attributes"]["groupName"] for entry in entries(event, "groups")}
        wanted = {values["admin group"], values["another admin group"]}
        return bool(groups & wanted and entries(event, "users"))
    return action(event) in {"added_org_admin", "group_granted_admin_access"}


def out_of_hours(event: Raw, values: Values) -> bool:
    monday = datetime.fromisoformat(values["monday"])
    local = when(event).astimezone(ZONE)
    at_work = local.weekday() < 5 and 8 <= local.hour < 18
    return viewed(event) and monday <= local < monday + timedelta(days=7) and not at_work


def sign_in_policy(event: Raw, _: Values) -> bool:
    context = event["attributes"].get("context", ())
    return any(entry["attributes"].get("settingName") == "AuthenticationPolicy" for entry in context)


HOLDS: dict[int, Callable[[Raw, Values], bool]] = {
    1: did,
    2: lambda event, values: viewed(event) and address(event) == values["address of the page"],
    3: became_admin,
    4: lambda event, _: "_export" in action(event),
    5: lambda event, _: action(event) == "api_token_created" or "tokenId" in actor(event).get("auth", {}),
    6: lambda event, _: action(event) == "user_logged_in_as_user" or behalf(event) is not None,
    7: out_of_hours,
    8: lambda event, _: viewed(event),
    9: lambda event, _: action(event) == "jira_issue_deleted",
    10: sign_in_policy,
}
STORY = {
    1: "compromised_account", 3: "mass_export", 4: "mass_export", 5: "token_from_abroad", 6: "impersonating_admin",
    8: "compromised_account", 9: "covered_tracks", 10: "covered_tracks",
}  # fmt: skip
"""Stories that must be part of an answer."""


class Past:
    """What the simulator holds, and what an analyst would put into the queries."""

    def __init__(self) -> None:
        config = SimulatorConfig(events=6_000, history="30d")
        self.sim = Simulator(config, clock=Clock(datetime(2026, 1, 1, tzinfo=UTC).timestamp()))
        self.bodies = {ident: found[-1] for ident, found in self.sim.ledger.bodies(self.sim.org_id).items()}
        self.events: dict[str, Raw] = {ident: json.loads(body) for ident, body in self.bodies.items()}
        self.stories = self.sim.ledger.stories[self.sim.org_id]
        night = [self.events[ident] for ident in self.stories["compromised_account"]]
        pages = Counter(address(e) for e in self.events.values() if action(e) == "confluence_page_viewed")
        del pages[None]
        self.values: Values = {
            "account id": actor(night[0])["id"],
            "from": night[0]["attributes"]["time"],
            "to": (when(night[0]) + timedelta(hours=1)).isoformat(),
            "address of the page": next(str(page) for page, _ in pages.most_common() if "/pages/" in str(page)),
            "admin group": "site-admins",
            "another admin group": "org-admins",
            "monday": MONDAY.isoformat(),
        }

    def true_ids(self, number: int) -> set[str]:
        holds = HOLDS[number]
        return {ident for ident, event in self.events.items() if holds(event, self.values)}

    def of(self, number: int) -> list[Raw]:
        return [self.events[ident] for ident in self.true_ids(number)]


@pytest.fixture(scope="module")
def past() -> Past:
    return Past()


def documents(past: Past) -> Iterable[bytes]:
    """Return every event as a lane of the daemon would write it: the organization's own list is known."""
    catalogue = load_catalogue()
    catalogue.learn(ListedAction(one.id, one.display, (one.group,)) for one in ACTIONS)
    origin = Origin("acme", "organization", past.sim.org_id)
    records = [Record(n, origin, f"{n:032x}", body, read_ms=1) for n, body in enumerate(past.bodies.values())]
    for record, event in zip(records, OrganizationNormalizer(catalogue).normalize(records), strict=True):
        assert not isinstance(event, Exception), event
        record.event = event
    for body in EcsFormat().render(records):
        assert isinstance(body, bytes), body
        yield body


_STREAMS: dict[str, str] = {}


@pytest.fixture
async def stream(plain: Node, past: Past) -> str:
    """A data stream under our template, filled once for each server."""
    if plain.url not in _STREAMS:
        name = f"logs-q{uuid.uuid4().hex[:12]}.audit-default"
        config = ElasticsearchConfig.model_validate({"url": plain.url, "data_stream": name})
        sink = ElasticsearchSink(config, context("elastic"))
        await sink.setup(apply=True)
        bodies = list(documents(past))
        for start in range(0, len(bodies), 500):
            delivery = await sink.send(batch_of(*bodies[start : start + 500], first=start + 1))
            assert delivery.rejected == {}
        await sink.close()
        assert plain.client.request("POST", f"/{name}/_refresh").status == 200
        _STREAMS[plain.url] = name
    return _STREAMS[plain.url]


# --------------------------------------------------------------------------------------------------- the questions


def filled(text: str, values: Values) -> str:
    for name, value in values.items():
        text = text.replace(f"<{name}>", value)
    assert not re.search(r"<[a-z ]+>", text), text
    return text


def lucene(kql: str) -> str:
    """Spell a line of KQL as a query string: words outside quotes in capitals, one-sided ranges with brackets."""
    parts = re.split(r'("[^"]*")', kql)
    spelled = "".join(
        part if part.startswith('"') else re.sub(r"\b(and|or|not)\b", lambda word: word[0].upper(), part)
        for part in parts
    )
    spelled = re.sub(r'(\S+) >= ("[^"]*")', r"\1:[\2 TO *]", spelled)
    return re.sub(r'(\S+) < ("[^"]*")', r"\1:[* TO \2}", spelled).replace(": ", ":")


def found(node: Node, stream: str, body: Raw) -> tuple[set[str], Raw]:
    """Ask; return the ids of all hits, and the aggregations."""
    answer = node.client.get(f"/{stream}/_search", {**body, "size": EVERYTHING})
    assert answer["timed_out"] is False
    hits = [hit["_source"]["event"]["id"] for hit in answer["hits"]["hits"]]
    assert len(hits) == answer["hits"]["total"]["value"]
    return set(hits), answer.get("aggregations", {})


def test_the_document_asks_ten_questions() -> None:
    assert list(questions()) == list(range(1, 11)) == sorted(HOLDS)


@pytest.mark.parametrize("number", sorted(HOLDS))
def test_a_query_finds_what_happened_and_nothing_else(plain: Node, stream: str, past: Past, number: int) -> None:
    question, truth = questions()[number], past.true_ids(number)
    hits, aggregations = found(plain, stream, json.loads(filled(question.body, past.values)))
    assert 0 < len(truth) < len(past.events) * 0.9, "the story is missing, or everything is true"
    assert hits == truth
    if number in STORY:
        assert truth & set(past.stories[STORY[number]])
    if "who" in aggregations and number not in {6, 8}:
        who = {bucket["key"]: bucket["doc_count"] for bucket in aggregations["who"]["buckets"]}
        assert who == Counter(actor(event)["id"] for event in past.of(number))


@pytest.mark.parametrize("number", sorted(HOLDS))
def test_the_line_of_kql_says_the_same(plain: Node, stream: str, past: Past, number: int) -> None:
    line = filled(questions()[number].kql, past.values)
    query = {"query_string": {"query": lucene(line), "default_field": "message"}}
    assert found(plain, stream, {"query": query})[0] == past.true_ids(number)


def test_tokens_are_grouped_by_where_they_were_used(plain: Node, stream: str, past: Past) -> None:
    _, result = found(plain, stream, json.loads(questions()[5].body))
    made = {bucket["key"] for bucket in result["made"]["token"]["buckets"]}
    assert made == {ident for event in past.of(5) for ident in ids_of(event, "api-tokens")}
    used: dict[str, set[str]] = {}
    for event in past.of(5):
        if (token := actor(event).get("auth", {}).get("tokenId")) is not None:
            place = (event["attributes"].get("location") or {}).get("ip")
            used.setdefault(token, set()).update({place} if place else ())
    assert {
        bucket["key"]: {place["key"] for place in bucket["from"]["buckets"]} for bucket in result["used"]["buckets"]
    } == used
    assert made & used.keys(), "the token of the story was made and used"


def test_who_acted_as_whom(plain: Node, stream: str, past: Past) -> None:
    _, result = found(plain, stream, json.loads(questions()[6].body))
    pairs = {(who["key"], other["key"]) for who in result["who"]["buckets"] for other in who["as"]["buckets"]}
    assert pairs == {(actor(event)["id"], other) for event in past.of(6) for other in as_whom(event)}


def test_an_hour_with_very_many_views_is_one_bucket(plain: Node, stream: str, past: Past) -> None:
    _, result = found(plain, stream, json.loads(questions()[8].body))
    hours = Counter((actor(event)["id"], int(when(event).timestamp()) // 3600 * 3_600_000) for event in past.of(8))
    many = {place: count for place, count in hours.items() if count >= 100}
    assert past.values["account id"] in {who for who, _ in many}
    assert many == {
        (who["key"], hour["key"]): hour["doc_count"]
        for who in result["who"]["buckets"]
        for hour in who["when"]["buckets"]
    }
