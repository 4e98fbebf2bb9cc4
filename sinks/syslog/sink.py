"""Sends events to a syslog receiver: UDP, TCP, TLS, or RELP; RFC 5424 or 3164.

What an acceptance is worth depends on the transport: RELP answers for every message (`delivered`), the others never do
(`none`). TCP and TLS therefore believe a batch only after a while and have it sent again after a break. Messages are
made in `syslog_message`, connections are `syslog_stream`, `relp` and `syslog_datagram` over `syslog_pipe`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, ClassVar, Literal, Protocol
from urllib.parse import urlsplit

from forwarder.contracts import (
    Batch,
    ByteSize,
    ConfigError,
    Delivery,
    Duration,
    Endpoint,
    Finding,
    Receipt,
    Record,
    Rejection,
    SinkConfig,
    SinkContext,
    TlsConfig,
    Within,
)
from forwarder.contracts.declared import AfterValidator, Field, PydanticCustomError, model_validator
from forwarder.net.addresses import is_loopback
from sinks.syslog.address import Place, Times
from sinks.syslog.connection import Pipe
from sinks.syslog.datagram import DatagramSlot
from sinks.syslog.habits import Habits
from sinks.syslog.message import FRAMINGS, Composer, unknown_words
from sinks.syslog.probe import probe
from sinks.syslog.relp_slot import RelpSlot
from sinks.syslog.stream import MOST_OPEN, StreamSlot

_SETTLE = 0.25
"""Shortest wait after a TLS handshake for a refusal of our certificate, seconds."""


def _address(text: str) -> str:
    try:
        parts = urlsplit(text)
        good = parts.scheme in {"udp", "tcp", "tls", "relp", "relps"} and parts.hostname and parts.port
    except ValueError:
        good = False
    if not good or parts.path or parts.query or parts.fragment or "@" in text or not text.isascii():
        raise PydanticCustomError(
            "address", "not an address; write udp://, tcp://, tls://, relp:// or relps://host:port"
        )
    return text


def _header(text: str) -> str:
    if unknown := unknown_words(text):
        raise PydanticCustomError(
            "header", "{word} is not known here; write action, product, organization or site", {"word": unknown[0]}
        )
    return text


HeaderText = Annotated[str, AfterValidator(_header)]


class SyslogConfig(SinkConfig):
    """Settings of a `syslog` sink."""

    type: Literal["syslog"] = "syslog"
    """Which kind of sink this is."""
    address: Annotated[str, AfterValidator(_address)]
    """Where to send, `scheme://host:port`: `tls` and `tcp` (a stream without answers), `relps` and `relp` (every
    message is answered; TLS with the s), or `udp`."""
    protocol: Literal["rfc5424", "rfc3164"] = "rfc5424"
    """Which header is written. The times of `rfc3164` are UTC, and have no year and no zone."""
    framing: Literal["octet-counting", "newline"] | None = None
    """How messages of a stream are separated; default: `octet-counting` for `tls`, `newline` for `tcp`. Ignored by
    `relp` and `udp`, which have frames of their own."""
    facility: Annotated[int, Field(ge=0, le=23)] = 13
    """Facility: 13 log audit, 10 authpriv, 4 auth, 16 to 23 local0 to local7."""
    hostname: HeaderText | None = None
    """HOSTNAME; default: the name of this machine. This and the next three may hold `{action}`, `{product}`,
    `{organization}` and `{site}`; what a header cannot carry becomes `_`."""
    app_name: HeaderText = "atlassian-audit"
    """APP-NAME; of `rfc3164` the tag."""
    procid: HeaderText = "-"
    """PROCID; of `rfc3164` the number in brackets behind the tag."""
    msgid: HeaderText = "{action}"
    """MSGID; not in `rfc3164`."""
    bom: bool = False
    """Put a byte order mark before the message, as RFC 5424 asks for; many receivers then see no JSON and no CEF."""
    max_message_bytes: Annotated[ByteSize, Within("1KiB", "16MiB")] = 8192
    """Longest message with its header. The format shortens what is longer and marks it. Receivers cut or drop beyond
    their own limit: rsyslog 8 KiB (`maxMessageSize`), syslog-ng 64 KiB (`log-msg-size`), UDP 65507 bytes."""
    resend: Annotated[Duration, Within("1ms", "1h", zero=True)] = 5.0
    """For `tcp` and `tls`: how long a connection must stay well behind a batch until the batch counts as accepted;
    after a break what is younger is sent again. Shorter by itself for a receiver that ends quiet connections sooner,
    empty ones too. 0 believes every write."""
    records_per_connection: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """For `tcp` and `tls`: most records on one connection, which is then ended in order; default: any number, and fewer
    while the receiver ends connections early."""
    relp_window: Annotated[int, Field(ge=1, le=10_000)] = 128
    """For `relp` and `relps`: most messages without an answer."""
    relp_patience: Annotated[Duration, Within("10ms", "30d")] = 300.0
    """For `relp` and `relps`, instead of `patience` unless only that is set: how long a record is refused alone, again
    and again, while the receiver takes others, before it becomes a dead letter. While it takes nothing, none does."""
    udp_rate: Annotated[int, Field(ge=1, le=1_000_000)] = 2000
    """For `udp`: most messages a second and connection. A receiver drops what comes faster than it reads, and no one is
    informed; Atlassian's own log grows by at most some 400 events a second."""
    connect_timeout: Annotated[Duration, Within("10ms", "10m")] = 5.0
    """Time to look up, connect and shake hands, each."""
    silence_timeout: Annotated[Duration, Within("100ms", "1h")] = 30.0
    """Longest time in which the receiver takes nothing, or does not answer over RELP."""
    insecure: bool = False
    """Allow `udp`, `tcp` and `relp` to another machine than this one: events are readable on the way."""
    tls: TlsConfig = TlsConfig()
    """What to trust, and our client certificate."""
    window: Annotated[int, Field(ge=1, le=64)] = 1
    """Connections, each with a batch in flight; more than one mixes the order of events."""
    confirm_every: Annotated[Duration, Within("10ms", "1h")] = 1.0
    """How often a connection is looked at, see `resend`."""

    @property
    def place(self) -> Place:
        """Host and port."""
        parts = urlsplit(self.address)
        return Place(parts.hostname or "", parts.port or 0)

    @property
    def scheme(self) -> str:
        """The transport."""
        return urlsplit(self.address).scheme

    @model_validator(mode="after")
    def _fits_together(self) -> SyslogConfig:
        if self.scheme == "udp" and self.max_message_bytes > 65507:
            raise PydanticCustomError("datagram", "max_message_bytes is more than a datagram carries (65507)")
        return self


