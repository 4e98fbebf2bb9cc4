"""A container under runc, as strict as a cluster makes it: read-only root, no capabilities, no new privileges.

It shares the network of the machine, so that what listens on loopback can be reached from inside and from outside.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.servers.cache import Cache, Unavailable, run

PROJECT = Path(__file__).resolve().parents[2]
PATIENCE = 120.0
"""Seconds to wait for any one thing."""


@dataclass(frozen=True)
class Image:
    """An unpacked image.

    Attributes:
        rootfs: Its root file system.
        files: What was in it before the first run, by path; runs leave empty places where something was mounted.
        spec: The runtime configuration made of it.
        config: Its own configuration: user, entry point, labels.
        size: Bytes that a registry keeps of it.
        built_in: Seconds it took to build, with what was kept of earlier builds.
    """

    rootfs: Path
    files: dict[str, os.stat_result]
    spec: dict[str, Any]
    config: dict[str, Any]
    size: int = 0
    built_in: float = 0.0


@dataclass(frozen=True)
class Mount:
    """A file or folder of this machine, shown inside."""

    source: Path
    target: str
    writable: bool = False


@contextmanager
def built_image() -> Iterator[Image]:
    """Build the image of this work tree and unpack it. Raises Unavailable when this machine cannot."""
    for program in ("umoci", "runc"):
        if shutil.which(program) is None:
            raise Unavailable(f"{program} is not installed: apt-get install {program}")
    folder = Path(tempfile.mkdtemp(prefix=".image-", dir=Cache.default().folder))
    try:
        layout = folder / "layout"
        began = time.monotonic()
        run([str(PROJECT / "packaging" / "build-image"), str(layout)])
        built_in = time.monotonic() - began
        run(["umoci", "unpack", "--image", f"{layout}:latest", str(folder / "bundle")])
        index = json.loads((layout / "index.json").read_text())
        manifest = _blob(layout, index["manifests"][0]["digest"])
        spec = json.loads((folder / "bundle" / "config.json").read_text())
        rootfs = folder / "bundle" / "rootfs"
        files = {str(path.relative_to(rootfs)): path.lstat() for path in rootfs.rglob("*")}
        size = sum(path.stat().st_size for path in (layout / "blobs").rglob("*") if path.is_file())
        yield Image(rootfs, files, spec, _blob(layout, manifest["config"]["digest"])["config"], size, built_in)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _blob(layout: Path, digest: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((layout / "blobs" / digest.replace(":", "/")).read_text())
    return content


class Container:
    """One run of the image; `text` is what it wrote to standard output and error.

    Args:
        folder: Where its runtime files and its log go.
        words: Arguments, instead of the image's own.
        env: Variables beside the image's own.
        user: uid, gid and supplementary groups, instead of the image's own user.
    """

    def __init__(
        self,
        image: Image,
        folder: Path,
        mounts: Sequence[Mount] = (),
        *,
        words: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        user: dict[str, Any] | None = None,
    ) -> None:
        self.name = f"audit-forwarder-{uuid.uuid4().hex[:12]}"
        self._bundle = folder / self.name
        self._bundle.mkdir(parents=True)
        self._log = self._bundle / "log"
        self._process: asyncio.subprocess.Process | None = None
        self._runc = ["runc", "--root", str(self._bundle / "runc")]
        spec = confined(image, mounts, env or {}, user)
        if words is not None:
            spec["process"]["args"] = [*image.config["Entrypoint"], *words]
        (self._bundle / "config.json").write_text(json.dumps(spec))

    async def start(self) -> None:
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._runc, "run", "--bundle", str(self._bundle), self.name,
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def text(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    async def exec(self, *words: str) -> tuple[int, str]:
        """Run a command inside, as `kubectl exec` does; return its exit code and what it wrote."""
        process = await asyncio.create_subprocess_exec(
            *self._runc, "exec", self.name, *words,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode(errors="replace")

    async def state_of_init(self) -> dict[str, str]:
        """Return what the kernel says of the first process inside."""
        process = await asyncio.create_subprocess_exec(*self._runc, "state", self.name, stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
        status = Path(f"/proc/{json.loads(output)['pid']}/status").read_text()
        return {key: value.strip() for key, _, value in (line.partition(":") for line in status.splitlines())}

    async def until(self, holds: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                while not holds():
                    assert self.alive, f"it ended by itself: {self.text[-4000:]}"
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"waited in vain: {self.text[-4000:]}") from None

    async def until_answers(self, port: int, path: str, host: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                with contextlib.suppress(OSError):
                    if await get(port, path, host) == 200:
                        return
                assert self.alive, f"it ended by itself: {self.text[-4000:]}"
                await asyncio.sleep(0.05)

    async def wait(self) -> int:
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> int:
        """Send SIGTERM to the first process inside; return its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)  # runc passes it on
        return await self._process.wait()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self.alive:
            killing = await asyncio.create_subprocess_exec(
                *self._runc, "kill", self.name, "KILL", stderr=asyncio.subprocess.DEVNULL
            )
            await killing.wait()
            try:
                await asyncio.wait_for(self.wait(), 20)
            except TimeoutError:
                assert self._process is not None
                self._process.kill()
                await self._process.wait()


async def get(port: int, path: str, host: str) -> int:
    """Ask for a path as someone who knows the machine by this name; return the status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        return int((await reader.read() or b"- 0 ").split(b" ", 2)[1])
    finally:
        writer.close()


def confined(
    image: Image, mounts: Sequence[Mount], env: Mapping[str, str], user: dict[str, Any] | None
) -> dict[str, Any]:
    """Return the runtime configuration: the image's own, with every right taken away that a cluster takes away."""
    spec: dict[str, Any] = json.loads(json.dumps(image.spec))
    process, linux = spec["process"], spec["linux"]
    process.pop("rlimits", None)
    process |= {"terminal": False, "noNewPrivileges": True, "user": user or process["user"]}
    process["env"] += [f"{name}={value}" for name, value in env.items()]
    process["capabilities"] = {kind: [] for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")}
    linux.pop("resources", None)
    linux["namespaces"] = [space for space in linux["namespaces"] if space["type"] not in {"network", "cgroup"}]
    spec["root"] = {"path": str(image.rootfs), "readonly": True}
    spec["hostname"] = "audit-forwarder-0"
    spec["mounts"] = [mount for mount in spec["mounts"] if mount["type"] != "cgroup"] + [
        {
            "destination": mount.target,
            "type": "bind",
            "source": str(mount.source),
            "options": ["rbind", "nosuid", "nodev", "rw" if mount.writable else "ro"],
        }
        for mount in mounts
    ]
    return spec


def writable_folder(path: Path, owner: int) -> Path:
    """Make a folder that a user inside may write to."""
    path.mkdir()
    os.chown(path, owner, owner)
    return path
