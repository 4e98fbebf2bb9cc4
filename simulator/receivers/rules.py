"""How a receiver that speaks HTTP treats requests on purpose: rules that last for so many requests, in turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulator.http_types import Response, Wire


class Refused(Exception):
    """What a server would refuse, whole or one item; `type` and `reason` as it would say them."""

    def __init__(self, type_: str, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.type = type_
        self.reason = reason
        self.status = status


@dataclass(slots=True)
class Rule:
    """How requests are treated while the rule lasts. The first rule that has something left is used.

    Attributes:
        times: For so many requests; None forever.
        answer: Answers the whole request; nothing is stored.
        item: Gets document id (empty where the protocol has none) and document, and gives back a refusal, or None to
            store it.
        wire: Misbehaves while it answers; what the request asked for is done nevertheless.
        failure_store: Documents for which it is true go to the failure store: created, and lost to searches.
    """

    times: int | None = 1
    answer: Response | None = None
    item: Callable[[str, bytes], Refused | None] | None = None
    wire: Wire | None = None
    failure_store: Callable[[str, bytes], bool] | None = None


def due(rules: list[Rule]) -> Rule:
    """Take the rule for one request, and forget those that are used up."""
    while rules:
        rule = rules[0]
        if rule.times is None:
            return rule
        if rule.times > 0:
            rule.times -= 1
            return rule
        rules.pop(0)
    return Rule()
