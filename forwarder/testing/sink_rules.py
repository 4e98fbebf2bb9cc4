"""What a sink is before anything is sent: clauses A1 to A5 of docs/sink-specification.md, and what it may answer."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from pydantic import ValidationError

from forwarder.contracts import ConfigError, Delivery, Finding, SinkConfig
from forwarder.registry import FORMATS, SINKS
from forwarder.testing.far_end import ABILITIES, SECRET, FarEnd, build, context, format_name
from forwarder.testing.lanes import batch_of, event
from forwarder.testing.suite import Suite, clause


def test_every_sink_has_a_far_end(suite: Suite) -> None:
    missing = set(suite.sinks) - {end.name for end in suite.far_ends}
    assert not missing, "write a far end, and name it in pytest_forwarder_far_ends of conftest.py"
    assert {end.name for end in suite.far_ends} <= set(suite.sinks), "a far end of a sink that is not registered"


@clause()
def test_a_far_end_plays_each_fault_or_says_why_not(far_end: type[FarEnd], tmp_path: Path) -> None:
    end = far_end(tmp_path)
    unexplained = {fault for fault in ABILITIES if (fault in end.can) == bool(end.cannot.get(fault))}
    assert unexplained == set(), "each is in `can`, or in `cannot` with the reason"


@pytest.fixture
def world() -> Iterator[Callable[[], list[str]]]:
    """Record every file that is opened and every connection that is tried."""
    touched: list[str] = []
    listening = True

    def hear(what: str, arguments: tuple[Any, ...]) -> None:
        if listening and what in {"open", "os.mkdir", "os.remove", "os.rename", "socket.connect", "socket.bind"}:
            touched.append(f"{what} {arguments[0]!r}")

    sys.addaudithook(hear)  # cannot be removed again, only silenced
    yield lambda: touched
    listening = False


@asynccontextmanager
async def _opened(far_end: type[FarEnd], folder: Path) -> AsyncIterator[FarEnd]:
    end = far_end(folder)
    await end.open()
    try:
        yield end
    finally:
        await end.close()


@clause()
async def test_a1_the_constructor_touches_nothing(
    far_end: type[FarEnd], tmp_path: Path, world: Callable[[], list[str]]
) -> None:
    async with _opened(far_end, tmp_path) as end:
        found = SINKS.load(end.name)
        config = found.Config(type=end.name, **_without_type(end))
        given = context(end.name, render=format_name(end))
        there, before = sorted(tmp_path.iterdir()), list(world())
        sink = found(config, given)
        assert world() == before
        assert sorted(tmp_path.iterdir()) == there
        await sink.close()


@clause()
async def test_a2_every_setting_is_described_and_unknown_ones_are_refused(
    far_end: type[FarEnd], tmp_path: Path
) -> None:
    async with _opened(far_end, tmp_path) as end:
        found = SINKS.load(end.name)
        settings = {"type": end.name, **_without_type(end)}
        assert issubclass(found.Config, SinkConfig)
        held_to_a2(found.Config, settings)
        assert found.default_format in FORMATS.names()


def held_to_a2(config: Any, settings: dict[str, Any]) -> None:
    """Fail unless a model of settings describes and bounds them: for sinks and sources alike."""
    with pytest.raises(ValidationError, match="not_a_key"):
        config(**settings, not_a_key=1)
    schema = config.model_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(settings, schema)
    assert schema["additionalProperties"] is False
    undescribed = [key for key, value in schema["properties"].items() if not value.get("description")]
    assert [key for key in undescribed if key != "type"] == [], "write a docstring below each setting"


@clause()
async def test_a3_the_target_is_stable_and_no_secret_is_kept_in_sight(far_end: type[FarEnd], tmp_path: Path) -> None:
    async with _opened(far_end, tmp_path) as end:
        for settings in (_without_type(end), _with_secrets_inside(end)):
            found = SINKS.load(end.name)
            made = [
                found(found.Config(type=end.name, **settings, **more), context(end.name, render=format_name(end)))
                for more in ({}, {"max_pending": 7})
            ]
            first, second = made
            assert first.target == second.target
            assert first.target
            assert SECRET not in f"{first.target} {first!r} {vars(first)} {found.Config(type=end.name, **settings)!r}"
            assert first.proof in {"delivered", "received", "none"}
            for sink in made:
                await sink.close()
                await sink.close()  # and without use


def _without_type(end: FarEnd) -> dict[str, Any]:
    return {name: value for name, value in end.settings().items() if name != "type"}


def _with_secrets_inside(end: FarEnd) -> dict[str, Any]:
    """Return the settings with the credential written into them instead of the file it stands in."""
    secret = {f"{name}_file": name for name in SINKS.load(end.name).Config.secret_fields()}
    settings = _without_type(end)
    return {secret.get(name, name): SECRET if name in secret else value for name, value in settings.items()}


@clause()
async def test_a4_a_probe_says_what_to_do_and_writes_nothing(far_end: type[FarEnd], tmp_path: Path) -> None:
    async with _opened(far_end, tmp_path) as end:
        there = sorted(tmp_path.iterdir())
        sink = build(end)
        try:
            findings = await sink.probe()
            assert findings
            await end.close()
            findings += await sink.probe()
            await end.open()
        finally:
            await sink.close()
        assert all(isinstance(finding, Finding) and finding.subject and finding.detail for finding in findings)
        assert all(finding.fix for finding in findings if not finding.ok), "what is not well says what to do"
        assert not any(SECRET in finding.detail + finding.fix for finding in findings)
        assert sorted(tmp_path.iterdir()) == there
        assert end.landed.total() == 0


@clause()
async def test_a5_a_plain_connection_to_another_machine_needs_a_setting(far_end: type[FarEnd], tmp_path: Path) -> None:
    async with _opened(far_end, tmp_path) as end:
        found = SINKS.load(end.name)
        for name, value in _without_type(end).items():
            if isinstance(value, str) and value.startswith("http://127.0.0.1"):
                elsewhere = {**_without_type(end), name: value.replace("127.0.0.1", "siem.example.com")}
                with pytest.raises((ConfigError, ValidationError)):
                    found(found.Config(type=end.name, **elsewhere), context(end.name, render=format_name(end)))


@clause()
async def test_b2_a_delivery_names_positions_of_the_batch_once(far_end: type[FarEnd], tmp_path: Path) -> None:
    async with _opened(far_end, tmp_path) as end:
        sink = build(end)
        try:
            for count in (0, 1, 50):
                delivery = await sink.send(batch_of(*(event(f"e{n}") for n in range(count))))
                assert isinstance(delivery, Delivery)
                named = [*delivery.accepted, *delivery.rejected, *delivery.kept, *delivery.pending]
                assert len(named) == len(set(named)), "a record is named twice"
                assert set(named) <= set(range(count))
                assert named or not count, "nothing was decided, so a lane would never get on"
        finally:
            await sink.close()


def test_the_recorder_of_the_world_works(world: Callable[[], list[str]], tmp_path: Path) -> None:
    os.close(os.open(tmp_path / "x", os.O_CREAT))
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
    assert {line.split()[0] for line in world()} >= {"open", "socket.bind"}
