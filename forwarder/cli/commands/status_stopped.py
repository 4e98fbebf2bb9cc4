"""What `status` shows while no daemon answers: what the spool holds, read under the spool's own lock."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from forwarder import __version__
from forwarder.admin.kept_places import checked_places
from forwarder.admin.repairs import repairs
from forwarder.assembly import targets_and_identities
from forwarder.cli.terminal import print_error
from forwarder.contracts import SystemClock
from forwarder.contracts.heartbeat import is_heartbeat
from forwarder.daemon.checking import kept_check
from forwarder.observe.reports import CredentialReport, DaemonReport, LaneReport, SourceReport
from forwarder.observe.status_json import NOT_CONFIGURED, report_to_dict
from forwarder.spool.contract import SpoolError, SpoolInUse
from forwarder.spool.sqlite.store import SqliteSpool

if TYPE_CHECKING:
    from pathlib import Path

    from forwarder.config.settings import Settings
    from forwarder.observe.record import CheckReport
    from forwarder.spool.books import Books
    from forwarder.spool.contract import SpoolStatus


def spool_report(settings: Settings, no_answer: str) -> dict[str, Any] | None:
    """Return the form of a status from the spool alone, or say why not.

    Args:
        settings: Where it is, and what is configured.
        no_answer: Why the daemon was not asked, as it is said first.
    """
    path = settings.spool.path.expanduser().absolute()
    if not path.exists():
        print_error(f"{no_answer}, and there is no spool at {path}: it has not run yet")
        return None
    try:
        report = asyncio.run(_look(settings, _checks(settings)))
    except SpoolInUse as error:
        held, _, _ = str(error).partition(". ")
        print_error(f"{no_answer}\n{held}: a daemon runs and does not answer there; its log may say why")
        return None
    except SpoolError as error:
        print_error(f"{no_answer}\n{error}")
        return None
    print_error(f"{no_answer}: audit-forwarder is not running. Below is what its spool holds.")
    return report


async def _look(settings: Settings, checks: list[CheckReport]) -> dict[str, Any]:
    """Return the form of a status from the spool. Raises SpoolError, also when another process holds it."""
    written = _last_write(settings.spool.path.expanduser())  # before it is opened: that writes, too
    spool = SqliteSpool(settings.spool, SystemClock())
    await spool.open(create=False)
    try:
        found, books = await spool.overview()
    finally:
        await spool.close()
    return report_to_dict(replace(_stopped(settings, found, books, written), checks=checks))


def _last_write(path: Path) -> float:
    """Return when the spool was last written, epoch seconds, by its file and its log; 0 when there is neither."""
    moments = []
    for file in (path, path.with_name(f"{path.name}-wal")):
        with suppress(OSError):
            moments.append(file.stat().st_mtime)
    return max(moments, default=0.0)


def _stopped(settings: Settings, spool: SpoolStatus, books: list[Books], written: float) -> DaemonReport:
    """Return the report of a forwarder that does not run: what its spool holds, and no claim beyond that."""
    reason, fix = "it is not running", "start it: audit-forwarder run"
    sources, lanes = settings.readers, settings.sinks
    return DaemonReport(
        version=__version__,
        started=0.0,
        now=time.time(),
        pid=0,
        config_digest=settings.digest(),
        time_zone=settings.admin.time_zone,
        draining=False,
        sources=[
            SourceReport(
                row.name,
                sources[row.name].type if row.name in sources else NOT_CONFIGURED,
                state="stopped",
                reason=reason,
                fix=fix,
                identity=row.identity,
                cursors=tuple(row.cursors),
                credentials=tuple(
                    CredentialReport(each.setting, each.ends or 0.0, in_use=False)
                    for each in (sources[row.name].credentials if row.name in sources else ())
                ),
            )
            for row in spool.sources
            if not is_heartbeat(row.identity)
        ],
        lanes=[
            LaneReport(
                row.name,
                lanes[row.name].type if row.name in lanes else NOT_CONFIGURED,
                state="stopped",
                reason=reason,
                fix=fix,
                target=row.target,
                position=row.position,
                lag=row.lag,
                oldest_waiting=(row.oldest_ms or 0) / 1000,
                dead_letters=row.dead_letters,
                replay_waiting=row.replay_waiting,
                replay_accepted=row.replay_accepted,
                dead_letters_max=lanes[row.name].max_dead_letters if row.name in lanes else 0,
            )
            for row in spool.lanes
        ],
        spool=spool,
        books=books,
        task_restarts={},
        monotonic=0.0,
        loop_alive=0.0,
        spool_alive=0.0,
        running=False,
        spool_written=written,
        repairs=repairs(spool.gaps, spool, lanes, int(time.time() * 1000)),
    )


def _checks(settings: Settings) -> list[CheckReport]:
    """Return what the daemon kept of its last check of each archive."""
    if settings.verify.every is None:
        return []
    folder, targets = settings.spool.path.expanduser().parent, targets_and_identities(settings)[0]
    return [
        kept_check(folder, name, targets[name], settings.verify.every)
        for name in checked_places(settings)
        if name in targets  # one that cannot be built is said by `check`
    ]
