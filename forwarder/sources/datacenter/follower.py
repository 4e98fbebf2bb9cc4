"""How far the log of one node was read, and what follows there.

Every file is followed by its device and inode, so that a new name changes nothing; that it is still the same file is
seen by its beginning and by what stands before the place it was read to. A file that is new begins where an older one
of the same name ended that it is a copy of. One that is packed has these in its text, and is known as a whole once it
was read. So a file that was renamed, copied, cut, packed, replaced under the same inode, or mounted anew goes on where
it was; and where that cannot be known, it is read from its beginning: its lines have their ids by their places in it,
and are known.

Invariant: a file is left out of what is read only when every byte of it was read, or was there at the first look and is
older than what was asked for.
"""

from __future__ import annotations

from contextlib import closing, suppress
from typing import Any

import msgspec

from forwarder.contracts import Lost, Retryable
from forwarder.sources.datacenter.files import MARK, Folder, LogFile, PackedText, PlainText, mark_of
from forwarder.sources.datacenter.known import Known, fits
from forwarder.sources.datacenter.lines import Cut, Cutter
from forwarder.sources.datacenter.vanished import Vanished, kept, replaced, seen_now

FINISHED_MS = 60_000
"""The last line of a file that a later one follows is finished when no one has written there for so long."""

_AT_ONCE = 2**20
"""Bytes read at once, when a line is not longer."""

_ALL_OF_IT = 2**53
_DAY_MS = 86_400_000


class Stretch(msgspec.Struct, frozen=True):
    """Lines of one file, and what follows.

    Attributes:
        lines: Where each begins, and its bytes.
        old: Lines that begin before this place count only when they are new enough.
        known: The places behind them, for the state of the cursor.
        troubles: What cannot be read at present.
        lost: What was removed before it was read.
    """

    lines: list[tuple[int, bytes]]
    old: int
    known: dict[str, Any]
    troubles: list[Retryable]
    lost: list[Lost] = []


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
        self._unpacking: dict[str, tuple[tuple[int, int], PackedText]] = {}  # and its look when it was opened

    def look(self, stored: dict[str, Any] | None, since_ms: int, now_ms: int) -> Stretch:
        """Read on in the first file that holds anything new. Raises Retryable when nothing can be read.

        Args:
            stored: What the stretch before gave as `known`.
            since_ms: What was there at the first look counts from then on.
            now_ms: The present.
        """
        listing = self.folder.list()
        files = listing.files
        known = msgspec.convert(stored or {}, dict[str, Known])
        if not files:
            fix = f"See that {self.folder.path} is the folder log/audit of the node, and that it is mounted."
            words = f"there is no audit log file in the folder of node {self.folder.node}"
            return Stretch([], 0, msgspec.to_builtins(known), [self.folder.trouble(words, fix, "not_found")])
        troubles: list[Retryable] = []
        before = known
        files, known = self._matched(files, known, since_ms, troubles)
        known, lost = Vanished(listing, self._open).judge(before, known, since_ms, now_ms)
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
        return Stretch(*stretch, msgspec.to_builtins(known), troubles, lost)

    def close(self) -> None:
        """Close what is open."""
        for ident in tuple(self._unpacking):
            self._close(ident)

    # ------------------------------------------------------------------------------------------------ which is which

    def _matched(
        self, files: list[LogFile], known: dict[str, Known], since_ms: int, troubles: list[Retryable]
    ) -> tuple[list[LogFile], dict[str, Known]]:
        """Return the files that are identified now, and the place of every one, and of some that were.

        What cannot be looked into now is left for the next look, with its place: one that is unknown would begin anew.
        """
        is_first = not known
        found: dict[str, Known] = {}
        superseded: dict[str, Known] = {}
        matched: list[LogFile] = []
        for file in files:
            try:
                place = self._at_first(file, since_ms) if is_first else self._place(file, known)
            except Retryable as error:
                troubles.append(error)
            except OSError as error:
                troubles.append(self.folder.unreadable(file, error))
            else:
                if place is not None:
                    matched.append(file)
                    before = known.get(file.ident)
                    if before is not None and replaced(before, place, file, self._open):
                        key = f"{file.ident}-{before.at}-{before.changed}"
                        superseded[key] = before  # a copy of what was there may come yet
                        place = msgspec.structs.replace(place, head="")
                    found[file.ident] = seen_now(place, file, self._open)
        there = {file.ident for file in files}
        left = {ident: known[ident] for ident in there if ident in known and ident not in found}
        gone = {ident: place for ident, place in known.items() if ident not in there} | superseded
        return matched, {**kept(gone), **left, **found}

    def _at_first(self, file: LogFile, since_ms: int) -> Known:
        """Return the place of a file of the first look: what no one wrote into since then holds nothing of it."""
        place = Known(file.name, old=_ALL_OF_IT if file.packed else file.size)
        if file.changed_ns // 10**6 >= since_ms - _DAY_MS:
            return place
        with suppress(Retryable, OSError):  # it is read when that is possible, and none of it counts either
            if (text := self._open(file)) is not None:
                with closing(text):
                    if isinstance(text, PackedText):
                        return msgspec.structs.replace(place, whole=text.whole())
                    head, before, _ = text.around(file.size, 0)
                    return msgspec.structs.replace(place, at=file.size, mark=mark_of(head, before))
        return place

    def _open(self, file: LogFile) -> PlainText | PackedText | None:
        """Open a file; None when something else has its name. Raises Retryable."""
        descriptor = self.folder.open(file)
        if descriptor is None:
            return None
        return PackedText(descriptor) if file.packed else PlainText(descriptor)

    def _place(self, file: LogFile, known: dict[str, Known]) -> Known | None:
        """Return how far a file was read; None when something else has its name. Raises Retryable or OSError."""
        place = known.get(file.ident)
        seen = [each[file.ident][0] for each in (self._unpacking, self._damaged) if file.ident in each]
        if place is not None:
            if file.looks in seen or self._read_up.get(file.ident) == (file.name, file.looks, place.at):
                return place
            if not (place.at or place.whole) and place.name == file.name:
                return place  # nothing was read, and nothing can be wrong
        self._close(file.ident)
        text = self._open(file)
        if text is None:
            return None
        kept = False
        try:
            found = _found(text, file, place, known)
            if isinstance(text, PackedText) and found.at and not found.whole and text.damage is None:
                self._unpacking[file.ident], kept = (file.looks, text), True
            return found
        finally:
            if not kept:
                text.close()

    def _forget(self, files: list[LogFile]) -> None:
        there = {file.ident for file in files}
        for memory in (self._read_up, self._damaged):
            for ident in [ident for ident in tuple(memory) if ident not in there]:
                memory.pop(ident, None)
        for ident in [ident for ident in tuple(self._unpacking) if ident not in there]:
            self._close(ident)

    def _close(self, ident: str) -> None:
        if ident in self._unpacking:
            self._unpacking.pop(ident)[1].close()

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
            if not fits(place, head, before):
                return [], place  # it was cut, or is another one, since it was looked at
            is_whole = len(data) < most
            finished = quiet and not is_last
            cut = self._cutter.cut(data, place.at, within=place.within, whole=is_whole, finished=finished, quiet=quiet)
            if cut.wants:
                most = cut.wants
                continue
            place = _behind(place, file.name, head, before, data, cut)
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
        if place.whole:
            self._read_up[file.ident] = (file.name, file.looks, place.at)
            return [], place
        _, text = self._unpacking.pop(file.ident, (None, None))
        if text is None:
            descriptor = self.folder.open(file)
            if descriptor is None:
                return [], place
            text = PackedText(descriptor)
        lines, place, is_end = self._unpack(text, file, place)
        if not is_end:
            self._unpacking[file.ident] = file.looks, text
            return lines, place
        whole = text.whole() if text.damage is None else ""
        text.close()
        if lines or text.damage is None:
            return lines, msgspec.structs.replace(place, whole=whole)
        if not is_quiet:
            return [], place  # it is being packed
        trouble = self.folder.unreadable(file, text.damage)
        self._damaged[file.ident] = (file.looks, trouble)
        raise trouble

    def _unpack(self, text: PackedText, file: LogFile, place: Known) -> tuple[list[tuple[int, bytes]], Known, bool]:
        """Return the next lines, the place behind them, and whether the end was reached."""
        most = _AT_ONCE
        while True:
            head, before, data = text.around(place.at, most)
            if not fits(place, head, before) and text.damage is None:
                text.close()
                fix = "Nothing, when it happens once: it is looked at again."
                raise self.folder.trouble(f"{file.name} was changed while it was read", fix)
            is_whole = len(data) < most
            finished = is_whole and text.damage is None
            cut = self._cutter.cut(data, place.at, within=place.within, whole=is_whole, finished=finished)
            if cut.wants:
                most = cut.wants
                continue
            place = _behind(place, file.name, head, before, data, cut)
            is_end = is_whole and (cut.taken == len(data) or not cut.lines)
            if cut.lines or is_end:
                return cut.lines, place, is_end


