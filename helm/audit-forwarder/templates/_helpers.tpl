{{/* The name of everything. A StatefulSet's pods carry it in a label, with a hash after it: 52 characters at most. */}}
{{- define "audit-forwarder.fullname" -}}
{{- $name := .Release.Name -}}
{{- if not (contains .Chart.Name $name) }}{{ $name = printf "%s-%s" $name .Chart.Name }}{{ end -}}
{{- .Values.fullnameOverride | default $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "audit-forwarder.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "audit-forwarder.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "audit-forwarder.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
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

{{/* The configuration file: what the values say, and the names under which the pod is asked for its metrics. */}}
{{- define "audit-forwarder.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $admin := $config.admin | default dict -}}
{{- $name := include "audit-forwarder.fullname" . -}}
{{- $service := printf "%s.%s" $name .Release.Namespace -}}
{{- $names := list $name $service (printf "%s.svc" $service) (printf "%s.svc.cluster.local" $service) -}}
{{- $_ := set $admin "allowed_hosts" (concat $names ($admin.allowed_hosts | default list) | uniq) -}}
{{- $_ := set $config "admin" $admin -}}
{{- if not (hasPrefix "/var/lib/audit-forwarder/" $config.spool.path) -}}
{{- fail "config.spool.path: the volume is mounted at /var/lib/audit-forwarder, and the spool must lie in it" -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* The port of probes and metrics. */}}
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

{{/* The ports that sources, sinks and proxies are reached at, as a map without doubles. */}}
{{- define "audit-forwarder.destinations" -}}
{{- $urls := list -}}
{{- range $name, $source := .Values.config.sources -}}
{{- $urls = append $urls ($source.base_url | default "https://api.atlassian.com") -}}
{{- $urls = append $urls ($source.http | default dict).proxy -}}
{{- end -}}
{{- range $name, $sink := .Values.config.sinks -}}
{{- $urls = concat $urls (list $sink.url $sink.address ($sink.http | default dict).proxy) -}}
{{- end -}}
{{- range $name, $value := .Values.env -}}
{{- if regexMatch "(?i)^(https?|all)_proxy$" $name }}{{ $urls = append $urls $value }}{{ end -}}
{{- end -}}
{{- $schemes := dict "http" 80 "https" 443 -}}
{{- $found := dict -}}
{{- range $url := compact $urls -}}
{{- $url = lower $url -}}
{{- $scheme := regexFind "^[a-z]+" $url -}}
{{- $place := regexReplaceAll "^[a-z]+://|[/?#].*$" $url "" -}}
{{- $port := regexFind ":[0-9]+$" $place | trimPrefix ":" | default (get $schemes $scheme) | int64 -}}
{{- $protocol := ternary "UDP" "TCP" (eq $scheme "udp") -}}
{{- if $port }}{{ $_ := set $found (printf "%s-%05d" $protocol $port) (dict "protocol" $protocol "port" $port) }}{{ end -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}
