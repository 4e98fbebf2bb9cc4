"""What a far end is asked to be and to do, its secrets, and the clock of its sink."""

from __future__ import annotations

import ssl
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

from forwarder.contracts import SystemClock

SECRET = "first-s3cr3t-made-up"
SECOND_SECRET = "second-s3cr3t-made-up"
"""The sink's credential before and after it is rotated; neither may be seen anywhere."""

Ability = Literal[
    "reject",
    "reject_all",
    "choke",
    "away",
    "other_words",
    "auth",
    "too_large",
    "busy",
    "slow",
    "stall",
    "reset",
    "garbage",
    "restart",
    "tls",
    "late",
    "idempotent",
]


ISOLATION: tuple[Ability, ...] = ("choke", "away", "other_words")
"""What B15, B16 and B17 are tried with."""


class FarEnd(Protocol):
    """One destination under the control of a test.

    Attributes:
        can: Which faults it can play.
        cannot: Why not, for each of `ISOLATION` that it cannot play.
        patience: Name of the setting for how long an event is tried that is failed on alone.
        landed: How often each event is there, by event id.
    """

    name: ClassVar[str]
    can: ClassVar[frozenset[Ability]]
    cannot: ClassVar[dict[Ability, str]]
    patience: ClassVar[str]

    def __init__(self, folder: Path) -> None: ...

    @property
    def landed(self) -> Counter[str]: ...

    async def open(self, tls: ssl.SSLContext | None = None) -> None:
        """Begin to serve; again after `close`, at the same address, with this certificate."""
        ...

    async def close(self) -> None: ...

    def settings(self) -> dict[str, Any]:
        """Return what the sink is configured with, `type` included; the secret comes from `secret_file`."""
        ...

    def rotate(self) -> None:
        """Take only the second secret from now on."""
        ...

    def reject(self, ids: set[str]) -> None:
        """Refuse these events for good."""
        ...

    def choke(self, ids: set[str]) -> None:
        """Fail on whatever holds one of these, in a way that names none."""
        ...

    def play(self, fault: Ability, times: int | None = 1) -> None:
        """Misbehave in this way for so many requests, or for all."""
        ...

    def calm(self) -> None:
        """Forget every fault that has not been played yet."""
        ...


def secret_file(folder: Path, secret: str) -> Path:
    path = folder / "secret"
    path.write_text(secret)
    return path


class UnhurriedClock(SystemClock):
    """Goes on by at most `STEP` from one look to the next, however long this process was not given a turn.

    A stream is believed after a time. Between two looks of the sink the far end, in the same process, has had turns
    enough to read what arrived and to end the connection, so what is believed here does not depend on the machine.
    """

    def __init__(self) -> None:
        self._real = self._shown = super().monotonic()

    def monotonic(self) -> float:
        real = super().monotonic()
        self._shown += min(real - self._real, STEP)
        self._real = real
        return self._shown


STEP = 0.03
BELIEVED = 10 * STEP
"""Seconds of such a clock after which a stream is believed."""
