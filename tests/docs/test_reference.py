"""The reference is what the code says: in sync, complete, and its examples work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml
from jsonschema import Draft202012Validator

from docs.commands_page import named
from docs.generate import ROOT, outputs
from forwarder.cli.app import app
from forwarder.config.json_schema import json_schema
from forwarder.config.settings import load
from forwarder.exit_codes import ExitCode
from forwarder.observe.metrics import METRICS

EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
CONFIGS = [path for path in EXAMPLES if "sinks:" in path.read_text(encoding="utf-8")]


def read(name: str) -> str:
    return (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")


def test_generated_files_are_in_sync():
    stale = [name for name, content in outputs().items() if (ROOT / name).read_text(encoding="utf-8") != content]
    assert stale == [], "run make docs"


def test_check_says_so_and_writes_nothing(tmp_path, monkeypatch, capsys):
    from docs import generate

    monkeypatch.setattr(generate, "outputs", lambda: {"docs/reference/commands.md": "new\n"})
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    assert generate.main(["--check"]) == 1
    assert "docs/reference/commands.md is out of date" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0


def test_generated_files_do_not_depend_on_the_terminal():
    """Typer's help differs on a terminal; the pages must not. What is read from the code alone is left out: it takes 3 s."""
    code = (
        "import sys; sys.stdout.isatty = lambda: True\n"
        "from docs import troubleshooting_page\n"
        "troubleshooting_page.messages = tuple\n"
        "from docs.generate import ROOT, outputs\n"
        "of_code = 'docs/reference/troubleshooting.md'\n"
        "made = outputs(); del made[of_code]\n"
        "stale = [n for n, c in made.items() if (ROOT / n).read_text(encoding='utf-8') != c]\n"
        "sys.exit(str(stale) if stale else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def properties(node: object) -> set[str]:
    """Every key of every object in a schema."""
    if isinstance(node, dict):
        found = set(node["properties"]) if isinstance(node.get("properties"), dict) else set()
        return found.union(*(properties(value) for value in node.values()))
    return set().union(*map(properties, node)) if isinstance(node, list) else set()


def test_every_setting_is_documented_in_the_page_and_in_the_full_example():
    page, example = read("configuration.md"), (ROOT / "examples" / "full.yaml").read_text(encoding="utf-8")
    names = properties(json_schema())
    assert {"org_id", "api_key_file", "fsync", "requests_per_minute", "ca_file"} <= names
    rules = {"source", "organization", "site", "place", "product", "action", "actor"}
    for name in names:
        assert any(form in page for form in (f".{name}`", f".{name}.", f"## {name}\n")), name
        if not name.endswith("_file") and name not in rules:
            assert f" {name}:" in example or f"\n{name}:" in example, name


def test_every_setting_has_a_description():
    def undescribed(node: object, path: str) -> list[str]:
        if isinstance(node, list):
            return [found for item in node for found in undescribed(item, path)]
        if not isinstance(node, dict):
            return []
        own = node.get("properties") if isinstance(node.get("properties"), dict) else {}
        bare = [f"{path}.{name}" for name, setting in own.items() if not {"description", "$ref"} & set(setting)]
        return bare + [found for key, value in node.items() for found in undescribed(value, f"{path}.{key}")]

    assert undescribed(json_schema(), "") == []


def test_every_command_and_option_is_documented():
    page = read("commands.md")
    for name, command in named(typer.main.get_command(app)):
        assert f"\n## {name}\n" in page
        section = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
        for option in command.params:
            if option.name != "help" and not getattr(option, "hidden", False):
                assert option.opts[0] in section
                assert option.help, f"{name} {option.opts[0]} says nothing of itself"


def test_every_exit_code_and_metric_is_documented():
    codes = read("exit-codes.md")
    for code in ExitCode:
        assert f"| {int(code)} | {code.meaning} | {code.advice} |" in codes
    metrics = read("metrics.md")
    for metric in METRICS:
        assert f"`{metric.name}`" in metrics


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json.loads((ROOT / "schema" / "audit-forwarder.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_examples_load_and_satisfy_the_schema(path: Path, validator):
    load(path)
    validator.validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def test_the_full_example_holds_the_defaults():
    full = load(ROOT / "examples" / "full.yaml")
    minimal = load(ROOT / "examples" / "config.yaml")
    for section in ("spool", "admin", "log", "shutdown"):
        assert getattr(full, section) == getattr(minimal, section), section
    assert {name: full.sources[name] for name in minimal.sources} == minimal.sources
    changed = {"api_key"}  # optional, and so commented out in the full one
    for name, sink in minimal.sinks.items():
        assert full.sinks[name].model_dump(exclude=changed | {"format"}) == sink.model_dump(
            exclude=changed | {"format"}
        )


WRONG = [
    {"sinks": {"out": {"type": "file", "path": "x", "pth": 1}}},
    {"sinks": {"out": {"type": "elasticsaerch", "path": "x"}}},
    {"sinks": {"out": {"path": "x"}}},
    {"sinks": {"a__b": {"type": "file", "path": "x"}}},
    {"sources": {"acme": {"type": "organization", "org_id": "x"}}},
    {"sources": {"acme": {"type": "organization", "org_id": "x", "api_key": "a", "api_key_file": "b"}}},
    {"lgo": {}},
    {"log": {"level": "loud"}},
]


@pytest.mark.parametrize("change", WRONG, ids=json.dumps)
def test_the_schema_refuses_what_check_refuses(change, validator, tmp_path):
    good = {
        "sources": {"acme": {"type": "organization", "org_id": "o", "api_key_file": "/run/key", "every": 30}},
        "sinks": {"out": {"type": "file", "path": "x"}},
        "spool": {"max_bytes": "2GiB"},
    }
    assert validator.is_valid(good)
    assert not validator.is_valid(good | change)
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps(good | change))
    with pytest.raises(Exception, match=r"\w"):
        load(path)


def test_every_decision_has_a_number_of_its_own():
    numbers = [path.name[:4] for path in sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))]
    assert len(numbers) == len(set(numbers))
    for path in (ROOT / "docs" / "adr").glob("[0-9]*.md"):
        assert path.read_text(encoding="utf-8").startswith(f"# {int(path.name[:4])}. "), path.name
