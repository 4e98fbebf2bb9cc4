"""The destination of a sink under the control of a test, by one interface, so that every clause is tried on every sink.

A package with a sink writes one such class (over HTTP: `HttpFarEnd` has most of it) and names it in its `conftest.py`.
What the protocol of a sink does not have (a refusal for a file, say) stands in `cannot` with the reason.
"""

from __future__ import annotations

import json
import ssl
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, get_args

from forwarder.contracts import Clock, FormatTraits, SinkContext, SystemClock
from forwarder.registry import FORMATS, SINKS

SECRET = "first-s3cr3t-made-up"
SECOND_SECRET = "second-s3cr3t-made-up"
"""The credential before and after it is rotated; neither may be seen anywhere."""

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
ABILITIES: frozenset[Ability] = frozenset(get_args(Ability))
"""Faults a far end can play:

`reject`: refuse some events for good · `reject_all`: refuse all alike · `choke`: fail on a request that holds a certain
event, without naming it · `away`: nothing listens · `other_words`: a success that is not the protocol's, with *Welcome*
in it · `auth`: refuse the credential · `too_large`: refuse the size · `busy`: a failure that passes · `slow`: answer in
drops · `stall`: fall silent in the middle · `reset`: end the connection in the middle · `garbage`: answer what is not
the protocol · `restart`: be closed and opened · `tls`: listen with a certificate · `late`: confirm later ·
`idempotent`: recognise what is sent again.
"""


class FarEnd(Protocol):
    """One destination.

    Attributes:
        name: The type of the sink, as it is registered.
        variant: Which far end of that type this is, when there are several: `relp`, say.
        can: Which faults it can play.
        cannot: Why not, for each of the others.
        patience: Name of the setting for how long an event is tried that is failed on alone.
    """

    name: ClassVar[str]
    variant: ClassVar[str]
    can: ClassVar[frozenset[Ability]]
    cannot: ClassVar[dict[Ability, str]]
    patience: ClassVar[str]

    def __init__(self, folder: Path) -> None: ...

    @property
    def landed(self) -> Counter[str]:
        """Return how often each event is there, by event id."""
        ...

    async def open(self, tls: ssl.SSLContext | None = None) -> None:
        """Begin to serve; again after `close`, at the same address, with this certificate."""
        ...

    async def close(self) -> None:
        """Serve no more, and cut what is connected."""
        ...

    def settings(self) -> dict[str, Any]:
        """Return what the sink is configured with; the credential comes from a file that `secret_file` wrote."""
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
    """Write the credential to the file that the sink reads it from, and return the path."""
    path = folder / "secret"
    path.write_text(secret)
    return path


def event_id(body: bytes) -> str:
    """Return the event id in a body of the format `raw` or `ecs`."""
    read = json.loads(body)  # which takes half a character, as the API may send it
    found: str = read["event"]["id"] if "event" in read else read["id"]
    return found


def build(end: FarEnd, **more: Any) -> Any:
    """Build the sink of a far end as the daemon would."""
    found = SINKS.load(end.name)
    config = found.Config(**{"type": end.name, **end.settings(), **more})
    return found(config, context(end.name, slots=2, clock=UnhurriedClock(), render=format_name(end)))


def format_name(end: FarEnd) -> str:
    """Return the format that the records of this far end are written in."""
    found: str = end.settings().get("format") or SINKS.load(end.name).default_format
    return found


def context(
    name: str = "test", *, slots: int = 1, clock: Clock | None = None, render: str | None = None
) -> SinkContext:
    """Make what the engine gives a sink; `render` is the name of a format that is registered."""
    traits = FormatTraits.of(FORMATS.load(render or "ecs"))
    return SinkContext(name, slots, clock or SystemClock(), traits)


class UnhurriedClock(SystemClock):
    """Goes on by at most `STEP` from one look to the next, however long this process was not given a turn.

    A stream is believed after a time. Between two looks of the sink the far end, in the same process, has had turns
    enough to read what arrived and to end the connection, so what is believed here does not depend on the machine.
    """

    def __init__(self) -> None:
        self._real = self._shown = super().monotonic()

    def monotonic(self) -> float:
        """Return seconds of a clock that never goes back, and never jumps."""
        real = super().monotonic()
        self._shown += min(real - self._real, STEP)
        self._real = real
        return self._shown


STEP = 0.03
BELIEVED = 10 * STEP
"""Seconds of such a clock after which a stream is believed."""
