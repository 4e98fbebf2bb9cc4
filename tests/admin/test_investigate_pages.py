"""The pages under /investigate, asked over HTTP of a daemon that runs as a process of its own."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import csv
import html
import http.client
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import msgspec
import psutil
import pytest
import yaml

from forwarder.admin.kept_places import Place, places_of
from forwarder.admin.question_form import KINDS, words_of
from forwarder.admin.questions import Patience, Questions, TooMany
from forwarder.admin.server import AdminServer
from forwarder.cli import answer_page
from forwarder.cli.commands import investigate as command
from forwarder.config.settings import load
from forwarder.contracts import ConfigError, Secret
from forwarder.exit_codes import ExitCode
from forwarder.investigate import for_page
from forwarder.investigate.questions.shapes import SHAPES
from forwarder.testing.waiting import until
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.daemon.engine import file_sink, source
from tests.daemon.process import Process, write_config
from tests.investigate.asked import simulated, write
from tests.investigate.lines import event
from tests.observe.reports import full_report

TOKEN = "correct-horse-battery-staple-4711"
ZENO = "zeno.valebrook7@example.com"
EVIL = '<script>alert(1)</script>"><img src=x onerror=alert(2)>'
FEW = {"in": "small"}
TWIN = "Twin </a><b>Person"
WITHIN = 120.0
UNREACHABLE = {
    "type": "organization",
    "org_id": "a1b2c3d4-0000-1111-2222-333344445555",
    "api_key": "ATCTT3x-not-a-key-of-anybody-000000000000000000000000",
    "base_url": "http://127.0.0.1:9",
}


class Browser:
    """Asks as a browser does that knows the token: `Authorization: Basic`, and who made it ask."""

    def __init__(self, port: int, token: str | None = TOKEN) -> None:
        self.port = port
        self.headers = {"Host": f"127.0.0.1:{port}", "Sec-Fetch-Site": "none"}
        if token is not None:
            self.headers["Authorization"] = "Basic " + base64.b64encode(f"any:{token}".encode()).decode()

    def get(self, path: str, method: str = "GET", /, **headers: str | None) -> SimpleNamespace:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            sent = {name: value for name, value in (self.headers | named).items() if value is not None}
            connection.request(method, path, headers=sent)
            answer = connection.getresponse()
            body = answer.read()
        return SimpleNamespace(
            status=answer.status, headers={k.lower(): v for k, v in answer.getheaders()}, text=body.decode()
        )

    def ask(self, kind: str, who: str, **more: str) -> str:
        """Ask; return the address of the question."""
        answer = self.get("/investigate?" + urlencode({"kind": kind, "who": who, **more}))
        assert answer.status == 303, answer.text
        return answer.headers["location"]

    def answer(self, kind: str, who: str, **more: str) -> SimpleNamespace:
        """Ask, and look until there is an answer or a reason why not."""
        return self.read(self.ask(kind, who, **more))

    def read(self, place: str) -> SimpleNamespace:
        ends = time.monotonic() + WITHIN
        while True:
            found = self.get(place)
            found.place = place
            if 'http-equiv="refresh"' not in found.text:
                return found
            assert time.monotonic() < ends, found.text
            time.sleep(0.1)


def asking(pid: int) -> list[psutil.Process]:
    """Return the processes that answer questions for a daemon."""
    with contextlib.suppress(psutil.Error):
        return [one for one in psutil.Process(pid).children() if "forwarder.cli.answer_page" in _line_of(one)]
    return []


def _line_of(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


def until_true(holds: Any) -> Any:
    ends = time.monotonic() + WITHIN
    while not (found := holds()):
        assert time.monotonic() < ends
        time.sleep(0.05)
    return found


def config_of(folder: Path, sinks: dict[str, Any], **admin: Any) -> Path:
    tree = {
        "spool": {"path": str(folder / "state" / "spool.db")},
        "sources": {"acme": UNREACHABLE},
        "sinks": sinks,
        "admin": {"listen": "127.0.0.1:0", **admin},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


@contextlib.contextmanager
def running(config: Path, **environment: str):
    """Run a daemon; give its process and its port."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("FORWARDER")}
    command = [sys.executable, "-X", "importtime", "-m", "forwarder", "run", "-c", str(config)]
    with (
        config.with_name("daemon.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=given | environment) as process,
    ):
        try:

            def port() -> int:
                assert process.poll() is None, config.with_name("daemon.log").read_text()[-3000:]
                found = psutil.Process(process.pid).net_connections("tcp")
                return next((one.laddr.port for one in found if one.status == psutil.CONN_LISTEN), 0)

            yield SimpleNamespace(pid=process.pid, port=until_true(port), process=process, log=Path(log.name))
        finally:
            process.terminate()
            process.wait(60)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    """Give a daemon with the simulator's events in two files, of which one was set aside, and a hostile event."""
    folder = tmp_path_factory.mktemp("pages")
    write(simulated(events=3_000), folder / "kept-20260101T000000-1.ndjson")
    line = event("user_login", ident="evil-1", user="evil", name=EVIL, email="evil@example.com")
    sinks = {
        name: {"type": "file", "path": str(folder / f"{name}.ndjson"), "format": "raw"} for name in ("kept", "small")
    }
    for name in sinks:
        (folder / f"{name}.ndjson").write_bytes(line + b"\n")
    twins = [event("user_login", ident=f"twin-{one}", user=f"twin&{one}", name=TWIN) for one in "ab"]
    (folder / "small.ndjson").write_bytes(b"\n".join([line, *twins]) + b"\n")
    with running(config_of(folder, sinks), FORWARDER__ADMIN__TOKEN=TOKEN, TMPDIR=str(folder)) as found:
        found.folder = folder
        yield found


@pytest.fixture
def browser(daemon):
    return Browser(daemon.port)


# -------------------------------------------------------------------------------------------------- what is answered


def test_a_question_is_answered_by_the_same_page_and_files(browser, daemon):
    found = browser.answer("user", ZENO, zone="Europe/Berlin")
    assert found.status == 200
    assert "Zeno Valebrook" in found.text
    assert "What stands out" in found.text
    assert "+01:00" in found.text
    as_json = browser.get(found.place + "/json")
    assert json.loads(as_json.text)["question"]["who"] == ZENO
    assert as_json.headers["content-disposition"] == 'attachment; filename="investigate-user.json"'
    rows = list(csv.reader(io.StringIO(browser.get(found.place + "/csv").text)))
    assert "part" in rows[0]
    page = browser.get(found.place + "/html")
    assert "<nav" not in page.text
    assert page.text in found.text.replace(re.search("<nav.*?</nav>", found.text)[0], "")
    assert not [one for one in daemon.folder.iterdir() if one.name.startswith("audit-forwarder-")]


def test_filters_reach_the_question(browser):
    found = browser.answer("user", ZENO, **{"from": "2026-02-10", "to": "2026-02-11", "zone": "UTC", "only": "views"})
    asked = json.loads(browser.get(found.place + "/json").text)["question"]
    assert asked["since"].startswith("2026-02-10T00:00")
    assert asked["until"].startswith("2026-02-11T00:00")
    assert asked["zone"] == "UTC"
    back = re.search('href="([^"]+)">Change it', found.text)[1]
    filled = browser.get(html.unescape(back))
    assert filled.status == 200
    for text in (ZENO, "2026-02-10", "2026-02-11"):
        assert f'value="{text}"' in filled.text


def test_a_hunt_runs_every_rule_or_one(browser):
    every = json.loads(browser.get(browser.answer("hunt", "").place + "/json").text)
    assert len(every["matches"]) > 1
    place = browser.answer("hunt", "many_views", **{"from": "2026-02-01"}).place
    [one] = json.loads(browser.get(place + "/json").text)["matches"]
    assert one["name"] == "many_views"
    assert one["matches"] == 1
    unknown = browser.answer("hunt", "--config=/etc/passwd")
    assert "there is no such rule" in unknown.text
    refused = browser.get("/investigate?" + urlencode({"kind": "hunt", "gap": "5m"}))
    assert refused.status == 400
    assert "leave out: A session ends after" in refused.text


def test_the_pause_that_ends_a_session_can_be_chosen(browser):
    found = browser.answer("user", ZENO, gap="5m")
    assert json.loads(browser.get(found.place + "/json").text)["question"]["gap_minutes"] == 5


def test_those_whom_a_name_may_mean_are_links_that_ask_about_one(browser):
    several = browser.answer("user", TWIN, zone="Europe/Berlin", **FEW)
    assert "Which one is meant?" in several.text
    assert "<b>Person" not in several.text
    links = [html.unescape(link) for link in re.findall('<li><a href="([^"]+)"', several.text)]
    assert len(links) == 2
    started = browser.get(links[0], Sec_Fetch_Site="same-origin")
    assert started.status == 303
    one = json.loads(browser.get(browser.read(started.headers["location"]).place + "/json").text)
    assert one["subject"]["id"] in {"twin&a", "twin&b"}
    assert one["question"]["zone"] == "Europe/Berlin"


def test_a_directory_is_that_of_the_configuration(tmp_path):
    place = Place("archive", ("--archive=/a",), people=tmp_path / "people.csv")
    words = words_of({"kind": "user", "who": "x"}, {"kept": place})
    assert words == ("investigate", "user", "--archive=/a", f"--directory={tmp_path / 'people.csv'}", "--", "x")
    assert words_of({"kind": "ip", "who": "x"}, {"kept": place}) == ("investigate", "ip", "--archive=/a", "--", "x")
    config = config_of(tmp_path, {"out": {"type": "file", "path": str(tmp_path / "a.ndjson")}}, people="people.csv")
    assert places_of(load(config, {}))["out"].people == Path("people.csv").absolute()


def test_the_form_knows_every_question():
    assert set(KINDS) == {*SHAPES, "hunt"}


def test_what_cannot_be_answered_says_why(browser):
    found = browser.answer("user", "bob", zone="Nowhere/Land")
    assert "no such time zone" in found.text
    assert 'value="Nowhere/Land"' in found.text
    assert browser.get(found.place + "/json").status == 404


NO_OPTION = "--config=/etc/passwd"


@pytest.mark.parametrize("who", [NO_OPTION, "a\nb", EVIL])
def test_whatever_is_typed_is_looked_for_and_nothing_else(browser, who):
    found = browser.answer("user", who, **FEW)
    assert found.status == 200
    asked = json.loads(browser.get(found.place + "/json").text)
    assert asked["question"]["who"] == who.strip()
    assert "<script" not in found.text
    assert "<img" not in found.text
    assert "root:" not in found.text


@pytest.mark.parametrize("name", ["zone", "case"])
def test_an_option_in_a_filter_is_no_option(browser, name):
    found = browser.answer("user", "bob", **FEW, **{name: NO_OPTION})
    assert "root:" not in found.text
    assert name == "case" or "<form" in found.text
    assert NO_OPTION in found.text


@pytest.fixture
def parsed(tmp_path, monkeypatch):
    """Give what tells how the process of a page would ask: its words are read by the command, in this process."""
    (tmp_path / "small.ndjson").touch()
    places = {"small": Place("files", (f"--events={tmp_path / 'small.ndjson'}",))}
    heard: list[tuple[Any, ...]] = []

    def ask(*asked: Any, **more: Any) -> ExitCode:
        heard.append((*asked, more))
        return ExitCode.OK

    monkeypatch.setattr(command, "investigate", ask)
    monkeypatch.setattr(sys, "argv", ["answer_page", str(tmp_path)])

    def parse(**asked: str) -> SimpleNamespace:
        words = msgspec.json.decode(msgspec.json.encode(words_of(asked, places)))
        monkeypatch.setattr(for_page, "words", lambda: words)
        with pytest.raises(SystemExit) as ended:
            answer_page.main()
        assert ended.value.code == 0
        [(kind, who, where, when, face, report, more)] = heard
        assert (kind, where.archive, where.events) == ("user", None, [tmp_path / "small.ndjson"])
        assert where.invocation.config is None
        assert face == command.Face(for_page=tmp_path)
        return SimpleNamespace(who=who, when=when, report=report, more=more)

    return parse


@pytest.mark.parametrize(
    "who",
    [
        NO_OPTION, "-c", "--for-page=/etc", "--events=/etc/passwd", "--html=/tmp/x", "--help", "--", "-- --json",
        "'; drop table events; --", "$(touch x)", "../../../../etc/passwd", "a\nb", "\u202egnp.exe", "{{7*7}}", "%s%n",
        "x" * 1000, EVIL,
    ],
)  # fmt: skip
def test_what_is_typed_is_the_one_who_is_asked_about(parsed, who):
    asked = parsed(kind="user", who=who)
    assert asked.who == who
    assert asked.when == command.When(gap="30m")
    assert asked.report == command.Report()


@pytest.mark.parametrize("name", ["from", "to", "zone", "around", "case", "reason"])
def test_what_is_typed_into_a_filter_is_its_value(parsed, name):
    asked = parsed(kind="user", who="bob", **{name: NO_OPTION})
    assert asked.who == "bob"
    assert [one for one in (*asked.when, *asked.report) if one == NO_OPTION] == [NO_OPTION]


def test_events_that_are_hostile_are_text(browser):
    found = browser.answer("user", "evil@example.com", **FEW)
    assert "&lt;script&gt;" in found.text
    assert "<script" not in found.text
    assert "<img" not in found.text


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"kind": "index", "who": "x"}, 400),
        ({"kind": "user", "who": "   "}, 400),
        ({"kind": "--help", "who": "x"}, 400),
        ({"who": "x"}, 400),
        ({"kind": "user", "who": "a\0b"}, 400),
        ({"kind": "user", "who": "x" * 1001}, 400),
        ({"kind": "user", "who": "x", "in": "/etc/passwd"}, 400),
        ({"kind": "user", "who": "x", "in": "../kept"}, 400),
        ({"kind": "user"}, 200),
    ],
)
def test_what_is_no_question_starts_nothing(browser, daemon, query, status):
    answer = browser.get("/investigate?" + urlencode(query))
    assert answer.status == status
    assert "<form" in answer.text
    assert asking(daemon.pid) == []


