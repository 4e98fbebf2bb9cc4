"""The command line as a shell sees it: exit codes, what goes to which stream, and what is never done."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from forwarder.cli.app import app
from forwarder.cli.commands.setup import _show as show_steps
from forwarder.contracts import AuthFailed, ConfigError, Held, Retryable, SetupStep, SystemClock
from forwarder.daemon.checking import keep_check
from forwarder.exit_codes import ExitCode, code_for
from forwarder.observe.record import CheckReport
from forwarder.observe.redaction import Redactor
from forwarder.spool.config import SpoolConfig
from forwarder.spool.contract import Fenced, SpoolError
from forwarder.spool.sqlite.store import SqliteSpool
from tests.cli.letters import on_terminal
from tests.commands import call_for_text
from tests.packages import SINK, install

COMMANDS = [
    "init",
    "docs",
    "examples",
    "run",
    "check",
    "doctor",
    "status",
    "setup",
    "dead-letters",
    "catalogue",
    "demo",
    "simulate",
    "schema",
    "version",
]
LETTERS = ["list", "show", "export", "retry", "discard"]

CONFIG = """
spool:   {path: ./state/spool.db}
sources:
  acme:  {type: organization, org_id: org-1, api_key: planted-secret-value}
sinks:
  archive: {type: file, path: ./out/events.ndjson, format: raw}
"""

SETTING_UP = (
    SINK
    + """
import pathlib
from forwarder.contracts import Held, SetupStep

class StageSink(TrumpetSink):
    async def setup(self, *, apply):
        path = pathlib.Path("stage.txt")
        found = path.read_text() if path.exists() else ""
        if found == "held":
            raise Held("The stage is closed.", fix="Open it.")
        if found == "crash":
            raise RuntimeError("planted-secret" + "-value")
        state = {"": "missing", "old": "ours_older", "new": "same"}.get(found, "foreign")
        if apply and state in {"missing", "ours_older"}:
            path.write_text("new")
            state = "same"
        return [SetupStep("stage", state, diff="-old\\n+new\\x1b[2J")]

class BareSink(TrumpetSink):
    pass
