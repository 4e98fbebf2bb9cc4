"""Settings in, parts out: sources, sinks, formats, record makers and the spool, built one way for every command.

Invariant: nothing outside the process is touched while a part is built; `open`, `send` and `fetch` come later.
What only a process that delivers builds is imported when it is built: `check` has no use for it.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from forwarder.contracts import FormatTraits, SinkContext, SinkTraits, SourceContext
from forwarder.contracts.clock import SystemClock
from forwarder.contracts.errors import ConfigError, ForwarderError
from forwarder.contracts.settings import FilterRule
from forwarder.net.retry import RequestBudget
from forwarder.records.filters import Chosen, Filter
from forwarder.records.places import Places
from forwarder.records.privacy import PrivateRecords, Pseudonyms, Redaction, Sight, build_privacy, sight_of
from forwarder.registry import FORMATS, SINKS, SOURCES, build_format
from forwarder.spool.sqlite.claim import examine_lock
from forwarder.spool.sqlite.files import judge, refuse_link
from forwarder.spool.sqlite.glimpse import glimpse

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping
    from pathlib import Path

    from forwarder.config.settings import Settings
    from forwarder.contracts import Budget, Clock, Finding, Format, Page, Sink, Source
    from forwarder.contracts.settings import SinkConfig, SourceConfig
    from forwarder.records.filters import Chooses
    from forwarder.records.maker import Bodies, RecordMaker
    from forwarder.records.normalizers import Normalizers
    from forwarder.records.places import Unrouted
    from forwarder.spool.config import SpoolConfig
    from forwarder.spool.contract import Spool, SpoolStatus
    from forwarder.spool.known import KnownSpool


def build_source(name: str, config: SourceConfig, clock: Clock | None = None, budget: Budget | None = None) -> Source:
    """Build a source. Raises ConfigError, also for a plugin whose constructor fails.

    Args:
        name: As configured.
        config: Its settings.
        clock: Time; the machine's when left out.
        budget: Requests it may share with others; one of its own when left out.
    """
    clock = clock or SystemClock()
    context = SourceContext(name, clock, budget or RequestBudget(clock))
    built: Source = _built(SOURCES.load(config.type), config, context)
    return built


def build_sink(name: str, config: SinkConfig, clock: Clock | None = None) -> Sink:
    """Build a sink. Raises ConfigError, also for a plugin whose constructor fails."""
    traits = FormatTraits.of(FORMATS.load(format_name(config)))
    built: Sink = _built(
        SINKS.load(config.type), config, SinkContext(name, config.window, clock or SystemClock(), traits)
    )
    return built


def format_name(config: SinkConfig) -> str:
    """Return the format of a sink: the configured one, or what its type writes by default."""
    name: str = config.format or SINKS.load(config.type).default_format
    return name


def build_format_of(config: SinkConfig) -> Format:
    """Build the format of a sink, with the changes its settings ask for. Raises ConfigError."""
    return build_format(format_name(config), original=config.original, fields=config.fields)


def look_of(config: SinkConfig) -> Hashable:
    """Return what decides the bytes that are rendered of an event: equal for sinks that can share them, else None.

    A sink with a privacy shares nothing. A format without meaning gives the event as it is, and costs nothing.
    """
    name = format_name(config)
    if config.privacy.active or not FormatTraits.of(FORMATS.load(name)).needs_event:
        return None
    return name, config.original, config.fields.model_dump_json()


def build_filters(settings: Settings) -> dict[str, Filter]:
    """Build the filters of all sinks, by their names."""
    places = Places(settings.places)
    return {name: Filter(sink.include, sink.exclude, places) for name, sink in settings.sinks.items()}


def build_chosen(settings: Settings, chosen: Filter, rules: str, since_ms: int, until_ms: int) -> Chosen:
    """Build what a replay sends.

    Args:
        settings: Say where sites lie.
        chosen: The filter of its sink.
        rules: Of what it chooses, as JSON; none chooses every event.
        since_ms: When the events happened, from then on.
        until_ms: Up to then, included.
    """
    include = [FilterRule(**rule) for rule in json.loads(rules)]
    return Chosen(chosen, Filter(include or None, None, Places(settings.places)), since_ms, until_ms)


def build_maker(
    name: str,
    config: SinkConfig,
    sink: Sink,
    chosen: Chooses,
    normalizers: Normalizers,
    unknown: Counter[str],
    unrouted: Unrouted | None = None,
    linked: Counter[str] | None = None,
    late: Counter[str] | None = None,
    bodies: Bodies | None = None,
) -> RecordMaker:
    """Build what makes the records of one sink. Raises ConfigError.

    Args:
        name: Of the sink.
        config: The settings of the sink.
        sink: Built from them.
        chosen: Its filter.
        normalizers: Give the normaliser of a feed.
        unknown: Counter of unknown actions.
        unrouted: Counts what no sink is there for.
        linked: Counts events that are one change with one of another source.
        late: Counts events that did not come as they happened, by kind, and those held back.
        bodies: What lanes of the same look have rendered; None where there are none.
    """
    from forwarder.records.lateness import Lateness
    from forwarder.records.links import Links
    from forwarder.records.maker import RecordMaker

    privacy = build_privacy(config.privacy)
    traits = SinkTraits.of(sink)
    return RecordMaker(
        build_format_of(config),
        chosen,
        normalizers,
        unknown,
        wants_event=traits.wants_event,
        max_body=traits.max_body,
        privacy=PrivateRecords(privacy, normalizers.anew) if privacy.active else None,
        sink=name,
        unrouted=unrouted,
        links=Links(linked if linked is not None else Counter(), config.duplicates.drop_from),
        lateness=Lateness(config.late, late if late is not None else Counter()),
        bodies=bodies,
    )


def build_pseudonyms(settings: Settings, sink: str = "") -> dict[str, Callable[[str, str], str]]:
    """Return what makes the pseudonym of a kind of text, by the setting of each key, of all or of one sink."""
    privacies = {f"sinks.{name}.privacy": each.privacy for name, each in settings.sinks.items() if sink in {"", name}}
    if not sink:
        privacies |= {f"sources.{name}.redact": each.redact for name, each in settings.readers.items()}
    keys = {
        f"{at}.{name}": key
        for at, config in privacies.items()
        for name, key in (("key", config.key), ("previous_key", config.previous_key))
    }
    return {setting: Pseudonyms(key).of for setting, key in keys.items() if key is not None}


def build_redactions(sources: Mapping[str, SourceConfig]) -> dict[str, Callable[[Page], Page]]:
    """Build what takes out of the pages of sources what may not be kept, by their names."""
    return {
        name: Redaction(SOURCES.load(config.type).feed, build_privacy(config.redact))
        for name, config in sources.items()
        if config.redact.active
    }


def privacies_in_words(settings: Settings) -> tuple[dict[str, Sight], dict[str, Sight]]:
    """Return what a reader of each sink sees, and what is kept of each source that redacts."""
    return (
        {name: sight_of(sink.privacy) for name, sink in settings.sinks.items()},
        {name: sight_of(source.redact) for name, source in settings.sources.items() if source.redact.active},
    )


def build_spool(
    config: SpoolConfig, clock: Clock, redactions: Mapping[str, Callable[[Page], Page]] | None = None
) -> Spool:
    """Build the spool; it is opened by its own `open`."""
    from forwarder.spool.sqlite.store import SqliteSpool

    return SqliteSpool(config, clock, redactions)


def examine_spool(config: SpoolConfig, status: SpoolStatus | None) -> list[Finding]:
    """Look at the place of the spool, for `doctor`: room, rights, speed."""
    from forwarder.spool.sqlite import probe

    return probe.examine(config, status)


def judge_spool_path(named: Path) -> None:
    """Raise SpoolError when something else lies where the spool or its companions belong; nothing is changed."""
    path = named.expanduser().resolve()
    if judge(path):
        refuse_link(path, named)
    examine_lock(path)


def look_into_spool(path: Path) -> KnownSpool | None:
    """Return what a spool knows of sinks and sources, without disturbing it; None when there is none.

    Raises SpoolError when it cannot be read.
    """
    return glimpse(path.expanduser().resolve())


def targets_and_identities(settings: Settings) -> tuple[dict[str, str], dict[str, str]]:
    """Return the target of each sink and the identity of each source; those that cannot be built say so elsewhere."""
    made: list[Any] = []
    targets: dict[str, str] = {}
    identities: dict[str, str] = {}
    for name, sink in settings.sinks.items():
        with suppress(ConfigError):
            made.append(built := build_sink(name, sink))
            targets[name] = built.target
    for name, source in settings.readers.items():
        with suppress(ConfigError):
            made.append(followed := build_source(name, source))
            identities[name] = followed.origin.identity
    asyncio.run(close_all(made))
    return targets, identities


async def close_all(components: list[Any]) -> None:
    """Close what was built only to be looked at."""
    for component in components:
        with suppress(Exception):  # a stranger's component may raise anything, and it is not needed any more
            await component.close()


def _built(kind: Any, config: Any, context: Any) -> Any:
    try:
        return kind(config, context)
    except ForwarderError as error:
        raise ConfigError(str(error), setting=getattr(error, "setting", "")) from error
    except Exception as error:  # a stranger's constructor may raise anything; its words may hold a secret
        raise ConfigError(f"cannot be built: {type(error).__name__}; look at its settings") from error
