"""`init`: what it writes passes `check`, whatever was answered; what cannot be meant leaves nothing behind."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import stat
import subprocess
import sys
import termios
from contextlib import chdir
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from forwarder.cli.app import app
from forwarder.cli.new_config import placing, trial
from forwarder.cli.new_config.choices import SINKS, SOURCES
from forwarder.cli.new_config.text import quoted
from forwarder.config.problems import SettingsError
from forwarder.config.settings import load
from forwarder.exit_codes import ExitCode
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator

KEY = "ATCTT3xFfGN0planted-secret-value"
ORG = "19a8a370-adcb-486b-a803-cf8b67191b55"
COMMAND = [sys.executable, "-m", "forwarder"]

ANSWERS = {
    "--org-id": ORG,
    "--site": "acme-labs",
    "--email": "audit@example.com",
    "--source-url": "https://jira.example.com",
}
PLACES = {
    "elasticsearch": "https://es.example.com:9200",
    "splunk_hec": "https://splunk.example.com:8088",
    "syslog": "tls://siem.example.com:6514",
    "http": "https://siem.example.com/ingest",
    "file": "out/events.ndjson",
}


def flags(source: str = "organization", sink: str = "file", key: str = "key") -> list[str]:
    """Return the options that answer everything."""
    (choice,) = [one for one in SOURCES if one.type == source]
    key = key if source == "organization" else "site-key"
    words = ["--source", source, "--destination", sink, "--address", PLACES[sink], "--no-doctor", "--key-file", key]
    for question in choice.questions:
        words += [question.option, ANSWERS[question.option]] if question.option in ANSWERS else []
    if sink == "splunk_hec":
        words += ["--token-file", "token"]
    return [*words, "--listen", "127.0.0.1:0"]


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def run(folder: Path, *words: str, umask: int = 0o022, text: str = "", **env: str) -> Done:
    """Call the command in this process; no question can be asked."""
    (folder / "key").write_text(f"{KEY}\n")
    (folder / "site-key").write_text("ATATT3xFfGN0planted-secret-value\n")
    (folder / "token").write_text("6f6a0f5c-6b5e-4a55-a8c8-0a1b2c3d4e5f\n")
    with chdir(folder), pytest.MonkeyPatch.context() as patch:
        for name, value in {"HOME": str(folder), **env}.items():
            patch.setenv(name, value)
        before = os.umask(umask)
        try:
            done = CliRunner().invoke(app, ["init", *words], input=text)
        finally:
            os.umask(before)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return Done(done.exit_code, done.stdout, done.stderr)


def tree(folder: Path) -> dict[str, int]:
    """Return the mode of everything in a folder, by its path."""
    return {str(path.relative_to(folder)): stat.S_IMODE(path.lstat().st_mode) for path in sorted(folder.rglob("*"))}


def check(config: Path) -> Done:
    done = CliRunner().invoke(app, ["check", "-c", str(config)])
    return Done(done.exit_code, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("source", "sink"),
    [(one.type, "file") for one in SOURCES] + [("organization", one.type) for one in SINKS if one.type != "file"],
)
def test_what_it_writes_passes_check(tmp_path: Path, source: str, sink: str):
    done = run(tmp_path, "new", *flags(source, sink))
    assert done.returncode == ExitCode.OK, done.stderr
    assert check(tmp_path / "new" / "config.yaml").returncode == ExitCode.OK
    assert KEY not in (tmp_path / "new" / "config.yaml").read_text() + done.stdout + done.stderr
    settings = load(tmp_path / "new" / "config.yaml")
    assert [config.type for config in settings.sources.values()] == [source]
    assert [config.type for config in settings.sinks.values()] == [sink]
    assert settings.spool.path == tmp_path / "new" / "state" / "spool.db"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777], ids=oct)
def test_modes_are_right_whatever_the_umask(tmp_path: Path, umask: int):
    done = run(tmp_path, "deep/er/new", *flags(sink="splunk_hec"), umask=umask)
    assert done.returncode == ExitCode.OK, done.stderr
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("deep", "deep/er", "deep/er/new")} == {0o755}
    assert tree(tmp_path / "deep/er/new") == {
        "config.yaml": 0o644,
        "secrets": 0o700,
        "secrets/sinks__splunk__token": 0o600,
        "secrets/sources__atlassian__api_key": 0o600,
        "state": 0o700,
    }


def test_every_commented_setting_exists(tmp_path: Path):
    """What stands behind a # is taken as it is once somebody removes it."""
    for kind, choice in [("source", one) for one in SOURCES] + [("sink", one) for one in SINKS]:
        folder = tmp_path / choice.type
        folder.mkdir()
        done = run(folder, ".", *(flags(choice.type) if kind == "source" else flags(sink=choice.type)))
        assert done.returncode == ExitCode.OK, done.stderr
        text = (folder / "config.yaml").read_text()
        for line in choice.more:
            assert f"    # {line}\n" in text
            more = yaml.safe_load(line)
            tree_ = yaml.safe_load(text)
            part = tree_["sources" if kind == "source" else "sinks"][choice.name]
            if "nodes" in more:
                del part["url"], part["token_file"]
                more["site"] = "jira.example.com"
            if "username" in more:
                more["password"] = "a-password-of-the-test"
            part |= more
            (folder / "with.yaml").write_text(yaml.safe_dump(tree_))
            load(folder / "with.yaml")