"""
)


class Shell:
    """Calls the command in a folder of its own, with an environment of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONWARNINGS": "error"}

    def __call__(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return call_for_text(*arguments, cwd=self.folder, env=self.env | env)

    def config(self, text: str = CONFIG) -> None:
        (self.folder / "config.yaml").write_text(text)

    def plugin(self, name: str, text: str, **sinks: str) -> None:
        site = self.folder / "site"
        install(site, name, modules={name: text}, points={"sinks": sinks})
        self.env["PYTHONPATH"] = str(site)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def assert_no_traceback(done: subprocess.CompletedProcess[str]) -> None:
    assert "Traceback" not in done.stderr
    assert "planted-secret-value" not in done.stdout + done.stderr


# ------------------------------------------------------------------------------------------------------- help, usage


def test_help_lists_every_command_and_exit_code(shell):
    done = shell("--help")
    assert done.returncode == 0
    for command in COMMANDS:
        assert f"\n  {command} " in done.stdout
    for code in ExitCode:
        assert f"\n    {int(code)}  " in done.stdout
        assert f"{int(code)} {code.meaning}" in " ".join(done.stdout.split())
    assert "\x1b" not in done.stdout
    assert "─" not in done.stdout


@pytest.mark.parametrize(
    "command",
    [
        "",
        *COMMANDS,
        *(f"dead-letters {command}" for command in LETTERS),
        *(f"cursors {command}" for command in ("list", "drop")),
        *(f"lanes {command}" for command in ("list", "pause", "resume", "retry-now", "detach", "forget")),
        *(f"replay {command}" for command in ("list", "cancel")),
        *(f"catalogue {command}" for command in ("search", "explain", "missing")),
    ],
)
def test_help_fits_a_narrow_terminal(command, monkeypatch):
    """Nothing is cut: neither the sentence of a command in a list, nor a line by the edge of the terminal."""
    from typer.testing import CliRunner

    from forwarder.cli.app import app

    monkeypatch.setenv("COLUMNS", "80")
    lines = CliRunner().invoke(app, [*command.split(), "--help"]).stdout.splitlines()
    assert [line for line in lines if len(line) > 80] == []
    assert [line for line in lines[1:] if line.endswith(("...", "\u2026"))] == []


@pytest.mark.parametrize("on_terminal", [False, True])
def test_help_names_no_type_of_python(tmp_path, on_terminal):
    code = (
        f"import sys; sys.stdout.isatty = lambda: {on_terminal}\n"
        "import typer, typer.testing; from typer.testing import CliRunner; from forwarder.cli.app import app\n"
        "made = typer.main.get_command(app); typer.testing._get_command = lambda app: made\n"
        "def show(command, words):\n"
        "    print(CliRunner().invoke(app, [*words, '--help'], terminal_width=100).stdout.partition('Examples:')[0])\n"
        "    for name, found in getattr(command, 'commands', {}).items():\n"
        "        show(found, [*words, name])\n"
        "show(made, [])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert ("╭" in done.stdout) is on_terminal
    for word in ("PART", "NUMBER", "WORD", "SECONDS", "FILE", "--json", "--install-completion"):
        assert word in done.stdout
    assert re.findall(r"<\w.*|\blist\[.*", done.stdout) == []


@pytest.mark.parametrize("words", [["--help"], ["check"], ["status"], ["doctor"], ["cursors", "list"], ["nope"]])
def test_no_color_is_obeyed_everywhere(shell, words):
    code, shown = on_terminal(shell.folder, *words, NO_COLOR="1")
    assert code in set(ExitCode)
    assert shown
    assert not re.search(r"\x1b\[[0-9;]*m", shown)


@pytest.mark.parametrize("command", [*COMMANDS, *(f"dead-letters {command}" for command in LETTERS)])
def test_each_command_teaches(command):
    from typer.testing import CliRunner

    from forwarder.cli.app import app

    done = CliRunner().invoke(app, [*command.split(), "--help"])
    assert done.exit_code == 0
    assert "Examples:" in done.stdout
    assert f"audit-forwarder {command}" in done.stdout
    assert "Exit codes:" in done.stdout


def test_no_help_is_folded_within_a_word_or_where_the_code_was():
    import typer
    from typer.testing import CliRunner

    from docs.commands_page import named
    from forwarder.cli.app import app

    names = [name for name, _ in named(typer.main.get_command(app))]
    assert len(names) > 50
    for name in names:
        shown = CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "80"}).stdout
        about, _, examples = shown.partition("Examples:")
        assert max(map(len, about.splitlines())) <= 80, name
        assert not re.search(r"[\w/]-\n", shown), name
        assert "\u2011" not in shown, name
        assert examples, name


@pytest.mark.parametrize("words", [["run"], ["dead-letters", "retry"]])
def test_help_imports_nothing_of_the_engine(tmp_path, words):
    code = (
        f"import sys; sys.argv = ['audit-forwarder', *{words!r}, '--help']\n"
        "from forwarder.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'httpx', 'yaml', 'rich', 'sqlite3', 'uvicorn', 'forwarder.config.settings', 'forwarder.daemon'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "arguments", [["chekk"], ["check", "--nope"], ["status", "--json=3"], ["simulate", "--port", "x"]]
)
def test_wrong_usage_exits_2(shell, arguments):
    done = shell(*arguments)
    assert done.returncode == ExitCode.CONFIGURATION
    assert "Error" in done.stderr
    assert_no_traceback(done)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("setup --sink ", ["archive"]),
        ("dead-letters list --sink ar", ["archive"]),
        ("dead-letters list --sink x", []),
        ("lanes pause ar", ["archive"]),
        ("lanes forget x", []),
        ("replay --sink ar", ["archive"]),
    ],
)
def test_the_shell_completes_names_of_sinks(shell, monkeypatch, words, names):
    monkeypatch.chdir(shell.folder)
    shell.config()
    assert completed(words) == (names, "")
    (shell.folder / "config.yaml").write_text("sinks: [")
    assert completed(words) == ([], "")


