"""The fault script: what goes wrong, when and for how long.

A rule is armed by time (`at`) and by requests (`after_requests`), fires on matching requests, and stops after `for` or
`times`. At most one rule fires on a request: the first in the script that is due and applies. Dice come from the seed.
What a fault does is in `effects`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from simulator.config import Seconds, Share, seconds

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Iterator

What = Literal[
    "rate_limit",
    "unauthorized",
    "forbidden",
    "not_found",
    "bad_date",
    "server_error",
    "html",
    "login_page",
    "redirect",
    "cursor_lost",
    "cursors_lost",
    "key_expiry",
    "key_rotation",
    "bad_event",
    "repeated_ids",
    "loop",
    "empty_page",
    "unchanged_cursor",
    "missing_meta",
    "missing_links",
    "invalid_json",
    "delay",
    "truncated",
    "drip",
    "stall",
    "reset_before",
    "reset_after_headers",
    "reset_mid",
    "half_close",
    "garbage",
    "wrong_clock",
]
FeedName = Literal["stream", "events", "event", "actions", "jira", "confluence", "workspace", "datacenter", "all"]


class Rule(BaseModel):
    """One line of the script.

    Attributes:
        what: What goes wrong.
        name: How the ledger calls it; `what` when empty.
        at: Armed this long after the start, or after the rule was added.
        after_requests: Armed after so many matching requests.
        every: Only each so-many-th matching request (a number), or once each period (a duration such as `60s`).
        lasts: (`for` in YAML) How long it fires once it has begun; with a period, in each period.
        times: Fires at most so often. Without `for`, `every` and `times`: once.
        share: Fires with this probability.
        feed: Which requests match.
        organization: Which organization, or which product's log: its id, or its number from 0; None means all.
        status: Of `server_error` and `html`.
        shape: Of `rate_limit`: how the answer says when to come back.
        wait: Seconds; of `rate_limit` until the reset, of `delay` and `stall` the silence.
        bytes: Body bytes before `truncated`, `stall`, `reset_mid` and `half_close`; half the body when None.
        chunk: Bytes a piece of `drip`.
        pause: Seconds between two pieces of `drip`.
        ahead: Seconds by which the `Date` of `wrong_clock` is ahead; below 0 it is behind.
        count: Ids repeated by `repeated_ids`, or events added by `bad_event`.
        kind: What is wrong with the events of `bad_event`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    what: What
    name: str = ""
    at: Seconds = 0.0
    after_requests: Annotated[int, Field(ge=0)] = 0
    every: int | str = 0
    lasts: Annotated[Seconds, Field(alias="for")] = 0.0
    times: Annotated[int, Field(ge=0)] = 0
    share: Share = 1.0
    feed: FeedName = "stream"
    organization: str | int | None = None
    status: Annotated[int, Field(ge=200, le=599)] = 503
    shape: Literal["minute", "seconds", "retry_after", "none"] = "seconds"
    wait: Seconds = 1.0
    bytes: Annotated[int, Field(ge=0)] | None = None
    chunk: Annotated[int, Field(ge=1)] = 1000
    pause: Seconds = 0.01
    ahead: float = 600.0
    count: Annotated[int, Field(ge=1)] = 1
    kind: Literal["surrogate", "nan", "huge_number", "bad_utf8", "without_id", "without_time", "bad_time"] = "surrogate"

    @property
    def label(self) -> str:
        """Return its name in the ledger."""
        return self.name or self.what

    @property
    def period(self) -> float:
        """Return the seconds of `every` when it is a duration, else 0."""
        return seconds(self.every) if isinstance(self.every, str) else 0.0

    @property
    def limit(self) -> int:
        """Return how often it may fire; 0 means without end."""
        return self.times or (0 if self.lasts or self.every else 1)


