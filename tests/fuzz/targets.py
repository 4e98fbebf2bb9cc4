"""Every parser of foreign bytes: sound examples to begin from, and what may come of any bytes at all.

A target returns for whatever it is given, or raises one of `allowed`. Anything else is a fault, and so is one that takes
longer than its size explains (`MOST_SECONDS` of CPU).
"""

from __future__ import annotations

import asyncio
import gzip
import random
import socket
import tempfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from forwarder.admin.control import Answer, ControlSocket, Verb
from forwarder.catalogue.state_files import read_state
from forwarder.config.settings import load
from forwarder.contracts import ConfigError, ForwarderError, Retryable, Shrinks, SystemClock, UnexpectedPayload
from forwarder.contracts.units import parse_duration, parse_size
from forwarder.daemon.action_lists import KeptList
from forwarder.net.addresses import parse_listen
from forwarder.net.compression import Damaged, TooLong, decompress
from forwarder.net.http import Response
from forwarder.net.retry import RequestBudget, retry_after_seconds
from forwarder.normalize.times import TimeReader
from forwarder.observe.redaction import Redactor
from forwarder.registry import build_format
from forwarder.sources.headers import clock_finding
from forwarder.sources.organization import refusals
from forwarder.sources.organization.actions import actions_of
from forwarder.sources.organization.cursors import is_sendable, onward_of
from forwarder.sources.organization.heads import PAGES, heads_of
from forwarder.sources.organization.normalizer import OrganizationNormalizer
from forwarder.spool.sqlite import pages as spool_pages
from sinks.elasticsearch import answers as elasticsearch_answers
from sinks.splunk_hec import answers as splunk_hec_answers
from sinks.syslog import relp
from tests.events import golden_bodies, record_of
from tests.registered import formats

MOST_SECONDS = 5.0


class Target(NamedTuple):
    """One parser."""

    corpus: Sequence[bytes]
    run: Callable[[bytes], object]
    allowed: tuple[type[Exception], ...] = ()


_FORMATS = [build_format(name) for name in formats()]
_EVENTS = list(golden_bodies().values())


def _page(body: bytes) -> None:
    events, members = PAGES.open(body)
    heads_of(events)
    cursor = onward_of(members, {}).cursor
    assert cursor is None or isinstance(is_sendable(cursor), bool)


def _event(body: bytes) -> None:
    record = record_of(body)
    [event] = OrganizationNormalizer().normalize([record])
    for render in _FORMATS:
        if render.needs_event and isinstance(event, UnexpectedPayload):
            continue
        record.event = None if isinstance(event, UnexpectedPayload) else event
        [made] = render.render([record])
        assert isinstance(made, bytes | UnexpectedPayload)
        if isinstance(made, bytes):
            assert b"\n" not in made
            if isinstance(render, Shrinks):
                short = render.shrink(record, 500)
                assert isinstance(short, UnexpectedPayload) or len(short) <= 500


def _answer(body: bytes, status: int = 200) -> Response:
    return Response(status, {"content-type": "application/json"}, body)


def _bulk(body: bytes) -> None:
    for status in (400, 403, 429, 503):
        assert isinstance(elasticsearch_answers.refusal(_answer(body, status), 0.0), ForwarderError)
    elasticsearch_answers.read(_answer(body), range(2), 0.0)


def _hec(body: bytes) -> None:
    for status in (200, 400, 403, 503):
        for read in (splunk_hec_answers.interpret, splunk_hec_answers.parse_acks):
            with suppress(ForwarderError):
                read(_answer(body, status), 0.0)


def _relp(body: bytes) -> None:
    session = relp.Relp(None, 4)  # type: ignore[arg-type] # frames are read without its connection
    for at in range(0, len(body), 7):
        for frame in session._frames(body[at : at + 7]):
            relp._answer(frame, 1)


def _errors(body: bytes) -> None:
    refusals.error_of(_answer(body, 400), ("secret-of-the-key",))


def _headers(body: bytes) -> None:
    text = body.decode("latin-1")
    headers = {"retry-after": text, "date": text, "x-ratelimit-limit": text, "x-ratelimit-remaining": text}
    headers |= {"x-ratelimit-reset": text}
    seconds = retry_after_seconds(headers, 1.8e9)
    assert seconds is None or 0 <= seconds < 1e9
    clock_finding(headers, 1.8e9)
    budget = RequestBudget(SystemClock())
    budget.observe(headers)
    budget.on_rate_limited(headers)
    assert 0 <= budget.reserve() < 1e9


def _time(body: bytes) -> None:
    for errors in ("replace", "surrogateescape"):
        found = TimeReader().read(body.decode("utf-8", errors))
        assert found is None or abs(found) < 10**15


_FOLDER = tempfile.TemporaryDirectory(prefix="audit-forwarder-fuzz-")


def _file(body: bytes) -> Path:
    path = Path(_FOLDER.name) / "given"
    path.write_bytes(body)
    return path


def _config(body: bytes) -> None:
    load(_file(body))


def _settings(body: bytes) -> None:
    text = body.decode("utf-8", "replace").replace("\0", "")
    for parse in (parse_size, parse_duration):
        with suppress(ValueError):
            parse(text)
    with suppress(ConfigError):
        parse_listen(text, "admin.listen")
    load(None, {"FORWARDER__SPOOL__MAX_BYTES": text}, None, [f"sinks.out.batch.events={text}"])