def asked_by_bash(words: str) -> dict[str, str]:
    line = f"audit-forwarder {words}"
    return {"_AUDIT_FORWARDER_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}


def completed(words: str) -> tuple[list[str], str]:
    done = CliRunner().invoke(app, [], env=asked_by_bash(words), prog_name="audit-forwarder")
    return done.stdout.split(), done.stderr


def test_the_installed_command_completes(shell):
    shell.config()
    command = str(Path(sys.executable).with_name("audit-forwarder"))
    env = shell.env | asked_by_bash("setup --sink ")
    done = subprocess.run([command], cwd=shell.folder, env=env, capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == (["archive"], "")


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("init --source jira_", ["jira_datacenter"]),
        ("init --destination s", ["splunk_hec", "syslog"]),
        ("docs AuditForwarderSp", ["AuditForwarderSpoolFull"]),
        ("examples compose", ["compose.yaml"]),
    ],
)
def test_the_shell_completes_what_is_known_without_a_configuration(words, names):
    assert completed(words) == (names, "")


def test_version(shell):
    assert shell("version").stdout == shell("--version").stdout
    assert shell("version").stdout.startswith("audit-forwarder ")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), 2),
        (SpoolError("x"), 3),
        (Fenced("x"), 3),
        (Held("x", fix="y"), 4),
        (AuthFailed("x", fix="y"), 4),
        (Retryable("x"), 4),
    ],
)
def test_each_error_has_its_code(error, code):
    assert code_for(error) == code


# ------------------------------------------------------------------------------------------------------------- check


def test_check_says_what_will_happen_in_plain_text(shell):
    shell.config(CONFIG + "  screen: {type: file, path: '-', exclude: [{source: ac*}]}\n")
    done = shell("check")
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["acme", "organization", "organization:org-1", "https://api.atlassian.com", "archive"] in rows
    archive = next(row for row in rows if row[:1] == ["archive"])
    assert archive[1] == "file"
    assert {"raw", "pause", "delivered:"} <= set(archive)
    assert "received:" in next(row for row in rows if row[:1] == ["screen"])
    assert str(shell.folder / "state" / "spool.db") in done.stdout
    assert "\x1b" not in done.stdout
    assert_no_traceback(done)


def test_check_is_pure(shell):
    """It opens nothing for writing and connects to nothing; it binds the admin port alone, by its address."""
    shell.config("admin: {listen: 127.0.0.1:0}\n" + CONFIG)
    code = (
        "import sys\n"
        "def hook(event, args):\n"
        "    acts = {'socket.connect', 'socket.bind', 'socket.getaddrinfo', 'os.mkdir', 'sqlite3.connect'}\n"
        "    ours = \"('127.0.0.1', 0\" in str(args) or args[:2] == ('127.0.0.1', 0)\n"
        "    if event in acts and '__pycache__' not in str(args) and not (ours and event != 'socket.connect'):\n"
        "        sys.stderr.write(f'FORBIDDEN {event} {args}\\n')\n"
        "    if event == 'open' and isinstance(args[1], str) and set(args[1]) & set('wax+'):\n"
        "        if not str(args[0]).endswith('.pyc') and '__pycache__' not in str(args[0]):\n"
        "            sys.stderr.write(f'FORBIDDEN {event} {args}\\n')\n"
        "sys.addaudithook(hook)\n"
        "sys.argv = ['audit-forwarder', 'check']\n"
        "from forwarder.cli.app import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], capture_output=True, text=True, check=False, cwd=shell.folder, env=shell.env
    )
    assert done.returncode == 0, done.stderr
    assert "FORBIDDEN" not in done.stderr
    assert [path.name for path in shell.folder.iterdir()] == ["config.yaml"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no configuration"),
        (CONFIG + "log: {lefel: debug}\n", "log.lefel (config.yaml line 7): unknown key; did you mean level?"),
        (CONFIG + "log: [\n", "config.yaml line 8 column 1: not YAML"),
        (
            CONFIG.replace("api_key: planted-secret-value", "api_key_file: ./gone"),
            "sources.acme.api_key_file (config.yaml line 4): gone",
        ),
        (CONFIG + "log: {level: planted-secret-value}\n", "log.level"),
        (CONFIG.replace("format: raw", "format: raw, original: true"), "the format raw has no place for the original"),
    ],
)
def test_check_refuses_with_one_clear_message(shell, text, message):
    if text is not None:
        shell.config(text)
    done = shell("check")
    assert done.returncode == ExitCode.CONFIGURATION
    assert message in done.stderr
    assert done.stdout == ""
    assert_no_traceback(done)