@pytest.mark.parametrize(
    "path", ["/../../etc/passwd", "/%2e%2e%2fetc%2fpasswd", "/x", "/x/json", "/x/cancel", "/x/..%2fjson", "/x/passwd"]
)
def test_an_address_is_no_path(browser, path):
    answer = browser.get("/investigate" + path)
    assert answer.status in {200, 404}
    assert "root:" not in answer.text
    assert path.endswith("cancel") or answer.status == 404


# ------------------------------------------------------------------------------------------------------ who may ask


@pytest.mark.parametrize(
    "path", ["/investigate", "/investigate?kind=user&who=x", "/investigate/x", "/investigate/x/json"]
)
@pytest.mark.parametrize("given", [None, "", "wrong", TOKEN + "x", TOKEN[:-1], "é"])
def test_without_the_token_there_is_nothing(daemon, path, given):
    answer = Browser(daemon.port, given).get(path)
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert asking(daemon.pid) == []


@pytest.mark.parametrize(
    "header", ["Basic", "Basic ???", "Basic " + base64.b64encode(TOKEN.encode()).decode(), f"Digest {TOKEN}", "Bearer"]
)
def test_what_is_no_token_is_refused(browser, header):
    assert browser.get("/investigate", Authorization=header).status == 401
    assert browser.get("/status", Authorization=header).status == 401


