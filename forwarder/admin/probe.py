"""Looks whether a port of ours could be listened on: tries it for a moment, and says who has it otherwise."""

from __future__ import annotations

import asyncio
import errno
import http.client
import json
import socket
from typing import TYPE_CHECKING, Protocol

from forwarder.admin.control import connected, socket_path
from forwarder.contracts import Finding
from forwarder.net.addresses import bound, reachable, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_PATIENCE = 3.0
_FIXES = {
    errno.EACCES: "Give {setting} a port of 1024 or more, or let this user listen below.",
    errno.EPERM: "Give {setting} a port of 1024 or more, or let this user listen below.",
    errno.EADDRNOTAVAIL: "Write an address of this machine into {setting}; 0.0.0.0 means all of them.",
    errno.EADDRINUSE: "End the other program, or give {setting} another port.",
}
_CAUSES = {
    errno.EACCES: "this user may not listen on this port",
    errno.EPERM: "this user may not listen on this port",
    errno.EADDRNOTAVAIL: "not an address of this machine",
    errno.EADDRINUSE: "another program listens there",
}


class Listens(Protocol):
    """The settings of a port."""

    @property
    def listen(self) -> str:
        """Address and port, as they are configured."""
        ...

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        ...


async def examine(
    admin: Listens,
    spool: Path | None = None,
    *,
    setting: str = "admin.listen",
    is_ours: Callable[[str, int], bool] | None = None,
) -> list[Finding]:
    """Return what was found.

    Args:
        admin: What is configured.
        spool: Path of the spool: a daemon that listens there and is not this spool's is another program. Without one
            any daemon counts as ours.
        setting: Where the address is configured.
        is_ours: Tells, by host and port, whether a daemon may listen there; by default, whether it answers probes.
    """
    is_ours = is_ours or _is_a_forwarder
    host, port = admin.address
    try:
        await asyncio.to_thread(_try, host, port)
    except (socket.gaierror, ValueError):
        fix = f"Write an address of this machine into {setting}, such as 127.0.0.1:9464."
        return [Finding("port", ok=False, detail=f"the name in {setting} is unknown", fix=fix)]
    except OSError as error:
        if error.errno == errno.EADDRINUSE and await asyncio.to_thread(is_ours, reachable(host), port):
            if spool is None or await asyncio.to_thread(_runs, spool):
                return [Finding("port", ok=True, detail=f"the daemon listens on {admin.listen}")]
            fix = f"Give {setting} of one of the two another port."
            return [Finding("port", ok=False, detail=f"{admin.listen}: another audit-forwarder listens there", fix=fix)]
        number = error.errno or errno.EIO
        cause = _CAUSES.get(number) or reason_of(error)
        fix = _FIXES.get(number, "Write another address and port into {setting}.").format(setting=setting)
        return [Finding("port", ok=False, detail=f"{admin.listen}: {cause}", fix=fix)]
    return [Finding("port", ok=True, detail=f"{admin.listen} is free")]


def anything(host: str, port: int) -> bool:  # noqa: ARG001 -- it cannot be asked without its secret
    """Take what listens for a daemon's: then the daemon of the spool decides."""
    return True


def _try(host: str, port: int) -> None:
    """Take the address for a moment, as the daemon takes it."""
    bound(host, port).close()


def _runs(spool: Path) -> bool:
    try:
        with connected(socket_path(spool), _PATIENCE):
            return True
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    except OSError:  # of another user, perhaps
        return True


def _is_a_forwarder(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=_PATIENCE)
    try:
        connection.request("GET", "/livez", headers={"Host": f"localhost:{port}"})
        return "live" in json.loads(connection.getresponse().read(65_536))
    except (OSError, http.client.HTTPException, ValueError, TypeError, RecursionError):
        return False
    finally:
        connection.close()
