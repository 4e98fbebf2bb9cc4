"""A package of evidence: one answer, the lines it rests on, and what proves them, for who checks it without us.

A zip with these files; what lies below `archive/` has the names that it has in the archive:

::

    README.txt                    what it is and how it is checked
    report.html result.json result.csv   the answer
    events.ndjson                 the lines that it counts, as the API sent them
    places.ndjson                 of each line: object, line in it, SHA-256, id of the event
    archive/digests/v1/…          the digests from the hour before the first line to the hour after the last, signatures
    archive/keys/v1/…             the public keys of these
    archive/evidence/v1/…         the objects in which the lines stand, unless they are left out
    verify_package.py             the script that checks this without us, with verify_archive.py beside it
    signer.pem                    public key of who made it
    MANIFEST MANIFEST.sig         SHA-256 of every other file, as sha256sum writes it; and its signature
"""