def test_the_header_of_the_status_opens_the_pages_and_the_password_the_status(browser):
    assert browser.get("/investigate", Authorization=f"Bearer {TOKEN}").status == 200
    assert browser.get("/status").status == 200


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example.com"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"}]
)
def test_another_origin_is_refused(browser, daemon, headers):
    assert browser.get("/investigate?kind=user&who=x", **headers).status == 403
    assert browser.get("/investigate", **headers).status == 403
    assert asking(daemon.pid) == []


@pytest.mark.parametrize(
    "headers",
    [{"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"}, {"Sec_Purpose": "prefetch;prerender"}],
)
def test_a_link_elsewhere_fills_the_form_and_starts_nothing(browser, daemon, headers):
    answer = browser.get("/investigate?kind=user&who=x", **headers)
    assert answer.status == 200
    assert 'value="x"' in answer.text
    assert "press Ask" in answer.text
    assert asking(daemon.pid) == []


def test_a_head_starts_nothing(browser, daemon):
    assert browser.get("/investigate?kind=user&who=x", "HEAD").status == 200
    assert browser.get("/investigate?kind=user&who=x", "POST").status == 405
    assert asking(daemon.pid) == []


def test_every_answer_forbids_scripts_frames_and_copies(browser):
    found = browser.answer("user", "bob", **FEW)
    for answer in (
        browser.get("/investigate"),
        found,
        browser.get(found.place + "/html"),
        browser.get("/investigate/x"),
    ):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "script-src" not in policy
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "<script" not in answer.text
        assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", answer.text)


