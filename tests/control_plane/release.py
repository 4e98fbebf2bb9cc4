"""One release of the chart in a namespace of its own, as helm installs it."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.control_plane.cluster import Cluster
from tests.helm.chart import CHART, MINIMAL, RELEASE, RefusedError


@dataclass(frozen=True)
class Release:
    """Runs helm on a cluster; what it warned of is in what it returns."""

    helm: Path
    kubeconfig: Path
    cluster: Cluster
    folder: Path
    namespace: str

    @property
    def workload(self) -> str:
        """Where the StatefulSet is."""
        return f"apis/apps/v1/namespaces/{self.namespace}/statefulsets/{RELEASE}"

    @property
    def core(self) -> str:
        """Where pods and claims are."""
        return f"api/v1/namespaces/{self.namespace}"

    def make_namespace(self) -> None:
        modes = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
        metadata = {"name": self.namespace, "labels": modes}
        self.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def remove_namespace(self) -> None:
        self.cluster.ask("DELETE", f"api/v1/namespaces/{self.namespace}")

    def upgrade(self, *values: Path, **more: Any) -> str:
        """Install or upgrade, and wait until it works. Raises RefusedError."""
        file = self.folder / "more.yaml"
        file.write_text(json.dumps(more))
        files = [word for one in (*(values or (MINIMAL,)), file) for word in ("--values", str(one))]
        return self.run("upgrade", "--install", RELEASE, str(CHART), *files, "--wait", "--timeout", "180s")

    def run(self, *words: str) -> str:
        """Run one command of helm and return all it said. Raises RefusedError."""
        command = [self.helm, *words, "--namespace", self.namespace]
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "KUBECONFIG": str(self.kubeconfig)}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240, check=False)
        if done.returncode:
            raise RefusedError(done.stderr + done.stdout)
        return done.stderr + done.stdout
