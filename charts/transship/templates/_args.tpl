{{/* A value that may be a list, or a text with commas and line breaks, as a JSON list. */}}
{{- define "transship.list" -}}
{{- if kindIs "slice" . -}}
{{- toJson . -}}
{{- else -}}
{{- $items := list -}}
{{- range regexSplit "[,\n]" (toString (default "" .)) -1 -}}
{{- with trim . }}{{ $items = append $items . }}{{ end -}}
{{- end -}}
{{- toJson $items -}}
{{- end -}}
{{- end -}}

{{/* The arguments: each input that has a value becomes the flag of its name, one for each item of a list. */}}
{{- define "transship.args" -}}
{{- $inputs := list
  "namespace" "include" "selector" "exclude" "cluster-resources" "restore-status" "strict" "history"
  "path" "compression" "layout" "s3-endpoint" "s3-region" "s3-path-style" "s3-sse" "s3-sse-kms-key-id" "encrypt-to"
  "timeout" "concurrency" "vms" "vm-snapshots" "pvcs" "running-vms" "vm-links" "vm-export-ttl"
  "interval" "on-change" "settle" "push-retry" "retention" "take-over" "format" -}}
{{- $isFalseUnlessGiven := list "strict" "on-change" "take-over" -}}
{{- $values := .Values -}}
{{- $args := list (ternary "export" "watch" (ne .Values.schedule "")) -}}
{{- range $name := $inputs -}}
{{- $value := index $values $name -}}
{{- if kindIs "bool" $value -}}
{{- if or $value (not (has $name $isFalseUnlessGiven)) }}{{ $args = append $args (printf "--%s=%v" $name $value) }}{{ end -}}
{{- else if kindIs "slice" $value -}}
{{- range $item := $value }}{{ $args = append $args (printf "--%s=%v" $name $item) }}{{ end -}}
{{- else if ne (toString (default "" $value)) "" -}}
{{- $args = append $args (printf "--%s=%v" $name $value) -}}
{{- end -}}
{{- end -}}
{{- $args = append $args (printf "--manager=%s/%s" .Release.Namespace .Release.Name) -}}
{{- if not .Values.schedule }}{{ $args = append $args "--listen=:8080" }}{{ end -}}
{{- $args = append $args (printf "--log-format=%s" (index .Values "log-format")) -}}
{{- if .Values.verbose }}{{ $args = append $args "--verbose" }}{{ end -}}
{{- toYaml $args -}}
{{- end -}}

{{/* The flags that say where snapshots are, for a command that reads them. */}}
{{- define "transship.place" -}}
{{- printf "--path %s" (.Values.path | quote) -}}
{{- with index .Values "s3-endpoint" }} --s3-endpoint {{ . }}{{ end -}}
{{- with index .Values "s3-region" }} --s3-region {{ . }}{{ end -}}
{{- if kindIs "bool" (index .Values "s3-path-style") }} --s3-path-style={{ index .Values "s3-path-style" }}{{ end -}}
{{- end -}}
