"""From the spool to the sinks: one lane for each of them."""

from forwarder.delivery.lane import Lane

__all__ = ["Lane"]
