"""What reading closed windows again costs: shares of the request budget and the delay of live events, in simulated time.

    python -m bench.reconciling --hours 168

The budget, the plan and the shares are the real ones, the API is a number of pages: live events come at a part of what
the API can be asked, the newest ten minutes are read again every five, and each hour is read again by every pass. For
each part it says who got which share, how late live events were with and without the reconcile, and how far that is
behind. Ends with 1 when it took more than a tenth, or live events waited for it.
"""

from __future__ import annotations

import argparse
import statistics
from collections import Counter
from dataclasses import dataclass, field

from forwarder.polling.plan import RECONCILE, REREAD, TAIL
from forwarder.polling.shares import RECONCILE_MOST
from tests.polling.test_shares_properties import Walk, World

PER_MINUTE = 50.0
"""Requests that the API takes."""

LONGEST = 0.06
"""Seconds that it may delay live events: a step of the simulated time."""

PASSES = 3
PARTS = (0.01, 0.03, 0.1, 0.2, 1 / 3, 0.5, 0.7)
"""How much of that live events alone need."""


@dataclass
class Loaded(World):
    """One source whose live events, re-reads and windows come at their own pace."""

    delays: list[float] = field(default_factory=list)

    def run_for(self, hours: float, *, reconciles: bool) -> None:
        """Go on for so long; the first tenth counts for nothing."""
        [walks] = self.sources
        reread, windows, end = self.begun, self.begun + 7200, self.begun + hours * 3600
        while self.clock.now < end:
            now, before = self.clock.now, walks[TAIL].asked
            if now >= reread and walks[REREAD].left <= 0:
                walks[REREAD].left, reread = max(1.0, 10 * self.live), max(reread + 300, now)
            while reconciles and now >= windows:
                walks[RECONCILE].left += PASSES * max(1.0, 60 * self.live)
                windows += 3600
            self.ask()
            if walks[TAIL].asked > before and self.clock.now > self.begun + hours * 360:
                due = self.begun + walks[TAIL].asked * 60 / self.live
                self.delays.append(max(0.0, self.clock.now - due))


def loaded(part: float, hours: float, *, reconciles: bool) -> Loaded:
    """Run one world."""
    walks = {TAIL: Walk(0), REREAD: Walk(0), RECONCILE: Walk(0)}
    world = Loaded(PER_MINUTE, part * PER_MINUTE, [walks])
    world.run_for(hours, reconciles=reconciles)
    return world


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.reconciling", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--hours", type=float, default=24.0, help="simulated")
    hours, most = parser.parse_args().hours, 0.0
    delay = 0.0
    print(
        f"{'live':>5}  {'tail':>6} {'reread':>7} {'reconcile':>9}  {'live p50':>9} {'p99':>7}  {'without: p50':>12} {'p99':>7}  behind"
    )
    for part in PARTS:
        with_it, without = (loaded(part, hours, reconciles=each) for each in (True, False))
        asked = Counter(with_it.turns)
        whole = hours * 60 * PER_MINUTE
        shares = [asked[name] / whole for name in (TAIL, REREAD, RECONCILE)]
        most = max(most, shares[2])
        behind = with_it.sources[0][RECONCILE].left / (PASSES * 60 * with_it.live)
        cuts = [statistics.quantiles(world.delays, n=100) for world in (with_it, without)]
        (p50, p99), (p50_without, p99_without) = ((each[49], each[98]) for each in cuts)
        delay = max(delay, p99 - p99_without)
        print(
            f"{part:>5.0%}  {shares[0]:>6.1%} {shares[1]:>7.1%} {shares[2]:>9.1%}  {p50:>7.2f} s {p99:>5.2f} s  "
            f"{p50_without:>10.2f} s {p99_without:>5.2f} s  {behind:.1f} h of {hours:g}",
            flush=True,
        )
    kept = (most <= RECONCILE_MOST + 0.001, delay <= LONGEST)
    print(f"{'kept' if kept[0] else 'BROKEN'}: it took {most:.1%} of the budget at most")
    print(f"{'kept' if kept[1] else 'BROKEN'}: 99 of 100 live events waited {delay:.2f} s longer at most")
    raise SystemExit(0 if all(kept) else 1)


if __name__ == "__main__":
    main()
