"""Sets up logging: one line per event, JSON in a pod, coloured on a terminal, the same for our code and for libraries.

::

    structlog ─┐
               ├─► ProcessorFormatter: time · error text · redact · make printable · render ─► one line
    stdlib ────┘                                                                 (a thread: observe.log_writer)

Invariants: a known secret never leaves; a line ends only where a log event ends; nothing that comes from outside can
move the terminal's cursor or look like a field of its own; a traceback shows no local variables.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any, Literal, TextIO

import msgspec

from forwarder.contracts.log import structlog_alone
from forwarder.contracts.text import shorten, visible
from forwarder.observe.colours import Style, coloured, paint
from forwarder.observe.journal import is_journal, with_priority
from forwarder.observe.log_writer import LineWriter
from forwarder.observe.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

    from structlog.typing import EventDict, Processor

structlog = structlog_alone()
ProcessorFormatter = structlog.stdlib.ProcessorFormatter

LogFormat = Literal["auto", "json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]

QUIET_LOGGERS = ("httpx", "httpcore", "uvicorn", "apscheduler", "asyncio", "tzlocal")
"""Libraries that say too much, and URLs with cursors among it: warnings only, at every level of ours."""

_ECS_VERSION = "8.11.0"
_LONGEST_TRACEBACK = 32_768
_STYLES: dict[str, Style] = {
    "debug": "dim",
    "info": "green",
    "warning": "yellow",
    "error": "red",
    "critical": "bold red",
}
_DEEPEST = 4
"""Of mappings in mappings, so many levels are shown as fields of their own."""


class LogSetup:
    """Logging as it is set up; `close` gives back what was there before.

    Args:
        redactor: Takes the secrets out of every line.
        format: `auto` is `console` on a terminal and `json` elsewhere.
        level: The lowest level that is written; may change at run time.
        stream: Where lines go; standard output belongs to sinks.
    """

    def __init__(
        self,
        redactor: Redactor,
        *,
        format: LogFormat = "auto",  # noqa: A002 -- the name of the setting
        level: LogLevel = "info",
        stream: TextIO | None = None,
    ) -> None:
        stream = sys.stderr if stream is None else stream
        terminal = stream.isatty()
        console = format == "console" or (format == "auto" and terminal)
        render: Any = ConsoleLine(colours=coloured(stream)) if console else json_line
        if is_journal(stream, os.environ):
            render = with_priority(render)
        shared: list[Processor] = [structlog.stdlib.add_logger_name, structlog.stdlib.add_log_level]
        last: list[Processor] = [
            ProcessorFormatter.remove_processors_meta,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
            Scrubber(redactor),
            render,
        ]
        stamp = structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp")

        def left_out(lines: int) -> str:
            event = {"event": "log_lines_left_out", "level": "warning", "logger": __name__, "lines": lines}
            return str(render(None, "", stamp(None, "", event)))

        self._writer = LineWriter(stream, left_out)
        self._handler = LineHandler(self._writer)
        self._handler.setFormatter(ProcessorFormatter(foreign_pre_chain=shared, processors=last))
        self._root = logging.getLogger()
        self._before = {name: logging.getLogger(name).level for name in ("", *QUIET_LOGGERS)}
        self._root.addHandler(self._handler)
        for name in QUIET_LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)
        self.set_level(level)
        structlog.configure(
            processors=[structlog.stdlib.filter_by_level, *shared, ProcessorFormatter.wrap_for_formatter],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
            cache_logger_on_first_use=False,
        )

    def set_level(self, level: LogLevel) -> None:
        """Change the lowest level that is written, from now on."""
        self._root.setLevel(level.upper())

    @property
    def lines_left_out(self) -> int:
        """Lines that the reader did not take, or that could not be written."""
        return self._writer.left_out

    def close(self) -> bool:
        """Give back what was there before; return False when the reader does not take the last lines."""
        self._root.removeHandler(self._handler)
        taken = self._writer.close()
        for name, level in self._before.items():
            logging.getLogger(name).setLevel(level)
        structlog.reset_defaults()
        return taken


class LineHandler(logging.Handler):
    """Makes lines; when one cannot be made it says so in one line, without the line's content."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        """Make the line and hand it over."""
        try:
            self._writer.write(self.format(record))
        except Exception:  # noqa: BLE001 -- logging must not fail for a value it cannot show
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 -- the standard library's name
        """Say which logger's line failed and why; the usual report would print the arguments, secrets included."""
        cause = sys.exc_info()[0]
        failed = {
            "message": "log_line_failed",
            "log.logger": visible(record.name),
            "error.type": cause and cause.__name__,
        }
        try:
            self._writer.write(msgspec.json.encode(failed).decode())
        except (OSError, ValueError):
            return  # the stream itself is gone; there is nowhere left to say it