# ------------------------------------------------------------------------------------------------------ the processes


@pytest.fixture
def slow(tmp_path):
    """Give a daemon whose questions do not end: what it would read is a pipe into which nobody writes."""
    os.mkfifo(tmp_path / "kept-20260101T000000-1.ndjson")
    sinks = {"kept": {"type": "file", "path": str(tmp_path / "kept.ndjson"), "format": "raw"}}
    with running(config_of(tmp_path, sinks, token=TOKEN), TMPDIR=str(tmp_path), MY_OWN="kept") as found:
        found.folder = tmp_path
        (tmp_path / "kept.ndjson").touch()
        yield found


def test_two_at_once_and_cancel_ends_the_process(slow):
    browser = Browser(slow.port)
    first, second = browser.ask("user", "one"), browser.ask("user", "two")
    both = until_true(lambda: len(found := asking(slow.pid)) == 2 and found)
    third = browser.get("/investigate?kind=user&who=three")
    assert third.status == 429
    assert 'value="three"' in third.text
    assert first in third.text
    waiting = browser.get(first)
    assert 'http-equiv="refresh"' in waiting.text
    assert 'http-equiv="refresh"' in browser.get(second).text
    cancelled = browser.get(f"{first}/cancel")
    assert "It was cancelled" in cancelled.text
    assert 'value="one"' in cancelled.text
    gone = [one for one in both if not one.is_running()]
    assert len(asking(slow.pid)) == 1
    assert len(gone) == 1
    assert browser.get(first).status == 404
    browser.get(f"{second}/cancel")
    assert asking(slow.pid) == []
    assert not [one for one in slow.folder.iterdir() if one.name.startswith("audit-forwarder-")]


