"""The time by which what is kept grows old: ids, settled pages, lanes without a sink.

It starts from the time of day at which the spool was opened and goes on with the monotonic clock, never ahead of the
time of day. A clock that is set ahead while we run would otherwise make everything old at once: ids would be forgotten
and the next re-read deliver what was delivered long ago; lanes without a sink would lose what they wait for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forwarder.contracts import Clock


class Age:
    """How late it is for what grows old.

    Attributes:
        opened_ms: When counting began, epoch milliseconds.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._opened = clock.monotonic()
        self.opened_ms = int(clock.time() * 1000)

    def now_ms(self) -> int:
        """Return epoch milliseconds."""
        ran = int((self._clock.monotonic() - self._opened) * 1000)
        return min(int(self._clock.time() * 1000), self.opened_ms + ran)
