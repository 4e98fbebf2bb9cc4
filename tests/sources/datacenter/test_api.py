"""Data Center's audit log through its REST API: every record once, our own searches apart, and refusals in words."""

from __future__ import annotations

import contextlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from forwarder.contracts import AuthFailed, ConfigError, CursorLost, Held, Page, Retryable, Secret, SourceContext
from forwarder.contracts.identity import EventKeys
from forwarder.net.http import Response as HttpResponse
from forwarder.net.retry import RequestBudget
from forwarder.polling.plan import TAIL
from forwarder.sources.datacenter.coverage import of_configuration
from forwarder.sources.datacenter.from_api import FromApi
from forwarder.sources.datacenter.own import is_own_search
from forwarder.sources.datacenter.source import BitbucketDataCenter, JiraDataCenter, JiraDataCenterConfig
from forwarder.spool.contract import Settlement
from forwarder.spool.sqlite.store import SqliteSpool
from simulator.config import SimulatorConfig
from simulator.http_types import Request, Response
from simulator.httpd import Server
from simulator.products.datacenter import PASSWORD, DataCenter, Habits
from simulator.simulator import Simulator
from simulator.world import World
from tests.clocks import FakeClock
from tests.polling.pollers import spool_in
from tests.polling.test_windows import Course

MINUTE = 60_000
FAULTS: tuple[dict[str, Any], ...] = tuple(
    {"what": what, "every": 1, "share": 0.03, "feed": "datacenter", **more}
    for what, more in {
        "rate_limit": {"wait": 1}, "server_error": {}, "login_page": {}, "redirect": {}, "truncated": {},
        "reset_mid": {}, "invalid_json": {}, "garbage": {}, "html": {},
    }.items()
)  # fmt: skip


class Harness:
    """A simulated product under a clock that stands, and sources that read it."""

    def __init__(self, sim: Simulator, product: DataCenter, clock: FakeClock) -> None:
        self.sim, self.product, self.clock = sim, product, clock
        self.made: list[JiraDataCenter] = []

    def source(self, **settings: Any) -> JiraDataCenter:
        given: dict[str, Any] = {"url": f"{self.sim.base_url}/dc/jira", "token": Secret(self.product.token)}
        config = JiraDataCenterConfig(type="jira_datacenter", **{**given, **settings})
        budget = RequestBudget(self.clock, 1e9)
        found = JiraDataCenter(config, SourceContext("dc", self.clock, budget))
        found.clock = self.clock  # type: ignore[attr-defined]
        self.made.append(found)
        return found

    @property
    def now(self) -> int:
        return int(self.clock.now * 1000)

    def existed(self) -> Counter[bytes]:
        """Return what is in the log but for searches of ours."""
        versions = self.product.feed.versions()
        return Counter(
            entry.body for name, entries in versions.items() if name not in self.product.searches for entry in entries
        )


@asynccontextmanager
async def product(habits: Habits | None = None, **config: Any) -> AsyncIterator[Harness]:
    clock = FakeClock()
    async with Simulator(SimulatorConfig(events=0, **config), clock=lambda: clock.now) as sim:
        found = Harness(
            sim, sim.add_datacenter(DataCenter("jira", World(1), random.Random(1), token="pat-1", habits=habits)), clock
        )
        try:
            yield found
        finally:
            for source in found.made:
                await source.close()


async def read(source: JiraDataCenter, since: int, until: int) -> list[Page]:
    """Read a window to its end."""
    state, pages = source.walk(since, until), []
    while True:
        page = await source.fetch(state)
        if not page.bodies:
            return [*pages, page]
        pages.append(page)
        state = json.loads(json.dumps(page.next))


@pytest.mark.parametrize("bounds", ["inclusive", "exclusive"])
@pytest.mark.parametrize("onward", ["cursor", "link", "offset"])
async def test_windows_side_by_side_hold_every_record_once(onward, bounds):
    async with product(Habits(onward=onward, bounds=bounds, records_searches=False, twins=7, most=10)) as world:
        for _ in range(30):
            world.product.happen(3, world.now)
            world.clock.advance(0.001)
        source, first = world.source(), world.now - 30
        pages = await read(source, first, first + 14) + await read(source, first + 15, world.now)
        assert Counter(body for page in pages for body in page.bodies) == world.existed()
        assert all(page.derived == set(range(len(page.bodies))) for page in pages)
        assert "elsewhere" not in str(list(world.sim.ledger.requests))


