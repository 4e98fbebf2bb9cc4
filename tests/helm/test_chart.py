"""What the chart makes is what Kubernetes takes, what a security reviewer wants, and what the forwarder understands."""

from __future__ import annotations

import difflib
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from forwarder.config.settings import Settings, load
from forwarder.contracts.units import parse_duration
from tests.helm.chart import CHART, CI_VALUES, EXAMPLES, MINIMAL, NAMESPACE, Helm, RefusedError, Rendered
from tests.helm.tools import Tools

GOLDEN = Path(__file__).with_name("golden")
VERSIONS = ("1.27", "1.37")
"""The oldest Kubernetes that Chart.yaml allows, and the newest that the schemas know."""

EACH = pytest.mark.parametrize("values", CI_VALUES, ids=lambda path: path.stem.removesuffix("-values"))
ALL = pytest.mark.parametrize("values", [*CI_VALUES, *EXAMPLES], ids=lambda path: path.stem.removesuffix("-values"))
CUSTOM = ("monitoring.coreos.com/", "external-secrets.io/", "secrets-store.csi.x-k8s.io/")
"""Groups that Kubernetes does not have by itself; those of prometheus-operator are checked by a real server."""


def understood(rendered: Rendered, folder: Path) -> Settings:
    """Return what the forwarder makes of the rendered configuration and of a Secret."""
    file = folder / "config.yaml"
    file.write_text(rendered.config)
    secrets = folder / "secrets"
    secrets.mkdir(exist_ok=True)
    sources = yaml.safe_load(rendered.config)["sources"].items()
    keys = {"organization": "api_key", "guard_detect": "webhook__secret"}
    names = ["admin__token", *(f"sources__{name}__{keys[source['type']]}" for name, source in sources)]
    for name in names if "/run/secrets/audit-forwarder" in rendered.text else []:
        (secrets / name).write_text("x")
    return load(file, {}, secrets)


def without_copies(text: str) -> str:
    """Leave out the rules and the dashboard, which have tests of their own and change with them."""
    rules = (CHART / "files" / "alerts.yaml").read_text().replace("RUNBOOK_BASE_URL", "https://wiki.example/runbooks")
    dashboard = (CHART / "files" / "dashboard.json").read_text()
    for copy, depth in ((rules, 2), (dashboard, 4)):
        shown = "\n".join(" " * depth + line for line in copy.strip().split("\n"))
        text = text.replace(shown, " " * depth + "(a copy)")
    return text


@EACH
def test_it_is_linted_and_renders_as_before(values: Path, helm: Helm, request: pytest.FixtureRequest, capsys):
    assert "0 chart(s) failed" in helm.lint(values)
    golden = GOLDEN / f"{values.stem.removesuffix('-values')}.yaml"
    before = golden.read_text() if golden.exists() else ""
    now = without_copies(helm.render(values).text)
    if before == now:
        return
    diff = "".join(difflib.unified_diff(before.splitlines(True), now.splitlines(True), golden.name, "now"))
    if not request.config.getoption("--update-golden"):
        pytest.fail(f"the manifests of {values.name} changed; make chart ARGS=--update-golden\n{diff}", pytrace=False)
    with capsys.disabled():
        print(f"\n{diff}")
    golden.write_text(now)


def test_every_golden_file_has_its_values():
    assert {path.stem for path in GOLDEN.iterdir()} == {path.stem.removesuffix("-values") for path in CI_VALUES}


@ALL
@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field(values: Path, version: str, helm: Helm, tools: Tools):
    for manifest in helm.render(values).documents:
        if not manifest["apiVersion"].startswith(CUSTOM):
            assert list(tools.complaints(manifest, version)) == []


def test_a_field_that_kubernetes_does_not_know_is_found(helm: Helm, tools: Tools):
    manifests = helm.render().manifests
    spec = manifests["StatefulSet"]["spec"]
    spec["template"]["spec"]["containers"][0]["securityContext"]["readOnlyRootFileSystem"] = True
    spec["volumeClaimTemplates"][0]["spec"]["storageClass"] = "fast"
    found = " ".join(tools.complaints(manifests["StatefulSet"], VERSIONS[-1]))
    assert "readOnlyRootFileSystem" in found
    assert "storageClass" in found


