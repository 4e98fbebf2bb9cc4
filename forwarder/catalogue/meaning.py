"""What an action means, whichever layer of the catalogue says so."""

from __future__ import annotations

from typing import Literal

import msgspec

Layer = Literal["local", "attested", "organization", "words", "unknown"]
Outcome = Literal["success", "failure", "unknown"]


class Meaning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The meaning of one action. An absent fact is None or empty.

    Attributes:
        name: Display name.
        product: Whose act it is, proved by the id or the group; `admin` is the organization's own administration.
        presumed: The same where only the display name or the thing speaks for it: what a site says outranks it.
        act: What is done: view, create, change, delete, login, grant ….
        object: The thing it is done to: page, issue, permission ….
        category: ECS `event.category`.
        types: ECS `event.type`.
        outcome: `success` only where the action names a completed act, `failure` where it names a failed one.
        failure: Why it failed, where the display name says so.
        severity: 0 (unknown) to 10; the severity of CEF as well.
        reason: Why that severity.
        admin: Severity at least where a group or role that is named is one of administrators.
        ocsf_class: Class of OCSF 1.8.0, 0 where none is claimed.
        ocsf_activity: Activity within the class; 99 is Other.
        target: What a context entry of type user is.
        layer: Which part of the catalogue decided.
    """

    name: str | None = None
    product: str | None = None
    presumed: str | None = None
    act: str | None = None
    object: str | None = None
    category: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    outcome: Outcome = "unknown"
    failure: str | None = None
    severity: int = 0
    reason: str | None = None
    admin: int | None = None
    ocsf_class: int = 0
    ocsf_activity: int = 0
    target: Literal["target", "impersonated"] = "target"
    layer: Layer = "attested"


UNKNOWN = Meaning(layer="unknown")
