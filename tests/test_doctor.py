"""`doctor`: every failure of an API, a sink and the spool on real sockets and disks, each with one sentence of advice."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from forwarder.assembly import build_source, build_spool
from forwarder.config.settings import load
from forwarder.contracts import Finding, SystemClock
from forwarder.doctor import Doctor
from forwarder.exit_codes import ExitCode
from forwarder.spool.contract import PageCommit
from simulator.config import KeyConfig, SimulatorConfig
from simulator.http_types import Request, Response
from simulator.httpd import Server
from simulator.receivers.bulk import BulkReceiver
from simulator.receivers.hec import HecReceiver
from simulator.receivers.hec_rules import Token
from simulator.receivers.syslog import SyslogReceiver
from simulator.simulator import Simulator
from tests.cli.letters import on_terminal
from tests.commands import call_for_text
from tests.daemon.engine import source
from tests.daemon.process import Process
from tests.packages import SINK, install
from tests.sockets import listening
from tests.spool.disks import fill_up, mounted, read_only
from tests.spool.spools import page_of

SECRET = "planted-secret-of-a-destination"
ACME = {"type": "organization", "org_id": "org-1", "api_key": SECRET, "base_url": "http://127.0.0.1:9"}
JSON = {"content-type": "application/json"}
EMPTY = b'{"data":[],"meta":{"next":null},"links":{}}'


def configure(folder: Path, *, acme: dict[str, Any] | None = None, sink: dict[str, Any] | None = None) -> Path:
    tree = {
        "spool": {"path": str(folder / "state" / "spool.db"), "max_bytes": "2MiB", "id_max_bytes": "1MiB"},
        "sources": {"acme": acme or ACME},
        "sinks": {"siem": sink or {"type": "file", "path": str(folder / "out.ndjson")}},
        "budgets": {"fast": {"requests_per_minute": 600_000}},
        "admin": {"listen": "127.0.0.1:0"},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


async def look(path: Path, *names: str, within: float = 30.0) -> dict[tuple[str, str], Finding]:
    """Look at some parts; every bad finding has a fix, and no secret is anywhere."""

    async def no_spool() -> None:
        return None

    doctor = Doctor(load(path), SystemClock(), no_spool, within=within)
    results = await doctor.look([part for part in doctor.parts() if not names or part.name in names])
    found = {}
    for part, findings in results:
        for finding in findings:
            assert (part.name, finding.subject) not in found
            assert SECRET not in f"{finding}"
            assert finding.ok or finding.fix, finding
            found[part.name, finding.subject] = finding
    return found


def bad(found: dict[tuple[str, str], Finding]) -> Finding:
    (only,) = [finding for finding in found.values() if not finding.ok]
    return only


# ---------------------------------------------------------------------------------------------------------- the API


async def test_an_api_that_is_well(tmp_path: Path) -> None:
    async with Simulator(SimulatorConfig(events=5, history="1d")) as sim:
        found = await look(configure(tmp_path, acme=source(sim)), "acme")
        assert all(finding.ok and not finding.fix for finding in found.values())
        assert {subject for _, subject in found} >= {"key", "log", "clock", "budget"}
        assert "the oldest event is of 20" in found["acme", "log"].detail


@pytest.mark.parametrize(
    ("change", "subject", "words", "fix"),
    [
        ({"api_key": "somebody-elses-key"}, "key", "refuses the key", "API keys"),
        ({"org_id": "0ee7b325-10b9-45b8-a5a6-000000000000"}, "key", "", "Atlassian Administration"),
    ],
)
async def test_a_key_or_an_organization_that_the_api_refuses(
    tmp_path: Path, change: dict[str, str], subject: str, words: str, fix: str
) -> None:
    async with Simulator(SimulatorConfig(events=5)) as sim:
        finding = bad(await look(configure(tmp_path, acme=source(sim) | change), "acme"))
        assert finding.subject == subject
        assert words in finding.detail
        assert fix in finding.fix


async def test_a_key_without_the_scope(tmp_path: Path) -> None:
    async with Simulator(SimulatorConfig(events=5, key=KeyConfig(scopes=("read:users:admin",)))) as sim:
        finding = bad(await look(configure(tmp_path, acme=source(sim)), "acme"))
        assert finding.subject == "key"
        assert "scope" in finding.detail


async def test_an_empty_log_speaks_of_the_plan(tmp_path: Path) -> None:
    async with Simulator(SimulatorConfig(events=0)) as sim:
        finding = bad(await look(configure(tmp_path, acme=source(sim)), "acme"))
        assert (finding.subject, finding.detail) == ("log", "it holds no event of the last 180 days")
        assert "Guard or an Enterprise plan" in finding.fix


async def test_a_key_file_that_is_gone(tmp_path: Path) -> None:
    acme = {name: value for name, value in ACME.items() if name != "api_key"}
    async with serving(lambda _: Response(200, JSON, EMPTY)) as server:
        path = configure(tmp_path, acme=acme | {"api_key_file": str(tmp_path / "key"), "base_url": server.url})
        found = await look(path, "acme", "configuration")
        assert not found["configuration", "sources.acme.api_key_file"].ok
        assert not found["acme", "sources.acme.api_key_file"].ok
        assert "correct the path" in found["acme", "sources.acme.api_key_file"].fix
        assert server.requests == 0


@asynccontextmanager
async def serving(answer: Callable[[Request], Response], **more: Any) -> AsyncIterator[Any]:
    async def handle(request: Request) -> Response:
        server.requests += 1
        return answer(request)

    async with Server(handle, **more) as server:
        server.requests = 0
        yield server


ONE = b'{"data":[{"id":"1","attributes":{"processedAt":"2026-01-31T12:00:00Z\\u001b[2J"}}],"meta":{"next":null}}'


@pytest.mark.parametrize(
    ("ahead", "ok", "detail"),
    [
        (timedelta(), True, "ours agrees with the API's"),
        (timedelta(seconds=-30), True, "30 s ahead of the API's"),
        (timedelta(minutes=10), False, "s behind the API's"),
        (timedelta(hours=-2), False, "s ahead of the API's"),
    ],
)
async def test_a_clock_that_is_off(tmp_path: Path, ahead: timedelta, ok: bool, detail: str) -> None:
    def answer(_: Request) -> Response:
        moment = format_datetime(datetime.now(UTC) + ahead, usegmt=True)
        return Response(200, JSON | {"date": moment}, ONE)

    async with serving(answer) as server:
        found = await look(configure(tmp_path, acme=ACME | {"base_url": server.url}), "acme")
        clock = found["acme", "clock"]
        assert clock.ok is ok
        assert detail in clock.detail or detail == "30 s ahead of the API's"
        assert bool(clock.fix) is bool(ahead)
        assert "\x1b" not in found["acme", "log"].detail


@pytest.mark.parametrize(
    ("ahead", "detail"), [(900, "s behind the API's"), (-7200, "s ahead of the API's"), (1, "ours agrees")]
)
async def test_a_clock_that_is_off_is_tried_against_the_simulator(tmp_path: Path, ahead: float, detail: str) -> None:
    async with Simulator(SimulatorConfig(events=5, history="1d")) as sim:
        sim.faults.add("wrong_clock", ahead=ahead, feed="all", times=100)
        found = await look(configure(tmp_path, acme=source(sim)), "acme")
        clock = found["acme", "clock"]
        assert detail in clock.detail
        assert clock.ok is (abs(ahead) < 60)
        assert bool(clock.fix) is not clock.ok
        assert sim.faults.fired("wrong_clock") > 0


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 99 Foo 2026 99:99:99 GMT", "\xff"])
async def test_a_time_that_cannot_be_read_is_no_failure(tmp_path: Path, date: str) -> None:
    async with serving(lambda _: Response(200, JSON | {"date": date}, ONE)) as server:
        found = await look(configure(tmp_path, acme=ACME | {"base_url": server.url}), "acme")
        assert (found["acme", "clock"].ok, found["acme", "clock"].fix) == (True, "")


@pytest.mark.parametrize(
    ("answer", "subject", "words"),
    [
        (Response(200, {"content-type": "text/html"}, b"<html>log in"), "answer", "login page"),
        (Response(200, JSON, b'{"data":[{"id"'), "answer", ""),
        (Response(503, JSON, b"{}"), "answer", "503"),
        (Response(301, {"location": "https://elsewhere.example"}, b""), "answer", "redirect"),
        (
            Response(403, JSON, b'{"errors":[{"code":"ADMIN-403-3","title":"Forbidden"}]}'),
            "key",
            "scope read:events:admin",
        ),
        (Response(404, JSON, b"{}"), "key", "knows no organization"),
    ],
)
async def test_what_else_an_api_may_answer(tmp_path: Path, answer: Response, subject: str, words: str) -> None:
    async with serving(lambda _: answer) as server:
        finding = bad(await look(configure(tmp_path, acme=ACME | {"base_url": server.url}), "acme"))
        assert finding.subject == subject
        assert words in finding.detail


async def test_a_budget_that_is_used_up(tmp_path: Path) -> None:
    limits = {"x-ratelimit-limit": "50", "x-ratelimit-remaining": "49"}
    answers = [Response(200, JSON | limits, ONE), Response(429, JSON, b"{}")]
    answers.append(Response(200, JSON | limits | {"x-ratelimit-remaining": "0"}, ONE))
    async with serving(lambda _: answers.pop(0)) as server:
        path = configure(tmp_path, acme=ACME | {"base_url": server.url})
        assert (await look(path, "acme"))["acme", "budget"].detail == "49 of 50 requests are left in this period"
        refused = await look(path, "acme")
        assert [finding.ok for finding in refused.values() if finding.subject in {"answer", "budget"}] == [False, False]
        assert "budgets" in bad(await look(path, "acme")).fix


async def test_an_empty_page_with_a_next_one_is_followed(tmp_path: Path) -> None:
    pages = [b'{"data":[],"meta":{"next":"c1"}}', ONE]
    async with serving(lambda _: Response(200, JSON, pages.pop(0))) as server:
        found = await look(configure(tmp_path, acme=ACME | {"base_url": server.url}), "acme")
        assert found["acme", "log"].ok


# -------------------------------------------------------------------------------------------------------- each sink


async def test_elasticsearch_step_by_step(tmp_path: Path) -> None:
    async with BulkReceiver(credentials=[f"ApiKey {SECRET}"], strict=True) as receiver:
        sink = {"type": "elasticsearch", "url": receiver.url, "api_key": SECRET}
        path = configure(tmp_path, sink=sink)
        receiver.forbidden = {f"ApiKey {SECRET}"}
        found = await look(path, "siem")
        wrong = [finding for finding in found.values() if not finding.ok]
        assert ["template" in wrong[0].subject, "setup" in wrong[0].fix] == [True, True]
        assert ["right to write" in wrong[1].subject, "create_doc" in wrong[1].fix] == [True, True]
        receiver.credentials, receiver.forbidden = {"ApiKey other"}, set()
        assert "Check the credential" in bad(await look(path, "siem")).fix
        assert receiver.bulk_requests == 0
        assert receiver.streams == {}
        await receiver.server.close()
        finding = bad(await look(path, "siem"))
        assert (finding.subject.split()[0], finding.detail) == ("tcp", "connection refused")


DAY = timedelta(days=1, minutes=5)


@pytest.mark.parametrize("kind", list(trustme.KeyType), ids=str)
@pytest.mark.parametrize(
    ("since", "days", "ok", "words", "fix"),
    [
        (-400, -1, False, "ended on", "Renew it"),
        (-400, 10, True, "10 days", "senders refuse it"),
        (-400, 90, True, "90 days", ""),
        (1, 90, False, "not good before", "clock"),
    ],
)
async def test_the_dates_of_the_receivers_certificate(tmp_path, kind, since, days, ok, words, fix) -> None:
    cert, key, now = tmp_path / "cert.pem", tmp_path / "key.pem", datetime.now(UTC)
    leaf = trustme.CA().issue_cert("localhost", not_before=now + since * DAY, not_after=now + days * DAY, key_type=kind)
    leaf.private_key_pem.write_to_path(key)
    for number, pem in enumerate(leaf.cert_chain_pems):
        pem.write_to_path(cert, append=number > 0)
    files = {"listen": "127.0.0.1:0", "cert_file": str(cert), "key_file": str(key)}
    path = configure(tmp_path, acme={**ACME, "webhook": {"secret": "0123456789abcdef-made-up"}})
    path.write_text(path.read_text() + yaml.safe_dump({"receiver": files}))
    found = await look(path, "receiver")
    certificate = found["receiver", "certificate"]
    assert certificate.ok is ok
    assert words in certificate.detail
    assert fix in certificate.fix
    assert bool(certificate.fix) is bool(fix)


async def test_elasticsearch_with_a_certificate_of_an_unknown_authority(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    async with BulkReceiver(ssl=context) as receiver:
        url = f"https://localhost:{receiver.server.port}"
        finding = bad(await look(configure(tmp_path, sink={"type": "elasticsearch", "url": url}), "siem"))
        assert "tls.ca_file" in finding.fix


async def test_splunk(tmp_path: Path) -> None:
    async with HecReceiver({SECRET: Token()}) as receiver:
        sink = {"type": "splunk_hec", "url": receiver.url, "token": SECRET}
        found = await look(configure(tmp_path, sink=sink), "siem")
        assert all(finding.ok for finding in found.values()), found
        finding = bad(
            await look(configure(tmp_path, sink=sink | {"token": "00000000-0000-0000-0000-000000000000"}), "siem")
        )
        assert finding.fix


async def test_http(tmp_path: Path) -> None:
    status = 204
    async with serving(lambda _: Response(status, {}, b"")) as server:
        path = configure(tmp_path, sink={"type": "http", "url": f"{server.url}/in", "token": SECRET})
        assert all(finding.ok for finding in (await look(path, "siem")).values())
        status = 401
        assert "refuses the credential" in bad(await look(path, "siem")).detail


@pytest.mark.parametrize("transport", ["tcp", "relp"])
async def test_syslog(tmp_path: Path, transport: Any) -> None:
    async with SyslogReceiver(transport) as receiver:
        path = configure(tmp_path, sink={"type": "syslog", "address": f"{transport}://127.0.0.1:{receiver.port}"})
        found = await look(path, "siem")
        assert all(finding.ok for finding in found.values()), found
        assert receiver.messages == []
    finding = bad(await look(path, "siem"))
    assert finding.subject.startswith("tcp")


async def test_syslog_over_udp_can_only_be_looked_up(tmp_path: Path) -> None:
    found = await look(configure(tmp_path, sink={"type": "syslog", "address": "udp://localhost:514"}), "siem")
    assert [finding.ok for finding in found.values()] == [True]
    assert "nothing answers" in found["siem", "name localhost"].detail


async def test_a_file_on_a_disk_that_is_full_or_cannot_be_written(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=20m") as disk:
        path = configure(tmp_path, sink={"type": "file", "path": str(disk / "out.ndjson")})
        assert (await look(path, "siem"))["siem", str(disk / "out.ndjson")].ok
        fill_up(disk)
        assert "the disk is full" in bad(await look(path, "siem")).detail
        (disk / "plug").unlink()
        read_only(disk)
        finding = bad(await look(path, "siem"))
        assert "cannot be written" in finding.detail
        assert "Let the forwarder's user write there" in finding.fix


# ------------------------------------------------------------------------------------------- side by side, strangers


async def test_a_part_that_hangs_is_given_up_and_the_others_are_not(tmp_path: Path) -> None:

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with listening(never) as port:
        url = f"http://127.0.0.1:{port}"
        found = await look(configure(tmp_path, acme=ACME | {"base_url": url}), "acme", "siem", within=5)
        assert bad(found).detail == "not finished within 5 s"
        assert found["acme", f"tcp {url.removeprefix('http://')}"].ok, "what was found in time is told"
        assert found["siem", str(tmp_path / "out.ndjson")].ok


STRANGE = (
    SINK
    + """
