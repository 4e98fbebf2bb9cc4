"""What the pages can ask: the archives that are configured, and the files of `file` sinks.

A folder or a file is named to the process that answers; only for a bucket it reads the configuration, which says how
the bucket is reached. What it gets of our environment has nothing of the admin port in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from forwarder.config.settings import Settings

_READABLE = {None, "raw", "ecs"}
_OURS, _TOKEN = "FORWARDER", "FORWARDER__ADMIN"


class Place(msgspec.Struct, frozen=True):
    """Something that can be asked.

    Attributes:
        title: What it is, in words.
        options: What names it.
        file: Instead: the file of a sink, which has set others aside, perhaps.
        hidden: How the names of variables begin that the process does not get.
        people: File that says whose accounts are one person's.
        zone: Time zone of a question that names none; empty: that of this machine.
    """

    title: str
    options: tuple[str, ...] = ()
    file: Path | None = None
    hidden: str = _OURS
    people: Path | None = None
    zone: str = ""

    def words(self) -> tuple[str, ...]:
        """Return the options that name it now."""
        return self.options if self.file is None else tuple(f"--events={path}" for path in _with_set_aside(self.file))

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the variables for the process."""
        return {name: value for name, value in given.items() if not name.upper().startswith(self.hidden)}


def places_of(settings: Settings) -> dict[str, Place]:
    """Return what can be asked, by the name of the sink that keeps it; archives come first."""
    archives: dict[str, Place] = {}
    files: dict[str, Place] = {}
    several = sum(sink.type == "archive" for sink in settings.sinks.values()) > 1
    for name, sink in settings.sinks.items():
        path, url = getattr(sink, "path", None), getattr(sink, "url", None)
        if sink.type == "archive" and path is not None:
            archives[name] = Place("archive", (f"--archive={_absolute(path)}",))
        elif sink.type == "archive" and url is not None:
            named = [f"--archive={name}"] if several else []  # which might be the name of a folder here as well
            archives[name] = Place("archive in a bucket", (*settings.words, *named), hidden=_TOKEN)
        elif sink.type == "file" and path not in {None, "-"} and sink.format in _READABLE:
            files[name] = Place("file, not an archive", file=_absolute(path))
    people = None if settings.admin.people is None else _absolute(settings.admin.people)
    more = {"people": people, "zone": settings.admin.time_zone}
    return {name: msgspec.structs.replace(place, **more) for name, place in (archives | files).items()}


def checked_places(settings: Settings) -> dict[str, Place]:
    """Return the archives as a process names them that reads the configuration, where their keys are, too."""
    archives = [name for name, sink in settings.sinks.items() if sink.type == "archive"]
    return {name: Place("archive", (*settings.words, f"--sink={name}"), hidden=_TOKEN) for name in archives}


def _absolute(path: Any) -> Path:
    return Path(str(path)).expanduser().absolute()


def _with_set_aside(file: Path) -> list[Path]:
    aside = re.compile(rf"{re.escape(file.stem)}-\d{{8}}T\d{{6}}-\d+{re.escape(file.suffix)}(\.(gz|bz2|xz|zst))?")
    return [*sorted(path for path in file.parent.glob("*") if aside.fullmatch(path.name)), file]
