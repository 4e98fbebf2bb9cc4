"""Where modules stand: a folder of `forwarder/` is a room, and a sink is one file or one folder."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

from tests.mutants.areas import AREAS, Area

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ALONE = {"__init__.py", "__main__.py", "assembly.py", "doctor.py", "exit_codes.py", "registry.py", "py.typed"}
"""Files of `forwarder/` that are a room by themselves."""

LONGEST = 400


def rooms() -> set[str]:
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    layers = next(contract for contract in contracts if contract["type"] == "layers")["layers"]
    return {room.strip() for layer in layers for room in layer.split("|")}


def test_every_module_of_the_engine_stands_in_a_room() -> None:
    inside = (ROOT / "forwarder").iterdir()
    found = {path.name for path in inside if path.is_file() or any(path.glob("*.py"))}
    files = {name for name in found if "." in name}
    assert files <= ALONE, "a new file belongs into a folder: docs/architecture.md says which"
    assert found - files | {name.removesuffix(".py") for name in files} - {"__init__", "py.typed"} == rooms()


def test_a_sink_is_one_file_or_one_folder() -> None:
    types = set(PROJECT["project"]["entry-points"]["audit_forwarder.sinks"])
    found = {path.name.removesuffix(".py") for path in (ROOT / "sinks").iterdir() if path.name != "__pycache__"}
    assert found - {"__init__", "py.typed"} == types


@pytest.mark.parametrize("top", ["forwarder", "sinks", "simulator", "bench", "docs"])
def test_no_module_is_too_long_to_be_read_at_once(top: str) -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / top).rglob("*.py")}
    long = {str(path.relative_to(ROOT)): lines for path, lines in lengths.items() if lines > LONGEST}
    assert not long, "what holds two things is cut in two"


def test_no_module_has_the_name_of_something_that_its_package_gives() -> None:
    """Whichever is imported last would be what the name stands for, in that process."""
    both = set()
    for top in ("forwarder", "sinks", "simulator"):
        for package in (ROOT / top).rglob("__init__.py"):
            modules = {path.stem if path.is_file() else path.name for path in package.parent.iterdir()}
            where = ".".join(package.parent.relative_to(ROOT).parts)
            tree = ast.walk(ast.parse(package.read_text(encoding="utf-8")))
            imports = [node for node in tree if isinstance(node, ast.ImportFrom) and node.module != where]
            given = {name.asname or name.name for node in imports for name in node.names}
            both |= {f"{where}: {name}" for name in given & modules}
    assert not both


@pytest.mark.parametrize("folder", ["admin", "catalogue", "cli", "config", "daemon", "delivery", "formats", "net"])
def test_tests_stand_in_the_room_of_what_they_try(folder: str) -> None:
    assert (ROOT / "tests" / folder).is_dir()


def test_no_folder_of_tests_is_of_a_kind() -> None:
    names = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()}
    assert not names & {"unit", "property", "integration", "helpers"}


@pytest.mark.parametrize("area", AREAS, ids=lambda area: area.name)
def test_changes_are_tried_on_what_is_there(area: Area) -> None:
    assert area.sources(ROOT)
    assert all(sorted(ROOT.glob(pattern)) for pattern in (*area.modules, *area.tests))
