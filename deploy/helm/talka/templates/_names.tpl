{{- define "talka.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "talka.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- /* What pods are selected by: (dict "root" . "component" NAME) */ -}}
{{- define "talka.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "talka.labels" -}}
{{ include "talka.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "talka.natsSecret" -}}
{{ .Values.nats.existingSecret | default (printf "%s-nats" (include "talka.fullname" .)) }}
{{- end }}

{{- define "talka.tokenSecret" -}}
{{ .Values.gateway.existingSecret | default (printf "%s-gateway" (include "talka.fullname" .)) }}
{{- end }}
