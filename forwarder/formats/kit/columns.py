"""What a record of names and values in a row is made of: every name with its fact, its meaning, and what may be cut.

Each format of that kind has one table, in the order of a record. In a record that is too long, those of equal need go
from the end. Names are part of what people search by: they are never changed, only added to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forwarder.formats.kit.shortening import Need


class Column(NamedTuple):
    """One name.

    Attributes:
        fact: What its value says, by the name that `NamedFacts` and `action_facts` have for it.
        name: As it stands in a record.
        need: What happens to it in a record that is too long.
        meaning: One line for people.
        longest: Characters of its value, where the format sets a limit; else 0.
        label: What stands in an attribute of its own beside it, always the same.
    """

    fact: str
    name: str
    need: Need
    meaning: str
    longest: int = 0
    label: str = ""


class Table:
    """The columns of a format.

    Args:
        columns: In the order of a record.
        opens: What stands in front of a value, by name: between the value before and this one.

    Attributes:
        before: The same by fact, so that names and values in turns need only be joined.
        by_name: The same by name.
        columns: Every column by what stands in front of its value.
    """

    def __init__(self, columns: Sequence[Column], opens: Mapping[str, str]) -> None:
        self.before = {one.fact: opens[one.name] for one in columns}
        self.by_name = dict(opens)
        self.columns = {opens[one.name]: one for one in columns}
