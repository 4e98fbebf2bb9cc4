"""What proves that the evidence of an answer is unchanged, and what does not: objects, their digests, their keys.

What was read for the answer is compared, byte for byte. The index has the SHA-256 of the objects of which it was made,
which is compared, too; and what it answered for is read now, but for buckets and many objects: then it is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from forwarder.archive import layout
from forwarder.investigate.result import EvidenceFailure, EvidenceObject

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from forwarder.archive.hours import HourProof
    from forwarder.investigate.reading import ArchiveReader
    from forwarder.investigate.result import Evidence
    from forwarder.investigate.tables import MadeOf

VERIFY = "audit-forwarder archive verify"
MOST_READ = 2000
"""Objects that are read again for an answer that the index gave."""


class Proving:
    """Proves what an answer is made from.

    Args:
        reader: It read what the index does not hold.
        made_of: What the tables were made of.
        known_keys: Ids of keys that are configured.
    """

    def __init__(self, reader: ArchiveReader, made_of: MadeOf, known_keys: Collection[str] = ()) -> None:
        self._reader = reader
        self._made_of = made_of
        self._known_keys = known_keys

    def __call__(self, evidence: Evidence, known: Mapping[str, str | None]) -> Evidence:
        """Return the evidence with objects of it, and with what is proven of them and what was read.

        Args:
            evidence: The answer's.
            known: SHA-256 of the objects of which the index was made, by name; None for those that were read.
        """
        names = sorted(known)
        is_near = "://" not in self._reader.place and len(names) <= MOST_READ
        if is_near:
            self._reader.hash(names)
        hashes = self._reader.hashes
        indexed = {name: found for name, found in known.items() if found is not None}
        proof = self._reader.prove(names, indexed, self._made_of.days)
        said = proof.objects
        objects = tuple(
            EvidenceObject(name, said[name].sha256 if name in said else hashes.get(name) or known[name] or "")
            for name in names
        )
        failures = [EvidenceFailure(each.kind, each.name, each.detail) for each in proof.findings]
        failures += [
            EvidenceFailure("object_missing", name, "it was there when the index was made")
            for name in names
            if name not in hashes and is_near
        ]
        unread = sum(name not in hashes for name in names)
        open_ends = list(self._not_proven(proof, unread))
        is_proved = bool(proof.digests) and not failures and not open_ends
        return msgspec.structs.replace(
            evidence,
            objects=objects,
            head=proof.head or None,
            proof=". ".join(
                [*self._proven(proof, len(names) - unread), *(f"Not proven: {text}" for text in open_ends)]
            ),
            proved=is_proved,
            hours=proof.digests,
            signed_hours=proof.signed,
            keys=tuple(proof.keys),
            open_objects=len(proof.waiting),
            failed=tuple(sorted(failures, key=lambda one: (one.kind, one.name))),
        )

    def _proven(self, proof: HourProof, compared: int) -> Iterator[str]:
        if proof.digests and not proof.findings:
            yield (
                f"{compared - len(proof.waiting)} objects are as the {proof.digests} digests of their hours say, and"
                " each digest is the one that the next names"
            )
        if proof.keys:
            ours = [key for key in proof.keys if key in self._known_keys]
            theirs = [key for key in proof.keys if key not in self._known_keys]
            whose = "the configured key" if ours else "the key"
            text = f"signed with {whose} {', '.join(ours or theirs)}"
            if ours and theirs:
                text += f", and before that with {', '.join(theirs)}"
            yield f"{proof.signed} of them are {text}" + ("" if ours else ": compare its id with your record")

    def _not_proven(self, proof: HourProof, unread: int) -> Iterator[str]:
        if not proof.digests and not proof.waiting:
            yield f"anything: no object was needed, so none was checked ({VERIFY} checks all)"
            return
        if proof.digests > proof.signed:
            why = f" ({proof.signatures_unread})" if proof.signatures_unread else ""
            yield f"who wrote {proof.digests - proof.signed} digests: no signature of theirs was checked{why}"
        if proof.waiting:
            since = min(self._hour(name) for name in proof.waiting)
            yield f"anything about {len(proof.waiting)} objects from {since} on: their hour has no digest yet"
        if unread:
            yield (
                f"that {unread} objects are there still: the index answered, which was made of objects as their digests"
                " have them"
            )

    @staticmethod
    def _hour(name: str) -> str:
        said = layout.parse_evidence(name)
        return f"{said.hour:%Y-%m-%d %H:00Z}" if said is not None else name
