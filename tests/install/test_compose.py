"""The Compose files: valid by the specification's own schema, closed to the network, and with a configuration that works."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from forwarder.cli.commands.check import examine
from forwarder.cli.new_config.answers import Answers
from forwarder.cli.new_config.choices import choice_named
from forwarder.cli.new_config.text import config_text
from forwarder.config.readings import CONFIG_PLACES
from forwarder.config.settings import load
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.install.machine import PROJECT, blocks, options_of

WHOLE = (PROJECT / "compose.yaml").read_text()
OWN = blocks("compose.md", "yaml")[0]
SCHEMA_OF = "github.com/compose-spec/compose-go/v2@v2.9.1"


@pytest.fixture(params=[WHOLE, OWN], ids=["compose.yaml", "the page"])
def compose(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(request.param)
    return found


def test_nothing_listens_beyond_this_machine(compose: dict[str, Any]):
    for service in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        assert service.get("network_mode") in {None, "service:simulator"}
        assert not {"privileged", "pid", "cap_add", "devices", "userns_mode"} & service.keys()


def test_ours_run_with_nothing_they_do_not_need(compose: dict[str, Any]):
    ours = {name: one for name, one in compose["services"].items() if one["image"].startswith("audit-forwarder:")}
    assert ours
    for service in ours.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert ours["forwarder"]["volumes"] == ["state:/var/lib/audit-forwarder"]
    assert ours["forwarder"]["stop_grace_period"] == "35s"


def test_every_image_has_a_version(compose: dict[str, Any]):
    for service in compose["services"].values():
        _, _, tag = service["image"].rpartition(":")
        assert tag[:1].isdigit() or tag[:1] == "v"


def test_what_is_named_is_there(compose: dict[str, Any]):
    for service in compose["services"].values():
        for place in (volume.split(":")[0] for volume in service.get("volumes", [])):
            assert (PROJECT / place).is_file() if place.startswith("./") else place in compose["volumes"]
        assert {one["source"] for one in service.get("configs", [])} <= set(compose.get("configs", {}))
        assert set(service.get("secrets", [])) <= set(compose.get("secrets", {}))
        assert set(service.get("depends_on", [])) <= set(compose["services"])


def test_the_configuration_in_it_reads_the_simulator_in_it(tmp_path: Path):
    compose = yaml.safe_load(WHOLE)
    (tmp_path / "config.yaml").write_text(compose["configs"]["forwarder"]["content"])
    settings = load(tmp_path / "config.yaml")
    simulator = Simulator(SimulatorConfig(events=0))
    source = settings.sources["simulated"]
    assert (source.org_id, source.api_key.reveal()) == (simulator.org_id, simulator.api_key)
    port = compose["services"]["simulator"]["command"][-1]
    assert source.base_url == f"http://127.0.0.1:{port}"
    scraped = yaml.safe_load(compose["configs"]["prometheus"]["content"])["scrape_configs"]
    assert scraped[0]["static_configs"] == [{"targets": ["simulator:9464"]}]
    assert settings.admin.allowed_hosts == ["simulator"], "Prometheus asks by this name"


def test_the_sink_behind_the_mark_works(tmp_path: Path, dead_port: int):
    text = yaml.safe_load(WHOLE)["configs"]["forwarder"]["content"]
    text = text.replace("# opensearch:", "opensearch:").replace("0.0.0.0:9464", f"127.0.0.1:{dead_port}")
    (tmp_path / "config.yaml").write_text(text)
    assert set(examine(load(tmp_path / "config.yaml")).sinks) == {"file", "opensearch"}


def test_commands_are_read_by_our_command_line():
    simulator = yaml.safe_load(WHOLE)["services"]["simulator"]
    assert options_of(simulator["command"])["port"] == 8085
    with pytest.raises(Exception, match="No such option"):
        options_of([*simulator["command"], "--ports", "1"])
    page = WHOLE + (PROJECT / "docs/install/compose.md").read_text()
    said = re.findall(r"exec forwarder audit-forwarder ([^`\n]+)", page)
    assert {words.split()[0] for words in said} == {"status", "setup"}
    for words in said:
        options_of(words.split())


def test_each_place_is_the_one_that_is_meant(compose: dict[str, Any]):
    """The image's folder, and the configuration, the port and the rules where each is looked for."""
    forwarder = compose["services"]["forwarder"]
    dockerfile = (PROJECT / "Dockerfile").read_text()
    (config,) = [one["target"] for one in forwarder["configs"]]
    assert Path(config) in CONFIG_PLACES
    assert forwarder.get("environment", {}).get("FORWARDER_CONFIG", config) == config
    (volume,) = forwarder["volumes"]
    assert f"WORKDIR {volume.partition(':')[2]}\n" in dockerfile
    published = [port for one in compose["services"].values() for port in one.get("ports", [])]
    assert f"127.0.0.1:9464:{re.findall('^EXPOSE ([0-9]+)$', dockerfile, re.MULTILINE)[0]}" in published
    if "prometheus" in compose["services"]:
        mounted = [volume.split(":")[1] for volume in compose["services"]["prometheus"]["volumes"]]
        assert set(yaml.safe_load(compose["configs"]["prometheus"]["content"])["rule_files"]) <= set(mounted)