@given(st.text())
def test_any_text_is_read_back_as_it_was(text: str):
    written = f"a: {quoted(text)}\nb: 1\n"
    if any(0xD800 <= ord(char) <= 0xDFFF for char in text):
        return  # no file can hold it; refused before
    assert yaml.safe_load(written) == {"a": text, "b": 1}
    assert written.count("\n") == 2


HOSTILE = [
    "x\nadmin: {listen: 0.0.0.0:1}",
    "${HOME}",
    "$(id)",
    "{{ key }}",
    "a: b # c",
    "- [&a *a !!python/object:os.system]",
    '"quoted" and \\',
    "\x85\u2028\x1b[2J",
    "'",
    "~",
    "null",
    "",
    "x" * 5000,
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("option", ["--org-id", "--address", "--listen", "--state", "FOLDER"])
def test_a_hostile_answer_is_itself_or_refused(tmp_path: Path, option: str, text: str):
    words = flags() if option == "FOLDER" else [*flags(), option, text]
    folder = text if option == "FOLDER" else "new"
    done = run(tmp_path, "--force", *words, "--", folder or "new")
    new = tmp_path if folder == "~" else tmp_path / (folder or "new")
    assert "Traceback" not in done.stderr
    if done.returncode != ExitCode.OK:
        assert done.returncode == ExitCode.CONFIGURATION
        assert {path.name for path in tmp_path.iterdir()} == {"key", "site-key", "token"}
        return
    settings = load(new / "config.yaml")
    assert check(new / "config.yaml").returncode == ExitCode.OK
    assert settings.sources["atlassian"].org_id == (text if option == "--org-id" else ORG)
    assert settings.admin.listen == (text if option == "--listen" else "127.0.0.1:0")
    assert set(yaml.safe_load((new / "config.yaml").read_text())) == {"spool", "sources", "sinks", "admin"}


def test_bytes_that_are_no_text_are_refused(tmp_path: Path):
    (tmp_path / "key").write_text(KEY)
    words = [*map(os.fsencode, [*COMMAND, "init", "new", *flags(), "--org-id"]), b"\xff"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, check=False, timeout=60)
    assert done.returncode == ExitCode.CONFIGURATION
    assert b"UTF-8" in done.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"two\nlines of a secret\n", b"\xff\xfe", b"x" * 70_000, b"${KEY}", b"replace-me", None]
)
def test_a_key_that_cannot_be_one_leaves_nothing(tmp_path: Path, content: bytes | None):
    if content is not None:
        (tmp_path / "bad").write_bytes(content)
    done = run(tmp_path, "new", *flags(key="bad"))
    assert done.returncode == ExitCode.CONFIGURATION
    assert "lines of a secret" not in done.stderr
    assert not (tmp_path / "new").exists()


def test_a_key_may_come_from_standard_input(tmp_path: Path):
    done = run(tmp_path, "new", *flags(key="-"), text=f"{KEY}\r\n")
    assert done.returncode == ExitCode.OK, done.stderr
    assert (tmp_path / "new/secrets/sources__atlassian__api_key").read_text() == f"{KEY}\n"


def test_without_a_terminal_it_names_the_options(tmp_path: Path):
    done = run(tmp_path, "new")
    assert done.returncode == ExitCode.CONFIGURATION
    assert "--source (organization, jira" in done.stderr
    assert "--destination (elasticsearch, splunk_hec" in done.stderr
    done = run(tmp_path, "new", "--source", "jira", "--destination", "splunk_hec", "--email", "a@example.com")
    assert "name what is missing: --site, --key-file, --address, --token-file" in done.stderr
    assert not (tmp_path / "new").exists()


