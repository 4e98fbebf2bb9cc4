"""What stands around the pod: monitoring, the page's Ingress, hooks, the budget, and what people add of their own."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.chart_readme import readme
from forwarder.contracts.text import visible
from tests.helm.chart import CHART, CI_VALUES, EXAMPLES, MINIMAL, NAMESPACE, RELEASE, Helm

FULL = next(path for path in CI_VALUES if path.name == "full-values.yaml")
OURS = {"app.kubernetes.io/name": "audit-forwarder", "app.kubernetes.io/instance": RELEASE}


def labels_of_the_pod(helm: Helm, **more: Any) -> dict[str, str]:
    labels: dict[str, str] = helm.render(MINIMAL, **more).manifests["StatefulSet"]["spec"]["template"]["metadata"][
        "labels"
    ]
    return labels


def test_by_default_there_is_nothing_that_needs_more_than_kubernetes(helm: Helm):
    assert set(helm.render().manifests) == {"ConfigMap", "Pod", "Service", "ServiceAccount", "StatefulSet"}


def test_prometheus_finds_the_metrics_by_the_service(helm: Helm):
    manifests = helm.render(MINIMAL, serviceMonitor={"enabled": True, "labels": {"release": "prometheus"}}).manifests
    monitor, service = manifests["ServiceMonitor"], manifests["Service"]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint == {"port": "metrics", "path": "/metrics", "interval": "30s"}
    assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]


def test_the_rules_are_those_of_the_file(helm: Helm):
    file = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text(encoding="utf-8"))
    rendered = helm.render(MINIMAL, prometheusRule={"enabled": True, "runbookBaseUrl": "RUNBOOK_BASE_URL"})
    assert rendered.manifests["PrometheusRule"]["spec"] == file


def test_their_runbooks_are_pages_of_the_project(helm: Helm):
    groups = helm.render(MINIMAL, prometheusRule={"enabled": True}).manifests["PrometheusRule"]["spec"]["groups"]
    for rule in (rule for group in groups for rule in group["rules"] if "alert" in rule):
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{rule['alert']}"


def test_their_runbooks_are_where_one_keeps_them(helm: Helm):
    base = {"enabled": True, "runbookBaseUrl": "https://wiki.example/runbooks/"}
    groups = helm.render(MINIMAL, prometheusRule=base).manifests["PrometheusRule"]["spec"]["groups"]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    for rule in alerts:
        assert rule["annotations"]["runbook_url"].startswith(f"https://wiki.example/runbooks/{rule['alert']}")
    assert alerts


def test_the_dashboard_is_the_file(helm: Helm):
    found = helm.render(MINIMAL, dashboard={"enabled": True}).named("ConfigMap", "-dashboard")
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(found["data"]["audit-forwarder.json"]) == json.loads((CHART / "files/dashboard.json").read_text())
    assert len(json.dumps(found)) < 2**20


def test_the_page_is_reached_by_the_name_that_the_forwarder_then_allows(helm: Helm):
    rendered = helm.render(MINIMAL, ingress={"enabled": True, "host": "forwarder.example"})
    ingress, service = rendered.manifests["Ingress"], rendered.manifests["Service"]
    (rule,) = ingress["spec"]["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    assert (rule["host"], backend["name"]) == ("forwarder.example", service["metadata"]["name"])
    assert backend["port"]["name"] in [port["name"] for port in service["spec"]["ports"]]
    assert "forwarder.example" in yaml.safe_load(rendered.config)["admin"]["allowed_hosts"]
    assert "forwarder.example" not in helm.render(MINIMAL, ingress={"host": "forwarder.example"}).config


def test_events_come_in_by_a_name_of_their_own(helm: Helm):
    rules = helm.render(FULL).manifests["Ingress"]["spec"]["rules"]
    ports = {rule["host"]: rule["http"]["paths"][0]["backend"]["service"]["port"]["name"] for rule in rules}
    assert ports == {"forwarder.example": "metrics", "events.example": "receiver"}


def test_setup_runs_as_the_pod_does_and_is_no_part_of_the_service(helm: Helm):
    rendered = helm.render(FULL)
    job, pod = rendered.named("Job", "-setup"), rendered.container
    template = job["spec"]["template"]
    (container,) = template["spec"]["containers"]
    assert container["args"] == ["setup", "--yes", "--sink=elastic"]
    assert (container["image"], container["env"]) == (pod["image"], pod["env"])
    assert all(mount in pod["volumeMounts"] for mount in container["volumeMounts"])
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        volume["name"] for volume in template["spec"]["volumes"]
    }
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "post-install,post-upgrade"
    for one in (template["metadata"], rendered.named("Pod", "-test")["metadata"]):
        selector = rendered.manifests["Service"]["spec"]["selector"]
        assert not selector.items() <= one["labels"].items()
    policy = rendered.manifests["NetworkPolicy"]["spec"]["podSelector"]
    assert template["metadata"]["labels"]["app.kubernetes.io/name"] in policy["matchExpressions"][0]["values"]


def test_what_helm_test_runs_says_whether_the_pod_is_ready(helm: Helm):
    (container,) = helm.render().named("Pod", "-test")["spec"]["containers"]
    assert container["args"][1] == f"http://audit-forwarder.{NAMESPACE}.svc:9464/readyz"
    script = container["args"][0].replace("range(10)", "range(2)").replace("time.sleep(3 if left else 0)", "pass")
    refused = [sys.executable, "-c", script, "http://127.0.0.1:1/readyz"]
    done = subprocess.run(refused, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "not ready" in done.stderr


def test_a_budget_refuses_every_eviction_of_our_pod(helm: Helm):
    budget = helm.render(MINIMAL, podDisruptionBudget={"enabled": True}).manifests["PodDisruptionBudget"]["spec"]
    assert budget["maxUnavailable"] == 0
    assert budget["selector"]["matchLabels"].items() <= labels_of_the_pod(helm).items()


def test_names_labels_and_annotations_of_ones_own(helm: Helm):
    rendered = helm.render(
        MINIMAL, nameOverride="feed", commonLabels={"team": "siem"}, commonAnnotations={"owner": "x"}
    )
    for document in rendered.documents:
        assert document["metadata"]["labels"]["team"] == "siem"
        assert document["metadata"]["annotations"]["owner"] == "x"
    stateful = rendered.manifests["StatefulSet"]
    assert stateful["metadata"]["name"] == f"{RELEASE}-feed"
    assert stateful["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] == "feed"
    assert "team" not in stateful["spec"]["selector"]["matchLabels"]
    assert "team" not in stateful["spec"]["volumeClaimTemplates"][0]["metadata"].get("labels", {})


def test_what_is_common_never_takes_a_label_of_ours_away(helm: Helm):
    assert labels_of_the_pod(helm, commonLabels=dict.fromkeys(OURS, "other")).items() >= OURS.items()


def test_environment_comes_as_text_or_from_elsewhere(helm: Helm):
    container = helm.render(FULL).container
    env = {one.pop("name"): one for one in container["env"]}
    assert env["NO_PROXY"] == {"value": "es.example"}
    assert env["FORWARDER__SINKS__ELASTIC__API_KEY"] == {
        "valueFrom": {"secretKeyRef": {"name": "elastic", "key": "api_key"}}
    }
    assert container["envFrom"] == [{"secretRef": {"name": "further"}}]


def test_further_containers_have_our_rights_unless_they_ask(helm: Helm):
    mine = {"name": "a", "image": "x"}
    asking = {"name": "b", "image": "x", "securityContext": {"readOnlyRootFilesystem": False}}
    pod = helm.render(MINIMAL, initContainers=[mine, asking], extraContainers=[mine]).pod
    ours = pod["containers"][0]["securityContext"]
    first, second = pod["initContainers"]
    assert first == {**mine, "securityContext": ours}
    assert second["securityContext"] == {**ours, "readOnlyRootFilesystem": False}
    assert pod["containers"][1:] == [first]


def test_further_objects_may_speak_of_the_release(helm: Helm):
    rendered = helm.render(FULL)
    assert rendered.named("ConfigMap", "-extra")["data"] == {"of": "siem-feed"}
    assert rendered.named("ConfigMap", "siem-feed-text")


def test_a_spread_finds_our_pod_unless_it_looks_for_another(helm: Helm):
    spread = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    other = {**spread, "labelSelector": {"matchLabels": {"app": "other"}}}
    ours, theirs = helm.render(MINIMAL, topologySpreadConstraints=[spread, other]).pod["topologySpreadConstraints"]
    assert ours["labelSelector"]["matchLabels"] == OURS
    assert theirs == other


KEY = "a8f5f167f44f4964e6c998dee827110c"
"""Not an `x`: the forwarder knows an example when it sees one."""
RECEIVES = {"type": "guard_detect", "org_id": "a1b2c3d4-0000-1111-2222-333344445555", "webhook": {}}
DESTINATIONS: dict[str, tuple[dict[str, Any], set[int]]] = {
    "a gateway": (
        {
            "sources": {
                "acme": {
                    "type": "jira",
                    "site": "acme",
                    "email": "a@example.com",
                    "gateway": "https://gate.example:8443",
                }
            }
        },
        {8443},
    ),
    "files of a node": ({"sources": {"acme": {"type": "jira_datacenter", "nodes": {"a": "/var/x"}}}}, set()),
    "a product": ({"sources": {"acme": {"type": "jira_datacenter", "url": "https://jira.example:8444/x"}}}, {8444}),
    "a source that receives": ({"sources": {"acme": RECEIVES}}, set()),
    "a bucket": ({"sinks": {"siem": {"type": "archive", "url": "s3://bucket/x"}}}, {443}),
    "a bucket elsewhere": (
        {"sinks": {"siem": {"type": "archive", "url": "s3://b/x", "bucket": {"endpoint": "https://s3.example:9000"}}}},
        {9000},
    ),
    "an archive in a folder": ({"sinks": {"siem": {"type": "archive", "path": "x"}}}, set()),
}


@pytest.mark.parametrize("case", DESTINATIONS)
def test_a_policy_lets_out_to_each_kind_of_destination(case: str, helm: Helm, tmp_path: Path):
    config, ports = DESTINATIONS[case]
    values = {
        "image": {"repository": "registry.example/x"},
        "networkPolicy": {"enabled": True},
        "config": {
            "sources": {"acme": RECEIVES},
            "sinks": {"out": {"type": "file", "path": "x"}},
            "receiver": {"listen": "0.0.0.0:9465"},
        }
        | config,
    }
    (tmp_path / "values.yaml").write_text(json.dumps(values))
    _, *rest = helm.render(tmp_path / "values.yaml").manifests["NetworkPolicy"]["spec"]["egress"]
    assert {port["port"] for rule in rest for port in rule["ports"]} == ports


EXAMPLE = pytest.mark.parametrize("values", EXAMPLES, ids=lambda path: path.stem)


@EXAMPLE
def test_an_example_is_linted_and_the_forwarder_takes_its_configuration(values: Path, helm: Helm, tmp_path: Path):
    """As it is, but for what it says to change: the organization; secrets and certificates are where it says they are."""
    assert "0 chart(s) failed" in helm.lint(values)
    rendered = helm.render(values)
    text = values.read_text(encoding="utf-8")
    secrets, mounted = tmp_path / "secrets", tmp_path / "mounted"
    secrets.mkdir()
    for name in re.findall(r"\w+__\w+", text):
        (secrets / name).write_text(KEY)
    config = rendered.config.replace("00000000-0000-0000-0000-000000000000", "a1b2c3d4-0000-1111-2222-333344445555")
    for mount in yaml.safe_load(text).get("extraVolumeMounts", []):
        config = config.replace(mount["mountPath"], str(mounted))
    mounted.mkdir()
    certificates(mounted)
    (tmp_path / "config.yaml").write_text(config)
    words = [
        "--secrets-dir",
        str(secrets),
        "--set",
        "admin.listen=127.0.0.1:0",
        "--set",
        f"spool.path={tmp_path}/spool.db",
    ]
    command = [Path(sys.executable).with_name("audit-forwarder"), "check", "-c", str(tmp_path / "config.yaml"), *words]
    env = {"PATH": "/usr/bin:/bin", "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, visible(done.stdout + done.stderr)


def certificates(folder: Path) -> None:
    """Write what the examples mount: an authority, a certificate and its key, and keys as files."""
    import trustme

    authority = trustme.CA()
    mine = authority.issue_cert("forwarder.example")
    authority.cert_pem.write_to_path(folder / "ca.crt")
    mine.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    mine.private_key_pem.write_to_path(folder / "tls.key")
    for name in ("atlassian", "elastic", "status"):
        (folder / name).write_text(KEY)


def test_every_example_is_in_the_readme_and_every_one_there_exists():
    named = {word.strip("`") for word in readme().split() if word.startswith("`examples/") and "." in word}
    assert named == {f"examples/{path.name}" for path in EXAMPLES}


def test_the_chart_is_packed_whole(helm: Helm, tmp_path: Path):
    """A file that `.Files.Get` does not find is an empty text, not an error."""
    packed = helm.package(tmp_path)
    shutil.unpack_archive(packed, tmp_path)
    for name in (
        "README.md",
        "values.schema.json",
        "files/alerts.yaml",
        "files/dashboard.json",
        "examples/qradar.yaml",
    ):
        assert (tmp_path / "audit-forwarder" / name).read_bytes() == (CHART / name).read_bytes()


def test_the_notes_speak_of_what_was_chosen(helm: Helm):
    full = helm.notes(FULL)
    assert "logs job/siem-feed-setup" in full
    assert "https://forwarder.example/" in full
    assert "No alert is installed" not in full
