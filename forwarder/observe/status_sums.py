"""What `status` says of the whole: how full the spool is, whether the books balance, whether anything is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forwarder.observe.status_problems import strangers, waits
from forwarder.observe.status_values import (
    age,
    audit_books,
    cell,
    count_of,
    duration,
    is_number,
    objects,
    size,
    spool_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_SUMS = ("spooled", "accepted", "rejected", "filtered", "detached", "waiting")


def is_running(report: Mapping[str, Any]) -> bool:
    """Tell whether a daemon gave this report; an older one says nothing of it."""
    return report.get("running") is not False


def spool_lines(report: Mapping[str, Any]) -> list[str]:
    """Return how full the spool is and, when it matters, when it will be."""
    spool = spool_of(report)
    if not spool:
        return ["spool: not open"]
    used, limit, hours = spool.get("bytes_used"), spool.get("bytes_max"), spool.get("hours_left")
    share = f" ({100 * used / limit:.0f} %)" if is_number(used) and is_number(limit) and limit else ""
    ids = f"{size(spool.get('id_bytes'))} of {size(spool.get('id_bytes_max'))}"
    pages, path = cell(spool.get("pages")), cell(spool.get("path"))
    lines = [f"spool: {size(used)} of {size(limit)}{share}; {pages} pages; ids {ids}; {path}"]
    if is_number(hours) and is_running(report) and any(map(waits, (*objects(report, "sinks"), *strangers(report)))):
        lines.append(
            f"spool: full in {duration(hours * 3600)} if every sink stopped now and events came in as in the last hour"
        )
    return lines


def books_line(report: Mapping[str, Any]) -> str:
    """Return whether the books balance, and their sums."""
    books = objects(report, "books")
    if not books:
        return "books: nothing in them yet"
    wrong = sum(bool(line.get("balance")) for line in books)
    if wrong:
        return f"books: {wrong} of {len(books)} lines DO NOT BALANCE; events are lost or invented, see above"
    books = audit_books(report)
    sums = {key: sum(count_of(line, key) for line in books) for key in _SUMS}
    sinks = len({cell(line.get("sink")) for line in books})
    count = "" if sinks == 1 else f", each event counted for each of {sinks} sinks"
    return (
        f"books: balanced{count}: {sums['spooled']} to deliver = accepted {sums['accepted']} + rejected "
        f"{sums['rejected']} + filtered {sums['filtered']} + detached {sums['detached']} + waiting {sums['waiting']}"
    )


def completeness_line(report: Mapping[str, Any]) -> str:
    """Return what the verdict of `reconcile` comes to; nothing before it was given, and while no daemon runs."""
    lines = objects(report, "completeness")
    if not lines:
        return ""
    expected, missing = (sum(count_of(line, key) for line in lines) for key in ("expected", "missing"))
    days = max(count_of(line, "incomplete_days") for line in lines)
    ages = [moment for row in objects(report, "read_again") if is_number(moment := row.get("up_to_age_seconds"))]
    again = f"; all was read again up to {duration(max(ages))} ago" if ages else ""
    if missing or days:
        return (
            f"complete: INCOMPLETE, {missing} of {expected} missing, {days} days with a gap: audit-forwarder reconcile"
        )
    return f"complete: nothing of {expected} that the logs showed is missing{again}"


def archive_lines(report: Mapping[str, Any]) -> list[str]:
    """Return what the last check of each archive found that is checked again and again."""
    lines = []
    for check in objects(report, "checks"):
        checked = age(check.get("checked_age_seconds"), "")
        found = count_of(check, "findings")
        said = f"{found} things NOT as they were written" if found else "everything as it was written"
        lines.append(
            f"archive of {cell(check.get('sink'))}: {said} when it was checked last, {checked}"
            if checked
            else f"archive of {cell(check.get('sink'))}: not checked to its end yet"
        )
    return lines
