"""The Elasticsearch sink over real sockets: credentials, settings, the index template and the probe."""

from __future__ import annotations

import base64
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from forwarder.contracts import (
    AuthFailed,
    ConfigError,
    Delivery,
    ForwarderError,
    Held,
    Retryable,
    Secret,
)
from simulator.http_types import Request, Response
from simulator.receivers.bulk import BulkReceiver
from sinks.elasticsearch.sink import ElasticsearchSink
from tests.sinks.elasticsearch.sinks import (
    SECRET,
    STREAM,
    TEMPLATE,
    answering,
    batch,
    delivering,
    error_of,
    sink_of,
)

# --------------------------------------------------------------------------------------------------------- credentials


def _basic(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        ({"api_key": "abc:d-e_f"}, f"ApiKey {_basic('abc:d-e_f')}"),
        ({"api_key": _basic("abc:def")}, f"ApiKey {_basic('abc:def')}"),
        ({"api_key": None, "username": "me", "password": "pä:ss"}, f"Basic {_basic('me:pä:ss')}"),
        ({"api_key": None, "bearer_token": "a.b-c"}, "Bearer a.b-c"),
        ({"api_key": None}, ""),
    ],
)
async def test_each_kind_of_credential(settings: dict[str, Any], header: str) -> None:
    async with delivering(credentials=[header] if header else [], sink=settings) as (sink, _):
        assert await sink.send(batch(2)) == Delivery.all_accepted(batch(2))


@pytest.mark.parametrize(
    "settings",
    [
        {"username": "me", "password": "p"},
        {"bearer_token": "t"},
        {"api_key": None, "username": "me"},
        {"api_key": None, "password": "p"},
    ],
)
def test_credentials_that_contradict_each_other(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="username"):
        ElasticsearchSink.Config(url="https://es.example.com", **{"api_key": "x", **settings})


