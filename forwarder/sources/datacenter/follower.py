"""How far the log of one node was read, and what follows there.

Every file is followed by its device and inode, so that a new name changes nothing; that it is still the same file is
seen by its beginning and by what stands before the place it was read to. A file that is new begins where an older one
of the same name ended that it is a copy of. So a file that was renamed, copied, cut, packed, replaced under the same
inode, or mounted anew goes on where it was; and where that cannot be told, it is read from its beginning: its lines
have their ids by their places in it, and are known.

Invariant: a file is left out of what is read only when every byte of it was read, or was there at the first look and is
older than what was asked for.
"""

from __future__ import annotations

import os
from typing import Any

import msgspec

from forwarder.contracts import Retryable
from forwarder.sources.datacenter.files import MARK, Folder, LogFile, PackedText, PlainText, mark_of
from forwarder.sources.datacenter.lines import Cutter

FINISHED_MS = 60_000
"""The last line of a file that a later one follows is finished when no one has written there for so long."""

MOST_GONE = 20
"""Files that are not there any more of which the places are remembered: a copy of them may come yet."""

_AT_ONCE = 2**20
"""Bytes read at once, when a line is not longer."""

_ALL_OF_IT = 2**53
_DAY_MS = 86_400_000


class Known(msgspec.Struct, frozen=True, array_like=True):
    """How far one file was read; stored as an array.

    Attributes:
        name: When it was read last.
        at: Bytes read.
        mark: What it is known by; empty when it is not known yet. Of a packed file that is done: its size.
        old: What begins before this place was there at the first look, and counts only when it is new enough.
        within: The place is in a line that is too long.
    """

    name: str
    at: int = 0
    mark: str = ""
    old: int = 0
    within: bool = False


class Stretch(msgspec.Struct, frozen=True):
    """Lines of one file, and what follows.

    Attributes:
        lines: Where each begins, and its bytes.
        old: Lines that begin before this place count only when they are new enough.
        known: The places behind them, for the state of the cursor.
        troubles: What cannot be read at present.
    """

    lines: list[tuple[int, bytes]]
    old: int
    known: dict[str, Any]
    troubles: list[Retryable]


