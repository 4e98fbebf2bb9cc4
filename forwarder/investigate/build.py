"""The builder as a process of its own: `python -m forwarder.investigate.build`, with less priority and bounded memory.

What to do comes as JSON on standard input, so that no credential stands in a list of processes; what was done goes as
JSON lines to standard output. So neither the daemon nor a question ever has DuckDB's memory for it.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from forwarder.archive.stores import open_store
from forwarder.contracts import ForwarderError, Held
from forwarder.investigate import duck
from forwarder.investigate.building import Builder, Built
from forwarder.investigate.parts import Index
from forwarder.investigate.reading import ArchiveReader

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_DATA = 2 * 2**30
"""Bytes of data that the process may have: a fault in it must not take the machine's memory."""

_NICENESS = 10
_LINE_EVERY = 20_000


class Job(msgspec.Struct, frozen=True):
    """What to build.

    Attributes:
        place: Where the archive lies.
        index: Folder of the index.
        memory: Of DuckDB.
        most_data: Bytes that the process may have.
    """

    place: str
    index: str
    memory: str = duck.MEMORY
    most_data: int = MOST_DATA


class _Said(msgspec.Struct, omit_defaults=True):
    """A line of the process."""

    part: str = ""
    rows: int = 0
    built: Built | None = None
    error: str = ""
    fix: str = ""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Said).decode


def build(job: Job, progress: Callable[[str, int], None] = lambda _part, _rows: None) -> Built:
    """Bring an index up to date in another process. Raises Held, which says why it could not, and then nothing is lost.

    Args:
        job: What to build.
        progress: Is given the part that is being made, and its rows so far.
    """
    command = [sys.executable, "-m", "forwarder.investigate.build"]
    last = _Said()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603 -- ours
        try:
            assert process.stdin is not None  # noqa: S101 -- for the type checker
            assert process.stdout is not None  # noqa: S101
            process.stdin.write(_encode(job))
            process.stdin.close()
            for line in process.stdout:
                last = _decode(line)
                if last.part:
                    progress(last.part, last.rows)
        except BaseException:
            process.kill()
            raise
    if last.built is not None:
        return last.built
    if last.error:
        raise Held(last.error, fix=last.fix)
    raise Held(
        f"The process that builds the index ended {_how(process.returncode)}.",
        fix="Look at what it wrote before, and at the memory of this machine; what is done is kept.",
    )


def _how(code: int) -> str:
    return f"by signal {-code}" if code < 0 else f"with code {code}"


def main(given: IO[bytes], out: IO[bytes]) -> int:
    """Do the job that is given as JSON; say how far it is, and what became of it."""
    job = msgspec.json.decode(given.read(), type=Job)
    os.nice(_NICENESS)
    resource.setrlimit(resource.RLIMIT_DATA, (job.most_data, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    said_at: dict[str, int] = {}

    def say(said: _Said) -> None:
        out.write(_encode(said) + b"\n")
        out.flush()

    def progress(part: str, rows: int) -> None:
        if part not in said_at or rows - said_at[part] >= _LINE_EVERY:
            said_at[part] = rows
            say(_Said(part, rows))

    try:
        with ArchiveReader(open_store(job.place)) as reader:
            built = Builder(reader, Index(Path(job.index)), memory=job.memory, progress=progress).update()
    except Held as error:
        say(_Said(error=error.reason, fix=error.fix))
        return 1
    except MemoryError:
        say(_Said(error=f"{job.most_data >> 20} MB are not enough to build the index.", fix="Give it more."))
        return 1
    except ForwarderError as error:
        say(_Said(error=f"{str(error).rstrip('.')}.", fix="See above, and build it again."))
        return 1
    say(_Said(built=built))
    return 1 if built.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.stdin.buffer, sys.stdout.buffer))
