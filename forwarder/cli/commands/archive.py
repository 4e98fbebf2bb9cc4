"""`archive`: checks an archive, deletes what is old enough, and makes keys."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from forwarder.archive import layout
from forwarder.archive.kept import KeptArchive
from forwarder.archive.keys import ID_DIGITS, PublicKey, read_signing_key, write_new_key
from forwarder.archive.retention import Retention
from forwarder.archive.stores import open_store
from forwarder.archive.verdict import KINDS, Verdict
from forwarder.archive.verify import verify as check
from forwarder.cli.kept_archives import configured
from forwarder.cli.tables import paragraph, table
from forwarder.cli.terminal import print_json, print_line, print_text, screen, show_rows
from forwarder.config.readings import find_config
from forwarder.contracts.errors import ConfigError
from forwarder.contracts.secret_file import expanded
from forwarder.contracts.text import visible
from forwarder.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forwarder.archive.retention import DueMonth
    from forwarder.archive.verdict import Found
    from forwarder.cli.invocation import Invocation

_HEX = frozenset("0123456789abcdef")
_HEAD_DIGITS = 64
_SCRIPTS = Path(layout.__file__).parent


def verify(
    invocation: Invocation, where: str, sink: str, *, heads: Sequence[str], keys: Sequence[str], as_json: bool
) -> ExitCode:
    """Check an archive; OK when nothing is other than it was written. Raises ConfigError, and what its place raises."""
    known = {key_id(key, "--key") for key in keys}
    heads = [head_of(head) for head in heads]
    kept = KeptArchive(open_store(where)) if where else configured(invocation, sink)
    configured_files = [path for path in (kept.keys.key, kept.keys.old_key) if path is not None]
    key_set_at = None
    if configured_files and not known:
        key_set_at = _set_at([*configured_files, find_config(invocation.config, os.environ)])
    known |= {read_signing_key(path).id for path in configured_files}

    async def run() -> Verdict:
        try:
            return await check(
                kept.store, heads=heads, known_keys=known, progress=_Progress().show, key_set_at=key_set_at
            )
        finally:
            await kept.store.close()

    found = asyncio.run(run())
    if as_json:
        print_json({"place": kept.store.place, "intact": not found.findings, **_as_dict(found)})
    else:
        _show(found, kept.store.place)
    return ExitCode.UNEXPECTED if found.findings else ExitCode.OK


def retention(invocation: Invocation, sink: str, *, dry_run: bool, as_json: bool) -> ExitCode:
    """Delete the months that are due, or show them. Raises ConfigError, and what the archive's place raises."""
    kept = configured(invocation, sink)
    if kept.retain_months is None:
        raise ConfigError("retain_months of the archive is not set: all is kept; set it to a number of whole months")
    deletes = Retention(kept.store, kept.retain_months, kept.keys)

    async def run() -> tuple[list[DueMonth], str]:
        try:
            due, hold = await deletes.due(time.time()), await deletes.hold()
            if not dry_run and not hold:
                for month in due:
                    await deletes.delete(month)
            return due, hold
        finally:
            await kept.store.close()

    due, hold = asyncio.run(run())
    done = "kept: hold" if hold else "would be deleted" if dry_run else "deleted"
    if as_json:
        months = [
            {"month": each.record.month, "objects": len(each.names), "events": each.record.events} for each in due
        ]
        print_json({"place": kept.store.place, "hold": hold or None, "deleted": done == "deleted", "months": months})
        return ExitCode.OK
    if hold:
        print_text(f"{hold} in {kept.store.place} forbids to delete")
    if not due:
        kept_for = f"{kept.retain_months} whole month{'s' * (kept.retain_months != 1)}"
        print_text(f"nothing in {kept.store.place} is older than {kept_for}")
    rows = [[each.record.month, str(len(each.names)), str(each.record.events), done] for each in due]
    for line in table(rows, screen(), head=("month", "objects", "events", "state") if rows else ()):
        print_line(line)
    return ExitCode.OK


