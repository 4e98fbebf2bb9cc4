"""Places and addresses as JSON formats write them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import msgspec

_COORDINATES = re.compile(r"(-?[0-9]{1,3}(?:\.[0-9]{1,12})?), ?(-?[0-9]{1,3}(?:\.[0-9]{1,12})?)", re.ASCII)


def coordinates(geo: str) -> msgspec.Raw | None:
    """Return `geo` as an ECS geo point when it is `latitude,longitude`, else None."""
    found = _COORDINATES.fullmatch(geo)
    if found is None:
        return None
    latitude, longitude = float(found[1]), float(found[2])
    if abs(latitude) > 90 or abs(longitude) > 180:
        return None
    return msgspec.Raw(msgspec.json.encode({"lat": latitude, "lon": longitude}))


def domain(start: str) -> str | None:
    """Return the host of an address of the web, given at least its scheme and authority."""
    try:
        return (urlsplit(start).hostname or "").rstrip(".") or None
    except ValueError:
        return None
