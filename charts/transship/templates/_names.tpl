{{/* The name of what is made: that of the release, with the chart's where it is not in it. */}}
{{- define "transship.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains "transship" .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-transship" .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Names of what belongs to no namespace: two releases of one name can be in two namespaces. */}}
{{- define "transship.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "transship.fullname" .) -}}
{{- end -}}

{{- define "transship.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "transship.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "transship.selector" -}}
app.kubernetes.io/name: transship
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "transship.labels" -}}
helm.sh/chart: {{ printf "transship-%s" .Chart.Version | replace "+" "_" | trunc 63 }}
{{ include "transship.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "transship.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}
