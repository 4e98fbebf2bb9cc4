{{- define "audit-forwarder.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of everything. A StatefulSet's pods carry it in a label, with a hash after it: 52 characters at most. */}}
{{- define "audit-forwarder.fullname" -}}
{{- $name := .Release.Name -}}
{{- $own := include "audit-forwarder.name" . -}}
{{- if not (contains $own $name) }}{{ $name = printf "%s-%s" $name $own }}{{ end -}}
{{- .Values.fullnameOverride | default $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* What tells our pod from every other: of `root`, and of its `part`, for pods beside it that are no part of the Service. */}}
{{- define "audit-forwarder.selectorLabels" -}}
{{- $root := .root | default . -}}
{{- $part := .part | default "" -}}
app.kubernetes.io/name: {{ printf "%s%s" (include "audit-forwarder.name" $root) ($part | empty | ternary "" (printf "-%s" $part)) }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
{{- end -}}

{{- define "audit-forwarder.labels" -}}
{{- $own := include "audit-forwarder.selectorLabels" . | fromYaml -}}
{{- $chart := printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" -}}
{{- $_ := set $own "helm.sh/chart" $chart -}}
{{- $_ := set $own "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service -}}
{{- merge $own .Values.commonLabels | toYaml -}}
{{- end -}}

{{/* The metadata of an object: of `root`; its `suffix`, `labels` and `annotations`, where it has any. */}}
{{- define "audit-forwarder.metadata" -}}
name: {{ .name | default (printf "%s%s" (include "audit-forwarder.fullname" .root) (.suffix | default "")) }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- $labels := include "audit-forwarder.labels" .root | fromYaml }}
  {{- merge $labels (.labels | default dict) | toYaml | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "audit-forwarder.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end -}}

{{- define "audit-forwarder.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "audit-forwarder.fullname" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{/* The configuration file: what the values say, and the names under which the pod is asked for its metrics and its page. */}}
{{- define "audit-forwarder.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $admin := $config.admin | default dict -}}
{{- $name := include "audit-forwarder.fullname" . -}}
{{- $service := printf "%s.%s" $name .Release.Namespace -}}
{{- $names := list $name $service (printf "%s.svc" $service) (printf "%s.svc.cluster.local" $service) -}}
{{- if .Values.ingress.enabled }}{{ $names = append $names .Values.ingress.host }}{{ end -}}
{{- $_ := set $admin "allowed_hosts" (concat $names ($admin.allowed_hosts | default list) | compact | uniq) -}}
{{- $_ := set $config "admin" $admin -}}
{{- if not (hasPrefix "/var/lib/audit-forwarder/" $config.spool.path) -}}
{{- fail "config.spool.path: the volume is mounted at /var/lib/audit-forwarder, and the spool must lie in it" -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* The port of probes, metrics and page. */}}
{{- define "audit-forwarder.port" -}}
{{- $listen := .Values.config.admin.listen -}}
{{- if regexMatch "^(127\\.|localhost:|\\[::1\\]:)" $listen -}}
{{- fail "config.admin.listen: probes cannot reach a loopback address and would restart the pod; write 0.0.0.0:9464" -}}
{{- end -}}
{{- $port := regexFind "[1-9][0-9]*$" $listen -}}
{{- if not $port }}{{ fail "config.admin.listen: needs a fixed port, such as 0.0.0.0:9464" }}{{ end -}}
{{- $port -}}
{{- end -}}

{{/* The port at which sources receive events, or nothing while none of them does. */}}
{{- define "audit-forwarder.receiverPort" -}}
{{- $receives := false -}}
{{- range $name, $source := .Values.config.sources -}}
{{- if or (hasKey $source "webhook") (eq ($source.type | default "") "guard_detect") }}{{ $receives = true }}{{ end -}}
{{- end -}}
{{- if $receives -}}
{{- $listen := (.Values.config.receiver | default dict).listen | default "127.0.0.1:9465" -}}
{{- if regexMatch "^(127\\.|localhost:|\\[::1\\]:)" $listen -}}
{{- fail "config.receiver.listen: a Service cannot reach a loopback address; write 0.0.0.0:9465" -}}
{{- end -}}
{{- $port := regexFind "[1-9][0-9]*$" $listen -}}
{{- if not $port }}{{ fail "config.receiver.listen: needs a fixed port, such as 0.0.0.0:9465" }}{{ end -}}
{{- $port -}}
{{- end -}}
{{- end -}}

{{/* Whole seconds of a duration of ours, such as 90, 25s or 1m30s. */}}
{{- define "audit-forwarder.seconds" -}}
{{- $text := . | toString | lower | replace " " "" -}}
{{- if regexMatch "^[0-9.]+$" $text }}{{ $text = printf "%ss" $text }}{{ end -}}
{{- $units := dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0 "d" 86400.0 "w" 604800.0 -}}
{{- $sum := 0.0 -}}
{{- range regexFindAll "[0-9.]+(ms|s|m|h|d|w)" $text -1 -}}
{{- $unit := regexFind "[a-z]+" . -}}
{{- $sum = addf $sum (mulf (trimSuffix $unit . | float64) (get $units $unit)) -}}
{{- end -}}
{{- ceil $sum | int64 -}}
{{- end -}}
