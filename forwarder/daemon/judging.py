"""The settings of a daemon: read and judged in one process, and handed to another that has nothing to judge with.

What is handed over are the objects themselves, pickled: their values, and the names of their classes. It goes through
a pipe or an anonymous file between processes of ours, for secrets are among it; so what is read here is what we wrote.
"""

# ruff: noqa: PLC0415 -- what judges is imported where something is judged

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from forwarder import __version__
from forwarder.contracts.declared import ARRIVE_JUDGED
from forwarder.contracts.errors import ConfigError, ForwarderError, Retryable
from forwarder.registry import SINKS, SOURCES

if TYPE_CHECKING:
    from forwarder.config.origin import Origin
    from forwarder.config.settings import Settings

PATIENCE = 120.0
"""Seconds for which a process that judges is waited for; it takes one."""

_BEGIN = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer);"
    "from forwarder.daemon.judging import answer; answer()"
)


def judged(origin: Origin) -> Settings:
    """Read the settings, and see that they can work. Raises SettingsError with everything that is wrong."""
    import asyncio

    from forwarder.config.problems import SettingsError
    from forwarder.config.settings import load
    from forwarder.preflight import certain_to_fail
    from forwarder.preflight.targets import shared_targets

    settings = load(*origin)
    problems = [*certain_to_fail(settings), *asyncio.run(shared_targets(settings))[0]]
    if problems:
        raise SettingsError(settings.located(problems))
    return settings


def read_again(settings: Settings, *, judge: bool = True) -> Settings:
    """Read the settings again from where they were read, in another process where this one cannot judge.

    Args:
        settings: Those of before; without an origin they stay.
        judge: See that they can work, too.

    Raises SettingsError with everything that is wrong, and Retryable when no process can be had.
    """
    if settings.origin is None:
        return settings
    if not ARRIVE_JUDGED:
        from forwarder.config.settings import load

        return judged(settings.origin) if judge else load(*settings.origin)
    found = _asked(settings.origin, judge=judge)
    if isinstance(found, tuple):
        kind, words, more = found
        error = kind.__new__(kind, *words)
        error.__dict__.update(more)
        raise error
    again: Settings = found
    return again


def strangers(settings: Settings) -> list[str]:
    """Return the types in use of other packages, whose models may need all of pydantic."""
    types = [(SOURCES, each.type) for each in settings.sources.values()]
    types += [(SINKS, each.type) for each in settings.sinks.values()]
    return sorted({name for registry, name in types if not registry.is_ours(name)})


def packed(settings: Settings) -> bytes:
    """Return settings as `pickle` reads them in a process that has nothing to judge with."""
    from forwarder.config.origin import Places

    handed = settings.model_copy()
    paths = {path[:end] for path in settings.made for end in range(1, len(path) + 1)}
    handed._where = Places({path: settings.where(path) for path in paths})  # noqa: SLF001 -- as `load` does
    return pickle.dumps(handed)


def _asked(origin: Origin, *, judge: bool) -> Any:
    """Return what a process of its own found: settings, or the error."""
    command = [sys.executable, *flags(), "-P", "-c", _BEGIN]
    question = pickle.dumps(list(sys.path)) + pickle.dumps((__version__, origin, judge))
    try:
        done = subprocess.run(command, input=question, capture_output=True, timeout=PATIENCE, check=False)  # noqa: S603 -- ourselves
    except (OSError, subprocess.TimeoutExpired) as error:
        why = f"no process can be had to read it: {type(error).__name__}"
    else:
        if not done.returncode:
            return _unpacked(done.stdout)
        fault = done.stderr.decode(errors="replace").rpartition("\n")[0].rpartition("\n")[2].partition(":")[0]
        why = f"the process that reads it ended with {done.returncode} ({fault or 'no word'})"
    raise Retryable(f"The configuration was not read: {why}.", fix="Look whether memory is short; then try again.")


def _unpacked(found: bytes) -> Any:
    """Return what a process that judges has written. Raises ConfigError where that was of other code than this."""
    try:
        return pickle.loads(found)  # noqa: S301 -- our own process wrote it
    except Exception as error:
        raise ConfigError(
            "the package was changed while the daemon runs, and its settings are others; restart the daemon"
        ) from error


def answer() -> None:
    """Read the question of `read_again` on standard input, and write what was found to standard output."""
    running, origin, judge = pickle.load(sys.stdin.buffer)  # noqa: S301 -- our own daemon wrote it
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)  # what a plugin prints is no part of the answer
        try:
            from forwarder.config.settings import load

            if running != __version__:
                raise ConfigError(f"{running} runs, and {__version__} is installed by now; restart the daemon")
            settings = judged(origin) if judge else load(*origin)
            if others := strangers(settings):
                raise ConfigError(
                    f"{', '.join(others)} of another package begins with a restart only; restart the daemon"
                )
            found = packed(settings)
        except ForwarderError as error:
            found = pickle.dumps((type(error), error.args, error.__dict__))
        out.write(found)


def flags() -> list[str]:
    """Return the options of this interpreter, for another of the same kind."""
    return subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001 -- as multiprocessing does
