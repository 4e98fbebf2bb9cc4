"""What a command printed while a daemon in this process wrote its log to the same place."""

from __future__ import annotations

import json
import re
from typing import Any


def printed_json(text: str) -> Any:
    """Return the JSON object that a command printed, whatever lines of a log stand before and behind it."""
    begin = re.search(r"^\{$", text, re.MULTILINE)
    assert begin is not None, text
    return json.JSONDecoder().raw_decode(text, begin.start())[0]
