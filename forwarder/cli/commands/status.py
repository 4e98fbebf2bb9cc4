"""`status`: asks the running daemon; when it does not answer, looks into the spool under the spool's own lock."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from forwarder import __version__
from forwarder.admin.repairs import repairs
from forwarder.cli.status_text import status_lines
from forwarder.cli.terminal import print_error, print_json, print_line, screen
from forwarder.config.problems import Problem, SettingsError
from forwarder.contracts import SystemClock
from forwarder.contracts.heartbeat import is_heartbeat
from forwarder.exit_codes import ExitCode
from forwarder.net.addresses import reachable
from forwarder.observe.reports import CredentialReport, DaemonReport, LaneReport, SourceReport
from forwarder.observe.status_json import NOT_CONFIGURED, report_to_dict
from forwarder.spool.contract import SpoolError, SpoolInUse

if TYPE_CHECKING:
    from pathlib import Path

    from forwarder.cli.invocation import Invocation
    from forwarder.config.ports import AdminConfig
    from forwarder.config.settings import Settings
    from forwarder.spool.books import Books
    from forwarder.spool.contract import SpoolStatus

PATIENCE = 10.0
"""Seconds for the daemon to answer."""

LARGEST = 64 * 2**20
"""Bytes of an answer that are read."""


class NoAnswerError(Exception):
    """No one answers, or someone else does."""


def status(invocation: Invocation, *, as_json: bool) -> ExitCode:
    """Show how it goes. Raises SettingsError, also when the daemon refuses our token."""
    settings = invocation.settings()
    try:
        report = ask_daemon(settings.admin)
    except NoAnswerError as no_answer:
        path = settings.spool.path.expanduser().absolute()
        if not path.exists():
            print_error(f"{no_answer}, and there is no spool at {path}: it has not run yet")
            return ExitCode.UNREACHABLE
        try:
            report = asyncio.run(_look(settings))
        except SpoolInUse as error:
            held, _, _ = str(error).partition(". ")
            print_error(f"{no_answer}\n{held}: a daemon runs and does not answer there; its log may say why")
            return ExitCode.UNREACHABLE
        except SpoolError as error:
            print_error(f"{no_answer}\n{error}")
            return ExitCode.UNREACHABLE
        print_error(f"{no_answer}: audit-forwarder is not running. Below is what its spool holds.")
        _show(report, as_json=as_json)
        return ExitCode.UNREACHABLE
    _show(report, as_json=as_json)
    well = report.get("ready", True) and not report.get("degraded") and report.get("balanced", True)
    return ExitCode.OK if well else ExitCode.DEGRADED


def _show(report: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(report)
        return
    for line in status_lines(report, screen()):
        print_line(line)


def ask_daemon(admin: AdminConfig) -> dict[str, Any]:
    """Return the answer of the daemon's admin port."""
    host, port = admin.address
    where = f"the daemon does not answer at {admin.listen}"
    if port == 0:
        raise NoAnswerError(f"{where}: port 0 is a different one at every start; give admin.listen a port")
    headers = {"Host": f"localhost:{port}"} if reachable(host) != host else {}
    if admin.token is not None:
        try:
            headers["Authorization"] = f"Bearer {admin.token.reveal()}"
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is empty"
            raise SettingsError(
                [Problem("admin.token_file", f"cannot be read: {reason}", "let this user read it")]
            ) from None
    # Straight to the address: no proxy of the environment may stand between a machine and itself.
    connection = http.client.HTTPConnection(reachable(host), port, timeout=PATIENCE)
    try:
        connection.request("GET", "/status", headers=headers)
        answer = connection.getresponse()
        body = answer.read(LARGEST)
    except (OSError, http.client.HTTPException) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        if isinstance(error, TimeoutError):
            reason = f"silent for {PATIENCE:g} s"
        raise NoAnswerError(f"{where}: {reason or type(error).__name__}") from None
    finally:
        connection.close()
    if answer.status in {401, 403}:
        fix = "set the same admin.token as the daemon's"
        raise SettingsError([Problem("admin.token", "the daemon refuses it" if admin.token else "missing", fix)])
    try:
        report = json.loads(body)
    except (ValueError, RecursionError):
        report = None
    if answer.status != http.HTTPStatus.OK or not isinstance(report, dict) or "sources" not in report:
        raise NoAnswerError(
            f"{where}: what listens there is not audit-forwarder, or cannot tell (HTTP {answer.status})"
        )
    return report


async def _look(settings: Settings) -> dict[str, Any]:
    """Return the same form from the spool alone. Raises SpoolError, also when another process holds it."""
    from forwarder.spool.sqlite.store import SqliteSpool  # noqa: PLC0415 -- a running daemon answers without it

    written = _last_write(settings.spool.path.expanduser())  # before it is opened: that writes, too
    spool = SqliteSpool(settings.spool, SystemClock())
    await spool.open(create=False)
    try:
        found, books = await spool.overview()
    finally:
        await spool.close()
    return report_to_dict(_stopped(settings, found, books, written))


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
