"""`status --watch`: what the daemon says, drawn again and again. The spool is left to the daemon, which may start."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from forwarder.cli.commands.status import NoAnswerError, ask_daemon
from forwarder.cli.status_text import status_lines
from forwarder.cli.tables import paragraph
from forwarder.cli.terminal import console, json_visible, print_line, screen
from forwarder.contracts.moments import beside
from forwarder.contracts.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forwarder.cli.invocation import Invocation

_TERMINATED = 128 + signal.SIGTERM


class _Look:
    """What the daemon said last, and since when it does not answer."""

    def __init__(self, zone: str = "UTC") -> None:
        self._zone = zone
        self.report: dict[str, Any] | None = None
        self.problem = ""
        self._answered = 0.0
        self._silent_since = 0.0

    def answered(self, report: dict[str, Any]) -> None:
        self.report, self.problem, self._answered = report, "", time.time()

    def failed(self, problem: str) -> None:
        if not self.problem:
            self._silent_since = time.time()
        self.problem = problem

    def lines(self, every: float) -> Iterator[str]:
        """Yield the picture."""
        place = screen()
        yield from paragraph(f"{self._clock(time.time())}, every {every:g} s; Ctrl-C ends", place)
        if self.problem:
            since = f"no answer since {self._clock(self._silent_since)}: {visible(self.problem)}"
            yield from paragraph(since, place, "bold red")
            if self.report is not None:
                yield from paragraph(f"what follows is what it said at {self._clock(self._answered)}", place)
        if self.report is not None:
            yield from status_lines(self.report, place)

    def _clock(self, seconds: float) -> str:
        moment = datetime.fromtimestamp(seconds, UTC)
        return f"{moment:%H:%M:%S} UTC{beside(moment, self._zone, 'seconds')}"


def watch(invocation: Invocation, *, every: float, as_json: bool) -> NoReturn:
    """Show it until Ctrl-C. Raises SettingsError, also when the daemon refuses our token."""
    admin = invocation.admin()
    shown = _Look(admin.time_zone)

    def look() -> _Look:
        try:
            shown.answered(ask_daemon(admin))
        except NoAnswerError as error:
            shown.failed(str(error))
        return shown

    if as_json or not sys.stdout.isatty() or os.environ.get("TERM") in {"dumb", "unknown"}:
        while True:
            _print(look(), every, as_json=as_json)
            time.sleep(every)
    _draw(look, every)


def _print(look: _Look, every: float, *, as_json: bool) -> None:
    if not as_json:
        print_line("\n".join([*look.lines(every), ""]))
    else:
        said = {"answered": False, "reason": look.problem} if look.problem else look.report
        line = msgspec.json.encode(said).decode()
        print_line(json_visible(line) if sys.stdout.isatty() else line)
    sys.stdout.flush()


def _draw(look: Any, every: float) -> NoReturn:
    """Draw on the other screen of a terminal; the last picture stays on the usual one."""
    from rich.live import Live  # noqa: PLC0415 -- slow to import
    from rich.text import Text  # noqa: PLC0415

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))  # else the terminal stays as it is now
    lines: list[str] = []
    try:
        with Live(console=console(), screen=True, auto_refresh=False) as live:
            while True:
                lines = list(look().lines(every))
                live.update(Text.from_ansi("\n".join(_fitting(lines)), no_wrap=True), refresh=True)
                time.sleep(every)
    finally:
        with suppress(BrokenPipeError):
            print_line("\n".join(lines))


def _fitting(lines: list[str]) -> list[str]:
    """Return what a terminal has room for, and a line that says how much more there is."""
    room = shutil.get_terminal_size().lines
    if len(lines) <= room:
        return lines
    return [*lines[: room - 1], f"… {len(lines) - room + 1} more lines: audit-forwarder status shows them"]
