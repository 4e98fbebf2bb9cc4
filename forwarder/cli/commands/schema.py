"""`schema`: the JSON schema of the configuration, with every component that is installed here."""

from __future__ import annotations

import json

from forwarder.cli.terminal import print_error, print_line
from forwarder.config.json_schema import json_schema
from forwarder.contracts.errors import ConfigError
from forwarder.exit_codes import ExitCode
from forwarder.registry import SINKS, SOURCES


def schema() -> ExitCode:
    """Print it; a broken plugin is left out and named on standard error."""
    code = ExitCode.OK
    for registry in (SOURCES, SINKS):
        for name in registry.names():
            try:
                registry.load(name)
            except ConfigError as error:
                print_error(f"left out: {error}")
                code = ExitCode.DEGRADED
    print_line(json.dumps(json_schema(), indent=2))
    return code
