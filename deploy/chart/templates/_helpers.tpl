{{/* Weir's own image. */}}
{{- define "weir.image" -}}
{{- with .Values.global.hub }}{{ . }}/{{ end }}weir:{{ .Values.global.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "weir.revision" -}}
{{ .Values.revision | default "default" }}
{{- end }}

{{- define "weir.drainSeconds" -}}
{{ trimSuffix "s" .Values.global.proxy.terminationDrainDuration }}
{{- end }}

{{/* Labels of every object. Takes "root" and "component". */}}
{{- define "weir.labels" -}}
{{ include "weir.selector" . }}
{{ include "weir.commonLabels" . }}
{{- end }}

{{/* Takes "root" and "component". */}}
{{- define "weir.commonLabels" -}}
app.kubernetes.io/name: {{ include "weir.name" . }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/part-of: weir
app.kubernetes.io/managed-by: {{ .root.Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | quote }}
istio.io/rev: {{ include "weir.revision" .root | quote }}
{{- end }}

{{/* Labels by which Services and Deployments find their pods; they never change. Takes "component". */}}
{{- define "weir.selector" -}}
app: {{ include "weir.name" . }}
{{- if eq .component "ingressgateway" }}
istio: ingressgateway
{{- end }}
{{- end }}

{{/* The name of a component's objects. Takes "component". */}}
{{- define "weir.name" -}}
{{- if eq .component "ingressgateway" }}weir-ingressgateway{{ else }}weir{{ end }}
{{- end }}

{{/* What the control plane, the webhook and `weir inject` read. */}}
{{- define "weir.config" -}}
{{- $proxy := .Values.global.proxy -}}
{{- $injector := .Values.sidecarInjector -}}
image: {{ include "weir.image" . | quote }}
imagePullPolicy: {{ .Values.global.imagePullPolicy | quote }}
imagePullSecrets: {{ toJson .Values.global.imagePullSecrets }}
namespace: {{ .Release.Namespace | quote }}
revision: {{ .Values.revision | quote }}
enableNamespacesByDefault: {{ $injector.enableNamespacesByDefault }}
neverInjectSelector: {{ toJson $injector.neverInjectSelector }}
alwaysInjectSelector: {{ toJson $injector.alwaysInjectSelector }}
rewriteAppHTTPProbe: {{ $injector.rewriteAppHTTPProbe }}
nativeSidecars: {{ $injector.nativeSidecars }}
proxy:
  {{- toYaml $proxy | nindent 2 }}
{{- end }}

{{/* Security of a pod under the restricted Pod Security standard. Takes the uid. */}}
{{- define "weir.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "weir.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "weir.pull" -}}
{{- with .Values.global.imagePullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- end }}

{{- define "weir.pullSecrets" -}}
{{- with .Values.global.imagePullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* The annotations of pods: the user's, and where metrics are. Takes "values", the component's own, "port" and "path". */}}
{{- define "weir.podAnnotations" -}}
{{- toYaml (merge (dict) .values.podAnnotations (dict "prometheus.io/scrape" "true" "prometheus.io/port" .port "prometheus.io/path" .path)) }}
{{- end }}

{{/* Where pods run. Takes "component" and "values", the component's own. */}}
{{- define "weir.scheduling" -}}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .values.affinity }}
affinity:
  {{- toYaml .values.affinity | nindent 2 }}
{{- else }}
topologySpreadConstraints:
{{- $selector := include "weir.selector" . }}
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- topologyKey: {{ . }}
  maxSkew: 1
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- $selector | nindent 6 }}
{{- end }}
{{- end }}
{{- end }}

{{/* Takes "root", "component" and "values", the component's own. */}}
{{- define "weir.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "weir.name" . }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "weir.labels" . | nindent 4 }}
spec:
  # Not minAvailable: with one replica that would keep a node from being drained.
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- include "weir.selector" . | nindent 6 }}
{{- end }}

{{/* Takes "root", "component" and "values", the component's own. */}}
{{- define "weir.autoscaler" -}}
{{- with .values.autoscaling }}
{{- if .enabled -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "weir.name" $ }}
  namespace: {{ $.root.Release.Namespace }}
  labels:
    {{- include "weir.labels" $ | nindent 4 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "weir.name" $ }}
  minReplicas: {{ .minReplicas }}
  maxReplicas: {{ .maxReplicas }}
  metrics:
  - type: Resource
    resource:
      name: cpu
      target:
        type: Utilization
        averageUtilization: {{ .targetCPUUtilizationPercentage }}
{{- end }}
{{- end }}
{{- end }}
