"""What an action means, whichever layer of the catalogue says so."""

from __future__ import annotations

from typing import Literal

import msgspec

Layer = Literal["attested", "organization", "words", "unknown"]
Outcome = Literal["success", "failure", "unknown"]


class Meaning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The meaning of one action. An absent fact is None or empty.

    Attributes:
        name: Display name.
        product: Whose act it is.
        act: What is done: view, create, change, delete, login, grant ….
        object: Kind of thing it is done to.
        category: ECS `event.category`.
        types: ECS `event.type`.
        outcome: `success` only where the action names a completed act, `failure` where it names a failed one.
        severity: 0 (unknown) to 10.
        target: What a context entry of type user is.
        layer: Which part of the catalogue decided.
    """

    name: str | None = None
    product: str | None = None
    act: str | None = None
    object: str | None = None
    category: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    outcome: Outcome = "unknown"
    severity: int = 0
    target: Literal["target", "impersonated"] = "target"
    layer: Layer = "attested"


UNKNOWN = Meaning(layer="unknown")
