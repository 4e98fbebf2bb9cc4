"""Programs out of Debian's packages, unpacked into the cache beside the system: nothing is installed.

rsyslog and syslog-ng exclude each other as packages; unpacked into folders of their own they live side by side.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from tests.servers.cache import Cache, run

_APT = ["-qq", "-o", "DPkg::Lock::Timeout=600"]
_ENVIRONMENT = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}


def unpack(cache: Cache, name: str, packages: list[str]) -> Path:
    """Fetch packages and what they need beyond this system, once; return the root they are in. Raises Unavailable."""
    final = cache.folder / name
    with cache.locked():
        if not final.exists():
            with cache.making(final) as rough:
                _fetch(rough, packages)
    return final


def libraries(root: Path) -> str:
    """Return what `LD_LIBRARY_PATH` must be for a program under this root."""
    found = {str(path.parent) for place in ("usr/lib", "lib") for path in (root / place).rglob("*.so*")}
    return ":".join(sorted(found))


def _fetch(root: Path, packages: list[str]) -> None:
    wanted = sorted({*packages, *_missing(packages)})
    with tempfile.TemporaryDirectory(prefix="debs-", dir=root.parent) as folder:
        Path(folder).chmod(0o777)  # apt fetches as a user of its own
        run(["apt-get", "download", *_APT, *wanted], cwd=Path(folder), env=_ENVIRONMENT)
        for archive in sorted(Path(folder).glob("*.deb")):
            run(["dpkg", "-x", str(archive), str(root)])


def _missing(packages: list[str]) -> list[str]:
    """Return the packages that an installation would bring; after an update when apt knows nothing of them yet."""
    simulate = ["apt-get", "install", "--simulate", "--no-install-recommends", "--yes", *packages]
    try:
        output = run(simulate, env=_ENVIRONMENT)
    except Exception:  # noqa: BLE001 -- whatever it lacks, an update is the one thing to try
        run(["apt-get", "update", *_APT], env=_ENVIRONMENT)
        output = run(simulate, env=_ENVIRONMENT)
    return re.findall(r"^Inst (\S+)", output, re.MULTILINE)
