"""`investigate` and `hunt`: opens what is kept, asks, and shows the answer in one of four faces."""

# ruff: noqa: PLC0415 -- a face, a package or a hunt is imported when it is asked for: most questions want one of them

from __future__ import annotations

import getpass
import os
import re
import socket
import stat
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from forwarder import __version__
from forwarder.archive.keys import read_signing_key
from forwarder.cli.kept_archives import kept_in
from forwarder.cli.terminal import console, print_json, print_line, screen
from forwarder.contracts import ConfigError
from forwarder.exit_codes import ExitCode
from forwarder.investigate import for_page
from forwarder.investigate.identity import Directory
from forwarder.investigate.interruptible import interruptible
from forwarder.investigate.moments import moment_ms, zone_of
from forwarder.investigate.opened import open_archive, open_files
from forwarder.investigate.questions.answer import answer
from forwarder.investigate.questions.shapes import SHAPES
from forwarder.investigate.result import Question, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from zoneinfo import ZoneInfo

    from forwarder.archive.kept import KeptArchive
    from forwarder.archive.keys import SigningKey
    from forwarder.cli.invocation import Invocation
    from forwarder.investigate.questions.answer import Archive
    from forwarder.investigate.result import Result


class Where(NamedTuple):
    """What is asked: an archive, or files of events; of neither, the archive of the configuration."""

    invocation: Invocation
    archive: str | None = None
    index_folder: Path | None = None
    events: Sequence[Path] = ()


class When(NamedTuple):
    """The time that is asked about, as it was typed."""

    since: str | None = None
    until: str | None = None
    zone: str | None = None
    gap: str = "30m"
    around: str | None = None


class Face(NamedTuple):
    """How the answer is shown."""

    as_json: bool = False
    as_csv: bool = False
    html: Path | None = None
    full: bool = False
    for_page: Path | None = None


class Report(NamedTuple):
    """What is written into the answer of why it was asked."""

    case: str | None = None
    reason: str | None = None


class Sealed(NamedTuple):
    """The package of evidence that is made: the file of the key that signs it, and where it is written."""

    key: Path
    file: Path | None = None
    with_objects: bool = True


def investigate(
    kind: str,
    who: str,
    where: Where,
    when: When,
    face: Face,
    report: Report,
    *,
    directory: Path | None = None,
    only: Sequence[str] = (),
    sealed: Sealed | None = None,
    allow_incomplete: bool = False,
) -> ExitCode:
    """Ask, and show the answer. Raises ConfigError for what cannot be asked."""
    signer = _signer(sealed)
    if face.for_page is not None:
        for_page.begin(face.for_page)
    question = _question(kind, who, when, only)
    with _progress(face) as progress, _opened(where, progress) as archive:
        people = Directory.read(directory) if directory is not None else None
        asked = archive._replace(directory=people)
        run = msgspec.structs.replace(_run(report), index=archive.tables.made_of.parts)
        if sealed is not None:
            _refuse_files(archive)
        result = interruptible(archive.tables, lambda: answer(asked, SHAPES[kind], question, run, progress))
        is_said = _seal(asked, result, sealed, signer, face, progress)
    if not is_said:
        _show(result, face)
    return _code(result, allow_incomplete=allow_incomplete)


def _signer(sealed: Sealed | None) -> SigningKey | None:
    return read_signing_key(sealed.key) if sealed is not None else None


def _refuse_files(archive: Archive) -> None:
    from forwarder.investigate.packing import refuse_files

    refuse_files(archive)


def _seal(
    archive: Archive,
    result: Result,
    sealed: Sealed | None,
    signer: SigningKey | None,
    face: Face,
    progress: Callable[[str], None],
) -> bool:
    """Make the package that is asked for, if any; return whether that was said in place of the answer."""
    if sealed is None or signer is None:
        return False
    from forwarder.investigate.packing import pack

    progress("the lines of the package")
    file = sealed.file or _package_file(result.run)
    packed = pack(archive, result, file, signer, with_objects=sealed.with_objects)
    if packed is None:
        _note("no package was made: there are no events of one subject that it could prove")
        return False
    if packed.open_objects:
        _note(
            f"no digest names {packed.open_objects} of its objects yet, for their hour is not over: nothing proves"
            " these in the package; make it again two hours later"
        )
    if face == Face():
        print_line(
            f"{file}: {packed.lines} events in {packed.objects} objects, {packed.digests} digests, signed by"
            f" {packed.signer}; check it with: audit-forwarder archive verify-package {file}"
        )
    return face == Face()


def _note(text: str) -> None:
    import sys

    print(f"note: {text}", file=sys.stderr)  # noqa: T201 -- beside the answer, which standard output has


def hunt(
    names: Sequence[str],
    where: Where,
    when: When,
    face: Face,
    report: Report,
    *,
    sealed: Sealed | None = None,
    allow_incomplete: bool,
) -> ExitCode:
    """Run the rules that are shipped, and show what they match. Raises ConfigError for a rule that is not."""
    from forwarder.investigate.hunt import hunting
    from forwarder.investigate.hunt.shipped import hunts

    signer = _signer(sealed)
    if face.for_page is not None:
        for_page.begin(face.for_page)
    known = {rule.name: rule for rule in hunts()}
    for name in names:
        if name not in known:
            raise ConfigError(f"--rule {name}: there is no such rule; there are: {', '.join(known)}")
    rules = [rule for rule in known.values() if not names or rule.name in names]
    zone, now = zone_of(when.zone), time.time()
    since, until = _times(when, zone, now)
    question = Question("hunt", ", ".join(rule.name for rule in rules), zone.key, since, until)
    with _progress(face) as progress, _opened(where, progress) as archive:
        run = msgspec.structs.replace(_run(report), index=archive.tables.made_of.parts)
        if sealed is not None:
            _refuse_files(archive)
        result = interruptible(archive.tables, lambda: hunting.hunt(archive, rules, question, run, progress))
        is_said = _seal(archive, result, sealed, signer, face, progress)
    if not is_said:
        _show(result, face)
    return _code(result, allow_incomplete=allow_incomplete)


