"""The daemon, with its log set up and every secret known to the redactor before the first line is written."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import select
import sys
from typing import TYPE_CHECKING

from forwarder.cli import output
from forwarder.config.references import secrets_of
from forwarder.contracts import SystemClock
from forwarder.daemon.daemon import run_daemon
from forwarder.daemon.memory import give_large_blocks_back
from forwarder.daemon.service_manager import ServiceManager
from forwarder.exit_codes import ExitCode
from forwarder.observe.log_writer import PATIENCE
from forwarder.observe.logs import LogSetup
from forwarder.observe.redaction import Redactor

if TYPE_CHECKING:
    from typing import BinaryIO

    from forwarder.config.settings import Settings

NEW_OBJECTS = 700
"""After so many the collector looks for garbage; a start does without (`forwarder.__main__`)."""


def main(handed: BinaryIO) -> None:
    """Run the daemon in a process that does nothing else, with settings as `judging.packed` writes them, and end it."""
    try:
        with handed:
            settings = pickle.load(handed)  # noqa: S301 -- the process that this one was wrote it
        code = serve(settings)
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 -- the end of the process: it is said, and the code tells
        from forwarder.cli.failing import failed  # noqa: PLC0415 -- seldom

        code = failed(error)
    sys.exit(output.finished(code))


def serve(settings: Settings) -> ExitCode:
    """Run until SIGTERM or SIGINT. Raises ConfigError or SpoolError at the start, and nothing later."""
    manager = ServiceManager.from_environment(os.environ, SystemClock())
    give_large_blocks_back()
    gc.freeze()  # what the start made stays, and need not be looked at again
    gc.set_threshold(NEW_OBJECTS)
    secrets = list(secrets_of(settings))
    redactor = Redactor(lambda: secrets)
    log = LogSetup(redactor, format=settings.log.format, level=settings.log.level)

    def on_settings(new: Settings) -> None:
        secrets.extend(secret for secret in secrets_of(new) if secret not in secrets)  # those of before stay hidden
        log.set_level(new.log.level)

    try:
        asyncio.run(
            run_daemon(
                settings,
                redactor=redactor,
                on_settings=on_settings,
                log_lines_left_out=lambda: log.lines_left_out,
                manager=manager,
            )
        )
    finally:
        if not (log.close() and _is_read(sys.stderr.fileno())):
            _let_go_of_standard_error()
    return ExitCode.OK


def _is_read(descriptor: int) -> bool:
    return bool(select.select([], [descriptor], [], PATIENCE)[1])


def _let_go_of_standard_error() -> None:
    """Keep the last words from waiting for a reader that stands still."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stderr.fileno())
    os.close(nowhere)
