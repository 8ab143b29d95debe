{{- /* KEDA follows the number of workers that the pool has decided, as the gateway exports it. */ -}}
{{- define "talka.scaledObject" -}}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {{ include "talka.fullname" .root }}-{{ .component }}
  labels: {{- include "talka.labels" . | nindent 4 }}
spec:
  scaleTargetRef:
    name: {{ include "talka.fullname" .root }}-{{ .component }}
  minReplicaCount: {{ .settings.scaling.min }}
  maxReplicaCount: {{ .settings.scaling.max }}
  pollingInterval: 5
  # The pool has waited before it decided on fewer; to wait twice would help nobody.
  cooldownPeriod: 0
  # Without figures there are as many as there would be without scaling.
  fallback: {failureThreshold: 3, replicas: {{ .settings.replicas }}}
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        scaleDown: {stabilizationWindowSeconds: 0}
  triggers:
    - type: prometheus
      metricType: AverageValue
      metadata:
        serverAddress: {{ .root.Values.keda.prometheus | quote }}
        query: max(talka_pool_desired_workers{pool={{ .settings.pool | quote }}})
        threshold: "1"
        ignoreNullValues: "false"
{{- end }}

{{- /* The pool is told by what it shall decide. */ -}}
{{- define "talka.scalingPolicy" -}}
{{- $scaling := .settings.scaling -}}
{{- $files := dict "root" .root "user" "client" -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ include "talka.fullname" .root }}-{{ .component }}-scaling
  labels: {{- include "talka.labels" (dict "root" .root "component" "scaling") | nindent 4 }}
  annotations:
    helm.sh/hook: post-install,post-upgrade
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  backoffLimit: 10
  template:
    metadata:
      labels: {{- include "talka.labels" (dict "root" .root "component" "scaling") | nindent 8 }}
    spec:
      restartPolicy: OnFailure
      automountServiceAccountToken: false
      enableServiceLinks: false
      securityContext: {{- include "talka.podSecurity" 10001 | nindent 8 }}
      {{- with .root.Values.image.pullSecrets }}
      imagePullSecrets: {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: scaling
          image: {{ include "talka.image" .root | quote }}
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          args:
            - pool
            - scale
            - {{ .settings.pool | quote }}
            - --min={{ $scaling.min }}
            - --max={{ $scaling.max }}
            - --target-delay-s={{ $scaling.targetDelaySeconds }}
            - --cool-down-s={{ $scaling.coolDownSeconds }}
            - --scale-to-zero-after-s={{ $scaling.scaleToZeroAfterSeconds }}
          env: {{- include "talka.environment" .root | nindent 12 }}
            {{- with include "talka.fileEnvironment" $files }}{{ trim . | nindent 12 }}{{ end }}
          resources:
            requests: {cpu: 50m, memory: 128Mi}
            limits: {memory: 256Mi}
          securityContext: {{- include "talka.containerSecurity" .root | nindent 12 }}
          {{- with include "talka.fileMounts" $files }}
          volumeMounts: {{- trim . | nindent 12 }}
          {{- end }}
      {{- with include "talka.fileVolumes" $files }}
      volumes: {{- trim . | nindent 8 }}
      {{- end }}
{{- end }}
