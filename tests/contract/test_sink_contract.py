"""Clauses that every registered sink keeps, and the two test sinks with them. A new sink adds one line to `_SINKS`.

What needs the sink's own far end (partial answers, secrets that rotate, time-outs) is tested with that sink.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from pydantic import ValidationError

from forwarder.contracts import Delivery, Finding, SinkConfig
from forwarder.registry import OWN_DISTRIBUTION, Registry
from tests.contract.sinks_for_tests import LateSink, PartialSink, batch_of, context

SECRET = "s3cr3t-made-up"

_SINKS: dict[str, dict[str, Any]] = {
    "elasticsearch": {"url": "https://127.0.0.1:1", "api_key": SECRET},
    "file": {"path": "{folder}/out/events.ndjson"},
    "http": {"url": "https://127.0.0.1:1/ingest", "token": SECRET},
    "splunk_hec": {"url": "https://127.0.0.1:1", "token": SECRET},
    "late": {"lost": 0, "silent": 0, "mixed": True},
    "partial": {"raises": 0},
    "syslog": {"address": "tls://127.0.0.1:1", "tls": {"key_password": SECRET}},
}
_SENDS_WITHOUT_FAR_END = ["file", "late", "partial"]


def _load(name: str) -> Any:
    return {"late": LateSink, "partial": PartialSink}.get(name) or Registry("sink").load(name)


def _values(name: str, folder: Path) -> dict[str, Any]:
    return {
        "type": name,
        **{
            key: value.format(folder=folder) if isinstance(value, str) else value for key, value in _SINKS[name].items()
        },
    }


def _build(name: str, folder: Path, **changes: Any) -> Any:
    found = _load(name)
    return found(found.Config(**{**_values(name, folder), **changes}), context(name, slots=2))


def test_every_registered_sink_is_held_to_the_contract() -> None:
    ours = Registry("sink").names(distribution=OWN_DISTRIBUTION)
    assert set(ours) <= set(_SINKS), "add the new sink to _SINKS"


every_sink = pytest.mark.parametrize("name", list(_SINKS))


@pytest.fixture
def world() -> Iterator[Callable[[], list[str]]]:
    """Record every file that is opened and every connection that is tried."""
    touched: list[str] = []
    listening = True

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if listening and event in {"open", "os.mkdir", "os.remove", "os.rename", "socket.connect", "socket.bind"}:
            touched.append(f"{event} {arguments[0]!r}")

    sys.addaudithook(hear)  # cannot be removed again, only silenced
    yield lambda: touched
    listening = False


@every_sink
async def test_the_constructor_touches_nothing(name: str, tmp_path: Path, world: Callable[[], list[str]]) -> None:
    found = _load(name)
    config = found.Config(**_values(name, tmp_path))
    given = context(name)
    before = list(world())
    sink = found(config, given)
    assert world() == before
    assert list(tmp_path.iterdir()) == []
    await sink.close()


@every_sink
def test_the_contract_of_the_class(name: str) -> None:
    found = _load(name)
    assert issubclass(found.Config, SinkConfig)
    assert found.proof in {"delivered", "received", "none"}
    assert found.default_format in {"raw", "ecs", "cef", "leef", "rfc5424_sd"}


@every_sink
def test_unknown_keys_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="not_a_key"):
        _load(name).Config(**_values(name, tmp_path), not_a_key=1)


@every_sink
def test_the_schema_builds_and_describes_every_setting(name: str, tmp_path: Path) -> None:
    schema = _load(name).Config.model_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(_values(name, tmp_path), schema)
    assert schema["additionalProperties"] is False
    undescribed = [key for key, value in schema["properties"].items() if not value.get("description")]
    assert [key for key in undescribed if key != "type"] == []


@every_sink
async def test_the_target_is_stable_and_holds_no_secret(name: str, tmp_path: Path) -> None:
    first, second = _build(name, tmp_path), _build(name, tmp_path, max_pending=7)
    assert first.target == second.target
    assert first.target
    assert SECRET not in first.target
    assert SECRET not in repr(first) + str(vars(first))
    await first.close()
    await second.close()


@every_sink
async def test_close_may_be_called_twice_and_without_use(name: str, tmp_path: Path) -> None:
    sink = _build(name, tmp_path)
    await sink.close()
    await sink.close()


@every_sink
async def test_a_probe_answers_with_findings_and_writes_nothing(name: str, tmp_path: Path) -> None:
    sink = _build(name, tmp_path)
    findings = await sink.probe()
    await sink.close()
    assert findings
    assert all(isinstance(finding, Finding) and finding.subject and finding.detail for finding in findings)
    assert all(finding.fix for finding in findings if not finding.ok), "what is not well says what to do"
    assert not any(SECRET in finding.detail + finding.fix for finding in findings)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", _SENDS_WITHOUT_FAR_END)
async def test_send_accounts_for_positions_of_the_batch_only(name: str, tmp_path: Path) -> None:
    sink = _build(name, tmp_path)
    batch = batch_of(*(b'{"n":%d}' % n for n in range(50)))
    delivery = await sink.send(batch)
    await sink.close()
    assert isinstance(delivery, Delivery)
    named = [*delivery.accepted, *delivery.rejected, *delivery.kept, *delivery.pending]
    assert len(named) == len(set(named)), "a record is named twice"
    assert set(named) <= set(range(50))
    assert named, "nothing was decided, so a lane would never get on"


@pytest.mark.parametrize("name", _SENDS_WITHOUT_FAR_END)
async def test_an_empty_batch_is_nothing(name: str, tmp_path: Path) -> None:
    sink = _build(name, tmp_path)
    delivery = await sink.send(batch_of())
    await sink.close()
    assert [*delivery.accepted, *delivery.rejected, *delivery.kept, *delivery.pending] == []


def test_the_recorder_of_the_world_works(world: Callable[[], list[str]], tmp_path: Path) -> None:
    os.close(os.open(tmp_path / "x", os.O_CREAT))
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
    assert {line.split()[0] for line in world()} >= {"open", "socket.bind"}
