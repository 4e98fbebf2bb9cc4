"""The life of a release in a cluster: installed, tested, upgraded, rolled back, evicted, removed."""

from __future__ import annotations

import pytest

from tests.control_plane.cluster import Cluster
from tests.control_plane.release import Release
from tests.helm.chart import RELEASE

pytestmark = pytest.mark.timeout(600)
POD = f"{RELEASE}-0"


def test_it_is_installed_upgraded_rolled_back_and_removed(release: Release, cluster: Cluster):
    said = release.upgrade()
    assert "would violate PodSecurity" not in said
    assert "STATUS: deployed" in said
    first = cluster.get(f"{release.core}/pods/{POD}")
    assert first["status"]["phase"] == "Running"
    claim = cluster.get(f"{release.core}/persistentvolumeclaims/state-{POD}")
    assert claim["status"]["phase"] == "Bound"

    release.upgrade(config={"log": {"level": "debug"}})
    second = cluster.get(f"{release.core}/pods/{POD}")
    assert second["metadata"]["uid"] != first["metadata"]["uid"], "a changed configuration is a new pod"

    release.upgrade(config={"log": {"level": "debug"}}, service={"annotations": {"a": "b"}})
    third = cluster.get(f"{release.core}/pods/{POD}")
    assert third["metadata"]["uid"] == second["metadata"]["uid"], "and nothing else is"

    release.run("rollback", RELEASE, "1", "--wait", "--timeout", "180s")
    checksum = "checksum/config"
    fourth = cluster.come(
        f"{release.core}/pods/{POD}",
        lambda pod: pod and pod["metadata"]["annotations"][checksum] == first["metadata"]["annotations"][checksum],
    )
    assert fourth["metadata"]["uid"] != third["metadata"]["uid"]
    assert (
        cluster.get(f"{release.core}/persistentvolumeclaims/state-{POD}")["metadata"]["uid"] == claim["metadata"]["uid"]
    )

    release.run("uninstall", RELEASE, "--wait", "--timeout", "180s")
    cluster.come(f"{release.core}/pods/{POD}", lambda pod: pod is None)
    kept = cluster.get(f"{release.core}/persistentvolumeclaims/state-{POD}")
    assert kept["status"]["phase"] == "Bound", "what the volume holds may not be delivered yet"


def test_hooks_run_after_it_and_are_gone(release: Release, cluster: Cluster):
    release.upgrade(setup={"enabled": True})
    assert cluster.get(f"apis/batch/v1/namespaces/{release.namespace}/jobs/{RELEASE}-setup") is None
    assert "Succeeded" in release.run("test", RELEASE, "--timeout", "120s")


def evict(release: Release, cluster: Cluster) -> int:
    path = f"{release.core}/pods/{POD}"
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": POD, "namespace": release.namespace},
    }
    return cluster.ask("POST", f"{path}/eviction", eviction).status


def test_with_a_budget_the_pod_is_not_evicted(release: Release, cluster: Cluster):
    release.upgrade(podDisruptionBudget={"enabled": True})
    budget = f"apis/policy/v1/namespaces/{release.namespace}/poddisruptionbudgets/{RELEASE}"
    seen = cluster.come(budget, lambda found: found["status"].get("currentHealthy") == 1)
    assert seen["status"]["disruptionsAllowed"] == 0
    assert evict(release, cluster) == 429
    assert cluster.get(f"{release.core}/pods/{POD}")["metadata"].get("deletionTimestamp") is None


def test_without_one_it_is_and_comes_back_with_its_volume(release: Release, cluster: Cluster):
    release.upgrade()
    before = cluster.get(f"{release.core}/pods/{POD}")
    assert evict(release, cluster) == 201
    after = cluster.come(
        f"{release.core}/pods/{POD}",
        lambda pod: pod and pod["metadata"]["uid"] != before["metadata"]["uid"] and pod["status"]["phase"] == "Running",
    )
    assert [volume for volume in after["spec"]["volumes"] if "persistentVolumeClaim" in volume] == [
        {"name": "state", "persistentVolumeClaim": {"claimName": f"state-{POD}"}}
    ]
