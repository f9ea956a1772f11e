{{- define "microview.name" -}}
{{ .Chart.Name }}-agent
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
