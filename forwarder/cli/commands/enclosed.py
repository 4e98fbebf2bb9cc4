"""`docs` and `examples`: what came with the program beside the code, listed or printed."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forwarder.cli.terminal import print_line, show_rows
from forwarder.config.problems import Problem, SettingsError
from forwarder.exit_codes import ExitCode
from forwarder.observe.enclosed import root
from forwarder.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Kind:
    """One kind of files.

    Attributes:
        patterns: Which files, below the root.
        below: What is left out of the names.
        title_mark: What a line begins with that says what the file is.
    """

    patterns: tuple[str, ...]
    below: str
    title_mark: str


PAGES = Kind(("README.md", "CHANGELOG.md", "docs/**/*.md"), "docs/", "# ")
FILES = Kind(("examples/**/*", "schema/*.json", "packaging/systemd/*", "content/*/*", "compose.yaml"), "", "# ")


def show(kind: Kind, name: str | None) -> ExitCode:
    """List the files of a kind, or print the one with this name. Raises SettingsError when there is none."""
    found = dict(_files(kind))
    if name is None:
        show_rows(([each, _title(path, kind.title_mark)] for each, path in found.items()), head=["name", "what it is"])
        print_line()
        print_line(f"They lie in {root()}.")
        return ExitCode.OK
    wanted = name.removesuffix(".md") if kind is PAGES else name
    alike = [path for each, path in found.items() if wanted in {each, each.rpartition("/")[2]}]
    if not alike:
        guess = nearest(wanted, found)
        raise SettingsError(
            [Problem(name, "nothing here has this name", f"did you mean {guess}?" if guess else "list them without it")]
        )
    sys.stdout.write(alike[0].read_text(encoding="utf-8"))
    return ExitCode.OK


def names(kind: Kind) -> list[str]:
    """Return the names of the files of a kind."""
    return [name for name, _ in _files(kind)]


def _files(kind: Kind) -> Iterator[tuple[str, Path]]:
    for pattern in kind.patterns:
        for path in sorted(root().glob(pattern)):
            if path.is_file() and "__pycache__" not in path.parts:
                name = path.relative_to(root()).as_posix()
                yield (name.removeprefix(kind.below).removesuffix(".md") if kind is PAGES else name), path


def _title(path: Path, mark: str) -> str:
    """Return the first line of a file that is a title or a comment."""
    for line in path.read_text(encoding="utf-8").splitlines()[:5]:
        text = line.removeprefix(mark).strip()
        if line.startswith(mark) and "$schema" not in text:
            return text.rstrip(".")
    return ""