def test_check_names_a_broken_plugin_and_everything_else(shell):
    shell.plugin("dented", "raise RuntimeError('no valves')", tuba="dented:Tuba")
    shell.config(CONFIG + "  low: {type: tuba}\n  bad: {type: file}\n")
    done = shell("check")
    assert done.returncode == ExitCode.CONFIGURATION
    assert "dented 1.2" in done.stderr
    assert "RuntimeError: no valves" in done.stderr
    assert "sinks.bad.path" in done.stderr
    assert "2 problems" in done.stderr


def test_check_survives_a_plugin_whose_constructor_fails(shell):
    shell.plugin("brass", SINK, trumpet="brass:TrumpetSink")
    shell.config(CONFIG + "  horn: {type: trumpet, tune: explode, note: planted-secret-value}\n")
    done = shell("check")
    assert done.returncode == ExitCode.CONFIGURATION
    assert "sinks.horn (config.yaml line 7): cannot be built: RuntimeError" in done.stderr
    assert_no_traceback(done)


def test_check_refuses_two_sources_of_one_log(shell):
    again = "  again: {type: organization, org_id: org-1, api_key: k}\nsinks:"
    shell.config(CONFIG.replace("sinks:", again))
    done = shell("check")
    assert done.returncode == ExitCode.CONFIGURATION
    assert "sources.again (config.yaml line 5): follows the same log as acme" in done.stderr


def test_options_and_environment_reach_the_settings(shell, tmp_path):
    (tmp_path / "other.yaml").write_text(CONFIG)
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "admin__listen").write_text("127.0.0.1:1111")
    assert "127.0.0.1:9464" in shell("check", "-c", "other.yaml").stdout
    assert "127.0.0.1:1111" in shell("check", "-c", "other.yaml", "--secrets-dir", "secrets").stdout
    assert (
        "127.0.0.1:2222"
        in shell("check", FORWARDER_CONFIG="other.yaml", FORWARDER__ADMIN__LISTEN="127.0.0.1:2222").stdout
    )
    assert "127.0.0.1:3333" in shell("check", "-c", "other.yaml", "-s", "admin.listen=127.0.0.1:3333").stdout
    assert shell("check", FORWARDER_CONFIG="gone.yaml").returncode == ExitCode.CONFIGURATION


# ------------------------------------------------------------------------------------------------------------ status


@pytest.fixture
def daemon() -> Iterator[type[BaseHTTPRequestHandler]]:
    """Something that answers like the admin port; set `answer` and `token` on what comes back."""

    class Answers(BaseHTTPRequestHandler):
        answer: tuple[int, bytes] = (200, b"{}")
        token = ""
        asked: ClassVar[list[tuple[str, str]]] = []

        def do_GET(self) -> None:
            self.asked.append((self.path, self.headers["Host"]))
            allowed = not self.token or self.headers["Authorization"] == f"Bearer {self.token}"
            code, body = self.answer if allowed else (401, b"{}")
            self.send_response(code)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    Answers.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Answers
    server.shutdown()
    thread.join()
    server.server_close()


WELL = {"version": "9", "ready": True, "degraded": [], "sources": [], "sinks": [], "balanced": True, "books": []}


@pytest.mark.parametrize(
    ("report", "code"),
    [
        (WELL, ExitCode.OK),
        (WELL | {"degraded": ["archive"]}, ExitCode.DEGRADED),
        (WELL | {"ready": False}, ExitCode.DEGRADED),
        (WELL | {"balanced": False}, ExitCode.DEGRADED),
    ],
)
def test_status_of_a_running_daemon(shell, daemon, report, code):
    daemon.answer = (200, json.dumps(report).encode())
    shell.config(f"{CONFIG}admin: {{listen: '127.0.0.1:{daemon.port}'}}\n")
    proxies = {
        "http_proxy": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "ALL_PROXY": "http://127.0.0.1:9",
    }
    done = shell("status", "--json", **proxies)
    assert (done.returncode, done.stderr) == (code, "")
    assert json.loads(done.stdout) == report
    table = shell("status")
    assert table.returncode == code
    assert table.stdout
    assert "\x1b" not in table.stdout
    assert {path for path, _ in daemon.asked} == {"/status"}


