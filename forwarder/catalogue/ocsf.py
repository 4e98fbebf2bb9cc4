"""The classes of OCSF that acts are put in: `ocsf_classes.toml`, looked up."""

from __future__ import annotations

from functools import cache

import msgspec

from forwarder.catalogue import read_table

BASE = 0
"""The class of what fits no other."""

OTHER = 99


class OcsfClass(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One class.

    Attributes:
        name: Its caption.
        category: Number and caption of its category.
        activities: Captions of its activities.
        profile: The profile that gives it an `actor`, where it has none of its own.
    """

    name: str
    category: tuple[int, str]
    activities: dict[int, str]
    profile: str | None = None


@cache
def ocsf_classes() -> dict[int, OcsfClass]:
    """Return the classes by their number."""
    return msgspec.convert(read_table("ocsf_classes.toml"), dict[int, OcsfClass], strict=False)


def type_uid(class_uid: int, activity_id: int) -> int:
    """Return the number of an activity among those of all classes."""
    return class_uid * 100 + activity_id


def class_and_activity(class_uid: int, activity_id: int) -> str:
    """Return the names of both, for people: `Authentication: Logon`."""
    found = ocsf_classes()[class_uid]
    return f"{found.name}: {found.activities[activity_id]}"