def test_a_process_gets_no_token_and_less_of_everything(slow):
    browser = Browser(slow.port)
    place = browser.ask("user", "--config=/etc/passwd")
    (one,) = until_true(lambda: asking(slow.pid))
    line = one.cmdline()
    assert "passwd" not in " ".join(line)
    until_true(lambda: browser.get(place) and one.nice() == min(19, psutil.Process(slow.pid).nice() + 10))
    until_true(lambda: browser.get(place) and one.rlimit(psutil.RLIMIT_DATA)[0] <= 2 * 2**30)
    assert TOKEN not in " ".join(line)
    assert TOKEN not in str(one.environ())
    assert one.environ()["MY_OWN"] == "kept"
    assert str(slow.folder / "config.yaml") not in " ".join(line)


def test_processes_end_with_the_daemon(slow):
    Browser(slow.port).ask("user", "one")
    (one,) = until_true(lambda: asking(slow.pid))
    slow.process.terminate()
    assert slow.process.wait(60) == 0
    assert not one.is_running()
    assert not [each for each in slow.folder.iterdir() if each.name.startswith("audit-forwarder-")]


def test_processes_end_with_the_daemon_even_when_it_is_killed(slow):
    browser = Browser(slow.port)
    place = browser.ask("user", "one")
    (one,) = until_true(lambda: asking(slow.pid))
    until_true(lambda: browser.get(place) and one.nice() == min(19, psutil.Process(slow.pid).nice() + 10))
    os.kill(slow.pid, signal.SIGKILL)
    until_true(lambda: not one.is_running())
    until_true(lambda: not [each for each in slow.folder.iterdir() if each.name.startswith("audit-forwarder-")])


def test_a_process_that_is_killed_is_said(slow):
    browser = Browser(slow.port)
    place = browser.ask("user", "one")
    (one,) = until_true(lambda: asking(slow.pid))
    one.kill()
    assert "ended by signal 9" in browser.read(place).text


