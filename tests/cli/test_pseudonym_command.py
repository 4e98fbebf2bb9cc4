"""Pseudonyms: who has the key finds them again, who has another or none does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from forwarder.cli.app import app
from forwarder.contracts import Secret
from forwarder.contracts.privacy import PrivacyConfig
from forwarder.records.privacy import build_privacy

CONFIG = """
sources:
  acme: {type: organization, org_id: 7d5a6a0e-1c55-4b92-9a37-0a4ad7a3c1aa, api_key: ATCTT3xFfGF0k9QwZr7uYbN2pLsVdX8hJ4}
sinks:
  siem: {type: file, path: ./siem.ndjson, privacy: {names: pseudonymise, addresses: pseudonymise,
    content: pseudonymise, ip: none, key_file: now.key, previous_key_file: before.key}}
  archive: {type: file, path: ./archive.ndjson, privacy: strict}
"""
BODY = {"attributes": {"actor": {"name": "Ada Example", "email": "Ada@example.com"}, "context": [{"type": "page",
        "attributes": {"title": "Salaries"}}]}}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "now.key").write_text("the key of now")
    (tmp_path / "before.key").write_text("the key before")
    return tmp_path


def pseudonyms(key: Path) -> list[str]:
    config = PrivacyConfig(
        names="pseudonymise", addresses="pseudonymise", content="pseudonymise", ip="none", key=Secret(path=key)
    )
    seen = json.loads(build_privacy(config).apply("organization", json.dumps(BODY).encode()))["attributes"]
    return [seen["actor"]["name"], seen["actor"]["email"], seen["context"][0]["attributes"]["title"]]


def run(*words: str, given: str = "Nobody\nAda Example\nada@example.com\nSalaries\n"):
    return CliRunner().invoke(app, ["pseudonym", *words], input=given)


@pytest.mark.parametrize(("key", "setting"), [("now.key", "key"), ("before.key", "previous_key")])
def test_who_has_a_key_finds_whose_a_pseudonym_is(folder, key, setting):
    wanted = pseudonyms(folder / key)
    found = run("resolve", "--json", *wanted)
    assert found.exit_code == 0, found.output
    lines = [json.loads(line) for line in found.stdout.splitlines()]
    assert [line["text"] for line in lines] == ["Ada Example", "ada@example.com", "Salaries"]
    assert {line["key"] for line in lines} == {f"sinks.siem.privacy.{setting}"}
    assert [line["pseudonym"] for line in lines] == wanted


def test_once_the_key_is_another_nobody_can(folder):
    wanted = pseudonyms(folder / "now.key")
    (folder / "now.key").write_text("a new key")
    found = run("resolve", *wanted)
    assert found.exit_code == 1
    assert "3 of 3 are of none of the 4 texts" in found.stderr
    assert "Ada" not in found.output


def test_the_pseudonyms_of_texts(folder):
    name, address, title = pseudonyms(folder / "now.key")
    assert name in run("of", given="Ada Example\n").stdout
    assert address in run("of", given="ada@example.com\n").stdout
    assert title in run("of", given="Salaries").stdout
    [line] = run("of", "--json", given="Salaries").stdout.splitlines()
    assert json.loads(line)["pseudonyms"]["sinks.siem.privacy.key"]["content"] == title


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("of", "--sink", "archive"), "no key for pseudonyms"),
        (("of", "--sink", "nothing"), "no sink has this name"),
    ],
)
def test_what_cannot_be_found_is_named(folder, words, message):
    found = run(*words)
    assert found.exit_code == 2
    assert message in found.stderr


def test_a_key_that_is_gone_is_named(folder):
    (folder / "before.key").unlink()
    found = run("of")
    assert found.exit_code == 2
    assert "previous_key" in found.stderr


def test_check_says_what_a_reader_sees(folder):
    found = CliRunner().invoke(app, ["check"])
    assert found.exit_code == 0, found.output
    text = found.stdout
    archive = text[text.index("a reader of archive") :]
    assert "never: names of persons, e-mail addresses, titles" in archive
    assert "as pseudonyms: names of persons, e-mail addresses, titles" in text[: text.index("a reader of archive")]
    shown = CliRunner().invoke(app, ["check", "--set", "sinks.archive.privacy=none"]).stdout
    assert "a reader of archive sees: everything that the API sends" in shown
    shown = CliRunner().invoke(app, ["check", "--set", "sinks.archive.privacy=no_persons"]).stdout
    assert "users may have written names of persons into titles and names of spaces and projects" in shown
    shown = CliRunner().invoke(app, ["check", "--set", "sources.acme.redact=no_content"]).stdout
    assert "of acme is kept: ids, times" in shown
