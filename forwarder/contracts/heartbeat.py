"""What tells an event of our own from those of audit logs: constants that are part of ids and searches, and frozen."""

from __future__ import annotations

from forwarder.contracts.page import Origin

HEARTBEAT = "heartbeat"
"""The feed of heartbeats."""

HEARTBEATS = Origin(source="(heartbeat)", feed=HEARTBEAT, organization="audit-forwarder")
"""Where they come from; no source can be configured under this name."""


def is_heartbeat(identity: str) -> bool:
    """Tell by its identity whether a source of the spool is that of heartbeats: its events are of no audit log."""
    return identity.partition(":")[0] == HEARTBEAT
