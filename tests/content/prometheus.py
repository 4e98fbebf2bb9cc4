"""Prometheus and promtool out of Debian's package, and what the rules and their tests say."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers import debian
from tests.servers.cache import Cache, Unavailable

PROJECT = Path(__file__).resolve().parents[2]
RULES = PROJECT / "content" / "prometheus" / "alerts.yaml"
RULE_TESTS = sorted((PROJECT / "content" / "prometheus" / "tests").glob("*.yaml"))


@dataclass(frozen=True)
class Prometheus:
    """Where the programs are."""

    folder: Path

    @classmethod
    def installed(cls) -> Prometheus:
        """Unpack Debian's package into the cache, once. Raises Unavailable."""
        return cls(debian.unpack(Cache.default(), "prometheus-debian", ["prometheus"]) / "usr" / "bin")

    @property
    def server(self) -> Path:
        return self.folder / "prometheus"

    def promtool(self, *words: str | Path, feed: bytes = b"", content: bool = True) -> str:
        """Run promtool; return all that it said. Fails unless it is content, or was not to be."""
        command = [str(self.folder / "promtool"), *map(str, words)]
        done = subprocess.run(command, input=feed, capture_output=True, timeout=100, check=False)
        said = (done.stdout + done.stderr).decode()
        assert (done.returncode == 0) == content, said
        return said


def prometheus_or_skip() -> Prometheus:
    """Return the programs; without them a test is skipped, and with `CI=true` it fails."""
    try:
        return Prometheus.installed()
    except Unavailable as why:
        if os.environ.get("CI") == "true":
            pytest.fail(f"Prometheus is missing, and CI=true forbids to go on without: {why}")
        pytest.skip(f"NO PROMETHEUS: {why}")


def rules() -> list[dict[str, Any]]:
    """Return every rule of every group."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    """Return the rules that alert; of one name there may be several, by severity."""
    return [rule for rule in rules() if "alert" in rule]


def names() -> list[str]:
    """Return the name of each alert once."""
    return sorted({alert["alert"] for alert in alerts()})


def metrics_in(text: str) -> set[str]:
    """Return the names of our metrics in an expression or a text; of a histogram, without the end of the series."""
    found = re.findall(r"(?<![:\w])forwarder_[a-z_]*[a-z]", text)
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in found}
