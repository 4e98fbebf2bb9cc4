"""The programs of a Kubernetes control plane, built with Go once: ``python -m tests.control_plane.programs``.

`kubernetes/go.mod` says which versions; its `replace` lines put the published twin in place of each module that Kubernetes keeps
inside itself. The first build takes a quarter of an hour and some gigabytes, which it gives back.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from tests.servers.cache import Cache
from tests.servers.golang import Go

_MODULE = Path(__file__).with_name("kubernetes")
_KWOK = "sigs.k8s.io/kwok@v0.8.0"
_KUBE_SCORE = "github.com/zegl/kube-score/cmd/kube-score@v1.20.0"
_OPERATOR = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
_STAGES = (
    "node/fast/node-initialize.yaml", "node/heartbeat/node-heartbeat.yaml",
    "pod/fast/pod-ready.yaml", "pod/fast/pod-complete.yaml", "pod/fast/pod-delete.yaml",
)  # fmt: skip


@dataclass(frozen=True)
class Programs:
    """Where etcd, the parts of Kubernetes, kwok and kube-score are; beside them what kwok and the tests read."""

    folder: Path

    @property
    def stages(self) -> list[Path]:
        """What kwok does to nodes and pods: it says they run."""
        return sorted((self.folder / "stages").iterdir())

    @property
    def definitions(self) -> Path:
        """The custom resources of prometheus-operator."""
        return self.folder / "definitions"

    @classmethod
    def installed(cls, cache: Cache) -> Programs:
        """Build what is missing. Raises Unavailable."""
        versions = "".join((_MODULE / name).read_text() for name in ("go.mod", "go.sum"))
        named = hashlib.sha256((versions + _KWOK + _KUBE_SCORE + _OPERATOR).encode()).hexdigest()[:12]
        final = cache.folder / f"control-plane-{named}"
        with cache.locked(f"-{final.name}"):
            if not final.exists():
                with Go.building(cache, final) as go:
                    _build(go)
        return cls(final)


def _build(go: Go) -> None:
    (version,) = re.findall(r"^\tk8s.io/kubernetes v(\S+)", (_MODULE / "go.mod").read_text(), re.MULTILINE)
    major, minor, _ = version.split(".")
    stamp = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    link = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in stamp.items())
    went = time.monotonic()
    parts = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    packages = {"etcd": "go.etcd.io/etcd/server/v3"} | {part: f"k8s.io/kubernetes/cmd/{part}" for part in parts}
    for name, package in packages.items():
        go.build(name, package, module=_MODULE, link=link)
        print(f"{package}: built after {time.monotonic() - went:.0f} s", flush=True)
    module, _, kwok = _KWOK.partition("@")
    for package in (f"{module}/cmd/kwok@{kwok}", _KUBE_SCORE):
        go.install(package)
        print(f"{package}: built after {time.monotonic() - went:.0f} s", flush=True)
    (go.bin / "stages").mkdir()
    for stage in _STAGES:
        shutil.copy(go.module(_KWOK) / "kustomize" / "stage" / stage, go.bin / "stages")
    (go.bin / "definitions").mkdir()
    for kind in ("servicemonitors", "prometheusrules"):
        definition = go.module(_OPERATOR) / "example" / "prometheus-operator-crd" / f"monitoring.coreos.com_{kind}.yaml"
        shutil.copy(definition, go.bin / "definitions")


if __name__ == "__main__":
    print(Programs.installed(Cache.default()).folder)
