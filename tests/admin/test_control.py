"""The control socket: who may speak, what is answered, and that a bad client costs no one anything."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import socket
import stat
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from forwarder.admin import control
from forwarder.admin.control import ControlSocket, Verb, short_name, socket_path, who
from forwarder.cli import daemon_client
from forwarder.cli.daemon_client import Refused, _Remote
from forwarder.contracts.errors import ConfigError, Held
from forwarder.exit_codes import ExitCode

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


class Word(msgspec.Struct, forbid_unknown_fields=True):
    text: str = ""


async def echo(word: Word, caller: str) -> list[str]:
    return [word.text, caller]


async def fails(word: Word, _: str) -> None:
    raise {"config": ConfigError("no"), "held": Held("full", fix="fix")}.get(word.text, RuntimeError("secret words"))


async def much(word: Word, _: str) -> list[str]:
    return [word.text] * 1_000_000


VERBS = {"echo": Verb(Word, echo), "fails": Verb(Word, fails), "much": Verb(Word, much)}


@asynccontextmanager
async def served(path: Path):
    server = ControlSocket(path, VERBS)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


async def ask(path: Path, verb: str, **about):
    return await asyncio.to_thread(lambda: asyncio.run(_Remote(path).ask(verb, about, list[str])))


async def raw(path: Path, sent: bytes) -> bytes:
    with short_name(path) as name:
        reader, writer = await asyncio.open_unix_connection(name)
    writer.write(sent)
    try:
        return await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_a_question_is_answered_with_who_asked(tmp_path):
    path = tmp_path / "spool.db.sock"
    async with served(path):
        assert await ask(path, "echo", text='\x1b[2J"\n') == ['\x1b[2J"\n', who(os.geteuid())]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_ISSOCK(path.stat().st_mode)
    assert not path.exists()


async def test_sudo_names_its_caller_beside_the_kernel(tmp_path, monkeypatch):
    monkeypatch.setenv("SUDO_USER", "alice")
    path = tmp_path / "s"
    async with served(path):
        assert (await ask(path, "echo"))[1] == f"{who(os.geteuid())}, called by alice"


def test_an_unknown_user_has_a_number():
    assert who(54321) == "unknown (uid 54321)"


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("config", ExitCode.CONFIGURATION, "no"),
        ("held", ExitCode.DEGRADED, "full fix"),
        ("else", ExitCode.UNEXPECTED, "the daemon failed; its log says how"),
    ],
)
async def test_an_error_comes_with_its_exit_code(tmp_path, text, code, message):
    async with served(tmp_path / "s"):
        with capture_logs(), pytest.raises(Refused, match=message) as caught:
            await ask(tmp_path / "s", "fails", text=text)
        assert caught.value.code is code


async def test_a_daemon_that_is_silent_is_waited_for_aloud_and_given_up(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(daemon_client, "PATIENCE", 0.3)
    monkeypatch.setattr(daemon_client, "QUIET", 0.1)
    with socket.socket(socket.AF_UNIX) as server:
        with short_name(tmp_path / "s") as name:
            server.bind(name)
        server.listen()
        with pytest.raises(Refused, match=r"runs and did not answer within 0\.3 s") as caught:
            await ask(tmp_path / "s", "echo")
        assert caught.value.code is ExitCode.UNREACHABLE
    assert capsys.readouterr().err == "waiting for the daemon, 0.3 s at most\n"


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"nonsense\n",
        b"\xff\xfe\n",
        b'{"do":"nothing"}\n',
        b'{"do":"echo","about":{"text":1}}\n',
        b'{"do":"echo","about":{"newer":"x"}}\n',
        b'{"about":{}}\n',
        b"[" * 5000 + b"\n",
    ],
)
async def test_what_is_no_request_is_told_so(tmp_path, line):
    async with served(tmp_path / "s"):
        answer = json.loads(await raw(tmp_path / "s", line))
        assert (answer["code"], "same version" in answer["error"]) == (ExitCode.CONFIGURATION, True)
        assert (await ask(tmp_path / "s", "echo", text="still here"))[0] == "still here"


async def test_clients_that_say_nothing_or_too_much_are_dropped(tmp_path, monkeypatch):
    monkeypatch.setattr(control, "PATIENCE", 0.05)
    monkeypatch.setattr(control, "LONGEST_REQUEST", 1000)
    async with served(tmp_path / "s"):
        assert await raw(tmp_path / "s", b'{"do":"ec') == b""
        assert await raw(tmp_path / "s", b"x" * 5000) == b""
        with socket.socket(socket.AF_UNIX) as gone:
            gone.connect(str(tmp_path / "s"))
        assert (await ask(tmp_path / "s", "echo", text="still here"))[0] == "still here"


async def test_a_long_answer_arrives_whole_and_leaves_no_failed_task(tmp_path):
    faults: list[dict] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    async with served(tmp_path / "s") as server:
        answer = json.loads(await raw(tmp_path / "s", b'{"do":"much","about":{"text":"eight or more"}}\n'))
        assert len(answer["result"]) == 1_000_000
        if server._served:
            await asyncio.wait(set(server._served))
    gc.collect()  # a task whose exception no one asked for says so when it goes
    assert faults == []


async def test_the_end_does_not_wait_for_a_client_that_reads_nothing_of_a_long_answer(tmp_path):
    faults: list[dict] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    async with served(tmp_path / "s"):
        with socket.socket(socket.AF_UNIX) as idle:
            idle.connect(str(tmp_path / "s"))
            idle.sendall(b'{"do":"much","about":{"text":"eight or more"}}\n')
            await asyncio.to_thread(idle.recv, 1)  # the answer has begun
    gc.collect()
    assert faults == []


async def test_the_end_does_not_wait_for_a_client(tmp_path, monkeypatch):
    monkeypatch.setattr(control, "PATIENCE", 3600.0)
    server = ControlSocket(tmp_path / "s", VERBS)
    await server.start()
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await server.close()
        await server.close()
        assert await reader.read() == b""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def test_what_was_left_over_is_replaced_but_nothing_else(tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
    async with served(path):
        assert (await ask(path, "echo", text="new"))[0] == "new"
    path.write_text("precious")
    with capture_logs() as logs:
        async with served(path):
            pass
    assert path.read_text() == "precious"
    assert [line["event"] for line in logs] == ["control_socket_missing"]
    assert logs[0]["fix"]


async def test_a_folder_that_cannot_be_written_does_not_stop_the_daemon(tmp_path):
    with capture_logs() as logs:
        async with served(tmp_path / "nowhere" / "s"):
            pass
    assert [line["event"] for line in logs] == ["control_socket_missing"]


@pytest.mark.parametrize("length", [1, 90, 180])
async def test_paths_longer_than_an_address_work(tmp_path, length):
    folder = tmp_path / ("d" * length) / ("e" * length)
    folder.mkdir(parents=True)
    path = socket_path(folder / "spool.db")
    assert path == folder / "spool.db.sock"
    async with served(path):
        assert (await ask(path, "echo", text="far"))[0] == "far"
        assert path.exists()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_long_name_of_a_spool_gives_a_short_name_of_the_socket(tmp_path):
    long = socket_path(tmp_path / ("x" * 200))
    assert long.parent == tmp_path
    assert len(long.name) < 30
    assert long != socket_path(tmp_path / ("x" * 201))


@needs_root
async def test_another_user_gets_nothing_even_through_an_open_door():
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        path = Path(folder) / "s"
        async with served(path):
            path.chmod(0o777)
            code = (
                "import os, socket\nos.setuid(65534)\ns = socket.socket(socket.AF_UNIX)\n"
                f's.connect({str(path)!r})\ns.sendall(b\'{{"do":"echo"}}\\n\')\nprint(s.makefile().read())'
            )
            done = await asyncio.to_thread(
                subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True, check=False
            )
            assert "only the user of the daemon" in done.stdout, done.stderr
