"""The search that lists the ids of what Splunk has, for a person to run and export."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from forwarder.contracts import Held, Origin

if TYPE_CHECKING:
    from sinks.splunk_hec.settings import Choice, SplunkHecConfig

_DAY = 86_400


def spl(config: SplunkHecConfig, origin: Origin, day: str) -> str:
    """Return a search over the indexed field `document_id`, in every index that events of the source may be in.

    Raises Held when they have no such field.
    """
    if config.endpoint == "raw" or "document_id" not in config.indexed_fields:
        raise Held(
            "Events are sent without the indexed field document_id.",
            fix="Use endpoint: event, and keep document_id in indexed_fields; older events cannot be listed by id.",
            kind="other",
        )
    names = _names(config.index) | (_names(config.late.index) if config.late.index is not None else set())
    indexes = " OR ".join(f"index={name}" for name in sorted(names))
    begin = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) if day else 0
    bounds = f" earliest={begin} latest={begin + _DAY}" if day else ""
    scope = origin.organization or origin.site
    organization = f' organization="{scope}"' if origin.organization and "organization" in config.indexed_fields else ""
    return f"| tstats count where ({indexes}){organization}{bounds} by document_id"


def _names(choice: Choice | None) -> set[str]:
    """Return the names of indexes, with a star for what depends on the event."""
    texts = choice.values() if isinstance(choice, dict) else [choice or "*"]
    return {re.sub(r"\{\w+\}", "*", text) for text in texts}
