"""`reconcile`: whether everything arrived, for people and for scripts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from forwarder.admin.reconcile import IdsAsked
from forwarder.cli.daemon_client import connect
from forwarder.cli.terminal import page_rows, print_json, print_line, print_text
from forwarder.contracts.errors import ConfigError
from forwarder.exit_codes import ExitCode
from forwarder.reconcile.chain import check
from forwarder.reconcile.verdict import Verdict
from forwarder.reconcile.words import COUNTS, sums_in_words, verdict_as_dict
from forwarder.spool.evidence import IdPage, IdsWanted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from forwarder.cli.daemon_client import VerbClient
    from forwarder.cli.invocation import Invocation
    from forwarder.config.settings import Settings
    from forwarder.reconcile.verdict import Chosen, Line

_HEAD = ("day", "source", "sink", *COUNTS, "verdict")
_USUAL = {"rejected": "0", "filtered": "0", "waiting": "0", "recovered": "0"}
_IDS_A_PAGE = 5000


class LookWanted(NamedTuple):
    """That the sinks are asked what they have, within how many seconds; or what a search of one listed."""

    within: float
    result: Path | None = None


def reconcile(
    invocation: Invocation, chosen: Chosen, *, look: LookWanted | None, with_ids: bool, as_json: bool
) -> ExitCode:
    """Show the verdict; OK when nothing is missing and no gap is open. Raises ConfigError for a name not configured."""

    async def run(settings: Settings) -> ExitCode:
        async with connect(settings) as found:
            verdict = await found.ask("reconcile.verdict", chosen, Verdict)
            _refuse_unknown(settings, chosen, verdict)
            all_there = True
            if look is not None:
                from forwarder.cli.commands.verify_sink import verify  # noqa: PLC0415 -- it needs every sink

                all_there = await verify(found, settings, verdict, result=look.result, within=look.within)
                verdict = await found.ask("reconcile.verdict", chosen, Verdict)
            if as_json:
                shown = verdict_as_dict(verdict)
                if with_ids:
                    for line, row in zip(verdict.lines, shown["lines"], strict=True):
                        row["missing_ids"] = [each async for each in _missing_ids(found, verdict, line)]
                print_json(shown)
            else:
                zone = settings.admin.time_zone
                page_rows(
                    [_row(line) for line in verdict.lines],
                    head=_HEAD,
                    intro=[] if verdict.lines else ["nothing is in the books of these days"],
                    outro=["", *sums_in_words(verdict, zone)] if verdict.lines or verdict.gaps else [],
                    usual=_USUAL,
                )
                if with_ids:
                    await _print_ids(found, verdict)
        return ExitCode.OK if verdict.complete and all_there else ExitCode.UNEXPECTED

    return asyncio.run(run(invocation.settings()))


def check_reports(invocation: Invocation, *, as_json: bool) -> ExitCode:
    """Recompute the chain of daily reports; OK when every one is as it was written. Raises ConfigError without any."""
    folder = invocation.settings().reports_folder.absolute()
    try:
        checked = check(folder)
    except OSError as error:
        raise ConfigError(f"the reports in {folder} cannot be read: {error.strerror}") from None
    if as_json:
        print_json(checked)
    elif not checked.reports:
        print_text(f"no report is in {folder} yet: the first is written once its day was read again")
    else:
        for problem in checked.problems:
            print_text(problem)
        state = f"{len(checked.problems)} problems" if checked.problems else "each is as it was written, and adds up"
        print_text(f"{checked.reports} reports of {checked.first} to {checked.last} in {folder}: {state}")
    return ExitCode.UNEXPECTED if checked.problems else ExitCode.OK


def _refuse_unknown(settings: Settings, chosen: Chosen, verdict: Verdict) -> None:
    """Raise for a name that is neither configured nor in the books: a slip must not look like a complete day."""
    sources = {*settings.readers, *(name.partition("/")[0] for name in settings.readers)}
    sources |= {line.source for line in verdict.lines}
    sinks = {*settings.sinks, *(line.sink for line in verdict.lines)}
    for kind, name, there in (("source", chosen.source, sources), ("sink", chosen.sink, sinks)):
        if name and name not in there:
            raise ConfigError(f"--{kind} {name}: there is no such {kind}; there are: {', '.join(sorted(there))}")


def _row(line: Line) -> list[str]:
    return [
        line.day or "unknown",
        line.source,
        line.sink,
        *(str(getattr(line, name)) for name in COUNTS),
        line.judgement,
    ]


async def _missing_ids(found: VerbClient, verdict: Verdict, line: Line) -> AsyncIterator[str]:
    """Yield the ids that the gaps of a line may lack; those that a look at the sink found are named by that look."""
    if not line.missing:
        return
    for gap in verdict.gaps:
        if gap.number in line.gaps and gap.first_seq is not None and gap.last_seq is not None:
            wanted = IdsWanted(line.source, line.sink, line.day, gap.first_seq, gap.last_seq)
            async for each in known_ids(found, wanted):
                yield each


async def known_ids(found: VerbClient, wanted: IdsWanted) -> AsyncIterator[str]:
    """Yield the ids that a spool remembers, a page of them in memory at a time."""
    after: tuple[str, str] | None = None
    while True:
        page = await found.ask("reconcile.ids", IdsAsked(wanted, after, _IDS_A_PAGE), IdPage)
        for each in page.ids:
            yield each
        if page.after is None:
            return
        after = page.after


async def _print_ids(found: VerbClient, verdict: Verdict) -> None:
    for line in verdict.lines:
        if line.missing:
            print_text(
                f"missing of {line.day or 'no known day'}, {line.source} to {line.sink}: {line.missing} of these"
            )
            async for each in _missing_ids(found, verdict, line):
                print_line(f"  {each}")