def _package_file(run: Run) -> Path:
    """Return a name for a package: of its case, else of its time; never of whom it is about."""
    case = re.sub(r"[^A-Za-z0-9_-]+", "-", run.case or "").strip("-")[:60]
    return Path(f"evidence-{case or time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(run.at_ms / 1000))}.zip")


def _run(report: Report) -> Run:
    case, reason = (None if text is None else _text(text) for text in report)
    return Run(int(time.time() * 1000), _user(), socket.gethostname(), __version__, case, reason)


def _code(result: Result, *, allow_incomplete: bool) -> ExitCode:
    if result.several:
        return ExitCode.CONFIGURATION
    is_whole = not (result.evidence.gaps or result.evidence.failed)
    return ExitCode.OK if is_whole or allow_incomplete else ExitCode.DEGRADED


def _times(when: When, zone: ZoneInfo, now: float) -> tuple[int | None, int | None]:
    since, until = (None if text is None else moment_ms(text, zone, now) for text in (when.since, when.until))
    if since is not None and until is not None and since >= until:
        raise ConfigError("--from is not before --to: nothing lies between them")
    return since, until


def _question(kind: str, who: str, when: When, only: Sequence[str]) -> Question:
    zone, now = zone_of(when.zone), time.time()
    since, until = _times(when, zone, now)
    if when.around is not None and (since is not None or until is not None):
        raise ConfigError("--around is half an hour before and after an event; leave out --from and --to, or --around")
    shape = SHAPES[kind]
    if shape.is_day and (since is not None or until is not None or when.around is not None):
        raise ConfigError("a day is its own time; leave out --from, --to and --around")
    if not who.strip():
        raise ConfigError(f"nothing to look for; write {shape.what}")
    if not shape.entities:
        shape.normal(who)
    gap = _minutes(when.gap)
    return Question(kind, _text(who), zone.key, since, until, gap, tuple(only), when.around)


def _text(text: str) -> str:
    """Return what was typed as text that can be written: bytes that are no UTF-8 come as halves of characters."""
    return text.encode("utf-8", "replace").decode()


def _minutes(text: str) -> int:
    from forwarder.contracts.units import parse_duration

    try:
        minutes = int(parse_duration(text) // 60)
    except ValueError:
        minutes = 0
    if minutes < 1:
        raise ConfigError(f"--gap {text}: write a pause of a minute or more, such as 30m or 2h")
    return minutes


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no name for this number in a container
        return f"user {os.getuid()}"


@contextmanager
def _opened(where: Where, progress: Callable[[str], None]) -> Iterator[Archive]:
    if where.events and where.archive:
        raise ConfigError("--events and --archive are two things to ask; write one of them")
    if where.events:
        files = list(dict.fromkeys(file.resolve() for file in where.events))
        with open_files(files, progress) as archive:
            yield archive
        return
    kept = kept_in(where.invocation, where.archive)
    with open_archive(kept.store, where.index_folder, progress, _known_keys(kept)) as archive:
        yield archive


def _known_keys(kept: KeptArchive) -> list[str]:
    """Return the ids of the configured keys that this user may read: who asks need not be who signs."""
    known = []
    for path in (kept.keys.key, kept.keys.old_key):
        if path is not None:
            with suppress(ConfigError):
                known.append(read_signing_key(path).id)
    return known


@contextmanager
def _progress(face: Face) -> Iterator[Callable[[str], None]]:
    """Say on standard error what is being done, on a terminal and for a page only."""
    import sys

    if face.for_page is not None:
        yield for_page.say
        return
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with console(sys.stderr).status("reading") as status:
        yield lambda text: status.update(f"looking at: {text}")


def _show(result: Result, face: Face) -> None:
    if face.for_page is not None:
        for_page.leave(result, face.for_page)
    elif face.as_json:
        from forwarder.investigate.faces.as_json import as_dict

        print_json(as_dict(result))
    elif face.as_csv:
        from forwarder.investigate.faces.as_csv import as_csv

        print_line(as_csv(result).removesuffix("\r\n"))
    elif face.html is not None:
        from forwarder.investigate.faces.as_html import as_html

        _write(face.html, as_html(result))
        print_line(f"{face.html}: {len(result.findings)} findings, {result.totals.subject} events")
    else:
        from forwarder.cli.investigation_text import answer_text

        print_line("\n".join(answer_text(result, screen(), brief=not face.full)))


def _write(file: Path, text: str) -> None:
    """Write a report that only its owner may read: it names people."""
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as stream:
            if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):  # not of a pipe, or /dev/stdout
                os.fchmod(stream.fileno(), 0o600)  # a file that was there may be open to others
                os.ftruncate(stream.fileno(), 0)
            stream.write(text)
    except OSError as error:
        raise ConfigError(f"--html {file}: it cannot be written: {error.strerror}") from None
