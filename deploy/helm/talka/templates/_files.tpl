{{- /* What a process is given as files: its key at the NATS server, the server's authority, and the keys of what is stored.
       Each is asked for with (dict "root" . "user" NAME), in which NAME is the service as `talka deploy nats-keys` calls it. */ -}}
{{- define "talka.ownServers" -}}
{{- if .Values.nats.existingSecret }}{{ if .Values.nats.tlsSecret }}{{ fail "nats.tlsSecret is for servers that the chart runs, not for that of nats.existingSecret" }}{{ end }}{{ else }}yes{{ end }}
{{- end }}

{{- /* The Secret and the key with the server's authority, as an item of a projected volume. */ -}}
{{- define "talka.authority" -}}
{{- with .Values.nats -}}
{{- if .caKey }}
- secret:
    name: {{ required "nats.caKey is a key of nats.keysSecret, which is needed" .keysSecret }}
    items: [{key: {{ .caKey }}, path: ca.pem}]
{{- else if .tlsSecret }}
- secret: {name: {{ .tlsSecret }}, items: [{key: ca.crt, path: ca.pem}]}
{{- end }}
{{- end }}
{{- end }}

{{- define "talka.fileEnvironment" -}}
{{- if .root.Values.nats.keysSecret }}
- {name: TALKA_NATS_NKEY, value: /etc/talka-nats/user.nk}
{{- end }}
{{- if include "talka.authority" .root }}
- {name: TALKA_NATS_CA, value: /etc/talka-nats/ca.pem}
{{- end }}
{{- if .root.Values.keys.existingSecret }}
- {name: TALKA_KEYS, value: /etc/talka-keys/keys.json}
{{- end }}
{{- end }}

{{- define "talka.fileMounts" -}}
{{- if or .root.Values.nats.keysSecret (include "talka.authority" .root) }}
- {name: nats, mountPath: /etc/talka-nats, readOnly: true}
{{- end }}
{{- if .root.Values.keys.existingSecret }}
- {name: keys, mountPath: /etc/talka-keys, readOnly: true}
{{- end }}
{{- end }}

{{- define "talka.fileVolumes" -}}
{{- $authority := include "talka.authority" .root }}
{{- if or .root.Values.nats.keysSecret $authority }}
- name: nats
  projected:
    # Its own key and no other, for nobody but it.
    defaultMode: 0440
    sources:
      {{- with .root.Values.nats.keysSecret }}
      - secret: {name: {{ . }}, items: [{key: {{ $.user }}.nk, path: user.nk}]}
      {{- end }}
      {{- with $authority }}{{ trim . | nindent 6 }}{{ end }}
{{- end }}
{{- with .root.Values.keys }}{{ if .existingSecret }}
- name: keys
  secret: {secretName: {{ .existingSecret }}, defaultMode: 0440, items: [{key: {{ .key }}, path: keys.json}]}
{{- end }}{{ end }}
{{- end }}

{{- /* What is given as variables: where the read model is, and what the object store of the archive asks for. */ -}}
{{- define "talka.databaseEnvironment" -}}
{{- with .Values.database }}{{ if .existingSecret }}
- name: TALKA_DATABASE
  valueFrom: {secretKeyRef: {name: {{ .existingSecret }}, key: {{ .key }}}}
{{- end }}{{ end }}
{{- end }}

{{- define "talka.archiveCredentials" -}}
{{- with .Values.archive.credentialsSecret }}
- secretRef: {name: {{ . }}}
{{- end }}
{{- end }}
