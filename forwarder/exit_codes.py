"""Every exit code, in one table; the reference and each command's help are made from it."""

from __future__ import annotations

from enum import IntEnum

from forwarder.contracts.errors import ConfigError, ForwarderError, Held, Retryable


class ExitCode(IntEnum):
    """What a command tells the shell. Numbers never change their meaning."""

    OK = 0
    UNEXPECTED = 1
    CONFIGURATION = 2
    SPOOL = 3
    DEGRADED = 4
    UNREACHABLE = 5
    INTERRUPTED = 130
    CUT_OFF = 141

    @property
    def meaning(self) -> str:
        """Return what it means, in one sentence."""
        return _MEANINGS[self][0]

    @property
    def advice(self) -> str:
        """Return what to do about it."""
        return _MEANINGS[self][1]


_MEANINGS = {
    ExitCode.OK: ("All is well; `run` was asked to stop and stopped in order.", "Nothing."),
    ExitCode.UNEXPECTED: (
        "An unforeseen fault, or events missing (`demo`, `reconcile`), lines left out (`import`), an archive changed.",
        "Read the last lines of standard error.",
    ),
    ExitCode.CONFIGURATION: (
        "The command line or the configuration cannot work; or a name means several (`investigate`).",
        "Fix what the message names; `check` shows everything at once. A restart alone does not help.",
    ),
    ExitCode.SPOOL: (
        "The spool cannot be opened or used: damaged, foreign, newer, read-only, held by another process, taken away.",
        "Do what the message and the last lines of the log say; nothing was overwritten.",
    ),
    ExitCode.DEGRADED: (
        "Something does not work, is not finished or has gaps, as `status`, `doctor`, `setup` or `investigate` say.",
        "Read what the output says of the part; events are kept meanwhile.",
    ),
    ExitCode.UNREACHABLE: (
        "The daemon does not answer, or broke off; `status` shows the spool instead when it can.",
        "Start it with `run`, or compare `admin.listen` on both sides.",
    ),
    ExitCode.INTERRUPTED: ("Ended by Ctrl-C.", "Nothing; a daemon ends with 0 on SIGTERM and on Ctrl-C."),
    ExitCode.CUT_OFF: (
        "Whoever read the output closed it before the command was done, as `head` does.",
        "Nothing, unless the rest was wanted: a command that had done its work keeps its own code.",
    ),
}


def code_for(error: ForwarderError) -> ExitCode:
    """Return the exit code of an error that a command did not handle itself."""
    if isinstance(code := getattr(error, "code", None), ExitCode):  # the daemon said it
        return code
    if isinstance(error, ConfigError):
        return ExitCode.CONFIGURATION
    if any(kind.__name__ == "SpoolError" for kind in type(error).__mro__):  # by name: the spool is slow to import
        return ExitCode.SPOOL
    return ExitCode.DEGRADED if isinstance(error, Held | Retryable) else ExitCode.UNEXPECTED