async def test_the_last_page_is_the_end_and_nothing_is_asked_for_it():
    async with product() as world:
        world.product.happen(5, world.now)
        await read(world.source(), world.now - MINUTE, world.now)
        assert world.sim.server.requests == 1


@pytest.mark.parametrize("account", [None, "JIRAUSER", "address"])
async def test_our_own_searches_are_left_out_and_counted_and_those_of_others_are_not(account):
    async with product(Habits(names_account=account is None)) as world:
        (record,) = world.product.happen(1, world.now)
        other = json.loads(record) | {
            "type": {"action": "Audit Log search performed", "actionI18nKey": "x.audit.search"}
        }
        other["author"] = {"name": "Someone else", "id": "JIRAUSER1", "type": "user"}
        body = json.dumps(other).encode()
        world.product.feed.add("other", world.now, world.now, world.now, body)
        name = {"JIRAUSER": f"JIRAUSER{int(world.product.account.id[-4:], 16) + 10000}"}
        name["address"] = world.product.account.email.upper()
        source = world.source(account=name.get(account or ""))
        await read(source, world.now - MINUTE, world.now)
        for _ in range(20):
            pages = await read(source, world.now - MINUTE, world.now)
        assert sorted(body for page in pages for body in page.bodies) == sorted([record, body])
        assert sum(page.own for page in pages) == 20
        assert pages[-1].newest == world.now or pages[0].newest == world.now


@pytest.mark.parametrize(
    ("author", "is_told", "is_named"),
    [
        ({"name": "svc-audit", "id": "u7", "uri": "https://j.example.com/secure/ViewProfile.jspa?name=mallory"}, 0, 1),
        ({"name": "SVC-audit", "id": "u7", "uri": "https://c.example.com/display/~mallory"}, 0, 1),
        ({"name": "svc-audit", "uri": "https://b.example.com/users/mallory"}, 0, 1),
        ({"name": "A Service", "id": "u1", "uri": "https://j.example.com/ViewProfile.jspa?name=Svc-Audit"}, 1, 1),
        ({"name": "A Service", "uri": "https://c.example.com/display/~svc-audit"}, 1, 1),
        ({"name": "A Service", "uri": "https://b.example.com/users/svc%2Daudit"}, 1, 1),
        ({"name": "A", "uri": "https://j.example.com/ViewProfile.jspa?name=mallory&from=svc-audit"}, 0, 1),
        ({"name": "svc-audit", "id": "u1"}, 1, 1),
        ({"name": "svc-audit", "uri": "https://j.example.com/secure/ViewProfile.jspa"}, 1, 1),
        ({"name": "svc-audit", "uri": "http://[broken"}, 1, 1),
        ({"name": "mallory", "id": "svc-audit"}, 1, 1),
        ({"name": "mallory", "id": "u2"}, 0, 0),
    ],
)
def test_a_display_name_hides_nobody_whose_login_is_another(author, is_told, is_named):
    record = {"type": {"actionI18nKey": "atlassian.audit.event.action.audit.search"}, "author": author}
    body = json.dumps(record).encode()
    assert is_own_search(body, frozenset({"svc-audit"})) is bool(is_told)
    assert is_own_search(body, frozenset({"svc-audit"}), by_any_name=True) is bool(is_named)


async def test_searches_of_nobody_known_are_delivered_like_any_other_and_so_are_they_when_asked_for():
    for habits, settings in ((Habits(names_account=False), {}), (Habits(), {"own_searches": "deliver"})):
        async with product(habits) as world:
            source = world.source(**settings)
            await read(source, world.now - MINUTE, world.now)
            pages = await read(source, world.now - MINUTE, world.now)
            assert sum(len(page.bodies) for page in pages) == 1


async def test_pages_full_of_our_own_searches_are_passed_and_are_no_end():
    async with product(Habits(most=2)) as world:
        sent = world.product.happen(3, world.now)
        source = world.source()
        for _ in range(3):
            await source.fetch(source.walk(world.now - MINUTE, world.now))
        pages = await read(source, world.now - MINUTE, world.now)
        assert Counter(body for page in pages for body in page.bodies) == Counter(sent)


