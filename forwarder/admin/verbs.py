"""Everything that can be asked of a daemon over its control socket, or of a spool while none runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from forwarder.admin.backfills import Backfills
from forwarder.admin.backups import SpoolBackups
from forwarder.admin.control import Verb
from forwarder.admin.cursors import Cursors
from forwarder.admin.dead_letters import Letters
from forwarder.admin.exports import Exports
from forwarder.admin.imports import Imports
from forwarder.admin.lanes import Lanes, LiveLanes
from forwarder.admin.reconcile import Reconciliation
from forwarder.admin.replays import LiveReplays, Replays
from forwarder.admin.tails import Tails, Watched
from forwarder.admin.trials import Trials, WriteOwn
from forwarder.contracts import SystemClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from forwarder.admin.dead_letters import Change
    from forwarder.admin.imports import Push
    from forwarder.contracts import Clock, SinkConfig, Source
    from forwarder.polling.backfill import Order
    from forwarder.polling.ordered import Change as OrderChange
    from forwarder.spool.contract import Spool, SpoolStatus


class Live(LiveLanes, LiveReplays, Watched, Protocol):
    """What delivers in a running daemon."""


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The argument of a verb that takes none."""


async def _no_proofs() -> Mapping[str, str]:
    return {}


def verbs_of(
    spool: Spool,
    sinks: Mapping[str, SinkConfig],
    changed: Callable[[Change], None] | None = None,
    *,
    sources: Callable[[], Mapping[str, Source]] = dict,
    drop_cursor: Callable[[str, str, str], Awaitable[bool]] | None = None,
    retry_source: Callable[[str, str], None] | None = None,
    order_backfill: Callable[[str, str, OrderChange], Awaitable[Order | None]] | None = None,
    import_page: Push | None = None,
    write_own: WriteOwn | None = None,
    proofs: Callable[[], Awaitable[Mapping[str, str]]] = _no_proofs,
    delays: Callable[[], Mapping[str, Sequence[float]]] | None = None,
    live: Live | None = None,
    clock: Clock | None = None,
) -> dict[str, Verb]:
    """Return the verbs over an open spool.

    Args:
        spool: Open.
        sinks: The sinks that are configured now.
        changed: Told what was done to dead letters.
        sources: Returns the configured sources, by name.
        live: The lanes and replays that deliver; None while no daemon runs.
        clock: Time; the machine's when left out.
        drop_cursor: Has a running poller drop a cursor: source, cursor, who; False when none runs.
        retry_source: Has a running poller ask now: source, who; None while no daemon runs.
        order_backfill: Has a running poller change the order of a cursor: source, cursor, change; None when none runs.
        import_page: Has the poller of a source spool a page; None while no daemon runs.
        write_own: Writes test events; None while no daemon runs.
        proofs: Returns what an acceptance of each configured sink is worth, by name.
        delays: Returns how long after a window it is read again, by the name of each source; see `Reconciliation`.
    """

    async def status(_: Nothing, __: str) -> SpoolStatus:
        return await spool.status()

    clock = clock or SystemClock()
    return {
        **Letters(spool, sinks, changed).verbs(),
        **Cursors(
            spool, lambda: {name: source.origin for name, source in sources().items()}, drop_cursor, retry_source
        ).verbs(),
        **Backfills(spool, sources, sinks, clock, order_backfill).verbs(),
        **Exports(spool, sources).verbs(),
        **Imports(spool, sources, sinks, import_page).verbs(),
        **Reconciliation(spool, proofs, delays=delays).verbs(),
        **Lanes(spool, sinks, clock, live).verbs(),
        **Replays(spool, sinks, live).verbs(),
        **Tails(live, clock).verbs(),
        **SpoolBackups(spool).verbs(),
        **Trials(spool, live, sources, write_own, clock).verbs(),
        "spool.status": Verb(Nothing, status),
    }
