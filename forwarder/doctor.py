"""`doctor`: looks at every part side by side, each within its time, and says what is wrong and how to fix it.

::

    configuration files · spool (place, room, fsync) · admin port
    source, sink:  the way there (network) ─ open? ─► the component's own probe

Nothing is written at a destination, and nothing of the spool is changed. A part that fails, hangs or raises is its own
finding; the others never notice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from forwarder.admin import probe as admin_port
from forwarder.assembly import build_format_of, build_sink, build_source, examine_spool
from forwarder.config.references import webhooks_of
from forwarder.contracts import Clock, Connects, Finding, ForwarderError, Held
from forwarder.net import reach as network
from forwarder.net.tls import ServerTls
from forwarder.observe.looks import ENOUGH, NO_USER_ACTIVITY, WHAT_USER_ACTIVITY_NEEDS
from forwarder.preflight import certain_to_fail, of_part, unusable_here, worth_a_look
from forwarder.preflight.targets import shared_targets
from forwarder.receiving.secrets import secrets_of
from forwarder.reconcile.coverage import coverage

if TYPE_CHECKING:
    from forwarder.config.problems import Problem
    from forwarder.config.settings import Settings
    from forwarder.spool.contract import SpoolStatus

_SLOW_FIX = "See that it is up and answers; give it more time with --timeout when it is only slow."
_FAULT_FIX = "Report this to who wrote it; nothing else is known."


class Part(msgspec.Struct, frozen=True):
    """Something that is looked at by itself: its name, how, and whether it is a source or a sink."""

    name: str
    look: Callable[[], Awaitable[list[Finding]]]
    kind: Literal["source", "sink", ""] = ""


class Doctor:
    """Looks at everything a configuration names.

    Args:
        settings: What is configured.
        clock: Time.
        spool_status: Asks the spool, or its daemon, how it is; None when there is no spool yet.
        within: Seconds for each part.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        spool_status: Callable[[], Awaitable[SpoolStatus | None]],
        *,
        within: float = 30.0,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._spool_status = spool_status
        self._within = within

    def parts(self) -> list[Part]:
        """Return what there is to look at, in the order of the configuration."""
        found = [Part("configuration", self._in_time(self._configuration)), Part("spool", self._in_time(self._spool))]
        found.append(Part("admin", self._in_time(self._admin)))
        if webhooks_of(self._settings):
            found.append(Part("receiver", self._in_time(self._receiver)))
        found.append(Part("coverage", self._in_time(self._coverage)))
        found += [Part(name, self._looks_at(self._source, name), "source") for name in self._settings.readers]
        return found + [Part(name, self._looks_at(self._sink, name), "sink") for name in self._settings.sinks]

    async def look(
        self, parts: Iterable[Part], done: Callable[[Part], None] = lambda _: None
    ) -> list[tuple[Part, list[Finding]]]:
        """Look at parts side by side; results come in their order.

        Args:
            parts: What to look at.
            done: Called with each that is finished.
        """

        async def one(part: Part) -> tuple[Part, list[Finding]]:
            findings = await self._looked(part)
            done(part)
            return part, findings

        return await asyncio.gather(*(one(part) for part in parts))

    @staticmethod
    async def _looked(part: Part) -> list[Finding]:
        try:
            return await part.look()
        except Held as error:
            return [Finding("state", ok=False, detail=error.reason, fix=error.fix)]
        except ForwarderError as error:
            what, _, fix = str(error).partition(". ")
            return [Finding("settings", ok=False, detail=what, fix=fix or "Correct the setting that this names.")]
        except Exception as error:  # noqa: BLE001 -- a stranger's component may raise anything; its words may hold a secret
            return [Finding("probe", ok=False, detail=f"it failed: {type(error).__name__}", fix=_FAULT_FIX)]

    def _in_time(self, look: Callable[[], Awaitable[list[Finding]]]) -> Callable[[], Awaitable[list[Finding]]]:
        async def within() -> list[Finding]:
            try:
                async with asyncio.timeout(self._within):
                    return await look()
            except TimeoutError:
                return [_slow(self._within)]

        return within

    # ---------------------------------------------------------------------------------------------------- each part

    async def _configuration(self) -> list[Finding]:
        problems = await asyncio.to_thread(lambda: [*certain_to_fail(self._settings), *unusable_here(self._settings)])
        looks = await asyncio.to_thread(worth_a_look, self._settings)
        shared, may_be_meant = await shared_targets(self._settings)
        problems, looks = [*problems, *shared], [*looks, *may_be_meant]
        findings = [*(_finding(each, ok=False) for each in problems), *(_finding(each, ok=True) for each in looks)]
        if problems:
            return findings
        files = f"secrets and TLS files can be read; digest {self._settings.digest()}"
        return [Finding("files", ok=True, detail=files), *findings]

    async def _admin(self) -> list[Finding]:
        return await admin_port.examine(self._settings.admin, self._settings.spool.path)

    async def _receiver(self) -> list[Finding]:
        receiver = self._settings.receiver
        found = await admin_port.examine(
            receiver, self._settings.spool.path, setting="receiver.listen", is_ours=admin_port.anything
        )
        if receiver.cert_file is not None:
            tls = ServerTls(receiver.cert_file, receiver.key_file, receiver.key_password)
            context = await asyncio.to_thread(tls)
            found.append(Finding("tls", ok=True, detail="the certificate and its key can be used"))
            found += await asyncio.to_thread(network.own_certificate, context)
        for name, webhook in webhooks_of(self._settings).items():
            secrets = await asyncio.to_thread(secrets_of, webhook, f"sources.{name}.webhook")
            secret = f"{len(secrets)} secrets" if len(secrets) > 1 else "a secret"
            path = webhook.path_of(name)
            found.append(Finding(name, ok=True, detail=f"receives at {path} with {secret}; not tried from outside"))
        return found

    async def _spool(self) -> list[Finding]:
        state: list[Finding] = []
        status = None
        try:
            status = await self._spool_status()
            if status is not None:
                state = [
                    Finding("state", ok=True, detail=f"{status.last_seq} events so far; lanes: {len(status.lanes)}")
                ]
        except Held as error:
            state = [Finding("state", ok=False, detail=error.reason, fix=error.fix)]
        except ForwarderError as error:
            what, _, fix = str(error).partition(". ")
            state = [Finding("state", ok=False, detail=what, fix=fix or "Do what the message says.")]
        return [*await asyncio.to_thread(examine_spool, self._settings.spool, status), *state]

    async def _coverage(self) -> list[Finding]:
        """Say what is recorded and what is not, of all sources; the events decide what is said of the plan."""
        origins = {}
        for name, config in self._settings.readers.items():
            with suppress(ForwarderError):  # its own part says why
                source = build_source(name, config, self._clock)
                origins[name] = source.origin
                await source.close()
        rows = []
        with suppress(ForwarderError):  # the part of the spool says why
            status = await self._spool_status()
            rows = status.sources if status is not None else []
        return list(coverage(origins, rows))

    async def _source(self, name: str) -> list[Finding]:
        config = self._settings.readers[name]
        if known := await self._known_to_fail(f"sources.{name.partition('/')[0]}"):
            return known
        source = build_source(name, config, self._clock)
        identity = source.origin.identity
        return [*await _looked_at(source, self._within), *await self._of_what_came(identity)]

    async def _of_what_came(self, identity: str) -> list[Finding]:
        """Say what the events that came until now tell of the plan; nothing without a spool."""
        try:
            status = await self._spool_status()
        except ForwarderError:
            return []  # the part of the spool says why
        rows = status.sources if status is not None else ()
        row = next((row for row in rows if row.identity == identity), None)
        if row is None or not row.classified:
            return []
        if row.user_activity:
            return [Finding("user activity", ok=True, detail="it is arriving")]
        if row.classified < ENOUGH:
            return [Finding("user activity", ok=True, detail="none so far, of few events")]
        fix = f"{WHAT_USER_ACTIVITY_NEEDS[:1].upper()}{WHAT_USER_ACTIVITY_NEEDS[1:]}."
        return [Finding("user activity", ok=True, detail=NO_USER_ACTIVITY, fix=fix)]

    async def _sink(self, name: str) -> list[Finding]:
        config = self._settings.sinks[name]
        if known := await self._known_to_fail(f"sinks.{name}"):
            return known
        build_format_of(config)
        return await _looked_at(build_sink(name, config, self._clock), self._within)

    async def _known_to_fail(self, part: str) -> list[Finding]:
        """Return what need not be asked: with a placeholder for a key every server refuses us."""
        problems = of_part(await asyncio.to_thread(certain_to_fail, self._settings), part)
        return [_finding(problem, ok=False) for problem in problems]

    def _looks_at(
        self, look: Callable[[str], Awaitable[list[Finding]]], name: str
    ) -> Callable[[], Awaitable[list[Finding]]]:
        return lambda: look(name)


async def _looked_at(component: Any, within: float) -> list[Finding]:
    """Try the way to every endpoint; ask the component itself when all are open. What was found in time counts."""
    findings: list[Finding] = []
    try:
        async with asyncio.timeout(within):
            endpoints = component.endpoints if isinstance(component, Connects) else ()
            ways = await asyncio.gather(*(network.examine(endpoint) for endpoint in endpoints))
            findings += [finding for way in ways for finding in way]
            if all(finding.ok for finding in findings):
                findings += await component.probe()
    except TimeoutError:
        findings.append(_slow(within))
    finally:
        with suppress(ForwarderError):  # it is not needed any more
            await component.close()
    return findings


def _finding(problem: Problem, *, ok: bool) -> Finding:
    fix = f"{problem.fix[:1].upper()}{problem.fix[1:]}{'' if problem.fix.endswith('?') else '.'}" if problem.fix else ""
    return Finding(problem.path, ok=ok, detail=problem.what, fix=fix)


def _slow(within: float) -> Finding:
    return Finding("answer", ok=False, detail=f"not finished within {within:g} s", fix=_SLOW_FIX)
