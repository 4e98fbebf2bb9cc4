"""What the page on privacy shows can be written like that, and says what the program does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from forwarder.config.settings import Settings, load
from forwarder.contracts.privacy import KindsConfig, Preset
from forwarder.preflight.routes import odd_fields, odd_places, unrouted_places

PAGE = (Path(__file__).parents[2] / "docs" / "privacy.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
REST = {
    "sources": "sources: {acme: {type: organization, org_id: 7d5a6a0e-1c55-4b92-9a37-0a4ad7a3c1aa, api_key: abcdefgh12345678}}",
    "sinks": "sinks: {archive: {type: file, path: ./events.ndjson}}",
}


def loaded(example: str, folder: Path) -> Settings:
    path = folder / "config.yaml"
    path.write_text(example + "\n".join(text for name, text in REST.items() if f"{name}:" not in example))
    return load(path, {})


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_a_good_configuration(example, tmp_path):
    settings = loaded(example, tmp_path)
    assert [*odd_fields(settings), *odd_places(settings), *unrouted_places(settings)] == []


def test_every_preset_and_kind_is_on_the_page():
    for word in (*get_args(Preset), *KindsConfig.model_fields):
        assert f"`{word}`" in PAGE, word
