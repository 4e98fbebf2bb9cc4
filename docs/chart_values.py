"""The values of the chart: what each means and may be.

Patterns are for Go's regular expressions, which look neither ahead nor behind.
"""

from __future__ import annotations

from typing import Any

_NAME = "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$"
_LABEL = "^([a-z]([-a-z0-9]*[a-z0-9])?)?$"
_HOST = "^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*)?$"
_PERIOD = "^([1-9][0-9]*(ms|s|m|h))?$"
_QUANTITY = "^[1-9][0-9]*(\\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$"
_VOLUMES = (
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
)  # fmt: skip
"""What the Pod Security level `restricted` allows."""
NO_PASSWORD = {"not": {"type": "string", "pattern": "@"}}
"""For the URL of a proxy, the one setting that may hold a password without being a secret. A `pattern` alone would say
the same, but helm then shows the value."""
INTO_THE_SECRET = {
    "const": "nothing here: put it into the Secret that existingSecret names; its key is the path below config, such "
    "as sinks__elastic__password"
}
"""What a secret may be: nothing. Of all that a schema can demand, helm shows this in words, and not what was given."""
_VARIABLE = {
    "type": ["string", "object"],
    "required": ["valueFrom"],
    "properties": {"valueFrom": {"type": "object"}},
    "additionalProperties": False,
}
_OURS = "^[Ff][Oo][Rr][Ww][Aa][Rr][Dd][Ee][Rr]_"


