"""A real rsyslog and a real syslog-ng on loopback: every transport on a port of its own, every record as JSON.

`daemon.records()` gives what the daemon understood, in order. Both write one JSON object a line; rsyslog passes bytes
that are no UTF-8 through, so the lines are read with surrogate escapes.
"""

from __future__ import annotations

import ctypes
import json
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import trustme

from tests.servers import debian
from tests.servers.cache import Cache, Unavailable

Transport = Literal["udp", "tcp", "lf", "tls", "mtls", "relp", "relps"]
"""`tcp` counts octets, `lf` ends records with a line feed, `mtls` and `relps` want a certificate of `client.test`."""

PEER = "client.test"
_READY_WITHIN = 30.0

PRODUCTS = ("rsyslog", "syslog-ng")
_PACKAGES = {
    "rsyslog": ["rsyslog", "rsyslog-gnutls", "rsyslog-openssl", "rsyslog-relp"],
    "syslog-ng": ["syslog-ng-core"],
}
_TRANSPORTS: dict[str, tuple[Transport, ...]] = {
    "rsyslog": ("udp", "tcp", "tls", "mtls", "relp", "relps"),
    "syslog-ng": ("udp", "tcp", "lf", "tls", "mtls"),
}


class Certificates:
    """One authority, the daemon's certificate, a client's that it lets in and one that it must not."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        authority = trustme.CA()
        self.authority = authority
        self.ca_file = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        self.server = self._issue(folder / "server.pem", "localhost", "127.0.0.1", name="localhost")
        self.client = self._issue(folder / "client.pem", PEER, name=PEER)
        self.stranger = self._issue(folder / "stranger.pem", "rogue.test", name="rogue.test")

    def _issue(self, path: Path, *names: str, name: str) -> Path:
        """Write a key and its chain into one file, and the two apart beside it."""
        issued = self.authority.issue_cert(*names, common_name=name)
        issued.private_key_and_cert_chain_pem.write_to_path(str(path))
        issued.private_key_pem.write_to_path(str(path.with_suffix(".key")))
        path.with_suffix(".crt").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        return path


@dataclass
class Daemon:
    """One syslog daemon. An `owned` one ends with the process that started it, if no one stops it before."""

    product: str
    root: Path
    folder: Path
    max_bytes: int
    certificates: Certificates
    owned: bool = True
    ports: dict[str, int] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None
    _configuration: str = ""

    def records(self) -> list[dict[str, Any]]:
        """Return every record the daemon has written, in order."""
        path = self.folder / "out.jsonl"
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        return [json.loads(line.decode("utf-8", "surrogateescape")) for line in lines]

    def forget(self) -> None:
        """Throw away what was written; only while nothing is sent."""
        (self.folder / "out.jsonl").unlink(missing_ok=True)
        self.restart()

    @contextmanager
    def instead(self, configuration: str, port: int) -> Iterator[None]:
        """Run with this configuration, listening on one TCP port, in place of our own."""
        ports, self.ports = self.ports, {"other": port}
        self._configuration = configuration
        self.restart()
        try:
            yield
        finally:
            self.ports, self._configuration = ports, ""
            self.restart()

    def start(self) -> None:
        """Start, and wait until every port answers. Raises Unavailable with the end of its log.

        An owned one ends with the *thread* that called this (PR_SET_PDEATHSIG): call it from no thread that ends before
        the tests.
        """
        log = self.folder / "log"
        command = _rsyslog(self) if self.product == "rsyslog" else _syslog_ng(self)
        if self._configuration:
            (self.folder / f"{self.product}.conf").write_text(self._configuration)
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                env={"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": debian.libraries(self.root)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=not self.owned,
                preexec_fn=_end_with_parent if self.owned else None,  # noqa: PLW1509 -- one call without locks
            )
        deadline = time.monotonic() + _READY_WITHIN
        waiting = [port for transport, port in self.ports.items() if transport != "udp"]
        while waiting:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise Unavailable(f"{self.product} did not start:\n{log.read_text(errors='replace')[-2000:]}")
            waiting = [port for port in waiting if not _answers(port)]
            time.sleep(0.05)

    @property
    def pid(self) -> int:
        """Its process id; only while it runs."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        """End it; what it wrote stays."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)
            self._process = None

    def kill(self) -> None:
        """End it at once, as a crash does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)
        self._process = None

    def restart(self) -> None:
        """Stop it and start it at the same ports."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End it and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def start(product: str, cache: Cache, *, max_bytes: int = 8192, owned: bool = True) -> Daemon:
    """Unpack a daemon once, and start one that takes records of `max_bytes`. Raises Unavailable.

    One that is not `owned` stays until someone stops it.
    """
    root = debian.unpack(cache, f"{product}-debian", _PACKAGES[product])
    folder = Path(tempfile.mkdtemp(prefix=f"{product}-", dir=cache.runs))
    (folder / "work").mkdir()
    try:
        daemon = Daemon(product, root, folder, max_bytes, Certificates(folder / "tls"), owned)
        daemon.ports = _free_ports(_TRANSPORTS[product])
        daemon.start()
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return daemon


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_ports(transports: tuple[Transport, ...]) -> dict[str, int]:
    """Choose a port for each; all are held until all are chosen."""
    held = {}
    for transport in transports:
        held[transport] = socket.socket(type=socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM)
        held[transport].bind(("127.0.0.1", 0))
    ports = {transport: int(opened.getsockname()[1]) for transport, opened in held.items()}
    for opened in held.values():
        opened.close()
    return ports


# -------------------------------------------------------------------------------------------------------- rsyslog

