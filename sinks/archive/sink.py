"""Keeps events for years: what the API sent, in immutable objects in a folder or bucket, chained by digests.

Invariant: an event is confirmed when the object that holds it is durable. Segments are gathered (`segments`), told from
what is stored already (`known`), and noted for the digest of their hour (`forwarder.archive.chain`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import ClassVar, Literal

from forwarder.archive.chain import ArchiveKeys, HourDigests
from forwarder.archive.evidence import Evidence
from forwarder.archive.kept import KeptArchive
from forwarder.archive.retention import Retention
from forwarder.contracts import (
    Asked,
    Batch,
    ConfigError,
    Delivery,
    Finding,
    ForwarderError,
    Held,
    Receipt,
    Retryable,
    SinkContext,
)
from forwarder.contracts.log import get_logger
from sinks.archive.kept import held
from sinks.archive.known import Known
from sinks.archive.probe import examine
from sinks.archive.segments import Segments
from sinks.archive.settings import ArchiveConfig

_LONGEST_LOOK = 1.0  # seconds between two looks whether something is due
_LONGEST_REST = 30.0  # seconds between two tries while nothing can be stored
_DELETE_EVERY = 3600.0  # seconds between two looks whether a month is old enough
_LAST = 5.0  # seconds for what `close` may still store


class ArchiveSink:
    """Objects of evidence, and a digest of every hour."""

    Config: ClassVar[type[ArchiveConfig]] = ArchiveConfig
    default_format: ClassVar[str] = "raw"
    ids_at_once: ClassVar[int] = 200_000
    proof: ClassVar[Literal["delivered", "received", "none"]] = "delivered"

    def __init__(self, config: ArchiveConfig, context: SinkContext) -> None:
        if config.format not in {None, "raw"} or config.original:
            raise ConfigError("evidence is kept as it came; leave format and original out", setting="format")
        if config.fields.rename or config.fields.drop or config.fields.add:
            fix = "leave fields out, and let privacy say what is not kept"
            raise ConfigError(f"evidence is kept as it came; {fix}", setting="fields")
        self._config = config
        self._clock = context.clock
        self._store = config.open_store()
        self._evidence = Evidence(self._store)
        self._digests: HourDigests | None = None
        self._segments: Segments | None = None
        self._lock = asyncio.Lock()  # two that list and store at once would each store what the other does
        self._timer: asyncio.Task[None] | None = None
        self._deleting: asyncio.Task[None] | None = None
        self._trouble: Retryable | Held | None = None
        self._log = get_logger().bind(sink=context.name)
        self._closed = False

    @property
    def target(self) -> str:
        """The folder, or the bucket and prefix."""
        return f"archive:{self._store.place}"

    @property
    def gathers_for(self) -> float:
        """How long a segment may grow, seconds."""
        return self._config.every

    @property
    def head(self) -> str | None:
        """The SHA-256 of the newest digest."""
        found = self._digests.head if self._digests is not None else None
        return found.sha256 if found is not None else None

    @property
    def kept(self) -> KeptArchive:
        """What the commands of an archive need."""
        config = self._config
        return KeptArchive(self._store, ArchiveKeys(config.key_file, config.old_key_file), config.retain_months)

    def belongs_to(self, spool: str) -> None:
        """Take the id of the spool that the numbers of events are of, and write digests from now on."""
        config, keys = self._config, self.kept.keys
        self._digests = HourDigests(self._store, spool, keys, take_over=config.take_over)
        if config.retain_months is not None:
            retention = Retention(self._store, config.retain_months, keys)
            self._deleting = asyncio.get_running_loop().create_task(self._delete_often(retention))
        known = Known(self._evidence)
        self._segments = Segments(
            self._store, known, self._digests, clock=self._clock, every=config.every, size=config.size
        )
        self._timer = asyncio.get_running_loop().create_task(self._look_often())

    async def send(self, batch: Batch) -> Delivery:
        """Take a batch into segments. Raises what the store and the chain raise; then nothing more is taken."""
        if self._segments is None:  # sent to without a daemon around it
            self.belongs_to("")
        segments = self._gathered()
        async with self._lock:
            try:
                await self._attempt(segments.begin)
            except Retryable as error:  # of these events nothing was sent yet
                raise Retryable(str(error), kind=error.kind, suspect=False, fix=error.fix) from error
            tokens = await segments.take(batch.records)
            with suppress(Retryable, Held):  # raised by the next send; what was taken is gathered
                await self._attempt(segments.begin)
            stored = {token for token in set(tokens) if token is None or segments.is_stored(token)}
        receipts = {token: Receipt(0, str(token)) for token in set(tokens) - stored}
        pending = {position: receipts[token] for position, token in enumerate(tokens) if token in receipts}
        accepted = [position for position, token in enumerate(tokens) if token in stored]
        return Delivery(accepted=accepted, pending=pending, duplicates=tokens.count(None))

    async def confirm(self, receipts: Sequence[Receipt]) -> Mapping[Receipt, bool]:
        """Return True for what is stored. Raises what storing failed with when nothing is."""
        segments = self._gathered()
        answers = {receipt: True for receipt in receipts if segments.is_stored(int(receipt.token))}
        if not answers and receipts and self._trouble is not None:
            raise self._trouble
        return answers

    def warning(self) -> tuple[str, str] | None:
        """Return why nothing can be stored at present."""
        trouble = self._trouble
        if trouble is None:
            return None
        return (trouble.reason if isinstance(trouble, Held) else str(trouble)), trouble.fix

    async def finish(self) -> None:
        """Store what is gathered."""
        if self._segments is not None:
            await self._store_due(everything=True)

    async def holds(self, asked: Asked) -> Collection[str]:
        """Read the evidence of the asked source. Raises Held when an object of it cannot be read."""
        return await held(self._evidence, asked)

    async def probe(self) -> list[Finding]:
        """Say whether the archive can be read and written, without writing."""
        return await examine(self._store, self.kept.keys)

    async def close(self) -> None:
        """Store what can be stored in time; the rest is sent again after the next start."""
        if self._closed:
            return
        self._closed = True
        for task in (self._timer, self._deleting):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        try:
            with suppress(TimeoutError, Retryable, Held):
                await asyncio.wait_for(self.finish(), _LAST)
        finally:
            await self._store.close()

    def _gathered(self) -> Segments:
        if self._segments is None:
            raise Held("Nothing was sent to this archive.", fix="Report this: it is a fault of the forwarder.")
        return self._segments

    async def _look_often(self) -> None:
        """Store what is due, and write the digests of hours that are over, until the sink closes."""
        usual = rest = min(self._config.every / 4, _LONGEST_LOOK)
        while True:
            try:
                await self._store_due()
                rest = usual
            except (Retryable, Held):  # shown by `warning`, and raised by the next send
                rest = min(2 * rest, _LONGEST_REST)
            await asyncio.sleep(rest)

    async def _delete_often(self, retention: Retention) -> None:
        """Delete what is old enough, once an hour, until the sink closes; what cannot be is tried again."""
        while True:
            await asyncio.sleep(_LONGEST_LOOK)
            if self.head is None:  # not open: it may be another daemon's
                continue
            try:
                await retention.run(self._clock.time())
            except ForwarderError as error:
                self._log.warning("evidence_not_deleted", reason=str(error))
            except Exception:  # noqa: BLE001 -- a fault of ours in it must end neither it nor the sink
                self._log.exception("evidence_not_deleted")
            await asyncio.sleep(_DELETE_EVERY)

    async def _store_due(self, *, everything: bool = False) -> None:
        segments = self._gathered()
        async with self._lock:
            await self._attempt(lambda: segments.store_due(everything=everything))

    async def _attempt(self, act: Callable[[], Awaitable[None]]) -> None:
        """Do what may fail, and remember how it failed."""
        try:
            await act()
        except (Retryable, Held) as error:
            self._trouble = error
            raise
        except Exception as error:
            self._log.exception("archive_failed")
            self._trouble = Retryable(f"the archive failed: {type(error).__name__}", suspect=False)
            raise self._trouble from error
        self._trouble = None