async def test_a_rotated_key_file_needs_no_restart(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("old:key\n")
    old, new = (f"ApiKey {_basic(key)}" for key in ("old:key", "new:key"))
    settings = {"api_key": None, "api_key_file": str(file)}
    async with delivering(credentials=[old], sink=settings) as (sink, receiver):
        assert await sink.send(batch(2)) == Delivery.all_accepted(batch(2))
        receiver.credentials = {new}
        for broken in (None, "", "\n"):
            with pytest.raises(AuthFailed):
                await sink.send(batch(3))
            file.unlink(missing_ok=True) if broken is None else file.write_text(broken)
            with pytest.raises(AuthFailed) as caught:
                await sink.send(batch(3))
            assert "key" not in caught.value.reason.replace("api_key_file", "")
        file.write_text("new:key")
        assert await sink.send(batch(3)) == Delivery(accepted=range(3), duplicates=2)


async def test_a_credential_that_may_not_write() -> None:
    async with delivering() as (sink, receiver):
        receiver.credentials = {"somebody else's"}
        receiver.forbidden = {f"ApiKey {SECRET}"}
        with pytest.raises(AuthFailed, match="create_doc"):
            await sink.send(batch(2))
        receiver.forbidden, receiver.credentials = set(), set()
        assert await sink.send(batch(2)) == Delivery.all_accepted(batch(2))


@pytest.mark.parametrize("name", ["UPPER", "with space", "a,b", "a*", "-a", "a/b", "", "x" * 256, "a\n"])
def test_names_that_no_data_stream_can_have(name: str) -> None:
    with pytest.raises(ValidationError, match="data_stream"):
        ElasticsearchSink.Config(url="https://es.example.com", data_stream=name)


def test_a_url_in_the_clear_needs_a_word() -> None:
    with pytest.raises(ConfigError, match="insecure"):
        sink_of("http://es.example.com")
    assert sink_of("http://es.example.com", insecure=True).target == f"elasticsearch:es.example.com/{STREAM}"
    assert sink_of("https://es.example.com:9200/p/").target == f"elasticsearch:es.example.com:9200/p/{STREAM}"


# ------------------------------------------------------------------------------------------------------------ template


async def test_without_the_template_nothing_is_sent_and_setup_mends_it() -> None:
    async with delivering(ready=False, slots=2, sink={"ilm_policy": "logs"}) as (sink, receiver):
        for slot in range(2):
            with pytest.raises(Held, match="audit-forwarder setup") as caught:
                await sink.send(batch(2, slot=slot))
            assert caught.value.kind == "setup_missing"
        assert receiver.bulk_requests == 0
        assert [step.state for step in await sink.setup(apply=False)] == ["missing"]
        assert receiver.templates.stored == {}
        assert [step.state for step in await sink.setup(apply=True)] == ["missing"]
        assert [(step.state, step.diff) for step in await sink.setup(apply=False)] == [("same", "")]
        before = receiver.server.requests
        for first in (1, 3, 5):
            await sink.send(batch(2, first=first))
        assert receiver.server.requests - before == 4, "the template is looked for once"


async def test_a_stream_that_vanishes_makes_the_sink_look_again() -> None:
    async with delivering() as (sink, receiver):
        await sink.send(batch(2))
        receiver.templates.stored.clear()
        receiver.streams.clear()
        with pytest.raises(Held) as first:
            await sink.send(batch(2))
        requests = receiver.bulk_requests
        with pytest.raises(Held, match="template is missing"):
            await sink.send(batch(2))
        assert first.value.kind == "setup_missing"
        assert receiver.bulk_requests == requests


async def test_unmanaged_asks_for_no_template() -> None:
    async with delivering(ready=False, auto_create=True, sink={"unmanaged": True}) as (sink, receiver):
        assert await sink.setup(apply=True) == []
        assert await sink.send(batch(2)) == Delivery.all_accepted(batch(2))
        assert (receiver.server.requests, receiver.templates.stored) == (1, {})


def _changed(template: dict[str, Any], how: str) -> None:
    inner = template["template"]
    if how == "field":
        inner["mappings"]["properties"]["event"]["properties"]["severity"]["type"] = "keyword"
    elif how == "added field":
        inner["mappings"]["properties"]["mine"] = {"type": "keyword"}
    elif how == "setting":
        inner["settings"] = {"index": {"number_of_replicas": "2"}}
    elif how == "priority":
        template["priority"] = 300
    elif how == "component":
        template["composed_of"] = ["mine"]
    elif how == "hidden":
        template["data_stream"] = {"hidden": True}
    elif how == "digest gone":
        inner["settings"] = {"index": {"number_of_replicas": "2"}}
        del template["_meta"]
    elif how == "newer than we":
        template["_meta"]["version"] += 1
        template["priority"] = 300


@pytest.mark.parametrize(
    "how", ["field", "added field", "setting", "priority", "component", "hidden", "digest gone", "newer than we"]
)
async def test_a_template_that_somebody_changed_is_never_touched(how: str) -> None:
    async with delivering() as (sink, receiver):
        _changed(receiver.templates.stored[TEMPLATE], how)
        before = json.dumps(receiver.templates.stored)
        (step,) = await sink.setup(apply=True)
        assert step.state == "foreign"
        assert any(line[:1] in "+-" for line in step.diff.splitlines()[2:])
        assert json.dumps(receiver.templates.stored) == before
        assert await sink.send(batch(2)) == Delivery.all_accepted(batch(2)), "it stands, so it is a decision"


async def test_a_strangers_template_is_not_ours() -> None:
    async with delivering(ready=False) as (sink, receiver):
        receiver.templates.put(TEMPLATE, {"index_patterns": ["logs-atlassian.audit-*"], "data_stream": {}})
        (step,) = await sink.setup(apply=True)
        assert step.state == "foreign"
        assert list(receiver.templates.stored[TEMPLATE]) == ["index_patterns", "data_stream", "template"]


async def test_an_older_one_of_ours_is_replaced() -> None:
    async with delivering(sink={"ilm_policy": "logs"}) as (old, receiver):
        sink = sink_of(receiver.url)
        (step,) = await sink.setup(apply=False)
        assert step.state == "ours_older"
        assert '"index.lifecycle.name": "logs"' in step.diff
        await sink.setup(apply=True)
        assert [step.state for step in await sink.setup(apply=False)] == ["same"]
        assert [step.state for step in await old.setup(apply=False)] == ["ours_older"]
        await sink.close()


@pytest.mark.parametrize(("flavour", "type_"), [("elasticsearch", "flattened"), ("opensearch", "object")])
async def test_each_server_gets_a_template_it_takes(flavour: Any, type_: str) -> None:
    async with delivering(flavour=flavour) as (sink, receiver):
        stored = receiver.templates.stored[TEMPLATE]
        audit = stored["template"]["mappings"]["properties"]["atlassian"]["properties"]["audit"]["properties"]
        assert audit["context"]["type"] == type_
        assert stored["index_patterns"] == ["logs-atlassian.audit-*"]
        assert [step.state for step in await sink.setup(apply=False)] == ["same"]


async def test_a_template_that_collides_is_refused_with_the_servers_words() -> None:
    async with delivering(ready=False) as (sink, receiver):
        receiver.templates.put("other", {"index_patterns": ["logs-atlassian.audit-*"], "priority": 250})
        with pytest.raises(Held, match="same priority") as caught:
            await sink.setup(apply=True)
        assert caught.value.fix


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (error_of(403, "security_exception"), Held, "monitor"),
        (error_of(401, "security_exception"), AuthFailed, "credential"),
        (error_of(503), Retryable, "503"),
        (Response(200, {}, b"<html>log in</html>"), Held, "Check url"),
        (Response(404, {}, b"<html>nothing here</html>"), Held, "Check url"),
        (Response(302, {"location": "/login"}), Held, "Check url"),
        (Response.json({"index_templates": []}), Held, "Check url"),
    ],
)
async def test_a_look_at_the_template_that_fails(answer: Response, error: type[ForwarderError], says: str) -> None:
    async with answering(lambda _: answer) as sink:
        with pytest.raises(error, match=says) as caught:
            await sink.send(batch(1))
        assert type(caught.value) is error
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize(("status", "says"), [(403, "manage_index_templates"), (400, "own words"), (500, "500")])
async def test_a_server_that_refuses_the_template(status: int, says: str) -> None:
    def answer(request: Request) -> Response:
        return error_of(status if request.method == "PUT" else 404, "some_exception", "because")

    async with answering(answer) as sink:
        with pytest.raises((Held, Retryable), match=says):
            await sink.setup(apply=True)


