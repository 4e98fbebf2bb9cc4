"""Events for one sink alone: whether it will take them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.contracts.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forwarder.contracts import SinkConfig
    from forwarder.spool.contract import Spool


async def check_audience(spool: Spool, sinks: Mapping[str, SinkConfig], sink: str) -> None:
    """Refuse what a sink would never take. Raises ConfigError.

    A lane that begins later than with the oldest event passes over what is in the spool by then, also what is for it
    alone.
    """
    config = sinks.get(sink)
    if config is None:
        raise ConfigError(f"sinks.{sink}: not configured; the sinks are: {', '.join(sinks)}")
    if config.start in {None, "oldest", "continue"}:
        return
    lanes = (await spool.status()).lanes
    if not any(lane.name == sink and lane.forgotten_ms is None for lane in lanes):
        raise ConfigError(
            f"sinks.{sink}: it has not begun yet, and where it begins ({config.start}) is behind what would come now. "
            "Let the daemon run with it first, and then try again"
        )
