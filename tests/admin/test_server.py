"""The admin port over real sockets: what it answers, to whom, and that no one can hold it up."""

import asyncio
import contextlib
import io
import json
import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path

import psutil
import pytest
from structlog.testing import capture_logs

from forwarder.admin.server import AdminServer
from forwarder.contracts import ConfigError, Secret
from forwarder.net.addresses import parse_listen
from forwarder.observe.redaction import STARS, Redactor
from forwarder.spool.contract import SpoolError
from tests.observe.reports import NOW, full_report, lane_report, source_report

TOKEN = Secret("the-status-token")


class Answer:
    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        status, *headers = head.decode("latin-1").split("\r\n")
        self.status = int(status.split(" ")[1])
        self.headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in headers)}

    def json(self):
        return json.loads(self.body)


async def exchange(port, raw, host="127.0.0.1"):
    """Send bytes, read until the server ends the connection."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(raw)
        await writer.drain()
        return await asyncio.wait_for(reader.read(), 60)
    finally:
        writer.close()


async def ask(server, path, *, method="GET", host=None, address="127.0.0.1", **headers):
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host or f'127.0.0.1:{server.port}'}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    raw = await exchange(server.port, ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8"), address)
    return Answer(raw)


class ManualClock:
    def __init__(self, now=NOW):
        self.now = now

    def time(self):
        return self.now

    def monotonic(self):
        return self.now


@pytest.fixture
async def serve():
    """Start servers; close them all afterwards."""
    running = []

    async def begin(report=full_report, *, listen="127.0.0.1:0", token=None, hosts=(), **options):
        options.setdefault("clock", ManualClock())
        server = AdminServer(listen, token, hosts, report, **options)
        await server.start()
        running.append(server)
        return server

    yield begin
    for server in running:
        await server.close()


# ------------------------------------------------------------------------------------------------------- answers


async def test_metrics_text_and_openmetrics(serve):
    server = await serve()
    answer = await ask(server, "/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b'forwarder_source_pages_total{source="acme"} 102.0' in answer.body
    answer = await ask(server, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.body.endswith(b"# EOF\n")


async def test_status_is_the_report_as_json(serve):
    answer = await ask(await serve(), "/status")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    status = answer.json()
    assert status["sources"][0]["last_good_poll_age_seconds"] == 11
    assert status["balanced"] is False


async def test_status_holds_no_event_content_and_no_cursor(serve):
    answer = await ask(await serve(), "/status")
    for word in (b"page_licked", b"issue_sniffed", b"opaque-cursor"):
        assert word not in answer.body
    assert answer.json()["sinks"][0]["dead_letters"] == 212


async def test_a_secret_in_a_reason_is_taken_out_and_nothing_is_cut(serve):
    lanes = [
        lane_report(name=f"sink{i}", reason="refused s3cret-value by https://u:p@es.example.com") for i in range(150)
    ]
    redactor = Redactor(lambda: ["s3cret-value"])
    server = await serve(lambda: full_report(lanes=lanes), redactor=redactor)
    for path in ("/status", "/readyz"):
        answer = await ask(server, path)
        assert b"s3cret-value" not in answer.body
        assert b"u:p@" not in answer.body
        assert STARS.encode() in answer.body
    assert len((await ask(server, "/status")).json()["sinks"]) == 150


async def test_live_while_both_turn(serve):
    clock = ManualClock()
    server = await serve(clock=clock, live_within=30)
    assert (await ask(server, "/livez")).json() == {"live": True, "reasons": []}
    clock.now += 40
    answer = await ask(server, "/livez")
    assert answer.status == 503
    assert len(answer.json()["reasons"]) == 2


async def test_a_spool_thread_that_stands_still_ends_liveness_but_one_not_begun_does_not(serve):
    server = await serve(lambda: full_report(spool_alive=NOW - 31))
    answer = await ask(server, "/livez")
    assert answer.status == 503
    assert answer.json()["reasons"] == ["the spool's thread has not turned for 31 s"]
    server = await serve(lambda: full_report(spool=None, spool_alive=0.0))
    assert (await ask(server, "/livez")).status == 200


@pytest.mark.parametrize("state", ["retrying", "held", "paused", "idle", "working"])
async def test_degraded_stays_ready(serve, state):
    report = full_report(
        sources=[source_report(state=state, reason="The API is down.")], lanes=[lane_report(state="idle", reason="")]
    )
    answer = await ask(await serve(lambda: report), "/readyz")
    assert answer.status == 200
    assert answer.json()["ready"] is True
    expected = [f"source acme is {state}: The API is down."] if state in {"retrying", "held", "paused"} else []
    assert answer.json()["degraded"] == expected


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"draining": True}, "draining before the stop"),
        ({"spool": None}, "the spool is not open"),
        ({"sources": [source_report(state="stopped")]}, "source acme is stopped"),
        (
            {"sources": [source_report(state="starting")], "lanes": [lane_report(state="starting")]},
            "no task has begun yet",
        ),
    ],
)
async def test_not_ready_says_why_and_is_live(serve, changes, reason):
    server = await serve(lambda: full_report(**changes))
    answer = await ask(server, "/readyz")
    assert answer.status == 503
    assert answer.json()["reasons"] == [reason]
    assert (await ask(server, "/livez")).status == 200
    assert (await ask(server, "/metrics")).status == 200


# ------------------------------------------------------------------------------------- slow and failing reports


async def test_a_stuck_report_ends_in_the_last_one_and_then_in_not_live(serve):
    clock, stuck = ManualClock(), asyncio.Event()
    calls = 0

    async def report():
        nonlocal calls
        calls += 1
        if calls > 1:
            await stuck.wait()
        return full_report()

    server = await serve(report, clock=clock)
    assert (await ask(server, "/livez")).status == 200
    clock.now += 5
    answers = await asyncio.gather(*(ask(server, path) for path in ("/metrics", "/status", "/readyz", "/livez")))
    assert [answer.status for answer in answers] == [200] * 4
    assert "takes longer" in answers[1].json()["problem"]
    assert calls == 2
    clock.now += 60
    assert (await ask(server, "/livez")).status == 503
    stuck.set()


async def test_reports_are_made_once_for_many_readers(serve):
    calls = 0

    async def report():
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        return full_report()

    clock = ManualClock()
    server = await serve(report, clock=clock)
    await asyncio.gather(*(ask(server, "/metrics") for _ in range(20)))
    assert calls == 1
    clock.now += 2
    await ask(server, "/metrics")
    assert calls == 2


async def test_a_start_that_is_over_is_seen_sooner_than_a_report_is_old(serve):
    reports = [{"spool": None}, {}, {"draining": True}]
    clock = ManualClock()
    server = await serve(lambda: full_report(**reports.pop(0)), clock=clock)
    assert (await ask(server, "/readyz")).status == 503
    assert (await ask(server, "/readyz")).status == 503, "it is asked at most ten times a second"
    clock.now += 0.2
    assert (await ask(server, "/readyz")).status == 200
    clock.now += 0.9
    assert (await ask(server, "/readyz")).status == 200, "this report serves for a second"
    assert len(reports) == 1


async def test_a_failing_report_says_so_without_its_text(serve):
    def report():
        raise RuntimeError("s3cret-value")

    clock = ManualClock()
    server = await serve(report, clock=clock)
    for path in ("/metrics", "/status", "/readyz"):
        answer = await ask(server, path)
        assert answer.status == 503
        assert answer.json()["reasons"] == ["the report failed: RuntimeError"]
    assert (await ask(server, "/livez")).status == 200
    clock.now += 60
    assert (await ask(server, "/livez")).status == 503


@pytest.mark.parametrize(("error", "has_traceback"), [(SpoolError("it was taken away"), False), (KeyError("x"), True)])
async def test_a_report_that_fails_is_a_traceback_only_where_the_error_does_not_say_what_is_wrong(
    serve, error, has_traceback
):
    def report():
        raise error

    server = await serve(report)
    with capture_logs() as logged:
        for _ in range(3):
            await ask(server, "/status")
    (line,) = [line for line in logged if line["event"] == "report_failed"]
    assert (line["log_level"], bool(line.get("exc_info"))) == ("error", has_traceback)
    assert has_traceback or line["reason"] == str(error)


# --------------------------------------------------------------------------------------------- who may ask what


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_only_get_and_head(serve, method):
    answer = await ask(await serve(), "/status", method=method)
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD"


async def test_a_post_with_a_body_is_refused_before_the_body_comes(serve):
    server = await serve()
    head = f"POST /status HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: 1000000\r\n\r\n".encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(head)
    assert b" 405 " in await asyncio.wait_for(reader.readline(), 60)
    writer.close()


@pytest.mark.parametrize("path", ["/metrics", "/livez", "/readyz", "/status"])
async def test_head_has_the_headers_and_no_body(serve, path):
    server = await serve()
    answer = await ask(server, path, method="HEAD")
    assert answer.status == 200
    assert answer.body == b""
    assert int(answer.headers["content-length"]) > 0


@pytest.mark.parametrize("path", ["/do", "/page.css/", "/status/", "/metrics/x", "/..%2fstatus", "/docs"])
async def test_nothing_else_is_there(serve, path):
    assert (await ask(await serve(), path)).status == 404


@pytest.mark.parametrize("path", ["/status", "/nothing", "/metrics"])
async def test_every_answer_has_the_security_headers(serve, path):
    server = await serve()
    for answer in (
        await ask(server, path),
        await ask(server, path, host="evil.example.com"),
        await ask(server, path, method="POST"),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "server" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:9464", "127.0.0.1", "127.9.9.9:1", "[::1]:9464", "localhost.", "Prom.example.com:9"],
)
async def test_known_hosts(serve, host):
    assert (await ask(await serve(hosts=["prom.example.com"]), "/status", host=host)).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example.com",
        "localhost.evil.example.com",
        "127.0.0.1.example.com",
        "192.0.2.7",
        "[2001:db8::1]:9464",
        "127.0.0.1@evil.example.com",
        "prom.example.com.evil.example.com",
    ],
)
@pytest.mark.parametrize("path", ["/status", "/metrics", "/livez"])
async def test_foreign_hosts_get_nothing(serve, host, path):
    answer = await ask(await serve(hosts=["prom.example.com"]), path, host=host)
    assert answer.status == 421
    assert b"acme" not in answer.body


async def test_a_request_without_or_with_two_hosts_gets_nothing(serve):
    server = await serve()
    for head in (
        "GET /status HTTP/1.0\r\n\r\n",
        "GET /status HTTP/1.1\r\nHost: localhost\r\nHost: evil.example.com\r\n\r\n",
    ):
        assert Answer(await exchange(server.port, head.encode())).status in {400, 421}


async def test_listening_on_all_addresses_the_address_of_the_connection_is_known(serve):
    server = await serve(listen="0.0.0.0:0", token=TOKEN)
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        probe.connect(("192.0.2.1", 9))  # sends nothing; asks which address of ours would be used
        own = probe.getsockname()[0]
    except OSError:
        own = "127.0.0.1"
    finally:
        probe.close()
    assert (await ask(server, "/readyz", host=f"{own}:{server.port}", address=own)).status == 200
    assert (await ask(server, "/readyz", host="192.0.2.7", address=own)).status == 421


async def test_beyond_loopback_the_status_needs_the_token_and_the_rest_does_not(serve):
    server = await serve(listen="0.0.0.0:0", token=TOKEN)
    refused = await ask(server, "/status")
    assert refused.status == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    for wrong in (
        "Bearer",
        "Bearer x",
        "Basic the-status-token",
        "the-status-token",
        "Bearer the-status-token2",
        "Bearer thé",
    ):
        assert (await ask(server, "/status", Authorization=wrong)).status == 401, wrong
    assert (await ask(server, "/status", Authorization="bearer  the-status-token")).status == 200
    for path in ("/metrics", "/livez", "/readyz"):
        assert (await ask(server, path)).status == 200
    assert b"the-status-token" not in refused.body


async def test_beyond_loopback_without_a_token_there_is_no_status(serve):
    answer = await ask(await serve(listen="0.0.0.0:0"), "/status", Authorization="Bearer ")
    assert answer.status == 403
    assert "admin.token" in answer.json()["reasons"][0]


async def test_a_token_that_is_set_is_asked_for_on_loopback_too(serve):
    server = await serve(token=TOKEN)
    assert (await ask(server, "/status")).status == 401


async def test_the_token_follows_its_file_and_a_lost_file_opens_nothing(serve, tmp_path):
    path: Path = tmp_path / "token"
    path.write_text("first")
    server = await serve(token=Secret(path=path))
    assert (await ask(server, "/status", Authorization="Bearer first")).status == 200
    path.write_text("second-one")
    assert (await ask(server, "/status", Authorization="Bearer first")).status == 401
    assert (await ask(server, "/status", Authorization="Bearer second-one")).status == 200
    path.write_text("")
    assert (await ask(server, "/status", Authorization="Bearer ")).status == 503
    path.unlink()
    answer = await ask(server, "/status", Authorization="Bearer second-one")
    assert answer.status == 503
    assert str(path) not in answer.body.decode()


# ------------------------------------------------------------------------------------------- start, stop, clients


async def test_a_port_in_use_is_a_config_error_that_names_the_setting(serve):
    server = await serve()
    with pytest.raises(ConfigError, match=rf"admin\.listen.*127\.0\.0\.1:{server.port}.*in use"):
        await serve(listen=f"127.0.0.1:{server.port}")
    assert (await ask(server, "/livez")).status == 200


@pytest.mark.parametrize(
    "listen",
    [
        "9464",
        "127.0.0.1",
        ":9464",
        "127.0.0.1:",
        "127.0.0.1:x",
        "127.0.0.1:70000",
        "::1:9464",
        "[::1]",
        "[127.0.0.1]:1",
        "127.0.0.1:-1",
        "",
    ],
)
def test_an_address_that_is_none_is_a_config_error(listen):
    with pytest.raises(ConfigError, match=r"admin\.listen"):
        parse_listen(listen, "admin.listen")


def test_addresses():
    assert parse_listen("127.0.0.1:0", "admin.listen") == ("127.0.0.1", 0)
    assert parse_listen("[::1]:9464", "admin.listen") == ("::1", 9464)
    assert parse_listen("admin.example.com:1", "admin.listen") == ("admin.example.com", 1)


async def test_an_address_of_somebody_else_is_a_config_error(serve):
    with pytest.raises(ConfigError, match=r"admin\.listen"):
        await serve(listen="192.0.2.1:0")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "a\0b", "x" * 300])
async def test_a_host_that_cannot_be_resolved_is_a_config_error(serve, host):
    with pytest.raises(ConfigError, match=r"admin\.listen: cannot resolve"):
        await serve(listen=f"{host}:0")


async def test_a_server_never_started_closes():
    await AdminServer("127.0.0.1:0", None, (), full_report).close()


async def test_ipv6(serve):
    try:
        server = await serve(listen="[::1]:0")
    except ConfigError:
        pytest.skip("no IPv6 here")
    for host in (f"[::1]:{server.port}", "localhost"):
        assert (await ask(server, "/status", address="::1", host=host)).status == 200


async def test_close_is_quick_and_complete_with_an_idle_keep_alive_client(serve):
    server = await serve(patience=3600)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    async with asyncio.timeout(60):
        await server.close()
        await reader.read()  # the end, not a wait
    await server.close()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", server.port)
    again = await serve(listen=f"127.0.0.1:{server.port}")
    assert again.port == server.port
    writer.close()


async def fill(server):
    """Ask again and again without ever reading, until the server's buffers are full."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
    writer.transport.pause_reading()
    request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
    protocols = server._listener._server.server_state.connections
    async with asyncio.timeout(60):
        while not any(protocol.flow.write_paused and not protocol.cycle.response_complete for protocol in protocols):
            writer.write(request * 20)
            await asyncio.sleep(0.01)
    return reader, writer