def test_what_init_writes_works_with_the_page(tmp_path: Path):
    """As the page says: without the path of the spool and those of keys, which are files named as settings are."""
    forwarder = yaml.safe_load(OWN)["services"]["forwarder"]
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in forwarder["secrets"]:
        (secrets / name).write_text(f"ATCTT3xFfGN0-{name}")
    answers = Answers(
        {"sources": choice_named("sources", "organization"), "sinks": choice_named("sinks", "elasticsearch")},  # type: ignore[dict-item]
        {
            "sources": {"org_id": "19a8a370-adcb-486b-a803-cf8b67191b55", "api_key": "k"},
            "sinks": {"url": "https://es.example.com:9200", "api_key": "k"},
        },
    )
    text = config_text(answers, state=tmp_path, secrets=tmp_path, listen="0.0.0.0:9464")
    kept = [line for line in text.splitlines() if not re.match(r" +(path|\w+_file):", line)]
    (tmp_path / "config.yaml").write_text("\n".join(kept))
    (variable,) = forwarder["environment"]
    settings = load(tmp_path / "config.yaml", {variable: str(secrets)})
    assert settings.sources["atlassian"].api_key.reveal() == "ATCTT3xFfGN0-sources__atlassian__api_key"
    assert settings.sinks["elastic"].api_key.reveal() == "ATCTT3xFfGN0-sinks__elastic__api_key"
    assert settings.admin.token is not None
    assert settings.shutdown.grace + 10 <= int(forwarder["stop_grace_period"].removesuffix("s"))
    assert not settings.spool.path.is_absolute(), "below the folder of the image, which is the volume"


@pytest.mark.packaging
@pytest.mark.timeout(300)
def test_it_is_valid_by_the_schema_of_the_specification(compose: dict[str, Any]):
    schema = json.loads((_module(SCHEMA_OF) / "schema" / "compose-spec.json").read_text())
    assert [error.message for error in Draft7Validator(schema).iter_errors(compose)] == []
    compose["services"]["forwarder"]["nonsense"] = 1
    assert list(Draft7Validator(schema).iter_errors(compose)), "the schema takes anything"


def _module(name: str) -> Path:
    """Return the folder of a Go module, fetched once."""
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    done = None
    if go is not None:
        done = subprocess.run([go, "mod", "download", "-json", name], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return Path(json.loads(done.stdout)["Dir"])
    why = done.stderr if done is not None else "Go is not installed"
    if os.environ.get("CI") == "true":
        pytest.fail(f"the schema is missing, and CI=true forbids to go on without: {why}")
    pytest.skip(f"NO SCHEMA: {why}")