def test_an_option_that_means_nothing_here_is_refused(tmp_path: Path):
    done = run(tmp_path, "new", *flags(), "--site", "acme")
    assert (done.returncode, done.stderr) == (
        ExitCode.CONFIGURATION,
        "error: --site: organization and file do not take it; leave it out\n",
    )
    done = run(tmp_path, "new", "--demo", "--org-id", ORG)
    assert done.returncode == ExitCode.CONFIGURATION
    done = run(tmp_path, "new", *flags(), "--source", "organisation")
    assert "did you mean organization?" in done.stderr


def test_bad_options_are_named_all_at_once(tmp_path: Path):
    words = ["--source", "jira", "--site", "https://acme.example.com", "--email", "x", "--destination", "syslog"]
    done = run(tmp_path, "new", *words, "--address", "siem:99999", "--listen", "nowhere")
    assert done.returncode == ExitCode.CONFIGURATION
    said = {line.strip().partition(":")[0] for line in done.stderr.splitlines()[1:]}
    assert said == {"--site", "--email", "--address", "--listen", "init"}
    assert "name what is missing: --key-file" in done.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("kind", "choices"), [("sources", SOURCES), ("sinks", SINKS)])
def test_a_typical_answer_is_a_good_one(tmp_path: Path, kind: str, choices: tuple):
    """Else nothing would be found in an answer beside it."""
    around = trial.Surroundings(tmp_path, "127.0.0.1:0")
    for choice in choices:
        assert trial._examined(trial._tree(around, [(kind, choice)], {})) == [], choice.type


def test_what_is_there_stays(tmp_path: Path):
    new = tmp_path / "new"
    new.mkdir()
    (new / "config.yaml").write_text("mine: true\n")
    before = tree(tmp_path)
    done = run(tmp_path, "new", *flags())
    assert done.returncode == ExitCode.CONFIGURATION
    assert "it is there already" in done.stderr
    assert "--force" in done.stderr
    assert tree(new) == {"config.yaml": before["new/config.yaml"]}
    assert (new / "config.yaml").read_text() == "mine: true\n"


def test_force_keeps_what_was_there(tmp_path: Path):
    assert run(tmp_path, "new", *flags()).returncode == ExitCode.OK
    new = tmp_path / "new"
    (new / "config.yaml").write_text("mine: true\n")
    (new / "config.yaml").chmod(0o640)
    (new / "secrets/sources__atlassian__api_key").write_text("my-old-key\n")
    (new / "state/spool.db").write_text("")
    done = run(tmp_path, "new", *flags(), "--force")
    assert done.returncode == ExitCode.OK, done.stderr
    (config,) = new.glob("config.yaml.*Z")
    assert (config.read_text(), stat.S_IMODE(config.stat().st_mode)) == ("mine: true\n", 0o640)
    assert config.name in done.stdout
    (key,) = new.glob("secrets/*Z")
    assert (key.read_text(), stat.S_IMODE(key.stat().st_mode)) == ("my-old-key\n", 0o600)
    assert (new / "state/spool.db").exists()
    assert check(new / "config.yaml").returncode == ExitCode.OK


def test_the_same_again_changes_nothing(tmp_path: Path):
    assert run(tmp_path, "new", *flags()).returncode == ExitCode.OK
    new = tmp_path / "new"
    before = {path: path.lstat().st_mtime_ns for path in new.rglob("*")}
    for more in ((), ("--force",)):
        done = run(tmp_path, "new", *flags(), *more)
        assert (done.returncode, "holds this already" in done.stdout) == (ExitCode.OK, True)
        assert {path: path.lstat().st_mtime_ns for path in new.rglob("*")} == before


@pytest.mark.parametrize("kind", ["symlink", "open", "file"])
def test_secrets_go_into_no_folder_of_others(tmp_path: Path, kind: str):
    new, away = tmp_path / "new", tmp_path / "away"
    new.mkdir()
    away.mkdir()
    secrets = new / "secrets"
    if kind == "symlink":
        secrets.symlink_to(away)
    elif kind == "open":
        secrets.mkdir()
        secrets.chmod(0o755)
    else:
        secrets.write_text("")
    before = tree(new)
    done = run(tmp_path, "new", *flags())
    assert done.returncode == ExitCode.CONFIGURATION
    assert tree(new) == before
    assert list(away.iterdir()) == []


def test_the_environment_has_no_say(tmp_path: Path):
    env = {"FORWARDER__NONSENSE": "1", "FORWARDER_SECRETS_DIR": "/nowhere", "FORWARDER__LOG__LEVEL": "loud"}
    assert run(tmp_path, "new", *flags(), **env).returncode == ExitCode.OK


