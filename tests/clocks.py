"""Clocks that tests own."""

import time


class FakeClock:
    """Time stands still until someone moves it; `off` is by how much the time of day was set."""

    def __init__(self, now: float = 1_790_000_000.0) -> None:
        self.now = now
        self.off = 0.0

    def time(self) -> float:
        return self.now + self.off

    def monotonic(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class SetClock:
    """The machine's clock, and by how much someone set it."""

    def __init__(self, off: float = 0.0) -> None:
        self.off = off

    def time(self) -> float:
        return time.time() + self.off

    def monotonic(self) -> float:
        return time.monotonic()
