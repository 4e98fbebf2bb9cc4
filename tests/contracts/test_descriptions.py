"""What a setting means is read from the source of its model, inherited settings included."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from forwarder.contracts import SinkConfig
from forwarder.contracts.descriptions import descriptions


class StrangersConfig(SinkConfig):
    """A sink of somebody else."""

    address: str
    """Where
    it is."""
    window: int = 7
    """Another meaning."""
    given: Annotated[int, Field(description="Said here.")] = 1
    """And not here."""
    silent: int = 0


def test_every_field_has_the_text_below_it() -> None:
    found = descriptions(StrangersConfig)
    assert found["address"] == "Where\nit is."
    assert found["on_full"] == descriptions(SinkConfig)["on_full"] != ""
    assert (found["window"], found["given"]) == ("Another meaning.", "Said here.")
    assert "silent" not in found


def test_the_schema_says_it() -> None:
    properties = StrangersConfig.model_json_schema()["properties"]
    assert properties["address"]["description"] == "Where\nit is."
    assert properties["given"]["description"] == "Said here."
    assert "description" not in properties["silent"]
