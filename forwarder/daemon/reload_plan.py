"""What of a changed configuration can be put in force while the daemon runs, and what needs a restart. Pure.

Sources and sinks are ended and begun anew when anything of theirs has changed; the others are not touched. What is
wired once, at the start, keeps its old settings until the next one, and is named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from forwarder.config.changes import SettingChange, changes
from forwarder.config.references import webhooks_of

if TYPE_CHECKING:
    from forwarder.config.settings import Settings

_AT_START = ("spool", "admin", "receiver", "catalogue", "reports", "index", "verify")
"""Sections that are read once: the spool, the two ports, what actions mean, reports, and what is done with archives."""


class Plan(NamedTuple):
    """What to do.

    Attributes:
        settings: What is in force afterwards.
        changes: Every setting that differs, and which of them wait for a restart.
        sources, sinks: Names of those that are begun, ended, or both, because they differ.
        heartbeat: Whether heartbeats are to begin anew.
    """

    settings: Settings
    changes: list[SettingChange]
    sources: list[str]
    sinks: list[str]
    heartbeat: bool


def plan(old: Settings, new: Settings) -> Plan:
    """Return what to do to get from the settings in force to new ones."""
    receiving = {*webhooks_of(old), *webhooks_of(new)}
    fixed = {name for name in receiving if old.sources.get(name) != new.sources.get(name)}
    sources = {name: config for name, config in new.sources.items() if name not in fixed}
    sources |= {name: config for name, config in old.sources.items() if name in fixed}
    log = new.log.model_copy(update={"format": old.log.format})
    kept = {name: getattr(old, name) for name in _AT_START}
    merged = new.keeping({**kept, "sources": sources, "log": log})
    return Plan(
        merged,
        [_marked(change, fixed) for change in changes(old, new)],
        _differing(old, merged),
        [
            name
            for name in dict.fromkeys([*old.sinks, *merged.sinks])
            if old.sinks.get(name) != merged.sinks.get(name) or old.places != merged.places
        ],
        old.heartbeat != merged.heartbeat,
    )


def _differing(old: Settings, new: Settings) -> list[str]:
    before, after = old.readers, new.readers
    budgets = {name for name in {*old.budgets, *new.budgets} if old.budgets.get(name) != new.budgets.get(name)}
    return [
        name
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name) or (name in after and after[name].budget in budgets)
    ]


def _marked(change: SettingChange, fixed: set[str]) -> SettingChange:
    section, _, rest = change.path.partition(".")
    waits = (
        section in _AT_START or change.path == "log.format" or (section == "sources" and rest.split(".")[0] in fixed)
    )
    return SettingChange(change.path, change.before, change.after, waits)
