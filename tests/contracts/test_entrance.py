"""`forwarder.contracts`: everything a plugin needs by one import, and nothing is imported that was not asked for."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import forwarder.contracts


def test_what_the_checker_of_types_sees_is_what_can_be_imported() -> None:
    tree = ast.parse(Path(str(forwarder.contracts.__file__)).read_text(encoding="utf-8"))
    checked = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name for node in checked.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == set(dir(forwarder.contracts))
    for name in seen:
        assert getattr(forwarder.contracts, name) is not None
    with pytest.raises(ImportError, match="Nonsense"):
        from forwarder.contracts import Nonsense  # noqa: F401


def test_an_error_is_imported_without_the_models_of_settings() -> None:
    code = "import sys; from forwarder.contracts import ConfigError; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
