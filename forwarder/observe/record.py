"""What is known besides how things are now: days, dead letters, errors, archives, acts, configuration. Plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from forwarder.spool.letter import LetterCount


class ErrorSeen(NamedTuple):
    """A reason for which a component was not well.

    Attributes:
        reason: In its words; may be hostile.
        times: How often that began.
        first, last: When it began first, and was seen last, epoch seconds.
    """

    reason: str
    times: int
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class Day:
    """What is known of a day and sink, of one source or, where that is empty, of all; see `reconcile.verdict.Line`."""

    day: str
    source: str
    sink: str
    judgement: str
    expected: int = 0
    delivered: int = 0
    rejected: int = 0
    filtered: int = 0
    waiting: int = 0
    missing: int = 0


@dataclass(frozen=True, slots=True)
class Letters:
    """Dead letters of one sink and reason, and what to do about them."""

    count: LetterCount
    advice: str


@dataclass(slots=True)
class IndexReport:
    """What became of the index of an archive.

    Attributes:
        sink: Of the archive.
        began: When its process was started last, epoch seconds.
        ended: When it was done, or failed; 0 until then.
        good: When an index was made last; 0 for never.
        events: In the index.
        failed_parts: Days and months that could not be made.
        reason: Why not, or why there was no index at all; empty when it is well.
    """

    sink: str
    began: float = 0.0
    ended: float = 0.0
    good: float = 0.0
    events: int = 0
    failed_parts: int = 0
    reason: str = ""


@dataclass(slots=True)
class CheckReport:
    """What became of the check of an archive.

    Attributes:
        sink: Of the archive.
        every: Seconds between two checks.
        began: When its process was started last, epoch seconds.
        good: When it was checked to its end last; 0 for never.
        findings: What was not as it was written, then.
        reason: Why it could not be checked; empty when it could.
    """

    sink: str
    every: float
    began: float = 0.0
    good: float = 0.0
    findings: int = 0
    reason: str = ""


@dataclass(slots=True)
class HeartReport:
    """Heartbeats: seconds between two, 0 where there are none; when every sink was written one last, 0 for never."""

    every: float = 0.0
    written: float = 0.0


@dataclass(frozen=True, slots=True)
class Act:
    """What a person did to the running daemon: when (epoch seconds), the verb, to what, and who."""

    at: float
    verb: str
    about: str
    who: str


class Configuration(NamedTuple):
    """The configuration in force beside its file.

    Attributes:
        file: Where it was read from; empty when there is no file.
        settings: Each setting that is not as by default: its path, its value with secrets masked, where it stands.
        differs: Paths of settings that would be others if it were read now; secrets in files take no part.
        problem: Why it could not be read again; empty when it could.
    """

    file: str
    settings: tuple[tuple[str, str, str], ...]
    differs: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Completeness:
    """What a sink has of what a source showed, over all days of the books; counted every few seconds.

    Attributes:
        recovered: Of the expected ones, those that were found when their time was read again.
        missing: Left the spool before the sink had them, or accepted by the sink and not found there.
        incomplete_days: Days on which something is missing, or may be.
    """

    source: str
    sink: str
    expected: int = 0
    delivered: int = 0
    recovered: int = 0
    missing: int = 0
    incomplete_days: int = 0
