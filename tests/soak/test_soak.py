"""The soak itself, in seconds: load, faults and every place, and a leak in the daemon, which it must name."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.early
@pytest.mark.timeout(300)
def test_a_leak_of_handles_is_named_and_nothing_is_missing(tmp_path: Path) -> None:
    """Memory is not judged here: in its first seconds that of every program grows."""
    words = ["--minutes", "0.15", "--events", "3000", "--fault-every", "1", "--retain", "1", "--leak", "handles"]
    report = tmp_path / "soak.json"
    command = [sys.executable, "-m", "bench.soak", *words, "--json", str(report), "--folder", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True) as soak:
        try:
            told, _ = soak.communicate(timeout=280)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(soak.pid, signal.SIGKILL)
    assert soak.returncode == 1
    found = json.loads(report.read_text(encoding="utf-8"))
    handles = [failure for failure in found["failures"] if failure.startswith("what grows: open handles")]
    assert handles
    assert [failure for failure in found["failures"] if not failure.startswith("what grows")] == []
    assert found["facts"]["faults"] > 10
    assert found["samples"][-1]["tasks"] > 10
    assert f"BROKEN: {handles[0]}" in told
