"""Moments of the command line: as people write and read them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from forwarder.config.problems import Problem
from forwarder.contracts.moments import utc

if TYPE_CHECKING:
    from collections.abc import Mapping

SHAPES = "write 2h or 7d for so long ago, or a time such as 2026-01-31T12:00:00Z"
"""What `parse` reads, as the fix of what is not."""


def parse(value: str | None, now: float) -> int | None:
    """Return epoch milliseconds of a time, or of so long ago. Raises ValueError."""
    from pydantic_core import PydanticCustomError  # noqa: PLC0415 -- its neighbours are imported late too

    from forwarder.contracts.units import parse_duration  # noqa: PLC0415

    if value is None:
        return None
    try:
        return int((now - parse_duration(value)) * 1000)
    except PydanticCustomError:
        moment = dt.datetime.fromisoformat(value)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp() * 1000)


def parse_options(options: Mapping[str, str | None], now: float, problems: list[Problem]) -> dict[str, int | None]:
    """Return epoch milliseconds of the options that are times, by name; what is not is added to the problems."""
    times: dict[str, int | None] = {}
    for name, value in options.items():
        try:
            times[name] = parse(value, now)
        except (ValueError, OverflowError):
            problems.append(Problem(name, "not a time", SHAPES))
    return times


def minute(at_ms: int | None) -> str:
    """Return a moment in UTC for people, or `-`."""
    moment = None if at_ms is None else utc(at_ms / 1000)
    return "-" if moment is None else f"{moment:%Y-%m-%d %H:%M}Z"
