"""The README of a package: what it is, how it is checked, and what that proves, for somebody who does not know us."""

from __future__ import annotations

from typing import NamedTuple

from forwarder.contracts.text import visible


class Facts(NamedTuple):
    """What a README says of its package; texts may be foreign."""

    question: str
    case: str
    reason: str
    made: str
    lines: int
    objects: int
    has_objects: bool
    digests: int
    open_objects: int
    keys: tuple[str, ...]
    signer: str


def readme(facts: Facts) -> str:
    """Return it."""
    keys = ", ".join(facts.keys)
    head = [
        "EVIDENCE PACKAGE",
        "================",
        "",
        f"Question   {visible(facts.question)}",
        *([f"Case       {visible(facts.case)}"] if facts.case else []),
        *([f"Reason     {visible(facts.reason)}"] if facts.reason else []),
        f"Made       {visible(facts.made)}",
        f"Signed by  {facts.signer}   (the id of signer.pem)",
        f"Archive    {keys or 'has no signatures'}   (ids of the keys that signed its digests)",
        f"Content    {facts.lines} events in {facts.objects} objects of evidence; {facts.digests} digests",
    ]
    return "\n".join([*head, "", _text(facts), ""])


def _text(facts: Facts) -> str:
    objects = (
        "  archive/evidence/   the objects in which these lines stand, whole: they hold events of other people,\n"
        "                      too, and are here because the digests have the SHA-256 of an object, not of a line"
        if facts.has_objects
        else "  (archive/evidence/  was left out: that the lines stand in the objects is not proven here, but can be\n"
        "                      looked up in the archive by places.ndjson)"
    )
    waiting = (
        f"- Anything about {facts.open_objects} objects that were in no digest yet: their hour was not over.\n"
        if facts.open_objects
        else ""
    )
    unsigned = "" if facts.keys else "- Who wrote the digests: they have no signature.\n"
    signed = ", and was signed with the key of the archive" if facts.keys else ""
    in_objects = (
        "- Each object is, byte for byte, what the digest of its hour says, and each line of events.ndjson stands in\n"
        "  its object.\n"
        if facts.has_objects
        else ""
    )
    lines = "" if facts.has_objects else "- That the lines stand in the objects, which are not here.\n"
    return f"""WHAT IS IN IT

  report.html         the answer, to be read and printed; result.json and result.csv are the same answer
  events.ndjson       the events that it counts, as Atlassian sent them, one a line
  places.ndjson       where each of these lines stands: object, number of the line, SHA-256 of the line
{objects}
  archive/digests/    what was stored in each hour, from the hour before the first event to the one after the
                      last, with the SHA-256 of each object and of the digest before; and signatures (.sig)
  archive/keys/       the public keys of these signatures
  verify_package.py   a script that checks all of this with Python and openssl, and nothing of ours; it runs
                      verify_archive.py, which checks digests and objects
  MANIFEST            the SHA-256 of every other file; MANIFEST.sig is its signature by signer.pem

HOW TO CHECK IT

Do not take the scripts from this package, for who changed the package could have changed them, too: get them from
`audit-forwarder archive verify-script`, the one for packages with `--package`, or compare them with those that you
know. Then, on the zip as you got it:

  python3 verify_package.py PACKAGE.zip --signer {facts.signer} --key ID

or `audit-forwarder archive verify-package PACKAGE.zip` with the same options. `--signer` is the id of the key of who
made this package, `--key` that of the archive: ask for both ids by another way than this package came. With
`--head SHA256`, of a heartbeat in the SIEM from these hours, the digests are compared with what left the archive then.
To look into the objects the script needs Python 3.14 or the program zstd.

By hand, in the unpacked folder:

  sha256sum --check --quiet MANIFEST
  openssl pkeyutl -verify -pubin -inkey signer.pem -rawin -in MANIFEST -sigfile MANIFEST.sig
  openssl pkey -pubin -in signer.pem -outform DER | sha256sum | cut -c1-32

WHAT IT PROVES

- No file was changed, added or removed since it was signed by the holder of the key {facts.signer}.
- Each digest is the one that the next one names{signed}.
{in_objects}
WHAT IT DOES NOT PROVE

- Whose keys these are: compare the ids.
- That the archive got every event, and that nothing was cut off from it before or after these hours.
- That these are all events that answer the question: who checks that needs the archive. What the report compares
  with (other people, other times) is not in here either.
{lines}{unsigned}{waiting}- What an event means. A view was delivered to an account; that a person read it is in no log.
"""
