"""`run`: the settings are judged, then the daemon begins with them in a process that has nothing else in memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from forwarder.cli.handover import begin_anew
from forwarder.config.origin import Origin
from forwarder.daemon.judging import judged

if TYPE_CHECKING:
    from forwarder.cli.invocation import Invocation
    from forwarder.exit_codes import ExitCode


def run(invocation: Invocation) -> ExitCode:
    """Run until SIGTERM or SIGINT. Raises ConfigError or SpoolError at the start, and nothing later."""
    settings = judged(Origin(invocation.config, os.environ, invocation.secrets_dir, invocation.overrides))
    begin_anew(settings)
    from forwarder.cli.serving import serve  # noqa: PLC0415 -- only where this process goes on

    return serve(settings)
