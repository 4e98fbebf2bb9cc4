"""All layers of the configuration, read and put into one tree; which settings there are is not known here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forwarder.config import layers as read
from forwarder.config.layers import SHORT_FORMS
from forwarder.config.origin import file_stamp
from forwarder.config.yaml_file import read_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forwarder.config.problems import Problem

CONFIG_PLACES = (Path("config.yaml"), Path("/etc/audit-forwarder/config.yaml"))
"""Where the configuration is looked for when no option names it."""


@dataclass(frozen=True)
class Readings:
    """What was read.

    Attributes:
        file: The YAML file, if there is one.
        stamp: Of that file, before it was read.
        secrets_dir: The secrets directory, if there is one.
        layers: Strongest first.
        problems: What could not be read.
    """

    file: Path | None
    stamp: tuple[int, ...]
    secrets_dir: Path | None
    layers: list[read.Layer]
    problems: list[Problem]

    @property
    def nothing(self) -> bool:
        """Whether there is no configuration at all."""
        return self.file is None and not any(layer.tree for layer in self.layers)

    @property
    def tree(self) -> dict[str, Any]:
        """One raw tree of all layers."""
        tree: dict[str, Any] = {}
        for layer in self.layers:
            tree = _filled(tree, layer.tree)
        return tree


def read_all(
    config_path: Path | None, env: Mapping[str, str], secrets_dir: Path | None, overrides: Sequence[str]
) -> Readings:
    """Read every layer. Never raises for what is in them; see `settings.load` for the arguments."""
    file = find_config(config_path, env)
    stamp = file_stamp(file)
    if secrets_dir is None and env.get("FORWARDER_SECRETS_DIR"):
        secrets_dir = Path(env["FORWARDER_SECRETS_DIR"])
    readings = [read.read_overrides(overrides), read.read_environment(env)]
    readings += [read.read_secrets_dir(secrets_dir)] if secrets_dir else []
    readings += [read_yaml(file)] if file else []
    problems = [problem for _, found in readings for problem in found]
    return Readings(file, stamp, secrets_dir, [layer for layer, _ in readings], problems)


def find_config(named: Path | None, env: Mapping[str, str]) -> Path | None:
    """Return the file to read: the named one, else FORWARDER_CONFIG, else the first usual place that exists."""
    if named is not None:
        return named
    if env.get("FORWARDER_CONFIG"):
        return Path(env["FORWARDER_CONFIG"])
    return next((place for place in CONFIG_PLACES if place.is_file()), None)


def _filled(strong: dict[str, Any], weak: dict[str, Any]) -> dict[str, Any]:
    """Add to the strong what only the weak has; `x` and `x_file` are twins, of which the strong one is enough."""
    result = dict(strong)
    for key, value in weak.items():
        if key in strong:
            if key in SHORT_FORMS and isinstance(value, str) and isinstance(strong[key], dict):
                value = {SHORT_FORMS[key]: value}  # noqa: PLW2901 - one word, of which the stronger changes a part
            if isinstance(value, dict) and isinstance(strong[key], dict):
                result[key] = _filled(strong[key], value)
        elif f"{key}_file" not in strong and not (key.endswith("_file") and key.removesuffix("_file") in strong):
            result[key] = value
    return result
