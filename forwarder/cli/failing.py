"""How a command fails: why, in words on standard error, and an exit code of the table."""

from __future__ import annotations

import sys
import traceback

from forwarder.cli import output
from forwarder.cli.terminal import print_error
from forwarder.contracts.errors import ForwarderError
from forwarder.exit_codes import ExitCode, code_for


def failed(error: Exception) -> ExitCode:
    """Say why, and return the exit code."""
    if isinstance(error, ForwarderError):
        print_error(str(error))
        return code_for(error)
    if isinstance(error, BrokenPipeError) and output.was_cut_off():
        return ExitCode.CUT_OFF
    _show_fault(error)
    return ExitCode.UNEXPECTED


def _show_fault(error: Exception) -> None:
    """Show where an unforeseen error arose; not its words, for these may quote the configuration."""
    lines = traceback.format_tb(error.__traceback__)
    sys.stderr.write("".join(lines))
    print_error(f"{type(error).__name__}: a fault in audit-forwarder; please report the lines above")
