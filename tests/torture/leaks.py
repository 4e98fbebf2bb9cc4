"""Secrets that were planted, and the search for them wherever people or programs can look."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


class Leaks:
    """Every secret of a run. Each text is searched as it is, without regard to where it came from."""

    def __init__(self, planted: Iterable[str]) -> None:
        self._planted = {secret.encode() for secret in planted}
        self.found: list[str] = []
        self.searched = 0

    def plant(self, secret: str) -> None:
        self._planted.add(secret.encode())

    def search(self, where: str, text: bytes) -> None:
        """Look through a text; what is found is told without the secret."""
        self.searched += len(text)
        for secret in self._planted:
            if secret in text:
                self.found.append(f"a secret that begins with {secret[:4].decode()}… is in {where}")

    def search_processes(self) -> None:
        """Look through the command line of every process of this machine that can be seen."""
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                self.search(f"the command line of process {entry.parent.name}", entry.read_bytes())
            except OSError:  # it has ended
                continue
