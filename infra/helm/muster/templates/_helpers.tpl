{{/* Labels of one service: call with (dict "root" $ "service" "name"). */}}
{{- define "muster.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .service }}
{{- end }}

{{- define "muster.labels" -}}
{{ include "muster.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "muster.secret" -}}
{{ .Values.secret.existing | default (printf "%s-muster" .Release.Name) }}
{{- end }}

{{- define "muster.image" -}}
{{ .root.Values.image.repository }}/{{ .service }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{/* A variable from a key of the secret: call with (dict "root" $ "name" "MUSTER_X" "key" "x"). */}}
{{- define "muster.fromSecret" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ include "muster.secret" .root }}
      key: {{ .key }}
{{- end }}
