"""Begins the daemon: in a new interpreter in place of this one, which has had to judge the settings.

What judges them, the command line with its help and the models of all settings, is a fifth of what a daemon would keep
in memory and never use. So the interpreter is replaced (execve(2)): the process stays the same one for whoever started
it, with its number, descriptors, environment and blocked signals. The settings go along in an anonymous file
(memfd_create(2)), for secrets belong neither among the words of a command nor into its environment.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import forwarder
from forwarder.contracts.declared import OPTION
from forwarder.daemon.judging import flags, packed, strangers

if TYPE_CHECKING:
    from forwarder.config.settings import Settings

_PROGRAMS = {"audit-forwarder", "forwarder", "__main__.py"}
"""Names under which the interpreter is started for this program and nothing else: the command, `-m`, and the file."""

_NAME = Path("/proc/self/comm")
"""The name under which people find the process; a new interpreter has its own."""

_HEARD = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


def begin_anew(settings: Settings) -> None:
    """Go on as a new interpreter with these settings. Returns where that is not possible; then this one does it.

    So it does for sources and sinks of other packages, whose settings were promised all of pydantic.

    A signal that comes in between waits until the new one listens.
    """
    program = Path(forwarder.__file__).with_name("__main__.py")
    if strangers(settings) or not (
        _is_all_there_is() and sys.executable and hasattr(os, "memfd_create") and program.is_file()
    ):
        return
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
    file = None
    try:
        file = os.memfd_create("settings", 0)  # 0: it is there after execve
        with os.fdopen(os.dup(file), "wb") as written:
            written.write(pickle.dumps((_NAME.read_text(encoding="utf-8"), sys.path)) + packed(settings))
        os.lseek(file, 0, os.SEEK_SET)
        if getattr(signal.getsignal(signal.SIGHUP), "came", False):
            signal.pthread_kill(threading.get_ident(), signal.SIGHUP)
        options = [*flags(), "-P", "-X", "no_debug_ranges", "-X", f"{OPTION}={file}"]
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, *options, str(program), *sys.argv[1:]])  # noqa: S606 -- ourselves
    except OSError:  # a system that does not let us: the daemon takes more memory, and works as well
        return
    finally:
        if file is not None:
            os.close(file)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _is_all_there_is() -> bool:
    """Tell whether this process is the program alone, and nothing that has called it, such as a test."""
    at = len(sys.orig_argv) - len(sys.argv)
    return at >= 0 and Path(sys.orig_argv[at]).name in _PROGRAMS
