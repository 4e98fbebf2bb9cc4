"""How a command was called: which configuration, and from where."""

from __future__ import annotations

import gc
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from forwarder.config.settings import Settings


@dataclass(frozen=True)
class Invocation:
    """What the options `--config`, `--secrets-dir` and `--set` said."""

    config: Path | None = None
    secrets_dir: Path | None = None
    overrides: tuple[str, ...] = ()

    def settings(self) -> Settings:
        """Load the settings. Raises SettingsError."""
        gc.disable()  # models and modules are made, and nothing is garbage: looking for some took a tenth of the time
        try:
            from forwarder.config.settings import load  # noqa: PLC0415 -- slow to import; `--help` must not wait for it

            return load(self.config, os.environ, self.secrets_dir, self.overrides)
        finally:
            gc.enable()