# --------------------------------------------------------------------------------------------------------------- probe


@pytest.mark.parametrize("flavour", ["elasticsearch", "opensearch"])
async def test_a_probe_of_a_server_that_is_well(flavour: Any) -> None:
    async with delivering(flavour=flavour, version="3.4.5") as (sink, receiver):
        findings = await sink.probe()
        assert [finding.ok for finding in findings] == [True, True, True]
        assert findings[0].detail == f"{flavour} 3.4.5"
        assert receiver.bulk_requests == 0


async def test_a_probe_names_what_is_missing() -> None:
    async with delivering(ready=False) as (sink, receiver):
        receiver.forbidden = {f"ApiKey {SECRET}"}
        findings = await sink.probe()
        assert [finding.ok for finding in findings] == [True, False, False]
        assert "setup" in findings[1].fix
        assert "create_doc" in findings[2].fix


@pytest.mark.parametrize("what", ["refused credential", "nobody there", "busy", "unreadable secret"])
async def test_a_probe_of_what_cannot_be_reached(what: str, tmp_path: Path) -> None:
    async with BulkReceiver(credentials=["ApiKey other"]) as receiver:
        url = receiver.url
        settings = {"api_key": Secret(path=tmp_path / "none")} if what == "unreadable secret" else {}
        if what == "nobody there":
            await receiver.server.close()
        if what == "busy":
            await receiver.server.close()
            async with answering(lambda _: error_of(503)) as sink:
                findings = await sink.probe()
        else:
            sink = sink_of(url, **settings)
            findings = await sink.probe()
            await sink.close()
    assert [finding.ok for finding in findings] == [False]
    assert findings[0].fix
    assert SECRET not in findings[0].detail


async def test_nothing_that_is_raised_repeats_the_secret() -> None:
    """The server's words are quoted; it does not know the secret, and what we add does not contain it."""
    statuses = itertools.cycle([400, 401, 403, 404, 413, 429, 500])

    def answer(request: Request) -> Response:
        return (
            Response(next(statuses))
            if request.path.endswith("_bulk")
            else Response.json({"index_templates": [{"index_template": {}}]})
        )

    async with answering(answer) as sink:
        for _ in range(7):
            with pytest.raises(ForwarderError) as caught:
                await sink.send(batch(1))
            chain: BaseException | None = caught.value
            while chain is not None:
                assert SECRET not in repr(chain) + str(vars(chain))
                chain = chain.__cause__ or chain.__context__
