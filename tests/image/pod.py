"""The part of a kubelet that matters here: from the rendered manifests to a container with its mounts and probes."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.helm.chart import Rendered
from tests.image.container import Container, Image, Mount


@dataclass(frozen=True)
class Probe:
    """Where a probe asks; any status from 200 to 399 is well."""

    port: int
    path: str


class Pod:
    """The one pod of the chart, on this machine.

    Args:
        folder: Where what is mounted lies; the claim's volume is the folder `state` in it.
        secret: The keys of the Secret and their values.
    """

    def __init__(self, image: Image, rendered: Rendered, folder: Path, secret: dict[str, str]) -> None:
        self._image = image
        self._folder = folder
        self._rendered = rendered
        self._secret = secret
        self._manifest, self._pod = rendered.container, rendered.pod
        self._rights = {**self._pod["securityContext"], **self._manifest["securityContext"]}
        assert self._rights["readOnlyRootFilesystem"], "the container below is read-only, whatever is asked for"
        assert self._rights["capabilities"] == {"drop": ["ALL"]}
        self.grace: int = self._pod["terminationGracePeriodSeconds"]

    def container(self) -> Container:
        user, group = self._rights["runAsUser"], self._rights["runAsGroup"]
        return Container(
            self._image,
            self._folder / "run",
            [
                Mount(self._folder / mount["name"], mount["mountPath"], writable=not mount.get("readOnly"))
                for mount in self._manifest["volumeMounts"]
            ],
            words=self._manifest["args"],
            env={entry["name"]: entry["value"] for entry in self._manifest["env"]},
            user={"uid": user, "gid": group, "additionalGids": [self._rights["fsGroup"]]},
        )

    def mount_volumes(self) -> None:
        """Make what the volumes show, with the group and the modes that a kubelet gives them."""
        group: int = self._rights["fsGroup"]
        manifests = self._rendered.manifests
        claims = manifests["StatefulSet"]["spec"]["volumeClaimTemplates"]
        for claim in claims:
            self._make(claim["metadata"]["name"], {}, 0, group)
        for volume in self._pod["volumes"]:
            if "configMap" in volume:
                assert volume["configMap"]["name"] == manifests["ConfigMap"]["metadata"]["name"]
                self._make(volume["name"], manifests["ConfigMap"]["data"], 0o644, group)
            else:
                self._make(volume["name"], self._secret, volume["secret"]["defaultMode"], group)

    def _make(self, name: str, files: dict[str, str], mode: int, group: int) -> None:
        folder = self._folder / name
        folder.mkdir()
        os.chown(folder, 0, group)
        folder.chmod(0o755 if files else 0o2775)
        if files:
            self._show(folder, files, mode, group)

    def _show(self, folder: Path, files: dict[str, str], mode: int, group: int) -> None:
        """Show files as a kubelet does: links through one link, which a change replaces at once."""
        version = Path(tempfile.mkdtemp(prefix="..", dir=folder))
        version.chmod(0o755)
        for key, content in files.items():
            file = version / key
            file.write_text(content)
            os.chown(file, 0, group)
            file.chmod(mode)
            if not (folder / key).is_symlink():
                (folder / key).symlink_to(f"..data/{key}")
        fresh = folder / "..data_tmp"
        fresh.symlink_to(version.name)
        fresh.rename(folder / "..data")

    def change_secret(self, key: str, content: str) -> None:
        """Change one key of the Secret while the pod runs."""
        self._secret = {**self._secret, key: content}
        (volume,) = (volume for volume in self._pod["volumes"] if "secret" in volume)
        mode: int = volume["secret"]["defaultMode"]
        self._show(self._folder / volume["name"], self._secret, mode, self._rights["fsGroup"])

    def probe(self, kind: str) -> Probe:
        ask: dict[str, Any] = self._manifest[kind]["httpGet"]
        ports = {port["name"]: port["containerPort"] for port in self._manifest["ports"]}
        return Probe(ports[ask["port"]], ask["path"])
