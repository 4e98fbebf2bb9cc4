"""The daemon goes on as a new interpreter, which has the judged settings and nothing to judge with."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from forwarder.__main__ import Waiting
from forwarder.assembly import look_of
from forwarder.cli import handover
from forwarder.config.changes import changes
from forwarder.config.in_force import in_force
from forwarder.config.problems import SettingsError
from forwarder.config.references import secrets_of
from forwarder.config.settings import load
from forwarder.contracts import ConfigError, plain_models
from forwarder.contracts.declared import OPTION
from forwarder.daemon import judging
from forwarder.daemon.judging import packed
from forwarder.registry import SINKS
from tests.daemon.process import Process, write_config

FULL = Path(__file__).parents[2] / "examples" / "full.yaml"
SECRET = "kT7vQ2mZx9Lr4Wb8"
ACME = {
    "type": "organization", "org_id": "7d5a6a0e-1c55-4b92-9a37-0a4ad7a3c1aa", "api_key": SECRET, "base_url": "http://127.0.0.1:9",
}  # fmt: skip
SAID = """
import json, pickle, sys
from forwarder.assembly import look_of
from forwarder.config.changes import changes
from forwarder.config.in_force import in_force
from forwarder.config.problems import SettingsError
from forwarder.config.references import secrets_of
old, settings = pickle.load(sys.stdin.buffer), pickle.load(sys.stdin.buffer)
assert settings == settings.model_copy() and settings != old
for sink in settings.sinks.values():
    assert look_of(sink) == look_of(sink.model_copy())
judges = {"pydantic", "pydantic_core", "yaml", "typer"} & {*sys.modules}
shown = [str(look_of(sink)) for sink in settings.sinks.values()], repr(settings), [str(secret) for secret in secrets_of(settings)]
differs = [(each.path, each.before, each.after) for each in changes(old, settings)]
json.dump([sorted(judges), settings.digest(), in_force(settings), shown, differs, list(settings.readers)], sys.stdout)
"""


def test_settings_are_in_the_daemon_what_they_were_when_they_were_judged() -> None:
    old, settings = (
        load(FULL),
        load(FULL, {"FORWARDER__LOG__LEVEL": "debug"}, None, ["sinks.archive.privacy.preset=no_content"]),
    )
    done = subprocess.run(
        [sys.executable, "-X", f"{OPTION}=0", "-c", SAID],
        input=packed(old) + packed(settings), capture_output=True, check=True,
    )  # fmt: skip
    shown = (
        [str(look_of(sink)) for sink in settings.sinks.values()],
        repr(settings),
        [str(each) for each in secrets_of(settings)],
    )
    differs = [(each.path, each.before, each.after) for each in changes(old, settings)]
    here = [[], settings.digest(), in_force(settings), shown, differs, list(settings.readers)]
    assert json.loads(done.stdout) == json.loads(json.dumps(here))


@pytest.fixture
def beginning(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make this process the program alone; return the words of the interpreter that would take its place."""
    words: list[str] = []

    def execute(program: str, all_words: list[str]) -> None:
        assert program == sys.executable
        words.extend(all_words)
        assert {signal.SIGTERM, signal.SIGHUP, signal.SIGINT} <= signal.pthread_sigmask(signal.SIG_BLOCK, [])
        number = int(next(word for word in words if word.startswith(OPTION)).partition("=")[2])
        assert os.get_inheritable(number)
        with open(number, "rb", closefd=False) as handed:
            assert pickle.load(handed)[1] == sys.path
            assert SECRET.encode() in handed.read()
        words.append("waiting" if signal.SIGHUP in signal.sigpending() else "nothing")
        raise OSError

    monkeypatch.setattr(os, "execv", execute)
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, "-m", "forwarder", "run"])
    monkeypatch.setattr(sys, "argv", ["forwarder/__main__.py", "run"])
    return words


def test_a_signal_waits_and_no_secret_is_among_the_words(
    beginning: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(write_config(tmp_path, {"acme": ACME}, {"out": {"type": "file", "path": "out.ndjson"}}))
    waiting = Waiting()
    waiting.came = True
    before, files = signal.signal(signal.SIGHUP, waiting), len([*Path("/proc/self/fd").iterdir()])
    try:
        handover.begin_anew(settings)  # it is refused, and this process goes on
    finally:
        signal.signal(signal.SIGHUP, before)
    assert beginning[-2:] == ["run", "waiting"]
    assert SECRET not in " ".join(beginning)
    assert len([*Path("/proc/self/fd").iterdir()]) == files
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])
    beginning.clear()
    with monkeypatch.context() as patch:
        patch.setattr(SINKS, "is_ours", lambda _: False)
        handover.begin_anew(settings)
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, "-c", "anything else", "run"])
    handover.begin_anew(settings)
    assert not beginning


async def test_the_daemon_has_nothing_to_judge_with_and_judges_a_changed_file(tmp_path: Path) -> None:
    config = partial(
        write_config, tmp_path, {"acme": ACME}, {"out": {"type": "file", "path": str(tmp_path / "out.ndjson")}}
    )
    async with Process(config(), fresh=True) as daemon:
        await daemon.start()
        await daemon.until_logged("started")
        about = Path(f"/proc/{daemon.pid}")
        assert "pydantic_core" not in (about / "maps").read_text()
        assert SECRET not in (about / "cmdline").read_text() + (about / "environ").read_text()
        assert (about / "comm").read_text() == "audit-forwarder\n"
        assert not [one for one in (about / "fd").iterdir() if "memfd" in str(one.readlink())]
        config(shutdown={"grace": "7s"}, log={"format": "json", "level": "debug"})
        daemon.signal(signal.SIGHUP)
        told = (await daemon.until_logged("configuration_reloaded"))["forwarder"]
        assert told["changed"] == ["log.level", "shutdown.grace"]
        path = config(nothing=1)
        daemon.signal(signal.SIGHUP)
        told = (await daemon.until_logged("configuration_not_reloaded"))["forwarder"]
        with pytest.raises(SettingsError) as wrong:
            load(path)
        assert told["reason"] == str(wrong.value)
        assert await daemon.stop() == 0


def _answered(monkeypatch: pytest.MonkeyPatch, found: bytes) -> None:
    """Have the process that judges answer this."""
    monkeypatch.setattr(judging, "ARRIVE_JUDGED", True)
    begin = f"import sys; sys.stdin.buffer.read(); sys.stdout.buffer.write({found!r})"
    monkeypatch.setattr(judging, "_BEGIN", begin)


def test_settings_of_code_that_was_changed_meanwhile_ask_for_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(FULL)
    _answered(monkeypatch, b"cforwarder.contracts\nOfTomorrow\n.")
    with pytest.raises(ConfigError, match=r"changed while the daemon runs.*restart the daemon"):
        judging.read_again(settings)


def test_another_version_that_is_installed_by_now_asks_for_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(FULL)
    monkeypatch.setattr(judging, "ARRIVE_JUDGED", True)
    monkeypatch.setattr(judging, "__version__", "0.0.1")
    with pytest.raises(ConfigError, match=r"0\.0\.1 runs, and .* is installed by now; restart the daemon"):
        judging.read_again(settings)


def test_a_model_takes_no_state_of_other_fields() -> None:
    class Sink(plain_models.BaseModel):
        name: str = "a"

    more = {"__dict__": {"name": "a", "of_tomorrow": 1}, "__pydantic_fields_set__": set()}
    for state in (more, {**more, "__dict__": {}}):
        with pytest.raises(TypeError, match="other fields"):
            object.__new__(Sink).__setstate__(state)
