"""What kind of account someone is, where an event states it: a person, an app, an agent, a service account or nobody.

Feeds state it by the type of an account or of an actor (`accountType`, `author.type`, `app.type`), in words of their
own and in any spelling: `rovo-agent`, `AI_AGENT`, `serviceAccount`. A word that is not known states nothing, and
neither does a name: everybody may call himself `Deploy bot`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from forwarder.normalize.singulars import singular

if TYPE_CHECKING:
    from forwarder.contracts import ActorKind

LONGEST = 64
"""Characters of a type; a longer one is no word."""

SERVICE_ACCOUNTS = "@serviceaccount.atlassian.com"
"""End of the addresses that Atlassian gives to service accounts, and to nobody else."""

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W_A-Z]+")

_WHOLE: dict[str, ActorKind] = {
    "atlassian": "person",
    "customer": "person",
    "human": "person",
    "person": "person",
    "service": "service_account",
    "service_account": "service_account",
    "serviceaccount": "service_account",
    "service_user": "service_account",
    "add_on": "app",
    "system": "system",
    "anonymous": "anonymous",
}
_LAST: dict[str, ActorKind] = {"agent": "agent", "app": "app", "application": "app", "addon": "app", "plugin": "app"}
"""Kinds by the last word of a type: `rovo-agent`, `forge_app`."""

_PEOPLE_BEFORE = frozenset({"user", "support", "service", "jsm", "human", "customer", "desk"})
"""Words before `agent` that make it a browser, or a person who answers requests."""


@lru_cache(1024)
def kind_of_account(type_: str) -> ActorKind | None:
    """Return the kind of account that a type states, or None when it states none that is known."""
    words = [word.lower() for word in _WORDS.findall(type_)] if len(type_) <= LONGEST else []
    if not words:
        return None
    words[-1] = singular(words[-1])
    whole = _WHOLE.get("_".join(words)) or ("service_account" if words[-2:] == ["service", "account"] else None)
    if whole is not None:
        return whole
    kind = _LAST.get(words[-1])
    if kind == "agent" and len(words) > 1 and words[-2] in _PEOPLE_BEFORE:
        return None
    return kind


def kind_stated(*types: str | None) -> ActorKind | None:
    """Return the kind that the first of several types states which states any."""
    return next((kind for type_ in types if type_ and (kind := kind_of_account(type_)) is not None), None)
