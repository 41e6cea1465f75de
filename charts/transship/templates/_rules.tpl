{{/* The namespaces that objects are read in, as JSON; an empty list: all, as globs need. */}}
{{- define "transship.namespaces" -}}
{{- $names := include "transship.list" .Values.namespace | fromJsonArray -}}
{{- if empty $names }}{{ $names = list .Release.Namespace }}{{ end -}}
{{- $isGlob := false -}}
{{- range $names }}{{ if regexMatch "[*?]" . }}{{ $isGlob = true }}{{ end }}{{ end -}}
{{- if $isGlob }}[]{{ else }}{{ $names | uniq | sortAlpha | toJson }}{{ end -}}
{{- end -}}

{{/* What is included, as JSON. */}}
{{- define "transship.included" -}}
{{- $included := include "transship.list" .Values.include | fromJsonArray -}}
{{- if empty $included }}["releases"]{{ else }}{{ toJson $included }}{{ end -}}
{{- end -}}

{{/* Reading is listing: `get` on everything would also open pods/exec and nodes/proxy. */}}
{{- define "transship.readVerbs" -}}
{{- if and (not .Values.schedule) (index .Values "on-change") -}}
[list, watch]
{{- else -}}
[list]
{{- end -}}
{{- end -}}

{{/* The rules for what is in namespaces. */}}
{{- define "transship.namespacedRules" -}}
{{- $included := include "transship.included" . | fromJsonArray -}}
{{- $verbs := include "transship.readVerbs" . -}}
{{- if has "resources" $included }}
- apiGroups: ['*']
  resources: ['*']
  verbs: {{ $verbs }}
{{- else if has "releases" $included }}
# Where Helm keeps its records.
- apiGroups: ['']
  {{- if hasPrefix "secret" .Values.helmDriver }}
  resources: [secrets]
  {{- else if hasPrefix "configmap" .Values.helmDriver }}
  resources: [configmaps]
  {{- else }}
  resources: [secrets, configmaps]
  {{- end }}
  verbs: {{ $verbs }}
{{- end }}
{{- if has "vms" $included }}
{{- include "transship.vmRules" . }}
{{- end }}
{{- end -}}

{{/* The rules for virtual machines, as examples/virtual-machines/stage-rbac.yaml has them. */}}
{{- define "transship.vmRules" -}}
{{- $running := index .Values "running-vms" }}
# The machines, and what they refer to.
- apiGroups: [kubevirt.io]
  resources: [virtualmachines, virtualmachineinstances]
  verbs: [get, list]
- apiGroups: [instancetype.kubevirt.io]
  resources: [virtualmachineinstancetypes, virtualmachinepreferences]
  verbs: [get]
- apiGroups: [apps]
  resources: [controllerrevisions]
  verbs: [get]
- apiGroups: [cdi.kubevirt.io]
  resources: [datavolumes]
  verbs: [get]
- apiGroups: [k8s.cni.cncf.io]
  resources: [network-attachment-definitions]
  verbs: [get]
- apiGroups: ['']
  resources: [persistentvolumeclaims, pods]
  verbs: [get, list]
- apiGroups: ['']
  resources: [configmaps, serviceaccounts]
  verbs: [get]
# What is made for an export, and deleted afterwards: the export and its token.
- apiGroups: [export.kubevirt.io]
  resources: [virtualmachineexports]
  verbs: [get, list, create, patch, delete]
- apiGroups: ['']
  resources: [secrets]
  verbs: [get, list, create, patch, delete]
{{- if eq $running "snapshot" }}
- apiGroups: [snapshot.kubevirt.io]
  resources: [virtualmachinesnapshots]
  verbs: [get, list, create, patch, delete]
{{- else if index .Values "vm-snapshots" }}
- apiGroups: [snapshot.kubevirt.io]
  resources: [virtualmachinesnapshots]
  verbs: [get, list]
{{- end }}
{{- if or (eq $running "snapshot") (index .Values "vm-snapshots") }}
- apiGroups: [snapshot.kubevirt.io]
  resources: [virtualmachinesnapshotcontents]
  verbs: [get]
{{- end }}
{{- if eq $running "stop" }}
- apiGroups: [kubevirt.io]
  resources: [virtualmachines]
  verbs: [patch]
