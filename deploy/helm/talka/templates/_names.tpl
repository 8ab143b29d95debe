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

{{- /* The Secret with the gateway's own token; none where an access file says who may ask, unless both are named. */ -}}
{{- define "talka.tokenSecret" -}}
{{- with .Values.gateway }}
{{- if .existingSecret }}{{ .existingSecret }}{{ else if not .access.existingSecret }}{{ include "talka.fullname" $ }}-gateway{{ end }}
{{- end }}
{{- end }}

{{- /* The port that a URL leads to. */ -}}
{{- define "talka.urlPort" -}}
{{- $url := urlParse . }}
{{- if regexMatch ":[0-9]+$" $url.host }}{{ regexFind "[0-9]+$" $url.host }}{{ else }}{{ eq $url.scheme "https" | ternary 443 80 }}{{ end }}
{{- end }}

{{- /* A rule that lets out to a port, wherever that is: policies know no names of hosts. */ -}}
{{- define "talka.egress" -}}
ports: [{port: {{ . }}, protocol: TCP}]
{{- end }}
