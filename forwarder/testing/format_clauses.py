"""What every format keeps (docs/write-a-format.md): valid by what it declares, a body a record, whatever the event."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from typing import Any, NoReturn, get_args

import msgspec
import pytest

from forwarder.contracts import (
    AuditEvent,
    ChangesFields,
    ConfigError,
    FieldsConfig,
    Format,
    FormatTraits,
    Late,
    Record,
    Shrinks,
    UnexpectedPayload,
)
from forwarder.contracts.event import LateKind
from forwarder.registry import FORMATS, build_format
from forwarder.testing.events import (
    RAW,
    bare_event,
    full_event,
    hostile_events,
    long_events,
    mixed_events,
    record_of,
    unknown_event,
    with_text,
)
from forwarder.testing.suite import clause

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_SD_NAME = r"[!#-<>-\\^-~]{1,32}"
_SD_VALUE = r'"(?:[^"\\\]]|\\["\\\]])*"'
_ELEMENTS = re.compile(rf"(?:\[{_SD_NAME}(?: {_SD_NAME}={_SD_VALUE})*\])+")
"""RFC 5424, section 6.3."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def valid(kind: Any, body: object) -> bytes:
    """Fail unless a body is what its format declares to write; return it."""
    traits = FormatTraits.of(kind)
    assert isinstance(body, bytes), f"neither bytes nor UnexpectedPayload: {body!r}"
    text = body.decode("utf-8")  # strict: no half characters
    assert not {"\n", "\r", "\x00"} & set(text), "a line end or NUL in the body"
    if traits.writes == "json":
        read = json.loads(text, parse_constant=_refuse)
        assert isinstance(read, dict), "not one JSON object"
        if traits.has_timestamp:
            assert _MOMENT.fullmatch(read["@timestamp"]), "@timestamp is not RFC 3339"
        return body
    assert not _CONTROL.search(text), "a control character in the body"
    if traits.writes == "structured_data":
        assert _ELEMENTS.fullmatch(text), "not structured data"
    return body


def _refuse(name: str) -> NoReturn:
    raise AssertionError(f"{name} is not JSON")


def _each(render: Format, records: list[Record]) -> list[bytes | UnexpectedPayload]:
    """Render, and fail unless there is one sound result a record."""
    made = render.render(records)
    assert len(made) == len(records)
    for body in made:
        if isinstance(body, UnexpectedPayload):
            assert str(body), "refused without a reason"
        else:
            valid(render, body)
    return made


@clause()
def test_what_a_format_declares_can_be(format_name: str) -> None:
    traits = FormatTraits.of(FORMATS.load(format_name))
    assert traits.writes in {"json", "line", "structured_data"}
    assert not traits.has_timestamp or traits.writes == "json", "only JSON has @timestamp"
    for flag in (traits.has_timestamp, traits.needs_event, traits.keeps_original):
        assert isinstance(flag, bool)
    build_format(format_name, original=traits.keeps_original)


@clause()
def test_an_ordinary_event_is_written_and_so_is_nothing(format_name: str) -> None:
    render = build_format(format_name)
    assert list(render.render([])) == []
    [body] = _each(render, [record_of(full_event())])
    assert isinstance(body, bytes)
    assert body


@clause()
@pytest.mark.parametrize("event", [bare_event(), unknown_event()], ids=["nothing known", "unknown action"])
def test_an_event_of_which_little_is_known_is_written(format_name: str, event: AuditEvent) -> None:
    [body] = _each(build_format(format_name), [record_of(event)])
    assert isinstance(body, bytes)


@clause()
def test_hostile_texts_stay_inside_their_value(format_name: str) -> None:
    render = build_format(format_name)
    for event in (*hostile_events(), *mixed_events(500)):
        _each(render, [record_of(event)])


@clause()
def test_texts_of_a_megabyte_are_written_or_refused(format_name: str) -> None:
    render = build_format(format_name)
    for event in long_events():
        _each(render, [record_of(event)])


@clause()
def test_whatever_the_api_sent_raises_nothing(format_name: str) -> None:
    traits = FormatTraits.of(FORMATS.load(format_name))
    event = full_event() if traits.needs_event else None
    for original in {False, traits.keeps_original}:
        _each(build_format(format_name, original=original), [record_of(event, raw) for raw in RAW])


@clause()
def test_what_needs_no_meaning_is_written_without_one(format_name: str) -> None:
    if FormatTraits.of(FORMATS.load(format_name)).needs_event:
        return
    [body] = _each(build_format(format_name), [record_of(None)])
    assert isinstance(body, bytes)


@clause()
def test_the_original_is_kept_where_that_is_declared(format_name: str) -> None:
    if not FormatTraits.of(FORMATS.load(format_name)).keeps_original:
        with pytest.raises(ConfigError):
            build_format(format_name, original=True)
        return
    raw = b'{"id":"606a97f7","only":"in the original"}'
    [body] = _each(build_format(format_name, original=True), [record_of(full_event(), raw)])
    assert isinstance(body, bytes)
    assert b"in the original" in body


