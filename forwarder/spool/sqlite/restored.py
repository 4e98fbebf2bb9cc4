"""A spool that was restored from a backup: what was done since that is not in it, and goes on record.

Cursors and positions go back to the moment of the backup. What was read since is read again, and numbered again; what
was delivered since may be delivered again. So for each lane what waited is in doubt, and for each source the stretch of
time is a gap until all of it was read again. What was only sent to us since cannot be asked for: that is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.contracts.heartbeat import is_heartbeat
from forwarder.contracts.moments import iso_ms
from forwarder.spool.gap import Gap
from forwarder.spool.sqlite.backup import MARK

if TYPE_CHECKING:
    import sqlite3

    from forwarder.spool.sqlite.gaps import Losses
    from forwarder.spool.sqlite.lanes import Lanes

CAUSE = "restored"


def note_restored(con: sqlite3.Connection, lanes: Lanes, losses: Losses, now_ms: int) -> int | None:
    """Put on record that the spool was restored, once; return of which moment it is, None when it was not."""
    found = con.execute("SELECT value FROM meta WHERE name = ?", (MARK,)).fetchone()
    if found is None:
        return None
    at_ms = int(found[0])
    newest = int(con.execute("SELECT value - 1 FROM meta WHERE name = 'next_seq'").fetchone()[0])
    for lane in lanes.of_sinks():
        if lane.position < newest:
            lanes.doubt(lane.number, (lane.position + 1, newest), CAUSE, now_ms)
    when = f"the spool was restored from a backup of {iso_ms(at_ms)}"
    rows = con.execute(
        "SELECT s.number, s.identity, EXISTS (SELECT 1 FROM cursors c WHERE c.source = s.number) FROM sources s"
    )
    for number, identity, is_asked in rows.fetchall():
        if is_heartbeat(identity):
            continue
        what = f"{when}; what came since is read again, and may come to sinks twice"
        gap = Gap("restored", what, number, from_ms=at_ms, to_ms=max(at_ms, now_ms))
        if not is_asked:
            gap.detail = f"{when}; what was sent to us since and not delivered is gone"
            gap.lost_ms, gap.why = now_ms, "it was sent to us, and cannot be asked for again"
        losses.open(gap, now_ms)
    con.execute("DELETE FROM meta WHERE name = ?", (MARK,))
    return at_ms
