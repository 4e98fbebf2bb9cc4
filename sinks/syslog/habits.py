"""How a receiver of a syslog stream ends connections, learned from those that ended: after what time, and how much.

Nothing answers on a stream, so a batch is believed while its connection stays well. A receiver that ends quiet
connections, or each one after a few records, would then never be believed, and be sent the same again and again. Two
things are learned. Quiet: a connection on which nothing was ever sent is opened and watched; when that ends, too, the
end says nothing of what was sent on others, and a batch is believed after half of that time. Records: when connections
end at once, each carries fewer, until they stay, and then more again.
"""

from __future__ import annotations

QUICK = 0.2
"""An end so soon after the last byte, seconds, is an answer to what was sent rather than to silence."""

_SHORTEST = 0.1
"""Who ends empty connections sooner than this, seconds, takes nobody in: a balancer without a receiver, say."""
_ALIKE = 0.7
"""Two times of a habit are at least so alike, the shorter to the longer."""
_CALM = 8
"""So many full connections that stay make it worth a try with one record more; twice as many after each failure."""
_MOST_CALM = 1024
_UNLIMITED = 4096
_HABIT = 3
"""So many times in a row are a habit."""


class Habits:
    """What is known of one receiver.

    Args:
        resend: Seconds after which a batch is believed where connections are kept.
        most: Most records that one connection may carry; None: any number.
    """

    def __init__(self, resend: float, most: int | None = None) -> None:
        self.resend = resend
        self._allowed = most
        self._learned: int | None = None
        self._largest_good = 0
        self._smallest_bad: int | None = None
        self._last_bad = 0
        self._stayed = 0
        self._calm = _CALM
        self._measured: float | None = None  # the last one that ended
        self._first_ends = 0  # connections in a row that ended at a single record
        self.keeps: float | None = None
        self.kept_empty = False
        self.measuring = False

    @property
    def believed_after(self) -> float:
        """Seconds for which a connection must be well behind a batch."""
        return self.resend if self.keeps is None else min(self.resend, self.keeps / 2)

    @property
    def most(self) -> int | None:
        """Most records on one connection now; None: any number."""
        limits = [limit for limit in (self._allowed, self._learned) if limit is not None]
        return min(limits, default=None)

    def measured(self, lasted: float | None) -> bool:
        """Note how long an empty connection lasted, None: longer than `resend`; True when it should be tried again."""
        before, self._measured = self._measured, lasted
        self.kept_empty = lasted is None
        if lasted is None or lasted < _SHORTEST:
            self.keeps = None
            return False
        if before is None or min(before, lasted) < _ALIKE * max(before, lasted):
            return True
        self.keeps = min(before, lasted)
        return False

    def may_measure(self) -> bool:
        """Whether an empty connection should be watched; one at a time is."""
        if self.measuring or not self.resend:
            return False
        self.measuring = True
        return True

    def kept(self, quiet: float) -> None:
        """Note that a connection is well although nothing was written to it for so many seconds."""
        if self.keeps is not None and quiet > 2 * self.keeps:
            self.keeps = None

    def believed(self) -> None:
        """Note that a batch is believed."""
        self._first_ends = 0

    def stayed(self, records: int) -> None:
        """Note that a connection with its full number of records stayed, and all of them are believed."""
        learned = self._learned
        if learned is None or records < learned:
            return
        self._largest_good = max(self._largest_good, records)
        if self._smallest_bad is None:
            learned, self._stayed = learned * 4, 0
        elif learned + 1 < self._smallest_bad:
            learned = (learned + self._smallest_bad) // 2
        else:
            self._stayed += 1
            if self._stayed >= self._calm:
                learned, self._smallest_bad = learned + 1, None
        self._learned = learned if learned < _UNLIMITED else None

    def ended(self, records: int, quiet: float) -> None:
        """Note that a connection with so many records ended before they were believed, so long after its last byte."""
        if quiet >= QUICK and not self.kept_empty:
            return
        if records < 2:
            self._first_ends += 1
            return
        if self._smallest_bad is None and self._stayed >= self._calm:  # the try with one more
            self._calm = min(2 * self._calm, _MOST_CALM)
        self._smallest_bad = min(self._smallest_bad or records, records)
        self._stayed, self._last_bad = 0, records
        if self._largest_good >= records:
            self._largest_good = 0
        if self._learned is None or records <= self._learned:
            self._learned = max(1, self._largest_good, records // 4)

    def warning(self) -> tuple[str, str] | None:
        """Say what the receiver does and which setting fits, while the settings do not say so already.

        A number of records is a habit once one record more was tried after a calm, and ended a connection again:
        trouble that passed looks the same until then, and when as many as ended one stay on another.
        """
        if self.keeps is not None and self.believed_after < self.resend:
            reason = (
                f"the receiver ends connections that are quiet for about {self.keeps:.1f} s, those without any record, "
                f"too; so what it is sent counts as accepted after {self.believed_after:.1f} s, and not after resend "
                f"({self.resend:g} s)"
            )
            milliseconds = self.believed_after * 1000
            return reason, f"Raise the receiver's idle time-out above resend, or set resend: {milliseconds:.0f}ms."
        limited = self._learned is not None and self._calm > _CALM and self.most == self._learned
        if limited and 0 < self._largest_good < self._last_bad:
            reason = (
                f"the receiver ends connections early: those with {self._last_bad} records did not stay, those with "
                f"{self._largest_good} did; so each carries {self._learned} at most"
            )
            fix = f"See its own log for why; where it is its habit, set records_per_connection: {self._largest_good}."
            return reason, fix
        return None

    def unconfirmed(self) -> tuple[str, str]:
        """Say what it means that records are not believed again and again, and what to do."""
        if self._first_ends >= _HABIT:
            reason = (
                "the receiver ends the connection at a first record each time; nothing tells whether it has taken it"
            )
            return reason, "See its own log. Where that is its habit, set records_per_connection: 1 and resend: 0."
        fix = (
            "See its own log. Where it ends every connection by habit, set resend below the time it keeps one, or "
            "records_per_connection to what it takes on one."
        )
        return "the receiver ends the connection, or stops reading, soon after whatever it is sent", fix
