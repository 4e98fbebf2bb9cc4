"""`simulate`: an Atlassian that is not one, for trying things out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from forwarder.config.problems import Problem, SettingsError
from forwarder.exit_codes import ExitCode
from forwarder.registry import nearest
from simulator.command import build_config
from simulator.command import simulate as serve
from simulator.config import Switches

if TYPE_CHECKING:
    from collections.abc import Iterator


def simulate(**options: Any) -> ExitCode:
    """Serve until SIGINT or SIGTERM. Raises SettingsError for options that mean nothing."""
    try:
        config = build_config(**options)
    except ValidationError as error:
        raise SettingsError(_problems(error)) from None
    except (OSError, ValueError) as error:
        raise SettingsError([Problem("simulate", " ".join(str(error).split()))]) from None
    serve(config)
    return ExitCode.OK


def _problems(error: ValidationError) -> Iterator[Problem]:
    for details in error.errors(include_url=False, include_input=False):
        path = ".".join(map(str, details["loc"]))
        if details["type"] == "extra_forbidden":
            guess = nearest(path, Switches.model_fields)
            fix = f"did you mean {guess}?" if guess else f"known switches: {', '.join(Switches.model_fields)}"
            yield Problem(f"--switch {path}", "unknown switch", fix)
        else:
            yield Problem(path, details["msg"].removeprefix("Value error, "))
