"""Changes that change nothing: `equivalent.toml` names each with the reason, and they are counted apart."""

from __future__ import annotations

import tomllib
from pathlib import Path

from tests.mutants.changes import Change


class Equivalents:
    """The list, and which entries of it were met."""

    def __init__(self) -> None:
        path = Path(__file__).with_name("equivalent.toml")
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("equivalent", ())
        self._why = {(one["module"], one["line"], one["becomes"]): one["why"] for one in entries}
        self._met: set[tuple[str, str, str]] = set()

    def why(self, module: str, change: Change, source: bytes) -> str:
        """Return why a change of a module changes nothing, or nothing."""
        key = (module, *_lines(change, source))
        if key in self._why:
            self._met.add(key)
        return self._why.get(key, "")

    def unused(self, modules: set[str]) -> list[str]:
        """Return the entries for these modules that no change was like so far."""
        return [f"{key[0]}: {key[1]}" for key in self._why if key not in self._met and key[0] in modules]


def _lines(change: Change, source: bytes) -> tuple[str, str]:
    """Return the lines that are changed, and the same after it, without indentation."""
    first = source.rfind(b"\n", 0, change.start) + 1
    last = source.find(b"\n", change.end)
    before = source[first : last if last >= 0 else len(source)]
    after = source[first : change.start] + change.text.encode() + source[change.end : first + len(before)]
    return " ".join(before.decode().split()), " ".join(after.decode().split())
