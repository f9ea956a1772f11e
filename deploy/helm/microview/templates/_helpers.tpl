{{- define "microview.name" -}}
{{ .Chart.Name }}-agent
{{- end }}

{{- /* Of what is in no namespace: two releases must not take each other's. */}}
{{- define "microview.clusterName" -}}
{{ printf "%s-%s" .Release.Namespace (include "microview.name" .) | trunc 63 }}
{{- end }}

{{- define "microview.selector" -}}
app.kubernetes.io/name: {{ include "microview.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "microview.labels" -}}
{{ include "microview.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: microview
{{- end }}

{{- define "microview.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
