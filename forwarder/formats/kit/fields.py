"""What a sink's `fields` may do to the records of a format, checked once at the start.

A format says by `Rules` which names it has, which must stay, and what a new name may look like. Formats of names and
values take the checked template as `Pieces`; those of JSON are wrapped (`json_template`). Constants and names come
from the configuration only, values from events only; both are escaped like any other.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from forwarder.contracts import ConfigError, FieldsConfig
from forwarder.formats.kit.shortening import Need, Piece

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

LONGEST_CONSTANT = 255


class Rules(NamedTuple):
    """What a template may do to a format.

    Attributes:
        known: Every name there is; None where the source decides that.
        mandatory: Names that stay as they are.
        name: What a new name must look like.
        example: Such a name.
        dotted: Names are paths into an object, joined by dots.
        reserved: Names that are no field of ours, and that no one may give to one.
    """

    known: frozenset[str] | None
    mandatory: frozenset[str]
    name: re.Pattern[str]
    example: str
    dotted: bool = False
    reserved: frozenset[str] = frozenset()


def check(changes: FieldsConfig, rules: Rules) -> None:
    """Raise ConfigError, naming the fix, for what would forge, hide or double a field."""
    new = [*changes.rename.values(), *changes.add]
    old = [*changes.rename, *changes.drop]
    for name in old:
        _check_old(name, rules)
    for name in new:
        _check_new(name, rules)
    for name, other in _pairs(new):
        if _meet(name, other, rules):
            raise ConfigError(f"fields: {name} and {other} would be one field; choose another name for one of them")
    for name, other in _pairs(old):  # what is renamed out of a dropped object is kept
        if name == other or any(
            _under(inner, outer, rules) and outer in changes.rename for inner, outer in ((name, other), (other, name))
        ):
            raise ConfigError(f"fields: {name} and {other} are both renamed or dropped, and overlap; keep one of them")
    for name, value in changes.add.items():
        if isinstance(value, str) and (not value.isprintable() or value != value.strip() or not value):
            raise ConfigError(f"fields.add: {name} must be a text on one line without blanks around it; change it")
        if isinstance(value, str) and len(value) > LONGEST_CONSTANT:
            raise ConfigError(f"fields.add: {name} is longer than {LONGEST_CONSTANT} characters; shorten it")


def _check_old(name: str, rules: Rules) -> None:
    stays = next((one for one in sorted(rules.mandatory) if _meet(name, one, rules)), None)
    if stays is not None:
        raise ConfigError(f"fields: {stays} must stay as it is in every record; leave {name} out of rename and drop")
    if rules.known is None or name in rules.known:
        return
    near = get_close_matches(name, rules.known, n=1, cutoff=0.5)
    guess = f"did you mean {near[0]}? " if near else ""
    raise ConfigError(f"fields: the format has no {name}; {guess}`audit-forwarder docs formats` lists what there is")


def _check_new(name: str, rules: Rules) -> None:
    if not rules.name.fullmatch(name):
        raise ConfigError(f"fields: {name!a} cannot be a name in this format; write one such as {rules.example}")
    if any(name.casefold() == one.casefold() for one in rules.reserved):
        raise ConfigError(f"fields: {name} has a meaning of its own in this format; choose another name")
    known = rules.known if rules.known is not None else rules.mandatory
    taken = next((one for one in sorted(known) if one.casefold() == name.casefold()), None)
    if taken is None and rules.dotted and rules.known is not None:
        parents = {one.rpartition(".")[0] for one in known}
        taken = next((one for one in sorted(known) if _under(name, one, rules) and one not in parents), None)
    if taken is None and rules.known is None:
        taken = next((one for one in sorted(known) if _meet(one, name, rules)), None)
    if taken == name:
        raise ConfigError(f"fields: {name} is a field already; choose another name")
    if taken is not None:
        raise ConfigError(f"fields: {name} would stand in the place of {taken}; choose another name")


def _under(name: str, other: str, rules: Rules) -> bool:
    """Say whether `name` lies within `other`."""
    return rules.dotted and name.startswith(f"{other}.")


def _meet(name: str, other: str, rules: Rules) -> bool:
    return name.casefold() == other.casefold() or _under(name, other, rules) or _under(other, name, rules)


def _pairs(names: Sequence[str]) -> Iterable[tuple[str, str]]:
    return ((name, other) for place, name in enumerate(names) for other in names[:place])


def text_of(value: str | float) -> str:
    """Return a constant as text: truth values as JSON has them."""
    return str(value).lower() if isinstance(value, bool) else str(value)


class Pieces:
    """A template for records of names and values in a row.

    Args:
        changes: What was configured.
        rules: What the format allows.
        before: What stands in front of a value, by name.
        opens: Makes that of a new name.
        plain: Makes a text fit for the format; a constant that it would change is refused.

    Raises ConfigError for what `check` refuses.
    """

    def __init__(
        self,
        changes: FieldsConfig,
        rules: Rules,
        before: Mapping[str, str],
        opens: Callable[[str], str],
        plain: Callable[[str], str],
    ) -> None:
        check(changes, rules)
        self._renamed = {before[old]: opens(new) for old, new in changes.rename.items()}
        self._dropped = {before[name] for name in changes.drop}
        self._added = [Piece(opens(name), text_of(value), Need.WHOLE) for name, value in changes.add.items()]
        unfit = next((piece for piece in self._added if plain(piece.text) != piece.text), None)
        if unfit is not None:
            raise ConfigError(f"fields.add: this format cannot carry {unfit.text!a}; write it with letters and digits")

    def apply(self, pieces: Iterable[Piece]) -> list[Piece]:
        """Return the pieces without what is dropped, under their new names, and the constants behind them."""
        renamed, dropped = self._renamed, self._dropped
        kept = [
            piece._replace(before=renamed.get(piece.before, piece.before))
            for piece in pieces
            if piece.before not in dropped
        ]
        return kept + self._added
