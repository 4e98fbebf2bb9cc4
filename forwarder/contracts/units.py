"""Sizes and durations: how they are read, and the bounds within which they can work.

A size is a number of bytes or text such as `2GiB`; a duration is seconds or text such as `30s`, `7d`, `1h30m`.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from forwarder.contracts.declared import (
    BeforeValidator,
    CoreSchema,
    Field,
    GetCoreSchemaHandler,
    PydanticCustomError,
    core_schema,
)

_UNITS = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)", re.ASCII)
_LONGEST_TEXT = 60


LONGEST = 3650 * 86400.0
"""No duration is longer: what is computed from it still fits every clock."""

LARGEST = 2**60
"""No size is larger: it still fits 64 bits, whatever is added to it."""


def parse_size(value: Any) -> int:
    """Return bytes from a number or text such as `2GiB` or `800KB`."""
    number, factor = value, 1
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d{1,30}(?:\.\d{1,30})?)\s*([A-Za-z]*)\s*", value, re.ASCII)
        number, factor = (float(match[1]) if match else None), _UNITS.get(match[2].upper(), 0) if match else 0
        if match and not match[2] and "." not in match[1]:
            number = int(match[1])
    elif not isinstance(value, int) or isinstance(value, bool):
        number = None
    if number is None or not factor:
        raise PydanticCustomError("size", "not a size; write a number of bytes or text such as 512MiB or 2GiB")
    if number < 0:
        raise PydanticCustomError("size", "a size below zero; write a number of bytes or text such as 512MiB or 2GiB")
    if number > LARGEST / factor:
        raise PydanticCustomError("size", "larger than any machine; write a size such as 512MiB or 2GiB")
    return int(number * factor)


def parse_duration(value: Any) -> float:
    """Return seconds from a number or text such as `30s`, `7d` or `1h30m`."""
    seconds = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if isinstance(value, str) and len(value) <= _LONGEST_TEXT:
        text = value.replace(" ", "").lower()
        parts = _DURATION_PART.findall(text)
        if parts and "".join(number + unit for number, unit in parts) == text:
            seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
        elif re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII):
            seconds = float(text)
    if seconds is None or (isinstance(seconds, float) and math.isnan(seconds)):
        raise PydanticCustomError("duration", "not a duration; write seconds or text such as 30s, 15m, 1h30m or 7d")
    if seconds < 0:
        raise PydanticCustomError("duration", "a time below zero; write seconds or text such as 30s, 15m or 7d")
    if seconds > LONGEST:
        raise PydanticCustomError(
            "duration",
            "longer than {longest}; write seconds or text such as 30s, 15m or 7d",
            {"longest": duration_text(LONGEST)},
        )
    return float(seconds)


class Within:
    """Bounds of a duration or a size, written as people do: `Annotated[Duration, Within("1s", "1d")]`.

    Args:
        lowest: The lowest that can work.
        highest: The highest that can.
        zero: 0 is allowed besides, and the setting's description says what it means.
    """

    def __init__(self, lowest: str, highest: str, *, zero: bool = False) -> None:
        self.lowest, self.highest, self.zero = lowest, highest, zero

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check what the type itself has parsed."""
        parse = parse_size if source is int else parse_duration
        low, high = parse(self.lowest), parse(self.highest)

        def check(value: Any) -> Any:
            if low <= value <= high or (self.zero and value == 0):
                return value
            too = "too small" if parse is parse_size else "too short"
            if value > high:
                too = "too large" if parse is parse_size else "too long"
            raise PydanticCustomError("bounds", "{too}; write {which}", {"too": too, "which": self.words})

        return core_schema.no_info_after_validator_function(check, handler(source))

    @property
    def words(self) -> str:
        """Say what is allowed."""
        return f"{self.lowest} to {self.highest}{', or 0' if self.zero else ''}"


ByteSize = Annotated[
    int, BeforeValidator(parse_size, json_schema_input_type=Annotated[int | str, Field(examples=["512MiB", "2GiB"])])
]
Duration = Annotated[
    float, BeforeValidator(parse_duration, json_schema_input_type=Annotated[float | str, Field(examples=["30s", "7d"])])
]


_SIZES = (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10), ("GB", 10**9), ("MB", 10**6), ("KB", 10**3))
_DURATIONS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))


def size_text(size: int) -> str:
    """Return a number of bytes with the largest unit that leaves no rest."""
    for unit, factor in _SIZES:
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return f"{size}B"


def duration_text(seconds: float) -> str:
    """Return seconds with the largest unit that leaves no rest, such as `7d`, `90s` or `500ms`."""
    milliseconds = round(seconds * 1000)
    if not milliseconds:
        return f"{seconds:g}s"
    unit, factor = next((unit, factor) for unit, factor in _DURATIONS if milliseconds % factor == 0)
    return f"{milliseconds // factor}{unit}"
