"""Where the files lie that came with the program beside its code: pages, examples, the schema."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def root() -> Path:
    """Return the folder that holds them: in the package, or the repository of an editable installation."""
    enclosed = _PACKAGE / "enclosed"
    return enclosed if enclosed.is_dir() else _PACKAGE.parent
