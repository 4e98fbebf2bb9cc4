"""What a check of an archive found, and what it proves: data, and the words for it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

KINDS = {
    "digest_missing": "a digest is missing",
    "digest_changed": "a digest is not the one that the next names",
    "digest_unreadable": "a digest is not one that is written here",
    "digest_misplaced": "a digest lies under the name of another hour",
    "hour_missing": "hours are left out between two digests",
    "hour_wrong": "a digest names an object of a later hour",
    "signature_missing": "a digest or record has no signature",
    "signature_wrong": "a signature is not of this text and key",
    "key_missing": "a public key is missing",
    "key_wrong": "a public key is not the one of its name",
    "key_changed": "another key signs, and the one before did not name it",
    "key_unknown": "no digest is signed with the key that you know",
    "object_missing": "an object is missing",
    "object_truncated": "an object is shorter than it was",
    "object_changed": "an object has other bytes than it had",
    "object_foreign": "an object is in no digest",
    "object_twice": "an object is in two digests",
    "object_damaged": "an object that is in no digest yet is not evidence",
    "object_overwritten": "an object has more than one version",
    "counts_wrong": "counts do not add up",
    "numbers_wrong": "numbers of events are not what the digest says",
    "head_missing": "the digest that you know is not in the chain",
    "deletion_wrong": "a record of deleted evidence is not what the digests say",
}
"""Every kind of finding; `verify_archive.py` has the same."""


class Found(msgspec.Struct, frozen=True, order=True):
    """One thing that is not as it was written: of a kind, by the name of an object, and how it was seen."""

    kind: str
    name: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}: {self.detail}"


class Verdict(msgspec.Struct):
    """What became of a check.

    Attributes:
        findings: What is not as it was written.
        digests: How many were read.
        since, until: Of which hours, ISO 8601; empty without any.
        head: SHA-256 of the newest.
        objects, events, bytes: What the digests name and was read, byte for byte.
        keys: Ids of the keys that signed, in order.
        proven: Sentences.
        not_proven: Sentences.
    """

    findings: list[Found] = []
    digests: int = 0
    since: str = ""
    until: str = ""
    head: str = ""
    objects: int = 0
    events: int = 0
    bytes: int = 0
    keys: list[str] = []
    proven: list[str] = []
    not_proven: list[str] = []


class Tally(msgspec.Struct):
    """What a check counted besides; it becomes the sentences of a verdict.

    Attributes:
        heads: How many known digests were asked for.
        known: Ids of keys that whoever asks knows to be theirs.
        unsigned: Digests without a key.
        unfinished: The newest digest has no signature yet.
        uncovered: Objects that are in no digest yet, and are evidence.
        is_key_new: The known key was configured so lately that no digest can be signed with it.
        orphaned: Objects of hours whose digest is missing or cannot be read.
        recovered: Objects that were taken up after a restart.
        back: Sources of which numbers go back.
        deleted: Months by their records, with how many events each had.
        unsigned_records: Of these, those whose record has no signature.
    """

    heads: int = 0
    known: list[str] = []
    unsigned: int = 0
    unfinished: bool = False
    uncovered: int = 0
    is_key_new: bool = False
    orphaned: int = 0
    recovered: int = 0
    back: set[str] = set()
    deleted: dict[str, int] = {}
    unsigned_records: set[str] = set()


_CHAIN = {
    "digest_missing",
    "digest_changed",
    "digest_unreadable",
    "digest_misplaced",
    "hour_missing",
    "hour_wrong",
}
_SIGNATURES = {"signature_missing", "signature_wrong", "key_missing", "key_wrong", "key_changed", "key_unknown"}
_OBJECTS = {
    "object_missing",
    "object_truncated",
    "object_changed",
    "object_foreign",
    "object_twice",
    "object_damaged",
    "object_overwritten",
    "counts_wrong",
    "numbers_wrong",
    "deletion_wrong",
}


def conclude(verdict: Verdict, tally: Tally) -> None:
    """Fill in what is proven, and what is not."""
    kinds = {found.kind for found in verdict.findings}
    verdict.proven = list(_proven(verdict, tally, kinds))
    verdict.not_proven = list(_not_proven(verdict, tally))


def _proven(verdict: Verdict, tally: Tally, kinds: set[str]) -> Iterator[str]:
    if verdict.digests and not kinds & _CHAIN:
        span = f"{verdict.since} to {verdict.until}"
        yield f"no digest of {span} was removed, put in or changed since the next was written"
    if verdict.keys and not kinds & _SIGNATURES:
        yield f"who has the key {', then '.join(verdict.keys)} signed them"
    if verdict.objects and not kinds & _OBJECTS:
        yield (
            f"{verdict.events} events in {verdict.objects} objects are, byte for byte, what was there when their "
            "digest was written; none was removed or put in since"
        )
        if not tally.back:
            yield "no event is there twice: the numbers of each source only go up"
    if tally.heads and "head_missing" not in kinds:
        yield "the digest that you know is in the chain: nothing up to it was cut off or replaced"


def _not_proven(verdict: Verdict, tally: Tally) -> Iterator[str]:
    key = verdict.keys[0] if verdict.keys else ""
    sentences = (
        (not tally.heads, "that nothing was cut off at the end: give the SHA-256 of a heartbeat or report with --head"),
        (
            key and not tally.known,
            f"that the key {key} is yours: compare its id with your record, or give it with --key",
        ),
        (tally.unsigned, f"who wrote {tally.unsigned} digests without a signature: all of these can be written anew"),
        (
            tally.unfinished,
            "who wrote the newest digest: it has no signature yet; a daemon that was killed adds it when it runs",
        ),
        (
            tally.uncovered,
            (
                f"that {tally.uncovered} objects are what was stored: they unpack and their lines are JSON, but no"
                " digest names them yet, for their hour is open, or no daemon runs"
            ),
        ),
        (tally.is_key_new, "that your key signs here: it was configured lately, and signs from the hour after next"),
        (tally.orphaned, f"anything about {tally.orphaned} objects of hours whose digest is missing or unreadable"),
        (
            tally.recovered,
            f"that a daemon stored {tally.recovered} objects: it found them when it began again after a stop or a kill",
        ),
        (
            tally.back,
            (
                f"that no event is there twice: numbers go back in {', '.join(sorted(tally.back))}, after a new "
                "spool or for late events"
            ),
        ),
        (
            tally.unsigned_records,
            f"who deleted the events of {', '.join(sorted(tally.unsigned_records))}: the records have no signature",
        ),
    )
    yield from (sentence for applies, sentence in sentences if applies)
    for month, events in sorted(tally.deleted.items()):
        yield f"what the {events} events of {month} were: their deletion is on record, and only hashes are left"
    yield "that everything arrived here: `audit-forwarder reconcile` compares with what the logs showed"
