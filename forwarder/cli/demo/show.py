"""`demo`: the main job on this machine, with the faults that matter, judged by the simulator's ledger.

This process holds a simulated Atlassian and strict receivers (`demo_places`); the daemon is a process of its own, so
that it can be killed like one. Everything is on loopback and in a folder of its own. Nothing is claimed that
the far ends do not show: the table at the end compares what existed with what the receivers and the file hold.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import yaml

from forwarder.cli.demo.browser import open_page
from forwarder.cli.demo.far_ends import Destinations
from forwarder.cli.demo.progress import STILL, Standstill, Watch
from forwarder.cli.demo.verdict import compare, places_rows, print_verdict
from forwarder.cli.terminal import console, print_line
from forwarder.exit_codes import ExitCode
from simulator.config import RateLimits, SimulatorConfig, Switches
from simulator.faults import What
from simulator.simulator import Simulator

HISTORY_EVENTS = 12_000
LIVE_EVERY, LIVE_EVENTS = 0.25, 25
SIMULATED = SimulatorConfig(
    events=HISTORY_EVENTS,
    late_share=0.02,
    limits=RateLimits(stream=1200, events=10, shape="seconds"),
    switches=Switches(late_visible=2, late_visible_share=0.02, reissue=0.002),
)
TOLD_EVERY = 10.0
"""Seconds between two lines about how far a step is, where there is no terminal."""


class Demo:
    """One showing.

    Args:
        folder: Where configuration, spool, log and output go.
        simulated: The organization; default: a usual week.
        still: Seconds without any movement until something is called missing; default: as long as it takes.
    """

    def __init__(self, folder: Path, *, simulated: SimulatorConfig = SIMULATED, still: float = STILL) -> None:
        self.folder = folder
        self.simulator = Simulator(simulated)
        self._history = simulated.events
        self.places = Destinations(folder)
        self._watch = Watch(self._counts, self._shown, still=still)
        self._reads_behind = False
        self._looks: asyncio.Task[None] | None = None
        self.config = folder / "config.yaml"
        self._daemon: asyncio.subprocess.Process | None = None
        self._live: asyncio.Task[None] | None = None
        self._admin = 0

    async def run(self, *, keep: bool) -> ExitCode:
        """Show it all; `keep` stays up at the end until Ctrl-C."""
        async with self.simulator, self.places:
            held = self._hold_port()
            try:
                return await self._show(keep=keep)
            finally:
                held.close()
                for task in (self._live, self._looks):
                    if task is not None:
                        task.cancel()
                await self._kill()

    def _hold_port(self) -> socket.socket:
        """Keep a port for the daemon: bound and not listening, and both sides allow that it is used once more."""
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        self._admin = held.getsockname()[1]
        return held

    async def _show(self, *, keep: bool) -> ExitCode:
        self._write_config()
        print_line(f"A simulated Atlassian organization with {self._history} events of the last 7 days listens on")
        print_line(f"  {self.simulator.base_url}; strict receivers play Elasticsearch, Splunk and a syslog SIEM.")
        print_line(f"The configuration, {self.config}:")
        print_line()
        for line in self.config.read_text().splitlines():
            print_line(f"    {line}")
        print_line()
        await self._step("audit-forwarder setup puts the index template", self._setup)
        self._live = asyncio.create_task(self._generate_events())
        self._looks = asyncio.create_task(self._watch_walks())
        await self._step("audit-forwarder run begins; live events first, history behind them", self._begin)
        await self._step("the API fails: 503, 429, HTML, cut and reset answers", self._fail_the_api)
        await self._step("the daemon is killed (kill -9) in the middle, and started again", self._kill_and_resume)
        await self._step(
            "Elasticsearch is busy, Splunk restarts, the syslog connection breaks; the file does not notice",
            self._fail_the_places,
        )
        await self._step("the API forgets our cursor: the tail goes on, a heal reads 24 hours again", self._lose_cursor)
        await self._step("the last events happen, and everything arrives", self._finish, or_else=False)
        if keep:
            await self._stay()
        await self._step("SIGTERM: the daemon drains and ends", self._stop)
        spool = self.folder / "state" / "spool.db"
        rows = await compare(self.simulator.ledger, self.places, spool)
        return print_verdict(rows)

    # -------------------------------------------------------------------------------------------------------- the acts

    async def _setup(self) -> str:
        await self._command("setup", "--yes")
        return "logs-atlassian.audit is there"

    async def _begin(self) -> str:
        await self._start()
        await self._until(lambda: self._delivered() > self._history // 6)
        return f"{self._delivered()} events delivered so far"

    async def _fail_the_api(self) -> str:
        kinds: list[tuple[What, dict[str, Any]]] = [
            ("server_error", {"times": 2}),
            ("rate_limit", {"times": 1, "shape": "retry_after", "wait": 1}),
            ("html", {"times": 1}),
            ("login_page", {"times": 1}),
            ("truncated", {"times": 1}),
            ("reset_mid", {"times": 1}),
        ]
        for what, more in kinds:
            wanted = self.simulator.faults.fired(what) + more["times"]
            self.simulator.faults.add(what, **more)
            await self._until(partial(self._has_fired, what, wanted))
            good = self._delivered()
            await self._until(lambda good=good: self._delivered() > good)  # type: ignore[misc]
        return f"{len(kinds)} kinds of failure; delivery goes on at {self._delivered()}"

    async def _kill_and_resume(self) -> str:
        await self._kill()
        held = self._delivered()
        self.simulator.add_events(500)
        await self._start()
        await self._until(lambda: self._delivered() > held + 500)
        return f"killed with {held} delivered, resumed; now {self._delivered()}"

    async def _fail_the_places(self) -> str:
        lines = self.places.in_file().total()
        await self.places.fail()
        self.simulator.add_events(800)
        await self._until(lambda: self.places.have_failed() and self.places.in_file().total() >= lines + 800)
        return "429 and 413, lost acknowledgements, a reset: what has no answer is sent again, and is on record first"

    async def _lose_cursor(self) -> str:
        self.simulator.faults.add("cursors_lost")
        while not (status := await asyncio.to_thread(self._ask_status)) or not status["spool"]["gaps"]:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        return "a gap is on record until the heal has closed it"

    async def _finish(self) -> str:
        if self._live is not None:
            self._live.cancel()
        self.simulator.add_events(200)
        await self._until(self._is_complete)
        await self._until_healed()
        return f"{len(self.places.in_file())} events in the file, {len(self.places.in_elastic())} in Elasticsearch"

    def _is_complete(self) -> bool:
        # Some are issued again or become visible late, so the truth itself still grows for a moment. The last two look
        # at every event, which would take the machine from those who still work.
        return self.places.fewest() >= self._existing() and not self._missing() and self._is_in_all()

    def _is_in_all(self) -> bool:
        return not any(row.missing for row in places_rows(self.simulator.ledger, self.places))

    def _missing(self) -> list[str]:
        """Return the ids of events that the file does not hold in every content they had."""
        held = set(self.places.in_file())
        versions = self.simulator.ledger.versions()
        return [ident for ident, found in versions.items() if any(version.digest not in held for version in found)]

    async def _stay(self) -> None:
        print_line()
        open_page(page := f"http://127.0.0.1:{self._admin}/")
        print_line(f"Staying up. The page that says how it goes: {page}, metrics: {page}metrics")
        print_line(f"Status: {_command_line()} status -c {self.config}")
        print_line("Ctrl-C ends it, and shows the table.")
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, ended.set)
        self._live = asyncio.create_task(self._generate_events())
        await ended.wait()
        loop.remove_signal_handler(signal.SIGINT)
        self._live.cancel()
        await self._step("the last events arrive", self._finish, or_else=False)

    async def _stop(self) -> str:
        assert self._daemon is not None  # noqa: S101 -- started two acts ago
        self._daemon.terminate()
        code = await self._daemon.wait()
        self._daemon = None
        if code != 0:
            raise DemoError(f"the daemon ended with code {code}; its log is {self.folder / 'daemon.log'}")
        return "exit code 0"

    # ------------------------------------------------------------------------------------------------------ the daemon

    def _write_config(self) -> None:
        config = {
            "spool": {"path": str(self.folder / "state" / "spool.db")},
            "sources": {
                "acme": {
                    "type": "organization",
                    "org_id": self.simulator.org_id,
                    "api_key": self.simulator.api_key,
                    "base_url": self.simulator.base_url,
                    "since": "8d",  # the history reaches 7 days back from a moment that is a little earlier
                    "every": "1s",
                    # Less than the usual ten minutes, which hold tens of thousands of events here.
                    "trailing": "20s",
                    "trailing_every": "5s",
                }
            },
            "sinks": self.places.sinks(),
            "admin": {"listen": f"127.0.0.1:{self._admin}", "acts_without_token": True},
        }
        self.config.write_text(yaml.safe_dump(config, sort_keys=False, default_flow_style=None, width=110))
        self.config.chmod(0o600)

    async def _start(self) -> None:
        log = (self.folder / "daemon.log").open("ab")
        self._daemon = await asyncio.create_subprocess_exec(
            *_SELF,
            "run",
            "-c",
            str(self.config),
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=_clean_environment(),
        )
        log.close()

    async def _kill(self) -> None:
        if self._daemon is not None and self._daemon.returncode is None:
            self._daemon.kill()
            await self._daemon.wait()
        self._daemon = None

    async def _command(self, *words: str) -> None:
        process = await asyncio.create_subprocess_exec(
            *_SELF,
            *words,
            "-c",
            str(self.config),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=_clean_environment(),
        )
        output, _ = await process.communicate()
        if process.returncode != 0:
            raise DemoError(f"audit-forwarder {' '.join(words)} failed: {output.decode(errors='replace')}")

    # ------------------------------------------------------------------------------------------------------- the truth

    async def _generate_events(self) -> None:
        while True:
            self.simulator.add_events(LIVE_EVENTS)
            await asyncio.sleep(LIVE_EVERY)

    def _has_fired(self, what: str, times: int) -> bool:
        return self.simulator.faults.fired(what) >= times

    def _existing(self) -> int:
        """Return how many contents exist, those that no one can see yet included."""
        return sum(map(len, self.simulator.ledger.bodies().values()))

    def _counts(self) -> tuple[int, ...]:
        """Return what only moves when something gets on: events that are new somewhere, and faults that were played.

        What the API serves moves by itself, for the newest ten minutes are read again and again; only while history or
        a gap is read, most of which may be known, it is the one thing that shows it.
        """
        ledger = self.simulator.ledger
        served = ledger.served_events if self._reads_behind else 0
        return (*self.places.counts().values(), ledger.faults.total(), served)

    def _shown(self) -> str:
        counts = self.places.counts()
        return f"{self._existing()} events; " + ", ".join(f"{name} has {count}" for name, count in counts.items())

    def _delivered(self) -> int:
        return self.places.fewest()

    async def _until_healed(self) -> None:
        while not (status := await asyncio.to_thread(self._ask_status)) or status["spool"]["open_gaps"]:  # noqa: ASYNC110
            await asyncio.sleep(0.2)

    async def _watch_walks(self) -> None:
        """Keep in mind whether history or a gap is being read."""
        while True:
            status = await asyncio.to_thread(self._ask_status)
            sources = status["sources"] if status else []
            readers = [each["reader"] for source in sources for each in source.get("readers") or ()]
            self._reads_behind = bool({"backfill", "heal"} & set(readers))
            await asyncio.sleep(1.0)

    def _ask_status(self) -> Any:
        with (
            contextlib.suppress(OSError, msgspec.DecodeError),
            socket.create_connection(("127.0.0.1", self._admin), 5) as connection,
        ):
            connection.sendall(b"GET /status HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
            return msgspec.json.decode(answer.partition(b"\r\n\r\n")[2])
        return None

    # ---------------------------------------------------------------------------------------------------- small things

    async def _step(self, what: str, act: Callable[[], Awaitable[str]], *, or_else: bool = True) -> None:
        """Run a step and show how far it is; with `or_else` false a standstill is said, and the show goes on."""
        screen = console()
        try:
            if screen.is_terminal:
                with screen.status(what) as spinner:
                    result = await self._watch.run(act, lambda shown: spinner.update(f"{what} ({shown})"))
                print_line(f"• {what}")
            else:
                print_line(f"• {what}")
                result = await self._watch.run(act, _now_and_then(TOLD_EVERY))
        except Standstill as still:
            if or_else:
                raise
            missing = self._missing()
            result = f"{still}; {len(missing)} events are not in the file: {' '.join(missing[:5])}"
        print_line(f"    {result}")

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            if self._daemon is not None and self._daemon.returncode is not None:
                raise DemoError(f"the daemon ended by itself; its log is {self.folder / 'daemon.log'}")
            await asyncio.sleep(0.1)


def _now_and_then(every: float) -> Callable[[str], None]:
    """Return what prints a line about how far a step is, but not at every look."""
    last = time.monotonic()

    def show(shown: str) -> None:
        nonlocal last
        if time.monotonic() - last >= every:
            last = time.monotonic()
            print_line(f"    … {shown}")

    return show


class DemoError(Exception):
    """The showing went wrong; the message says where to look."""


_SELF = (sys.executable, "-m", "forwarder.cli.app")


def _clean_environment() -> dict[str, str]:
    """Return the environment without settings of a real forwarder on this machine."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FORWARDER_")}


def _command_line() -> str:
    """Return what to type for this very command; in a venv that is not active its name alone is not found."""
    script = Path(sys.executable).parent / "audit-forwarder"
    return str(script) if script.exists() and shutil.which("audit-forwarder") is None else "audit-forwarder"


def run_demo(*, keep: bool) -> ExitCode:
    """Run the demo in a folder of its own, and remove it unless something went wrong or `keep` is set."""
    folder = Path(tempfile.mkdtemp(prefix="audit-forwarder-demo-"))
    code = ExitCode.UNEXPECTED
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))  # the daemon it started ends with it
    try:
        code = asyncio.run(Demo(folder).run(keep=keep))
    except (DemoError, Standstill) as error:
        print_line(f"The demo did not come to its end: {error}. Look into {folder}.")
    finally:
        if code == ExitCode.OK and not keep:
            shutil.rmtree(folder)
        else:
            print_line(f"Everything is in {folder}.")
    return code
