"""Puts into the wheel what users want beside the code: pages, examples, schema, service files. A hook of hatchling.

They lie in `forwarder/enclosed`, below their paths in the repository, where `audit-forwarder docs` and `examples` find
them. From an editable installation these commands read the repository itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PATTERNS = (
    "CHANGELOG.md",
    "README.md",
    "compose.yaml",
    "content/*/*",
    "docs/**/*.md",
    "examples/**/*",
    "packaging/systemd/*",
    "schema/*.json",
)


class Enclose(BuildHookInterface[Any]):
    """Adds the files to a wheel. Raises FileNotFoundError when a kind of them is missing."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name every file and where it goes."""
        if version == "editable":
            return
        root = Path(self.root)
        for pattern in PATTERNS:
            found = [path for path in sorted(root.glob(pattern)) if path.is_file()]
            if not found:
                raise FileNotFoundError(f"the wheel needs {pattern}")
            for path in found:
                name = path.relative_to(root).as_posix()
                build_data["force_include"][str(path)] = f"forwarder/enclosed/{name}"
