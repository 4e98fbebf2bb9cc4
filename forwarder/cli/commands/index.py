"""`investigate index`: makes the index of an archive, in this process, which has less priority and bounded memory."""

from __future__ import annotations

import os
import resource
import sys
from typing import TYPE_CHECKING

from forwarder.cli.kept_archives import store_of
from forwarder.cli.terminal import console, print_json, print_line
from forwarder.contracts.errors import ConfigError
from forwarder.contracts.text import visible
from forwarder.contracts.units import parse_size
from forwarder.exit_codes import ExitCode
from forwarder.investigate.building import Builder, Built
from forwarder.investigate.local_copy import index_folder, near
from forwarder.investigate.parts import Index
from forwarder.investigate.reading import ArchiveReader

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from forwarder.cli.invocation import Invocation

_BESIDES = 2**30
"""Bytes of data that the process may have besides DuckDB's: a fault in it must not take the machine's memory."""

_NICENESS = 10


def index(invocation: Invocation, place: str | None, folder: Path | None, memory: str, *, as_json: bool) -> ExitCode:
    """Bring an index up to date. Raises ConfigError, Held where it cannot be written, and what the archive raises."""
    _bound(memory)
    store = store_of(invocation, place)
    made = Index(folder or index_folder(store.place))
    with ArchiveReader(near(store)) as reader:
        if not reader.days():
            raise ConfigError(f"{reader.place} is no archive, or an empty one: it holds no evidence")
        built = _build(reader, made, memory)
    if as_json:
        print_json({"folder": str(made.folder), "made": built.made, "removed": built.removed, "damaged": built.damaged,
                    "failed": built.failed, "events": built.rows})  # fmt: skip
    else:
        print_line(_sentence(built, made.folder))
        for name, why in built.failed.items():
            print_line(f"{name}: {visible(why)}")
    return ExitCode.DEGRADED if built.failed else ExitCode.OK


def _build(reader: ArchiveReader, made: Index, memory: str) -> Built:
    def update(progress: Callable[[str, int], None]) -> Built:
        try:
            return Builder(reader, made, memory=memory, progress=progress).update()
        except MemoryError:
            raise ConfigError(f"--memory {memory} and what it takes besides are not enough; allow more") from None

    if not sys.stderr.isatty():
        return update(lambda _part, _rows: None)
    with console(sys.stderr).status("reading") as status:
        return update(lambda part, rows: status.update(f"{part}: {rows} events"))


def _bound(memory: str) -> None:
    try:
        allowed = parse_size(memory)
    except ValueError:
        raise ConfigError(f"--memory {memory}: not a size; write one such as 256MB") from None
    os.nice(_NICENESS)
    resource.setrlimit(resource.RLIMIT_DATA, (int(allowed) + _BESIDES, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def _sentence(built: Built, folder: Path) -> str:
    done = f"{len(built.made)} part{'s' * (len(built.made) > 1)} made" if built.made else "nothing to do"
    failed = (
        f", {len(built.failed)} could not be made: questions read the evidence of their days" if built.failed else ""
    )
    gone = len(set(built.damaged) & set(built.removed))  # what a question reads stays until the next time
    damaged = f", {gone} that were damaged removed" if gone else ""
    return f"{visible(str(folder))}: {done}{damaged}{failed}; {built.rows} events are in the index"