def _behind(place: Known, name: str, head: bytes, before: bytes, data: bytes, cut: Cut) -> Known:
    """Return the place behind what was cut."""
    if not cut.taken:
        return msgspec.structs.replace(place, name=name, within=cut.within)
    begins = before + data[: min(cut.taken, MARK)] if place.at == len(before) else head
    ends = before + data[max(0, cut.taken - MARK) : cut.taken]
    mark = mark_of(begins, ends)
    return msgspec.structs.replace(place, name=name, at=place.at + cut.taken, mark=mark, within=cut.within)


def _found(text: PlainText | PackedText, file: LogFile, own: Known | None, known: dict[str, Known]) -> Known:
    """Return the place of a file that was not recognised yet: its own, that of one it is a copy of, or its beginning.

    Args:
        text: The file.
        file: Where it lies.
        own: The place under its inode, which may be that of a file that is gone.
        known: All places.
    """
    if isinstance(text, PackedText):
        whole = text.whole()
        for place in known.values():
            if place.whole == whole:
                return place
    of_name = [place for place in known.values() if place.name.startswith(file.stem)]
    tried = [place for place in (*of_name, own) if place is not None and place.at and place.mark]
    best = None
    for place in sorted(tried, key=lambda place: place.at):  # what is unpacked goes forward only
        head, before, _ = text.around(place.at, 0)
        if len(before) < len(head):
            break
        best = place if mark_of(head, before) == place.mark else best
    if best is not None:
        return msgspec.structs.replace(best, whole="")
    is_turned = file.name != file.stem
    old = max((place.old for place in of_name if is_turned or (place.name == file.name and not place.at)), default=0)
    return Known(file.name, old=old)
