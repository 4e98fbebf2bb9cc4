"""Settings of the spool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from forwarder.contracts.declared import BeforeValidator, Field, PydanticCustomError
from forwarder.contracts.settings import ByteSize, ComponentConfig, Duration, Within


def _file(value: Any) -> Any:
    problem = ""
    if not isinstance(value, str):
        return value
    if not value.strip():
        problem = "empty; name a file, such as state/spool.db"
    elif value.endswith("/") or value in {".", ".."}:
        problem = "a folder; name a file in it, such as state/spool.db"
    elif value.startswith((":memory:", "file:")):
        problem = "not the path of a file; the spool outlives the process, so name a file such as state/spool.db"
    if problem:
        raise PydanticCustomError("path", "{problem}", {"problem": problem})
    return value


class SpoolConfig(ComponentConfig):
    """The spool: one SQLite file on a local disk, owned by one process."""

    path: Annotated[Path, BeforeValidator(_file)] = Path("state/spool.db")
    """File of the spool; never on a network file system. Beside it are `-wal`, `.lock`, `.reserve`, `.sock`."""
    max_bytes: Annotated[ByteSize, Within("1MiB", "16TiB")] = 2 * 2**30
    """Most bytes of events; at the limit each sink's `on_full` decides. One page is always taken."""
    retain: Annotated[Duration, Within("10ms", "3650d", zero=True)] = 86_400.0
    """How long events stay after every sink settled them; the first to go when the spool is full. 0 keeps none."""
    id_retention: Annotated[Duration, Within("10ms", "3650d")] = 14 * 86_400.0
    """How long ids are remembered after they were written, so that events read again are recognised."""
    id_max_bytes: Annotated[ByteSize, Within("64KiB", "1TiB")] = 512 * 2**20
    """Most bytes of remembered ids, beside `max_bytes`; the oldest go first."""
    id_memory: Annotated[int, Field(ge=1, le=50_000_000)] = 60_000
    """Most ids held in memory (about 150 bytes each); the default is twelve minutes at the API's highest rate. The
    rest are looked up in the file."""
    forget_lanes_after: Annotated[Duration, Within("10ms", "3650d")] = 7 * 86_400.0
    """How long a sink that is no longer configured keeps its events in the spool."""
