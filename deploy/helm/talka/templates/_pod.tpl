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

{{- /* A Deployment of a service: (dict "root" . "component" NAME "args" LIST "settings" VALUES "replicas" NUMBER
       "port" NUMBER "env" LIST "envFrom" LIST "mounts" LIST "volumes" LIST "grace" SECONDS); without "replicas" an
       autoscaler says how many. */ -}}
{{- define "talka.deployment" -}}
{{- $files := dict "root" .root "user" (.name | default .component) -}}
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
            {{- with include "talka.fileEnvironment" $files }}{{ trim . | nindent 12 }}{{ end }}
            {{- with .env }}{{ toYaml . | nindent 12 }}{{ end }}
          {{- with .envFrom }}
          envFrom: {{- toYaml . | nindent 12 }}
          {{- end }}
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
            {{- with include "talka.fileMounts" $files }}{{ trim . | nindent 12 }}{{ end }}
            {{- with .mounts }}{{ toYaml . | nindent 12 }}{{ end }}
            {{- with .settings.volumeMounts }}{{ toYaml . | nindent 12 }}{{ end }}
      volumes:
        - {name: tmp, emptyDir: {}}
        {{- with include "talka.fileVolumes" $files }}{{ trim . | nindent 8 }}{{ end }}
        {{- with .volumes }}{{ toYaml . | nindent 8 }}{{ end }}
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
