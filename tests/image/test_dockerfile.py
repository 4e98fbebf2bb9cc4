"""The Dockerfile has no fault that a linter knows, and what goes into the build is named one by one."""

from __future__ import annotations

import subprocess

from tests.helm.tools import PROJECT, tools_or_skip


def test_hadolint_has_nothing_to_say():
    done = subprocess.run(
        [tools_or_skip().hadolint, "--no-color", PROJECT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_a_fault_would_be_found(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM python\nRUN cd /x\n")
    done = subprocess.run(
        [tools_or_skip().hadolint, "--no-color", tmp_path / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "DL3006" in done.stdout
