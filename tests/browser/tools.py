"""Chromium, from the system, and what drives it and judges what it shows, by `requirements/browser.lock`."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.cache import Cache, Unavailable, run

PROJECT = Path(__file__).resolve().parents[2]
LOCK = PROJECT / "requirements" / "browser.lock"


@dataclass(frozen=True)
class Tools:
    """Where the packages and Chromium are."""

    folder: Path
    chromium: Path

    @classmethod
    def installed(cls) -> Tools:
        """Install what the lock names, once for each lock. Raises Unavailable."""
        chromium = shutil.which("chromium")
        if chromium is None:
            raise Unavailable("chromium is not installed: apt-get install chromium")
        cache = Cache.default()
        final = cache.folder / f"browser-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"
        with cache.locked():
            if not final.exists():
                with cache.making(final) as rough:
                    run([
                        sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
                        "--no-compile", "--require-hashes", "--target", str(rough), "--requirement", str(LOCK),
                    ])  # fmt: skip
                for old in cache.folder.glob("browser-*"):
                    if old != final:
                        shutil.rmtree(old)
        return cls(final, Path(chromium))

    @property
    def axe(self) -> str:
        """The script that looks for what keeps people from using a page."""
        return (self.folder / "axe_playwright_python" / "axe.min.js").read_text(encoding="utf-8")


def tools_or_skip() -> Tools:
    """Return the tools; without them a test is skipped, and with `CI=true` it fails."""
    try:
        return Tools.installed()
    except Unavailable as why:
        if os.environ.get("CI") == "true":
            pytest.fail(f"the browser is missing, and CI=true forbids to go on without: {why}")
        pytest.skip(f"NO BROWSER: {why}")
