"""Events of any size, each heavy in another way: what a hostile organization, app or user could put into one."""

from __future__ import annotations

from collections.abc import Callable

_TIMES = b'"time":"2026-01-31T10:00:00Z","processedAt":"2026-01-31T10:00:01Z"'


def event(attributes: bytes = b"", more: bytes = b"") -> bytes:
    """Return an event with the usual facts and these besides."""
    given = b'"action":"user_login","actor":{"id":"557058:bd95","name":"Ann","email":"ann@example.com"}'
    return b'{"id":"heavy","attributes":{%s,%s%s}%s}' % (_TIMES, given, attributes, more)


def many(make: Callable[[int], bytes], size: int) -> bytes:
    """Return about `size` bytes of values, divided by commas."""
    one = len(make(1)) + 1
    return b",".join(make(number) for number in range(max(1, size // one)))


def entries(where: str, kind: str, attributes: str) -> Callable[[int], bytes]:
    """Return a maker of events with very many entries in `context` or `container`."""

    def entry(number: int) -> bytes:
        own = attributes.replace("#", str(number))
        return f'{{"id":"{number}","type":"{kind}","attributes":{{{own}}}}}'.encode()

    return lambda size: event(b',"%s":[%s]' % (where.encode(), many(entry, size)))


def text(where: str, piece: str) -> Callable[[int], bytes]:
    """Return a maker of events with one very long text; `where` holds it in the place of `#`."""
    before, _, after = where.partition("#")

    def make(size: int) -> bytes:
        long = piece.encode("utf-8", "surrogatepass") * (size // len(piece.encode("utf-8", "surrogatepass")))
        return event(before.encode() + long + after.encode())

    return make


SETTING = '"settingName":"name#","settingValues":"value"'
KINDS = [
    "settings", "users", "groups", "roles", "spaces", "apps", "sites", "orgs", "pages", "projects", "unheard-of",
]  # fmt: skip
PIECES = ["x", "a@", "\U0001f600", "\\ud83d", "\\n", "=", " ", "aB", "a://", "]"]
PLACES = {
    "action": ',"action":"#"',
    "time": ',"time":"#"',
    "actor": ',"actor":{"id":"#"}',
    "name": ',"actor":{"id":"i","name":"#"}',
    "mail": ',"actor":{"id":"i","email":"#"}',
    "ip": ',"location":{"ip":"#"}',
    "geo": ',"location":{"geo":"#"}',
    "user": ',"context":[{"id":"#","type":"users","attributes":{"email":"#"}}]',
    "kind": ',"context":[{"id":"1","type":"#"}]',
    "setting": ',"context":[{"id":"1","type":"settings","attributes":{"settingName":"#","settingValues":"v"}}]',
    "url": ',"container":[{"id":"1","type":"sites","attributes":{"siteHostName":"https://#"},"links":{"alt":"https://#"}}]',
    "key": ',"context":[{"id":"1","type":"pages","attributes":{"#":"v"}}]',
}  # fmt: skip

SHAPES: dict[str, Callable[[int], bytes]] = {
    **{
        f"many {kind} in {where}": entries(where, kind, SETTING) for kind in KINDS for where in ("context", "container")
    },
    **{
        f"many {kind} with names": entries("context", kind, '"name":"name#","email":"u#@example.com"') for kind in KINDS
    },
    **{f"{place} of {piece!r}": text(where, piece) for place, where in PLACES.items() for piece in PIECES},
    "many setting values": lambda size: event(
        b',"context":[{"type":"settings","attributes":{"settingName":"n","settingValues":[%s]}}]'
        % many(lambda n: b'"%d"' % n, size)
    ),
    "many attributes": lambda size: event(
        b',"context":[{"type":"pages","attributes":{%s}}]' % many(lambda n: b'"k%d":"v"' % n, size)
    ),
    "the same attribute": lambda size: event(
        b',"context":[{"type":"pages","attributes":{%s}}]' % many(lambda n: b'"name":"v"', size)
    ),
    "many members": lambda size: event(b',"x":{%s}' % many(lambda n: b'"k%d":%d' % (n, n), size)),
    "many odd entries": lambda size: event(b',"context":[%s]' % many(lambda n: b'{"id":%d,"type":["x"]}' % n, size)),
    "empty entries": lambda size: event(b',"context":[%s]' % many(lambda n: b"{}", size)),
    "no entries": lambda size: event(b',"context":[%s]' % many(lambda n: b"1", size)),
    "an object of entries": lambda size: event(b',"context":{%s}' % many(lambda n: b'"k%d":{}' % n, size)),
    "events beside": lambda size: event(b"", b',"attributes":{}' * (size // 16)),
    "messages": lambda size: event(b"", b',"message":{"content":"%s"}' % (b"Ann updated x " * (size // 14))),
    "mails": lambda size: event(b"", b',"message":{"content":"%s"}' % (b"a@b.example " * (size // 12))),
    "one word": lambda size: event(b"", b',"message":{"content":"%s"}' % (b"w" * size)),
    "nested": lambda size: event(b',"x":%s%s' % (b"[" * (size // 2), b"]" * (size // 2))),
    "nested a little": lambda size: event(b',"x":[%s]' % many(lambda n: b"[" * 200 + b"]" * 200, size)),
    "nested context": lambda size: event(
        b',"context":[%s]' % many(lambda n: b'{"id":' + b'{"a":' * 100 + b"1" + b"}" * 101, size)
    ),
    "a number": lambda size: event(b',"x":%s' % (b"7" * size)),
    "a fraction": lambda size: event(b',"x":0.%s' % (b"7" * size)),
    "numbers of 400 digits": lambda size: event(b',"x":[%s]' % many(lambda n: b"7" * 400, size)),
    "numbers out of range": lambda size: event(b',"x":[%s]' % many(lambda n: b"1e999", size)),
    "numbers for texts": lambda size: event(
        b',"context":[%s]' % many(lambda n: b'{"id":%s,"type":"users"}' % (b"7" * 400), size)
    ),
    "surrogates": lambda size: event(b',"x":[%s]' % many(lambda n: b'"\\ud83d"', size)),
    "bad UTF-8": lambda size: event(b',"x":"%s"' % (b"\xff" * size)),
    "white space": lambda size: event(b',"context":[%s]' % (b" \n" * (size // 2))),
    "line ends": lambda size: event(b',"x":[%s1]' % (b"\r\n" * (size // 2))),
}
"""Makers of an event of about so many bytes, by what is heavy about it."""
