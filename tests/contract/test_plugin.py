"""What the plugin says when it cannot find what it is to try, and which package it tries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.packages import SINK, install

CONFTEST = 'pytest_plugins = ["forwarder.testing"]\n'


def run(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", "-q", *arguments]
    environment = {"PYTHONPATH": str(folder), "PATH": "", "COLUMNS": "300"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return f"{done.returncode}\n{done.stdout}{done.stderr}"


def package(folder: Path, name: str, points: dict[str, dict[str, str]], conftest: str = CONFTEST) -> Path:
    install(folder, name, modules={"trumpet": SINK}, points=points)
    (folder / "pyproject.toml").write_text(f'[project]\nname = "{name}"\n')
    (folder / "conftest.py").write_text(conftest)
    return folder


@pytest.mark.parametrize(
    ("project", "message"),
    [
        ("", "no [project] name"),
        ('[project]\nname = "not-installed-at-all"\n', "the package not-installed-at-all is not installed; run: pip"),
        ('[project]\nname = "msgspec"\n', "registers no sink, source or format"),
    ],
)
def test_what_cannot_be_found_is_said(project: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(project)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    shown = run(tmp_path)
    assert message in shown
    assert shown[0] != "0"


def test_a_sink_without_a_far_end_fails_and_says_what_to_write(tmp_path: Path) -> None:
    package(tmp_path, "trumpet-sink", {"sinks": {"trumpet": "trumpet:TrumpetSink"}})
    shown = run(tmp_path)
    assert "1 failed" in shown
    assert "pytest_forwarder_far_ends" in shown


def test_a_name_written_in_another_way_is_the_same_package(tmp_path: Path) -> None:
    package(tmp_path, "trumpet-sink", {"sinks": {"trumpet": "trumpet:TrumpetSink"}})
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "Trumpet_Sink"\n')
    assert "1 failed" in run(tmp_path)


def test_tests_of_the_package_s_own_stand_beside_the_clauses(tmp_path: Path) -> None:
    package(tmp_path, "trumpet-sink", {"sinks": {"trumpet": "trumpet:TrumpetSink"}})
    (tmp_path / "test_own.py").write_text("def test_own() -> None:\n    assert True\n")
    assert "1 passed" in run(tmp_path, "test_own.py")
    assert "1 failed" in run(tmp_path)


def test_a_conftest_that_does_not_name_the_plugin_has_no_clauses(tmp_path: Path) -> None:
    package(tmp_path, "trumpet-sink", {"sinks": {"trumpet": "trumpet:TrumpetSink"}})
    inner = tmp_path / "tests"
    inner.mkdir()
    (inner / "conftest.py").write_text("")
    (inner / "test_own.py").write_text("def test_own() -> None:\n    assert True\n")
    shown = run(tmp_path, "tests")
    assert shown[0] == "0"
    assert "1 passed" in shown