def test_status_brings_the_token_and_any_address_means_this_machine(shell, daemon):
    daemon.answer, daemon.token = (200, json.dumps(WELL).encode()), "the-right-token"
    (shell.folder / "token").write_text("the-right-token\n")
    text = f"{CONFIG}admin: {{listen: '0.0.0.0:{daemon.port}', token_file: ./token}}\n"
    shell.config(text)
    assert shell("status").returncode == ExitCode.OK
    shell.config(text.replace("token_file: ./token", "token: the-wrong-token"))
    refused = shell("status")
    assert refused.returncode == ExitCode.CONFIGURATION
    assert "admin.token" in refused.stderr
    assert "the-wrong-token" not in refused.stderr
    (shell.folder / "token").unlink()
    shell.config(text)
    assert "admin.token_file" in shell("status").stderr


def test_status_asks_a_daemon_whatever_else_the_configuration_says(shell, daemon):
    daemon.answer, daemon.token = (200, json.dumps(WELL).encode()), "the-right-token"
    (shell.folder / "secrets").mkdir()
    (shell.folder / "secrets" / "admin__token").write_text("the-right-token\n")
    shell.config("sinks: {elastic: {type: nope}}\nadmin: {listen: '127.0.0.1:1'}\n")
    layers = ("--secrets-dir", "secrets", "-s", f"admin.listen=127.0.0.1:{daemon.port}")
    assert shell("status", *layers).returncode == ExitCode.OK
    alone = shell("status", "--secrets-dir", "secrets")
    assert (alone.returncode, alone.stdout) == (ExitCode.CONFIGURATION, "")
    assert "sinks.elastic" in alone.stderr
    wrong = shell("status", *layers, FORWARDER__ADMIN__LISTEN="x", FORWARDER__ADMIN__NOPE="x")
    assert wrong.returncode == ExitCode.CONFIGURATION
    assert all(path in wrong.stderr for path in ("admin.nope", "sinks.elastic", "sources"))


STRANGERS = [
    (200, b"<html>hello</html>"), (200, b"[]"), (500, b"{}"), (200, b'{"a": 1}'), (200, b"[" * 100_000),
    (200, b'{"a":' * 100_000), (200, b"1" * 10_000),
]  # fmt: skip


@pytest.mark.parametrize("answer", STRANGERS, ids=lambda answer: answer[1][:8].decode())
def test_status_of_a_stranger_on_the_port(shell, daemon, answer):
    daemon.answer = answer
    shell.config(f"{CONFIG}admin: {{listen: '127.0.0.1:{daemon.port}'}}\n")
    done = shell("status")
    assert done.returncode == ExitCode.UNREACHABLE
    assert "not audit-forwarder" in done.stderr
    assert_no_traceback(done)


def nobody(shell: Shell) -> None:
    """Write a configuration whose admin port no one listens on: port 1 is no one's on loopback."""
    shell.config(f"{CONFIG}admin: {{listen: '127.0.0.1:1'}}\n")


def test_status_without_daemon_and_spool(shell):
    nobody(shell)
    done = shell("status")
    assert done.returncode == ExitCode.UNREACHABLE
    assert "has not run yet" in done.stderr
    assert not (shell.folder / "state").exists()


