"""``python -m tests.servers start|stop|status [elasticsearch|opensearch|rsyslog|syslog-ng|all] [--secure]``.

What was started stays until `stop`. The syslog daemons listen on every transport they have, each on a port of its own, and
write what they understood to `out.jsonl` in their folder.
"""

from __future__ import annotations

import argparse
import sys
import time

import psutil  # type: ignore[import-untyped]

from tests.servers import syslog_daemons
from tests.servers.cache import Cache, Unavailable
from tests.servers.distributions import KINDS
from tests.servers.node import Node, kinds, remember, running, start


def _show(node: Node, seconds: float | None = None) -> None:
    process = node.process
    memory = f" rss={process.memory_info().rss // 2**20}MiB" if process else ""
    login = f" user={node.user} password={node.password}" if node.user else ""
    trust = f" ca={node.ca_file}" if node.ca_file else ""
    took = f" ready_after={seconds:.1f}s" if seconds is not None else ""
    print(f"{node.kind} url={node.url} pid={node.pid}{login}{trust}{memory} folder={node.folder}{took}", flush=True)


def _start_syslog(product: str, cache: Cache) -> Node:
    daemon = syslog_daemons.start(product, cache, owned=False)
    urls = ",".join(f"{transport}://127.0.0.1:{port}" for transport, port in daemon.ports.items())
    started = psutil.Process(daemon.pid).create_time()
    ca_file = str(daemon.certificates.ca_file)
    return remember(Node(product, urls, daemon.pid, started, str(daemon.folder), ca_file=ca_file))


def _start(product: str, cache: Cache, *, secure: bool) -> None:
    up = {node.kind: node for node in running(cache) if node.owner is None}
    wanted = [] if product in syslog_daemons.PRODUCTS else kinds(product, secure=secure)
    for kind in wanted:
        began = time.monotonic()
        _show(up.get(kind.name) or start(kind, cache), time.monotonic() - began)
    for name in syslog_daemons.PRODUCTS:
        if product in {"all", name}:
            began = time.monotonic()
            _show(up.get(name) or _start_syslog(name, cache), time.monotonic() - began)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code."""
    about = (__doc__ or "").partition("\n\n")[2]
    parser = argparse.ArgumentParser(prog="python -m tests.servers", description=about)
    parser.add_argument("command", choices=["start", "stop", "status"])
    parser.add_argument("product", nargs="?", default="all", choices=["all", *KINDS, *syslog_daemons.PRODUCTS])
    parser.add_argument("--secure", action="store_true", help="Elasticsearch and OpenSearch with TLS and passwords")
    chosen = parser.parse_args(arguments)
    try:
        cache = Cache.default()
        if chosen.command == "start":
            _start(chosen.product, cache, secure=chosen.secure)
            return 0
        for node in running(cache):
            if node.owner is not None and chosen.command == "stop":
                continue  # it belongs to a test session that is still running
            if chosen.product in {"all", node.kind, node.kind.removesuffix("-secure")}:
                if chosen.command == "stop":
                    node.stop()
                    print(f"{node.kind} stopped")
                else:
                    _show(node)
    except Unavailable as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
