"""What the Workspace Events API may answer beside a good page: each is an error by its kind, or costs nobody else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from forwarder.contracts import Held, Retryable
from forwarder.net.http import Response
from forwarder.sources.workspace.events import WorkspaceEvents

Answer = bytes | Callable[[int], bytes]


def event(number: int, **more: Any) -> dict[str, Any]:
    return {"id": f"e{number}", "type": "events", "attributes": {"time": "2026-11-30T10:00:00.000Z"}, **more}


def page(*events: Any, **more: Any) -> bytes:
    return json.dumps({"data": list(events), **more}).encode()


async def read(answer: Answer, most: int = 6) -> tuple[list[bytes], list[Mapping[str, str]]]:
    """Read one window as far as it goes; return the events and what was asked."""
    asked: list[Mapping[str, str]] = []

    async def ask(path: str, query: Mapping[str, str]) -> Response:
        assert path == "/audit-log/v1/workspaces/ari%3Acloud%3Ajira%3A%3Asite%2F{cloud_id}/events"
        asked.append(query)
        body = answer if isinstance(answer, bytes) else answer(len(asked))
        return Response(200, {"content-type": "application/json"}, body)

    reader = WorkspaceEvents(ask, "jira", "acme.atlassian.net")
    state, found = reader.walk(1_000, 2_000), []
    for _ in range(most):
        got = await reader.fetch(state)
        found += got.bodies
        if not got.bodies:
            return [bytes(body) for body in found], asked
        assert len(got.keys) == len(got.digests) == len(got.minutes) == len(got.bodies)
        state = json.loads(json.dumps(got.next))
    raise AssertionError("the window does not end")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "not_json"),
        (b"<html>", "not_json"),
        (b"{}", "not_json"),
        (b'{"data":null}', "not_json"),
        (b'{"data":{}}', "not_json"),
        (b'{"data":[{"id":"a"', "not_json"),
        (page(*map(event, range(3000))), "too_many_events"),
    ],
    ids=range(7),
)
async def test_what_is_no_page_is_an_error(body: bytes, kind: str) -> None:
    with pytest.raises(Retryable) as caught:
        await read(body)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("odd", "count"),
    [
        (page(1, "x", None, [], event(1)), 5),
        (page({"id": 7, "attributes": {"time": 5}}, event(1)), 2),
        (page({"id": "a", "attributes": []}, event(1)), 2),
        (b'{"data":[{"id":"a","x":"\\ud83d"},{"id":"b\xff"},{"id":"c","n":NaN}],"meta":{"next":null}}', 3),
        (page(event(1), event(1)), 2),
        (page(event(1), meta=[], links="x"), 1),
    ],
    ids=range(6),
)
async def test_an_odd_event_costs_none_of_its_neighbours(odd: bytes, count: int) -> None:
    found, asked = await read(odd)
    assert len(found) == count
    assert len(asked) == 1


async def test_empty_pages_with_new_cursors_come_to_an_end() -> None:
    found, asked = await read(lambda number: page(meta={"next": f"c{number}"}))
    assert (found, len(asked)) == ([], 3)


@pytest.mark.parametrize(
    ("onward", "cursor"),
    [
        ({"links": {"next": "https://evil.example/x?cursor=a%2Bb&limit=9"}}, "a+b"),
        ({"links": {"next": "/audit-log/v1/x?cursor=a%2Bb"}}, "a+b"),
        ({"links": {"next": {"href": "/x?cursor=abc"}}}, "abc"),
        ({"meta": {"next": 5}}, "5"),
        ({"meta": {"cursor": {"next": "abc"}}}, "abc"),
        ({"next": "abc"}, "abc"),
    ],
)
async def test_a_cursor_is_taken_wherever_it_stands_and_nothing_else(onward: dict[str, Any], cursor: str) -> None:
    found, asked = await read(lambda number: page(event(number), **onward) if number == 1 else page())
    assert len(found) == 1
    assert asked[1] == {"cursor": cursor, "limit": "200"}


@pytest.mark.parametrize("most", [200, 100, 50, 30, 1, 0])
@pytest.mark.parametrize("limit", [200, 120, 10])
async def test_windows_that_are_refused_for_their_limit_at_once_find_one_that_is_not(most: int, limit: int) -> None:
    asked: list[int] = []
    together = asyncio.Event()

    async def ask(_: str, query: Mapping[str, str]) -> Response:
        asked.append(int(query.get("limit", "0")))
        number = len(asked)
        if number == 3:
            together.set()
        if number < 3:
            await together.wait()
        if number == 3:
            for _ in range(9):
                await asyncio.sleep(0)  # refused last, when the others have found a lower one
        if asked[number - 1] > most:
            raise Held("no", fix="none", kind="bad_request")
        return Response(200, {"content-type": "application/json"}, page(event(number)))

    reader = WorkspaceEvents(ask, "jira", "acme.atlassian.net", limit=limit)
    first = [reader.walk(at, at + 1_000) for at in (1_000, 5_000, 9_000)]
    found = await asyncio.gather(*map(reader.fetch, first))
    assert [len(one.bodies) for one in found] == [1, 1, 1]
    assert len((await reader.fetch(reader.walk(13_000, 14_000))).bodies) == 1
    assert asked[-1] == max(each for each in (limit, 100, 50, 25, 0) if each <= min(limit, most))


async def test_a_request_that_is_refused_for_no_limit_is_refused() -> None:
    asked: list[int] = []

    async def ask(_: str, query: Mapping[str, str]) -> Response:
        asked.append(int(query.get("limit", "0")))
        raise Held("no", fix="none", kind="bad_request")

    reader = WorkspaceEvents(ask, "jira", "acme.atlassian.net")
    for _ in range(2):
        with pytest.raises(Held):
            await reader.fetch(reader.walk(1_000, 2_000))
    assert asked == [200, 100, 50, 25, 0] * 2


async def test_one_millisecond_more_is_asked_for_at_both_ends_and_no_time_before_1970() -> None:
    _, asked = await read(page())
    assert asked == [{"from": "999", "to": "2001", "limit": "200"}]