async def test_status_without_daemon_looks_into_the_spool(shell):
    nobody(shell)
    spool = SqliteSpool(SpoolConfig(path=shell.folder / "state" / "spool.db"), SystemClock())
    await spool.open()
    await spool.open_lane("archive", "file:x", start=None, on_full="pause")
    held = shell("status")
    assert held.returncode == ExitCode.UNREACHABLE
    assert "does not answer" in held.stderr
    assert held.stdout == ""
    await spool.close()
    done = shell("status", "--json")
    assert done.returncode == ExitCode.UNREACHABLE
    assert "does not answer" in done.stderr
    report = json.loads(done.stdout)
    assert [sink["name"] for sink in report["sinks"]] == ["archive"]
    assert report["sinks"][0]["state"] == "stopped"
    assert (report["running"], report["pid"], report["ready"], report["started"]) == (False, None, False, None)
    assert report["spool_written"] is not None
    table = shell("status")
    assert table.stdout.startswith("audit-forwarder is NOT RUNNING; its spool was last written ")
    assert "archive" in table.stdout
    assert "process 0" not in table.stdout + table.stderr
    kept = shell.folder / "kept"
    shell.config(
        f"{CONFIG}  kept: {{type: archive, path: '{kept}'}}\nverify: {{every: 1d}}\nadmin: {{listen: '127.0.0.1:1'}}\n"
    )
    assert "archive of kept: not checked to its end yet" in shell("status").stdout
    keep_check(shell.folder / "state", f"archive:{kept}", CheckReport("kept", 60.0, good=1.0, findings=3))
    checked = shell("status").stdout
    assert "archive of kept: 3 things NOT as they were written when it was checked last" in checked
    assert "audit-forwarder archive verify --sink kept" in checked


# ------------------------------------------------------------------------------------------------------------- setup


@pytest.fixture
def stage(shell) -> Shell:
    shell.plugin("stage", SETTING_UP, stage="stage:StageSink", bare="stage:BareSink")
    shell.config(CONFIG + "  scene: {type: stage, tune: x}\n  plain: {type: bare, tune: x}\n")
    return shell


@pytest.mark.parametrize("before", [None, "old"])
def test_setup_shows_the_difference_and_needs_a_yes(stage, before):
    path = stage.folder / "stage.txt"
    if before:
        path.write_text(before)
    done = stage("setup")
    assert done.returncode == ExitCode.DEGRADED
    assert "+new\\x1b[2J" in done.stdout
    assert "--yes" in done.stdout
    assert (path.read_text() if path.exists() else None) == before
    written = stage("setup", "--yes")
    assert (written.returncode, path.read_text()) == (ExitCode.OK, "new")
    assert stage("setup").returncode == ExitCode.OK


@pytest.mark.parametrize("diff", [False, True])
def test_setup_counts_what_is_all_new_and_long(diff, capsys):
    steps = [SetupStep("a template", "missing", "\n".join(f"+line {number}" for number in range(800)))]
    show_steps("elastic", steps, Redactor(), diff=diff)
    shown = capsys.readouterr().out
    assert ("+line 799" in shown, "800 lines, all of them new; --diff shows them" in shown) == (diff, not diff)


def test_setup_leaves_what_somebody_else_changed(stage):
    path = stage.folder / "stage.txt"
    path.write_text("somebody else's")
    done = stage("setup", "--yes")
    assert done.returncode == ExitCode.DEGRADED
    assert path.read_text() == "somebody else's"


def test_setup_of_one_sink(stage):
    done = stage("setup", "--sink", "plain", "--yes")
    assert (done.returncode, done.stdout) == (ExitCode.OK, "plain: needs nothing\n")
    assert not (stage.folder / "stage.txt").exists()
    wrong = stage("setup", "--sink", "scnee")
    assert wrong.returncode == ExitCode.CONFIGURATION
    assert "did you mean scene?" in wrong.stderr


def test_setup_that_is_held_says_why_and_a_fault_hides_its_words(stage):
    (stage.folder / "stage.txt").write_text("held")
    held = stage("setup", "--yes")
    assert held.returncode == ExitCode.DEGRADED
    assert "scene: The stage is closed. Open it." in held.stderr
    assert "plain: needs nothing" in held.stdout
    (stage.folder / "stage.txt").write_text("crash")
    crashed = stage("setup", "--yes")
    assert crashed.returncode == ExitCode.UNEXPECTED
    assert "RuntimeError" in crashed.stderr
    assert "in setup" in crashed.stderr
    assert_no_traceback(crashed)


# -------------------------------------------------------------------------------------------------- schema, simulate


def test_schema_is_one_and_knows_what_is_installed(shell):
    shell.plugin("brass", SINK, trumpet="brass:TrumpetSink")
    done = shell("schema")
    assert (done.returncode, done.stderr) == (0, "")
    schema = json.loads(done.stdout)
    Draft202012Validator.check_schema(schema)
    assert "sink.trumpet" in schema["$defs"]


