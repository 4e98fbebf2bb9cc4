"""What a release is made of: complete, found by the command, the same from the source archive as from the repository."""

from __future__ import annotations

import ast
import hashlib
import re
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

import forwarder
from tests.install.machine import PROJECT, build


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", tmp_path_factory.mktemp("sdist"))


def contents(wheel: Path) -> dict[str, str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}


def test_everything_of_the_repository_that_a_user_needs_is_in_the_wheel(wheel: Path):
    names = set(contents(wheel))
    for folder in ("forwarder", "sinks", "simulator"):
        expected = {
            path.relative_to(PROJECT).as_posix()
            for path in (PROJECT / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert expected <= names
    pages = {path.relative_to(PROJECT).as_posix() for path in (PROJECT / "docs").rglob("*.md")}
    others = {"schema/audit-forwarder.schema.json", "examples/full.yaml", "compose.yaml", "README.md", "CHANGELOG.md"}
    others |= {"packaging/systemd/audit-forwarder.service"}
    assert {f"forwarder/enclosed/{name}" for name in pages | others} <= names
    assert not [name for name in names if re.search(r"\.pyc$|(^|/)tests/|\.env|secret.*\.key$", name)]


def test_the_source_archive_makes_the_same_wheel(wheel: Path, sdist: Path, tmp_path: Path):
    subprocess.run(["tar", "-xf", sdist, "-C", tmp_path], check=True)
    (root,) = tmp_path.iterdir()
    again = build("wheel", tmp_path / "again", root)
    assert contents(again) == contents(wheel)
    assert again.name == wheel.name


def test_one_name_and_one_version(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(name))
    assert (metadata["Name"], metadata["Version"]) == ("audit-forwarder", forwarder.__version__)
    assert metadata["License-Expression"] == "Apache-2.0"
    for file in ("Dockerfile", "compose.yaml"):
        versions = re.findall(r"(?:image\.version=\"|audit-forwarder:)([0-9.]+)", (PROJECT / file).read_text())
        assert set(versions) == {forwarder.__version__}
    for page in (PROJECT / "docs" / "install").glob("*.md"):
        assert set(re.findall(r"audit_forwarder-([0-9.]+)-py3", page.read_text())) <= {forwarder.__version__}


def test_every_import_is_of_a_named_dependency():
    """A dependency that only another one brings is gone when that one changes its mind."""
    known = {
        "apscheduler", "backports", "compression", "h11", "httpx", "isal", "msgspec", "prometheus_client", "pydantic",
        "pydantic_core", "pydantic_settings", "rich", "starlette", "structlog", "typer", "uvicorn", "yaml",
    }  # fmt: skip
    extras = {"cryptography", "obstore", "duckdb", "pytest", "pytest_asyncio", "trustme", "jsonschema", "_pytest"}
    found = set()
    for folder in ("forwarder", "sinks", "simulator"):
        for path in (PROJECT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    found |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    found.add((node.module or "").partition(".")[0])
    assert found - set(sys.stdlib_module_names) - {"forwarder", "sinks", "simulator"} <= known | extras


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["docs"], "reference/configuration"),
        (["docs", "configuration"], "# Configuration"),
        (["docs", "install/systemd.md"], "# As a service of systemd"),
        (["examples"], "audit-forwarder.schema.json"),
        (["examples", "full.yaml"], "Every setting with its default"),
        (["examples", "audit-forwarder.service"], "Type=notify"),
    ],
)
def test_the_command_finds_them(words: list[str], text: str):
    done = subprocess.run([sys.executable, "-m", "forwarder", *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert text in done.stdout


@pytest.mark.parametrize("name", ["full.yml", "../pyproject.toml", "/etc/passwd", "", "pyproject.toml"])
def test_what_did_not_come_along_is_not_printed(name: str):
    done = subprocess.run(
        [sys.executable, "-m", "forwarder", "examples", name], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "nothing here has this name" in done.stderr
