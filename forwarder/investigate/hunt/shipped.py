"""The rules that are shipped: as SQL, from the file that is made of `rules/*.yml`."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.investigate.columns import COLUMNS
from forwarder.investigate.hunt.sigma import Hunt, compiled

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


def hunts() -> tuple[Hunt, ...]:
    """Return every rule, by name."""
    return msgspec.json.decode(_folder().joinpath("shipped.json").read_bytes(), type=tuple[Hunt, ...])


def made() -> str:
    """Return what `shipped.json` must hold: made anew of the rules. Raises ValueError for a rule that is not read."""
    import yaml  # noqa: PLC0415 -- only where the package is made

    columns = [column.name for column in COLUMNS]
    found = []
    for file in sorted(_folder().joinpath("rules").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".yml"):
            rule: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
            found.append(compiled(file.name.removesuffix(".yml"), rule, columns))
    return msgspec.json.format(msgspec.json.encode(found), indent=1).decode() + "\n"


def _folder() -> Traversable:
    return files("forwarder.investigate.hunt")
