"""`dead-letters`: what the sinks refused, for people: list, show, export, retry, discard."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Self

import msgspec

from forwarder.admin.advice import advice_for
from forwarder.admin.dead_letters import MOST_AT_ONCE, Wanted
from forwarder.cli.commands import letter_text as text
from forwarder.cli.commands.questions import agreed
from forwarder.cli.daemon_client import connect
from forwarder.cli.terminal import json_visible, page_rows, print_error, print_json, print_line, print_text
from forwarder.config.problems import Problem, SettingsError
from forwarder.contracts.errors import ForwarderError
from forwarder.contracts.text import visible
from forwarder.exit_codes import ExitCode
from forwarder.spool.letter import DeadLetter, Discard, LetterAct, LetterCount, Selection
from forwarder.spool.sqlite.files import sync_folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from typing import BinaryIO

    from forwarder.cli.commands.letter_choice import Choice
    from forwarder.cli.daemon_client import VerbClient
    from forwarder.cli.invocation import Invocation
    from forwarder.config.settings import Settings


_NONE = "no dead letter matches"


def list_(invocation: Invocation, choice: Choice, *, limit: int | None, as_json: bool) -> ExitCode:
    """Show a table and how many there are by reason, with what to do."""

    async def run(settings: Settings) -> ExitCode:
        wanted = choice.wanted()
        async with connect(settings) as found:
            counts = await found.ask("dead_letters.count", wanted, list[LetterCount])
            letters = [letter async for letter in _each(found, "dead_letters.list", wanted, limit)]
        if not counts:
            choice.must_exist(settings)
        if as_json:
            print_json(
                {
                    "dead_letters": [text.as_dict(letter, event=False) for letter in letters],
                    "summary": [text.count_dict(count) for count in counts],
                }
            )
            return ExitCode.OK
        advice = {
            (count.lane, count.reason): advice_for(count.reason, settings.sinks.get(count.lane)) for count in counts
        }
        limits = {name: sink.max_dead_letters for name, sink in settings.sinks.items()}
        page_rows(
            [text.row(letter) for letter in letters],
            head=text.HEAD,
            intro=text.summary(counts, limits, advice, none=_NONE if choice.chooses else "no dead letters"),
            outro=text.unlisted(counts, len(letters)),
            usual=text.USUAL,
        )
        return ExitCode.OK

    return asyncio.run(run(invocation.settings()))


def list_discards(invocation: Invocation, choice: Choice, *, as_json: bool) -> ExitCode:
    """Show what was discarded, when, and by whom."""

    async def run(settings: Settings) -> ExitCode:
        async with connect(settings) as found:
            records = await found.ask("dead_letters.discards", choice.wanted(), list[Discard])
        if as_json:
            print_json({"discards": [text.discard_dict(record) for record in records]})
            return ExitCode.OK
        events = sum(record.events for record in records)
        intro = [f"discarded within a year: {events}" if records else "nothing was discarded within a year"]
        page_rows([text.discard_row(record) for record in records], head=text.DISCARD_HEAD, intro=intro)
        return ExitCode.OK

    return asyncio.run(run(invocation.settings()))


def show(invocation: Invocation, choice: Choice, *, as_json: bool) -> ExitCode:
    """Show single letters with their events."""

    async def run(settings: Settings) -> ExitCode:
        async with connect(settings) as found:
            letters = [letter async for letter in _each(found, "dead_letters.events", choice.wanted(), None)]
        for index, letter in enumerate(letters):
            if as_json:
                print_json(text.as_dict(letter, event=True))
                continue
            if index:
                print_line()
            advice = advice_for(letter.reason, settings.sinks.get(letter.lane))
            for line in text.page(letter, advice, cut=sys.stdout.isatty()):
                print_line(line)
        return _missing(choice.numbers, letters)

    return asyncio.run(run(invocation.settings()))


def export(invocation: Invocation, choice: Choice, *, output: Path | None) -> ExitCode:
    """Write letters with their events as NDJSON. An existing file is not overwritten."""

    async def run(settings: Settings) -> ExitCode:
        count, numbers = 0, set[int]()
        wanted = choice.wanted()
        with _Output(output) as target:
            async with connect(settings) as found:
                async for letter in _each(found, "dead_letters.events", wanted, None):
                    target.write(msgspec.json.encode(text.as_dict(letter, event=True)) + b"\n")
                    count += 1
                    numbers.add(letter.number)
        where = f" to {visible(str(output))}" if output is not None else ""
        print(f"exported {count} dead letter{'' if count == 1 else 's'}{where}", file=sys.stderr)  # noqa: T201
        return _absent(set(choice.numbers) - numbers)

    return asyncio.run(run(invocation.settings()))


def retry(invocation: Invocation, choice: Choice) -> ExitCode:
    """Put letters back into their lanes. Returns DEGRADED when some of them are damaged."""
    choice.must_choose("retry")

    async def run(settings: Settings) -> ExitCode:
        wanted = choice.wanted()
        async with connect(settings) as found:
            unknown = await _unknown(found, choice)
            counts = await found.ask("dead_letters.count", wanted, list[LetterCount])
            acts = await found.ask("dead_letters.retry", wanted, list[LetterAct])
            running = found.running
        for act in acts:
            for line in text.acted(act):
                print_line(line)
        if not acts:
            print_text(f"nothing to retry: {_on_their_way(counts)}")
        elif not any(act.numbers for act in acts):
            print_text("nothing was put back")
        elif running:
            print_text("see what became of them: audit-forwarder dead-letters list")
        else:
            print_text("the daemon is not running; they are sent when it starts: audit-forwarder run")
        return ExitCode.DEGRADED if any(act.damaged for act in acts) else _absent(unknown)

    return asyncio.run(run(invocation.settings()))


def discard(invocation: Invocation, choice: Choice, *, yes: bool) -> ExitCode:
    """Remove letters for good, after asking. Returns DEGRADED when no one agreed."""
    choice.must_choose("discard")

    async def run(settings: Settings) -> ExitCode:
        wanted = choice.wanted()
        async with connect(settings) as found:
            unknown = await _unknown(found, choice)
            everything = await found.ask("dead_letters.count", wanted, list[LetterCount])
            counts = [count for count in everything if count.letters]
            if not counts:
                choice.must_exist(settings)
                print_text(f"nothing to discard: {_on_their_way(everything)}")
                return _absent(unknown)
            total = sum(count.letters for count in counts)
            for count in counts:
                print_text(
                    f"{count.lane}: {count.letters} {visible(count.reason)}, the last of {text.moment(count.last_ms)}"
                )
            which = "this event" if total == 1 else f"these {total} events"
            if not yes and not agreed(f"Discard {which} for good?", "was discarded"):
                return ExitCode.DEGRADED
            seen = max(count.highest for count in counts)  # what was rejected since is not meant
            chosen = msgspec.structs.replace(wanted.chosen, upto=seen)
            acts = await found.ask(
                "dead_letters.discard", msgspec.structs.replace(wanted, chosen=chosen), list[LetterAct]
            )
        for act in acts:
            if act.numbers:
                print_text(
                    f"{act.lane}: {len(act.numbers)} discarded ({text.short(text.ranges_text(act.numbers))}); on record"
                )
            if act.left:
                print_text(f"{act.lane}: {act.left} left: they are on their way to the sink again")
        return _absent(unknown)

    return asyncio.run(run(invocation.settings()))


# ---------------------------------------------------------------------------------------------------- small things


async def _each(found: VerbClient, verb: str, wanted: Wanted, limit: int | None) -> AsyncIterator[DeadLetter]:
    """Yield letters, asking for one part after the other; the answers are bounded, what they say in all is not."""
    after, left = 0, limit if limit is not None else sys.maxsize
    while left > 0:
        about = msgspec.structs.replace(wanted, after=after, limit=min(left, MOST_AT_ONCE))
        letters = await found.ask(verb, about, list[DeadLetter])
        if not letters:
            return
        for letter in letters:
            yield letter
        after, left = letters[-1].number, left - len(letters)


def _on_their_way(counts: list[LetterCount]) -> str:
    """Say why there is nothing to act on."""
    retried = sum(count.retried for count in counts)
    return f"{retried} on their way to the sink again already" if retried else _NONE


async def _unknown(found: VerbClient, choice: Choice) -> set[int]:
    """Return the numbers that were named that no dead letter has, whatever else was asked for."""
    if not choice.numbers:
        return set()
    wanted = Wanted(chosen=Selection(numbers=choice.numbers))
    return set(choice.numbers) - {letter.number async for letter in _each(found, "dead_letters.list", wanted, None)}


def _missing(numbers: tuple[int, ...], letters: list[DeadLetter]) -> ExitCode:
    return _absent(set(numbers) - {letter.number for letter in letters})


def _absent(numbers: set[int]) -> ExitCode:
    if not numbers:
        return ExitCode.OK
    print_error(f"no dead letter has the number {text.ranges_text(sorted(numbers))}; `dead-letters list` shows all")
    return ExitCode.CONFIGURATION


class _Output:
    """A new file that only its owner can read, or standard output."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        if self._path is not None:
            try:
                descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            except OSError as error:
                fix = "name another file" if isinstance(error, FileExistsError) else "name a file that can be written"
                raise SettingsError([Problem("--output", f"{error.strerror}: {self._path}", fix)]) from None
            self._file = os.fdopen(descriptor, "wb")
        return self

    def write(self, line: bytes) -> None:
        if self._file is not None:
            self._file.write(line)
        elif sys.stdout.isatty():
            print_line(json_visible(line.decode("utf-8").rstrip("\n")))
        else:
            sys.stdout.buffer.write(line)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._file is None:
            sys.stdout.flush()
            return
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            if self._path is not None:
                sync_folder(self._path.absolute().parent)  # or the name goes with the power, and what it names with it
        except OSError as error:
            if kind is None:
                raise ForwarderError(f"{self._path} is not complete: {error.strerror}") from None
        finally:
            self._file.close()
