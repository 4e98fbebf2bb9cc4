"""The receivers of docs/syslog.md, run as they stand there but for paths, ports and names."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from forwarder.testing.far_end import context
from forwarder.testing.lanes import batch_of, bench, event
from sinks.syslog.sink import SyslogConfig, SyslogSink
from tests.servers.syslog_daemons import PEER, Daemon

_PAGE = (Path(__file__).parents[2] / "docs" / "syslog.md").read_text(encoding="utf-8")


def snippet(language: str, fragment: str, daemon: Daemon, port: int, out: Path) -> str:
    """Return the one block of the page that holds the fragment, with this machine's paths."""
    [found] = [block for block in re.findall(rf"```{language}\n(.*?)```", _PAGE, re.DOTALL) if fragment in block]
    tls = daemon.certificates
    for written, here in {
        "/var/log/atlassian-audit.log": str(out),
        "forwarder.example": PEER,
        **{
            f"/etc/{folder}/{name}": str(path)
            for folder in ("rsyslog.d", "syslog-ng")
            for name, path in {
                "ca.pem": tls.ca_file,
                "server.pem": tls.server.with_suffix(".crt"),
                "server.key": tls.server.with_suffix(".key"),
            }.items()
        },
    }.items():
        found = found.replace(written, here)
    changed = re.sub(r'port\((?:6514)\)|port="(?:2514|6514)"', lambda port_: re.sub(r"\d+", str(port), port_[0]), found)
    assert changed != found
    return changed


async def lines_of(out: Path, count: int) -> list[str]:
    async with asyncio.timeout(60):
        lines: list[str] = []
        while len(set(lines)) < count:
            await asyncio.sleep(0.05)
            lines = out.read_text().splitlines() if out.exists() else []
    return lines


def settings(scheme: str, daemon: Daemon, port: int) -> SyslogConfig:
    tls = {"ca_file": str(daemon.certificates.ca_file), "cert_file": str(daemon.certificates.client)}
    return SyslogConfig.model_validate(
        {"address": f"{scheme}://127.0.0.1:{port}", "tls": tls, "format": "raw", "resend": 0.2, "silence_timeout": 5}
    )


@pytest.mark.parametrize(
    ("product", "language", "fragment", "scheme", "transport"),
    [
        ("rsyslog", "rsyslog", "imrelp", "relps", "relps"),
        ("rsyslog", "rsyslog", "imtcp", "tls", "mtls"),
        ("syslog_ng", "syslog-ng", "syslog(port", "tls", "mtls"),
    ],
)
async def test_a_receiver_of_the_page_takes_what_we_send(
    product: str,
    language: str,
    fragment: str,
    scheme: str,
    transport: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    daemon: Daemon = request.getfixturevalue(product)
    out, port = tmp_path / "out.log", daemon.ports[transport]
    with daemon.instead(snippet(language, fragment, daemon, port, out), port):
        sink = SyslogSink(settings(scheme, daemon, port), context("siem"))
        assert all(finding.ok for finding in await sink.probe())
        await sink.send(batch_of(*(b'{"n":%d}' % n for n in range(50))))
        lines = await lines_of(out, 50)
        await sink.close()
    assert [line[line.index("{") :] for line in lines] == [f'{{"n":{n}}}' for n in range(50)]


async def test_what_the_queue_of_the_page_has_answered_outlives_a_crash_of_rsyslog(
    rsyslog: Daemon, tmp_path: Path
) -> None:
    out, port = tmp_path / "out.log", rsyslog.ports["relps"]
    with rsyslog.instead(snippet("rsyslog", "imrelp", rsyslog, port, out), port):
        sink = SyslogSink(settings("relps", rsyslog, port), context("siem", slots=2))
        async with bench(tmp_path) as b:
            lane = b.start("siem", sink)
            for page in range(20):
                await b.fill(*(event(f"e{page * 100 + n}") for n in range(100)))
                if page in {5, 12}:
                    await b.until(lambda page=page: lane.report.accepted > page * 50)
                    rsyslog.kill()
                if page in {7, 14}:
                    await b.until(lambda: lane.report.state == "retrying")
                    rsyslog.start()
            await b.drained("siem")
            await b.balanced()
            doubtful = {b.names[seq - 1] for first, last in await b.doubts("siem") for seq in range(first, last + 1)}
        await sink.close()
        names = [json.loads(line[line.index("{") :])["id"] for line in await lines_of(out, 2000)]
    assert set(names) == {f"e{n}" for n in range(2000)}
    assert {name for name in names if names.count(name) > 1} <= doubtful