_FIELDS = {
    "input": "inputname",
    "pri": "pri",
    "host": "hostname",
    "app": "app-name",
    "procid": "procid",
    "msgid": "msgid",
    "sd": "structured-data",
    "msg": "msg",
    "raw": "rawmsg",
}


def _rsyslog(daemon: Daemon) -> list[str]:
    """Write the configuration; return the command. By name a client is let in with gtls, which holds to it."""
    folder, ports, tls = daemon.folder, daemon.ports, daemon.certificates
    properties = "\n".join(f'  property(outname="{name}" name="{its}" format="jsonf")' for name, its in _FIELDS.items())
    by_name = f'streamDriver.authMode="x509/name" permittedPeer=["{PEER}"]'
    driver = 'streamDriver.name="gtls" streamDriver.mode="1"'
    more = {
        "tls": f'{driver} streamDriver.authMode="anon"',
        "mtls": f"{driver} {by_name}",
        "relps": f'tls="on" tls.caCert="{tls.ca_file}" tls.myCert="{tls.server.with_suffix(".crt")}" '
        f'tls.myPrivKey="{tls.server.with_suffix(".key")}" tls.authMode="name" tls.permittedPeer=["{PEER}"]',
    }
    kinds = {"udp": "imudp", "relp": "imrelp", "relps": "imrelp"}
    inputs = "\n".join(
        f'input(type="{kinds.get(transport, "imtcp")}" address="127.0.0.1" port="{port}" ruleset="out" '
        f'name="{transport}" {more.get(transport, "")})'
        for transport, port in ports.items()
    )
    (folder / "rsyslog.conf").write_text(f"""
global(workDirectory="{folder}/work" maxMessageSize="{daemon.max_bytes}" net.enableDNS="off"
  parser.escapeControlCharactersOnReceive="on"
  defaultNetstreamDriverCAFile="{tls.ca_file}"
  defaultNetstreamDriverCertFile="{tls.server.with_suffix(".crt")}"
  defaultNetstreamDriverKeyFile="{tls.server.with_suffix(".key")}")
module(load="imudp") module(load="imtcp") module(load="imrelp")
template(name="json" type="list" option.jsonf="on") {{
  property(outname="time" name="timereported" dateFormat="rfc3339" format="jsonf")
{properties}
}}
ruleset(name="out") {{
  action(type="omfile" file="{folder}/out.jsonl" template="json" asyncWriting="off" flushOnTXEnd="on")
}}
{inputs}
action(type="omfile" file="{folder}/internal.log")
""")
    modules = next(daemon.root.rglob("imtcp.so")).parent
    command = [str(daemon.root / "usr/sbin/rsyslogd"), "-n", "-f", str(folder / "rsyslog.conf"), "-i", "NONE"]
    return [*command, "-M", str(modules)]


# ------------------------------------------------------------------------------------------------------ syslog-ng

_VALUES = {
    "input": "${S_IN}",
    "pri": "${PRI}",
    "time": "${ISODATE}",
    "host": "${HOST}",
    "app": "${PROGRAM}",
    "procid": "${PID}",
    "msgid": "${MSGID}",
    "sd": "${SDATA}",
    "msg": "${MESSAGE}",
}


def _syslog_ng(daemon: Daemon) -> list[str]:
    """Write the configuration; return the command."""
    folder, tls = daemon.folder, daemon.certificates
    own = f'key-file("{tls.server.with_suffix(".key")}") cert-file("{tls.server.with_suffix(".crt")}")'
    by_name = f'ca-file("{tls.ca_file}") peer-verify(required-trusted) trusted-dn("*CN={PEER}*")'
    drivers = {
        "udp": 'syslog(ip(127.0.0.1) port({}) transport("udp"))',
        "tcp": 'syslog(ip(127.0.0.1) port({}) transport("tcp"))',
        "lf": 'network(ip(127.0.0.1) port({}) transport("tcp") flags(syslog-protocol))',
        "tls": f'syslog(ip(127.0.0.1) port({{}}) transport("tls") tls({own} peer-verify(optional-untrusted)))',
        "mtls": f'syslog(ip(127.0.0.1) port({{}}) transport("tls") tls({own} {by_name}))',
    }
    sources = "\n".join(
        f"source s_{name} {{ {drivers[name].format(port)}; }};\n"
        f'log {{ source(s_{name}); rewrite {{ set("{name}" value("S_IN")); }}; destination(d_json); }};'
        for name, port in daemon.ports.items()
        if name in drivers
    )
    pairs = " ".join(f"{name}='{value}'" for name, value in _VALUES.items())
    (folder / "syslog-ng.conf").write_text(f"""@version: 3.38
options {{ log-msg-size({daemon.max_bytes}); keep-hostname(yes); use-dns(no); use-fqdn(no); flush-lines(0);
  stats-freq(0); frac-digits(6); time-reopen(1); }};
template t_json {{ template("$(format-json --scope none {pairs})\\n"); }};
destination d_json {{ file("{folder}/out.jsonl" template(t_json)); }};
{sources}
source s_internal {{ internal(); }};
destination d_internal {{ file("{folder}/internal.log"); }};
log {{ source(s_internal); destination(d_internal); }};
""")
    modules = next(daemon.root.glob("usr/lib/syslog-ng/[0-9]*"))
    return [
        str(daemon.root / "usr/sbin/syslog-ng"), "-F", "-e", "--no-caps", "-f", str(folder / "syslog-ng.conf"),
        "-R", str(folder / "persist"), "-c", str(folder / "ctl"), "-p", str(folder / "pid"),
        f"--module-path={modules}",
    ]  # fmt: skip
