"""What the daemon has done with archives, again and again."""

from __future__ import annotations

from typing import Annotated

from forwarder.contracts.settings import ByteSize, ComponentConfig, Duration, Within


class IndexConfig(ComponentConfig):
    """The index of each archive, from which `investigate` answers quickly; it only saves time."""

    every: Annotated[Duration, Within("10s", "7d")] | None = None
    """How often to bring it up to date, by a process of its own; by default `investigate index` does, when you
    run it. Needs the extra `investigate`."""
    memory: Annotated[ByteSize, Within("64MB", "16GB")] = 256_000_000
    """Memory of DuckDB while it sorts; the process takes some 150 MB besides."""


class VerifyConfig(ComponentConfig):
    """The check of each archive: is everything there as it was written?"""

    every: Annotated[Duration, Within("1h", "31d")] | None = None
    """How often to check all of it, by a process of its own that reads the whole archive; by default `archive verify`
    does, when you run it."""
