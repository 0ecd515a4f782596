{{- define "csum.labels" -}}
app.kubernetes.io/name: confidential-summarizer-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "csum.selector" -}}
app.kubernetes.io/name: confidential-summarizer-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "csum.image" -}}
{{- $repository := required "image.repository is needed while replicas > 0: push the operator image and name it" .Values.image.repository -}}
{{- if .Values.image.digest }}{{ $repository }}@{{ .Values.image.digest }}{{ else }}{{ $repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* What the operator may do where it watches; each line is used by one module, named beside it. */}}
{{- define "csum.rules" -}}
# handlers.py, reconcile/run.py; reconcile/batch.py deletes what batch.ttlSecondsAfterFinished says
- apiGroups: [confidential.summarizer.dev]
  resources: [confidentialsummarizers]
  verbs: [get, list, watch, patch, delete]
- apiGroups: [confidential.summarizer.dev]
  resources: [confidentialsummarizers/status]
  verbs: [patch]
# targets/ownership.py: owner references with blockOwnerDeletion
- apiGroups: [confidential.summarizer.dev]
  resources: [confidentialsummarizers/finalizers]
  verbs: [update]
# targets/virtual_node/target.py: update, since server-side apply leaves in place what others have added
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [get, create, update, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, create, update, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
# targets/virtual_node/target.py reads the events of pods that do not start; kube/events.py posts ours, and counts them
- apiGroups: [""]
  resources: [events]
  verbs: [get, list, create, patch]
# reconcile/policy.py: the policy's text for people
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, create, patch, delete]
# reconcile/images.py, keys.py, policy.py: pull secrets, keys to import, readers' tokens
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
{{- end }}
