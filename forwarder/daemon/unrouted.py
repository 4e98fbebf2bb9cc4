"""Events that the filters of all sinks leave out: counted for their source, and said once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.contracts.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from forwarder.observe.reports import SourceReport


def counts_unrouted(reports: Mapping[str, SourceReport]) -> Callable[[str, int], None]:
    """Return what counts such events in the report of their source, and names each source once in the log."""
    named: set[str] = set()

    def count(source: str, number: int) -> None:
        if source not in named:
            named.add(source)
            get_logger().warning(
                "events_match_no_sink",
                source=source,
                fix="Their place, site or action is in no sink's include; name it there, unless no one is to get them.",
            )
        if (report := reports.get(source)) is not None:
            report.unrouted += number

    return count
