"""A sink that is to begin at a time of which the spool no longer has everything: `check` says so, and what fetches it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from forwarder.config.settings import load
from forwarder.preflight.spool_changes import SpoolChanges
from tests.spool.spools import names, opened


def iso(moment: float, hours: int = 0) -> str:
    return (datetime.fromtimestamp(moment, UTC) + timedelta(hours=hours)).isoformat()


@pytest.mark.parametrize(
    ("start", "is_said"), [(-2, True), (2, False), ("oldest", False), ("now", False), (None, False)]
)
async def test_only_a_time_before_what_the_spool_has_is_named(tmp_path: Path, start: Any, is_said: bool) -> None:
    async with opened(tmp_path, retain=0) as harness:
        lane = await harness.lane("old", target=f"file:{tmp_path / 'old'}")
        await harness.put(*names("a", 3))
        await harness.settle_taken(lane)
        for _ in range(3):
            harness.clock.advance(59.123)
            await harness.spool.clean_up()
        whole = harness.clock.time()
        await harness.put(*names("b", 2))
    sink = {"type": "file", "path": str(tmp_path / "new")}
    when = iso(whole, start) if isinstance(start, int) else start
    tree = {
        "spool": {"path": str(harness.config.path)},
        "sources": {"acme": {"type": "organization", "org_id": "a-1", "api_key": "k" * 20}},
        "sinks": {"new": sink | ({"start": when} if when else {})},
    }
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(tree))
    found = await asyncio.to_thread(lambda: SpoolChanges(load(config)).looks)  # it has a loop of its own
    looks = [look for look in found if look.path == "sinks.new.start"]
    assert bool(looks) == is_said
    for look in looks:
        assert f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%d %H:%M} UTC" in look.what
        words = look.fix.split()
        assert "backfill start --source NAME --sink new" in look.fix
        begin, end = (datetime.fromisoformat(words[words.index(name) + 1]).timestamp() for name in ("--from", "--to"))
        assert whole - 7201 < begin <= whole - 7200, "all of it"
        assert whole <= end < whole + 1, "up to what the spool has, and nothing between is left out"
