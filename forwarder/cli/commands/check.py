"""`check`: says whether the configuration would work, and what it would do. Reads files, and does nothing else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from forwarder.assembly import build_format_of, build_sink, build_source, close_all, privacies_in_words
from forwarder.cli.terminal import print_line, print_text, show_rows
from forwarder.config.problems import Problem, SettingsError, not_built
from forwarder.config.references import webhooks_of
from forwarder.contracts.errors import ConfigError
from forwarder.contracts.text import visible
from forwarder.contracts.units import duration_text, size_text
from forwarder.exit_codes import ExitCode
from forwarder.preflight import certain_to_fail, unusable_here, worth_a_look
from forwarder.preflight.admin_port import taken_port
from forwarder.preflight.filter_rules import may_pass
from forwarder.preflight.old_times import late_in_words, limits_in_words, refused_times
from forwarder.preflight.receiver import taken_receiver_port
from forwarder.preflight.targets import same_targets
from forwarder.preflight.ways import unusable_proxies, unusable_tls

if TYPE_CHECKING:
    from forwarder.cli.invocation import Invocation
    from forwarder.config.settings import Settings
    from forwarder.contracts import Sink, Source

PROOF = {
    "delivered": "delivered: an accepted event is there, by the destination's own answer",
    "received": "received: taken in, not known to be durable",
    "none": "none: nothing answers, so loss cannot be seen",
}


class Examined(NamedTuple):
    """A configuration that would work: its parts, built and to be closed, and what is worth a look."""

    sources: dict[str, Source]
    sinks: dict[str, Sink]
    looks: list[Problem]


def check(invocation: Invocation) -> ExitCode:
    """Validate everything that can be validated without writing or connecting. Raises SettingsError."""
    settings = invocation.settings()
    found = examine(settings)
    try:
        _explain(settings, found.sources, found.sinks)
        _show_privacy(settings)
        _show_late(settings, found.sinks)
        _show_looks(settings.located([*found.looks, *refused_times(found.sinks, settings.sinks)]))
    finally:
        asyncio.run(close_all([*found.sources.values(), *found.sinks.values()]))
    return ExitCode.OK


def examine(settings: Settings) -> Examined:
    """Return the parts of a configuration that would work here. Raises SettingsError with everything that is wrong."""
    problems = [*certain_to_fail(settings), *unusable_here(settings), *taken_port(settings)]
    problems += [*taken_receiver_port(settings), *unusable_tls(settings), *unusable_proxies(settings)]
    looks = worth_a_look(settings)
    if problems:
        raise SettingsError(settings.located(problems))
    sources: dict[str, Source] = {}
    sinks: dict[str, Sink] = {}
    for name, source in settings.readers.items():
        try:
            sources[name] = build_source(name, source)
        except ConfigError as error:
            problems.append(not_built(f"sources.{name}", error))
    for name, sink in settings.sinks.items():
        try:
            build_format_of(sink)
            sinks[name] = build_sink(name, sink)
        except ConfigError as error:
            problems.append(not_built(f"sinks.{name}", error))
    for problem, may_be_meant in same_targets(sinks, settings.sinks):
        (looks if may_be_meant else problems).append(problem)
    if problems:
        asyncio.run(close_all([*sources.values(), *sinks.values()]))
        raise SettingsError(settings.located(problems))
    return Examined(sources, sinks, looks)


def _explain(settings: Settings, sources: dict[str, Source], sinks: dict[str, Sink]) -> None:
    print_line(f"{settings.file or 'the environment'} is good; digest {settings.digest()}")
    print_line()
    spool = settings.spool
    show_rows(
        [
            ["spool", str(spool.path.absolute()), f"up to {size_text(spool.max_bytes)}"],
            ["", "", f"events stay {duration_text(spool.retain)} after every sink has them"],
            ["admin", settings.admin.listen, _status_access(settings)],
            *_receivers(settings),
        ]
    )
    print_line()
    show_rows(
        (
            [name, config.type, sources[name].origin.identity, _target_of(config), _sinks_of(name, settings)]
            for name, config in settings.readers.items()
        ),
        head=["source", "type", "follows", "asks", "for the sinks"],
    )
    print_line()
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


def _show_privacy(settings: Settings) -> None:
    """Say what a reader of each sink sees, and what of a source is kept at all."""
    sinks, sources = privacies_in_words(settings)
    print_line()
    for what, sights in (("a reader of", sinks), ("of", sources)):
        for name, sight in sights.items():
            print_text(f"{what} {name} {'sees' if what != 'of' else 'is kept'}: {visible(sight.sees)}")
            for label, words in (("never", sight.never), ("as pseudonyms", sight.pseudonyms)):
                if words:
                    print_text(f"{label}: {words}", indent=2)
            for note in sight.notes:
                print_text(visible(note), indent=2)


def _show_late(settings: Settings, sinks: dict[str, Sink]) -> None:
    """Say what each sink does with events that did not come as they happened, and its receiver with old times."""
    print_line()
    for name, config in settings.sinks.items():
        print_text(f"late events at {name}: {late_in_words(config.late)}")
        if limit := limits_in_words(sinks[name]):
            print_text(limit, indent=2)


def _show_looks(looks: list[Problem]) -> None:
    if looks:
        print_line()
        print_line("Worth a look:")
        for problem in looks:
            print_text(visible(str(problem)), indent=2)


def _status_access(settings: Settings) -> str:
    host, _ = settings.admin.address
    if settings.admin.token is not None:
        return "status with the token"
    if host not in {"127.0.0.1", "::1", "localhost"}:
        return "no status: set admin.token"
    who = "everybody on this machine" if settings.admin.acts_without_token else "no one"
    return f"status on loopback only; {who} acts on the page"


def _receivers(settings: Settings) -> list[list[str]]:
    """Return the rows of the port that receives: what is sent to which path."""
    scheme = "https" if settings.receiver.cert_file else "http"
    return [
        ["receiver", settings.receiver.listen, f"{name} at {scheme}://…{webhook.path_of(name)}"]
        for name, webhook in webhooks_of(settings).items()
    ]


def _target_of(config: Any) -> str:
    """Return the address a source asks, if its settings have one."""
    named = (getattr(config, setting, None) for setting in ("address", "base_url", "url"))
    return str(next(filter(None, named), ""))


def _sinks_of(source: str, settings: Settings) -> str:
    """Name the sinks whose filters may let events of a source through."""
    shown = []
    for name, config in settings.sinks.items():
        if not may_pass(source, config):
            continue
        shown.append(f"{name} (filtered)" if config.include is not None or config.exclude else name)
    return ", ".join(shown) or "none: filters let nothing through"
