{{/* The values, each that is missing or null with its default. Read as: $values := include "oneseek.values" . | fromYaml */}}
{{- define "oneseek.values" -}}
{{ include "oneseek.filled" (dict "given" .Values "defaults" (.Files.Get "defaults.yaml" | fromYaml)) }}
{{- end }}
{{/* Not sprig's merge: it takes false and "" for missing. */}}
{{- define "oneseek.filled" -}}
{{- $given := .given | default dict }}
{{- $out := dict }}
{{- range $key, $value := $given }}
{{- if not (kindIs "invalid" $value) }}{{ $_ := set $out $key $value }}{{ end }}
{{- end }}
{{- range $key, $default := .defaults }}
{{- if not (hasKey $out $key) }}{{ $_ := set $out $key $default }}
{{- else if kindIs "map" $default }}{{ $_ := set $out $key (include "oneseek.filled" (dict "given" (get $out $key) "defaults" $default) | fromYaml) }}
{{- end }}
{{- end }}
{{- toYaml $out }}
{{- end }}
{{- define "oneseek.labels" -}}
app.kubernetes.io/name: oneseek
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
{{- define "oneseek.selector" -}}
app.kubernetes.io/name: oneseek
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}
{{- define "oneseek.name" -}}
{{ printf "%s-operator" .Release.Name | trunc 53 | trimSuffix "-" }}
{{- end }}
{{/* Cluster-scoped objects of this release. */}}
{{- define "oneseek.clusterName" -}}
{{ .Release.Namespace }}-{{ include "oneseek.name" . }}
{{- end }}
{{/* The role, and the binding, of those sidecars that may review tokens. */}}
{{- define "oneseek.tokenReviewers" -}}
{{ include "oneseek.clusterName" . }}-tokens
{{- end }}
{{/* "on" where the admission policies are installed. Who installs named namespaces only makes cluster-scoped objects too: the
definitions. Who may not says never. */}}
{{- define "oneseek.admissionPolicy" -}}
{{- $values := include "oneseek.values" . | fromYaml }}
{{- if ne $values.admissionPolicy "never" }}on{{ end }}
{{- end }}
{{/* The operator as the API server names it. */}}
{{- define "oneseek.operatorUser" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "oneseek.name" . }}
{{- end }}
{{/* What puts a policy in force, in the namespaces that are watched. Of: the context, the policy's last word. */}}
{{- define "oneseek.policyBinding" -}}
{{- $context := index . 0 }}
{{- $name := printf "%s-%s" (include "oneseek.clusterName" $context) (index . 1) }}
{{- $values := include "oneseek.values" $context | fromYaml -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ $name }}
  labels: {{- include "oneseek.labels" $context | nindent 4 }}
spec:
  policyName: {{ $name }}
  validationActions: [Deny]
  {{- with $values.namespaces }}
  matchResources:
    namespaceSelector:
      matchExpressions:
        - {key: kubernetes.io/metadata.name, operator: In, values: {{ toJson . }}}
  {{- end }}
{{- end }}
{{/* What the operator is told of NetworkPolicies; empty where there are none. */}}
{{- define "oneseek.networkPolicies" -}}
{{- $told := (include "oneseek.values" . | fromYaml).networkPolicies }}
{{- if $told.enabled }}{{ set (omit $told "enabled") "operator" (include "oneseek.selector" . | fromYaml) | toJson }}{{ end }}
{{- end }}
{{/* What the operator may do with namespaced objects: each verb is used by a handler, no other is given. */}}
{{- define "oneseek.rules" -}}
- apiGroups: [oneseek.io]
  resources: [oneseekmodels, trainingruns]
  verbs: [get, list, watch, patch]   # patch: the finalizer; the spec is never written
- apiGroups: [oneseek.io]
  resources: [trainingruns]
  verbs: [create]   # of windows that clients filled over HTTP
- apiGroups: [oneseek.io]
  resources: [oneseekmodels/status, trainingruns/status]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [replicasets]
  verbs: [list]   # a pod is a model's own where its controllers end at it
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, patch]   # the records service
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, delete]   # delete: one that cannot be told that another version answers now
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]   # progress is read from the train pod's log
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, create, delete]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, create, patch, delete]   # the public keys; which version a HotSwap pod answers with
- apiGroups: [""]
  resources: [secrets]
  verbs: [create, update]   # a model's keys, tokens and certificates; update: these renewed. Never read back
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get, create, patch]   # one a model, for its sidecars
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, create, patch, delete]   # get: whose one is; delete: where they are switched off, or a model no longer needs one
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: [get, create, patch]   # of these accounts; Kubernetes lets nobody give what they do not have
- apiGroups: [authorization.k8s.io]
  resources: [localsubjectaccessreviews]
  verbs: [create]   # had only to be given to sidecars
- apiGroups: [""]
  resources: [events]
  verbs: [create, list]   # list: why a controller makes no pod
{{- end }}
