"""`try`: what each sink would get of one event, or why nothing. Nothing is sent, and no spool is looked at."""

from __future__ import annotations

import asyncio
import base64
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from forwarder.assembly import (
    build_filters,
    build_maker,
    build_redactions,
    build_sink,
    build_source,
    close_all,
    format_name,
)
from forwarder.cli.event_file import read_event
from forwarder.cli.terminal import print_json, print_line, print_text
from forwarder.config.problems import SettingsError, not_built
from forwarder.contracts import Page, Receives, TakesBack
from forwarder.contracts.errors import ConfigError, Held
from forwarder.contracts.identity import EventKeys, content_digests
from forwarder.contracts.text import visible
from forwarder.daemon.action_lists import learned_catalogue
from forwarder.exit_codes import ExitCode
from forwarder.records.normalizers import Normalizers
from forwarder.records.trial import Outcome, outcome_of
from forwarder.spool.contract import Chunk

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from forwarder.cli.invocation import Invocation
    from forwarder.config.settings import Settings
    from forwarder.contracts import Normalizer, Source


def try_event(invocation: Invocation, event: Path, source: str, sinks: Collection[str], *, as_json: bool) -> ExitCode:
    """Show what would become of an event. Returns DEGRADED when a sink could not be sent it. Raises ConfigError."""
    settings = invocation.settings()
    if unknown := [name for name in sinks if name not in settings.sinks]:
        raise ConfigError(f"sinks.{unknown[0]}: not configured; the sinks are: {', '.join(settings.sinks)}")
    found = read_event(event)
    sources = {name: build_source(name, config) for name, config in settings.readers.items()}
    try:
        name = _source_of(found.body, sources, source)
        chunk = _chunk(settings, name, sources[name], found.body)
        meaning = Normalizers(learned_catalogue(settings))
        chosen = [sink for sink in settings.sinks if not sinks or sink in sinks]
        outcomes = {sink: _outcome(settings, sink, chunk, meaning) for sink in chosen}
    finally:
        asyncio.run(close_all(list(sources.values())))
    if as_json:
        print_json({"source": name, "sinks": [_as_dict(settings, sink, one) for sink, one in outcomes.items()]})
    else:
        _show(settings, name, found.others, outcomes)
    would_fail = any(one.what in {"dead_letter", "held"} for one in outcomes.values())
    return ExitCode.DEGRADED if would_fail else ExitCode.OK


def _source_of(body: bytes, sources: Mapping[str, Source], named: str) -> str:
    """Return whose event it is: of the source that was named, of the only one, or of the only one that knows it."""
    if named:
        if named not in sources:
            raise ConfigError(f"sources.{named}: not configured; the sources are: {', '.join(sources)}")
        return named
    if len(sources) == 1:
        return next(iter(sources))
    fitting = [name for name, source in sources.items() if not _why_foreign(source, body)]
    if len(fitting) == 1:
        return fitting[0]
    what = f"it may be of {', '.join(fitting)}" if fitting else "it is like the events of none"
    raise ConfigError(f"--source: missing; {what}; name one of: {', '.join(fitting or sources)}")


def _why_foreign(source: Source, body: bytes) -> str:
    if not isinstance(source, TakesBack):
        return "nothing tells"
    try:
        return source.why_foreign(body)
    except ConfigError as error:
        return str(error)


def _chunk(settings: Settings, name: str, source: Source, body: bytes) -> Chunk:
    """Return the event as its lane takes it from the spool, had it been read just now."""
    page = _page(source, body)
    redact = build_redactions({name: settings.readers[name]}).get(name)
    try:
        page = redact(page) if redact is not None else page
    except Held as error:
        raise ConfigError(f"sources.{name}.redact: {error}") from None
    return Chunk(
        source=1,
        origin=source.origin,
        first=1,
        bodies=list(page.bodies[:1]),
        keys=page.keys[0],
        read_ms=int(time.time() * 1000),
        derived=page.derived & {0},
        reader="tail",
    )


def _page(source: Source, body: bytes) -> Page:
    """Return a page with the event under the id that the source gives it, or one that is made of its content."""
    pages: list[Page] = []
    if isinstance(source, TakesBack) and not _why_foreign(source, body):
        pages = source.pages_of([body])
    elif isinstance(source, Receives) and source.webhook is not None:
        pages = [source.receive(body).page]
    for page in pages:
        if len(page.bodies):
            return page
    keys = EventKeys(source.feed, source.origin.scope)
    return Page([body], [keys.derived(body)], content_digests([body]), [""], {}, derived=frozenset({0}))


def _outcome(settings: Settings, name: str, chunk: Chunk, normalizers: Normalizers) -> Outcome:
    config = settings.sinks[name]
    chosen = build_filters(settings)[name]
    try:
        sink = build_sink(name, config)
    except ConfigError as error:
        raise SettingsError(settings.located([not_built(f"sinks.{name}", error)])) from error
    try:
        maker = build_maker(name, config, sink, chosen, normalizers, Counter())
        return outcome_of(chunk, maker, chosen, _normalizer(normalizers, chunk.origin.feed))
    finally:
        asyncio.run(close_all([sink]))


def _normalizer(normalizers: Normalizers, feed: str) -> Normalizer | None:
    try:
        return normalizers(feed)
    except Held:
        return None


def _show(settings: Settings, source: str, others: int, outcomes: Mapping[str, Outcome]) -> None:
    more = f"; the first of {others + 1} in the file" if others else ""
    print_text(f"an event of source {visible(source)}, as if it were read now{more}; nothing is sent")
    for name, outcome in outcomes.items():
        config = settings.sinks[name]
        print_line()
        print_text(f"sink {name} ({config.type}, format {format_name(config)}): {_in_words(outcome)}")
        if outcome.what == "sent":
            print_line(f"  document id: {outcome.document_id}")
            if outcome.marks:
                print_text(f"marks: {', '.join(outcome.marks)}", indent=2)
            print_line(visible(_text(outcome.body)))
        elif outcome.detail:
            print_text(visible(outcome.detail), indent=2)


def _in_words(outcome: Outcome) -> str:
    if outcome.what == "sent":
        return f"gets {len(outcome.body)} bytes"
    what = {"filtered": "gets nothing", "dead_letter": "gets nothing, it is a dead letter", "held": "would wait"}
    return f"{what[outcome.what]}: {visible(outcome.reason)}"


def _text(body: bytes) -> str:
    return body.decode("utf-8", "backslashreplace")


def _as_dict(settings: Settings, name: str, outcome: Outcome) -> dict[str, Any]:
    config = settings.sinks[name]
    shown: dict[str, Any] = {"sink": name, "type": config.type, "format": format_name(config), "outcome": outcome.what}
    shown |= {"document_id": outcome.document_id, "marks": list(outcome.marks)}
    if outcome.what != "sent":
        return {**shown, "reason": outcome.reason, "detail": outcome.detail or None}
    shown["bytes"] = len(outcome.body)
    try:
        return {**shown, "body": outcome.body.decode()}
    except UnicodeDecodeError:
        return {**shown, "body": None, "body_base64": base64.b64encode(outcome.body).decode()}
