"""Which archive a command is about: that of a configured sink, or a place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from forwarder.archive.kept import KeepsArchive, KeptArchive
from forwarder.archive.stores import open_store
from forwarder.contracts.errors import ConfigError

if TYPE_CHECKING:
    from forwarder.archive.stores import Store
    from forwarder.cli.invocation import Invocation


def store_of(invocation: Invocation, place: str | None, option: str = "--archive") -> Store:
    """Return where an archive lies. As `kept_in`."""
    return kept_in(invocation, place, option).store


def kept_in(invocation: Invocation, place: str | None, option: str = "--archive") -> KeptArchive:
    """Return an archive; one that is named by its place has no keys. Raises ConfigError.

    Args:
        invocation: How the command was called; a configuration is read for a sink only.
        place: A folder, a URL, or the name of a sink; None: the only archive that is configured.
        option: Which names it, for messages.
    """
    if place and ("/" in place or Path(place).is_dir()):
        return KeptArchive(open_store(place))
    return configured(invocation, place or "", option, "a folder or URL of an archive")


def configured(invocation: Invocation, sink: str, option: str = "--sink", else_: str = "") -> KeptArchive:
    """Return the archive of a sink; of no name, the only one that is configured. Raises ConfigError.

    Args:
        invocation: How the command was called.
        sink: Name of the sink.
        option: Which names it, for messages.
        else_: What may be named besides, for messages.
    """
    from forwarder.assembly import build_sink  # noqa: PLC0415 -- a place needs no configuration, and nothing of this

    settings = invocation.settings()
    if sink and sink not in settings.sinks:
        raise ConfigError(
            f"{option} {sink}: no sink has this name{', and no folder' if else_ else ''}; known sinks: "
            f"{', '.join(settings.sinks)}"
        )
    found: dict[str, KeptArchive] = {}
    for name, config in settings.sinks.items():
        if sink in {"", name}:
            built = build_sink(name, config)
            if isinstance(built, KeepsArchive):
                found[name] = built.kept
    if not found:
        which = f"the sink {sink} is not" if sink else "no sink is"
        raise ConfigError(f"{which} of type archive; write {option} with {else_ or 'the name of one that is'}")
    if len(found) > 1:
        raise ConfigError(f"there are several archives; choose one with {option}: {', '.join(found)}")
    return next(iter(found.values()))
