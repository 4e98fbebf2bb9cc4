import asyncio
import io
import json
import logging
import os
import re

import pytest
import structlog

from forwarder.observe.logs import QUIET_LOGGERS, LogSetup
from forwarder.observe.redaction import STARS, Redactor

HOSTILE = "ok\r\n2030-01-01T00:00:00Z error    forged\x1b[2J\x1b]0;owned\x07 \u202eevil\u2066 [bold red]markup[/] \x9b31m \u2028 \x7f \ud800"
FORBIDDEN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def start(monkeypatch):
    """Set logging up on a stream of our own, without the test runner's handlers; give everything back afterwards."""
    running = []

    def begin(stream=None, *, secrets=(), **options):
        monkeypatch.setattr(logging.getLogger(), "handlers", [])
        stream = io.StringIO() if stream is None else stream
        setup = LogSetup(Redactor(lambda: secrets), stream=stream, **options)
        running.append(setup)
        return stream, setup

    yield begin
    for setup in running:
        setup.close()


def lines(stream):
    return stream.getvalue().split("\n")[:-1]


def test_json_line_has_ecs_names_and_our_fields_apart(start):
    stream, _ = start(format="json")
    structlog.get_logger("forwarder.poller").info("page_committed", source="acme", events=100)
    (line,) = map(json.loads, lines(stream))
    assert line.pop("@timestamp").endswith("Z")
    assert line == {
        "log.level": "info",
        "message": "page_committed",
        "log.logger": "forwarder.poller",
        "service.name": "audit-forwarder",
        "ecs.version": "8.11.0",
        "forwarder": {"source": "acme", "events": 100},
    }


def test_auto_is_json_in_a_pod_and_coloured_on_a_terminal(start):
    pod, setup = start(io.StringIO(), format="auto")
    structlog.get_logger("x").info("page_committed", source="acme")
    setup.close()
    terminal, _ = start(Terminal(), format="auto")
    structlog.get_logger("x").info("page_committed", source="acme")
    assert json.loads(pod.getvalue())["message"] == "page_committed"
    assert "\x1b[32m" in terminal.getvalue()
    assert "page_committed" in terminal.getvalue()


@pytest.mark.parametrize("style", ["json", "console"])
def test_the_journal_is_told_how_grave_each_line_is(start, style, tmp_path, monkeypatch):
    """As `journalctl -p warning` asks, in the runbooks."""
    with (tmp_path / "journal").open("w") as stream:
        found = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        _, setup = start(stream, format=style)
        logger = structlog.get_logger("x")
        logger.info("page_committed")
        logger.warning("source_degraded")
        try:
            int("a text")
        except ValueError:
            logger.exception("task_failed")
        setup.close()
    written = (tmp_path / "journal").read_text().splitlines()
    assert [line[:3] for line in written[:3]] == ["<6>", "<4>", "<3>"]
    assert {line[:3] for line in written[2:]} == {"<3>"}, "every line of a traceback"
    if style == "json":
        assert json.loads(written[1][3:])["message"] == "source_degraded"


def test_another_stream_than_the_journals_gets_no_prefix(start, tmp_path, monkeypatch):
    monkeypatch.setenv("JOURNAL_STREAM", "9:12345")
    with (tmp_path / "file").open("w") as stream:
        _, setup = start(stream, format="json")
        structlog.get_logger("x").info("page_committed")
        setup.close()
    assert json.loads((tmp_path / "file").read_text())["message"] == "page_committed"


def test_console_without_a_terminal_has_no_colours(start):
    stream, _ = start(format="console")
    structlog.get_logger("x").info("page_committed", source="acme", events=3)
    assert "\x1b" not in stream.getvalue()
    assert re.search(r"info +page_committed +events=3 source=acme \[x\]$", lines(stream)[0])


def test_libraries_are_routed_and_quiet_even_at_debug(start):
    stream, _ = start(format="json", level="debug")
    for name in QUIET_LOGGERS:
        logging.getLogger(name).info("GET https://api.example.com/events?cursor=opaque")
        logging.getLogger(f"{name}.child").warning("trouble %s", "there")
    found = [json.loads(line) for line in lines(stream)]
    assert [line["message"] for line in found] == ["trouble there"] * len(QUIET_LOGGERS)
    assert [line["log.logger"] for line in found] == [f"{name}.child" for name in QUIET_LOGGERS]


def test_level_changes_at_run_time_for_loggers_that_exist(start):
    stream, setup = start(format="json", level="warning")
    log = structlog.get_logger("forwarder.daemon")
    log.info("before")
    setup.set_level("debug")
    log.debug("between")
    setup.set_level("error")
    log.warning("after")
    assert [json.loads(line)["message"] for line in lines(stream)] == ["between"]


def test_close_gives_back_what_was_there():
    root = logging.getLogger()
    before = (list(root.handlers), root.level, logging.getLogger("httpx").level)
    setup = LogSetup(Redactor(), format="json", stream=io.StringIO(), level="debug")
    assert logging.getLogger("httpx").level == logging.WARNING
    setup.close()
    setup.close()
    assert (list(root.handlers), root.level, logging.getLogger("httpx").level) == before