def connections(port):
    """Return the open connections on the server's side."""
    found = psutil.Process().net_connections("tcp")
    return [each for each in found if each.laddr.port == port and each.status == psutil.CONN_ESTABLISHED]


async def test_close_with_a_client_that_does_not_read_and_one_that_does_not_finish(serve, caplog):
    server = await serve(patience=3600)
    deaf_reader, deaf = await fill(server)  # a reader that is collected would end its connection
    dripping_reader, dripping = await asyncio.open_connection("127.0.0.1", server.port)
    dripping.write(b"GET /livez HT")
    assert (await ask(server, "/livez")).status == 200
    assert connections(server.port)
    async with asyncio.timeout(60):
        await server.close()
        while connections(server.port):  # noqa: ASYNC110 -- the kernel has no event for it
            await asyncio.sleep(0.01)
    assert deaf_reader
    assert dripping_reader
    assert not caplog.records
    deaf.close()
    dripping.close()


async def test_a_client_that_drips_or_does_not_read_is_cut_and_others_are_served(serve):
    server = await serve(patience=0.3)
    reader, dripping = await asyncio.open_connection("127.0.0.1", server.port)
    deaf_reader, deaf = await fill(server)

    async def drip():
        while True:
            dripping.write(b"X")
            await dripping.drain()
            await asyncio.sleep(0.01)

    task = asyncio.create_task(drip())
    try:
        async with asyncio.timeout(60):
            assert (await ask(server, "/livez")).status == 200
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            deaf.transport.resume_reading()
            with contextlib.suppress(ConnectionError):
                while await deaf_reader.read(65536):
                    pass
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        dripping.close()
        deaf.close()


