"""Where the program begins: what must stand before anything that takes long to import.

Two things go wrong in the first second otherwise. A signal finds no handler: it kills, or the system drops it when we
are the first process of a container. And a standard descriptor that was closed is given to the first file that is
opened, so that a stray message would be written into the spool.

Only what the interpreter itself holds is imported, and `signal`: each further module is time in which a
signal is lost. Who must lose none starts us with SIGTERM blocked: then it waits until we listen.
"""

from __future__ import annotations

import gc
import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import io
    from types import FrameType

_SERVE = {"run", "simulate"}
"""Commands that end with 0 when they are asked to stop. Nothing is begun before they listen themselves."""

SETTINGS = "audit_forwarder_settings"
"""Option (`-X`) of an interpreter that is to run the daemon, with the descriptor of what it is to run."""

NEW_OBJECTS = 100_000
"""After so many the collector looks for garbage: a start makes modules and models, of which nothing is garbage."""


class Waiting:
    """Keeps in mind that a signal came before it could be heard."""

    def __init__(self) -> None:
        self.came = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Note it."""
        del number, frame
        self.came = True


def _end(number: int, frame: FrameType | None) -> None:
    del number, frame
    os._exit(0)


def listen(words: list[str]) -> None:
    """Hear signals from now on, for commands that serve until they are asked to stop."""
    if words[:1] and words[0] in _SERVE:
        signal.signal(signal.SIGTERM, _end)
        signal.signal(signal.SIGINT, _end)
        signal.signal(signal.SIGHUP, Waiting())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


def open_standard_descriptors() -> None:
    """Give 0, 1 and 2 to the null device where they are closed."""
    for number, name in ((0, "stdin"), (1, "stdout"), (2, "stderr")):
        try:
            os.fstat(number)
        except OSError:
            found = os.open(os.devnull, os.O_RDWR)  # the lowest that is free, which is this one
            if found != number:  # pragma: no cover -- another thread would have to open one meanwhile
                os.dup2(found, number)
                os.close(found)
            os.set_inheritable(number, True)  # noqa: FBT003
        if getattr(sys, name) is None:
            try:
                raw = open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            except OSError:
                continue
            setattr(sys, name, raw if number != 2 else _unbuffered(raw))


def _unbuffered(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    stream.reconfigure(line_buffering=True, errors="backslashreplace")
    return stream


def main() -> None:
    """Run the command line, or the daemon that it has begun, and leave nothing for the collector of garbage to look at.

    What either imports takes a while; the signals are heard by then.
    """
    listen(sys.argv[1:])
    gc.set_threshold(NEW_OBJECTS)
    open_standard_descriptors()
    handed = sys._xoptions.get(SETTINGS)  # noqa: SLF001 -- documented so (`python -X`)
    try:
        if handed is not None:
            _daemon(int(handed))
        else:
            from forwarder.cli.first import main as command_line  # noqa: PLC0415

            command_line()
    finally:
        gc.freeze()  # else the interpreter looks for garbage in all of it again and again before it ends


def _daemon(descriptor: int) -> None:
    """Run the daemon with what `forwarder.cli.handover` has left in an open file.

    That is the name of the process, where modules are, and the settings.
    """
    import pickle  # noqa: PLC0415
    from contextlib import suppress  # noqa: PLC0415

    with open(descriptor, "rb") as handed:
        name, sys.path[:] = pickle.load(handed)  # noqa: S301 -- the process that this one was wrote it
        with suppress(OSError), open("/proc/self/comm", "w", encoding="utf-8") as shown:  # noqa: PTH123 -- as above
            shown.write(name)
        from forwarder.cli.serving import main as serve  # noqa: PLC0415

        serve(handed)


if __name__ == "__main__":
    main()