def test_schema_leaves_a_broken_plugin_out_and_says_so(shell):
    shell.plugin("dented", "1/0", tuba="dented:Tuba")
    done = shell("schema")
    assert done.returncode == ExitCode.DEGRADED
    assert "dented 1.2" in done.stderr
    assert "sink.file" in json.loads(done.stdout)["$defs"]


def test_a_reader_that_goes_away_is_no_traceback(shell):
    command = [sys.executable, "-m", "forwarder.cli.app", "schema"]
    with subprocess.Popen(
        command, cwd=shell.folder, env=shell.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


def test_simulate_refuses_what_means_nothing(shell):
    done = shell("simulate", "--switch", "tpi=null", "--ugc", "maybe")
    assert done.returncode == ExitCode.CONFIGURATION
    assert "did you mean tip?" in done.stderr
    assert_no_traceback(done)


def test_simulate_serves_until_it_is_asked_to_stop(shell):
    command = [sys.executable, "-m", "forwarder.cli.app", "simulate", "--events", "3", "--rate", "0"]
    with subprocess.Popen(command, cwd=shell.folder, env=shell.env, stdout=subprocess.PIPE, text=True) as process:
        lines = [process.stdout.readline() for _ in range(7)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    source = "".join(lines[1:])
    shell.config(f"{source}\nsinks: {{archive: {{type: file, path: x}}}}\n")
    assert shell("check").returncode == 0


# --------------------------------------------------------------------------------------------------------------- run


def test_run_ends_at_once_on_a_wrong_configuration_or_secret(shell):
    shell.config(CONFIG + "lgo: {}\n")
    assert shell("run").returncode == ExitCode.CONFIGURATION
    shell.config(CONFIG.replace("api_key: planted-secret-value", "api_key_file: ./gone"))
    done = shell("run")
    assert done.returncode == ExitCode.CONFIGURATION
    assert_no_traceback(done)


@pytest.mark.parametrize("path", ["./out/events.ndjson", "./out/../out/events.ndjson"])
def test_run_refuses_two_sinks_of_one_place_as_check_does(shell, path):
    shell.config(f"{CONFIG}  copy: {{type: file, path: {path}}}\nadmin: {{listen: '127.0.0.1:0'}}\n")
    for command in ("check", "run"):
        done = shell(command)
        assert done.returncode == ExitCode.CONFIGURATION, command
        assert "sinks.copy" in done.stderr
        assert "writes to the same place as archive" in done.stderr
        assert_no_traceback(done)
    assert not (shell.folder / "out").exists()


def test_run_leaves_a_foreign_file_alone(shell):
    shell.config(CONFIG + "admin: {listen: '127.0.0.1:0'}\n")
    (shell.folder / "state").mkdir()
    (shell.folder / "state" / "spool.db").write_text("my diary" * 200)
    done = shell("run")
    assert done.returncode == ExitCode.SPOOL
    assert_no_traceback(done)
    assert (shell.folder / "state" / "spool.db").read_text() == "my diary" * 200


def test_run_until_sigterm_shows_no_secret_and_ends_with_0(shell):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    base = "base_url: 'http://127.0.0.1:1', org_id"
    shell.config(CONFIG.replace("org_id", base) + f"admin: {{listen: '127.0.0.1:{port}'}}\n")
    command = [sys.executable, "-m", "forwarder.cli.app", "run"]
    with subprocess.Popen(command, cwd=shell.folder, env=shell.env, stderr=subprocess.PIPE, text=True) as process:
        lines = []
        while not any('"source_degraded"' in line for line in lines):
            line = process.stderr.readline()
            assert line, "".join(lines)
            lines.append(line)
        status = shell("status", "--json")
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        assert process.wait(30) == ExitCode.OK
    assert status.returncode == ExitCode.DEGRADED
    assert json.loads(status.stdout)["degraded"] == ["acme"]
    for line in [*lines, *rest.splitlines()]:
        assert isinstance(json.loads(line), dict)
    assert "planted-secret-value" not in "".join(lines) + rest + status.stdout