def keygen(file: Path) -> ExitCode:
    """Make a key that signs, and its public half beside it. Raises ConfigError, also when a file is there."""
    public = file.with_name(f"{file.name}.pub")
    if public.exists():
        raise ConfigError(f"{public} is there already; name another file")
    key = write_new_key(file)
    try:
        public.write_bytes(key.public.pem)
    except OSError as error:
        raise ConfigError(f"{public} cannot be written: {error.strerror}") from None
    print_text(f"{file}: the key, for key_file of the archive; who has it can write other digests")
    print_text(f"{public}: its public half, for those who check")
    print_text(f"its id is {key.id}: keep a record of it outside the archive")
    return ExitCode.OK


def verify_script(file: Path | None, *, package: bool = False) -> ExitCode:
    """Print the script that checks a copy of an archive, or a package, without us, or write it. Raises ConfigError."""
    text = (_SCRIPTS / f"verify_{'package' if package else 'archive'}.py").read_text(encoding="utf-8")
    if file is None:
        sys.stdout.write(text)
        return ExitCode.OK
    try:
        with file.open("x", encoding="utf-8") as script:
            script.write(text)
    except FileExistsError:
        raise ConfigError(f"{file} is there already; name another file") from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from None
    print_text(f"written; run: python3 {file} {'PACKAGE.zip' if package else 'FOLDER'} --head SHA256 --key ID")
    return ExitCode.OK


def _set_at(files: Sequence[Path | None]) -> datetime | None:
    """Return when the newest of the files that configure a key was written."""
    times = []
    for file in files:
        with suppress(OSError):
            if file is not None:
                times.append(expanded(file).stat().st_mtime)
    return datetime.fromtimestamp(max(times), UTC) if times else None


def head_of(text: str) -> str:
    """Return a SHA-256 as it was given with --head. Raises ConfigError."""
    if len(text) != _HEAD_DIGITS or not set(text.lower()) <= _HEX:
        raise ConfigError(f"--head {text}: not a SHA-256; it is in heartbeats and daily reports")
    return text.lower()


def key_id(key: str, option: str) -> str:
    """Return the id of a key that is given as such, or as a file with its public half. Raises ConfigError."""
    if len(key) == ID_DIGITS and set(key.lower()) <= _HEX:
        return key.lower()
    try:
        return PublicKey.from_pem(Path(key).read_bytes()).id
    except OSError as error:
        raise ConfigError(f"{option} {key}: neither an id of a key nor a file: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{option} {key}: {error}; name the file with the public half, or its id") from None


class _Progress:
    """Says on a terminal how far a check came."""

    def __init__(self) -> None:
        self._shown = time.monotonic()

    def show(self, found: Verdict) -> None:
        """Show it, once a second."""
        if sys.stderr.isatty() and time.monotonic() - self._shown >= 1:
            self._shown = time.monotonic()
            text = (
                f"{found.digests} digests up to {found.until}, {found.objects} objects, {len(found.findings)} findings"
            )
            print(f"{text}\x1b[K", end="\r", file=sys.stderr, flush=True)  # noqa: T201 -- what happens meanwhile


def _as_dict(found: Verdict) -> dict[str, object]:
    shown = {name: getattr(found, name) for name in found.__struct_fields__}
    return {**shown, "head": found.head or None, "since": found.since or None, "until": found.until or None}


def _show(found: Verdict, place: str) -> None:
    rows = [
        ["archive", place],
        ["hours", f"{found.since} to {found.until}" if found.since else "none"],
        ["digests", str(found.digests)],
        ["objects", f"{found.objects}, {found.events} events, {found.bytes} bytes"],
        ["keys", ", ".join(found.keys) or "none"],
        ["newest digest", found.head or "none"],
    ]
    show_rows(rows)
    print_line()
    show_verdict(found.proven, found.not_proven, found.findings, KINDS)


def show_verdict(
    proven: Sequence[str], not_proven: Sequence[str], findings: Sequence[Found], kinds: Mapping[str, str]
) -> None:
    """Print what a check proves, and what it found; names and details are hostile."""
    show_rows([*(["proven", text] for text in proven), *(["not proven", text] for text in not_proven)])
    print_line()
    if not findings:
        print_text("nothing is other than it was written")
        return
    show_rows([[each.kind, each.name, each.detail] for each in findings], head=("finding", "of", "seen by"))
    print_line()
    for kind in dict.fromkeys(each.kind for each in findings):
        for line in paragraph(visible(f"{kind}: {kinds[kind]}"), screen()):
            print_line(line)
    print_text(f"{len(findings)} finding{'s' * (len(findings) > 1)}")
