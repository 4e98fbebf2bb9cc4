"""What is gone from the folder of a node before it was read: files that were seen, and files that never were.

A product keeps so many files and removes the oldest. Of a file that was seen it is known how much of it was not read.
Of one that came and went between two looks only its number is missing: `YYYYMMDD-NNNNN` counts up through a day, so
what is missing behind the newest file that was known was removed. Nothing is claimed as long as a copy is there, packed
or not, or as long as the folder still has an older file of the product: it removes the oldest first.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import closing, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from forwarder.contracts import Lost, Retryable
from forwarder.sources.datacenter.files import MARK, PackedText
from forwarder.sources.datacenter.known import Known, fits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from forwarder.sources.datacenter.files import Listing, LogFile, PlainText

    Open = Callable[[LogFile], PlainText | PackedText | None]

GONE_MS = 10_000
"""A file that is missing for so long is gone; for moments it is while a folder is copied, or its name is changed."""

MOST_GONE = 20
"""Files that are not there any more of which the places are remembered: a copy of them may come yet."""

_NUMBERED = re.compile(r"([0-9]{8})-([0-9]{5,9})\.audit\.log", re.ASCII)
_HOUR_MS = 3_600_000

Number = tuple[str, int]
"""Day and number of a file, by the name that the product gave it."""


def number_of(name: str) -> Number | None:
    """Return day and number of a file, whatever was appended to its name; None for a name of another kind."""
    found = _NUMBERED.match(name)
    return None if found is None else (found[1], int(found[2]))


def seen_now(place: Known, file: LogFile, open_: Open) -> Known:
    """Return a place with what is seen of its file now."""
    head = "" if place.at or place.whole else place.head
    if file.size and not (place.at or place.whole or head):
        head = _head(file, min(file.size, MARK), open_)
    return msgspec.structs.replace(
        place, name=file.name, size=file.size, changed=file.changed_ns // 10**6, gone=0, head=head
    )


def replaced(before: Known, place: Known, file: LogFile, open_: Open) -> bool:
    """Tell whether the inode of a file has other content now than what was seen there, or less."""
    if before.mark and place.mark != before.mark:
        return True
    if not before.is_unread:
        return False
    if before.size > file.size and not file.packed:
        return True
    if before.at or not before.head or (before.name, before.size, before.changed) == _looks(file):
        return False
    return _head(file, int(before.head.partition("-")[0]), open_) not in {"", before.head}


def kept(gone: dict[str, Known]) -> dict[str, Known]:
    """Return the places of files that are not there which are remembered: the newest, and those that are unread."""
    newest = sorted(gone, key=lambda ident: gone[ident].name)[-MOST_GONE:]
    return {ident: place for ident, place in gone.items() if place.is_unread or ident in newest}


class Vanished:
    """Finds at one look what is gone. Reads files only when one is missing that was not read to its end.

    Args:
        listing: What lies in the folder.
        open_: Opens a file.
    """

    def __init__(self, listing: Listing, open_: Open) -> None:
        self._listing = listing
        self._open = open_
        self._names = [*(file.name for file in listing.files), *listing.others]

    def judge(
        self, before: dict[str, Known], known: dict[str, Known], since_ms: int, now_ms: int
    ) -> tuple[dict[str, Known], list[Lost]]:
        """Return the places with what was found written down in them, so that it is found once, and what is lost.

        Args:
            before: The places before this look.
            known: Those of now.
            since_ms: What was there at the first look counts from then on.
            now_ms: The present.
        """
        there = {file.ident for file in self._listing.files}
        after = dict(known)
        removed: list[Known] = []
        for ident, place in known.items():
            if ident in there or not place.is_unread:
                continue
            gone = place.gone or now_ms
            is_history = place.at < place.old and place.changed < since_ms
            if is_history or (is_there := self._is_there(place)):
                gone = -1
            elif is_there is False and now_ms - gone >= GONE_MS:
                removed.append(place)
                gone = -1
            changed = place.changed if place.gone or gone < 0 else self._written_until(place, before, now_ms)
            after[ident] = msgspec.structs.replace(place, gone=gone, changed=changed)
        lost = [_of_removed(sorted(removed, key=lambda place: place.name), known)] if removed else []
        return after, [*lost, *self._skipped(before, known)]

    # ------------------------------------------------------------------------------------------- files that were seen

    def _is_there(self, place: Known) -> bool | None:
        """Tell whether what was not read of a file is in another one; None when nobody can look now."""
        stem = place.name.partition(".audit.log")[0] + ".audit.log"
        if any(name.startswith(stem) for name in self._listing.others):
            return True  # it is there, and doctor says that it cannot be read
        answer: bool | None = False
        for file in self._listing.files:
            if file.stem != stem:
                continue
            try:
                if self._holds(file, place):
                    return True
            except (Retryable, OSError):
                answer = None
        return answer

    def _written_until(self, place: Known, before: dict[str, Known], now_ms: int) -> int:
        """Return when a file that is missing was written last, or at the latest: the newest may have grown since."""
        number = number_of(place.name)
        if number is None or any((number_of(other.name) or number) > number for other in before.values()):
            return place.changed
        later = [file for file in self._listing.files if (number_of(file.name) or number) > number]
        return later[0].changed_ns // 10**6 if later else max(place.changed, now_ms)

    def _holds(self, file: LogFile, place: Known) -> bool:
        was_packed = place.name.endswith(".gz")
        if not file.packed and not was_packed and file.size < place.size:
            return False
        text = self._open(file)
        if text is None:
            return False
        with closing(text):
            if place.at:
                head, before, _ = text.around(place.at, 0)
                return fits(place, head, before)
            if was_packed or not place.head:
                return True
            return _digest(text.read(0, int(place.head.partition("-")[0]))) == place.head

    # ------------------------------------------------------------------------------------------ files that never were

    def _skipped(self, before: dict[str, Known], known: dict[str, Known]) -> Iterator[Lost]:
        """Yield what is missing behind the newest file that was known, up to the oldest that the product still has."""
        numbered = [(number, place) for place in before.values() if (number := number_of(place.name)) is not None]
        if not numbered:
            return
        newest = max(number for number, _ in numbered)
        places = [place for number, place in numbered if number == newest]  # it may have been cut, or copied
        listed = {number: 0 for name in self._names if (number := number_of(name)) is not None}
        is_further, oldest = False, None
        for file in self._listing.files:
            number = number_of(file.name)
            if number is not None:
                listed[number] = max(listed[number], file.changed_ns // 10**6)
                is_further = is_further or (number > newest and file.ident in known)
                oldest = min(number, oldest or number) if file.name == file.stem else oldest
        later = sorted(number for number in listed if number > newest)
        if not is_further or (oldest is not None and oldest <= newest):
            return  # it is judged when what follows is known
        lacks_its_end = newest not in listed and not any(place.is_unread for place in places) and len(later) > 1
        last, since = newest, min(place.changed for place in places)
        for number in later:
            missing = number[1] - last[1] - 1 if number[0] == last[0] else number[1]
            if missing or (last == newest and lacks_its_end):
                yield _of_numbers(last, number, missing, since, listed[number])
            if number == oldest:
                return
            last, since = number, listed[number]


def _of_numbers(last: Number, first: Number, missing: int, since_ms: int, until_ms: int) -> Lost:
    """Return what is lost between two files, or of the end of the one before."""
    before, behind = (f"{day}-{number:05d}.audit.log" for day, number in (last, first))
    if missing:
        at_least = "" if first[0] == last[0] else "at least "
        why = f"the product removed {at_least}{_files(missing)} before {_they(missing)} read"
    else:
        why = f"the product removed {before}, and what it wrote there after the last look may not have been read"
    since = _within_its_day(since_ms, last[0])
    return Lost(f"files between {before} and {behind}", why, since, until_ms or None)


def _of_removed(removed: list[Known], known: dict[str, Known]) -> Lost:
    """Return what is lost with files that were seen and are gone; ordered by their names."""
    first, last = removed[0].name, removed[-1].name
    names = first if first == last else f"{first} to {last}"
    size = sum(place.size - place.at for place in removed if not place.name.endswith(".gz"))
    words = f"{names}, {size} bytes not read" if size > 0 else names
    older = [place.changed for place in known.values() if place.name < first and place.changed]
    number = number_of(first)
    begins = max(older, default=None)
    if number is not None:
        begins = _within_its_day(begins or 0, number[0])
    why = f"the product removed {_files(len(removed))} before {_they(len(removed))} read"
    return Lost(words, why, begins, max(place.changed for place in removed))


def _within_its_day(moment_ms: int, day: str) -> int | None:
    """Return when a file of a day was written, or the earliest that it begins anywhere: copies have other times."""
    try:
        midnight = int(datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        return moment_ms or None
    earliest, latest = midnight - 14 * _HOUR_MS, midnight + 36 * _HOUR_MS
    return moment_ms if earliest <= moment_ms <= latest else earliest


def _head(file: LogFile, size: int, open_: Open) -> str:
    """Return how many bytes a file begins with, up to `size`, and their digest; empty when nobody can look now."""
    with suppress(Retryable, OSError):
        text = open_(file)
        if text is not None:
            with closing(text):
                return _digest(text.raw(size))
    return ""


def _digest(head: bytes) -> str:
    return f"{len(head)}-{hashlib.blake2b(head, digest_size=8).hexdigest()}"


def _looks(file: LogFile) -> tuple[str, int, int]:
    return file.name, file.size, file.changed_ns // 10**6


def _files(number: int) -> str:
    return f"{number} file" if number == 1 else f"{number} files"


def _they(number: int) -> str:
    return "it was" if number == 1 else "they were"
