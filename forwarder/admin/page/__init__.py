"""The page at `/`: how it goes, for somebody who was woken, and what they can do about it.

::

    /status as JSON ─► document: sections ─► HTML, complete without a script
                          └─ once a second, shared by all streams ─► /events ─► live.js puts in what changed
    a form ─ POST, our own and nobody else's ─► desk ─► the verbs of the control socket, in the daemon's loop
"""
