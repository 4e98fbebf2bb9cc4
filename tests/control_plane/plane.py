"""A control plane on loopback: etcd, the parts of Kubernetes, and kwok, which says of every node and pod that it runs.

It decides as a cluster does: what it admits, schedules, binds, rolls, evicts and deletes. No image is pulled, no container
runs, no probe is made, and no policy of the network is enforced.
"""

from __future__ import annotations

import base64
import ctypes
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.control_plane.cluster import Cluster
from tests.control_plane.programs import Programs
from tests.servers.cache import Cache, Unavailable

_READY_WITHIN = 180.0
_NODES = 3
_VOLUMES = 12


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found: int = free.getsockname()[1]
        return found


@dataclass
class ControlPlane:
    """The processes of one cluster. They end with the thread that started them, if no one stops them before."""

    programs: Programs
    folder: Path
    _processes: list[tuple[str, subprocess.Popen[bytes]]] = field(default_factory=list)

    @property
    def kubeconfig(self) -> Path:
        """What helm is told to find the cluster."""
        return self.folder / "kubeconfig"

    def start(self) -> Cluster:
        """Start everything and wait until a pod could run. Raises Unavailable with the end of a log."""
        etcd, peer, port = _port(), _port(), _port()
        token = secrets.token_hex(16)
        self._write_keys(token)
        where = f"http://127.0.0.1:{etcd}"
        self._run(
            "etcd", f"--data-dir={self.folder}/etcd", f"--listen-client-urls={where}", f"--advertise-client-urls={where}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}", f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}", "--unsafe-no-fsync",
        )  # fmt: skip
        self._run(
            "kube-apiserver", f"--etcd-servers={where}", "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
            f"--secure-port={port}", f"--cert-dir={self.folder}/certs", f"--service-account-key-file={self.folder}/sa.pub",
            f"--service-account-signing-key-file={self.folder}/sa.key",
            f"--service-account-issuer=https://127.0.0.1:{port}", "--service-cluster-ip-range=10.0.0.0/24",
            f"--token-auth-file={self.folder}/tokens.csv", "--authorization-mode=RBAC", "--endpoint-reconciler-type=none",
        )  # fmt: skip
        authority = self.folder / "certs" / "apiserver.crt"
        cluster = Cluster(f"https://127.0.0.1:{port}", token, authority)
        self._wait("the API server is ready", lambda: authority.exists() and cluster.ready())
        self._write_kubeconfig(cluster)
        common = (
            f"--kubeconfig={self.kubeconfig}", f"--authentication-kubeconfig={self.kubeconfig}",
            f"--authorization-kubeconfig={self.kubeconfig}", "--bind-address=127.0.0.1", "--leader-elect=false",
        )  # fmt: skip
        self._run(
            "kube-controller-manager", *common, f"--secure-port={_port()}", f"--cert-dir={self.folder}/manager",
            f"--service-account-private-key-file={self.folder}/sa.key", f"--root-ca-file={authority}",
        )  # fmt: skip
        self._run("kube-scheduler", *common, f"--secure-port={_port()}", f"--cert-dir={self.folder}/scheduler")
        stages = [f"--config={stage}" for stage in self._stages()]
        self._run(
            "kwok", f"--kubeconfig={self.kubeconfig}", "--manage-all-nodes=true", f"--server-address=127.0.0.1:{_port()}",
            *stages,
        )  # fmt: skip
        self._furnish(cluster)
        return cluster

    def stop(self) -> None:
        """End them, the last first, and remove what they have."""
        for _, process in reversed(self._processes):
            process.kill()
            process.wait()
        self._processes.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, name: str, *words: str) -> None:
        libc = ctypes.CDLL(None)
        with (self.folder / f"{name}.log").open("wb") as output:
            process = subprocess.Popen(
                [self.programs.folder / name, *words],
                cwd=self.folder,
                env={"PATH": "/usr/bin:/bin", "HOME": str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=lambda: libc.prctl(1, signal.SIGKILL),  # noqa: PLW1509 -- tests start it in the main thread
            )
        self._processes.append((name, process))

    def _wait(self, what: str, come: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _READY_WITHIN
        while not come():
            dead = [name for name, process in self._processes if process.poll() is not None]
            if dead or time.monotonic() > deadline:
                name = dead[0] if dead else self._processes[-1][0]
                tail = (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]
                self.stop()
                raise Unavailable(f"{what}: never; {name}{' has ended' if dead else ''}:\n{tail}")
            time.sleep(0.1)

    def _write_keys(self, token: str) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (self.folder / "sa.key").write_bytes(private)
        (self.folder / "sa.pub").write_bytes(public)
        (self.folder / "tokens.csv").write_text(f'{token},admin,admin,"system:masters"\n')

    def _write_kubeconfig(self, cluster: Cluster) -> None:
        authority = base64.b64encode(cluster.authority.read_bytes()).decode()
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "tests",
            "clusters": [
                {"name": "tests", "cluster": {"server": cluster.url, "certificate-authority-data": authority}}
            ],
            "users": [{"name": "tests", "user": {"token": cluster.token}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
        }
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(yaml.safe_dump(config))

    def _stages(self) -> list[Path]:
        """Return what kwok does. As it comes, only pods of a Job end; those of `helm test` must, too."""
        found = []
        for stage in self.programs.stages:
            content = yaml.safe_load(stage.read_text())
            for rule in content["spec"]["selector"]["matchExpressions"]:
                if rule["key"] == ".metadata.ownerReferences.[].kind":
                    rule |= {"key": ".spec.restartPolicy", "values": ["Never"]}
            found.append(self.folder / stage.name)
            found[-1].write_text(yaml.safe_dump(content))
        return found

    def _furnish(self, cluster: Cluster) -> None:
        """Bring in nodes, volumes and the custom resources of prometheus-operator, and wait until they can be used."""
        room = {"cpu": "32", "memory": "64Gi", "pods": "110"}
        for number in range(_NODES):
            labels = {"kubernetes.io/os": "linux", "topology.kubernetes.io/zone": f"zone-{number}"}
            status = {"capacity": room, "allocatable": room}
            node = {"metadata": {"name": f"node-{number}", "labels": labels}, "status": status}
            cluster.apply({"apiVersion": "v1", "kind": "Node", **node})
        for number in range(_VOLUMES):
            spec = {
                "capacity": {"storage": "10Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "",
                "persistentVolumeReclaimPolicy": "Delete", "hostPath": {"path": f"/none-{number}"},
            }  # fmt: skip
            volume = {"metadata": {"name": f"volume-{number}"}, "spec": spec}
            cluster.apply({"apiVersion": "v1", "kind": "PersistentVolume", **volume})
        for definition in sorted(self.programs.definitions.iterdir()):
            cluster.apply(yaml.safe_load(definition.read_text()))
        self._wait("the nodes are ready", lambda: cluster.nodes_ready() == _NODES)
        self._wait("custom resources are served", lambda: cluster.serves("monitoring.coreos.com/v1", "PrometheusRule"))


def start(cache: Cache) -> tuple[ControlPlane, Cluster]:
    """Build the programs if need be, and start a control plane. Raises Unavailable."""
    plane = ControlPlane(Programs.installed(cache), Path(tempfile.mkdtemp(prefix="plane-", dir=cache.runs)))
    try:
        return plane, plane.start()
    except BaseException:
        plane.stop()
        raise
