r"""JSON that stands in a text: `"attributes": "{\"status\":\"FAILED\"}"`."""

from __future__ import annotations

from typing import Any

import msgspec

LONGEST = 64 * 1024
"""Characters of a text that is looked into."""

_TWICE = 3
_decode = msgspec.json.Decoder().decode


def looks_like_json(text: str) -> bool:
    """Say whether a text begins as an object, an array or a text of JSON does."""
    return text[:1] in _BEGINS or (text[:1].isspace() and text.lstrip()[:1] in _BEGINS)


def unpacked(value: Any) -> Any:
    """Return the object or array whose JSON a text is; anything else stays as it is."""
    found = value
    for _ in range(_TWICE):
        if type(found) is not str or not found or len(found) > LONGEST or not looks_like_json(found):
            break
        try:
            found = _decode(found)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return value
    return found if type(found) is dict or type(found) is list else value


_BEGINS = frozenset({"{", "[", '"'})
