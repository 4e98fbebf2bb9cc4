"""What to change when a sink refuses events: a table from the reason of a dead letter to advice.

The reasons that the engine itself gives stand here; a sink brings those of its own as `advice`, beside the code that
gives them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.contracts import SinkTraits
from forwarder.contracts.errors import ConfigError
from forwarder.registry import SINKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forwarder.contracts import SinkConfig

ADVICE: dict[str, str] = {
    "not_understood": (
        "The event has a shape that its format or a filter cannot read. Give the sink the format raw and no filter on "
        "meaning, or report the event: a release that understands it maps it again when you retry."
    ),
    "not_json": (
        "The bytes are not JSON that readers take, so the format raw cannot pass them on. A format that writes "
        "the event's meaning (ecs, ocsf, cef) carries what can be read of it: give the sink one of these and retry, or "
        "export the event."
    ),
    "field_in_use": (
        "The event already has a field of the name that this sink's `fields` setting gives. Choose another name there, "
        "restart the forwarder, then retry."
    ),
    "too_large": (
        "The event is longer than the sink takes. Raise the limit at the destination, or shorten what the sink is sent "
        "with another format; then retry. Else export it and keep it elsewhere."
    ),
    "not_taken": (
        "The destination failed on this event alone, again and again, while it took others. See its own log, and that "
        "of any proxy or web application firewall before it, which may take the text of the event for an attack; allow "
        "the event there, then retry."
    ),
    "line_break": (
        "The rendered event held a line end, which would forge a second event. Report it: that is a fault of ours."
    ),
    "blank": "The rendered event is empty. Report it: that is a fault of ours; the event itself is kept here.",
}
"""By reason, for every sink."""

UNKNOWN = "Read the answer, fix its cause at the destination or in this sink's settings, then retry."
"""For a reason without advice of its own."""


def advice_for(reason: str, sink: SinkConfig | None) -> str:
    """Return what to do about a reason; `sink` is None when it is no longer configured."""
    own: Mapping[str, str] = {}
    if sink is not None:
        try:
            own = SinkTraits.of(SINKS.load(sink.type)).advice
        except ConfigError:
            own = {}
    return own.get(reason) or ADVICE.get(reason) or UNKNOWN
