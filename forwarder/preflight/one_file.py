"""No two settings may name one file when one of them writes there: the spool would be destroyed, a secret appended to.

A file is known by its name with every link and `..` resolved, and where it exists by device and inode, so that a second
hard link or another spelling on a file system without case is the same file. What is only read may be shared.
"""

from __future__ import annotations

import os
import re
import stat
from itertools import combinations, permutations
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from forwarder.admin.control import socket_path
from forwarder.assembly import targets_and_identities
from forwarder.config.leaves import leaves
from forwarder.config.problems import Problem, dotted
from forwarder.contracts.settings import Secret
from forwarder.spool.folders import COMPANIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from forwarder.config.settings import Settings

_STATE = re.compile(r"(event-actions|unknown-actions).*\.(json|tmp)")
_SET_ASIDE = r"-\d{8}T\d{6}-\d+"
_FIX = "give each a file of its own"


class Named(NamedTuple):
    """A file that a setting names: which setting, the file, and what it is there."""

    setting: str
    path: Path
    what: str


def one_file_twice(settings: Settings) -> Iterator[Problem]:
    """Yield a problem for each setting that names a file another one writes."""
    targets, _ = targets_and_identities(settings)
    sinks = [
        Named(f"sinks.{name}.path", Path(_real(Path(target.removeprefix("file:")))), f"the file of the sink {name}")
        for name, target in targets.items()
        if target.startswith("file:/")
    ]
    family, read = list(_of_spool(settings)), list(_read(settings))
    for sink in sinks:
        yield from _first_clash(sink, [*family, *read])
        if sink.path.parent == family[0].path.parent and _is_state(sink.path.name, family[0].path.name):
            yield Problem(sink.setting, "is a name of the state folder's own files", _FIX)
    for named in read:
        yield from _first_clash(named, family)
    for one, two in combinations(sinks, 2):
        if one.path != two.path:  # the same path is said where targets are compared
            yield from _first_clash(two, [one])
    for one, two in permutations(sinks, 2):
        if _sets_aside(one.path, two.path):
            yield Problem(two.setting, f"is a name under which {one.what} is set aside", _FIX)


def odd_files(settings: Settings) -> Iterator[Problem]:
    """Yield a problem for each sink whose path is no regular file: nothing is written to it, and its lane waits."""
    for name, target in targets_and_identities(settings)[0].items():
        path = Path(target.removeprefix("file:"))
        try:
            mode = path.lstat().st_mode if target.startswith("file:/") else stat.S_IFREG
        except OSError:
            continue
        if stat.S_ISLNK(mode):
            what, fix = "a symbolic link, which is not followed", f"name the file that it points to, {_real(path)}"
        elif stat.S_ISREG(mode):
            continue
        else:
            what, fix = "a folder" if stat.S_ISDIR(mode) else "a pipe, socket or device", "name a regular file"
        yield Problem(f"sinks.{name}.path", f"{path} is {what}; nothing would be written", fix)


def _first_clash(named: Named, others: Iterable[Named]) -> Iterator[Problem]:
    for other in others:
        if clash := _clash(named.path, other.path):
            yield Problem(named.setting, f"{clash} {other.what} ({other.setting})", _FIX)
            return


def _of_spool(settings: Settings) -> Iterator[Named]:
    path = Path(_real(settings.spool.path))
    yield Named("spool.path", path, "the spool")
    for ending in COMPANIONS:
        yield Named("spool.path", path.with_name(path.name + ending), f"the spool's {ending}")
    yield Named("spool.path", socket_path(path), "the control socket")


def _read(settings: Settings) -> Iterator[Named]:
    if settings.file is not None:
        yield Named("the configuration", Path(_real(settings.file)), "the configuration itself")
    for keys, value, _ in leaves(settings, ()):
        if isinstance(value, Secret) and value.path is not None:
            yield Named(f"{dotted(keys)}_file", Path(_real(value.path)), "a secret")
        elif isinstance(value, Path) and keys[0] != "spool":
            yield Named(dotted(keys), Path(_real(value)), "a file that is read")


def _real(path: Path) -> str:
    try:
        path = path.expanduser()
    except RuntimeError:  # of a user that is not there
        return os.path.abspath(path)  # noqa: PTH100 -- nothing to resolve
    return os.path.realpath(path)


def _clash(one: Path, two: Path) -> str:
    """Return how the two are in each other's way, as the beginning of a sentence; empty when they are not."""
    if one == two or _same_inode(one, two):
        return "is the same file as"
    if one in two.parents:
        return "is a folder above"
    if two in one.parents:
        return "is below"
    if str(one).casefold() == str(two).casefold() and _ignores_case(one.parent):
        return "is, but for capital letters, the same file as"
    return ""


def _same_inode(one: Path, two: Path) -> bool:
    try:
        return os.path.samefile(one, two)  # noqa: PTH121 -- of two that may be missing
    except OSError:
        return False


def _ignores_case(folder: Path) -> bool:
    """Tell whether a folder takes a name in other letters for the same; by a name that is there."""
    try:
        names = [folder / entry for entry in os.listdir(folder)]  # noqa: PTH208 -- names only
    except OSError:
        names = []
    for path in (*names, folder):
        other = path.with_name(path.name.swapcase())
        if other != path:
            return _same_inode(path, other)
    return False


def _is_state(name: str, spool: str) -> bool:
    return bool(_STATE.fullmatch(name)) or name.startswith((f"{spool}.lost", f"{spool}.foreign-wal"))


def _sets_aside(path: Path, other: Path) -> bool:
    pattern = rf"{re.escape(path.stem)}{_SET_ASIDE}{re.escape(path.suffix)}"
    return path.parent == other.parent and bool(re.fullmatch(pattern, other.name))
