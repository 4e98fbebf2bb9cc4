"""`run`: the daemon, with its log set up and every secret known to the redactor before the first line is written."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from forwarder.config.preflight import certain_to_fail
from forwarder.config.problems import SettingsError
from forwarder.config.references import secrets_of
from forwarder.daemon.daemon import run_daemon
from forwarder.exit_codes import ExitCode
from forwarder.logs import LogLevel, LogSetup
from forwarder.redaction import Redactor

if TYPE_CHECKING:
    from forwarder.commands.invocation import Invocation


def run(invocation: Invocation) -> ExitCode:
    """Run until SIGTERM or SIGINT. Raises ConfigError or SpoolError at the start, and nothing later."""
    settings = invocation.settings()
    problems = certain_to_fail(settings)
    if problems:
        raise SettingsError(problems)
    secrets = secrets_of(settings)
    redactor = Redactor(lambda: secrets)
    log = LogSetup(redactor, format=settings.log.format, level=settings.log.level)
    try:
        asyncio.run(
            run_daemon(settings, redactor=redactor, on_log_level=lambda level: log.set_level(cast("LogLevel", level)))
        )
    finally:
        log.close()
    return ExitCode.OK
