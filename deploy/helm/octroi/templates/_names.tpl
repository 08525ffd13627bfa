{{- define "octroi.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "octroi.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "octroi.labels" -}}
{{ include "octroi.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "octroi.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "octroi.admin" -}}
{{- printf "%s:%v" (ternary "0.0.0.0" "127.0.0.1" .Values.admin.expose) .Values.admin.port -}}
{{- end -}}

{{/* The addresses, for every container that reads the configuration. */}}
{{- define "octroi.env" -}}
- name: OCTROI_LISTEN_TPP__ADDRESS
  value: {{ printf "0.0.0.0:%v" .Values.tpp.port | quote }}
- name: OCTROI_LISTEN_PSU__ADDRESS
  value: {{ printf "0.0.0.0:%v" .Values.psu.port | quote }}
- name: OCTROI_LISTEN_ADMIN__ADDRESS
  value: {{ include "octroi.admin" . | quote }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "octroi.container" -}}
image: {{ include "octroi.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
env:
  {{- include "octroi.env" . | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  capabilities:
    drop: [ALL]
volumeMounts:
  - {name: config, mountPath: /etc/octroi, readOnly: true}
  - {name: state, mountPath: /var/lib/octroi}
  - {name: tmp, mountPath: /tmp}
{{- end -}}

{{/* A question to the admin listener, which is on loopback unless exposed. */}}
{{- define "octroi.probe" -}}
exec:
  command:
    - /usr/bin/octroi
    - healthcheck
    - {{ printf "--address=127.0.0.1:%v" .root.Values.admin.port | quote }}
    {{- if .ready }}
    - --ready
    {{- end }}
timeoutSeconds: 3
{{- end -}}