@clause()
@pytest.mark.parametrize("kind", get_args(LateKind))
def test_an_event_that_did_not_come_as_it_happened_says_so(format_name: str, kind: LateKind) -> None:
    """Its meaning has the kind among its marks, and `late` says how late it was found, and by whom."""
    render = build_format(format_name)
    for event in (full_event(), unknown_event(), bare_event()):
        late = msgspec.structs.replace(event, late=Late(kind, 7654321, "reread"), marks=(*event.marks, kind))
        [before], [body] = _each(render, [record_of(event)]), _each(render, [record_of(late)])
        assert isinstance(before, bytes)
        assert isinstance(body, bytes)
        if not FormatTraits.of(render).needs_event:
            assert body == before, "what is passed on as it is says nothing of its own"
            continue
        said, word = before.count(kind.encode()), kind.encode()
        assert body.count(word) > said, "it looks as if it came in time"
        short = render.shrink(record_of(late), max(700, len(body) - 1)) if isinstance(render, Shrinks) else body
        assert isinstance(short, UnexpectedPayload) or short.count(word) > said, "cut, it looks as if it came in time"


@clause()
def test_the_same_event_is_the_same_bytes_in_any_company(format_name: str) -> None:
    records = [record_of(event) for event in (full_event(), unknown_event(), bare_event(), *mixed_events(30))]
    before = deepcopy(records)
    first, second = build_format(format_name), build_format(format_name)
    together = list(map(_plain, first.render(records)))
    assert list(map(_plain, first.render(records))) == together, "the second time differs"
    assert [_plain(second.render([record])[0]) for record in reversed(records)][::-1] == together
    assert records == before, "a record was changed"


def _plain(body: bytes | UnexpectedPayload) -> bytes | str:
    return body if isinstance(body, bytes) else str(body)


LIMITS = (1, 20, 100, 300, 700, 1500, 4096, 16_384)
ENOUGH = 16_384
"""Bytes that must do for which event it is, when and who."""
_LARGE = b'{"id":"606a97f7","attributes":{"text":"' + b'\\"\\u00fc\\n' * 20_000 + b'"}}'


@clause()
def test_what_is_cut_keeps_its_limit_and_says_which_event_it_is(format_name: str) -> None:
    render = build_format(format_name)
    if not isinstance(render, Shrinks):
        return
    records = [record_of(event, _LARGE) for event in (full_event(), unknown_event(), bare_event(), *mixed_events(10))]
    records += [record_of(full_event(), raw) for raw in RAW]
    for record in records:
        for limit in LIMITS:
            body = render.shrink(record, limit)
            if isinstance(body, UnexpectedPayload):
                assert str(body), "refused without a reason"
            else:
                assert len(valid(render, body)) <= limit
                assert render.shrink(record, limit) == body, "the second time differs"
    long = [*list(long_events())[::5], with_text(full_event(), ("message",), "\u00fc\n" * 300_000)]
    for event in long:
        body = render.shrink(record_of(event, _LARGE), ENOUGH)
        assert isinstance(body, UnexpectedPayload) or len(valid(render, body)) <= ENOUGH
    assert isinstance(body, bytes), "nothing could be said of an ordinary event with a long message"
    assert b"606a97f7" in body or full_event().document_id.encode() in body, "which event it is got lost"


@clause()
def test_fields_of_a_sink_are_added_renamed_and_left_out_or_refused(format_name: str) -> None:
    nasty = 'x"]y\\|=\n\u202e'
    if not isinstance(build_format(format_name), ChangesFields):
        with pytest.raises(ConfigError):
            build_format(format_name, fields=FieldsConfig(add={"env": "prod"}))
        return
    added = 0
    for changes in (
        FieldsConfig(add={"env": "prod"}),
        FieldsConfig(add={"unmapped.env": "prod"}),
        FieldsConfig(add={"env": nasty}),
        FieldsConfig(add={"env": 2**70, "live": True, "share": 0.5}),
        FieldsConfig(drop=["no.such_field"]),
        FieldsConfig(rename={"no.such_field": "another"}),
        FieldsConfig(rename={"": ""}, drop=["", "\n"], add={"\x00 =|]": "x", "a..b": "y"}),
    ):
        try:
            changed = build_format(format_name, fields=changes)
        except ConfigError:
            continue  # with a reason that names a field; what suits all formats cannot be said here
        bodies = _each(changed, [record_of(event) for event in (full_event(), bare_event(), *mixed_events(20))])
        added += any(isinstance(body, bytes) and b"prod" in body for body in bodies)
    assert added, "no field could be added"
