"""The page over real sockets: who sees it, who may act, what a foreign site can do, and that nobody holds it up."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from forwarder.admin.page import routes, stream
from forwarder.admin.page.forms import ACTS
from forwarder.admin.page.session import LASTS
from forwarder.admin.server import AdminServer
from forwarder.contracts import ConfigError, Secret
from forwarder.observe.redaction import Redactor
from forwarder.testing.waiting import until
from tests.admin.page.states import NOW, states
from tests.admin.test_server import Answer, ManualClock, exchange

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKEN = "correct-horse-battery-staple"
STATES = states()


class Desk:
    """Notes what it is asked for."""

    def __init__(self) -> None:
        self.verbs = [act.verb for act in ACTS.values() if act.verb != "daemon.reload"]
        self.result: Any = None
        self.done: list[tuple[str, dict[str, Any], str]] = []
        self.fault: Exception | None = None

    async def do(self, verb: str, argument: Mapping[str, Any], who: str) -> Any:
        if self.fault is not None:
            raise self.fault
        self.done.append((verb, dict(argument), who))
        return self.result


class Browser:
    """Keeps one cookie jar and sends what browsers send."""

    def __init__(self, server: AdminServer) -> None:
        self.server = server
        self.port = server.port
        self.host = f"127.0.0.1:{server.port}"
        self.cookies: dict[str, str] = {}

    async def get(self, path: str = "/", **headers: str) -> Answer:
        return await self.send("GET", path, b"", headers)

    async def post(self, path: str, fields: Mapping[str, str] | bytes, **headers: str | None) -> Answer:
        body = fields if isinstance(fields, bytes) else urlencode(fields).encode()
        usual = {"Origin": f"http://{self.host}", "Sec-Fetch-Site": "same-origin",
                 "Content-Type": "application/x-www-form-urlencoded"}  # fmt: skip
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.send("POST", path, body, {k: v for k, v in (usual | named).items() if v is not None})

    async def send(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if self.cookies:
            lines.append("Cookie: " + "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
        if body or method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        answer = Answer(await exchange(self.port, ("\r\n".join(lines) + "\r\n\r\n").encode() + body))
        if made := re.match(r'([^=]+)="?([^;"]*)"?;', answer.headers.get("set-cookie", "")):
            self.cookies[made[1]] = made[2]
        return answer

    async def ticket(self) -> str:
        return re.search(r'name="ticket" value="(\w+)"', (await self.get()).body.decode())[1]


@pytest.fixture
async def serve():
    running = []

    async def begin(name: str = "held", *, token: str | None = None, clock: Any = None, **more: Any) -> AdminServer:
        options = {"redactor": Redactor(), "clock": clock or ManualClock()} | more
        secret = Secret(token) if token else None
        server = AdminServer("127.0.0.1:0", secret, (), lambda: STATES[name], **options)
        await server.start()
        running.append(server)
        return server

    yield begin
    for server in running:
        await server.close()


# -------------------------------------------------------------------------------------------------------------- looking


async def test_the_page_is_complete_and_its_policy_is_strict(serve) -> None:
    browser = Browser(await serve())
    answer = await browser.get()
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "same-origin"
    text = answer.body.decode()
    assert "Sink splunk takes no events." in text
    assert "http-equiv" in text
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", text)
    assert not re.search(r"<script(?! src=\"page.js\" defer)|<style| style=", text)


async def test_style_and_script_are_served_and_nothing_else(serve) -> None:
    browser = Browser(await serve())
    assert (await browser.get("/page.css")).headers["content-type"] == "text/css; charset=utf-8"
    assert (await browser.get("/page.js")).headers["content-type"] == "text/javascript; charset=utf-8"
    for path in ("/routes.py", "/page.py", "/../page.css", "/page.css/x", "/do", "/login/x"):
        assert (await browser.get(path)).status in {404, 405}


async def test_a_daemon_that_cannot_say_how_it_goes_has_a_page_all_the_same(serve) -> None:
    def fails() -> Any:
        raise RuntimeError

    server = AdminServer("127.0.0.1:0", None, (), fails, clock=ManualClock())
    await server.start()
    try:
        answer = await Browser(server).get()
    finally:
        await server.close()
    assert answer.status == 200
    assert b"The daemon cannot say how it goes: the report failed: RuntimeError" in answer.body


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "POST"])
@pytest.mark.parametrize("path", ["/", "/events", "/page.css", "/status", "/metrics", "/investigate"])
async def test_nothing_takes_another_method(serve, method: str, path: str) -> None:
    answer = await Browser(await serve(desk=Desk())).send(method, path, b"", {})
    assert answer.status == 405


@pytest.mark.parametrize("path", ["/do/pause", "/login", "/logout"])
async def test_what_acts_is_not_a_link(serve, path: str) -> None:
    desk = Desk()
    browser = Browser(await serve(desk=desk))
    assert (await browser.get(f"{path}?sink=splunk&ticket={await browser.ticket()}")).status == 405
    assert desk.done == []


# --------------------------------------------------------------------------------------------------------------- acting


async def act(browser: Browser, name: str = "pause", /, **changes: str | None) -> Answer:
    fields = {"ticket": await browser.ticket(), "sink": "splunk"}
    headers = {name: value for name, value in changes.items() if name[0].isupper()}
    fields |= {name: value or "" for name, value in changes.items() if not name[0].isupper()}
    return await browser.post(f"/do/{name}", fields, **headers)


@pytest.mark.parametrize(
    ("name", "fields", "verb", "argument"),
    [
        ("pause", {}, "lanes.pause", {"sink": "splunk"}),
        ("resume", {}, "lanes.resume", {"sink": "splunk"}),
        ("retry", {}, "lanes.retry_now", {"sink": "splunk"}),
        ("retry-source", {"source": "acme"}, "cursors.retry_now", {"source": "acme"}),
        ("forget", {"sure": "yes"}, "lanes.forget", {"sink": "splunk"}),
        ("letters-retry", {"reason": "too_large", "upto": "77"}, "dead_letters.retry",
         {"sink": "splunk", "chosen": {"reasons": ["too_large"], "upto": 77},
          "words": "--sink splunk --reason too_large, on the page"}),
        ("letters-discard", {"reason": "x", "upto": "7", "sure": "yes"}, "dead_letters.discard",
         {"sink": "splunk", "chosen": {"reasons": ["x"], "upto": 7}, "words": "--sink splunk --reason x, on the page"}),
        ("replay", {"since": "2026-09-20T10:00", "until": "2026-09-20T11:00"}, "replays.begin",
         {"sink": "splunk", "since_ms": 1789898400000, "until_ms": 1789901999999}),
        ("replay-cancel", {"number": "4", "sure": "yes"}, "replays.cancel", {"number": 4}),
    ],
)  # fmt: skip
async def test_every_act_reaches_its_verb_with_who_did_it_and_the_page_says_so(
    serve, name: str, fields: dict[str, str], verb: str, argument: dict[str, Any]
) -> None:
    desk = Desk()
    browser = Browser(await serve(desk=desk))
    answer = await act(browser, name, **fields)
    assert answer.status == 303
    assert desk.done == [(verb, argument, "the page, from 127.0.0.1")]
    back = await browser.get("/" + answer.headers["location"].removeprefix("../"))
    assert ACTS[name].done in back.body.decode().replace("&#x27;", "'")


async def test_where_nobody_may_act_a_form_is_refused_with_what_to_set(serve) -> None:
    browser = Browser(await serve())
    fields = {"ticket": browser.server._page.sessions.ticket(""), "sink": "splunk"}
    answer = await browser.post("/do/pause", fields)
    assert answer.status == 403
    assert b"admin.token" in answer.body


async def test_a_runbook_is_there_for_who_may_see_the_page(serve) -> None:
    browser = Browser(await serve())
    answer = await browser.get("/runbooks/AuditForwarderSinkHeld")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.body.startswith(b"# AuditForwarderSinkHeld")
    assert (await browser.get("/runbooks/AuditForwarderNothing")).status == 404
    assert (await browser.get("/runbooks/..%2fpage")).status == 404
    stranger = Browser(await serve(token=TOKEN))
    assert (await stranger.get("/runbooks/AuditForwarderSinkHeld")).status == 401


async def test_the_sure_box_a_bad_field_and_a_refusing_daemon_are_said_and_nothing_is_done(serve) -> None:
    desk = Desk()
    browser = Browser(await serve(desk=desk))

    async def said(name: str, **fields: str) -> str:
        answer = await act(browser, name, **fields)
        assert answer.status == 303
        return (await browser.get("/" + answer.headers["location"].removeprefix("../"))).body.decode()

    assert "tick the box" in await said("forget")
    assert "tick the box" in await said("letters-discard", reason="x", upto="7", sure="no")
    assert "The form lacks upto" in await said("letters-retry", reason="x", upto="-1")
    assert "The form lacks upto" in await said("letters-retry", reason="x", upto="9" * 30)
    assert "The form lacks sink" in await said("pause", sink="")
    assert "Write since as day and time" in await said("replay", since="yesterday", until="")
    assert "comes after its beginning" in await said("replay", since="2026-09-20T10:00", until="2026-09-20T10:00")
    assert desk.done == []
    desk.fault = ConfigError('sinks.splunk: <b>paused</b> by "root"')
    assert "Not done: sinks.splunk: &lt;b&gt;paused" in await said("pause")
    desk.fault = RuntimeError("what is inside")
    found = await said("pause")
    assert "the daemon failed; its log says how" in found
    assert "what is inside" not in found


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://127.0.0.1.evil.example"},
        {"Origin": "http://[bad"},
        {"Origin": ""},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "none"},
        {"Sec_Fetch_Site": "cross-site", "Origin": None},
        {"Sec_Fetch_Site": None, "Origin": None},
    ],
)
@pytest.mark.parametrize("path", ["/do/pause", "/login", "/logout"])
async def test_another_site_can_do_nothing_even_with_the_ticket(serve, headers: dict[str, str], path: str) -> None:
    desk = Desk()
    browser = Browser(await serve(desk=desk))
    ticket = await browser.ticket()
    answer = await browser.post(path, {"ticket": ticket, "sink": "splunk"}, **headers)
    assert answer.status == 403
    assert b"Another site asked for this" in answer.body
    assert desk.done == []


@pytest.mark.parametrize("headers", [{"Sec_Fetch_Site": None}, {"Origin": None}])
async def test_either_sign_of_our_own_page_is_enough(serve, headers: dict[str, None]) -> None:
    desk = Desk()
    browser = Browser(await serve(desk=desk))
    assert (await browser.post("/do/pause", {"ticket": await browser.ticket(), "sink": "a"}, **headers)).status == 303
    assert len(desk.done) == 1


@pytest.mark.parametrize("ticket", ["", "0" * 64, "ä", "x" * 2000])
async def test_a_form_without_the_ticket_of_this_page_does_nothing(serve, ticket: str) -> None:
    desk = Desk()
    browser = Browser(await serve(desk=desk))
    assert (await act(browser, ticket=ticket)).status == 403
    other = Browser(await serve(desk=desk))
    assert (await browser.post("/do/pause", {"ticket": await other.ticket(), "sink": "splunk"})).status == 403
    assert desk.done == []


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"x" * 20_000, {}, 413),
        (b"ticket=1", {"Content_Type": "application/json"}, 415),
        (b"ticket=1", {"Content_Type": "multipart/form-data; boundary=x"}, 415),
        (b"ticket=1", {"Content_Type": None}, 415),
        (b"\xff\xfe", {}, 400),
        (b"&".join(b"a=%d" % number for number in range(60)), {}, 400),
        (b"", {}, 403),
    ],
)
async def test_what_is_no_form_of_ours_is_refused(serve, body: bytes, headers: dict[str, str], status: int) -> None:
    desk = Desk()
    assert (await Browser(await serve(desk=desk)).post("/do/pause", body, **headers)).status == status
    assert desk.done == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([], "The configuration was read again. Nothing has changed."),
        (
            [("log.level", False), ("admin.listen", True)],
            "In force now: log.level. In force after a restart: admin.listen.",
        ),
    ],
)
async def test_a_reload_says_what_is_in_force_now_and_what_after_a_restart(
    serve, changes: list[tuple[str, bool]], words: str
) -> None:
    desk = Desk()
    desk.verbs.append("daemon.reload")
    desk.result = SimpleNamespace(changes=[SimpleNamespace(path=path, needs_restart=later) for path, later in changes])
    browser = Browser(await serve(desk=desk))
    answer = await act(browser, "reload")
    assert desk.done == [("daemon.reload", {}, "the page, from 127.0.0.1")]
    assert words in (await browser.get("/" + answer.headers["location"].removeprefix("../"))).body.decode()


async def test_a_verb_that_this_daemon_lacks_is_not_done(serve) -> None:
    desk = Desk()
    browser = Browser(await serve(desk=desk))
    assert (await act(browser, "reload")).status == 404
    assert (await act(browser, "no-such-act")).status == 404


async def test_who_sends_a_form_drop_by_drop_is_cut_off_and_nobody_waits_for_them(serve) -> None:
    server = await serve(desk=Desk(), patience=0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = (
        f"POST /do/pause HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nOrigin: http://127.0.0.1:{server.port}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 900\r\n\r\nticket="
    )
    writer.write(head.encode())
    assert (await Browser(server).get()).status == 200
    assert await asyncio.wait_for(reader.read(), 60) == b""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


# ------------------------------------------------------------------------------------------------------------- sign in


async def signed_in(server: AdminServer) -> Browser:
    browser = Browser(server)
    answer = await browser.post("/login", {"token": TOKEN})
    assert answer.status == 303
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert TOKEN not in cookie
    return browser


async def test_with_a_token_nothing_is_shown_before_one_signs_in_and_everything_after(serve) -> None:
    desk = Desk()
    server = await serve(token=TOKEN, desk=desk)
    stranger = Browser(server)
    for path in ("/", "/events"):
        answer = await stranger.get(path)
        assert answer.status == 401
        assert b"splunk" not in answer.body
    assert (await stranger.post("/do/pause", {"sink": "splunk"})).status == 401
    browser = await signed_in(server)
    assert b"Sink splunk takes no events." in (await browser.get()).body
    assert (await browser.get("/status")).status == 200
    assert (await act(browser)).status == 303
    assert desk.done == [("lanes.pause", {"sink": "splunk"}, "who knows admin.token, from 127.0.0.1")]
    assert TOKEN not in (await browser.get()).body.decode()


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + " ", TOKEN.upper(), "ü" * 9])
async def test_a_wrong_token_opens_nothing(serve, token: str) -> None:
    browser = Browser(await serve(token=TOKEN))
    answer = await browser.post("/login", {"token": token})
    assert answer.status == 401
    assert "set-cookie" not in answer.headers
    assert b"That is not the token." in answer.body


async def test_a_session_ends_with_its_time_with_signing_out_and_with_the_token(serve) -> None:
    clock = ManualClock()
    server = await serve(token=TOKEN, clock=clock)
    browser = await signed_in(server)
    again = await serve(token=TOKEN, clock=clock)  # the same token after a restart, at another port
    name, value = next(iter(browser.cookies.items()))
    moved = Browser(again)
    moved.cookies = {name.replace(str(server.port), str(again.port)): value}
    assert (await moved.get()).status == 200
    other = Browser(await serve(token="another-token-altogether", clock=clock))
    other.cookies = {name.replace(str(server.port), str(other.port)): value}
    assert (await other.get()).status == 401
    clock.now += LASTS + 1
    assert (await browser.get()).status == 401
    clock.now = NOW
    assert (await browser.get()).status == 200
    assert (await browser.post("/logout", {"ticket": await browser.ticket()})).status == 303
    assert (await browser.get()).status == 401


FORGED = {
    "cut": lambda session: session[:-1],
    "longer lived": lambda session: f"9{session}",
    "another stem": lambda session: session.replace(".", "..", 1),
    "no signature": lambda session: session.rpartition(".")[0] + ".",
    "dots": lambda _: "..",
    "a long number": lambda _: "99999999999999999999.x.y",
}


@pytest.mark.parametrize("name", FORGED)
async def test_a_forged_session_opens_nothing(serve, name: str) -> None:
    browser = await signed_in(await serve(token=TOKEN))
    browser.cookies = {cookie: FORGED[name](value) for cookie, value in browser.cookies.items()}
    assert (await browser.get()).status == 401


async def test_a_ticket_belongs_to_its_session(serve) -> None:
    desk = Desk()
    server = await serve(token=TOKEN, desk=desk)
    one, other = await signed_in(server), await signed_in(server)
    assert (await one.post("/do/pause", {"ticket": await other.ticket(), "sink": "splunk"})).status == 403
    assert desk.done == []


async def test_the_cookie_is_for_tls_only_where_tls_is_spoken(serve) -> None:
    browser = Browser(await serve(token=TOKEN))
    assert "secure" not in (await browser.post("/login", {"token": TOKEN})).headers["set-cookie"].lower()
    answer = await browser.post("/login", {"token": TOKEN}, X_Forwarded_Proto="https")
    assert "secure" in answer.headers["set-cookie"].lower()


async def test_beyond_loopback_without_a_token_there_is_no_page() -> None:
    server = AdminServer("0.0.0.0:0", None, (), lambda: STATES["held"], clock=ManualClock(), desk=Desk())
    await server.start()
    try:
        browser = Browser(server)
        answer = await browser.get()
        assert answer.status == 403
        assert b"admin.token" in answer.body
        assert b"splunk" not in answer.body
        assert (await browser.get("/events")).status == 401
        assert (await browser.post("/do/pause", {"sink": "splunk"})).status == 403
        assert (await browser.post("/login", {"token": ""})).status == 403
    finally:
        await server.close()


# --------------------------------------------------------------------------------------------------------------- stream


class Follower:
    """One open stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def of(cls, server: AdminServer, cookies: Mapping[str, str] | None = None) -> Follower:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=2**22)
        sent = "; ".join(f"{name}={value}" for name, value in (cookies or {}).items())
        head = f"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nCookie: {sent}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        return cls(reader, writer)

    async def message(self) -> str:
        while True:
            line = (await asyncio.wait_for(self.reader.readuntil(b"\n"), 60)).decode()
            if line.startswith("data: "):
                return line

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    async def rest(self) -> bytes:
        return await asyncio.wait_for(self.reader.read(), 60)


