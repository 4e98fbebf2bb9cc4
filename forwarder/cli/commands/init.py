"""`init`: asks what is to be read and where it goes, writes a configuration that passes `check`, and looks at it.

Invariant: nothing is written before everything is answered and found to be good; then all of it is, or none.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from forwarder.assembly import close_all
from forwarder.cli.commands.check import examine
from forwarder.cli.commands.doctor import doctor
from forwarder.cli.invocation import Invocation
from forwarder.cli.new_config.answers import Answers, collect, is_asked, not_text, read_secrets
from forwarder.cli.new_config.choices import Kind, choice_named, demo_source
from forwarder.cli.new_config.placing import place_all, private_folder, stage, write_files
from forwarder.cli.new_config.text import config_text, secrets_of
from forwarder.cli.new_config.trial import Surroundings
from forwarder.cli.terminal import print_error, print_line, show_rows
from forwarder.config.problems import Problem, SettingsError
from forwarder.config.settings import load
from forwarder.exit_codes import ExitCode
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIG = "config.yaml"
DEMO_PORT = 8085
ADMIN_PORTS = (9464, *range(9466, 9500))
"""The usual one, and others for a machine on which it is taken; 9465 is where events are received."""


class Wanted(NamedTuple):
    """What the command line said.

    Attributes:
        folder: Where it goes.
        state: Folder of the spool, or None for one in `folder`.
        source: Type of the source, or None.
        sink: Type of the destination, or None.
        given: Other answers by option.
        secret_files: Names of files with secrets by option.
        listen: Address of the admin port, or None.
        demo: Read the simulator.
        force: Replace what is there, and keep it under another name.
        look: Run `doctor` at the end.
    """

    folder: Path
    state: Path | None
    source: str | None
    sink: str | None
    given: Mapping[str, str]
    secret_files: Mapping[str, str]
    listen: str | None
    demo: bool
    force: bool
    look: bool


def init(wanted: Wanted) -> ExitCode:
    """Ask, write, look. Raises SettingsError with what is wrong with the answers or the folder."""
    folder = _absolute(wanted.folder)
    listen = _free_address() if wanted.listen is None else wanted.listen
    place = _Place(folder, _absolute(wanted.state or folder / "state"), listen)
    given = {**wanted.given, **read_secrets(wanted.secret_files)}
    problems = not_text([("FOLDER", str(folder)), ("--state", str(place.state)), *given.items()])
    if problems:
        raise SettingsError(problems)
    if not wanted.force:
        place.refuse_if_taken()
    answers: Answers | None = None
    while True:
        answers = _demo_answers(place, given) if wanted.demo else _answers(wanted, given, place, answers)
        try:
            same, kept = place.put(answers, force=wanted.force)
            break
        except SettingsError as error:
            if wanted.demo or not is_asked():
                raise
            print_error(str(error))
            if not typer.confirm("Nothing was written. Answer again?", default=True):
                return ExitCode.CONFIGURATION
    _say_what_is_there(place, answers, kept, same=same)
    if wanted.demo:
        _say_next(place, ["audit-forwarder simulate --port " + str(DEMO_PORT) + "    # in another terminal"])
        return ExitCode.OK
    code = ExitCode.OK
    if wanted.look:
        print_line()
        code = doctor(Invocation(place.config), (), within=30.0, as_json=False)
    _say_next(place, [_command(place, "setup")] if answers.choices["sinks"].type == "elasticsearch" else [])
    return code


class _Place:
    """A folder with what goes into it."""

    def __init__(self, folder: Path, state: Path, listen: str) -> None:
        self.folder = folder
        self.state = state
        self.listen = listen
        self.config = folder / CONFIG
        self.secrets = folder / "secrets"

    def refuse_if_taken(self) -> None:
        """Raise SettingsError before anything is asked when the answers could not be written."""
        if os.path.lexists(self.config) and is_asked():
            raise _taken(self.config)

    def put(self, answers: Answers, *, force: bool) -> tuple[bool, list[Path]]:
        """Try the answers, and put everything in place.

        Returns whether it was there already, as it would be written, and the names under which files were kept. Raises
        SettingsError, and then nothing has changed.
        """
        secrets = secrets_of(answers)
        text = config_text(answers, state=self.state, secrets=self.secrets, listen=self.listen)
        wanted = {self.secrets / name: content for name, content in secrets.items()} | {self.config: text.encode()}
        if all(_content(path) == content for path, content in wanted.items()):
            return True, []
        if problems := private_folder(self.secrets):
            raise SettingsError(problems)
        if not force:
            for path in wanted:
                if os.path.lexists(path) and _content(path) != wanted[path]:
                    raise _taken(path)
        with stage(self.folder) as staged:
            try:
                self._try(answers, secrets, staged)
                write_files(staged, {CONFIG: text.encode()}, 0o644)
            except OSError as error:
                raise SettingsError(
                    [Problem(str(self.folder), f"it cannot be written into: {error.strerror}")]
                ) from None
            new = [path for path in wanted if _content(path) != wanted[path]]
            sources = {path: staged / ("secrets" if path.parent == self.secrets else "") / path.name for path in new}
            kept_as = time.strftime(".%Y%m%dT%H%M%SZ", time.gmtime()) if force else None
            kept = place_all({self.secrets: 0o700, self.state: 0o700}, sources, kept_as=kept_as)
        return False, kept

    def _try(self, answers: Answers, secrets: Mapping[str, bytes], staged: Path) -> None:
        """Let `check` look at the same text beside its secrets, and nothing of the environment."""
        beside = staged / "secrets"
        beside.mkdir(mode=0o700)
        write_files(beside, secrets, 0o600)
        text = config_text(answers, state=self.state, secrets=beside, listen=self.listen)
        write_files(staged, {"tried.yaml": text.encode()}, 0o600)
        try:
            parts = examine(load(staged / "tried.yaml"))
        except SettingsError as error:
            raise SettingsError(
                Problem(one.path, one.what.replace(str(beside), str(self.secrets)), one.fix) for one in error.problems
            ) from None
        asyncio.run(close_all([*parts.sources.values(), *parts.sinks.values()]))


def _answers(wanted: Wanted, given: Mapping[str, str], place: _Place, before: Answers | None) -> Answers:
    types: dict[Kind, str | None] = {"sources": wanted.source, "sinks": wanted.sink}
    return collect(types, given, Surroundings(place.state, place.listen), before)


def _demo_answers(place: _Place, given: Mapping[str, str]) -> Answers:
    """Return answers that read the simulator as it comes, and write to a file."""
    if given:
        raise SettingsError(Problem(option, "--demo answers everything itself", "leave it out") for option in given)
    address = f"http://127.0.0.1:{DEMO_PORT}"
    simulator = Simulator(SimulatorConfig(events=0))
    sink = choice_named("sinks", "file")
    assert sink is not None  # noqa: S101 -- it is in the table
    return Answers(
        {"sources": demo_source(address), "sinks": sink},
        {
            "sources": {"org_id": simulator.org_id, "api_key": simulator.api_key, "base_url": address},
            "sinks": {"path": str(place.folder / "out" / "events.ndjson")},
        },
    )


def _say_what_is_there(place: _Place, answers: Answers, kept: list[Path], *, same: bool) -> None:
    print_line(f"{place.folder} holds this already:" if same else f"Written to {place.folder}:")
    count = len(secrets_of(answers))
    rows = [[f"  {CONFIG}", "what is read, and where it goes; every line explained"]]
    if count:
        rows.append(["  secrets/", f"{count} {'key' if count == 1 else 'keys'}, each in a file for this user only"])
    rows.append([f"  {os.path.relpath(place.state, place.folder)}/", "where events wait, for this user only"])
    rows += [[f"  {path.relative_to(place.folder)}", "what was there before"] for path in kept]
    show_rows(rows)


def _say_next(place: _Place, first: list[str]) -> None:
    print_line()
    print_line("Next:")
    for line in (*first, _command(place, "run"), _command(place, "status")):
        print_line(f"  {line}")


def _command(place: _Place, word: str) -> str:
    there = Path.cwd() == place.folder
    return f"audit-forwarder {word}" if there else f"audit-forwarder {word} -c {shlex.quote(str(place.config))}"


def _taken(path: Path) -> SettingsError:
    fix = "nothing was written; name another folder, or replace it with --force, which keeps it under another name"
    return SettingsError([Problem(str(path), "it is there already", fix)])


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 -- links stay, `..` goes


def _free_address() -> str:
    """Return the usual address of the admin port, or another when it is taken here."""
    for port in ADMIN_PORTS:
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return f"127.0.0.1:{port}"
    return f"127.0.0.1:{ADMIN_PORTS[0]}"
