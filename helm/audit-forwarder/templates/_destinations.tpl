{{/* Every URL in a tree of settings, one a line. */}}
{{- define "audit-forwarder.urls" -}}
{{- if kindIs "map" . }}{{ range $key, $value := . }}{{ include "audit-forwarder.urls" $value }}{{ end }}{{ end -}}
{{- if kindIs "slice" . }}{{ range . }}{{ include "audit-forwarder.urls" . }}{{ end }}{{ end -}}
{{- if kindIs "string" . }}{{ if regexMatch "^[a-zA-Z][a-zA-Z0-9+.-]*://" . }}{{ printf "%s\n" . }}{{ end }}{{ end -}}
{{- end -}}

{{/*
The ports that sources, sinks and proxies are reached at, as a map without doubles. A source that names no address is at
Atlassian's, but for one that only receives and one that reads files.
*/}}
{{- define "audit-forwarder.destinations" -}}
{{- $urls := list -}}
{{- range $name, $source := .Values.config.sources -}}
{{- $passive := or (eq $source.type "guard_detect") (hasKey $source "nodes") -}}
{{- $named := or $source.base_url $source.gateway $source.url -}}
{{- if not (or $passive $named) }}{{ $urls = append $urls "https://api.atlassian.com" }}{{ end -}}
{{- end -}}
{{- range $name, $sink := .Values.config.sinks -}}
{{- $elsewhere := ($sink.bucket | default dict).endpoint -}}
{{- $urls = concat $urls (include "audit-forwarder.urls" (empty $elsewhere | ternary $sink (omit $sink "url")) | splitList "\n") -}}
{{- end -}}
{{- $urls = concat $urls (include "audit-forwarder.urls" .Values.config.sources | splitList "\n") -}}
{{- range $name, $value := .Values.env -}}
{{- if and (kindIs "string" $value) (regexMatch "(?i)^(https?|all)_proxy$" $name) }}{{ $urls = append $urls $value }}{{ end -}}
{{- end -}}
{{- $schemes := dict "http" 80 "https" 443 "s3" 443 "gs" 443 "az" 443 -}}
{{- $found := dict -}}
{{- range $url := compact $urls -}}
{{- $url = lower $url -}}
{{- $scheme := regexFind "^[a-z0-9]+" $url -}}
{{- $place := regexReplaceAll "^[a-z0-9]+://|[/?#].*$" $url "" -}}
{{- $port := regexFind ":[0-9]+$" $place | trimPrefix ":" | default (get $schemes $scheme) | int64 -}}
{{- $protocol := ternary "UDP" "TCP" (eq $scheme "udp") -}}
{{- if $port }}{{ $_ := set $found (printf "%s-%05d" $protocol $port) (dict "protocol" $protocol "port" $port) }}{{ end -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}