@pytest.fixture
async def follow():
    followers: list[Follower] = []

    async def begin(server: AdminServer, cookies: Mapping[str, str] | None = None) -> Follower:
        followers.append(await Follower.of(server, cookies))
        return followers[-1]

    yield begin
    for follower in followers:
        await follower.close()


async def test_the_stream_sends_the_page_again_and_again_longer_than_a_slow_client_is_waited_for(serve, follow) -> None:
    clock = ManualClock()
    follower = await follow(await serve(patience=0.3, clock=clock))
    head = await asyncio.wait_for(follower.reader.readuntil(b"\r\n\r\n"), 60)
    assert b"text/event-stream" in head
    assert b"x-accel-buffering: no" in head
    for _ in range(3):
        clock.now += 1
        message = await follower.message()
        assert message.startswith('data: <main id="main"')


async def test_however_many_follow_it_is_rendered_once_a_second_and_too_many_are_sent_home(
    serve, follow, monkeypatch
) -> None:
    made = []
    real = routes.main
    monkeypatch.setattr(routes, "main", lambda *args: made.append(1) or real(*args))
    server = await serve()
    followers = [await follow(server) for _ in range(stream.MOST)]
    for follower in followers:
        await follower.message()
    assert len(made) == 1  # the clock stands still
    more = await follow(server)
    assert b"retry: 30000" in (found := await more.rest())
    assert b"<main" not in found
    await followers[0].close()

    async def is_free() -> bool:
        late = await follow(server)
        line = await asyncio.wait_for(late.reader.readuntil(b"retry: "), 60)
        first = await asyncio.wait_for(late.reader.readuntil(b"\n\n"), 60)
        await late.close()
        return bool(line) and first == b"3000\n\n"

    await until(is_free)


