"""What happens in a round, drawn from its seed before it begins; the same seed and round draw the same plan."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from forwarder.testing.far_end import Ability
from tests.torture.certificates import WRONG

API_FAULTS: tuple[dict[str, Any], ...] = (
    {"what": "rate_limit", "wait": 0.2, "shape": "seconds"},
    {"what": "rate_limit", "wait": 0.2, "shape": "retry_after"},
    {"what": "rate_limit", "wait": 0.2, "shape": "none"},
    {"what": "server_error"},
    {"what": "server_error", "status": 500},
    {"what": "html"},
    {"what": "html", "status": 200},
    {"what": "login_page"},
    {"what": "redirect"},
    {"what": "forbidden"},
    {"what": "not_found"},
    {"what": "unauthorized"},
    {"what": "bad_date"},
    {"what": "cursor_lost"},
    {"what": "cursors_lost"},
    {"what": "repeated_ids", "count": 7},
    {"what": "loop"},
    {"what": "empty_page"},
    {"what": "unchanged_cursor"},
    {"what": "missing_meta"},
    {"what": "missing_links"},
    {"what": "invalid_json"},
    {"what": "delay", "wait": 0.3},
    {"what": "truncated"},
    {"what": "drip", "chunk": 2000},
    {"what": "stall", "wait": 30.0},
    {"what": "reset_before"},
    {"what": "reset_after_headers"},
    {"what": "reset_mid"},
    {"what": "half_close"},
    {"what": "garbage"},
)

Act = Literal["kill", "stop", "hup", "full_spool", "full_out", "jump", "key"]
"""What may befall the daemon itself: its life, its disks, its clock, its key."""

LIVES: tuple[Act, ...] = ("kill", "stop", "hup")
JUMPS = (-7200, -3600, -600, -60, 60, 600, 3600, 10_800)


@dataclass
class Moment:
    """An act: it begins `at` seconds into the round and, where it lasts, ends after `lasts`."""

    act: Act
    at: float
    lasts: float = 0.0
    jump: int = 0


@dataclass
class Trouble:
    """What befalls one destination.

    Attributes:
        spells: Faults it plays, in this order, for so many requests each.
        away: Seconds into the round when it goes away, and for how long; or None.
        wrong: Its certificate after it came back, until the round calms down.
        rotate: Seconds into the round when it takes another credential, and until the daemon has it; or None.
        refuse: How many of the next events it refuses for good.
    """

    spells: list[tuple[str, int]] = field(default_factory=list)
    away: tuple[float, float] | None = None
    wrong: str = ""
    rotate: tuple[float, float] | None = None
    refuse: int = 0


@dataclass
class Plan:
    """One round; `waits` says whether trouble begins when the daemon works, or while it starts."""

    waits: bool
    api: list[dict[str, Any]]
    moments: list[Moment]
    troubles: dict[str, Trouble]
    bursts: list[tuple[float, int]]
    ends_with_kill: bool

    @property
    def lasts(self) -> float:
        """Seconds until the last thing of the plan has begun and ended."""
        ends = [moment.at + moment.lasts for moment in self.moments]
        ends += [sum(trouble.away) for trouble in self.troubles.values() if trouble.away]
        return max([at for at, _ in self.bursts] + ends, default=0.0)


def draw(seed: int, number: int, abilities: Mapping[str, tuple[Sequence[str], frozenset[Ability]]]) -> Plan:
    """Draw a round for these destinations: by name, what each plays, and what else it can."""
    rng = random.Random(f"round {seed} {number}")
    api = []
    for fault in rng.sample(API_FAULTS, k=rng.choice((0, 1, 1, 2, 3))):
        api.append({**fault, "after_requests": rng.randrange(6), "times": rng.choice((1, 1, 2, 4))})
    moments = [Moment(rng.choices(LIVES, (6, 2, 1))[0], rng.uniform(0.1, 1.8)) for _ in range(rng.choice((0, 1, 1, 2)))]
    for act, chance in (("full_spool", 0.12), ("full_out", 0.12), ("jump", 0.3), ("key", 0.1)):
        if rng.random() < chance:
            moment = Moment(act, rng.uniform(0.1, 1.2), rng.uniform(0.2, 1.0))  # type: ignore[arg-type]
            moment.jump = rng.choice(JUMPS)
            moments.append(moment)
    moments.sort(key=lambda moment: moment.at)
    troubles = {}
    for name, (spells, can) in abilities.items():
        if rng.random() < 0.5:
            troubles[name] = _trouble(rng, spells, can)
    bursts = [(rng.uniform(0, 1.8), rng.randrange(1, 120)) for _ in range(rng.randrange(2, 6))]
    return Plan(rng.random() < 0.8, api, moments, troubles, sorted(bursts), rng.random() < 0.25)


def _trouble(rng: random.Random, spells: Sequence[str], can: frozenset[Ability]) -> Trouble:
    trouble = Trouble()
    if spells:
        trouble.spells = [(rng.choice(spells), rng.randrange(1, 4)) for _ in range(rng.randrange(3))]
    if "restart" in can and rng.random() < 0.3:
        trouble.away = (rng.uniform(0, 1), rng.uniform(0.05, 0.8))
        if "tls" in can and rng.random() < 0.6:
            trouble.wrong = rng.choice(WRONG)
    if "auth" in can and rng.random() < 0.05:
        trouble.rotate = (rng.uniform(0, 1), rng.uniform(0.2, 1.5))
    if "reject" in can and rng.random() < 0.3:
        trouble.refuse = rng.randrange(1, 5)
    return trouble
