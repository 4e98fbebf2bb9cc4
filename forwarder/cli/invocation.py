"""How a command was called: which configuration, and from where."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from forwarder.config.ports import AdminConfig
    from forwarder.config.settings import Settings


@dataclass(frozen=True)
class Invocation:
    """What the options `--config`, `--secrets-dir` and `--set` said."""

    config: Path | None = None
    secrets_dir: Path | None = None
    overrides: tuple[str, ...] = ()

    def settings(self) -> Settings:
        """Load the settings. Raises SettingsError."""
        from forwarder.config.settings import load  # noqa: PLC0415 -- slow to import; `--help` must not wait for it

        return load(self.config, os.environ, self.secrets_dir, self.overrides)

    def admin(self) -> AdminConfig:
        """Load the settings of the admin port; the others only when these cannot be used. Raises SettingsError."""
        from forwarder.config.ports import load_admin  # noqa: PLC0415 -- as above

        alone = load_admin(self.config, os.environ, self.secrets_dir, self.overrides)
        return alone if alone is not None else self.settings().admin