class _Choice(msgspec.Struct):
    numbers: tuple[int, ...] = ()
    name: str = ""


def _control(body: bytes) -> None:
    async def do(about: Any, who: str) -> list[Any]:
        return [about.name, who]

    control = ControlSocket(Path(_FOLDER.name) / "control.sock", {"list": Verb(_Choice, do)})
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert isinstance(asyncio.run(control._answer(body, ours)), Answer)


def _row(body: bytes) -> None:
    with suppress(ValueError):
        spool_pages.unpack(body, 3)
    with suppress(ValueError):
        spool_pages.decompress(body)


def _gzip(body: bytes) -> None:
    for encoding in ("gzip", "deflate"):
        with suppress(Damaged, TooLong):
            decompress(body or b"\0", encoding, 2**20)


def _redaction(body: bytes) -> None:
    redactor = Redactor(lambda: ["a-secret-of-ours"])
    assert "a-secret-of-ours" not in redactor.text(body.decode("utf-8", "replace"))
    redactor.scrub({body.decode("latin-1"): [body]})


_PAGE = (
    b'{"data":['
    + b",".join(_EVENTS[:20])
    + b'],"meta":{"next":"bmV4dA=="},"links":{"next":"https://x/y?cursor=a%20b"}}'
)
_ITEM = b'{"create":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"r","caused_by":{"reason":"c"}}}}'
_CONFIG = b"""
spool: {path: spool.db, max_bytes: 2GiB}
sources:
  acme: {type: organization, org_id: a1b2c3d4-1111-2222, api_key: key-1234567890abc, every: 30s, tls: {min_version: "1.2"}}
sinks:
  out: {type: file, path: out.ndjson, include: [{action: "*_viewed"}], batch: {events: 10, bytes: 1MB, wait: 1.5}, retry: {max: 1m}}
  elastic: {type: elasticsearch, url: "https://es.example.com:9200", api_key: abc, fields: {add: {env: prod, n: 1}}}
admin: {listen: "127.0.0.1:9464"}
"""

TARGETS: dict[str, Target] = {
    "pages": Target([_PAGE, b'\xef\xbb\xbf{"data":[1,NaN]}', b'{"data":[],"meta":{"next":null}}', b'{"data":[1],"meta":{"page":{"nextCursor":5,"hasMore":true}}}'], _page, (Retryable,)),
    "events": Target(_EVENTS, _event),
    "actions": Target(
        [b'{"data":[{"id":"a","attributes":{"displayName":"A","groupDisplayNames":["g"]}}],"meta":{"next":"n"}}'],
        actions_of,
        (Retryable,),
    ),
    "bulk": Target(
        [
            b'{"errors":true,"items":[%s,%s]}' % (_ITEM, _ITEM),
            b'{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":409}}]}',
            b'{"error":{"type":"security_exception","reason":"r"},"status":403}',
            b'{"error":"text"}',
        ],
        _bulk,
        (ForwarderError,),
    ),
    "hec": Target(
        [
            b'{"text":"Success","code":0,"ackId":7}',
            b'{"acks":{"0":true,"7":false}}',
            b'{"text":"Invalid data format","code":6,"invalid-event-number":1}',
        ],
        _hec,
    ),
    "relp": Target([b"1 rsp 6 200 OK\n", b"1 rsp 12 500 no thanks\n2 rsp 0\n", b"0 serverclose 0\n"], _relp, (Retryable,)),
    "errors": Target([b'{"errors":[{"code":"ADMIN-400-1","title":"Bad cursor secret-of-the-key"}]}'], _errors),
    "headers": Target([b"120", b"Wed, 21 Oct 2026 07:28:00 GMT", b"1.5", b"2026-10-21T07:28:00Z"], _headers),
    "times": Target([b"2026-01-31T23:59:59.123Z", b"2026-01-31 23:59+01:00", b"2026-01-31T23:59:59,5"], _time),
    "config": Target([_CONFIG], _config, (ConfigError,)),
    "settings": Target([b"2GiB", b"1h30m", b"127.0.0.1:9464", b"[::1]:1", b"0.5", b"[1, 2]"], _settings, (ConfigError,)),
    "control": Target([b'{"do":"list","about":{"numbers":[1,2],"name":"n"},"says":"ann"}', b'{"do":"x"}'], _control),
    "rows": Target([spool_pages.pack([b"{}", b'{"id":1}', b"x" * 999]), spool_pages.compress(b'{"id":"1"}')], _row),
    "gzip": Target([gzip.compress(b"abc" * 99) * 2, zlib.compress(b"abc" * 99), zlib.compress(b"a" * 99, wbits=-15)], _gzip),
    "state": Target(
        [msgspec.json.encode(KeptList("o", 1.5, []))], lambda body: read_state(_file(body), KeptList)
    ),
    "redaction": Target(
        [b"Authorization: Bearer abcdefghijklmnopqrstu", b"https://u:p@h/?a=b a-secret-of-ours", b"'cookie': b'x=y'"],
        _redaction,
    ),
}  # fmt: skip


def rng_of(name: str, seed: int) -> random.Random:
    """Return the randomness of one try: a seed and a target name the input."""
    return random.Random(f"{name} {seed}")
