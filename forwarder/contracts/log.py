"""Where every room has its loggers from. How lines look, and where they go, is `observe`'s."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from forwarder.contracts.imports import without

if TYPE_CHECKING:
    from types import ModuleType


def get_logger(*name: str) -> Any:
    """Return a logger of structlog, with the settings that hold when it writes; default: named as the module that asks.

    The first call imports structlog.
    """
    return structlog_alone().get_logger(*name)


def structlog_alone() -> ModuleType:
    """Return structlog, imported without rich: that would only show tracebacks on a terminal, and takes 40 ms."""
    if "structlog" not in sys.modules:
        with without("rich"):
            import structlog  # noqa: PLC0415 -- in the block
    import structlog  # noqa: PLC0415 -- waits for another thread that imports it just now

    return structlog
