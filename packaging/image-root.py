"""Copy the root file system of the base image, without what the forwarder does not need: `image-root.py TARGET`.

Left behind is every program but Python, pip and what brings it back, the package manager's data, and what a builder
mounts. Libraries, time zones, certificates, licences and Debian's list of packages, which scanners read, come along.
"""

from __future__ import annotations

import os
import shutil
import sys
from fnmatch import fnmatch
from pathlib import Path

PROGRAMS = {"bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin"}
EMPTY = {
    "boot",
    "dev",
    "home",
    "media",
    "mnt",
    "opt",
    "proc",
    "root",
    "run",
    "srv",
    "sys",
    "tmp",
    "var/cache",
    "var/log",
}
LEFT_OUT = {
    "etc/apt", "etc/hostname", "etc/hosts", "etc/pip.conf", "etc/resolv.conf", "usr/lib/apt", "usr/share/perl5",
    "usr/share/python-wheels", "var/lib/apt",
}  # fmt: skip
INSTALLERS = ("pip", "pip-*", "setuptools", "setuptools-*", "wheel", "wheel-*", "ensurepip")


def main(target: Path) -> None:
    """Copy the root that this runs in to `target`, an absolute path that does not exist yet."""
    interpreter = Path(sys.executable).resolve()

    def left_out(folder: str, names: list[str]) -> set[str]:
        here = os.path.relpath(folder, "/")
        if here in EMPTY:
            return set(names)
        if here in PROGRAMS:
            return {name for name in names if Path(folder, name).resolve() != interpreter}
        paths = {name: os.path.normpath(f"{here}/{name}") for name in names}
        out = {name for name, path in paths.items() if path in LEFT_OUT or f"/{path}" == str(target)}
        if "python3" in here:
            out |= {name for name in names if any(fnmatch(name, pattern) for pattern in INSTALLERS)}
        return out

    shutil.copytree("/", target, symlinks=True, ignore=left_out)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
