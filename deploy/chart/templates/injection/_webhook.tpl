{{/* The own namespace is left out so that Weir can start when it is down, Kubernetes' own so that the cluster can. */}}
{{- define "weir.injectableNamespaces" -}}
- key: kubernetes.io/metadata.name
  operator: NotIn
  values: [kube-system, kube-public, kube-node-lease, {{ .Release.Namespace }}]
{{- end }}

{{- define "weir.injectorWebhook" -}}
clientConfig:
  # Without caBundle: that one is the control plane's to write.
  service:
    name: weir
    namespace: {{ .Release.Namespace }}
    path: /inject
    port: 443
rules:
- operations: [CREATE]
  apiGroups: [""]
  apiVersions: [v1]
  resources: [pods]
failurePolicy: Fail
sideEffects: None
reinvocationPolicy: IfNeeded
timeoutSeconds: 10
admissionReviewVersions: [v1]
{{- end }}