@pytest.mark.parametrize(
    ("record", "accounts", "is_own"),
    [
        (
            {"type": {"actionI18nKey": "atlassian.audit.event.action.audit.search"}, "author": {"id": "u1"}},
            {"u1"},
            True,
        ),
        (
            {"type": {"actionI18nKey": "atlassian.audit.event.action.audit.search"}, "author": {"id": "u2"}},
            {"u1"},
            False,
        ),
        ({"type": {"actionI18nKey": "atlassian.audit.event.action.audit.search"}, "author": {}}, {""}, False),
        ({"type": {"action": "Audit Log search performed"}, "author": {"name": "Bot"}}, {"bot"}, True),
        ({"type": {"action": "Audit Log search performed"}, "author": {"uri": "https://x/users/bot"}}, {"bot"}, True),
        (
            {"type": {"action": "Audit Log search performed"}, "author": {"uri": "https://x/display/~bot"}},
            {"bot"},
            True,
        ),
        ({"type": {"action": "Audit log configuration changed"}, "author": {"name": "bot"}}, {"bot"}, False),
        ({"type": {"action": "Audit Log search performed"}, "author": "bot"}, {"bot"}, False),
        ({"type": {"action": "User created"}, "x": "audit.search", "author": {"name": "bot"}}, {"bot"}, False),
        ({"type": {"action": "Audit Log search performed"}, "author": {"uri": "http://[x?name=bot"}}, {"bot"}, False),
    ],
)
def test_what_is_a_search_of_ours(record, accounts, is_own):
    assert is_own_search(json.dumps(record).encode(), frozenset(accounts)) is is_own


async def test_user_and_password_will_do_and_no_secret_is_said():
    async with product() as world:
        world.product.happen(1, world.now)
        account = world.product.account.email
        good = world.source(token=None, user=account, password=Secret(PASSWORD))
        assert len((await good.fetch(good.walk(0, world.now))).bodies) == 1
        bad = world.source(token=None, user=account, password=Secret("a-wrong-password"))
        with pytest.raises(AuthFailed) as caught:
            await bad.fetch(bad.walk(0, world.now))
        assert "a-wrong-password" not in str(caught.value)


async def test_the_limit_of_a_bucket_is_followed_and_its_zero_is_no_wait():
    async with product(Habits(limit=5, fill=0.5)) as world:
        source = world.source()
        budget = source._way._access._budget = RequestBudget(world.clock)  # type: ignore[union-attr]
        await source.fetch(source.walk(0, world.now))
        assert budget.per_minute == 30
        assert budget.blocked() == 0
        for _ in range(4):
            await source.fetch(source.walk(0, world.now))
        with pytest.raises(Retryable) as caught:
            await source.fetch(source.walk(0, world.now))
        assert (caught.value.kind, caught.value.retry_after) == ("rate_limited", 1)
        assert budget.blocked() == 1
        assert budget.per_minute == 30


ANSWERS: list[tuple[Response, type[Exception], str]] = [
    (Response.json({"message": "no"}, 401), AuthFailed, "personal access token"),
    (Response.json({}, 403, {"X-Authentication-Denied-Reason": "CAPTCHA_CHALLENGE"}), AuthFailed, "captcha"),
    (Response.json({"message": "no"}, 403), AuthFailed, "system administrator"),
    (Response(404, {"content-type": "text/html"}, b"<html><title>Dead link</title>"), Held, "https://example.com/jira"),
    (Response.json({"message": "bad"}, 400), Held, "clock"),
    (Response(302, {"location": "https://evil.example/"}), Retryable, "redirect"),
    (Response(200, {"content-type": "text/html"}, b"<html><title>Log in</title>"), Retryable, "login page"),
    (Response.json({"results": []}), Retryable, "not a page"),
]


@pytest.mark.parametrize(("answer", "error", "message"), ANSWERS)
async def test_a_refusal_says_what_to_do_and_a_redirect_gets_no_credential(answer, error, message):
    heads: list[dict[str, str]] = []

    async def handle(request: Request) -> Response:
        heads.append(request.headers)
        return answer

    async with Server(handle) as server:
        config = JiraDataCenterConfig(type="jira_datacenter", url=f"{server.url}/jira/", token=Secret("pat-1"))
        source = JiraDataCenter(config, SourceContext("dc", FakeClock(), RequestBudget(FakeClock(), 1e9)))
        with pytest.raises(error) as caught:
            await source.fetch(source.walk(0, 1000))
        shown = f"{caught.value} {getattr(caught.value, 'fix', '')}"
        assert message in shown
        assert "pat-1" not in shown
        (finding, *_) = await source.probe()
        assert not finding.ok
        assert finding.fix
        await source.close()
    assert all(head["authorization"] == "Bearer pat-1" for head in heads)
    assert len(heads) == 2