def test_the_demo_is_the_simulator_as_it_comes(tmp_path: Path):
    done = run(tmp_path, "new", "--demo", "--listen", "127.0.0.1:0")
    assert done.returncode == ExitCode.OK, done.stderr
    assert "audit-forwarder simulate --port 8085" in done.stdout
    simulator = Simulator(SimulatorConfig())
    settings = load(tmp_path / "new/config.yaml")
    source = settings.sources["simulated"]
    assert (source.org_id, source.api_key.reveal()) == (simulator.org_id, simulator.api_key)
    assert source.base_url == "http://127.0.0.1:8085"


def test_doctor_looks_at_the_end(tmp_path: Path):
    words = [word for word in flags(sink="elasticsearch") if word != "--no-doctor"]
    words[words.index("--address") + 1] = "http://127.0.0.1:9"
    done = run(tmp_path, "new", *words, HTTPS_PROXY="http://127.0.0.1:9", NO_PROXY="127.0.0.1")
    assert done.returncode == ExitCode.DEGRADED
    assert "connection refused" in done.stdout
    assert f"audit-forwarder setup -c {tmp_path}/new/config.yaml" in done.stdout


# ------------------------------------------------------------------------------------------- all of it, or nothing


def staged(folder: Path) -> dict[Path, Path]:
    """Return three files to put in place, as `init` does."""
    targets = [folder / "secrets/a", folder / "secrets/b", folder / "config.yaml"]
    place = folder / placing.STAGE
    placing.write_files(place, {path.name: path.name.encode() for path in targets}, 0o600)
    return {path: place / path.name for path in targets}


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, SystemExit])
@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_what_breaks_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type, at: int):
    (tmp_path / "mine").write_text("")
    calls = iter(range(100))

    def breaks(do):
        def called(*args, **kwargs):
            if next(calls) == at:
                raise error
            return do(*args, **kwargs)

        return called

    monkeypatch.setattr(os, "link", breaks(os.link))
    monkeypatch.setattr(placing, "_sync", breaks(placing._sync))
    folder = tmp_path / "new"
    with pytest.raises((error, SettingsError)), placing.stage(folder):
        placing.place_all({folder / "secrets": 0o700, folder / "state": 0o700}, staged(folder), kept_as=None)
    assert tree(tmp_path).keys() == {"mine"}


