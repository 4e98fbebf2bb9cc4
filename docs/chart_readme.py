"""The page that comes with the chart: what it makes, what must be there before, and every value."""

from __future__ import annotations

from docs.chart_schema import values_table

_TEXT = """Carries Atlassian audit logs into a SIEM, completely and checkably: one pod with one volume, and what people
and Prometheus need around it.

## Install

Push the image to your registry, make the Secret, choose the values file of `examples/` that is nearest to your case and
change what it says to change:

```
(umask 077 && head -c 24 /dev/urandom | base64 > status.token)    # any secret of your own: who knows it may see and act
kubectl create namespace audit
kubectl --namespace audit create secret generic audit-forwarder \\
  --from-file=sources__acme__api_key=./atlassian.key --from-file=sinks__elastic__api_key=./elastic.key \\
  --from-file=admin__token=./status.token
helm upgrade --install audit-forwarder . --namespace audit --values examples/elastic-cloud.yaml --wait
helm test audit-forwarder --namespace audit
```

| Values file | Case |
| --- | --- |
| `examples/splunk-cloud.yaml` | Splunk Cloud, by HTTP Event Collector |
| `examples/elastic-cloud.yaml` | Elastic Cloud, with the index templates written by a Job |
| `examples/opensearch.yaml` | OpenSearch with a certificate authority of your own |
| `examples/qradar.yaml` | QRadar, as LEEF over syslog with TLS |
| `examples/sentinel.yaml` | Microsoft Sentinel, as CEF to the agent's syslog |
| `examples/air-gapped.yaml` | no way out but the proxy and the SIEM: own registry, NetworkPolicy, private authority |
| `examples/external-secrets.yaml` | the Secret comes from a vault, by External Secrets Operator |
| `examples/secrets-store-csi.yaml` | secrets come as files, by the Secrets Store CSI driver |

## What it makes

| Object | When |
| --- | --- |
| StatefulSet with one pod, headless Service, ConfigMap, ServiceAccount without rights | always |
| ServiceMonitor, PrometheusRule, ConfigMap with the dashboard | `serviceMonitor`, `prometheusRule`, `dashboard` |
| NetworkPolicy: in to the port of metrics and page, out to DNS and the configured destinations | `networkPolicy` |
| Ingress for the page, and for sources that receive events | `ingress` |
| Job that writes index templates and the like, after install and upgrade | `setup` |
| PodDisruptionBudget | `podDisruptionBudget` |
| whatever else belongs to it, such as an ExternalSecret | `extraObjects` |

## Good to know

- **One pod.** The spool has one writer, and a second pod would deliver everything twice. Nothing is lost while it is
  away: Atlassian keeps 180 days, and the next pod goes on where the volume says. So there is no `replicas`, and the
  PodDisruptionBudget is off: with it, the drain of a node waits until someone deletes the pod.
- **Secrets are refused in values**; they come from the Secret, from files, or with `env.….valueFrom`. A changed Secret
  needs no restart, a changed `env` does.
- **A changed configuration** is a new pod.
- **What is said of a new claim** (`persistence.size`, `storageClass`, `labels`, `annotations`, `selector`) cannot be
  changed by an upgrade; change the claim itself. `helm uninstall` leaves the claim.
- **Behind a chart of your own**, or with Argo CD or Flux: `setup` is a hook of Helm, which both of them know.

## Values

Helm refuses everything else.

"""


def readme() -> str:
    """Return the page's body."""
    return _TEXT + values_table().replace("](configuration.md)", "](../../docs/reference/configuration.md)")