async def test_a_cursor_that_is_refused_is_lost():
    async with product(Habits(most=2)) as world:
        world.product.happen(9, world.now)
        source = world.source()
        page = await source.fetch(source.walk(0, world.now))
        with pytest.raises(CursorLost):
            await source.fetch({**page.next, "ask": {"pageCursor": "nonsense"}})


async def test_doctor_says_what_is_not_recorded():
    async with product() as world:
        world.product.happen(1, world.now)
        world.product.coverage = {"SECURITY": "base", "END_USER_ACTIVITY": "off", "PERMISSIONS": "full"}
        world.product.denylist = ["jira.auditing.user.created"]
        found = {finding.subject: finding for finding in await world.source().probe()}
        assert found["token"].ok
        assert not found["coverage"].ok
        assert "end user activity (off): nothing is recorded" in found["coverage"].detail
        assert "security (base): only the most important events" in found["coverage"].detail
        assert "permissions" not in found["coverage"].detail
        assert "jira.auditing.user.created" in found["excluded actions"].detail
        assert found["retention"].detail == "records are kept for 3 years"
        assert world.product.account.email in found["own searches"].detail
        world.product.coverage = {"SECURITY": "full"}
        again = {finding.subject: finding for finding in await world.source(account="x").probe()}
        assert again["coverage"].ok
        assert not again["coverage"].fix


async def test_doctor_is_not_stopped_by_a_configuration_that_it_cannot_read():
    answers = iter(
        [Response.json({"entities": [], "pagingInfo": {}}), Response(404), Response(200, {}, b"["), *[None] * 9]
    )

    async def handle(request: Request) -> Response:
        return next(answers) or Response.json(["x"] * 3, 403)

    async with Server(handle) as server:
        config = JiraDataCenterConfig(type="jira_datacenter", url=server.url, token=Secret("pat-1"))
        source = JiraDataCenter(config, SourceContext("dc", FakeClock(), RequestBudget(FakeClock(), 1e9)))
        findings = await source.probe()
        await source.close()
    assert all(finding.ok for finding in findings)
    assert "cannot be told" in next(finding.detail for finding in findings if finding.subject == "coverage")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "neither nodes nor url"),
        ({"nodes": {"a": "/x"}, "url": "https://j.example.com", "token": "t", "site": "j"}, "both set"),
        ({"nodes": {"a": "/x"}}, "write the host"),
        ({"nodes": {"a": "/x"}, "site": "j.example.com", "token": "t"}, "token is for url"),
        ({"url": "https://j.example.com"}, "no whole credential"),
        ({"url": "https://j.example.com", "user": "u"}, "no whole credential"),
        ({"url": "https://j.example.com", "token": "t", "user": "u"}, "keep the token"),
        ({"url": "https://", "token": "t"}, "host"),
        ({"url": "https://j.example.com", "token": "t", "limit": 10}, "at least 100"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, message):
    secrets = {name: Secret(settings[name]) for name in ("token",) if name in settings}
    with pytest.raises(ValidationError, match=message):
        JiraDataCenterConfig(**{"type": "jira_datacenter", **settings, **secrets})


def test_a_token_goes_nowhere_in_the_clear_and_ids_follow_the_host_and_path():
    context = SourceContext("dc", FakeClock(), RequestBudget(FakeClock()))
    config = {"type": "jira_datacenter", "token": Secret("t")}
    with pytest.raises(ConfigError, match="in the clear"):
        JiraDataCenter(JiraDataCenterConfig(**config, url="http://jira.example.com"), context)
    made = JiraDataCenter(JiraDataCenterConfig(**config, url="https://Example.com:8443/jira/"), context)
    assert made.origin.identity == "jira_datacenter:example.com/jira"
    assert [(end.host, end.port) for end in made.endpoints] == [("example.com", 8443)]
    assert BitbucketDataCenter.feed == "bitbucket_datacenter"