ALLOWED_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip


@ALL
def test_every_pod_keeps_the_level_restricted(values: Path, helm: Helm):
    """Pod Security Standards, `restricted` and what it includes of `baseline`."""
    for pod in helm.render(values).pods:
        assert not {"hostNetwork", "hostPID", "hostIPC", "ephemeralContainers"} & set(pod)
        assert all(len(volume) == 2 and set(volume) & ALLOWED_VOLUMES for volume in pod.get("volumes", ()))
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"].get("runAsUser") != 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"sysctls", "windowsOptions"} & set(pod["securityContext"])
        for container in (*pod["containers"], *pod.get("initContainers", ())):
            given = {"runAsUser": 10003} if container["name"] == "shipper" else {}
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "privileged": False,
                "readOnlyRootFilesystem": True,
                **given,
            }
            assert not any("hostPort" in port for port in container.get("ports", ()))


@ALL
def test_no_pod_has_a_right_in_the_cluster_and_ours_has_one_writable_place(values: Path, helm: Helm):
    rendered = helm.render(values)
    assert not {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"} & set(rendered.manifests)
    for pod in rendered.pods:
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
    assert rendered.manifests.get("ServiceAccount", {"automountServiceAccountToken": False})[
        "automountServiceAccountToken"
    ] is False  # fmt: skip
    writable = [mount["mountPath"] for mount in rendered.container["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["/var/lib/audit-forwarder"]
    assert rendered.manifests["StatefulSet"]["spec"]["replicas"] == 1


@EACH
def test_the_forwarder_understands_the_configuration(values: Path, helm: Helm, tmp_path: Path):
    rendered = helm.render(values)
    settings = understood(rendered, tmp_path)
    given = yaml.safe_load(values.read_text())["config"]
    assert set(settings.sources) == set(given["sources"])
    assert set(settings.sinks) == set(given["sinks"])
    assert settings.spool.path.is_relative_to("/var/lib/audit-forwarder")
    grace = rendered.pod["terminationGracePeriodSeconds"]
    assert grace >= settings.shutdown.grace + 10
    host, port = settings.admin.address
    assert host in {"0.0.0.0", "::"}
    assert {found["name"]: found["containerPort"] for found in rendered.container["ports"]}["admin"] == port
    assert {found["name"]: found["port"] for found in rendered.manifests["Service"]["spec"]["ports"]}["metrics"] == port
    name = rendered.manifests["Service"]["metadata"]["name"]
    assert {f"{name}.{NAMESPACE}", f"{name}.{NAMESPACE}.svc"} <= set(settings.admin.allowed_hosts or ())


def test_numbers_texts_and_braces_come_through_as_they_were_written(helm: Helm, tmp_path: Path):
    full = next(path for path in CI_VALUES if path.name == "full-values.yaml")
    settings = understood(helm.render(full), tmp_path)
    assert settings.spool.max_bytes == 20 * 2**30
    assert settings.spool.retain == 0
    assert settings.sources["acme"].every == 15
    assert settings.budgets["shared"].requests_per_minute == 9.5
    archive = settings.sinks["archive"].model_dump()
    assert (archive["mode"], str(archive["path"])) == ("0640", "out/{{ .Release.Name }}.ndjson")
    assert settings.sinks["elastic"].batch.bytes == 5_000_000


@pytest.mark.parametrize("grace", [25, 0, 0.5, "25s", "90", "1m30s", "1M 30S", "1500ms", "0.5h", "1h0m1s", "1.25m"])
def test_the_cluster_waits_longer_than_the_daemon(grace, helm: Helm):
    rendered = helm.render(MINIMAL, config={"shutdown": {"grace": grace}})
    assert rendered.pod["terminationGracePeriodSeconds"] == math.ceil(parse_duration(grace)) + 10


def test_a_changed_configuration_is_a_new_pod_and_nothing_else_is(helm: Helm):
    def template(**more) -> dict:
        return helm.render(MINIMAL, **more).manifests["StatefulSet"]["spec"]["template"]

    before = template()
    changed = template(config={"log": {"level": "debug"}})
    assert before["metadata"].pop("annotations") != changed["metadata"].pop("annotations")
    assert before == changed
    assert template(service={"annotations": {"a": "b"}}) == template()


def test_labels_and_annotations_of_ones_own_replace_none_of_ours(helm: Helm):
    mine = {"app.kubernetes.io/name": "other", "team": "siem"}
    rendered = helm.render(MINIMAL, podLabels=mine, podAnnotations={"checksum/config": "mine", "team": "siem"})
    spec = rendered.manifests["StatefulSet"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert labels["team"] == "siem"
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    assert rendered.manifests["Service"]["spec"]["selector"] == spec["selector"]["matchLabels"]
    assert len(spec["template"]["metadata"]["annotations"]["checksum/config"]) == 64


def test_names_are_short_enough_for_the_labels_a_cluster_adds(helm: Helm):
    rendered = helm.render(MINIMAL, release="r" * 53)
    assert len(rendered.manifests["StatefulSet"]["metadata"]["name"]) <= 52


SINKS = {
    "elastic": {"type": "elasticsearch", "url": "https://es.example:9200/prefix?x=1"},
    "splunk": {"type": "splunk_hec", "url": "https://splunk.example"},
    "plain": {"type": "http", "url": "http://127.0.0.1/in:1", "insecure": True},
    "v6": {"type": "http", "url": "https://[2001:db8::1]:8443/x"},
    "siem": {"type": "syslog", "address": "relps://siem.example:2514"},
    "fast": {"type": "syslog", "address": "udp://siem.example:5514"},
    "archive": {"type": "file", "path": "out/events.ndjson"},
    "behind": {"type": "http", "url": "https://far.example", "http": {"proxy": "http://proxy.example:3128"}},
}


def test_a_network_policy_lets_out_to_the_ports_of_the_configuration_only(helm: Helm):
    assert "NetworkPolicy" not in helm.render().manifests
    more = {"config": {"sinks": SINKS}, "env": {"https_proxy": "http://other.example:8080", "NO_PROXY": "x:99"}}
    policy = helm.render(MINIMAL, networkPolicy={"enabled": True}, **more).manifests["NetworkPolicy"]["spec"]
    rendered = helm.render(MINIMAL, networkPolicy={"enabled": True})
    (either,) = policy["podSelector"].pop("matchExpressions")
    mine = rendered.manifests["StatefulSet"]["spec"]["selector"]["matchLabels"]
    assert {either["key"]: either["values"][0], **policy["podSelector"]["matchLabels"]} == mine
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"] == [{"ports": [{"protocol": "TCP", "port": "admin"}]}]
    dns, destinations = policy["egress"]
    assert {(each["protocol"], each["port"]) for each in dns["ports"]} == {("UDP", 53), ("TCP", 53)}
    ports = [(each["protocol"], each["port"]) for each in destinations["ports"]]
    assert sorted(ports) == [("TCP", port) for port in (80, 443, 2514, 3128, 8080, 8443, 9200)] + [("UDP", 5514)]
    assert "to" not in destinations
    loud = {"config": {"sinks": {"elastic": {"url": "HTTPS://ES.example"}}}}
    _, destinations = helm.render(MINIMAL, networkPolicy={"enabled": True}, **loud).manifests["NetworkPolicy"]["spec"][
        "egress"
    ]
    assert destinations["ports"] == [{"protocol": "TCP", "port": 443}]


def test_a_network_policy_narrows_down_who_and_where(helm: Helm):
    full = next(path for path in CI_VALUES if path.name == "full-values.yaml")
    policy = helm.render(full).manifests["NetworkPolicy"]["spec"]
    given, ours = policy["ingress"][0]["from"]
    assert given == {"namespaceSelector": {"matchLabels": {"team": "monitoring"}}}
    assert ours["podSelector"]["matchLabels"].items() <= helm.render(full).named("Pod", "-test")["metadata"][
        "labels"
    ].items()  # fmt: skip
    _, destinations, further = policy["egress"]
    assert destinations["to"] == [{"ipBlock": {"cidr": "192.0.2.0/24"}}]
    assert further == {"ports": [{"protocol": "TCP", "port": 1080}]}


WEBHOOK = {"acme": {"webhook": {}}}
ALERTS = {"alerts": {"type": "guard_detect", "org_id": "a1b2c3d4-0000-1111-2222-333344445555", "webhook": {}}}


def ports_of(rendered: Rendered) -> tuple[dict[str, Any], dict[str, Any], list[Any]]:
    """Return the ports of the container and of the Service by name, and those that a NetworkPolicy lets in."""
    manifests = rendered.manifests
    service = {port["name"]: port for port in manifests["Service"]["spec"]["ports"]}
    (incoming,) = manifests["NetworkPolicy"]["spec"]["ingress"]
    return {port["name"]: port for port in rendered.container["ports"]}, service, incoming["ports"]


@pytest.mark.parametrize("sources", [WEBHOOK, ALERTS, WEBHOOK | ALERTS], ids=["webhook", "alerts", "both"])
@pytest.mark.parametrize(("listen", "port"), [("0.0.0.0:9465", 9465), ("[::]:18443", 18443)])
def test_where_a_source_receives_events_they_reach_the_pod(sources: dict[str, Any], listen: str, port: int, helm: Helm):
    config = {"sources": sources, "receiver": {"listen": listen}}
    container, service, let_in = ports_of(helm.render(MINIMAL, networkPolicy={"enabled": True}, config=config))
    assert container["receiver"]["containerPort"] == port
    assert service["receiver"] == {"name": "receiver", "port": port, "targetPort": "receiver"}
    assert let_in == [{"protocol": "TCP", "port": name} for name in ("admin", "receiver")]
    assert set(container) == {"admin", "receiver"}
    assert len({one["containerPort"] for one in container.values()}) == 2


@pytest.mark.parametrize("config", [{}, {"receiver": {"listen": "0.0.0.0:9465"}}], ids=["nothing", "a receiver alone"])
def test_where_none_receives_events_no_port_is_open_for_them(config: dict[str, Any], helm: Helm):
    container, service, let_in = ports_of(helm.render(MINIMAL, networkPolicy={"enabled": True}, config=config))
    assert set(container) == {"admin"}
    assert set(service) == {"metrics"}
    assert let_in == [{"protocol": "TCP", "port": "admin"}]


@EACH
def test_no_probe_restarts_a_slow_start(values: Path, helm: Helm):
    container = helm.render(values).container
    startup, liveness = container["startupProbe"], container["livenessProbe"]
    assert startup["httpGet"] == liveness["httpGet"] == {"path": "/livez", "port": "admin"}
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 120


INTO_THE_SECRET = "put it into the Secret that existingSecret names"
REFUSED = {
    "a misspelt setting": ({"config": {"sinks": {"elastic": {"ulr": "x"}}}}, "'ulr' not allowed"),
    "a misspelt value": ({"servicemonitor": {"enabled": True}}, "'servicemonitor' not allowed"),
    "an unknown type": (
        {"config": {"sinks": {"elastic": {"type": "elasitc"}}}},
        "must be one of 'archive', 'elasticsearch'",
    ),
    "a wrong value": ({"config": {"log": {"level": "loud"}}}, "/config/log/level"),
    "a wrong name": ({"config": {"sources": {"a__b": {"type": "organization", "org_id": "x"}}}}, "'a__b' not allowed"),
    "a missing setting": ({"config": {"sources": {"acme": {"org_id": None}}}}, "org_id"),
    "a key in clear text": ({"config": {"sources": {"acme": {"api_key": "s3cret"}}}}, INTO_THE_SECRET),
    "a sink's key in clear text": (
        {"config": {"sinks": {"elastic": {"password": "s3cret"}}}},
        INTO_THE_SECRET,
    ),
    "a token in clear text": ({"config": {"admin": {"token": "s3cret"}}}, INTO_THE_SECRET),
    "a nested password": ({"config": {"sinks": {"elastic": {"tls": {"key_password": "x"}}}}}, INTO_THE_SECRET),
    "a secret in the environment": ({"env": {"FORWARDER__ADMIN__TOKEN": "s3cret"}}, INTO_THE_SECRET),
    "the same in small letters": ({"env": {"forwarder__admin__token": "s3cret"}}, INTO_THE_SECRET),
    "a place of ours in the environment": ({"env": {"FORWARDER_CONFIG": "/x"}}, "FORWARDER_CONFIG"),
    "a number in the environment": ({"env": {"X": 1}}, "/env/X"),
    "a page without a name": ({"ingress": {"enabled": True}}, "ingress.host: the name under which"),
    "a page without a token": (
        {"ingress": {"enabled": True, "host": "forwarder.example"}, "existingSecret": ""},
        "put it into the Secret, as admin__token",
    ),
    "a name for events that no one receives": (
        {"ingress": {"enabled": True, "host": "forwarder.example", "receiverHost": "events.example"}},
        "ingress.receiverHost: no source receives events",
    ),
    "one name for the page and for events": (
        {
            "ingress": {"enabled": True, "host": "a.example", "receiverHost": "a.example"},
            "config": {"sources": WEBHOOK, "receiver": {"listen": "0.0.0.0:9465"}},
        },
        "ingress.receiverHost: needs a name of its own",
    ),
    "a probe that never asks": ({"probes": {"liveness": {"periodSeconds": 0}}}, "/probes/liveness/periodSeconds"),
    "a proxy's password": (
        {"config": {"sources": {"acme": {"http": {"proxy": "http://u:s3cret@proxy.example"}}}}},
        "/http/proxy",
    ),
    "the same in the environment": ({"env": {"https_proxy": "http://u:s3cret@proxy.example"}}, "/env/https_proxy"),
    "a second replica": ({"replicas": 2}, "'replicas' not allowed"),
    "root": ({"podSecurityContext": {"runAsUser": 0}}, "/podSecurityContext/runAsUser"),
    "leave to be root": ({"podSecurityContext": {"runAsNonRoot": False}}, "'runAsNonRoot' not allowed"),
    "a privilege": ({"securityContext": {"privileged": True}}, "'securityContext' not allowed"),
    "a folder of the node": ({"extraVolumes": [{"name": "n", "hostPath": {"path": "/"}}]}, "'hostPath' not allowed"),
    "no image": ({"image": {"repository": None}}, "repository"),
    "an injected line": ({"existingSecret": "x\n  y: z"}, "/existingSecret"),
    "a port that only the pod reaches": ({"config": {"admin": {"listen": "127.0.0.1:9464"}}}, "write 0.0.0.0:9464"),
    "any free port": ({"config": {"admin": {"listen": "0.0.0.0:0"}}}, "needs a fixed port"),
    "a receiver that only the pod reaches": ({"config": {"sources": WEBHOOK}}, "write 0.0.0.0:9465"),
    "a receiver at a loopback address": (
        {"config": {"sources": WEBHOOK, "receiver": {"listen": "[::1]:9465"}}},
        "config.receiver.listen: a Service cannot reach a loopback address",
    ),
    "a receiver at any free port": (
        {"config": {"sources": ALERTS, "receiver": {"listen": "0.0.0.0:0"}}},
        "config.receiver.listen: needs a fixed port",
    ),
    "a receiver's misspelt setting": ({"config": {"receiver": {"listne": "0.0.0.0:9465"}}}, "'listne' not allowed"),
    "a receiver's key in clear text": (
        {"config": {"receiver": {"key_password": "s3cret"}}},
        INTO_THE_SECRET,
    ),
    "a webhook's secret in clear text": (
        {"config": {"sources": {"acme": {"webhook": {"secret": "s3cret"}}}}},
        INTO_THE_SECRET,
    ),
    "a spool beside the volume": ({"config": {"spool": {"path": "/tmp/spool.db"}}}, "the spool must lie in it"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_before_anything_is_rendered(case: str, helm: Helm):
    more, reason = REFUSED[case]
    with pytest.raises(RefusedError) as refusal:
        helm.render(MINIMAL, **more)
    assert reason in str(refusal.value)
    assert "s3cret" not in str(refusal.value)


def test_the_notes_say_what_to_type(helm: Helm):
    output = helm.notes()
    for command in ("logs audit-forwarder-0 --previous", "exec audit-forwarder-0 -- audit-forwarder status"):
        assert f"kubectl --namespace {NAMESPACE} {command}" in output
    assert f"http://audit-forwarder.{NAMESPACE}.svc:9464/metrics" in output
    assert "No alert is installed" in output
    assert "WARNING" not in output
