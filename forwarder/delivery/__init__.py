"""From the spool to the sinks: one lane for each of them."""

from forwarder.delivery.lane import Lane
from forwarder.delivery.operated import OperatedLane

__all__ = ["Lane", "OperatedLane"]