class Scrubber:
    """Turns the exception into text, then takes secrets and unprintable characters out of every key and value."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def __call__(self, _: Any, __: str, event: EventDict) -> EventDict:
        """Return a new mapping of plain values."""
        stack = event.pop("stack", None) or event.pop("stack_info", None)
        error = _exception(event.pop("exc_info", None))
        clean: dict[str, Any] = self._redactor.scrub(dict(event))
        clean["event"] = str(clean.get("event", ""))
        trace = str(stack or "")
        if error is not None:
            clean["error.type"] = visible(type(error).__qualname__)
            clean["error.message"] = self._redactor.scrub(_message(error))
            trace += "".join(traceback.TracebackException.from_exception(error, capture_locals=False).format())
        if trace:
            clean["error.stack_trace"] = visible(
                shorten(self._redactor.text(trace), _LONGEST_TRACEBACK).rstrip("\n"), keep="\n"
            )
        return clean


def _exception(found: Any) -> BaseException | None:
    if isinstance(found, BaseException):
        return found
    if isinstance(found, tuple):
        return found[1] if isinstance(found[1], BaseException) else None
    return sys.exc_info()[1] if found else None


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failure:  # noqa: BLE001 -- a foreign error's own text; logging must not fail for it
        return f"<{type(failure).__name__} while it was written>"


def json_line(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    """Render one line with ECS names; our own fields go under `forwarder`, where they cannot collide with ECS."""
    line = {
        "@timestamp": event.pop("timestamp", None),
        "log.level": event.pop("level", None),
        "message": event.pop("event", ""),
        "log.logger": event.pop("logger", None),
        "service.name": "audit-forwarder",
        "ecs.version": _ECS_VERSION,
    }
    for key in ("error.type", "error.message", "error.stack_trace"):
        if key in event:
            line[key] = event.pop(key)
    if event:
        line["forwarder"] = event
    return msgspec.json.encode(line).decode()


class ConsoleLine:
    """Renders a line for people. No markup language is involved, so text from outside has nothing to inject into."""

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours

    def __call__(self, _: Any, __: str, event: MutableMapping[str, Any]) -> str:
        """Return time, level, event, fields and logger; a traceback follows, each of its lines set in by a bar."""
        level = str(event.pop("level", "info"))
        trace = event.pop("error.stack_trace", "")
        moment, name, logger = event.pop("timestamp", ""), event.pop("event", ""), event.pop("logger", "")
        fields = " ".join(f"{self._paint('dim', key)}={value}" for key, value in _flat(event))
        line = (
            f"{self._paint('dim', str(moment))} {self._paint(_STYLES.get(level, ''), f'{level:<8}')} "
            f"{self._paint('bold', f'{name:<28}')} {fields} {self._paint('dim', f'[{logger}]')}"
        )
        return "\n".join([line, *(f"    | {text}" for text in trace.splitlines())])

    def _paint(self, style: Style, text: str) -> str:
        return paint(text, style) if self._colours else text


def _flat(value: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield path and word of every value in nested mappings, such as `sinks.archive.lag` and `0`."""
    if isinstance(value, dict) and value and depth < _DEEPEST:
        for key, inner in value.items() if depth else sorted(value.items()):
            name = _word(key) if "." not in key else json.dumps(key, ensure_ascii=False)
            yield from _flat(inner, f"{path}.{name}" if path else name, depth + 1)
    else:
        yield path, _word(value)


def _word(value: Any) -> str:
    """Return a value, as `Scrubber` leaves it, that cannot be taken for two: anything but a plain word is quoted."""
    if isinstance(value, str) and value and not any(char in " =\"'[]{}\\,()" for char in value):
        return value
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return ",".join(map(_word, value))
    return json.dumps(value, ensure_ascii=False, default=str)
