"""The unit for systemd: taken by systemd itself, closed, and its command runs as the unit says."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from forwarder.config.settings import load
from tests.install.machine import PROJECT, blocks, options_of

UNIT = PROJECT / "packaging" / "systemd" / "audit-forwarder.service"
OPEN = 2.0
"""Most points of `systemd-analyze security`, of 10; what is left open is the network and its own state."""


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(UNIT.read_text())
    return parser


def analyze(*words: str) -> str:
    """Run systemd-analyze; without it a test is skipped, and with `CI=true` it fails."""
    if shutil.which("systemd-analyze") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("systemd-analyze is missing: apt-get install systemd")
        pytest.skip("NO SYSTEMD: apt-get install systemd")
    done = subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.packaging
def test_systemd_takes_it(tmp_path: Path):
    there = tmp_path / UNIT.name
    text = UNIT.read_text().replace("/opt/audit-forwarder/bin/audit-forwarder", sys.executable)
    there.write_text(text)
    assert analyze("verify", str(there)).strip() == ""
    there.write_text(text.replace("ProtectSystem=strict", "ProtectSystem=a-little"))
    assert "a-little" in analyze("verify", str(there))


@pytest.mark.packaging
def test_little_is_open():
    shown = analyze("security", "--offline=true", str(UNIT))
    found = re.search(r"exposure level for \S+: ([0-9.]+)", shown)
    assert found is not None, shown
    assert float(found[1]) <= OPEN


def test_it_waits_longer_for_the_end_than_the_daemon_takes(tmp_path: Path):
    service = unit()["Service"]
    (tmp_path / "config.yaml").write_text(
        "sources: {a: {type: organization, org_id: o-1, api_key: k}}\nsinks: {f: {type: file, path: out}}\n"
    )
    assert int(service["TimeoutStopSec"]) >= load(tmp_path / "config.yaml").shutdown.grace + 10
    assert (service["Type"], service["RestartPreventExitStatus"]) == ("notify", "2")
    assert int(service["WatchdogSec"]) >= 30


def test_the_page_and_the_unit_speak_of_the_same(tmp_path: Path):
    text = "\n".join(blocks("systemd.md"))
    service = unit()["Service"]
    program, _, config = service["ExecStart"].split()[0], *service["ExecStart"].split()[2:]
    assert f"python3 -m venv {Path(program).parents[1]}\n" in text
    assert f"init {Path(config).parent} --state /var/lib/{service['StateDirectory']}" in text
    (credentials,) = blocks("systemd.md", "ini")
    for name, path in re.findall(r"LoadCredential=(\S+):(\S+)", credentials):
        assert re.fullmatch(r"(sources|sinks)__[a-z]+__[a-z_]+", name)
        assert path == f"{Path(config).parent}/secrets/{name}"


def test_its_command_and_its_folder_of_secrets_are_read_by_ours(tmp_path: Path):
    service = unit()["Service"]
    assert options_of(service["ExecStart"].split()[1:])["config"] == Path("/etc/audit-forwarder/config.yaml")
    secrets = tmp_path / "credentials"  # as systemd makes it: what is set in the unit, and what a drop-in loads
    secrets.mkdir()
    name, _, content = service["SetCredential"].partition(":")
    (secrets / name).write_text(content)
    (credentials,) = blocks("systemd.md", "ini")
    for loaded in re.findall(r"LoadCredential=(\S+):", credentials):
        (secrets / loaded).write_text(f"ATCTT3xFfGN0-{loaded}")
    (tmp_path / "config.yaml").write_text(
        "sources: {atlassian: {type: organization, org_id: o-1}}\n"
        "sinks: {elastic: {type: elasticsearch, url: 'https://es.example.com:9200'}}\n"
    )
    variable, _, place = service["Environment"].partition("=")
    assert place == "%d"
    settings = load(tmp_path / "config.yaml", {variable: str(secrets)})
    assert settings.sources["atlassian"].api_key.reveal() == "ATCTT3xFfGN0-sources__atlassian__api_key"
    assert settings.sinks["elastic"].api_key.reveal() == "ATCTT3xFfGN0-sinks__elastic__api_key"


def test_the_journal_gets_the_log_with_how_grave_each_line_is():
    """`journalctl -p warning` is in the runbooks; the prefix is what the daemon writes when it finds JOURNAL_STREAM."""
    service = unit()["Service"]
    assert not {"StandardError", "StandardOutput", "SyslogLevelPrefix"} & set(service), (
        "the defaults lead to the journal"
    )


def test_it_may_write_where_the_spool_of_the_page_lies():
    service = unit()["Service"]
    (init,) = [block for block in blocks("systemd.md") if block.startswith("audit-forwarder init")]
    read = options_of(init.split()[1:])
    assert read["state"] == Path("/var/lib") / service["StateDirectory"]
    assert service["WorkingDirectory"] == f"%S/{service['StateDirectory']}"
