"""The index on disk: a folder for the rows of each day or month, its parts, each of which appears as a whole.

::

    day=2026-11-29/     views.parquet    views of pages and issues, sorted by `who` and time
                        acts.parquet     all other events, sorted in the same way
                        others.parquet   lines that are no event, and heartbeats
                        names.parquet, hours.parquet
                        objects.parquet  SHA-256 of the objects it was made of
                        part.json        what it was made of, and the SHA-256 of each file
    month=2026-10/      the same for all days of a month; then it has no folders of days
    checked.json        which files were compared with their SHA-256 (`forwarder.investigate.intact`)

A part is derived: it may be deleted at any time and is made again, with the same answers (ADR 91). Whoever asks holds
a shared lock on `readers`: then no part is removed under a question.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from datetime import date
from typing import TYPE_CHECKING

import msgspec

from forwarder import __version__
from forwarder.contracts import Held
from forwarder.investigate.columns import VERSION
from forwarder.investigate.hours import Sums
from forwarder.investigate.intact import damaged, sha256_of
from forwarder.investigate.reading import Listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

VIEWS, ACTS, OTHERS, OBJECTS = "views.parquet", "acts.parquet", "others.parquet", "objects.parquet"
NAMES, HOURS = "names.parquet", "hours.parquet"
FILES = (VIEWS, ACTS, OTHERS, NAMES, HOURS, OBJECTS)
_SAYS = "part.json"
_UNFINISHED, _READERS = ".unfinished", "readers"

Days = dict[date, dict[str, Listed]]
"""What of each source was in the archive on each day."""


class Part(msgspec.Struct, frozen=True):
    """What a part says of itself.

    Attributes:
        columns: Version of the columns.
        package: Version of the package whose normalisers made it.
        days: The evidence it was made of.
        rows: How many lines, so rows.
        problems: How many of them are no events.
        sums: Of its hours.
        sha256: Of each of its files.
    """

    columns: int
    package: str
    days: Days
    rows: int
    problems: int
    sums: Sums
    sha256: dict[str, str] = {}

    @property
    def is_current(self) -> bool:
        """Whether this version would make the same."""
        return (self.columns, self.package) == (VERSION, __version__)


def new_part(days: Days, rows: int, problems: int, sums: Sums) -> Part:
    """Return what a part says that is made now."""
    return Part(VERSION, __version__, days, rows, problems, sums)


class Index:
    """A folder of parts.

    Args:
        folder: It; made with the first part.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def parts(self) -> dict[str, Part]:
        """Return the parts that this version can read, by name; not the days of a month that has its own."""
        found: dict[str, Part] = {}
        for path in sorted(self.folder.glob("*=*/")):
            with contextlib.suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
                part = msgspec.json.decode((path / _SAYS).read_bytes(), type=Part)
                if part.columns == VERSION and part.sha256.keys() == set(FILES):
                    found[path.name] = part
        months = {name.removeprefix("month=") for name in found if name.startswith("month=")}
        return {name: part for name, part in found.items() if name[4:11] not in months or name.startswith("month=")}

    def damaged(self, parts: Mapping[str, Part], *, older_than: float | None = None) -> list[str]:
        """Return which of these parts are not as they were written (`forwarder.investigate.intact`)."""
        return damaged(self.folder, {name: part.sha256 for name, part in parts.items()}, older_than=older_than)

    def files(self, names: Iterable[str], file: str) -> list[Path]:
        """Return the path of a file in each of some parts."""
        return [self.folder / name / file for name in names]

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Keep parts from being removed. An index that only others may write to is not locked where it has no lock."""
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                fcntl.flock(stack.enter_context((self.folder / _READERS).open("rb")), fcntl.LOCK_SH)
            yield

    @contextlib.contextmanager
    def writing(self) -> Iterator[Path]:
        """Give a folder for what is not finished, to one process at a time. Raises Held while another one writes."""
        try:
            self.folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            (self.folder / _READERS).touch()
            lock = (self.folder / "lock").open("a")
        except OSError as error:
            raise Held(
                f"The index {self.folder} cannot be written: {error.strerror}.",
                fix="Let the user of this command write there, or name another folder with --index.",
            ) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Held(
                    f"The index {self.folder} is being written by another process.", fix="Wait until it is done."
                ) from None
            unfinished = self.folder / _UNFINISHED
            shutil.rmtree(unfinished, ignore_errors=True)  # of a life that ended before it was done
            unfinished.mkdir(mode=0o750)
            try:
                yield unfinished
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)

    def publish(self, made: Path, name: str, part: Part) -> None:
        """Give a folder with its files its name, which nothing has."""
        write_part(made, part)
        for path in (*made.iterdir(), made):
            _sync(path)
        made.rename(self.folder / name)
        _sync(self.folder)

    def remove(self, names: Sequence[str]) -> list[str]:
        """Delete parts and return their names; none of them while somebody reads."""
        if not names:
            return []
        with (self.folder / _READERS).open("rb") as readers:
            try:
                fcntl.flock(readers, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return []
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    (self.folder / name / _SAYS).unlink()  # what a sudden end leaves of it is no part
                shutil.rmtree(self.folder / name, ignore_errors=True)
        return list(names)


def write_part(made: Path, part: Part) -> None:
    """Write what a part says into the folder of its files."""
    said = msgspec.structs.replace(part, sha256={file: sha256_of(made / file) for file in FILES})
    (made / _SAYS).write_bytes(msgspec.json.encode(said))


def day_name(day: date) -> str:
    """Return the name of a day's part."""
    return f"day={day:%Y-%m-%d}"


def month_name(day: date) -> str:
    """Return the name of the part of a day's month."""
    return f"month={day:%Y-%m}"


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
