"""`setup`: puts in place what a destination needs, and shows the difference before anything is written."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from forwarder.assembly import build_sink
from forwarder.cli.terminal import print_error, print_line, print_text
from forwarder.config.problems import Problem, SettingsError
from forwarder.config.references import secrets_of, unreadable_files
from forwarder.contracts import SetsUp
from forwarder.contracts.errors import ConfigError, ForwarderError
from forwarder.contracts.text import visible
from forwarder.exit_codes import ExitCode
from forwarder.observe.colours import Style, coloured, paint
from forwarder.observe.redaction import Redactor
from forwarder.preflight.placeholders import placeholders_in
from forwarder.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forwarder.cli.invocation import Invocation
    from forwarder.contracts import SetupStep

_MOST_NEW = 100
"""Lines of something new that are shown without being asked for."""

WORDS = {
    "missing": "missing, would be made",
    "same": "in place",
    "ours_older": "an older one of ours, would be replaced",
    "foreign": "changed by others, stays as it is",
}


def setup(invocation: Invocation, only: Sequence[str], *, yes: bool, diff: bool) -> ExitCode:
    """Compare, ask, write. Returns DEGRADED when something is left to do."""
    settings = invocation.settings()
    unknown = [name for name in only if name not in settings.sinks]
    if unknown:
        known = ", ".join(settings.sinks)
        guesses = {name: nearest(name, settings.sinks) for name in unknown}
        raise SettingsError(
            Problem("--sink", "no sink has this name", f"did you mean {guess}?" if guess else f"known sinks: {known}")
            for guess in guesses.values()
        )
    problems = [*unreadable_files(settings), *placeholders_in(settings)]
    if problems:
        raise SettingsError(settings.located(problems))
    names = only or list(settings.sinks)
    redactor = Redactor(lambda: secrets_of(settings))
    codes = [
        asyncio.run(_one(name, build_sink(name, settings.sinks[name]), redactor, yes=yes, diff=diff)) for name in names
    ]
    return max(codes)


async def _one(name: str, sink: object, redactor: Redactor, *, yes: bool, diff: bool) -> ExitCode:
    try:
        if not isinstance(sink, SetsUp):
            print_line(f"{name}: needs nothing")
            return ExitCode.OK
        return await _compare_and_apply(name, sink, redactor, yes=yes, diff=diff)
    except ConfigError:
        raise
    except ForwarderError as error:
        print_error(f"{name}: {redactor.text(str(error))}")
        return ExitCode.DEGRADED
    finally:
        await sink.close()  # type: ignore[attr-defined] # every sink has it; SetsUp alone does not say so


async def _compare_and_apply(name: str, sink: SetsUp, redactor: Redactor, *, yes: bool, diff: bool) -> ExitCode:
    steps = await sink.setup(apply=False)
    _show(name, steps, redactor, diff=diff)
    if any(step.state in {"missing", "ours_older"} for step in steps):
        if not yes and not _agreed(name):
            return ExitCode.DEGRADED
        await sink.setup(apply=True)
        steps = await sink.setup(apply=False)
        print_line(f"{name}: written; now:")
        _show(name, steps, redactor, diff=diff)
    return ExitCode.OK if all(step.state == "same" for step in steps) else ExitCode.DEGRADED


def _agreed(name: str) -> bool:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print_text(f"{name}: nothing was written; run again with --yes to write this")
        return False
    return input(f"Write this to {name}? [y/N] ").strip().lower() in {"y", "yes"}


def _show(name: str, steps: Sequence[SetupStep], redactor: Redactor, *, diff: bool) -> None:
    for step in steps:
        print_text(f"{name}: {visible(redactor.text(step.what))}: {WORDS[step.state]}")
        lines = redactor.text(step.diff).splitlines() if step.state != "same" else []
        if step.state == "missing" and len(lines) > _MOST_NEW and not diff:
            print_text(f"{len(lines)} lines, all of them new; --diff shows them", indent=4)
            continue
        for line in lines:
            print_line(f"    {_coloured(visible(line))}")


def _coloured(line: str) -> str:
    styles: dict[str, Style] = {"+": "green", "-": "red"}
    return paint(line, styles.get(line[:1], "")) if coloured(sys.stdout) else line
