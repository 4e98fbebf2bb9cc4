"""The port of a server that is closed for a while: refused to its clients, and to whoever asks for any free port."""

from __future__ import annotations

import contextlib
import socket
import weakref


class KeptPort:
    """Keeps a port from `keep` until `release`, or until its owner is gone.

    A socket that is bound and does not listen refuses connections, and no other is given its port; with SO_REUSEADDR on
    both sides, as asyncio sets it, a server can take that port by name.
    """

    def __init__(self) -> None:
        self._held: weakref.finalize[..., object] | None = None

    def keep(self, family: socket.AddressFamily, address: tuple[str, int]) -> None:
        """Bind to an address that was let go of just now."""
        self.release()
        held = socket.socket(family)
        self._held = weakref.finalize(self, held.close)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):  # someone was faster; whoever starts again will be told
            held.bind(address)

    def release(self) -> None:
        """Let go of the port, if one is kept. Safe to call twice."""
        if self._held is not None:
            self._held()
            self._held = None
