"""What `status` says of reading: how long history takes yet, each reader's share of requests, what others use up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forwarder.observe.status_values import cell, duration, is_number, objects

if TYPE_CHECKING:
    from collections.abc import Mapping

_BEHIND = {"backfill": "history", "heal": "a gap", "reconcile": "closed windows again"}
"""By reader, what is read behind live events and has an end that is worth waiting for."""


def reading_lines(report: Mapping[str, Any]) -> list[str]:
    """Return a line for each walk with an end, and one for each source with shares, a shortened re-read, or others."""
    return [line for source in objects(report, "sources") for line in _of_source(source)]


def _of_source(source: Mapping[str, Any]) -> list[str]:
    name, readers = cell(source.get("name")), objects(source, "readers")
    lines = [f"source {name} reads {_BEHIND[str(each.get('reader'))]}{_left(each)}"
             for each in readers if str(each.get("reader")) in _BEHIND]  # fmt: skip
    if lines:
        shares = ", ".join(f"{cell(each.get('cursor'))} {_part(each.get('share'))}" for each in readers)
        pace = source.get("requests_per_minute")
        asked = f"{pace:.0f} requests a minute" if is_number(pace) else "requests"
        lines.append(f"source {name}: {asked}; of the last 200, {shares}")
    if is_number(out := source.get("reread_left_out_seconds")) and out > 0:
        stretch, period = duration(source.get("reread_stretch_seconds")), duration(source.get("reread_period_seconds"))
        lines.append(
            f"source {name} reads the newest {stretch} again, {period} after the time before, and leaves out the "
            f"{duration(out)} before: its request budget carries no more"
        )
    used, limit = source.get("others_share"), source.get("limit")
    if is_number(used) and is_number(limit) and used > 0:
        lines.append(f"source {name}: others used {_part(used)} of the API's limit of {limit:.0f} requests")
    if is_number(foreign := source.get("foreign_limits")) and foreign:
        lines.append(f"source {name}: {foreign} times the API's limit was used up, and not by our requests")
    return lines


def _left(reader: Mapping[str, Any]) -> str:
    log, left = reader.get("log_seconds_left"), reader.get("seconds_left")
    if not is_number(log):
        return ""
    if log <= 0:
        return ", all of it by now; it follows live events until that is sure"
    when = f"complete in {duration(left)} at this pace" if is_number(left) else "how long that takes is not known yet"
    return f", {duration(log)} of it to go: {when}"


def _part(value: Any) -> str:
    return f"{100 * value:.0f} %" if is_number(value) else "-"
