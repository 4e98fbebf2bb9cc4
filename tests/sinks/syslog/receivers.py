"""Syslog sinks for tests, and the strict receiver they send to."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trustme

from forwarder.contracts import Clock
from forwarder.testing.far_end import context
from simulator.receivers.syslog import SyslogReceiver
from sinks.syslog.sink import SyslogConfig, SyslogSink


def sink_for(receiver: SyslogReceiver, *, slots: int = 1, clock: Clock | None = None, **settings: Any) -> SyslogSink:
    """Build a sink that sends to the receiver, with times a test can wait for."""
    values = {"address": receiver.address, "resend": 0.2, "silence_timeout": 5, "hostname": "here", **settings}
    return SyslogSink(
        SyslogConfig.model_validate(values), context("siem", slots=slots, clock=clock, render=values.get("format"))
    )


@asynccontextmanager
async def receiving(transport: Any = "tcp", **more: Any) -> AsyncIterator[SyslogReceiver]:
    """Run a receiver that has seen no violation at the end."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # handshakes and connections fail on purpose
    async with SyslogReceiver(transport, **more) as receiver:
        yield receiver
    assert receiver.violations == []


class Authority:
    """One authority, with a server's certificate for loopback and a client's."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self.ca_file = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.ca_file))
        self.client = folder / "client.pem"
        issued = self._authority.issue_cert("client.test", common_name="client.test")
        issued.private_key_and_cert_chain_pem.write_to_path(str(self.client))

    def server(self, *, ask: bool = False) -> ssl.SSLContext:
        """Return a server's context; with `ask` it wants a certificate of this authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert("127.0.0.1").configure_cert(context)
        if ask:
            self._authority.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context
