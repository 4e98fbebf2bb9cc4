"""The admin port, tried for a moment: `run` ends when it cannot be had."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from forwarder.admin import probe
from forwarder.config.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forwarder.config.settings import Settings


def taken_port(settings: Settings) -> Iterator[Problem]:
    """Yield a problem when nothing could listen there now; the daemon of this spool may hold it."""
    for finding in asyncio.run(probe.examine(settings.admin, settings.spool.path)):
        if not finding.ok:
            yield Problem("admin.listen", finding.detail, finding.fix[:1].lower() + finding.fix[1:].rstrip("."))