async def test_a_look_at_the_head_of_the_stream_holds_no_place(serve) -> None:
    server = await serve()
    for _ in range(stream.MOST + 1):
        answer = await Browser(server).send("HEAD", "/events", b"", {})
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
    assert server._page._streams._open == 0


async def test_a_stream_ends_when_its_session_does(serve, follow) -> None:
    clock = ManualClock()
    server = await serve(token=TOKEN, clock=clock)
    follower = await follow(server, (await signed_in(server)).cookies)
    await follower.message()
    clock.now += LASTS + 1
    assert (await follower.rest()).endswith(b"0\r\n\r\n")


async def test_open_streams_do_not_keep_the_server(serve, follow) -> None:
    server = await serve()
    followers = [await follow(server) for _ in range(5)]
    for follower in followers:
        await follower.message()
    await asyncio.wait_for(server.close(), 60)
    for follower in followers:
        assert (await follower.rest()).endswith(b"0\r\n\r\n")  # ended in order, not cut


async def test_who_does_not_read_the_stream_is_cut_off(serve, monkeypatch) -> None:
    monkeypatch.setattr(stream, "EVERY", 0.001)
    server = await serve("several", patience=0.3)
    connections = server._listener._connections
    with socket.create_connection(("127.0.0.1", server.port)) as follower:
        follower.sendall(f"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
        await until(lambda: len(connections) == 1)
        await until(lambda: len(connections) == 0)
