"""A clock that tests own."""


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
