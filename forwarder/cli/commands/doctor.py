"""`doctor`: is everything in order, and if not, what is to be done? Tries every way and asks every part."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from forwarder.admin.verbs import Nothing
from forwarder.cli.daemon_client import connect
from forwarder.cli.terminal import console, print_line, print_text, show_rows
from forwarder.config.problems import Problem, SettingsError
from forwarder.config.references import secrets_of
from forwarder.contracts import Finding, SystemClock
from forwarder.doctor import Doctor, Part
from forwarder.exit_codes import ExitCode
from forwarder.observe.colours import Style
from forwarder.observe.redaction import Redactor
from forwarder.observe.runbooks import OF_PARTS, runbook_commands
from forwarder.registry import nearest
from forwarder.spool.contract import SpoolStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from forwarder.cli.invocation import Invocation
    from forwarder.config.settings import Settings

Results = list[tuple[Part, list[Finding]]]

_LONGEST_DETAIL = 300
_STYLES: dict[str, Style] = {"FAILED": "bold red", "look": "yellow", "ok": "green"}


def doctor(invocation: Invocation, names: Sequence[str], *, within: float, as_json: bool) -> ExitCode:
    """Look at everything, or at the parts named. Returns DEGRADED when something is wrong."""
    settings = invocation.settings()
    # secrets are asked for anew each time: a file that cannot be read now is one of the findings
    redactor = Redactor(lambda: secrets_of(settings))
    expert = Doctor(settings, SystemClock(), lambda: _spool_status(settings), within=within)
    parts = _chosen(expert.parts(), names)
    with _progress(parts) as done:
        results = asyncio.run(expert.look(parts, done))
    results = [(part, [_clean(finding, redactor) for finding in findings]) for part, findings in results]
    well = all(finding.ok for _, findings in results for finding in findings)
    if as_json:
        shown = {"ok": well, "findings": [_as_dict(part, finding) for part, found in results for finding in found]}
        print_line(json.dumps(shown, indent=2))  # in ASCII, and so harmless on a terminal too
    else:
        _show(results)
    return ExitCode.OK if well else ExitCode.DEGRADED


async def _spool_status(settings: Settings) -> SpoolStatus | None:
    """Ask the daemon, or look into the spool; None when there is none yet."""
    if not settings.spool.path.expanduser().exists():
        return None
    async with connect(settings) as found:
        return await found.ask("spool.status", Nothing(), SpoolStatus)


def _chosen(parts: list[Part], names: Sequence[str]) -> list[Part]:
    known = [*{name: None for part in parts for name in (part.name.partition("/")[0], part.name)}]
    unknown = [name for name in names if name not in known]
    if unknown:
        guesses = {name: nearest(name, known) for name in unknown}
        every = f"known: {', '.join(known)}"
        raise SettingsError(
            Problem(name, "nothing here has this name", f"did you mean {guess}?" if guess else every)
            for name, guess in guesses.items()
        )
    return [part for part in parts if not names or {part.name, part.name.partition("/")[0]} & set(names)]


def _clean(finding: Finding, redactor: Redactor) -> Finding:
    short = redactor.short
    detail, fix = short(finding.detail, _LONGEST_DETAIL), short(finding.fix, _LONGEST_DETAIL)
    return Finding(short(finding.subject, _LONGEST_DETAIL), finding.ok, detail, fix)


def _level(finding: Finding) -> str:
    return "FAILED" if not finding.ok else "look" if finding.fix else "ok"


def _as_dict(part: Part, finding: Finding) -> dict[str, Any]:
    return {
        "part": part.name,
        "check": finding.subject,
        "ok": finding.ok,
        "level": _level(finding).lower(),
        "detail": finding.detail,
        "fix": finding.fix,
    }


def _show(results: Results) -> None:
    rows = [
        [part.name, finding.subject, _level(finding), finding.detail] for part, found in results for finding in found
    ]
    show_rows(rows, head=["part", "check", "", "detail"], styles=_STYLES)
    for level, title in (("FAILED", "To do:"), ("look", "Worth a look:")):
        lines = [
            f"{part.name}, {finding.subject}: {finding.fix or 'See the detail above.'}"
            for part, found in results
            for finding in found
            if _level(finding) == level
        ]
        if lines:
            print_line()
            print_line(title)
            for line in lines:
                print_text(line, indent=2)
    wrong = [part for part, found in results if not all(finding.ok for finding in found)]
    for command in runbook_commands(OF_PARTS.get(part.kind or part.name, "") for part in wrong):
        print_text(f"More about this: {command}", indent=2)
    print_line()
    failed = sum(not finding.ok for _, found in results for finding in found)
    print_line(f"{failed} of {len(rows)} checks failed." if failed else f"All {len(rows)} checks passed.")


@contextmanager
def _progress(parts: list[Part]) -> Iterator[Callable[[Part], None]]:
    """Show on a terminal which parts are still being looked at."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    waiting = [part.name for part in parts]
    with console(sys.stderr).status(f"looking at {', '.join(waiting)}") as status:

        def done(part: Part) -> None:
            waiting.remove(part.name)
            status.update(f"still looking at {', '.join(waiting)}" if waiting else "done")

        yield done
