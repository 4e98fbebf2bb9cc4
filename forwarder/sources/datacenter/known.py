"""How far a file was read, and whether a text is that of a file that was."""

from __future__ import annotations

import msgspec

from forwarder.sources.datacenter.files import mark_of


class Known(msgspec.Struct, frozen=True, array_like=True):
    """How far one file was read; stored as an array.

    Attributes:
        name: When it was read last.
        at: Bytes read.
        mark: Of its text, by which it is known again; empty when nothing was read.
        old: What begins before this place was there at the first look, and counts only when it is new enough.
        within: The place is in a line that is too long.
        whole: Of a packed file that is done with, by which it is known again without its text being unpacked.
        size: Bytes on the disk when it was seen last.
        changed: When it was written then, epoch milliseconds.
        gone: Since when it is missing, epoch milliseconds; -1 when what became of it is known.
        head: While nothing was read: how many of its first bytes were seen, and their digest.
    """

    name: str
    at: int = 0
    mark: str = ""
    old: int = 0
    within: bool = False
    whole: str = ""
    size: int = 0
    changed: int = 0
    gone: int = 0
    head: str = ""

    @property
    def is_unread(self) -> bool:
        """Tell whether it was seen to hold more than was read."""
        if self.gone < 0:
            return False
        return self.size > 0 and (not self.whole if self.name.endswith(".gz") else self.size > self.at)


def fits(place: Known, head: bytes, before: bytes) -> bool:
    """Tell whether a place is one in the text that has this beginning, and this before the place."""
    return not place.at or (len(head) == len(before) and (not place.mark or mark_of(head, before) == place.mark))
