"""The floor of equal work: straight code that does what the forwarder does with each event, and none of what it is for.

    python -m bench.equal_floor FEED_URL ORG KEY DRAIN_URL DATABASE

GET; each event cut out as bytes; its key (BLAKE2b-128) and digest (SHA-256); repeats left out; the page as one zstd frame
with its ids and the cursor in one transaction (WAL, FULL). Then read back, opened, decoded with context and container,
an ECS document with the things and places that are named, gzip, POST with the key as `_id`, every item's status looked
at, and the page deleted. No retries, metrics, filters, privacy, lanes, books, marks, catalogue, odd events or checks.
"""

from __future__ import annotations

import hashlib
import sqlite3
import struct
import sys
from typing import Any

import msgspec
from isal import igzip

from bench.floor import ECS, Actor, Message, Place, heads, post, raw_pages, reader, sender

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


class Thing(msgspec.Struct, gc=False, frozen=True):
    id: str | None = ""
    type: str | None = ""
    attributes: dict[str, Any] | None = None


class Facts(msgspec.Struct, gc=False, frozen=True):
    action: str
    time: str = ""
    processedAt: str = ""  # noqa: N815
    actor: Actor = Actor()
    location: Place = Place()
    context: tuple[Thing, ...] = ()
    container: tuple[Thing, ...] = ()


class Event(msgspec.Struct, gc=False):
    id: str
    attributes: Facts
    message: Message = Message()


class Item(msgspec.Struct, gc=False):
    status: int


class Answer(msgspec.Struct):
    errors: bool
    items: list[dict[str, Item]]


events, answers = msgspec.json.Decoder(Event), msgspec.json.Decoder(Answer)
encode = msgspec.json.Encoder().encode


def named(things: tuple[Thing, ...]) -> list[dict[str, object]]:
    found = []
    for thing in things:
        more = thing.attributes or {}
        found.append({"id": thing.id, "type": thing.type, "name": more.get("name") or more.get("siteName"), **more})
    return found


def document(event: Event) -> bytes:
    facts, actor, place = event.attributes, event.attributes.actor, event.attributes.location
    context, container = named(facts.context), named(facts.container)
    people = [actor.id, actor.email, *(thing["id"] for thing in context if thing["type"] == "users")]
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
            "user": {"id": actor.id, "full_name": actor.name, "email": actor.email},
            "source": {
                "ip": place.ip,
                "geo": {"country_name": place.countryName, "region_name": place.regionName, "city_name": place.city},
            },
            "related": {"user": list(dict.fromkeys(filter(None, people))), "ip": [place.ip]},
            "atlassian": {"audit": {"context": context, "container": container}},
        }
    )


def main(feed: str, org: str, key: str, drain: str, database: str) -> None:
    con = sqlite3.connect(database, isolation_level=None)
    con.execute("pragma journal_mode=wal")
    con.execute("pragma synchronous=full")
    con.execute("create table if not exists pages(seq integer primary key, frame blob, keys blob)")
    con.execute("create table if not exists ids(seq integer primary key, seen blob)")
    con.execute("create table if not exists cur(k primary key, v)")
    get, put = reader(feed, org, key), sender(drain)
    common = hashlib.blake2b(org.encode(), digest_size=16, person=b"floor")
    known: set[bytes] = set()
    cursor: str | None = None

    def take(raws: list[bytes], following: str | None) -> None:
        keys, fresh, digests = [], [], []
        for raw in raws:
            state = common.copy()
            state.update(heads.decode(raw).id.encode())
            name = state.digest()
            if name not in known:
                known.add(name)
                keys.append(name)
                fresh.append(raw)
                digests.append(hashlib.sha256(raw, usedforsecurity=False).digest()[:8])
        lengths = struct.pack(f"<I{len(fresh)}I", len(fresh), *map(len, fresh))
        frame = zstd.compress(lengths + b"".join(fresh), 1)
        seen = b"".join(part for pair in zip(keys, digests, strict=True) for part in pair)
        con.execute("begin")
        con.execute("insert into pages(frame, keys) values (?, ?)", (frame, b"".join(keys)))
        con.execute("insert into ids(seen) values (?)", (seen,))
        con.execute("insert or replace into cur values ('c', ?)", (following,))
        con.execute("commit")

    def deliver() -> None:
        for seq, frame, keys in con.execute("select seq, frame, keys from pages order by seq").fetchall():
            page = zstd.decompress(frame)
            (count,) = struct.unpack_from("<I", page)
            at, lines = 4 + 4 * count, []
            for number, length in enumerate(struct.unpack_from(f"<{count}I", page, 4)):
                name = keys[16 * number : 16 * number + 16].hex().encode()
                body = document(events.decode(page[at : at + length]))
                lines.append(b'{"create":{"_id":"%b"}}\n%b\n' % (name, body))
                at += length
            if lines:
                answer = answers.decode(post(put, igzip.compress(b"".join(lines), 1)))
                assert all(item["create"].status == 201 for item in answer.items)
            con.execute("delete from pages where seq = ?", (seq,))

    while True:
        page = raw_pages.decode(get(cursor))
        take([bytes(raw) for raw in page.data], page.meta.next)
        deliver()
        if not page.data:
            return
        cursor = page.meta.next or cursor


if __name__ == "__main__":
    main(*sys.argv[1:])
