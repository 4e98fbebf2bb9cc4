"""`check`: says whether the configuration would work, and what it would do. Reads files, and does nothing else."""

from __future__ import annotations

import asyncio
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from forwarder.commands.terminal import say, show_rows
from forwarder.config.problems import Problem, SettingsError
from forwarder.config.references import unreadable_files
from forwarder.config.units import duration_text, size_text
from forwarder.contracts import SinkContext, SystemClock
from forwarder.errors import ConfigError
from forwarder.exit_codes import ExitCode
from forwarder.registry import FORMATS, SINKS

if TYPE_CHECKING:
    from forwarder.commands.invocation import Invocation
    from forwarder.contracts import Sink
    from forwarder.fields import FilterRule, SinkConfig
    from forwarder.settings import Settings

PROOF = {
    "delivered": "delivered: an accepted event is durable there",
    "received": "received: taken in, not known to be durable",
    "none": "none: nothing answers, so loss cannot be seen",
}


def check(invocation: Invocation) -> ExitCode:
    """Validate everything that can be validated without writing or connecting. Raises SettingsError."""
    settings = invocation.settings()
    problems = unreadable_files(settings)
    sinks: dict[str, Sink] = {}
    for name, config in settings.sinks.items():
        try:
            FORMATS.load(config.format or SINKS.load(config.type).default_format)
            sinks[name] = build_sink(name, config)
        except ConfigError as error:
            problems.append(Problem(f"sinks.{name}", str(error)))
    if problems:
        raise SettingsError(problems)
    try:
        _explain(settings, sinks)
    finally:
        asyncio.run(_close(sinks))
    return ExitCode.OK


def build_sink(name: str, config: SinkConfig) -> Sink:
    """Build a sink as the daemon would. Raises ConfigError, also for a plugin whose constructor fails."""
    kind = SINKS.load(config.type)
    try:
        built: Sink = kind(config, SinkContext(name=name, slots=config.window, clock=SystemClock()))
    except ConfigError:
        raise
    except Exception as error:  # a stranger's constructor may raise anything; its words may hold a secret
        raise ConfigError(f"the sink cannot be built: {type(error).__name__}; see its settings") from error
    return built


async def _close(sinks: dict[str, Sink]) -> None:
    for sink in sinks.values():
        await sink.close()


def _explain(settings: Settings, sinks: dict[str, Sink]) -> None:
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
            [name, config.type, _target_of(config), _sinks_of(name, settings)]
            for name, config in settings.sources.items()
        ),
        head=["source", "type", "asks", "for the sinks"],
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
        if not _may_pass(source, config):
            continue
        shown.append(f"{name} (filtered)" if config.include is not None or config.exclude else name)
    return ", ".join(shown) or "none: filters let nothing through"


def _may_pass(source: str, config: SinkConfig) -> bool:
    """Return False when the rules on sources alone keep everything of this one out."""
    if config.include is not None and not any(_names(rule, source) for rule in config.include):
        return False
    by_source_alone = [rule for rule in config.exclude or [] if rule.model_dump(exclude_none=True).keys() == {"source"}]
    return not any(_names(rule, source) for rule in by_source_alone)


def _names(rule: FilterRule, source: str) -> bool:
    globs = [rule.source] if isinstance(rule.source, str) else rule.source
    return globs is None or any(fnmatchcase(source, glob.lower()) for glob in globs)