class Follower:
    """Reads the log of one node, a stretch at a time; safe for two threads at once.

    Args:
        folder: Where it lies.
        limit: Most lines of a stretch.
        longest: Bytes of a line.
    """

    def __init__(self, folder: Folder, limit: int, longest: int) -> None:
        self.folder = folder
        self._cutter = Cutter(limit, longest)
        self._read_up: dict[str, tuple[str, tuple[int, int], int]] = {}  # name and look of each then, and to where
        self._damaged: dict[str, tuple[tuple[int, int], Retryable]] = {}
        self._unpacking: dict[str, PackedText] = {}

    def look(self, stored: dict[str, Any] | None, since_ms: int, now_ms: int) -> Stretch:
        """Read on in the first file that holds anything new. Raises Retryable when nothing can be read.

        Args:
            stored: What the stretch before gave as `known`.
            since_ms: What was there at the first look counts from then on.
            now_ms: The present.
        """
        files = self.folder.list().files
        known = msgspec.convert(stored or {}, dict[str, Known])
        if not files:
            fix = f"See that {self.folder.path} is the folder log/audit of the node, and that it is mounted."
            words = f"there is no audit log file in the folder of node {self.folder.node}"
            return Stretch([], 0, msgspec.to_builtins(known), [self.folder.trouble(words, fix, "not_found")])
        troubles: list[Retryable] = []
        known = self._matched(files, known, since_ms)
        stretch: tuple[list[tuple[int, bytes]], int] = ([], 0)
        for file in files:
            place = known[file.ident]
            if self._read_up.get(file.ident) == (file.name, file.looks, place.at):
                continue
            try:
                is_last = file is files[-1]
                lines, after = self._read(file, place, now_ms, is_last=is_last)
            except Retryable as error:
                troubles.append(error)
                continue
            except OSError as error:
                troubles.append(self.folder.unreadable(file, error))
                continue
            known[file.ident] = after
            if lines:
                stretch = lines, after.old
                break
        self._forget(files)
        return Stretch(*stretch, msgspec.to_builtins(known), troubles)

    # ------------------------------------------------------------------------------------------------ which is which

    def _matched(self, files: list[LogFile], known: dict[str, Known], since_ms: int) -> dict[str, Known]:
        """Return the place of every file that is there, and of some that were."""
        is_first = not known
        found = {}
        for file in files:
            place = known.get(file.ident)
            if place is not None and not _is_of(place, file):
                place = None  # the inode of one that is gone
                self._close(file.ident)
            if place is None and is_first:
                place = self._at_first(file, since_ms)
            elif place is None:
                place = self._continued(file, known) or Known(file.name)
            found[file.ident] = msgspec.structs.replace(place, name=file.name)
        gone = sorted((ident for ident in known if ident not in found), key=lambda ident: known[ident].name)
        return {**{ident: known[ident] for ident in gone[-MOST_GONE:]}, **found}

    def _at_first(self, file: LogFile, since_ms: int) -> Known:
        """Return the place of a file of the first look: what no one wrote into since then holds nothing of it."""
        is_over = file.changed_ns // 10**6 < since_ms - _DAY_MS
        if file.packed:
            return Known(file.name, 0, str(file.size) if is_over else "", _ALL_OF_IT)
        return Known(file.name, file.size if is_over else 0, "", file.size)

    def _continued(self, file: LogFile, known: dict[str, Known]) -> Known | None:
        """Return the place of another file that this one is a copy of, or None."""
        of_name = [place for place in known.values() if place.mark and place.name.startswith(file.stem) and place.at]
        try:
            descriptor = self.folder.open(file) if of_name else None
        except Retryable:
            return None  # said when it is read
        if descriptor is None:
            return None
        try:
            if file.packed:
                length = PackedText.length_of(descriptor)
                marks = {place.mark for place in of_name if place.at == length and not place.name.endswith(".gz")}
                done = bool(marks) and _mark_of_packed(descriptor, length) in marks
                old = max(place.old for place in of_name)
                return Known(file.name, length, str(file.size)) if done else Known(file.name, old=old)
            return _copied(PlainText(descriptor), of_name)
        except OSError:
            return None
        finally:
            os.close(descriptor)

    def _forget(self, files: list[LogFile]) -> None:
        there = {file.ident for file in files}
        for memory in (self._read_up, self._damaged):
            for ident in [ident for ident in tuple(memory) if ident not in there]:
                memory.pop(ident, None)
        for ident in [ident for ident in tuple(self._unpacking) if ident not in there]:
            self._close(ident)

    def _close(self, ident: str) -> None:
        if (text := self._unpacking.pop(ident, None)) is not None:
            text.close()

    # ------------------------------------------------------------------------------------------------------ reading

    def _read(
        self, file: LogFile, place: Known, now_ms: int, *, is_last: bool
    ) -> tuple[list[tuple[int, bytes]], Known]:
        """Return the next lines of a file and the place behind them. Raises Retryable or OSError."""
        is_quiet = now_ms - file.changed_ns // 10**6 >= FINISHED_MS
        if file.packed:
            return self._read_packed(file, place, is_quiet=is_quiet)
        descriptor = self.folder.open(file)
        if descriptor is None:
            return [], place
        text = PlainText(descriptor)
        try:
            return self._read_plain(text, file, place, quiet=is_quiet, is_last=is_last)
        finally:
            text.close()

    def _read_plain(
        self, text: PlainText, file: LogFile, place: Known, *, quiet: bool, is_last: bool
    ) -> tuple[list[tuple[int, bytes]], Known]:
        most = _AT_ONCE
        while True:
            head, before, data = text.around(place.at, most)
            if place.at and (len(head) != len(before) or (place.mark and mark_of(head, before) != place.mark)):
                place = Known(file.name)  # it was cut, or is another one by now
                continue
            is_whole = len(data) < most
            finished = quiet and not is_last
            cut = self._cutter.cut(data, place.at, within=place.within, whole=is_whole, finished=finished, quiet=quiet)
            if cut.wants:
                most = cut.wants
                continue
            begins = before + data[: min(cut.taken, MARK)] if place.at == len(before) else head
            ends = before + data[max(0, cut.taken - MARK) : cut.taken]
            place = Known(file.name, place.at + cut.taken, mark_of(begins, ends), place.old, cut.within)
            if cut.lines:
                return cut.lines, place
            if not cut.taken:
                if is_whole and not data:
                    self._read_up[file.ident] = (file.name, file.looks, place.at)
                return [], place

    def _read_packed(self, file: LogFile, place: Known, *, is_quiet: bool) -> tuple[list[tuple[int, bytes]], Known]:
        looks, known_damage = self._damaged.get(file.ident, (None, None))
        if known_damage is not None and looks == file.looks:
            raise known_damage.with_traceback(None)  # or it grows with each raise
        if place.mark == str(file.size):
            self._read_up[file.ident] = (file.name, file.looks, place.at)
            return [], place
        text = self._unpacking.pop(file.ident, None)
        if text is None:
            descriptor = self.folder.open(file)
            if descriptor is None:
                return [], place
            text = PackedText(descriptor)
        lines, place, is_end = self._unpack(text, file, place)
        if not is_end:
            self._unpacking[file.ident] = text
            return lines, place
        text.close()
        if lines or text.damage is None:
            mark = "" if text.damage is not None else str(file.size)
            return lines, msgspec.structs.replace(place, mark=mark)
        if not is_quiet:
            return [], place  # it is being packed
        trouble = self.folder.unreadable(file, text.damage)
        self._damaged[file.ident] = (file.looks, trouble)
        raise trouble

    def _unpack(self, text: PackedText, file: LogFile, place: Known) -> tuple[list[tuple[int, bytes]], Known, bool]:
        """Return the next lines, the place behind them, and whether the end was reached."""
        most = _AT_ONCE
        while True:
            data = text.read(place.at, most)
            is_whole = len(data) < most
            finished = is_whole and text.damage is None
            cut = self._cutter.cut(data, place.at, within=place.within, whole=is_whole, finished=finished)
            if cut.wants:
                most = cut.wants
                continue
            place = Known(file.name, place.at + cut.taken, "", place.old, cut.within)
            is_end = is_whole and (cut.taken == len(data) or not cut.lines)
            if cut.lines or is_end:
                return cut.lines, place, is_end


def _mark_of_packed(descriptor: int, length: int) -> str | None:
    """Return by what the whole of a packed file is known, or None where it is damaged."""
    text, part = PackedText(os.dup(descriptor)), min(length, MARK)
    try:
        head, before = text.read(0, part), text.read(length - part, part)
        return mark_of(head, before) if text.damage is None and len(before) == part else None
    finally:
        text.close()


def _is_of(place: Known, file: LogFile) -> bool:
    """Tell whether a place can be one in this file: inodes come again. Of a plain file its mark has the last word."""
    if file.packed:
        return place.name == file.name
    return not place.name.endswith(".gz") and (place.name.startswith(file.stem) or bool(place.mark))


def _copied(text: PlainText, places: list[Known]) -> Known | None:
    """Return the furthest of some places that is one of this file as well, or None."""
    for place in sorted(places, key=lambda place: -place.at):
        head, before, _ = text.around(place.at, 0)
        if len(before) == len(head) and mark_of(head, before) == place.mark:
            return place
    return None