def test_what_breaks_off_gives_back_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/a").write_text("old a")
    (tmp_path / "config.yaml").write_text("old")

    def fails(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(placing, "_sync", fails)
    with pytest.raises(SettingsError, match="No space left"), placing.stage(tmp_path):
        placing.place_all({tmp_path / "secrets": 0o700, tmp_path / "state": 0o700}, staged(tmp_path), kept_as=".old")
    assert tree(tmp_path).keys() == {"config.yaml", "secrets", "secrets/a"}
    assert [(tmp_path / name).read_text() for name in ("config.yaml", "secrets/a")] == ["old", "old a"]


def test_a_signal_while_files_are_placed_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def ended(folder: Path) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(placing, "_sync", ended)
    folder = tmp_path / "new"
    with pytest.raises(SystemExit), placing.stage(folder):
        placing.place_all({folder / "secrets": 0o700}, staged(folder), kept_as=None)
    assert tree(tmp_path) == {}


def test_what_a_killed_one_left_is_removed(tmp_path: Path):
    left = tmp_path / "new" / placing.STAGE / "secrets"
    left.mkdir(parents=True)
    (left / "sources__atlassian__api_key").write_text(KEY)
    assert run(tmp_path, "new", *flags()).returncode == ExitCode.OK
    assert tree(tmp_path / "new").keys() == {
        "config.yaml",
        "secrets",
        "secrets/sources__atlassian__api_key",
        "state",
    }


def test_two_at_once_do_not_mix(tmp_path: Path):
    (tmp_path / "new").mkdir()
    with placing.stage(tmp_path / "new"):
        done = run(tmp_path, "new", *flags())
    assert done.returncode == ExitCode.CONFIGURATION
    assert "another `init` is at work" in done.stderr


# ----------------------------------------------------------------------------------------------------- on a terminal


class Terminal:
    """`init` on a terminal of its own; answers are typed when the prompt is there."""

    def __init__(self, folder: Path, *words: str) -> None:
        self._primary, secondary = pty.openpty()
        env = {"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "xterm", "COLUMNS": "120"}
        self._process = subprocess.Popen(
            [*COMMAND, "init", *words],
            cwd=folder,
            env=env,
            stdin=secondary,
            stdout=secondary,
            stderr=secondary,
            preexec_fn=self._controlled,  # noqa: PLW1509 -- before there is any thread
        )
        os.close(secondary)
        self.shown = ""
        self._seen = 0

    @staticmethod
    def _controlled() -> None:
        os.setsid()
        signal.signal(
            signal.SIGINT, signal.SIG_DFL
        )  # as a shell at a terminal has it, also where the tests run without one
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # Ctrl-C and unseen typing need a controlling terminal

    def type(self, prompt: str, answer: str) -> None:
        while prompt not in self.shown[self._seen :]:
            assert self._read(), f"{prompt!r} never came: {self.shown}"
        self._seen = self.shown.index(prompt, self._seen) + len(prompt)
        if "API" in prompt:  # what is typed before the echo is off is thrown away
            while termios.tcgetattr(self._primary)[3] & termios.ECHO:
                assert self._process.poll() is None, self.shown
        os.write(self._primary, answer.encode())

    def end(self, again: str = "") -> int:
        """Read to the end; type `again` after each second in which nothing comes, until it says that it ends."""
        while self._read(again if "Ended." not in self.shown else ""):
            pass
        os.close(self._primary)
        return self._process.wait(timeout=60)

    def _read(self, again: str = "") -> bool:
        for _ in range(60):
            if select.select([self._primary], [], [], 1)[0]:
                break
            os.write(self._primary, again.encode())
        else:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"nothing more came: {self.shown}")
        try:
            part = os.read(self._primary, 65536)
        except OSError:
            return False
        self.shown += part.decode()
        return bool(part)


def test_a_conversation(tmp_path: Path):
    terminal = Terminal(tmp_path, "--listen", "127.0.0.1:0", "--no-doctor")
    terminal.type("Number", "0\n")
    terminal.type("Number", "organization\n")
    terminal.type("Id of the organization", "https://admin.example.com\n")
    terminal.type("an address, not an id", "")
    terminal.type("Id of the organization", f"{ORG}\n")
    terminal.type("Organization API key", "ATATT3xFfGN0planted-secret-value\n")
    terminal.type("it is the API token of a user", "")
    terminal.type("Organization API key", f"{KEY}\n")
    terminal.type("Number", "5\n")
    (tmp_path / "config.yaml").write_text("mine: true\n")
    terminal.type("File", "\n")
    terminal.type("Answer again?", "")
    (tmp_path / "config.yaml").unlink()
    terminal.type("", "\n")
    terminal.type("Number", "\n")
    terminal.type("Id of the organization", f"{ORG}\n")
    terminal.type("Organization API key", "\n")
    terminal.type("Number", "\n")
    terminal.type("File", "\n")
    assert terminal.end() == ExitCode.OK, terminal.shown
    assert KEY not in terminal.shown
    assert (tmp_path / "secrets/sources__atlassian__api_key").read_text() == f"{KEY}\n"
    assert load(tmp_path / "config.yaml").sinks["file"].path == str(tmp_path / "out/events.ndjson")
    assert "  audit-forwarder run\r\n" in terminal.shown


PROMPTS = [("Number", "2\n"), ("site", "acme\n"), ("E-mail", "a@example.com\n"), ("API token", "ATATT3xFfGN0planted\n")]


@pytest.mark.parametrize("at", range(len(PROMPTS) + 1))
def test_ctrl_c_leaves_nothing(tmp_path: Path, at: int):
    terminal = Terminal(tmp_path, "new/folder")
    for prompt, answer in PROMPTS[:at]:
        terminal.type(prompt, answer)
    terminal.type([*PROMPTS, ("Number", "")][at][0], "\x03")
    # Python may hear it just before it waits for the answer, and wait on: then a person presses it again
    assert terminal.end(again="\x03") == ExitCode.INTERRUPTED, terminal.shown
    assert "Nothing was written" in terminal.shown
    assert list(tmp_path.iterdir()) == []


def test_a_taken_folder_is_named_before_anything_is_asked(tmp_path: Path):
    (tmp_path / "config.yaml").write_text("mine: true\n")
    terminal = Terminal(tmp_path)
    assert terminal.end() == ExitCode.CONFIGURATION
    assert "Number" not in terminal.shown


def test_names_and_types_are_known_to_the_registry():
    from forwarder.registry import SINKS as SINK_TYPES
    from forwarder.registry import SOURCES as SOURCE_TYPES

    assert {one.type for one in SOURCES} <= set(SOURCE_TYPES.names())
    assert {one.type for one in SINKS} <= set(SINK_TYPES.names())
