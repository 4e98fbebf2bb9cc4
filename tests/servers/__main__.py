"""``python -m tests.servers start|stop|status [elasticsearch|opensearch|all] [--secure]``."""

from __future__ import annotations

import argparse
import sys
import time

from tests.servers.cache import Cache, Unavailable
from tests.servers.distributions import KINDS
from tests.servers.node import Node, kinds, running, start


def _show(node: Node, seconds: float | None = None) -> None:
    process = node.process
    memory = f" rss={process.memory_info().rss // 2**20}MiB" if process else ""
    login = f" user={node.user} password={node.password} ca={node.ca_file}" if node.user else ""
    took = f" ready_after={seconds:.1f}s" if seconds is not None else ""
    print(f"{node.kind} url={node.url} pid={node.pid}{login}{memory}{took}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.servers", description=__doc__)
    parser.add_argument("command", choices=["start", "stop", "status"])
    parser.add_argument("product", nargs="?", default="all", choices=["all", *KINDS])
    parser.add_argument("--secure", action="store_true", help="with TLS and passwords")
    chosen = parser.parse_args(arguments)
    try:
        cache = Cache.default()
        if chosen.command == "start":
            up = {node.kind: node for node in running(cache) if node.owner is None}
            for kind in kinds(chosen.product, secure=chosen.secure):
                began = time.monotonic()
                node = up.get(kind.name) or start(kind, cache)
                _show(node, time.monotonic() - began)
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