async def test_who_goes_away_ends_the_question(tmp_path):
    os.mkfifo(tmp_path / "pipe.ndjson")
    for patience, why in ((Patience(unwatched=0.5), "no longer waited"), (Patience(longest=0.5), "It took longer")):
        questions = Questions(patience)
        words = ("investigate", "user", f"--events={tmp_path / 'pipe.ndjson'}", "--", "x")
        question = questions.start({"kind": "user", "who": "x"}, words, dict(os.environ))
        await until(lambda question=question: question.pid)
        process = psutil.Process(question.pid)
        await until(lambda question=question: question.done)
        assert why in question.problem
        assert not process.is_running()
        await questions.close()
        assert questions.all() == []


async def test_answers_are_forgotten(tmp_path):
    file = tmp_path / "events.ndjson"
    file.write_bytes(event("user_login", ident="e1", user="a1") + b"\n")
    questions = Questions(Patience(kept=0.0))
    question = questions.start(
        {"kind": "user"}, ("investigate", "user", f"--events={file}", "--", "a1"), dict(os.environ)
    )
    await until(lambda: question.done and questions.find(question.ident) is None)
    assert question.problem == ""
    assert question.size("html") is None
    assert [block async for block in question.read("html")] == []


async def test_a_question_that_is_cancelled_at_once_leaves_nothing(tmp_path):
    questions = Questions()
    for _ in range(5):
        question = questions.start({}, ("investigate", "user", "--", "x"), dict(os.environ))
        await questions.cancel(question.ident)
        assert questions.all() == []
    for _ in range(2):
        questions.start({}, ("investigate", "user", "--", "x"), dict(os.environ))
    with pytest.raises(TooMany):
        questions.start({}, ("investigate", "user", "--", "x"), dict(os.environ))
    await questions.close()
    assert questions.all() == []


async def test_the_daemon_carries_events_into_an_archive_answers_about_it_and_loads_no_duckdb(tmp_path):
    async with Simulator(SimulatorConfig(events=200, history="2d")) as sim:
        sinks = {"kept": {"type": "archive", "path": str(tmp_path / "archive"), "every": "50ms"},
                 "out": file_sink(tmp_path / "out.ndjson")}  # fmt: skip
        config = write_config(tmp_path, {"acme": source(sim)}, sinks, admin={"listen": "127.0.0.1:0", "token": TOKEN})
        async with Process(config, token=TOKEN) as daemon:
            await daemon.start()
            await daemon.until_status(lambda found: all(one["accepted"] >= 100 for one in found["sinks"]))
            await daemon.until(lambda: list((tmp_path / "archive").rglob("*.zst")))
            who = json.loads((tmp_path / "out.ndjson").read_bytes().splitlines()[0])["attributes"]["actor"]["id"]
            browser = Browser(daemon.port)
            found = await asyncio.to_thread(browser.answer, "user", who)
            assert "evidence/v1/source=acme" in found.text
            mapped = Path(f"/proc/{daemon.pid}/maps").read_text()
            assert "duckdb" not in mapped
            assert "archive" in browser.get("/investigate").text
            assert TOKEN not in daemon.text
            assert await daemon.stop() == 0


def test_the_process_of_the_daemon_never_imports_duckdb(browser, daemon):
    browser.answer("user", "bob", **FEW)
    modules = {
        line.rpartition("|")[2].strip() for line in daemon.log.read_text().splitlines() if "import time:" in line
    }
    assert "forwarder.admin.investigate_pages" in modules
    assert [name for name in modules if "duckdb" in name] == []
    assert "duckdb" not in Path(f"/proc/{daemon.pid}/maps").read_text()


# --------------------------------------------------------------------------------------------- what is missing, and places


def test_without_a_token_the_pages_say_what_to_set(tmp_path):
    sinks = {"kept": {"type": "file", "path": str(tmp_path / "kept.ndjson")}}
    with running(config_of(tmp_path, sinks)) as found:
        answer = Browser(found.port, None).get("/investigate?kind=user&who=x")
        assert answer.status == 404
        assert "set admin.token" in answer.text
        assert asking(found.pid) == []


@pytest.fixture
async def served():
    """Give an admin port of this process; no question of it is ever started."""
    places = {"kept": Place("archive", ("--archive=/nowhere/at/all",))}
    server = AdminServer("127.0.0.1:0", Secret(TOKEN), ["siem.example.com"], full_report, places=places)
    await server.start()
    yield Browser(server.port)
    await server.close()