async def test_a_head_without_end_is_refused(serve):
    server = await serve()
    raw = await exchange(server.port, b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 70_000)
    assert b" 400 " in raw.split(b"\r\n")[0]


async def test_requests_are_not_logged(serve):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    loggers = [logging.getLogger(name) for name in ("uvicorn", "uvicorn.access", "uvicorn.error", "uvicorn.asgi")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        await ask(await serve(), "/status?token=abc")
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
    assert "/status" not in stream.getvalue()


# ------------------------------------------------------------------------------------------------------- signals

DAEMON = """
import asyncio, signal, sys
from forwarder.admin.server import AdminServer
from tests.observe.reports import NOW, full_report

async def main():
    told = asyncio.Event()
    draining = False
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    server = AdminServer("127.0.0.1:0", None, (), lambda: full_report(draining=told.is_set()))
    await server.start()
    print(server.port, flush=True)
    await told.wait()
    print("told", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await server.close()
    print("closed", flush=True)

asyncio.run(main())
"""


async def test_sigterm_goes_to_the_daemon_and_the_port_answers_until_it_is_closed():
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        DAEMON,
        stdin=-1,
        stdout=-1,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": "."},
    )
    try:
        async with asyncio.timeout(60):
            port = int(await process.stdout.readline())
            process.send_signal(signal.SIGTERM)
            assert await process.stdout.readline() == b"told\n"
            for _ in range(
                5
            ):  # uvicorn would look at its flag every 0.1 s; a request in between proves that it goes on
                raw = await exchange(port, b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                assert Answer(raw).status == 503
                assert "draining before the stop" in Answer(raw).json()["reasons"]
                await asyncio.sleep(0.1)
            process.stdin.write(b"\n")
            assert await process.stdout.readline() == b"closed\n"
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_the_signal_handlers_stay_ours(serve):
    assert threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    await serve()
    assert {number: signal.getsignal(number) for number in before} == before
