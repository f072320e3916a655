{{- define "holdfast.deployment" -}}
{{- .Values.deployment | default .Release.Name -}}
{{- end -}}

{{- define "holdfast.jobManager" -}}
{{- include "holdfast.deployment" . }}-jobmanager
{{- end -}}

{{- define "holdfast.taskManager" -}}
{{- include "holdfast.deployment" . }}-taskmanager
{{- end -}}

{{- define "holdfast.flinkConfiguration" -}}
{{- include "holdfast.deployment" . }}-flink
{{- end -}}

{{- /* The Role, the RoleBinding, the Secret and, unless one is given, the service account. */ -}}
{{- define "holdfast.own" -}}
{{- include "holdfast.deployment" . }}-holdfast
{{- end -}}

{{- define "holdfast.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "holdfast.own" .) -}}
{{- else -}}
{{- required "serviceAccount.name is required when serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "holdfast.image" -}}
{{- .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- /* Nothing here changes with the chart's version: a change of a pod's labels would restart the job. */ -}}
{{- define "holdfast.selectorLabels" -}}
app.kubernetes.io/name: holdfast
app.kubernetes.io/instance: {{ include "holdfast.deployment" . }}
{{- end -}}

{{- define "holdfast.labels" -}}
{{ include "holdfast.selectorLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}
