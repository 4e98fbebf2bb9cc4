"""What a real API server says of everything the chart renders, field by field, and what kube-score says of it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.control_plane.cluster import Cluster
from tests.control_plane.plane import ControlPlane
from tests.control_plane.release import Release
from tests.helm.chart import CI_VALUES, EXAMPLES, MINIMAL, NAMESPACE, Helm
from tests.helm.tools import Tools

pytestmark = pytest.mark.timeout(300)
UNKNOWN_HERE = ("external-secrets.io/", "secrets-store.csi.x-k8s.io/")
EACH = pytest.mark.parametrize("values", [*CI_VALUES, *EXAMPLES], ids=lambda path: path.stem.removesuffix("-values"))


@pytest.fixture
def helm(tools: Tools, tmp_path: Path) -> Helm:
    return Helm(tools, tmp_path)


SUPPOSED: list[dict[str, Any]] = [
    {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "gvisor"}, "handler": "runsc"},
    {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 1000},
]
"""What values for the tests name and do not make."""


@EACH
def test_the_server_takes_every_field_without_a_warning(values: Path, helm: Helm, release: Release, cluster: Cluster):
    rendered = helm.render(values)
    account = {"name": rendered.pod["serviceAccountName"], "namespace": release.namespace}
    for supposed in (*SUPPOSED, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account}):
        cluster.apply(supposed)
    for manifest in rendered.documents:
        if not manifest["apiVersion"].startswith(UNKNOWN_HERE):
            assert manifest["metadata"].get("namespace", NAMESPACE) == NAMESPACE
            manifest["metadata"]["namespace"] = release.namespace
            assert cluster.apply(manifest, dryRun="All").warnings == ()


def test_a_field_it_does_not_know_is_refused(helm: Helm, release: Release, cluster: Cluster):
    full = next(path for path in CI_VALUES if path.name == "full-values.yaml")
    for kind in ("StatefulSet", "ServiceMonitor", "PrometheusRule"):
        manifest = helm.render(full).manifests[kind]
        manifest["metadata"]["namespace"] = release.namespace
        manifest["spec"]["misspelt"] = 1
        with pytest.raises(AssertionError, match="misspelt"):
            cluster.apply(manifest, dryRun="All")


def test_a_pod_with_more_rights_is_warned_of(helm: Helm, release: Release, cluster: Cluster):
    """So that no warning about ours means something."""
    manifest = helm.render().manifests["StatefulSet"]
    manifest["metadata"]["namespace"] = release.namespace
    del manifest["spec"]["template"]["spec"]["containers"][0]["securityContext"]["capabilities"]
    (warning,) = cluster.apply(manifest, dryRun="All").warnings
    assert "would violate PodSecurity" in warning


EXCEPTIONS = {
    "container-image-pull-policy": "the tag is a release, and who must be sure names a digest",
    "container-ephemeral-storage-request-and-limit": "only the log is written outside the volume, and the kubelet bounds "
    "it; a limit would evict the pod instead",
    "pod-networkpolicy": "off by default: a cluster whose DNS or proxy is elsewhere needs a look first",
}
"""What kube-score asks for and we do not do, and why. Beside them it is told not to ask for a limit of CPU: that would only
make a backlog drain slower."""


def scored(plane: tuple[ControlPlane, Cluster], text: str, *words: str) -> list[str]:
    """Return what kube-score finds, a line each; it must have looked at the StatefulSet."""
    command = [plane[0].programs.folder / "kube-score", "score", "--output-format", "ci", *words, "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
    assert "StatefulSet" in done.stdout, done.stderr
    return [line for line in done.stdout.splitlines() if not line.startswith(("[OK]", "[SKIPPED]"))]


@pytest.mark.parametrize("values", [MINIMAL, *EXAMPLES], ids=lambda path: path.stem.removesuffix("-values"))
def test_kube_score_finds_nothing_but_what_is_meant(values: Path, helm: Helm, plane: tuple[ControlPlane, Cluster]):
    ignored = [word for name in EXCEPTIONS for word in ("--ignore-test", name)]
    assert scored(plane, helm.render(values).text, "--ignore-container-cpu-limit", *ignored) == []


def test_each_exception_is_needed(helm: Helm, plane: tuple[ControlPlane, Cluster]):
    text = helm.render().text
    for name in EXCEPTIONS:
        others = [word for other in EXCEPTIONS if other != name for word in ("--ignore-test", other)]
        assert scored(plane, text, "--ignore-container-cpu-limit", *others), name
    assert scored(plane, text, *(word for name in EXCEPTIONS for word in ("--ignore-test", name)))
