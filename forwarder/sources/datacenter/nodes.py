"""The nodes of a product: whose log lies where, and how to look there without waiting for a disk that does not answer.

A folder of the network that hangs holds whoever looks into it, for hours, and nothing can end that. So each look is a
thread of its own, which nobody waits for longer than `within`; until it comes back, that node is not looked at again.
"""

from __future__ import annotations

import asyncio
import fnmatch
import glob
import os
import re
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from forwarder.contracts import Retryable
from forwarder.sources.datacenter.files import Folder
from forwarder.sources.datacenter.follower import Follower

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

T = TypeVar("T")

_WILD = re.compile(r"[*?\[]")

MOST_NODES = 200
"""Nodes that one pattern may stand for."""


_AT_ONCE = 50
"""Folders below one pattern that are looked at together, each in a thread."""


class Looks:
    """Looks at one place, each time in a thread.

    Args:
        what: The place, in words.
        within: Seconds to wait.
    """

    def __init__(self, what: str, within: float) -> None:
        self._what = what
        self._within = within
        self._hanging = 0

    @property
    def is_hanging(self) -> bool:
        """Tell whether a look has not come back."""
        return self._hanging > 0

    async def ask(self, look: Callable[[], T]) -> T:
        """Return what a look returns, or raise what it raises. Raises Retryable when it does not come back."""
        if self._hanging:
            raise self._trouble("has not answered since it was looked at last")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        is_late = threading.Event()

        def finish(result: T | None, error: BaseException | None) -> None:
            if is_late.is_set():
                self._hanging -= 1
            elif not answer.done():
                answer.set_exception(error) if error is not None else answer.set_result(result)  # type: ignore[arg-type]

        def run() -> None:
            result, error = None, None
            try:
                result = look()
            except BaseException as caught:  # noqa: BLE001 -- it is raised where it is waited for
                error = caught
            try:
                loop.call_soon_threadsafe(finish, result, error)
            except RuntimeError:
                return  # the loop has ended, and nobody waits

        threading.Thread(target=run, name="log folder", daemon=True).start()
        try:
            async with asyncio.timeout(self._within):
                return await answer
        except TimeoutError:
            is_late.set()
            self._hanging += 1
            raise self._trouble(f"does not answer within {self._within:g} s") from None

    def _trouble(self, words: str) -> Retryable:
        fix = "See whether the file server behind it works (df, or ls by hand); what it holds is read when it answers."
        return Retryable(f"{self._what} {words}", kind="timeout", fix=fix)


class Node:
    """One node: its log, and how to look at it."""

    def __init__(self, name: str, path: Path, *, limit: int, longest: int, within: float) -> None:
        self.name = name
        self.path = path
        self.looks = Looks(f"the log folder of node {name}", within)
        self.follower = Follower(Folder(name, path), limit, longest)