class Says:
    """An API that gives one and the same answer."""

    account = ""

    def __init__(self, body: bytes) -> None:
        self.clock = FakeClock()
        self.body = body

    async def get(self, path: str, params: Any) -> HttpResponse:
        return HttpResponse(200, {}, self.body)


_TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["entities", "pagingInfo", "nextPageCursor", "nextPageLink", "nextPageOffset", "lastPage", "timestamp", "author",
             "name", "type", "action", "levelByArea", "area", "level", "denylist", "years", "x"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@given(_TREES, st.sampled_from(["x?offset=abc&pageCursor=", "?offset=-1", "http://[", "?pageCursor=1,2", ""]))
async def test_no_answer_whatever_it_says_is_more_than_an_error_with_a_name(tree, link):
    paging = {"nextPageLink": link, **(tree if isinstance(tree, dict) else {})}
    for answer in (tree, {"entities": tree, "pagingInfo": tree}, {"entities": [tree] * 3, "pagingInfo": paging}):
        api: Any = Says(json.dumps(answer).encode())
        reader = FromApi(api, EventKeys("jira_datacenter", "x"), 1000, "admin", deliver_own=False)
        state = reader.walk(0, 10**13)
        for _ in range(3):
            with contextlib.suppress(Retryable, Held, CursorLost):
                state = json.loads(json.dumps((await reader.fetch(state)).next))
        assert all(finding.detail for finding in await reader.probe())


async def test_an_answer_that_is_nested_beyond_reading_stops_nothing():
    for body in (b"[" * 900 + b"]" * 900, b'{"a":' * 900 + b"1" + b"}" * 900, b"\xff\xfe", b""):
        api: Any = Says(body)
        assert await of_configuration(api)


@pytest.mark.parametrize("seed", range(4))
async def test_the_engine_reads_a_living_log_whole_through_every_fault(tmp_path, seed):
    dice = random.Random(seed)
    habits = Habits(
        bounds=dice.choice(["inclusive", "exclusive"]), onward=dice.choice(["cursor", "link", "offset"]),
        late=dice.choice([0, 300_000]), twins=dice.choice([0, 5]), names_account=dice.choice([True, False]),
        most=dice.choice([60, 100_000]), limit=dice.choice([0, 20]),
    )  # fmt: skip
    async with product(habits, faults=FAULTS, seed=seed) as world, spool_in(tmp_path, world.clock) as spool:
        course = Course(world.source(limit=100), spool, since=86_400)  # type: ignore[arg-type]
        await course.start()
        for turn in range(25):
            world.product.happen(dice.choice([0, 1, 2, 30]), world.now)
            for _ in range(dice.randrange(6)):
                await course.step()
            if turn % 8 == 7:  # another life
                course.log = world.source(limit=100)  # type: ignore[assignment]
                await course.start()
            world.clock.advance(dice.choice([0.001, 1, 40]))
        world.clock.advance(400)
        await course.rest()
        bodies = await bodies_in(spool)
        delivered = Counter(body for body in bodies if b"search performed" not in body)
        assert delivered == Counter(
            {body: count for body, count in world.existed().items() if b"search perf" not in body}
        )
        assert course.poller.report.own_records > 0 or not habits.names_account
        if habits.names_account:
            assert not [body for body in bodies if b"search performed" in body]
        assert course.poller._open_walks() == [TAIL]


async def test_a_silent_product_is_not_read_further_and_further_back(tmp_path):
    async with product() as world, spool_in(tmp_path, world.clock) as spool:
        world.product.happen(1, world.now)
        course = Course(world.source(limit=100), spool, since=600, overlap=86_400)  # type: ignore[arg-type]
        await course.start()
        for _ in range(300):
            await course.step()
        begun, asked = world.clock.now, course.poller.report.requests
        await course.until(lambda: world.clock.now > begun + 3600)
        assert (course.poller.report.requests - asked) / 120 < 2.5, (
            "one request each time, though our own are in the log"
        )


async def bodies_in(spool: SqliteSpool) -> list[bytes]:
    lane = await spool.open_lane("all", "memory", start=None, on_full="pause")
    found: list[bytes] = []
    after = lane.position
    while chunks := (await spool.exchange(lane.number, Settlement(), after=after, events=500)).chunks:
        found += [bytes(body) for chunk in chunks for body in chunk.bodies]
        after = chunks[-1].last
    return found