class BuildsNot(TrumpetSink):
    def __init__(self, config, context): raise RuntimeError("planted-secret-of-a-destination")

class ProbesNot(TrumpetSink):
    async def probe(self): raise ValueError("planted-secret-of-a-destination")
"""
)


@pytest.mark.parametrize(
    ("kind", "detail"), [("builds", "cannot be built: RuntimeError"), ("probes", "it failed: ValueError")]
)
def test_a_strangers_fault_is_a_finding_without_its_words(tmp_path: Path, kind: str, detail: str) -> None:
    site = tmp_path / "site"
    points = {"sinks": {"builds": "strange:BuildsNot", "probes": "strange:ProbesNot"}}
    install(site, "strange", modules={"strange": STRANGE}, points=points)
    configure(tmp_path, sink={"type": kind, "tune": "x"})
    done = shell(tmp_path, "siem", PYTHONPATH=str(site))
    assert done.returncode == ExitCode.DEGRADED, done.stderr
    assert detail in done.stdout
    assert SECRET not in done.stdout + done.stderr


# ----------------------------------------------------------------------------------------------------- the command


def shell(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONWARNINGS": "error", **env}
    return call_for_text("doctor", *arguments, cwd=folder, env=env, timeout=100)


def test_the_command_shows_a_table_and_what_to_do(tmp_path: Path) -> None:
    configure(tmp_path)
    done = shell(tmp_path)
    assert (done.returncode, done.stderr) == (ExitCode.DEGRADED, "")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["part", "check", "detail"]
    rows = [line for line in lines if line.startswith("acme")]
    assert [row.split()[3] for row in rows] == ["FAILED"]
    assert "  acme, tcp 127.0.0.1:9: See that the server runs and listens on this port." in lines
    assert lines[-1] == f"1 of {lines.index('') - 1} checks failed."
    assert "\x1b" not in done.stdout
    assert not (tmp_path / "state").exists()
    assert not (tmp_path / "out.ndjson").exists()


def test_the_command_in_json_and_for_one_part(tmp_path: Path) -> None:
    configure(tmp_path)
    done = shell(tmp_path, "siem", "spool", "--json")
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert found["ok"] is True
    assert {finding["part"] for finding in found["findings"]} == {"siem", "spool"}
    assert set(found["findings"][0]) == {"part", "check", "ok", "level", "detail", "fix"}
    assert json.loads(shell(tmp_path, "acme", "--json").stdout)["ok"] is False


def test_the_command_on_a_terminal(tmp_path: Path) -> None:
    configure(tmp_path)
    code, shown = on_terminal(tmp_path, "doctor")
    assert code == ExitCode.DEGRADED
    assert "\x1b[1;31mFAILED" in shown
    assert shown.index("\x1b[?25l") < shown.index("\x1b[?25h") < shown.index("FAILED")  # progress came and went


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["siemm"], "did you mean siem?"),
        (["zzzz"], "known: configuration, spool, admin, coverage, acme, siem"),
        (["--timeout", "0"], "--timeout"),
        (["--timeout", "nan"], "--timeout"),  # refused by the range or by us, as the version of click has it
        (["--timeout", "inf"], "not a number that ends"),
    ],
)
def test_what_cannot_be_meant_exits_2(tmp_path: Path, arguments: list[str], words: str) -> None:
    configure(tmp_path)
    done = shell(tmp_path, *arguments)
    assert done.returncode == ExitCode.CONFIGURATION
    assert words in done.stderr


async def test_the_spool_of_a_running_and_of_a_stopped_daemon(tmp_path: Path) -> None:

    async with Simulator(SimulatorConfig(events=30)) as sim:
        path = configure(tmp_path, acme=source(sim, since="30d"))
        async with Process(path) as process:
            await process.start()
            await process.until_logged("started")
            await process.until((tmp_path / "out.ndjson").exists)
            running = await asyncio.to_thread(shell, tmp_path)
            assert "lanes" in running.stdout
            assert running.returncode == 0, running.stdout
            await process.stop()
        stopped = await asyncio.to_thread(shell, tmp_path, "spool", "--json")
        state = next(found for found in json.loads(stopped.stdout)["findings"] if found["check"] == "state")
        assert (state["ok"], "events so far; lanes: 1" in state["detail"]) == (True, True)
        (tmp_path / "state" / "spool.db").write_bytes(b"no database" * 100)
        broken = await asyncio.to_thread(shell, tmp_path, "spool", "--json")
        assert broken.returncode == ExitCode.DEGRADED
        state = next(found for found in json.loads(broken.stdout)["findings"] if found["check"] == "state")
        assert "is not a spool" in state["detail"]
        assert state["fix"]


@pytest.mark.parametrize(
    ("pages", "words", "level"),
    [
        ((), "", ""),
        ((False,), "none so far", "ok"),
        ((False,) * 10, "needs Guard Premium or Cloud Enterprise, or is switched off in in-app data settings", "look"),
        ((False,) * 10 + (True,), "it is arriving", "ok"),
    ],
)
async def test_whether_user_activity_arrives_is_known_by_what_came(
    tmp_path: Path, pages: tuple[bool, ...], words: str, level: str
) -> None:
    async with Simulator(SimulatorConfig(events=1)) as sim:
        settings = load(configure(tmp_path, acme=source(sim)))
        settings.spool.path.parent.mkdir()
        spool = build_spool(settings.spool, SystemClock())
        await spool.open()
        try:
            state = await spool.open_source(build_source("acme", settings.readers["acme"]).origin)
            for number, activity in enumerate(pages):
                page = page_of(f"e{number}", user_activity=activity)
                await spool.commit(PageCommit(state.number, state.epoch, page=page))
            [part] = [part for part in Doctor(settings, SystemClock(), spool.status).parts() if part.name == "acme"]
            found = {finding.subject: finding for finding in await part.look()}.get("user activity")
        finally:
            await spool.close()
    assert (found is None) == (not words)
    if found is not None:
        assert found.ok
        assert words in found.detail
        assert bool(found.fix) == (level == "look")