async def test_without_the_extra_the_pages_say_what_to_install(served, monkeypatch):
    monkeypatch.setattr("forwarder.admin.investigate_pages.find_spec", lambda _: None)
    answer = await asyncio.to_thread(served.get, "/investigate")
    assert answer.status == 404
    assert "pip install" in answer.text
    served.headers.pop("Authorization")
    answer = await asyncio.to_thread(served.get, "/investigate")
    assert answer.status == 401
    assert "pip install" not in answer.text


async def test_beyond_loopback_a_browser_that_does_not_say_who_asks_needs_the_form(served):
    served.headers |= {"Host": "siem.example.com"}
    served.headers.pop("Sec-Fetch-Site")
    answer = await asyncio.to_thread(served.get, "/investigate?kind=user&who=x")
    assert answer.status == 200
    assert "press Ask" in answer.text
    ticket = re.search('name="ticket" value="([^"]+)"', answer.text)[1]
    for wrong in ("", "x", ticket[:-1], "\u00e9"):
        query = urlencode({"kind": "user", "who": "x", "ticket": wrong})
        assert (await asyncio.to_thread(served.get, f"/investigate?{query}")).status == 200
    query = urlencode({"kind": "nothing", "who": "x", "ticket": ticket})
    assert (await asyncio.to_thread(served.get, f"/investigate?{query}")).status == 400  # it would be asked
    query = urlencode({"kind": "nothing", "who": "x"})
    answer = await asyncio.to_thread(served.get, f"/investigate?{query}", Authorization=f"Bearer {TOKEN}")
    assert answer.status == 400


def test_places_are_archives_first_then_files_and_a_bucket_alone_reads_the_configuration(tmp_path):
    (tmp_path / "a-20260101T000000-1.ndjson.gz").touch()
    (tmp_path / "a-b.ndjson").touch()
    sinks = {
        "files": {"type": "file", "path": str(tmp_path / "a.ndjson")},
        "out": {"type": "file", "path": "-"},
        "cef": {"type": "file", "path": str(tmp_path / "c.log"), "format": "cef"},
        "bucket": {"type": "archive", "url": "s3://acme-audit/x"},
        "folder": {"type": "archive", "path": str(tmp_path / "archive")},
    }
    config = config_of(tmp_path, sinks)
    settings = load(config, {}, None,
                    ["admin.token=abc-def-ghi-jkl", "log.level=info"])  # fmt: skip
    places = places_of(settings)
    assert list(places) == ["bucket", "folder", "files"]
    assert places["folder"].words() == (f"--archive={tmp_path / 'archive'}",)
    aside = tmp_path / "a-20260101T000000-1.ndjson.gz"
    assert places["files"].words() == (f"--events={aside}", f"--events={tmp_path / 'a.ndjson'}")
    assert places["bucket"].words() == (f"--config={config}", "--set=log.level=info", "--archive=bucket")
    alone = places_of(load(config_of(tmp_path, {"bucket": sinks["bucket"]}), {}))
    assert alone["bucket"].words() == (f"--config={config}",)
    given = {"FORWARDER__ADMIN__TOKEN": "t", "forwarder__admin": "{}", "FORWARDER__SINKS__X": "y", "AWS_REGION": "z"}
    assert places["bucket"].environment(given) == {"FORWARDER__SINKS__X": "y", "AWS_REGION": "z"}
    assert places["folder"].environment(given) == {"AWS_REGION": "z"}


def test_words_are_one_word_each():
    places = {"kept": Place("archive", ("--archive=/a",))}
    asked = {"kind": "user", "who": "-c", "from": "--to=1d", "zone": "-x"}
    assert words_of(asked, places) == ("investigate", "user", "--archive=/a", "--from=--to=1d", "--tz=-x", "--", "-c")
    kept = {"kept": Place("archive", zone="Asia/Tokyo")}
    assert words_of({"kind": "hunt"}, kept) == ("hunt", "--tz=Asia/Tokyo")
    assert words_of({"kind": "hunt", "zone": "UTC"}, kept) == ("hunt", "--tz=UTC")
    with pytest.raises(ConfigError):
        words_of({**asked, "in": "other"}, places)
    with pytest.raises(ConfigError):
        words_of(asked, {})
