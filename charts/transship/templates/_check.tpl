{{/* Refuses values that are wrong together; what each may be alone is in values.schema.json. */}}
{{- define "transship.check" -}}
{{- $values := .Values -}}
{{- $problems := list -}}
{{- $included := include "transship.included" . | fromJsonArray -}}

{{- $deploymentOnly := list "interval" "on-change" "settle" "push-retry" -}}
{{- $cronJobOnly := list "timeout" "vms" "vm-snapshots" "pvcs" "running-vms" "vm-links" "vm-export-ttl" "format" -}}
{{- $other := ternary $cronJobOnly $deploymentOnly (eq .Values.schedule "") -}}
{{- range $name := $other -}}
{{- with index $values $name -}}
{{- if $values.schedule -}}
{{- $problems = append $problems (printf "%s: %v is for the Deployment, and schedule makes a CronJob in its place. Remove one of the two." $name .) -}}
{{- else -}}
{{- $problems = append $problems (printf "%s: %v is for the CronJob. Give a schedule, or remove it." $name .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (has "vms" $included) (not .Values.schedule) -}}
{{- $problems = append $problems "include: vms is for the CronJob: changes of disks cannot be watched. Give a schedule, or remove it." -}}
{{- end -}}

{{- if not (has "resources" $included) -}}
{{- range $name := list "cluster-resources" "restore-status" "strict" -}}
{{- with index $values $name }}{{ $problems = append $problems (printf "%s: %v is about resources. Add resources to include, or remove it." $name .) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.schedule (not (has "vms" $included)) -}}
{{- range $name := list "vms" "vm-snapshots" "pvcs" "running-vms" "vm-links" "vm-export-ttl" -}}
{{- with index $values $name }}{{ $problems = append $problems (printf "%s: %v is about virtual machines. Add vms to include, or remove it." $name .) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.layout "tree") .Values.compression (not (has "vms" $included)) -}}
{{- $problems = append $problems (printf "compression: %s does not go with layout tree, whose files are plain JSON. Remove one of the two." .Values.compression) -}}
{{- end -}}
{{- if and .Values.settle (not (index .Values "on-change")) (not .Values.schedule) -}}
{{- $problems = append $problems (printf "settle: %s needs on-change too. Set on-change to true, or remove it." .Values.settle) -}}
{{- end -}}
{{- if eq .Values.format "helm-export" -}}
{{- if or (has "resources" $included) (has "vms" $included) -}}
{{- $problems = append $problems "format: helm-export holds Helm releases only. Remove what else is in include, or set format to archive." -}}
{{- end -}}
{{- if or .Values.compression (eq .Values.layout "tree") -}}
{{- $problems = append $problems "format: helm-export is one gzip. Remove compression and layout." -}}
{{- end -}}
{{- end -}}

{{- if hasPrefix "s3://" .Values.path -}}
{{- if and (index .Values "s3-sse-kms-key-id") (not (hasPrefix "aws:kms" (index .Values "s3-sse"))) -}}
{{- $problems = append $problems "s3-sse-kms-key-id: needs s3-sse aws:kms or aws:kms:dsse. Set s3-sse, or remove it." -}}
{{- end -}}
{{- else -}}
{{- range $name := list "s3-endpoint" "s3-region" "s3-path-style" "s3-sse" "s3-sse-kms-key-id" -}}
{{- with index $values $name }}{{ $problems = append $problems (printf "%s: %v is for S3, and path is a folder. Give a path that begins with s3://, or remove it." $name .) }}{{ end -}}
{{- end -}}
{{- $mount := trimSuffix "/" .Values.persistence.mountPath -}}
{{- if not .Values.persistence.existingClaim -}}
{{- $problems = append $problems (printf "path: %q is a folder, and no volume is mounted. Give persistence.existingClaim, or a path that begins with s3://." .Values.path) -}}
{{- else if not (hasPrefix (printf "%s/" $mount) (printf "%s/" .Values.path)) -}}
{{- $problems = append $problems (printf "path: %q is not in persistence.mountPath, %s, where the volume is. Give a folder in there." .Values.path $mount) -}}
{{- end -}}
{{- end -}}

{{- if and .Values.podMonitor.enabled .Values.networkPolicy.enabled (empty .Values.networkPolicy.ingressFrom) (not .Values.schedule) -}}
{{- $problems = append $problems "networkPolicy.ingressFrom: is empty, so that Prometheus gets no metrics, and podMonitor is enabled. Name where Prometheus runs." -}}
{{- end -}}
{{- if $problems }}{{ fail (printf "\n\n- %s\n" (join "\n- " $problems)) }}{{ end -}}
{{- end -}}
