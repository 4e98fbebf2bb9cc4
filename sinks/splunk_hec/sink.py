"""Sends events to Splunk's HTTP Event Collector, on `/event` or `/raw`, with or without indexer acknowledgement.

Invariant: an event is accepted when Splunk said so for its request, and with `acknowledge` only when an indexer has
confirmed it; an answer that cannot be read, or is not about these events, accepts nothing. Splunk knows no ids, so what
may come twice is said to be doubtful before it is sent again.

The parts: `answers` (reply codes), `envelope`, `acks` and `channel` (acknowledgement), `client`, `probe`, `settings`.
The search for a bad event is the lane's; only a refused index is found out here, since it holds its own events alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from forwarder.contracts import (
    Batch,
    ContentRefused,
    Delivery,
    Endpoint,
    Finding,
    ForwarderError,
    Held,
    OldTimes,
    Origin,
    PayloadTooLarge,
    Receipt,
    Record,
    Rejection,
    Retryable,
    SinkContext,
)
from forwarder.net.compression import Compressed, compressed
from sinks.splunk_hec.acks import Acknowledgements
from sinks.splunk_hec.answers import ADVICE, INDEX_FIX, Answer, interpret, parse_reply
from sinks.splunk_hec.channel import Channel
from sinks.splunk_hec.client import Slot
from sinks.splunk_hec.envelope import Wrapper, refused
from sinks.splunk_hec.probe import probe
from sinks.splunk_hec.search import spl
from sinks.splunk_hec.settings import SplunkHecConfig, index_label

Positions = Sequence[int]
"""Of records in a batch."""

_DAY = 86_400.0
_QUARANTINE = OldTimes(
    900 * _DAY,
    "Splunk keeps apart (quarantinePastSecs of the index)",
    "raise quarantinePastSecs and frozenTimePeriodInSecs of the index before an older archive is imported.",
)
_FOUND_BY_SPLUNK = OldTimes(
    3600.0,
    "Splunk finds the time itself, and may not believe (MAX_DIFF_SECS_AGO, and MAX_DAYS_AGO with 2000 days)",
    "use endpoint: event, which sends the time; or raise both in props.conf for the sourcetype.",
)
"""By its documentation (props.conf, indexes.conf), with its defaults."""


class _Outcome:
    """What was decided of a batch so far, by position, and why some are held."""

    def __init__(self, rejected: dict[int, Rejection]) -> None:
        self.accepted: list[int] = []
        self.pending: dict[int, Receipt] = {}
        self.rejected = rejected
        self.held: Held | None = None
        self.retry_after: float | None = None

    @property
    def taken(self) -> bool:
        """Whether Splunk took anything."""
        return bool(self.accepted or self.pending)

    def delivery(self, error: ForwarderError | None = None) -> Delivery:
        """Return it as a delivery; `error` is why some are kept."""
        again = error if isinstance(error, Retryable | ContentRefused) else None
        wait = error.retry_after if isinstance(error, Retryable) else self.retry_after if error is None else None
        return Delivery(
            accepted=self.accepted,
            rejected=self.rejected,
            pending=self.pending,
            doubtful=again is not None and again.sent,
            retry_after=wait,
            reason="" if error is None else str(error),
        )


class SplunkHecSink:
    """One request per batch and slot, several where events go to different places or one of them is bad."""

    Config: ClassVar[type[SplunkHecConfig]] = SplunkHecConfig
    default_format: ClassVar[str] = "raw"
    unverifiable: ClassVar[str] = "the collector takes events and cannot search them; run the search that is printed"
    wants_event: ClassVar[bool] = True
    advice: ClassVar[Mapping[str, str]] = ADVICE
    proof: Literal["delivered", "received", "none"] = "received"

    def __init__(self, config: SplunkHecConfig, context: SinkContext) -> None:
        self._config = config
        self._clock = context.clock
        # One client per slot, and one for the probe, so that it never waits for a send.
        self._slots = [Slot(number, config, context.clock) for number in range(context.slots + 1)]
        self._acks = Acknowledgements(self._slots, context.clock, context.name) if config.acknowledge else None
        self._wrapper = Wrapper(config, config.format or self.default_format, is_json=context.format.writes == "json")
        self._as_lines = config.endpoint == "raw"
        parts = urlsplit(config.url.rstrip("/"))
        self._place = f"{parts.netloc}{parts.path}"
        self.max_body = config.max_event
        self.old_times = _FOUND_BY_SPLUNK if self._as_lines else _QUARANTINE
        if config.acknowledge:
            self.proof = "delivered"

    @property
    def target(self) -> str:
        """Host, path prefix and index."""
        return f"splunk_hec:{self._place}/{index_label(self._config.index)}"

    @property
    def endpoints(self) -> list[Endpoint]:
        """Where it connects to."""
        return [Endpoint.of_url(self._config.url, self._config.tls, self._config.http)]

    async def send(self, batch: Batch) -> Delivery:
        """Send the batch, in parts where it has to be.

        Raises:
            AuthFailed, Held: The token is refused or cannot be read, or Splunk needs a person's help.
            PayloadTooLarge: The server refuses the size.
            ContentRefused: Splunk refuses an event of the batch.
            Retryable: Splunk is busy, or its answer does not say what became of the batch.
        """
        records, slot = batch.records, self._slots[batch.slot]
        outcome = _Outcome(refused(records, as_lines=self._as_lines))
        positions: Positions = range(len(records))
        if outcome.rejected:
            positions = [position for position in positions if position not in outcome.rejected]
        try:
            for part in self._parts(slot, records, positions):
                await self._send_part(slot, records, part, outcome)
            if outcome.held is not None:
                raise outcome.held
        except (Retryable, Held, PayloadTooLarge, ContentRefused) as error:
            if not (outcome.taken or outcome.rejected):
                raise
            return outcome.delivery(error)
        slot.by_index = False
        if len(outcome.accepted) == len(records):
            return Delivery(range(len(records)), retry_after=outcome.retry_after)
        return outcome.delivery()

    async def confirm(self, receipts: Sequence[Receipt]) -> Mapping[Receipt, bool]:
        """Return True for what is indexed and False for what can never be told any more; the others are left out.

        Raises:
            Held, Retryable: Nothing could be learned.
        """
        return {} if self._acks is None else await self._acks.confirm(receipts)

    async def probe(self) -> list[Finding]:
        """Ask for health, try the token with a request without events, and ask whether it has acknowledgement."""
        return await probe(self._slots[-1], self._config, self._place, self._clock.time())

    def search(self, origin: Origin, day: str) -> str:
        """Return the SPL that lists what is there; raises Held when events carry no id that can be listed."""
        return spl(self._config, origin, day)

    async def close(self) -> None:
        """Close the connections. Safe to call twice."""
        for slot in self._slots:
            await slot.close()

    # -------------------------------------------------------------------------------------------------------- a part

    def _parts(self, slot: Slot, records: Sequence[Record], positions: Positions) -> Iterable[Positions]:
        """Return what goes into one request each: on `/raw`, metadata is that of the request."""
        if not positions or not (self._as_lines or slot.by_index):
            return [positions] if positions else []
        groups: dict[object, list[int]] = {}
        for position in positions:
            metadata = self._wrapper.metadata(records[position])
            groups.setdefault(metadata.head if self._as_lines else metadata.index, []).append(position)
        return groups.values()

    async def _send_part(self, slot: Slot, records: Sequence[Record], part: Positions, outcome: _Outcome) -> None:
        """Send one request and note what became of it. Raises when that is not decided, as `send` does.

        Splunk reads a request as a stream: what stands before a bad event may be indexed already.
        """
        answer, channel = await self._post(slot, records, part)
        fate = answer.fate
        if fate.verdict in {"taken", "slow"}:
            self._take(slot, part, answer, channel, outcome)
        elif fate.verdict == "isolate" and len(part) == 1 and outcome.taken:
            outcome.rejected[part[0]] = Rejection(fate.meaning, answer.words)
        elif fate.verdict == "isolate":
            named = answer.number if answer.number is not None and 0 <= answer.number < len(part) else None
            position = part[0] if len(part) == 1 else None if named is None else part[named]
            raise ContentRefused(fate.meaning, answer.words, sent=len(part) > 1, position=position)
        elif len({self._wrapper.metadata(records[position]).index for position in part}) == 1:
            index = self._wrapper.metadata(records[part[0]]).index or "the token's default"
            outcome.held = Held(f"{fate.meaning} ({index})", fix=INDEX_FIX, kind="forbidden")
        else:
            slot.by_index = True
            raise Retryable(f"Splunk refuses an index of the batch: {answer.words}", kind="partial", sent=True)

    def _take(self, slot: Slot, part: Positions, answer: Answer, channel: Channel | None, outcome: _Outcome) -> None:
        """Note that Splunk took a part: as accepted, or with a receipt."""
        if self._acks is None or channel is None:
            outcome.accepted += part
        else:
            outcome.pending |= dict.fromkeys(part, self._acks.promise(slot, channel, answer))
        if answer.retry_after is not None:
            outcome.retry_after = max(answer.retry_after, outcome.retry_after or 0.0)

    def _content(self, records: Sequence[Record]) -> bytes | Compressed:
        if self._as_lines:
            content = b"".join([record.body + b"\n" for record in records])
        else:
            content = b"\n".join(map(self._wrapper.wrap, records))
        return compressed(content) if self._config.compress else content

    async def _post(self, slot: Slot, records: Sequence[Record], part: Positions) -> tuple[Answer, Channel | None]:
        """Send a part once; return the answer, and the channel in which it is to be acknowledged."""
        query = self._wrapper.metadata(records[part[0]]).query() if self._as_lines else None
        content = self._content([records[position] for position in part])
        channel = None if self._acks is None else await self._acks.channel(slot)
        try:
            response = await slot.ask(
                "POST",
                self._config.endpoint,
                channel=channel,
                params=query,
                content=content,
            )
        except BaseException as error:
            if channel is not None and not (isinstance(error, Retryable | ContentRefused) and not error.sent):
                slot.channels.cut(channel)
            raise
        foreign = parse_reply(response) is None and (response.status == 200 or response.status >= 500)
        if channel is not None and (foreign or 200 < response.status < 300):
            slot.channels.cut(channel)  # something before Splunk answered, and no one knows what Splunk did
        return interpret(response, self._clock.time()), channel