class Nodes:
    """The nodes that the configuration names; a pattern stands for every folder that it fits at the time.

    Args:
        named: Folder or pattern of each name.
        limit: Most lines of a stretch.
        longest: Bytes of a line.
        within: Seconds to wait for a disk.
    """

    def __init__(self, named: Mapping[str, Path], *, limit: int, longest: int, within: float) -> None:
        self._named = dict(sorted(named.items()))
        self._about = {"limit": limit, "longest": longest, "within": within}
        self._within = within
        self._made: dict[tuple[str, Path], Node] = {}
        self._searches = {
            name: Looks(f"the folder above the nodes {name}", within)
            for name, path in named.items()
            if is_pattern(path)
        }
        self._branches: dict[tuple[str, Path], Looks] = {}
        self._idents: dict[Path, tuple[int, int]] = {}

    async def find(self, before: Iterable[str] = ()) -> tuple[list[Node], list[Retryable]]:
        """Return the nodes there are now, and which of them cannot be found.

        Args:
            before: Names of those that were read before: they are nodes though nobody can look for them now.
        """
        named = [self._node(name, path) for name, path in self._named.items() if name not in self._searches]
        remembered = {*before, *(node.name for node in self._made.values())}
        answers = await asyncio.gather(
            *(self._ident(node) for node in named),
            *(self._matches(name, self._named[name], remembered) for name in self._searches),
        )
        found = named
        troubles: list[Retryable] = []
        for name, answer in zip(self._searches, answers[len(named) :], strict=True):
            matches, missing = answer or ([], [])
            path = self._named[name]
            troubles += missing
            if not matches and not missing:
                fix = f"See that a folder fits nodes.{name}, and that the folders above may be read."
                troubles.append(Retryable(f"no folder fits {path}", kind="not_found", fix=fix))
            if len(matches) > MOST_NODES:
                fix = f"Write a narrower pattern as nodes.{name}, or several sources."
                words = f"{len(matches)} folders fit {path}, and {MOST_NODES} are read"
                troubles.append(Retryable(words, kind="too_large", fix=fix))
            found += [self._node(f"{name}/{match.part}", match.path) for match in matches[:MOST_NODES]]
        return self._each_once(found), troubles

    async def _ident(self, node: Node) -> None:
        """Learn which folder a name stands for. All disks are asked at once, and one that hangs is known for it."""
        try:
            self._idents[node.path] = await node.looks.ask(partial(_ident_of, node.path))
        except Retryable:
            return  # it is what it was
        except OSError:
            self._idents.pop(node.path, None)  # it is not there, and its inode may be another's

    async def _matches(self, name: str, path: Path, before: set[str]) -> tuple[list[Match], list[Retryable]]:
        """Return the folders that a pattern fits, and what did not answer: each disk below it is asked on its own."""
        remembered = [match for node in before if (match := _remembered(name, path, node)) is not None]
        try:
            tops = await self._searches[name].ask(partial(tops_of, path))
        except Retryable as error:
            return sorted(remembered, key=_order), [error]
        turns = asyncio.Semaphore(_AT_ONCE)

        async def below(top: Path) -> list[Match]:
            looks = self._branches.setdefault((name, top), Looks(f"the folder {top}", self._within))
            async with turns:
                return await looks.ask(partial(folders_of, path, top))

        matches: list[Match] = []
        troubles: list[Retryable] = []
        answers = await asyncio.gather(*(below(top) for top in tops), return_exceptions=True)
        for top, answer in zip(tops, answers, strict=True):
            if isinstance(answer, Retryable):
                troubles.append(answer)
                matches += [match for match in remembered if match.path.is_relative_to(top)]
            elif isinstance(answer, BaseException):
                raise answer
            else:
                matches += answer
        self._idents |= {match.path: match.ident for match in matches if match.ident is not None}
        return sorted(matches, key=_order), troubles

    def close(self) -> None:
        """Close the files that are open, but for those on a disk that does not answer."""
        for node in self._made.values():
            if not node.looks.is_hanging:
                node.follower.close()

    def _each_once(self, nodes: list[Node]) -> list[Node]:
        """Leave out a folder that is found a second time, by whatever way: its records would come twice."""
        first: dict[object, Node] = {}
        for node in nodes:
            first.setdefault(self._idents.get(node.path, node.path), node)
        return list(first.values())

    def _node(self, name: str, path: Path) -> Node:
        key = (name, path)
        if key not in self._made:
            self._made[key] = Node(name, path, **self._about)  # type: ignore[arg-type]
        return self._made[key]


def is_pattern(path: Path) -> bool:
    """Tell whether a path stands for several."""
    return _WILD.search(str(path)) is not None


class Match(msgspec.Struct, frozen=True):
    """A folder that a pattern fits.

    Attributes:
        part: What the wild parts stand for, such as `node1`.
        ident: Device and inode; None when nobody can look now.
        linked: One of the wild parts is a link, which may lead elsewhere tomorrow.
    """

    part: str
    path: Path
    ident: tuple[int, int] | None = None
    linked: bool = False


def tops_of(path: Path) -> list[Path]:
    """Return what the first wild part of a pattern may stand for, without a look at any of it. Raises nothing."""
    at = _wild(path)[0]
    above = Path(*path.parts[:at])
    return [above / name for name in sorted(glob.glob(path.parts[at], root_dir=above))]  # noqa: PTH207 -- names alone


def folders_of(path: Path, top: Path) -> list[Match]:
    """Return the folders that a pattern fits below one that its first wild part stands for."""
    wild = _wild(path)
    pattern = os.path.join(glob.escape(str(top)), *path.parts[len(top.parts) :])  # noqa: PTH118 -- for glob
    found = []
    for text in glob.glob(pattern):  # noqa: PTH207 -- a Path knows no pattern that begins at the root
        folder = Path(text)
        with suppress(OSError):
            if folder.is_dir():
                linked = any(Path(*folder.parts[: at + 1]).is_symlink() for at in wild)
                part = "/".join(_name(folder.parts[at]) for at in wild)
                found.append(Match(part, folder, _ident_of(folder), linked))
    return found


def _wild(path: Path) -> list[int]:
    return [at for at, part in enumerate(path.parts) if _WILD.search(part)]


def _order(match: Match) -> tuple[bool, str]:
    return match.linked, match.part


def _ident_of(folder: Path) -> tuple[int, int]:
    seen = folder.stat()
    return seen.st_dev, seen.st_ino


def _remembered(name: str, path: Path, node: str) -> Match | None:
    """Return the folder of a node by its name, or None when it is of another pattern or not written plainly."""
    wild, parts = _wild(path), node.removeprefix(f"{name}/").split("/")
    if not node.startswith(f"{name}/") or len(parts) != len(wild) or "\\" in node:
        return None
    filled = list(path.parts)
    for at, part in zip(wild, parts, strict=True):
        if part in {"", ".", ".."} or not fnmatch.fnmatchcase(part, filled[at]):
            return None
        filled[at] = part
    return Match("/".join(parts), Path(*filled))


def _name(part: str) -> str:
    """Return the name of a folder as text, whatever its bytes are."""
    text = os.fsencode(part).decode("utf-8", "backslashreplace")
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
