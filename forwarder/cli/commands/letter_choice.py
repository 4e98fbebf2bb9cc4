"""Which dead letters a command line means."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forwarder.admin.dead_letters import Wanted
from forwarder.cli.times import parse_options
from forwarder.config.problems import Problem, SettingsError
from forwarder.registry import nearest
from forwarder.spool.letter import Selection

if TYPE_CHECKING:
    from forwarder.config.settings import Settings


@dataclass(frozen=True)
class Choice:
    """What the options said: numbers, sink, reasons, times; `everything` is `--all`."""

    numbers: tuple[int, ...] = ()
    sink: str | None = None
    reasons: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None
    everything: bool = False

    @property
    def chooses(self) -> bool:
        """False when it means every one there is."""
        return bool(self.numbers or self.sink or self.reasons or self.since or self.until)

    def must_choose(self, what: str) -> None:
        """Raise SettingsError when nothing was chosen: an act on everything wants to be asked for."""
        if not (self.chooses or self.everything):
            fix = f"name numbers, --sink, --reason, --since or --until; or {what} every one with --all"
            raise SettingsError([Problem(f"dead-letters {what}", "nothing is chosen", fix)])

    def must_exist(self, settings: Settings) -> None:
        """Raise SettingsError for a sink that is not configured; call it when it has no dead letter either."""
        if self.sink is not None and self.sink not in settings.sinks:
            guess = nearest(self.sink, settings.sinks)
            fix = f"did you mean {guess}?" if guess else f"known sinks: {', '.join(settings.sinks)}"
            raise SettingsError([Problem("--sink", "no sink has this name", fix)])

    def wanted(self) -> Wanted:
        """Return it as the spool understands it. Raises SettingsError for a time that is none."""
        problems: list[Problem] = []
        times = parse_options({"--since": self.since, "--until": self.until}, time.time(), problems)
        if problems:
            raise SettingsError(problems)
        chosen = Selection(self.reasons, self.numbers, times["--since"], times["--until"])
        return Wanted(self.sink, chosen, words=self._words())

    def _words(self) -> str:
        parts = [
            *([f"numbers {', '.join(map(str, self.numbers))}"] if self.numbers else []),
            *([f"sink {self.sink}"] if self.sink else []),
            *(f"reason {reason}" for reason in self.reasons),
            *([f"since {self.since}"] if self.since else []),
            *([f"until {self.until}"] if self.until else []),
        ]
        return "; ".join(parts)[:1000] or "all"
