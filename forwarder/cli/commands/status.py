"""`status`: asks the running daemon; when it does not answer, looks into the spool under the spool's own lock."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any

from forwarder.cli.status_text import status_lines
from forwarder.cli.terminal import print_json, print_line, screen
from forwarder.config.problems import Problem, SettingsError
from forwarder.exit_codes import ExitCode
from forwarder.net.addresses import reachable

if TYPE_CHECKING:
    from forwarder.cli.invocation import Invocation
    from forwarder.config.ports import AdminConfig

PATIENCE = 10.0
"""Seconds for the daemon to answer."""

LARGEST = 64 * 2**20
"""Bytes of an answer that are read."""


class NoAnswerError(Exception):
    """No one answers, or someone else does."""


def status(invocation: Invocation, *, as_json: bool) -> ExitCode:
    """Show how it goes. Raises SettingsError, also when the daemon refuses our token."""
    try:
        report = ask_daemon(invocation.admin())
    except NoAnswerError as no_answer:
        # Only without a daemon, which knows its settings, are they all read; and the spool in its place.
        from forwarder.cli.commands.status_stopped import spool_report  # noqa: PLC0415

        stopped = spool_report(invocation.settings(), str(no_answer))
        if stopped is not None:
            _show(stopped, as_json=as_json)
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
        if admin.token is None:
            fix = f"{fix}; it needs one where it listens beyond loopback, as at {admin.listen}, and a start after that"
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
