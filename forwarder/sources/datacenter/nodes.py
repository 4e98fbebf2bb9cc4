"""The nodes of a product: whose log lies where, and how to look there without waiting for a disk that does not answer.

A folder of the network that hangs holds whoever looks into it, for hours, and nothing can end that. So each look is a
thread of its own, which nobody waits for longer than `within`; until it comes back, that node is not looked at again.
"""

from __future__ import annotations

import asyncio
import glob
import os
import re
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from forwarder.contracts import Retryable
from forwarder.sources.datacenter.files import Folder
from forwarder.sources.datacenter.follower import Follower

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

_WILD = re.compile(r"[*?\[]")

MOST_NODES = 200
"""Nodes that one pattern may stand for."""


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

    async def find(self) -> tuple[list[Node], list[Retryable]]:
        """Return the nodes there are now, and which of them cannot be found."""
        found: list[Node] = []
        troubles: list[Retryable] = []
        for name, path in self._named.items():
            if name not in self._searches:
                found.append(self._node(name, path))
                continue
            try:
                matches = await self._searches[name].ask(partial(folders_of, path))
            except Retryable as error:
                troubles.append(error)
                found += [node for (of, _), node in self._made.items() if of.startswith(f"{name}/")]
                continue
            if not matches:
                fix = f"See that a folder fits nodes.{name}, and that the folders above may be read."
                troubles.append(Retryable(f"no folder fits {path}", kind="not_found", fix=fix))
            if len(matches) > MOST_NODES:
                fix = f"Write a narrower pattern as nodes.{name}, or several sources."
                words = f"{len(matches)} folders fit {path}, and {MOST_NODES} are read"
                troubles.append(Retryable(words, kind="too_large", fix=fix))
            found += [self._node(f"{name}/{part}", folder) for part, folder in matches[:MOST_NODES]]
        return self._each_once(found), troubles

    def close(self) -> None:
        """Close the files that are open, but for those on a disk that does not answer."""
        for node in self._made.values():
            if not node.looks.is_hanging:
                node.follower.close()

    def _each_once(self, nodes: list[Node]) -> list[Node]:
        """Leave out a folder that is found a second time: its records would come twice."""
        return list({node.path: node for node in reversed(nodes)}.values())[::-1]

    def _node(self, name: str, path: Path) -> Node:
        key = (name, path)
        if key not in self._made:
            self._made[key] = Node(name, path, **self._about)  # type: ignore[arg-type]
        return self._made[key]


def is_pattern(path: Path) -> bool:
    """Tell whether a path stands for several."""
    return _WILD.search(str(path)) is not None


def folders_of(path: Path) -> list[tuple[str, Path]]:
    """Return the folders that a pattern fits, each with what its wild parts stand for, such as `node1`."""
    wild = [at for at, part in enumerate(path.parts) if _WILD.search(part)]
    found = []
    for text in sorted(glob.glob(str(path))):  # noqa: PTH207 -- a Path knows no pattern that begins at the root
        folder = Path(text)
        if folder.is_dir():
            found.append(("/".join(_name(folder.parts[at]) for at in wild), folder))
    return found


def _name(part: str) -> str:
    """Return the name of a folder as text, whatever its bytes are."""
    text = os.fsencode(part).decode("utf-8", "backslashreplace")
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
