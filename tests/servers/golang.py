"""Builds programs with Go, from modules that its proxy serves, into the cache outside the repository."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.servers.cache import Cache, run

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Go:
    """The compiler, with folders of its own; `bin` is where programs go."""

    bin: Path
    folder: Path
    minutes: float = 90

    @classmethod
    @contextmanager
    def building(cls, cache: Cache, final: Path, *, minutes: float = 90) -> Iterator[Go]:
        """Give a compiler whose programs become the folder `final` when the block ends well.

        What was downloaded and compiled is kept when the block fails, for the next try, and removed when it is done: it
        is many times as large as the programs.
        """
        work = cache.folder / f".go-{final.name}"
        work.mkdir(exist_ok=True)
        with cache.making(final) as rough:
            yield cls(rough, work, minutes)
        shutil.rmtree(work)

    def install(self, package: str, *, link: str = "", compiler: str = "") -> None:
        """Build one program of a module, such as `example.com/tool/cmd/tool@v1.2.3`. Raises Unavailable."""
        self._run("install", "-gcflags", compiler, "-ldflags", f"-s -w {link}", package)

    def build(self, name: str, package: str, *, module: Path, link: str = "") -> None:
        """Build a program of what the go.mod in the folder `module` requires. Raises Unavailable."""
        self._run(
            "build", "-mod=readonly", "-ldflags", f"-s -w {link}", "-o", f"{self.bin}/{name}", package, cwd=module
        )

    def do(self, *words: str, cwd: Path) -> str:
        """Run the compiler in the folder of a module. Raises Unavailable."""
        return self._run(*words, cwd=cwd)

    def module(self, name: str) -> Path:
        """Return the folder with the files of a module, such as `example.com/tool@v1.2.3`. Raises Unavailable."""
        return Path(json.loads(self._run("mod", "download", "-json", name))["Dir"])

    def _run(self, *words: str, cwd: Path | None = None) -> str:
        go = shutil.which("go") or "/usr/local/go/bin/go"
        where = {"GOBIN": str(self.bin), "GOPATH": str(self.folder), "GOCACHE": str(self.folder / "build")}
        how = {"GOFLAGS": "-modcacherw -trimpath -buildvcs=false", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
        return run([go, *words], cwd=cwd, env={**os.environ, **where, **how}, within=self.minutes * 60)
