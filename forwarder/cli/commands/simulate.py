"""`simulate`: an Atlassian that is not one, for trying things out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from forwarder.cli import times
from forwarder.cli.terminal import print_line
from forwarder.config.problems import Problem, SettingsError
from forwarder.exit_codes import ExitCode
from forwarder.registry import nearest
from simulator.command import build_config, write_history
from simulator.command import simulate as serve
from simulator.config import Switches

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from simulator.config import SimulatorConfig


def simulate(*, write: Path | None = None, until: str | None = None, **options: Any) -> ExitCode:
    """Serve until SIGINT or SIGTERM, or write a file. Raises SettingsError for options that mean nothing."""
    try:
        config = build_config(**options)
    except ValidationError as error:
        raise SettingsError(_problems(error)) from None
    except (OSError, ValueError) as error:
        raise SettingsError([Problem("simulate", " ".join(str(error).split()))]) from None
    if write is None and until is None:
        serve(config)
    else:
        _write(config, write, until)
    return ExitCode.OK


def _write(config: SimulatorConfig, file: Path | None, until: str | None) -> None:
    if file is None:
        raise SettingsError([Problem("--until", "is for --write", "name a file with --write, or leave --until out")])
    problems: list[Problem] = []
    now = time.time()
    ends = times.parse_options({"--until": until}, now, problems).get("--until")
    if problems:
        raise SettingsError(problems)
    try:
        lines = write_history(config, file, now if ends is None else ends / 1000)
    except FileExistsError:
        raise SettingsError([Problem("--write", f"{file} is there already", "name another file")]) from None
    except OSError as error:
        raise SettingsError([Problem("--write", f"{file}: {error.strerror}", "name another file")]) from None
    print_line(f"{file}: {lines} events")


def _problems(error: ValidationError) -> Iterator[Problem]:
    for details in error.errors(include_url=False, include_input=False):
        path = ".".join(map(str, details["loc"]))
        if details["type"] == "extra_forbidden":
            guess = nearest(path, Switches.model_fields)
            fix = f"did you mean {guess}?" if guess else f"known switches: {', '.join(Switches.model_fields)}"
            yield Problem(f"--switch {path}", "unknown switch", fix)
        else:
            yield Problem(path, details["msg"].removeprefix("Value error, "))
