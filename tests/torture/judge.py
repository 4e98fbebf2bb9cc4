"""Compares a round with the truth: what each place has, what became a dead letter, what was on record as in doubt."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.crash.far_end import Kept, digest
from tests.torture.places import Place
from tests.torture.truth import Truth, ident_of

MOST_UNDER_WAY = 160
"""Events that a break may cost where nothing answers: two batches in flight, two behind them."""

LONG = 4000
"""Bytes of an event that may be too long for a sink with a limit."""


@dataclass
class Account:
    """What one place has, over all rounds.

    Attributes:
        owed: Events that have neither landed nor become a dead letter.
        refused: Events that the far end was told to refuse.
        lost: Events that never landed at a place which cannot prove delivery.
        breaks: How often the connection may have broken until the round before.
    """

    owed: Counter[str] = field(default_factory=Counter)
    refused: set[str] = field(default_factory=set)
    lost: Counter[str] = field(default_factory=Counter)
    breaks: int = 0
    events: int = 0
    landed: int = 0
    dead: int = 0
    doubled_in_doubt: int = 0
    doubled_outside: int = 0

    @property
    def missing(self) -> int:
        return self.owed.total() + self.lost.total()


class Judge:
    """Keeps the accounts of all places."""

    def __init__(self, truth: Truth, places: dict[str, Place]) -> None:
        self.truth, self.places = truth, places
        self.accounts = {name: Account() for name in places}

    def judge(self, kept: Kept, lives: int) -> list[str]:
        """Take in what a round brought to every place; return what is wrong.

        Args:
            kept: What the spool holds of it.
            lives: How many lives of the daemon have ended in this round.
        """
        wrong = [f"books of {line.sink} are off by {line.balance}" for line in kept.books if line.balance]
        wrong += [f"{line.waiting} events wait for {line.sink}" for line in kept.books if line.waiting]
        if strangers := [seq for seq, body in kept.bodies.items() if digest(body) not in self.truth.digests]:
            wrong.append(f"the spool holds what never existed: {strangers[:5]}")
        for name, place in self.places.items():
            wrong += [f"{name}: {what}" for what in self._place(name, place, kept, lives)]
        return wrong

    def _place(self, name: str, place: Place, kept: Kept, lives: int) -> list[str]:
        account, wrong = self.accounts[name], []
        fresh = self.truth.fresh_digests if place.by_digest else self.truth.fresh_ids
        known = self.truth.digests if place.by_digest else self.truth.ids
        account.events += fresh.total()
        account.owed += fresh
        doubled: Counter[str] = Counter()
        landed = place.take()
        for event, times in landed.items():
            account.landed += times
            if event not in known:
                wrong.append(f"holds what never existed: {event}")
                continue
            paid = min(times, account.owed[event])
            account.owed[event] -= paid
            if times > paid:
                doubled[event] = times - paid
        for event, times in doubled.items():
            if any(kept.doubted(name, seq) for seq in self.truth.numbers[event]):
                account.doubled_in_doubt += times
            else:
                account.doubled_outside += times
                wrong.append(f"{event} came {times} times more than it should and was never in doubt")
        wrong += self._letters(account, place, kept, name)
        place.sizes_refused = 0  # what was refused in one round explains nothing in the next
        account.owed = +account.owed
        wrong += self._missing(account, place, lives)
        return wrong

    @staticmethod
    def _missing(account: Account, place: Place, lives: int) -> list[str]:
        """Say what may not be missing here. Without proof a break may cost what was under way; that is counted."""
        breaks, account.breaks = place.breaks - account.breaks, place.breaks
        gone = account.owed.total()
        if not gone:
            return []
        first = f"{gone} events are missing: {list(account.owed)[:5]}"
        if place.proof == "delivered":
            return [first]
        account.lost += account.owed
        account.owed.clear()
        if place.may_lose:
            return []
        at_most = MOST_UNDER_WAY * (breaks + lives)
        return [] if gone <= at_most else [f"{first}; {breaks} breaks and {lives} lives explain {at_most}"]

    def _letters(self, account: Account, place: Place, kept: Kept, name: str) -> list[str]:
        """Check that exactly what the far end refused became dead letters."""
        wrong = []
        for letter in (letter for letter in kept.letters if letter.lane == name):
            event = digest(letter.raw) if place.by_digest else ident_of(letter.raw)
            account.dead += 1
            too_long = letter.reason == "too_large" and len(letter.raw) > LONG
            if letter.reason == "too_large" and not too_long and place.sizes_refused:
                too_long, place.sizes_refused = True, place.sizes_refused - 1  # it was alone in its request
            if ident_of(letter.raw) not in account.refused and not too_long:
                wrong.append(f"{event} is a dead letter and was never refused: {letter.reason} {letter.detail}")
            if account.owed[event]:
                account.owed[event] -= 1
            elif not kept.doubted(name, letter.seq):  # sent twice, it may have been taken once and refused once
                wrong.append(f"{event} landed, is a dead letter too, and was never in doubt")
        return wrong