- apiGroups: [subresources.kubevirt.io]
  resources: [virtualmachines/stop, virtualmachines/start]
  verbs: [update]
{{- end }}
{{- if eq (index .Values "vm-links") "port-forward" }}
- apiGroups: ['']
  resources: [pods/portforward]
  verbs: [create]
{{- end }}
{{- end -}}

{{/* The rules for what is in no namespace. */}}
{{- define "transship.clusterRules" -}}
{{- $included := include "transship.included" . | fromJsonArray -}}
{{- $namespaces := include "transship.namespaces" . | fromJsonArray -}}
{{- $verbs := include "transship.readVerbs" . -}}
{{- $clusterResources := default "needed" (index .Values "cluster-resources") -}}
{{- $resources := has "resources" $included }}
# Which cluster this is, told by its uid.
- apiGroups: ['']
  resources: [namespaces]
  resourceNames: [kube-system]
  verbs: [get]
{{- if and $resources $namespaces }}
- apiGroups: ['']
  resources: [namespaces]
  resourceNames: {{ $namespaces | toJson }}
  verbs: [get{{ if contains "watch" $verbs }}, watch{{ end }}]
{{- end }}
{{- $watches := contains "watch" $verbs }}
{{- $listsAll := and $resources (empty $namespaces) }}
{{- $crdVerbs := list }}
{{- if or (has "releases" $included) (and $resources (ne $clusterResources "none")) }}{{ $crdVerbs = append $crdVerbs "get" }}{{ end }}
{{- if and (not $listsAll) (or $watches (and $resources (eq $clusterResources "all"))) }}{{ $crdVerbs = append $crdVerbs "list" }}{{ end }}
{{- if and (not $listsAll) $watches }}{{ $crdVerbs = append $crdVerbs "watch" }}{{ end }}
{{- if $crdVerbs }}
# The CRDs of custom resources travel with them{{ if $watches }}, and tell when there are new kinds{{ end }}.
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  verbs: {{ toJson $crdVerbs }}
{{- end }}
{{- if and (not $listsAll) (or $watches (and $resources (ne $clusterResources "none"))) }}
- apiGroups: [apiregistration.k8s.io]
  resources: [apiservices]
  verbs: {{ $verbs }}
{{- end }}
{{- if and $resources $namespaces (ne $clusterResources "none") }}
# Kinds without a namespace. Those of operators are to be added: rbac.extraRules.
- apiGroups: ['']
  resources: [persistentvolumes]
  verbs: {{ $verbs }}
- apiGroups: [admissionregistration.k8s.io]
  resources:
    - mutatingadmissionpolicies
    - mutatingadmissionpolicybindings
    - mutatingwebhookconfigurations
    - validatingadmissionpolicies
    - validatingadmissionpolicybindings
    - validatingwebhookconfigurations
  verbs: {{ $verbs }}
- apiGroups: [certificates.k8s.io]
  resources: [clustertrustbundles]
  verbs: {{ $verbs }}
- apiGroups: [flowcontrol.apiserver.k8s.io]
  resources: [flowschemas, prioritylevelconfigurations]
  verbs: {{ $verbs }}
- apiGroups: [networking.k8s.io]
  resources: [ingressclasses, servicecidrs]
  verbs: {{ $verbs }}
- apiGroups: [node.k8s.io]
  resources: [runtimeclasses]
  verbs: {{ $verbs }}
- apiGroups: [rbac.authorization.k8s.io]
  resources: [clusterroles, clusterrolebindings]
  verbs: {{ $verbs }}
- apiGroups: [resource.k8s.io]
  resources: [deviceclasses]
  verbs: {{ $verbs }}
- apiGroups: [scheduling.k8s.io]
  resources: [priorityclasses]
  verbs: {{ $verbs }}
- apiGroups: [storage.k8s.io]
  resources: [csidrivers, storageclasses, volumeattributesclasses]
  verbs: {{ $verbs }}
{{- end }}
{{- with .Values.rbac.extraRules }}
{{ toYaml . }}
{{- end }}
{{- end -}}
