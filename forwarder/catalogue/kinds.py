"""What an act done to a kind of thing is in ECS and OCSF, and how severe: `kinds.toml`, looked up."""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from forwarder.catalogue.meaning import Layer, Meaning, Outcome

Person = Literal["user", "group", ""]

_WHY = re.compile(r".*\(([^()]* [^()]*)\)")
"""A display name that ends with a reason in brackets: "failed installation (unsupported protocol)". One word in
brackets is none: "login failed(SSH)" says which way."""


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One act done to one kind of thing, as it stands in the file."""

    ecs: str
    ocsf: str
    severity: int
    why: str
    failed: int | None = None
    admin: int | None = None
    act: str | None = None
    thing: str | None = None
    people: bool = False
    target: Literal["target", "impersonated"] = "target"

    @property
    def category(self) -> tuple[str, ...]:
        """ECS `event.category`."""
        return (self.ecs.partition(":")[0],)

    def types(self, person: Person = "") -> tuple[str, ...]:
        """Return ECS `event.type`, with whom it is done to where that belongs there."""
        first, *rest = self.ecs.partition(":")[2].split("+")
        return (first, person, *rest) if person and self.people else (first, *rest)


class Power(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The words by which a group or role is one of administrators, and why that weighs more."""

    names: frozenset[str]
    why: str


class Kinds:
    """The lines by kind and act."""

    def __init__(self, tables: dict[str, Any]) -> None:
        self.power = msgspec.convert(tables.pop("power", {"names": (), "why": ""}), Power)
        self._like = msgspec.convert(tables.pop("like", {}), dict[str, str])
        self._lines = msgspec.convert(tables, dict[str, dict[str, Line]])
        self._any = self._lines["any"]

    def line(self, kind: str | None, act: str, *, exact: bool = False, verb: str | None = None) -> Line | None:
        """Return what `act`, said by `verb`, means for `kind`; with `exact`, the kind's `*` is no answer."""
        own, like = self._lines.get(kind or "", {}), self._lines.get(self._like.get(kind or "", ""), {})
        line = own.get(f"{act} by {verb}") or own.get(act) or like.get(act) or self._any.get(act)
        return line or (None if exact else own.get("*") or like.get("*"))

    def meaning(
        self, line: Line, *, act: str, thing: str | None, outcome: Outcome, layer: Layer, person: Person = "",
        name: str | None = None, product: str | None = None,
    ) -> Meaning:  # fmt: skip
        """Return the meaning that a line gives."""
        ocsf_class, _, activity = line.ocsf.partition("/")
        failed = line.failed if outcome == "failure" else None
        return Meaning(
            name=name,
            product=product,
            act=line.act or act,
            object=line.thing or thing,
            category=line.category,
            types=line.types(person),
            outcome=outcome,
            failure=why[1] if outcome == "failure" and (why := _WHY.fullmatch(name or "")) else None,
            severity=line.severity if failed is None else failed,
            reason=line.why if failed is None else "it failed",
            ocsf_class=int(ocsf_class),
            ocsf_activity=int(activity),
            target=line.target,
            admin=line.admin,
            layer=layer,
        )
