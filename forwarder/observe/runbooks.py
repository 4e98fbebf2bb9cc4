"""Which runbook says more about what the status or `doctor` found. There is one for each alert, in `docs/runbooks`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forwarder.observe.enclosed import root
from forwarder.observe.status_problems import remarks
from forwarder.observe.status_values import cell, count_of, objects, spool_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from forwarder.observe.status_problems import Kind

OF_STATES = {
    ("sources", "retrying"): "AuditForwarderNotReading",
    ("sources", "held"): "AuditForwarderNotReading",
    ("sources", "paused"): "AuditForwarderSpoolFull",
    ("sinks", "retrying"): "AuditForwarderSinkLate",
    ("sinks", "held"): "AuditForwarderSinkHeld",
}
"""By what a component is, and the state that it is in."""

OF_REMARKS: dict[Kind, str] = {
    "event": "AuditForwarderDeadLetters",
    "letters": "AuditForwarderDeadLetters",
    "paused": "AuditForwarderSinkLate",
    "removed": "AuditForwarderUnconfiguredLane",
    "gap": "AuditForwarderEventsMissing",
    "archive": "AuditForwarderArchiveVerify",
}
"""By the kind of a remark."""

OF_LOOKS = {
    "credential_ends": "AuditForwarderKeyExpires",
    "credential_rolled_over": "AuditForwarderKeyExpires",
    "quieter_than_ever": "AuditForwarderQuieter",
}
"""By the kind of a look."""

OF_PARTS = {
    "source": "AuditForwarderNotReading",
    "sink": "AuditForwarderSinkHeld",
    "spool": "AuditForwarderSpoolFull",
    "receiver": "AuditForwarderWebhookRefused",
}
"""By what kind of part `doctor` found something wrong with."""


def runbook_commands(names: Iterable[str]) -> list[str]:
    """Return the command that prints each of them, once."""
    return [f"audit-forwarder docs {name}" for name in dict.fromkeys(filter(None, names))]


def runbook_text(name: str) -> str | None:
    """Return a runbook as Markdown, as it came with the program; None when there is none of this name."""
    found = {path.stem: path for path in root().glob("docs/runbooks/*.md")}
    return found[name].read_text(encoding="utf-8") if name in found else None


def runbooks_of(report: Mapping[str, Any]) -> list[str]:
    """Return the names of those about anything that the JSON of `/status` says is wrong, or worth a look."""
    return list(dict.fromkeys(_found(report)))


def _found(report: Mapping[str, Any]) -> Iterator[str]:
    if report.get("running") is False:
        yield "AuditForwarderDown"
    for kind in ("sources", "sinks"):
        for component in objects(report, kind):
            if name := OF_STATES.get((kind, cell(component.get("state")))):
                yield name
    if any(line.get("balance") for line in objects(report, "books")):
        yield "AuditForwarderBooksOutOfBalance"
    if any(count_of(line, "missing") for line in objects(report, "completeness")):
        yield "AuditForwarderEventsMissing"
    if any(gap.get("state") == "lost" for gap in objects(spool_of(report), "gaps")):
        yield "AuditForwarderEventsLost"
    yield from (OF_REMARKS[each.kind] for each in remarks(report) if each.kind in OF_REMARKS)
    yield from (OF_LOOKS[kind] for look in objects(report, "looks") if (kind := cell(look.get("kind"))) in OF_LOOKS)
