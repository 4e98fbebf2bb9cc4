"""`check`: says whether the configuration would work, and what it would do. Reads files, and does nothing else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from forwarder.commands.terminal import say, show_rows
from forwarder.config.filter_rules import may_pass
from forwarder.config.permissions import unusable_spool
from forwarder.config.preflight import certain_to_fail, worth_a_look
from forwarder.config.problems import Problem, SettingsError
from forwarder.config.targets import same_targets
from forwarder.config.units import duration_text, size_text
from forwarder.contracts import SinkContext, SourceContext, SystemClock
from forwarder.errors import ConfigError, ForwarderError
from forwarder.exit_codes import ExitCode
from forwarder.registry import SINKS, SOURCES, build_format
from forwarder.retry import RequestBudget
from forwarder.text import visible

if TYPE_CHECKING:
    from forwarder.commands.invocation import Invocation
    from forwarder.contracts import Sink, Source
    from forwarder.fields import SinkConfig, SourceConfig
    from forwarder.settings import Settings

PROOF = {
    "delivered": "delivered: an accepted event is there, by the destination's own answer",
    "received": "received: taken in, not known to be durable",
    "none": "none: nothing answers, so loss cannot be seen",
}


def check(invocation: Invocation) -> ExitCode:
    """Validate everything that can be validated without writing or connecting. Raises SettingsError."""
    settings = invocation.settings()
    problems = [*certain_to_fail(settings), *unusable_spool(settings)]
    looks = worth_a_look(settings)
    if problems:
        raise SettingsError(problems)
    sources: dict[str, Source] = {}
    sinks: dict[str, Sink] = {}
    for name, source in settings.sources.items():
        try:
            sources[name] = build_source(name, source)
        except ConfigError as error:
            problems.append(Problem(f"sources.{name}", str(error)))
    for name, sink in settings.sinks.items():
        try:
            build_format(
                sink.format or SINKS.load(sink.type).default_format, original=sink.original, fields=sink.fields
            )
            sinks[name] = build_sink(name, sink)
        except ConfigError as error:
            problems.append(Problem(f"sinks.{name}", str(error)))
    for problem, may_be_meant in same_targets(sinks, settings.sinks):
        (looks if may_be_meant else problems).append(problem)
    try:
        if not problems:
            _explain(settings, sources, sinks)
            _show_looks(looks)
    finally:
        asyncio.run(_close([*sources.values(), *sinks.values()]))
    if problems:
        raise SettingsError(problems)
    return ExitCode.OK


def build_source(name: str, config: SourceConfig) -> Source:
    """Build a source as the daemon would. Raises ConfigError, also for a plugin whose constructor fails."""
    clock = SystemClock()
    built: Source = _built(SOURCES.load(config.type), config, SourceContext(name, clock, RequestBudget(clock)))
    return built


def build_sink(name: str, config: SinkConfig) -> Sink:
    """Build a sink as the daemon would. Raises ConfigError, also for a plugin whose constructor fails."""
    built: Sink = _built(SINKS.load(config.type), config, SinkContext(name, config.window, SystemClock()))
    return built


def _built(kind: Any, config: Any, context: Any) -> Any:
    try:
        return kind(config, context)
    except ForwarderError as error:
        raise ConfigError(str(error)) from error
    except Exception as error:  # a stranger's constructor may raise anything; its words may hold a secret
        raise ConfigError(f"cannot be built: {type(error).__name__}; look at its settings") from error


async def _close(components: list[Any]) -> None:
    for component in components:
        await component.close()


def _explain(settings: Settings, sources: dict[str, Source], sinks: dict[str, Sink]) -> None:
    say(f"{settings.file or 'the environment'} is good; digest {settings.digest()}")
    say()
    spool = settings.spool
    show_rows(
        [
            ["spool", str(spool.path.absolute()), f"up to {size_text(spool.max_bytes)}"],
            ["", "", f"events stay {duration_text(spool.retain)} after every sink has them"],
            ["admin", settings.admin.listen, _status_access(settings)],
        ]
    )
    say()
    show_rows(
        (
            [name, config.type, sources[name].origin.identity, _target_of(config), _sinks_of(name, settings)]
            for name, config in settings.sources.items()
        ),
        head=["source", "type", "follows", "asks", "for the sinks"],
    )
    say()
    show_rows(
        (
            [
                name,
                config.type,
                sinks[name].target,
                config.format or sinks[name].default_format,
                config.on_full,
                PROOF.get(sinks[name].proof, sinks[name].proof),
            ]
            for name, config in settings.sinks.items()
        ),
        head=["sink", "type", "target", "format", "spool full", "proof"],
    )


def _show_looks(looks: list[Problem]) -> None:
    if looks:
        say()
        say("Worth a look:")
        for problem in looks:
            say(f"  {visible(str(problem))}")


def _status_access(settings: Settings) -> str:
    host, _ = settings.admin.address
    if settings.admin.token is not None:
        return "status with the token"
    return "status on loopback only" if host in {"127.0.0.1", "::1", "localhost"} else "no status: set admin.token"


def _target_of(config: Any) -> str:
    """Return the address a source asks, if its settings have one."""
    return str(getattr(config, "base_url", getattr(config, "url", "")))


def _sinks_of(source: str, settings: Settings) -> str:
    """Name the sinks whose filters may let events of a source through."""
    shown = []
    for name, config in settings.sinks.items():
        if not may_pass(source, config):
            continue
        shown.append(f"{name} (filtered)" if config.include is not None or config.exclude else name)
    return ", ".join(shown) or "none: filters let nothing through"