@dataclass(slots=True)
class _Armed:
    rule: Rule
    added: float
    seen: int = 0
    fired: int = 0
    began: float | None = None
    last_period: int = -1
    dice: random.Random = field(default_factory=random.Random)


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a rule looks at when it decides."""

    feed: str
    organization: str
    number: int
    now: float


class FaultScript:
    """Holds the rules and decides which fires.

    Args:
        rules: The script.
        seed: For the dice.
        now: When it starts, epoch seconds.
        counts: Counter by label to which every firing is added.
    """

    def __init__(self, rules: Iterable[dict[str, Any]], *, seed: int, now: float, counts: Counter[str]) -> None:
        self._seed = seed
        self._armed: list[_Armed] = []
        self._counts = counts
        self._added = 0
        self._now = now
        for rule in rules:
            self._arm(Rule.model_validate(rule), now)

    def add(self, what: What, *, now: float | None = None, **parameters: Any) -> Rule:
        """Add one rule, armed from now on. Raises ValueError (pydantic's) for an unknown parameter."""
        rule = Rule.model_validate({"what": what, **parameters})
        self._arm(rule, self._now if now is None else now)
        return rule

    def clear(self) -> None:
        """Forget every rule; what has been counted stays."""
        self._armed.clear()

    def fired(self, label: str) -> int:
        """Return how often a fault of this name has fired."""
        return self._counts[label]

    @property
    def spent(self) -> bool:
        """Say whether every rule with a limit has fired as often as it may."""
        return all(armed.rule.limit and armed.fired >= armed.rule.limit for armed in self._armed)

    @property
    def rules(self) -> list[Rule]:
        """Return the rules in order."""
        return [armed.rule for armed in self._armed]

    def due(self, occasion: Occasion) -> Iterator[Rule]:
        """Yield the rules that are due on a request, in order; the caller tells which one `fires`."""
        self._now = max(self._now, occasion.now)
        found = [
            armed.rule for armed in self._armed if self._matches(armed.rule, occasion) and _is_due(armed, occasion.now)
        ]
        return iter(found)

    def fire(self, rule: Rule, now: float) -> None:
        """Count one firing."""
        armed = next(armed for armed in self._armed if armed.rule is rule)
        armed.fired += 1
        if rule.period:
            armed.last_period = int((now - armed.added - rule.at) // rule.period)
        if armed.began is None:
            armed.began = now
        self._counts[rule.label] += 1

    def _arm(self, rule: Rule, now: float) -> None:
        self._added += 1
        self._armed.append(_Armed(rule, now, dice=random.Random(f"fault {self._seed} {self._added}")))

    @staticmethod
    def _matches(rule: Rule, occasion: Occasion) -> bool:
        if rule.feed not in {"all", occasion.feed}:
            return False
        return rule.organization in {None, occasion.organization, occasion.number}


def _is_due(armed: _Armed, now: float) -> bool:
    rule = armed.rule
    if now < armed.added + rule.at:
        return False
    armed.seen += 1
    past = armed.seen - rule.after_requests
    if past <= 0 or (rule.limit and armed.fired >= rule.limit):
        return False
    if isinstance(rule.every, int) and rule.every and past % rule.every:
        return False
    return _in_its_time(armed, now) and (rule.share >= 1 or armed.dice.random() < rule.share)


def _in_its_time(armed: _Armed, now: float) -> bool:
    rule = armed.rule
    if not rule.period:
        return not rule.lasts or armed.began is None or now < armed.began + rule.lasts
    period, inside = divmod(now - armed.added - rule.at, rule.period)
    if rule.lasts:
        return inside < rule.lasts
    return int(period) != armed.last_period


def load_script(text: str) -> tuple[dict[str, Any], ...]:
    """Read a fault script: a YAML list of rules, or a map with the list under `faults`. Raises ValueError."""
    found = yaml.safe_load(text) or []
    rules = found.get("faults", []) if isinstance(found, dict) else found
    if not isinstance(rules, list):
        raise ValueError("a fault script is a list of rules")  # noqa: TRY004 - one kind of error for a bad script
    for rule in rules:
        Rule.model_validate(rule)
    return tuple(rules)
