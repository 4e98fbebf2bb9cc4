"""The floor: the least that Python can do for the same result, with no retries, metrics, repeats, lanes or checks.

    python -m bench.floor fetch|deliver|whole FEED_URL ORG KEY DRAIN_URL DATABASE

`fetch`: GET, typed decode, one row an event in SQLite (WAL, FULL). `deliver`: read the rows, decode, a small ECS
document, gzip (isal, level 1, as the forwarder), POST, delete the rows. `whole`: both in one loop, and the row holds the
document already, so that it decodes once.
"""

from __future__ import annotations

import http.client
import sqlite3
import sys
from collections.abc import Callable
from urllib.parse import quote, urlsplit

import msgspec
from isal import igzip


class Actor(msgspec.Struct, gc=False, frozen=True):
    id: str | None = ""
    name: str | None = ""
    email: str | None = ""


class Place(msgspec.Struct, gc=False, frozen=True):
    ip: str | None = ""
    countryName: str | None = ""  # noqa: N815
    regionName: str | None = ""  # noqa: N815
    city: str | None = ""


class Facts(msgspec.Struct, gc=False, frozen=True):
    action: str
    time: str = ""
    processedAt: str = ""  # noqa: N815
    actor: Actor = Actor()
    location: Place = Place()
    context: msgspec.Raw = msgspec.Raw(b"[]")
    container: msgspec.Raw = msgspec.Raw(b"[]")


class Message(msgspec.Struct, gc=False, frozen=True):
    content: str | None = ""


class Event(msgspec.Struct, gc=False):
    id: str
    attributes: Facts
    message: Message = Message()


class Meta(msgspec.Struct):
    next: str | None = None


class Page(msgspec.Struct):
    data: list[Event]
    meta: Meta


class RawPage(msgspec.Struct):
    data: list[msgspec.Raw]
    meta: Meta


class Head(msgspec.Struct, gc=False):
    id: str


pages, raw_pages = msgspec.json.Decoder(Page), msgspec.json.Decoder(RawPage)
heads, events = msgspec.json.Decoder(Head), msgspec.json.Decoder(Event)
encode = msgspec.json.Encoder().encode
ECS = {"version": "9.4.0"}


def document(event: Event) -> bytes:
    facts, actor, place = event.attributes, event.attributes.actor, event.attributes.location
    return encode(
        {
            "@timestamp": facts.time,
            "ecs": ECS,
            "event": {
                "id": event.id,
                "kind": "event",
                "module": "atlassian",
                "dataset": "atlassian.audit",
                "action": facts.action,
                "category": ["iam"],
                "type": ["info"],
                "created": facts.processedAt,
            },
            "message": event.message.content,
            "organization": {"id": "o1"},
            "user": {"id": actor.id, "name": actor.name, "email": actor.email},
            "source": {
                "ip": place.ip,
                "geo": {"country_name": place.countryName, "region_name": place.regionName, "city_name": place.city},
            },
            "related": {"user": [actor.id, actor.email], "ip": [place.ip]},
            "atlassian": {"audit": {"context": facts.context, "container": facts.container}},
        }
    )


def reader(feed: str, org: str, key: str) -> Callable[[str | None], bytes]:
    """Return what asks the feed for the page at a cursor."""
    source = http.client.HTTPConnection(urlsplit(feed).netloc)

    def get(cursor: str | None) -> bytes:
        where = f"cursor={quote(cursor, safe='')}" if cursor else "from=0&sortOrder=asc"
        path = f"/admin/v1/orgs/{org}/events-stream?{where}&limit=500"
        source.request("GET", path, headers={"Authorization": f"Bearer {key}"})
        return source.getresponse().read()

    return get


def sender(drain: str) -> http.client.HTTPConnection:
    """Return the connection to the far end."""
    return http.client.HTTPConnection(urlsplit(drain).netloc)


def post(sink: http.client.HTTPConnection, body: bytes) -> bytes:
    """Send a bulk request, gzipped, and return the answer, which says that nothing was refused."""
    headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
    sink.request("POST", "/x/_bulk?filter_path=errors,items.*.status", body, headers)
    answer = sink.getresponse().read()
    assert b'"errors":false' in answer[:60]
    return answer


def main(mode: str, feed: str, org: str, key: str, drain: str, database: str) -> None:
    con = sqlite3.connect(database, isolation_level=None)
    con.execute("pragma journal_mode=wal")
    con.execute("pragma synchronous=full")
    con.execute("create table if not exists ev(seq integer primary key, id text unique, doc blob)")
    con.execute("create table if not exists cur(k primary key, v)")
    get, sink = reader(feed, org, key), sender(drain)

    def put(ids: list[str], docs: list[bytes]) -> None:
        body = b"".join([b'{"create":{"_id":"%b"}}\n%b\n' % (i.encode(), d) for i, d in zip(ids, docs, strict=True)])
        post(sink, igzip.compress(body, 1))

    def store(ids: list[str], docs: list[bytes], cursor: str | None) -> None:
        con.execute("begin")
        con.executemany("insert or ignore into ev(id, doc) values (?, ?)", zip(ids, docs, strict=True))
        con.execute("insert or replace into cur values ('c', ?)", (cursor,))
        con.execute("commit")

    if mode == "deliver":
        while rows := con.execute("select seq, id, doc from ev order by seq limit 500").fetchall():
            put([row[1] for row in rows], [document(events.decode(row[2])) for row in rows])
            con.execute("delete from ev where seq <= ?", (rows[-1][0],))
        return
    cursor: str | None = None
    while True:
        body = get(cursor)
        if mode == "fetch":
            page = raw_pages.decode(body)
            store([heads.decode(raw).id for raw in page.data], [bytes(raw) for raw in page.data], page.meta.next)
        else:
            full = pages.decode(body)
            page = full  # type: ignore[assignment]
            ids = [event.id for event in full.data]
            store(ids, [document(event) for event in full.data], full.meta.next)
            rows = con.execute("select seq, id, doc from ev order by seq").fetchall()
            if rows:
                put([row[1] for row in rows], [row[2] for row in rows])
                con.execute("delete from ev where seq <= ?", (rows[-1][0],))
        if not page.data:
            return
        cursor = page.meta.next or cursor


if __name__ == "__main__":
    main(*sys.argv[1:])