class Slot(Protocol):
    """What carries messages in one slot: a stream, a RELP session or a socket for datagrams."""

    async def send(self, messages: Sequence[bytes], records: Sequence[Record]) -> Delivery:
        """Carry the messages of these records once; positions are theirs."""
        ...

    async def close(self) -> None:
        """End in order. Safe to call twice."""
        ...


class SyslogSink:
    """One connection per slot."""

    Config: ClassVar[type[SyslogConfig]] = SyslogConfig
    default_format: ClassVar[str] = "cef"
    unverifiable: ClassVar[str] = (
        "syslog has no question for what a receiver kept: over UDP nothing answers at all, over TCP and TLS only that "
        "it was taken off the wire, with RELP that the receiver took it; search its store"
    )
    wants_event: ClassVar[bool] = True
    advice: ClassVar[Mapping[str, str]] = {
        "refused": (  # of letters from before `not_taken`
            "The receiver went on refusing this record over RELP for longer than relp_patience. Fix what its answer "
            "and its own log name, then retry."
        )
    }
    patience: float | None = None
    proof: Literal["delivered", "received", "none"] = "none"

    def __init__(self, config: SyslogConfig, context: SinkContext) -> None:
        self._config = config
        self._place, self._scheme = config.place, config.scheme
        self._tls = config.tls if self._scheme in {"tls", "relps"} else None
        if self._tls is None and not config.insecure and not is_loopback(self._place.host):
            raise ConfigError(
                f"{config.address} would send events in the clear. Use tls:// or relps://, or set insecure: true."
            )
        headers = {name: getattr(config, name) for name in ("hostname", "app_name", "procid", "msgid")}
        if config.hostname is None:
            headers["hostname"] = socket.gethostname()
        structured = context.format.writes == "structured_data"
        if structured and config.protocol == "rfc3164":
            raise ConfigError(f"format: {config.format} needs protocol rfc5424")
        self._composer = Composer(
            config.protocol,
            config.facility,
            headers,
            structured=structured,
            bom=config.bom,
            longest=config.max_message_bytes,
        )
        self.max_body = config.max_message_bytes - self._composer.most
        self._times = Times(config.connect_timeout, config.silence_timeout)
        self._habits = Habits(config.resend, config.records_per_connection)
        self._streams: list[StreamSlot] = []
        self._slots: list[Slot] = [self._slot(number, context) for number in range(context.slots)]
        if self._scheme in {"relp", "relps"}:
            self.proof = "delivered"
            if {"patience", "relp_patience"} & config.model_fields_set != {"patience"}:
                self.patience = config.relp_patience

    def _slot(self, number: int, context: SinkContext) -> Slot:
        config = self._config
        if self._scheme == "udp":
            return DatagramSlot(self._place, self._times, config.udp_rate)
        if self._scheme in {"relp", "relps"}:
            dial = partial(Pipe.open, self._place, self._tls, self._times)
            return RelpSlot(dial, config.relp_window)
        dial = partial(Pipe.open, self._place, self._tls, self._times, settle=_SETTLE)
        framing = config.framing or ("octet-counting" if self._tls else "newline")
        most = max(2, MOST_OPEN // context.slots)  # one to write to while another waits to be believed
        self._streams.append(StreamSlot(number, dial, FRAMINGS[framing], self._habits, context.clock, most))
        return self._streams[-1]

    @property
    def target(self) -> str:
        """Host and port; another transport to the same place goes on where the first one stood."""
        return f"syslog:{self._place}"

    @property
    def endpoints(self) -> list[Endpoint]:
        """Where it connects to; with UDP nothing does."""
        if self._scheme == "udp":
            return []
        return [Endpoint(*self._place, tls=self._tls, within=self._times.connect)]

    async def send(self, batch: Batch) -> Delivery:
        """Send every event as one message.

        Raises:
            Retryable: The receiver cannot be reached, or the connection broke; with `sent` when events may be there.
            Held: A TLS file cannot be used, or the receiver does not speak RELP for syslog.
        """
        most, records = self._config.max_message_bytes, batch.records
        messages = [self._composer.compose(record) for record in records]
        if all(len(message) <= most for message in messages):
            return await self._slots[batch.slot].send(messages, records) if messages else Delivery()
        fit = [n for n, message in enumerate(messages) if len(message) <= most]
        too_long = Rejection("too_large", f"the message is longer than {most} bytes")
        refused = {n: too_long for n, message in enumerate(messages) if len(message) > most}
        if not fit:
            return Delivery(rejected=refused)
        found = await self._slots[batch.slot].send([messages[n] for n in fit], [records[n] for n in fit])
        found.accepted = [fit[n] for n in found.accepted]
        found.kept = [fit[n] for n in found.kept]
        found.pending = {fit[n]: receipt for n, receipt in found.pending.items()}
        found.rejected = {**refused, **{fit[n]: rejection for n, rejection in found.rejected.items()}}
        return found

    async def confirm(self, receipts: Sequence[Receipt]) -> Mapping[Receipt, bool]:
        """Look at the connections, and say of each receipt whether its batch is believed or lost."""
        for stream in self._streams:
            stream.watch()
        answers = {receipt: self._streams[receipt.slot].answer(receipt) for receipt in receipts}
        return {receipt: answer for receipt, answer in answers.items() if answer is not None}

    @property
    def unconfirmed(self) -> tuple[str, str]:
        """Say what it means that a stream is not believed again and again, and what to do."""
        return self._habits.unconfirmed()

    def warning(self) -> tuple[str, str] | None:
        """Say what is wrong with a receiver of a stream although no write failed."""
        for stream in self._streams:
            if (unproved := stream.unproved()) is not None:
                moment = datetime.fromtimestamp(unproved[1], UTC).strftime("%H:%M:%S UTC")
                reason = (
                    f"the receiver has stopped reading: nothing proves that it has the last {unproved[0]} events, "
                    f"since {moment}"
                )
                return reason, "See its own log and load. When the connection ends, these events are sent again."
        return self._habits.warning()

    async def probe(self) -> list[Finding]:
        """Connect and see whether the receiver keeps the connection, and over RELP takes syslog; sends no event."""
        return await probe(self._scheme, self._place, self._tls, self._times)

    async def close(self) -> None:
        """End every connection in order. Safe to call twice."""
        await asyncio.gather(*(slot.close() for slot in self._slots))
