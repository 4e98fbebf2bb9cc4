"""JSON for people: on a terminal nothing in it is more than text."""

from __future__ import annotations

import json
import sys

import pytest

from forwarder.cli.terminal import print_json

HOSTILE = "a\x1b]0;x\x07b\x9b31mc\u202ed\u2028e\x7f é 日"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_what_comes_from_outside_reaches_a_terminal_as_text_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    print_json({"detail": HOSTILE, HOSTILE: [1]})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"detail": HOSTILE, HOSTILE: [1]}
    if is_terminal:
        assert all(char.isprintable() or char == "\n" for char in printed)
        assert "é 日" in printed, "what prints stays readable"