def _text(meaning: str, pattern: str | None = None, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": meaning, **({"pattern": pattern} if pattern else {}), **more}


def _one_of(meaning: str, *values: str) -> dict[str, Any]:
    return {"enum": list(values), "description": meaning}


def _object(meaning: str, required: tuple[str, ...] = (), **properties: dict[str, Any]) -> dict[str, Any]:
    shape: dict[str, Any] = {"type": "object", "description": meaning, "additionalProperties": False}
    return {**shape, "properties": properties, **({"required": list(required)} if required else {})}


def _texts(meaning: str) -> dict[str, Any]:
    return {"type": "object", "description": meaning, "additionalProperties": {"type": "string"}}


def _kubernetes(kind: str, meaning: str) -> dict[str, Any]:
    """Return a part that is passed on as it is; the cluster knows what is allowed in it."""
    return {"type": kind, "description": meaning, **({"items": {"type": "object"}} if kind == "array" else {})}


def _probe(meaning: str) -> dict[str, Any]:
    least = {"initialDelaySeconds": 0, "periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 1}
    return {
        "type": "object",
        "description": f"{meaning} {', '.join(f'`{name}`' for name in least)}.",
        "additionalProperties": False,
        "properties": {name: {"type": "integer", "minimum": number} for name, number in least.items()},
    }


def _switch() -> dict[str, Any]:
    return {"type": "boolean", "description": "Make it."}


def _user(meaning: str) -> dict[str, Any]:
    return {"type": ["integer", "null"], "minimum": 1, "description": meaning}


VALUES: dict[str, dict[str, Any]] = {
    "image": _object(
        "The image.",
        ("repository",),
        repository=_text("Where you keep the image you built, without a tag.", "^[a-z0-9][-a-zA-Z0-9._:/]*[a-z0-9]$"),
        tag=_text("Tag; default: the version of the chart's application.", "^([A-Za-z0-9_][-A-Za-z0-9._]{0,127})?$"),
        digest=_text("Digest; stronger than the tag.", "^(sha256:[0-9a-f]{64})?$"),
        pullPolicy=_one_of("When the image is pulled.", "IfNotPresent", "Always", "Never"),
    ),
    "imagePullSecrets": _kubernetes("array", "Secrets for the registry, such as `[{name: registry}]`."),
    "nameOverride": _text(
        "Name of the application in labels and in the names of objects; default: the chart's.", _LABEL, maxLength=40
    ),
    "fullnameOverride": _text("Name of everything; default: made of the release's name.", _LABEL, maxLength=52),
    "commonLabels": _texts("Labels of every object and pod; what selects the pod stays as it is."),
    "commonAnnotations": _texts("Annotations of every object and pod."),
    "existingSecret": _text(
        "A Secret with one key per setting, such as `sources__acme__api_key`, `sinks__elastic__api_key` and "
        "`admin__token`. A changed one is used without a restart.",
        _NAME,
    ),
    "config": {},
    "setup": _object(
        "A Job that runs `audit-forwarder setup` after each install and upgrade: it writes index templates and the "
        "like, never over what others changed.",
        enabled=_switch(),
        sinks={"type": "array", "items": {"type": "string"}, "description": "Only these sinks; default: all."},
        backoffLimit={"type": "integer", "minimum": 0, "description": "How often it is tried again."},
        activeDeadlineSeconds={"type": "integer", "minimum": 1, "description": "When it is given up."},
    ),
    "persistence": _object(
        "The volume of the spool, mounted at `/var/lib/audit-forwarder`.",
        existingClaim=_text("Use this claim rather than make one.", _NAME),
        storageClass=_text("Storage class; default: the cluster's. Block or local storage, never NFS.", _NAME),
        accessMode=_one_of("Who may mount it.", "ReadWriteOnce", "ReadWriteOncePod"),
        size=_text("Size; room for `spool.max_bytes`, `spool.id_max_bytes` and file sinks.", _QUANTITY),
        labels=_texts("Labels of the claim."),
        annotations=_texts("Annotations of the claim."),
        selector=_kubernetes("object", "Which volumes may be bound, by their labels."),
    ),
    "extraVolumes": {
        "type": "array",
        "description": "Further volumes, such as a ConfigMap with a certificate authority.",
        "items": _object("A volume.", ("name",), **{key: {} for key in ("name", *_VOLUMES)}),
    },
    "extraVolumeMounts": _kubernetes("array", "Where they are mounted."),
    "env": {
        "type": "object",
        "description": "Environment, such as `HTTPS_PROXY`, each as text or as `{valueFrom: …}`. Settings of ours "
        "belong into `config`, secrets into the Secret; `FORWARDER__…` is taken with `valueFrom` only.",
        "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "not": {"pattern": f"{_OURS}([^_]|$)"}},
        "patternProperties": {
            "[Pp][Rr][Oo][Xx][Yy]$": {**_VARIABLE, **NO_PASSWORD},
            f"{_OURS}_": {"if": {"type": "string"}, "then": INTO_THE_SECRET, "else": _VARIABLE},
        },
        "additionalProperties": _VARIABLE,
    },
    "envFrom": _kubernetes("array", "Whole Secrets or ConfigMaps as environment."),
    "initContainers": _kubernetes(
        "array", "Containers before it; each has no more rights than ours unless it asks for them."
    ),
    "extraContainers": _kubernetes("array", "Containers beside it, with the same rights."),
    "extraObjects": {
        "type": "array",
        "items": {"type": ["object", "string"]},
        "description": "Further objects, such as an ExternalSecret; what stands in `{{ }}` is filled in.",
    },
    "resources": _kubernetes("object", "Requests and limits."),
    "podSecurityContext": _object(
        "Who it runs as; `null` leaves it to the cluster, as OpenShift wants it. The rest of the security context is "
        "fixed: it satisfies the Pod Security level `restricted`.",
        runAsUser=_user("User id; never 0."),
        runAsGroup=_user("Group id."),
        fsGroup=_user("Group that owns the volume."),
        fsGroupChangePolicy={
            "enum": ["OnRootMismatch", "Always", None],
            "description": "When the volume's files are given to that group.",
        },
        supplementalGroups={
            "type": "array",
            "items": {"type": "integer", "minimum": 1},
            "description": "Further groups.",
        },
    ),
    "serviceAccount": _object(
        "The account; its token is never mounted.",
        create={"type": "boolean", "description": "Make one."},
        name=_text("Its name; default: that of the release, or `default` when none is made.", _NAME),
        annotations=_texts("Annotations, such as for a cloud's identity."),
    ),
    "service": _object("The headless Service of the metrics.", annotations=_texts("Annotations.")),
    "ingress": _object(
        "An Ingress for the page and the status, which ask for `admin.token`; end TLS there.",
        enabled=_switch(),
        className=_text("Class; default: the cluster's.", _NAME),
        annotations=_texts("Annotations."),
        host=_text("Name of the page. It is added to `config.admin.allowed_hosts`.", _HOST),
        receiverHost=_text("Name at which sources with a webhook receive events; default: none.", _HOST),
        tls=_kubernetes(
            "array", "Certificates, such as `[{hosts: [forwarder.example.com], secretName: forwarder-tls}]`."
        ),
    ),
    "serviceMonitor": _object(
        "A ServiceMonitor of prometheus-operator.",
        enabled=_switch(),
        interval=_text("How often metrics are asked for.", _PERIOD),
        scrapeTimeout=_text("How long an answer may take; default: that of Prometheus.", _PERIOD),
        labels=_texts("Labels, by which Prometheus finds it, such as `release: prometheus`."),
        annotations=_texts("Annotations."),
        relabelings=_kubernetes("array", "Rules for its labels."),
        metricRelabelings=_kubernetes("array", "Rules for its metrics."),
    ),
    "prometheusRule": _object(
        "The alerts of `content/prometheus`, as a PrometheusRule of prometheus-operator.",
        enabled=_switch(),
        runbookBaseUrl=_text(
            "Where your copy of the runbooks can be read, such as `https://wiki.example.com/runbooks`; default: "
            "where they are in the project.",
            '^[^\\s"]+$',
        ),
        labels=_texts("Labels, by which Prometheus finds it."),
        annotations=_texts("Annotations."),
    ),
    "dashboard": _object(
        "The dashboard of `content/grafana`, as a ConfigMap for the sidecar of Grafana's chart.",
        enabled=_switch(),
        labels=_texts("Labels, by which the sidecar finds it."),
        annotations=_texts("Annotations, such as for its folder."),
    ),
    "networkPolicy": _object(
        "A NetworkPolicy: in only to the admin port, out only to DNS and to the ports of the configured destinations.",
        enabled=_switch(),
        ingressFrom=_kubernetes(
            "array", "Who may ask for metrics and status; default: everyone. Probes of the node pass."
        ),
        egressTo=_kubernetes(
            "array", "Where those ports may be; default: everywhere, for a policy knows no host names."
        ),
        extraEgress=_kubernetes("array", "Further egress rules, such as for a proxy on another port."),
    ),
    "podDisruptionBudget": _object(
        "A PodDisruptionBudget. There is one pod, for the spool has one writer, and nothing is lost while it is away; "
        "so a budget is for those who want to choose the moment: the drain of its node waits until the pod is deleted.",
        enabled=_switch(),
        maxUnavailable={"enum": [0, 1], "description": "0 refuses every eviction."},
    ),
    "updateStrategy": _object(
        "When a changed pod is replaced.",
        type=_one_of("`OnDelete`: when someone deletes it.", "RollingUpdate", "OnDelete"),
    ),
    "probes": _object(
        "How patient the probes are.",
        startup=_probe("Until the port is open:"),
        liveness=_probe("Whether the process turns:"),
        readiness=_probe("Whether it works:"),
    ),
    "podAnnotations": _texts("Annotations of the pod."),
    "podLabels": _texts("Labels of the pod."),
    "priorityClassName": _text("Priority class.", _NAME),
    "runtimeClassName": _text("Runtime class.", _NAME),
    "nodeSelector": _texts("Labels a node must have."),
    "tolerations": _kubernetes("array", "Taints it tolerates."),
    "affinity": _kubernetes("object", "Affinity."),
    "topologySpreadConstraints": _kubernetes(
        "array", "How it is spread; without a `labelSelector` one that finds our pod is added."
    ),
    "dnsPolicy": {
        "enum": ["", "ClusterFirst", "Default", "None"],
        "description": "DNS policy; default: the cluster's.",
    },
    "dnsConfig": _kubernetes("object", "Name servers and search domains."),
    "hostAliases": _kubernetes("array", "Lines of `/etc/hosts`."),
    "global": _kubernetes("object", "Not used; helm puts it here when the chart is a part of another one."),
}
