"""The page of the actions: everything the catalogue knows, with its meaning, and how far the rules reach beyond it."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from docs.markdown import code, table
from forwarder.catalogue import Catalogue, load_catalogue
from forwarder.catalogue.known import LISTS, groups
from forwarder.catalogue.ocsf import class_and_activity

if TYPE_CHECKING:
    from forwarder.catalogue.known import Group, Listed
    from forwarder.catalogue.meaning import Meaning

INTRO = """What every publicly known action means. How an action that is not here gets its meaning:
[catalogue.md](../catalogue.md). One action or event: `audit-forwarder catalogue explain`.

- *does*: what is done to what; `event.code` in ECS is the same the other way round (`page.view`).
- *ECS*: `event.category: event.type`; *OCSF*: class and activity of 1.8.0 with their numbers. An event
  that does not name what the class requires gets another one: [formats](formats.md#ocsf).
- *severity*: 1 to 10, in ECS as `event.severity`, in CEF as the severity of the header, in LEEF as `sev`. The class id
  of CEF and the event id of LEEF are the id of the action.
- *known*: `confirmed` a whole event is published, `seen` in public code, `name` in Atlassian's list of activities, with
  no id published: it counts where the organization's own list gives an id that name; `literal` the text itself was
  seen; `label` a heading of the documentation, which the API may word otherwise.
"""
TITLES = {
    "organization": "Organization audit log",
    "jira": "Jira audit log (Cloud)",
    "confluence": "Confluence audit log (Cloud)",
    "datacenter": "Audit logs of Data Center",
}
GROUPS = """An action of one of these that nothing else explains is about that, and no more is said: its type is `info`,
its outcome unknown, its class of OCSF none."""
HEAD = ("Action", "Group", "Product", "Does", "ECS", "OCSF", "Outcome", "Severity", "Known")


def actions() -> str:
    """Return coverage, then a table for each list."""
    catalogue = load_catalogue()
    parts = [INTRO, "## Coverage", "", coverage(catalogue)]
    for name in LISTS:
        rows = [_row(line, meaning) for line, meaning in catalogue.records.lines(name)]
        parts += ["", f"## {TITLES[name]}", "", table(HEAD, rows)]
    rows = [_group_row(group) for group in groups()]
    parts += ["", "## Categories of Data Center whose actions are not published", "", GROUPS, "", table(HEAD, rows)]
    return "\n".join(parts)


def _group_row(group: Group) -> list[str]:
    ecs = f"{', '.join(group.meaning.category)}: {', '.join(group.meaning.types)}"
    severity = f"{group.severity}: {group.why}"
    title = code(group.id) if group.id else "any"
    return [
        title,
        group.group,
        group.product,
        f"? {group.object}".strip(),
        ecs,
        "-",
        "unknown",
        severity,
        group.evidence,
    ]


def coverage(catalogue: Catalogue) -> str:
    """Return how many actions are known, and what the rules say of them when they may not look them up, by product."""
    counts: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for name in LISTS:
        for line, record in catalogue.records.lines(name):
            found = catalogue.grammar.meaning(line.name or line.id, line.group)
            same = (found.act, found.category, found.types) == (record.act, record.category, record.types)
            same = same and found.outcome in {record.outcome, "unknown"}
            counts[name, line.product]["right" if same else "unknown" if not found.category else "wrong"] += 1
    rows = [[name, product, *_numbers(found)] for (name, product), found in counts.items()]
    rows.append(["**all**", "", *_numbers(sum(counts.values(), Counter()))])
    head = ("List", "Product", "Known", "of these by rule alone: right", "unknown", "wrong")
    return (
        "An action that is listed below has a record, and the record decides. The right half of the table says what\n"
        "the rules of language would make of it without the record. The rules were written with these lists at hand;\n"
        "lists of other texts, labelled beforehand, and how the rules first did on them, are in tests/catalogue.\n\n"
        + table(head, rows)
    )


def _numbers(found: Counter[str]) -> list[str]:
    total = found.total()
    return [str(total), f"{found['right']} ({found['right'] / total:.0%})", str(found["unknown"]), str(found["wrong"])]


def _row(line: Listed, meaning: Meaning) -> list[str]:
    title = ", ".join(filter(None, (code(line.id) if line.id else "", line.name)))
    ecs = f"{', '.join(meaning.category)}: {', '.join(meaning.types)}"
    ocsf = meaning.ocsf_class, meaning.ocsf_activity
    return [
        title,
        line.group or "-",
        line.product,
        f"{meaning.act} {meaning.object}",
        ecs,
        f"{class_and_activity(*ocsf)} ({ocsf[0]}/{ocsf[1]})",
        meaning.outcome,
        f"{meaning.severity}: {meaning.reason}",
        line.evidence,
    ]