@pytest.mark.parametrize("style", ["json", "console"])
def test_nothing_from_outside_ends_a_line_or_reaches_the_terminal(start, style):
    stream, _ = start(format=style)
    log = structlog.get_logger(HOSTILE)
    log.warning(
        HOSTILE,
        reason=HOSTILE,
        **{HOSTILE: HOSTILE},
        nested={HOSTILE: [HOSTILE, {"deep": HOSTILE}]},
        raw=HOSTILE.encode("utf-8", "surrogatepass"),
    )
    logging.getLogger(HOSTILE).warning("foreign %s", HOSTILE)
    assert len(lines(stream)) == 2
    assert not FORBIDDEN.search(stream.getvalue())
    stream.getvalue().encode("utf-8")
    if style == "json":
        for line in lines(stream):
            json.loads(line)


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_hostile_error_text_cannot_begin_a_line(start, style):
    stream, _ = start(format=style)
    try:
        raise ValueError(HOSTILE)  # noqa: TRY301
    except ValueError:
        structlog.get_logger("x").exception("page_refused")
    assert not FORBIDDEN.search(stream.getvalue())
    if style == "json":
        (line,) = map(json.loads, lines(stream))
        assert line["error.type"] == "ValueError"
        assert "\n" not in line["error.message"]
        assert "Traceback" in line["error.stack_trace"]
        assert "test_logs.py" in line["error.stack_trace"]
    else:
        first, *rest = lines(stream)
        assert "page_refused" in first
        assert rest
        assert all(line.startswith("    | ") for line in rest)


def test_a_console_value_cannot_look_like_another_field(start):
    stream, _ = start(format="console")
    structlog.get_logger("x").info("login", user="mallory admin=True", key='a"b', empty="")
    assert 'user="mallory admin=True"' in stream.getvalue()
    assert 'empty=""' in stream.getvalue()


def test_nested_values_are_flat_fields_on_the_console(start):
    stream, _ = start(format="console")
    sinks = {"archive": {"state": "idle", "lag": 0}, "a.b": {"reason": "no answer", "last": None, "up": True}}
    structlog.get_logger("x").info("summary", sinks=sinks, names=["one", "two words"], none=[], nothing={})
    (line,) = lines(stream)
    for field in (
        "sinks.archive.state=idle", "sinks.archive.lag=0", 'sinks."a.b".reason="no answer"', 'sinks."a.b".last=null',
        'sinks."a.b".up=true', 'names=one,"two words"', "none=[]", "nothing={}",
    ):  # fmt: skip
        assert f" {field} " in line
    assert "'" not in line


def test_markup_is_text_on_a_terminal(start):
    stream, _ = start(Terminal(), format="console")
    structlog.get_logger("x").info("seen", value="[bold]x[/bold][link=http://example.com]y[/link]")
    assert "[bold]x[/bold][link=http://example.com]y[/link]" in stream.getvalue()


def test_a_traceback_shows_no_local_variables(start):
    for style in ("json", "console"):
        stream, setup = start(Terminal(), format=style)
        try:
            local_value = "a local thing " + "that nobody asked for"
            raise RuntimeError  # noqa: TRY301
        except RuntimeError:
            structlog.get_logger("x").exception("failed")
        assert local_value not in stream.getvalue()
        assert "Traceback" in stream.getvalue()
        setup.close()


def test_causes_groups_and_notes_are_redacted(start):
    stream, _ = start(format="json", secrets=["s3cret-value"])
    try:
        try:
            raise KeyError("s3cret-value")  # noqa: TRY301
        except KeyError as cause:
            cause.add_note("tried with s3cret-value")
            raise ExceptionGroup("all s3cret-value", [ValueError("s3cret-value")]) from cause
    except ExceptionGroup:
        logging.getLogger("httpx").exception("request failed for s3cret-value")
    assert "s3cret-value" not in stream.getvalue()
    assert "KeyError" in stream.getvalue()


def test_a_line_that_cannot_be_made_is_reported_without_its_arguments(start, capsys):
    stream, _ = start(format="json", secrets=["s3cret-value"])
    logging.getLogger("lib").error("one %s too few %s", "s3cret-value")  # noqa: PLE1206 -- the fault under test
    assert json.loads(stream.getvalue()) == {
        "message": "log_line_failed",
        "log.logger": "lib",
        "error.type": "TypeError",
    }
    assert "s3cret" not in "".join(capsys.readouterr())


def test_an_object_whose_repr_fails_does_not_break_the_line(start):
    class Broken:
        def __repr__(self):
            raise RuntimeError("s3cret-value")

    stream, _ = start(format="json", secrets=["s3cret-value"])
    structlog.get_logger("x").info("seen", thing=Broken())
    assert json.loads(stream.getvalue())["forwarder"]["thing"] == "<Broken that cannot be shown: RuntimeError>"


def test_a_recursive_or_huge_value_ends(start):
    loop = []
    loop.append(loop)
    stream, _ = start(format="json")
    structlog.get_logger("x").info("seen", loop=loop, long="x" * 1_000_000, many=list(range(10_000)))
    assert len(stream.getvalue()) < 12_000


def test_a_closed_stream_does_not_stop_the_program(start):
    stream, _ = start(format="json")
    stream.close()
    structlog.get_logger("x").info("seen")


async def test_an_unretrieved_task_error_comes_through_our_lines(start):
    stream, _ = start(format="json", secrets=["s3cret-value"])
    asyncio.get_running_loop().call_exception_handler({"message": "lost", "exception": ValueError("s3cret-value")})
    (line,) = map(json.loads, lines(stream))
    assert line["log.logger"] == "asyncio"
    assert line["error.message"] == STARS
