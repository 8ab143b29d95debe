{{- /* What every process may do: nothing but its work. */ -}}
{{- define "talka.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "talka.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "talka.environment" -}}
- name: TALKA_SERVER
  valueFrom: {secretKeyRef: {name: {{ include "talka.natsSecret" . }}, key: url}}
- {name: TALKA_NAMESPACE, value: {{ .Values.talkaNamespace | quote }}}
- {name: TALKA_LOG_FORMAT, value: json}
{{- end }}

{{- /* The key of a service at the NATS server, and the server's authority: (dict "root" . "user" NAME). */ -}}
{{- define "talka.keyEnvironment" -}}
{{- if .root.Values.nats.keysSecret }}
- {name: TALKA_NATS_NKEY, value: /etc/talka-nats/user.nk}
{{- if .root.Values.nats.caKey }}
- {name: TALKA_NATS_CA, value: /etc/talka-nats/ca.pem}
{{- end }}
{{- end }}
{{- end }}

{{- define "talka.keyMount" -}}
{{- if .root.Values.nats.keysSecret }}
- {name: nats-key, mountPath: /etc/talka-nats, readOnly: true}
{{- end }}
{{- end }}

{{- define "talka.keyVolume" -}}
{{- with .root.Values.nats.keysSecret }}
- name: nats-key
  secret:
    secretName: {{ . }}
    # Its own key and no other, for nobody but it.
    defaultMode: 0440
    items:
      - {key: {{ $.user }}.nk, path: user.nk}
      {{- with $.root.Values.nats.caKey }}
      - {key: {{ . }}, path: ca.pem}
      {{- end }}
{{- end }}
{{- end }}

{{- /* A Deployment of a service: (dict "root" . "component" NAME "args" LIST "settings" VALUES "replicas" NUMBER
       "port" NUMBER "env" YAML "grace" SECONDS); without "replicas" an autoscaler says how many. */ -}}
{{- define "talka.deployment" -}}
{{- $keys := dict "root" .root "user" (.name | default .component) -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "talka.fullname" .root }}-{{ .component }}
  labels: {{- include "talka.labels" . | nindent 4 }}
spec:
  {{- if hasKey . "replicas" }}
  replicas: {{ .replicas }}
  {{- end }}
  selector:
    matchLabels: {{- include "talka.selector" . | nindent 6 }}
  template:
    metadata:
      labels: {{- include "talka.labels" . | nindent 8 }}
      {{- with .annotations }}
      annotations: {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ .grace | default 15 }}
      securityContext: {{- include "talka.podSecurity" 10001 | nindent 8 }}
      {{- with .root.Values.image.pullSecrets }}
      imagePullSecrets: {{- toYaml . | nindent 8 }}
      {{- end }}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels: {{- include "talka.selector" . | nindent 14 }}
      containers:
        - name: {{ .name | default .component }}
          image: {{ include "talka.image" .root | quote }}
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          args: {{- concat .args .settings.args | toYaml | nindent 12 }}
          env: {{- include "talka.environment" .root | nindent 12 }}
            {{- with include "talka.keyEnvironment" $keys }}{{ . | nindent 12 }}{{ end }}
            {{- with .env }}{{ toYaml . | nindent 12 }}{{ end }}
          ports:
            - {name: http, containerPort: {{ .port }}}
          startupProbe:
            httpGet: {path: /healthz, port: http}
            periodSeconds: 1
            failureThreshold: 60
          livenessProbe:
            httpGet: {path: /healthz, port: http}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 3
          readinessProbe:
            httpGet: {path: /readyz, port: http}
            periodSeconds: 5
            timeoutSeconds: 3
          resources: {{- toYaml .settings.resources | nindent 12 }}
          securityContext: {{- include "talka.containerSecurity" .root | nindent 12 }}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
            {{- with include "talka.keyMount" $keys }}{{ . | nindent 12 }}{{ end }}
            {{- with .settings.volumeMounts }}{{ toYaml . | nindent 12 }}{{ end }}
      volumes:
        - {name: tmp, emptyDir: {}}
        {{- with include "talka.keyVolume" $keys }}{{ . | nindent 8 }}{{ end }}
        {{- with .settings.volumes }}{{ toYaml . | nindent 8 }}{{ end }}
{{- end }}

{{- /* At most one of a service's pods is taken away on purpose at a time. */ -}}
{{- define "talka.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "talka.fullname" .root }}-{{ .component }}
  labels: {{- include "talka.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels: {{- include "talka.selector" . | nindent 6 }}
{{- end }}
