"""How an archive is laid out: names in, names out. Nothing is read or written here.

::

    evidence/v1/source=<name>/day=2026-11-29/hour=13/<first>-<last>.ndjson.zst   what came, immutable
    digests/v1/2026/11/29/13.json and 13.json.sig                                one a closed hour, and its signature
    keys/v1/<key id>.pem                                                         public keys
    deletions/v1/2026-11.json and 2026-11.json.sig                               months that were deleted, and why
    index/v1/…                                                                   derived, may be deleted
    hold                                                                         nothing is deleted while it is there

Day and hour are those in which an object was stored, in UTC: an hour closes once and for all, and the times of events
stay in the events. Names of sources are percent-quoted, so that every one is one part of a path.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from urllib.parse import unquote_to_bytes

import msgspec

EVIDENCE = "evidence/v1/"
DIGESTS = "digests/v1/"
KEYS = "keys/v1/"
DELETIONS = "deletions/v1/"
INDEX = "index/v1/"
HOLD = "hold"

_EVIDENCE = re.compile(
    r"evidence/v1/source=([A-Za-z0-9_%.-]+)/day=(\d{4}-\d{2}-\d{2})/hour=(\d{2})/(\d{16})-(\d{16})\.ndjson\.zst",
    re.ASCII,
)
_DIGEST = re.compile(r"digests/v1/(\d{4})/(\d{2})/(\d{2})/(\d{2})\.json", re.ASCII)
_DELETION = re.compile(r"deletions/v1/(\d{4}-\d{2})\.json", re.ASCII)
_UNQUOTED = re.compile(rb"[^A-Za-z0-9_-]")


class EvidenceName(msgspec.Struct, frozen=True, order=True):
    """What the name of an evidence object says.

    Attributes:
        source: The name of the source in the configuration.
        hour: Beginning of the hour in which it was stored, UTC.
        first, last: Lowest and highest number of its events in the spool; there may be others between.
    """

    source: str
    hour: datetime
    first: int
    last: int

    def __str__(self) -> str:
        return f"{hour_folder(self.source, self.hour)}{self.first:016}-{self.last:016}.ndjson.zst"


def parse_evidence(name: str) -> EvidenceName | None:
    """Return what a name says; None for one that this module does not write."""
    found = _EVIDENCE.fullmatch(name)
    if found is None:
        return None
    try:
        hour = datetime.fromisoformat(f"{found[2]}T{found[3]}:00:00+00:00")
        parsed = EvidenceName(unquoted(found[1]), hour, int(found[4]), int(found[5]))
    except ValueError:
        return None
    return parsed if str(parsed) == name and parsed.first <= parsed.last else None


def source_folder(source: str) -> str:
    """Return the folder of a source's evidence."""
    return f"{EVIDENCE}source={quoted(source)}/"


def day_folder(source: str, day: date) -> str:
    """Return the folder of a source's evidence of a day."""
    return f"{source_folder(source)}day={day:%Y-%m-%d}/"


def hour_folder(source: str, hour: datetime) -> str:
    """Return the folder of a source's evidence of an hour."""
    return f"{source_folder(source)}day={hour:%Y-%m-%d}/hour={hour:%H}/"


def source_of(folder: str) -> str | None:
    """Return the source whose folder this is; the inverse of `source_folder`, None for another folder."""
    name = folder.removeprefix(f"{EVIDENCE}source=").removesuffix("/")
    try:
        source = unquoted(name)
    except ValueError:
        return None
    return source if source_folder(source) == folder else None


def day_of(folder: str) -> date | None:
    """Return the day whose folder this is; None for another folder."""
    try:
        return date.fromisoformat(folder.removesuffix("/").rpartition("/day=")[2])
    except ValueError:
        return None


def hour_of(moment: float) -> datetime:
    """Return the beginning of the hour, UTC, of a time in seconds since the epoch."""
    return datetime.fromtimestamp(moment // 3600 * 3600, UTC)


def digest_name(hour: datetime) -> str:
    """Return the name of an hour's digest."""
    return f"{DIGESTS}{hour:%Y/%m/%d/%H}.json"


def parse_digest(name: str) -> datetime | None:
    """Return the hour whose digest this is; None for any other name, a signature's too."""
    found = _DIGEST.fullmatch(name)
    try:
        return datetime(int(found[1]), int(found[2]), int(found[3]), int(found[4]), tzinfo=UTC) if found else None
    except ValueError:
        return None


def signature_name(name: str) -> str:
    """Return the name of the signature of a digest or deletion record."""
    return f"{name}.sig"


def key_name(key: str) -> str:
    """Return the name of a public key, by its id."""
    return f"{KEYS}{key}.pem"


def index_folders(month: date) -> list[str]:
    """Return the folders of a month's index: its own, and those of its days."""
    days = [month.replace(day=1) + timedelta(days=at) for at in range(31)]
    return [
        f"{INDEX}month={month:%Y-%m}/",
        *(f"{INDEX}day={day:%Y-%m-%d}/" for day in days if day.month == month.month),
    ]


def deletion_name(month: date) -> str:
    """Return the name of the record of a deleted month."""
    return f"{DELETIONS}{month:%Y-%m}.json"


def parse_deletion(name: str) -> date | None:
    """Return the first day of the month whose deletion record this is; None for any other name."""
    found = _DELETION.fullmatch(name)
    try:
        return date.fromisoformat(f"{found[1]}-01") if found else None
    except ValueError:
        return None


def quoted(text: str) -> str:
    """Return a text as one part of a name: letters, digits, `_` and `-` as they are, all else as `%XX` of its UTF-8."""
    return _UNQUOTED.sub(lambda found: b"%%%02X" % found[0][0], text.encode()).decode("ascii")


def unquoted(text: str) -> str:
    """Return the text that was quoted. Raises ValueError when it is no UTF-8."""
    return unquote_to_bytes(text).decode()
