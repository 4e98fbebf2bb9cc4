{{/* What every pod of ours has, the one that carries events and those of hooks. */}}
{{- define "audit-forwarder.podSettings" -}}
serviceAccountName: {{ include "audit-forwarder.serviceAccountName" . | quote }}
automountServiceAccountToken: false
# Without it a Service called `forwarder` would set variables that look like settings of ours.
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .Values.runtimeClassName }}
runtimeClassName: {{ . | quote }}
{{- end }}
securityContext:
  runAsNonRoot: true
  seccompProfile:
    type: RuntimeDefault
  {{- with .Values.podSecurityContext }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- with .Values.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What a container may: the Pod Security level `restricted`, and nothing written outside its volumes. */}}
{{- define "audit-forwarder.securityContext" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
privileged: false
readOnlyRootFilesystem: true
{{- end -}}

{{/* The image with its surroundings. */}}
{{- define "audit-forwarder.containerSettings" -}}
image: {{ include "audit-forwarder.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
env:
  - name: FORWARDER_CONFIG
    value: /etc/audit-forwarder/config.yaml
  {{- if .Values.existingSecret }}
  - name: FORWARDER_SECRETS_DIR
    value: /run/secrets/audit-forwarder
  {{- end }}
  {{- range $name, $value := .Values.env }}
  - name: {{ $name }}
    {{- if kindIs "string" $value }}
    value: {{ $value | quote }}
    {{- else }}
    {{- toYaml $value | nindent 4 }}
    {{- end }}
  {{- end }}
{{- with .Values.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "audit-forwarder.securityContext" . | nindent 2 }}
{{- end -}}

{{/* Configuration, secrets and what was added, where every container of ours sees them. */}}
{{- define "audit-forwarder.volumeMounts" -}}
- name: config
  mountPath: /etc/audit-forwarder
  readOnly: true
{{- if .Values.existingSecret }}
- name: secrets
  mountPath: /run/secrets/audit-forwarder
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "audit-forwarder.volumes" -}}
- name: config
  configMap:
    name: {{ include "audit-forwarder.fullname" . }}
{{- with .Values.existingSecret }}
- name: secrets
  secret:
    secretName: {{ . | quote }}
    defaultMode: 0440
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A list of containers that were given, each without more rights than ours unless it asks for them. */}}
{{- define "audit-forwarder.furtherContainers" -}}
{{- $ours := include "audit-forwarder.securityContext" . | fromYaml -}}
{{- range . }}
{{ $own := dict "securityContext" (mergeOverwrite (deepCopy $ours) (.securityContext | default dict)) -}}
{{- list (merge $own .) | toYaml }}
{{- end }}
{{- end -}}
