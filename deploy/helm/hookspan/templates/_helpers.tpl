{{- define "hookspan.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "hookspan.fullname" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "hookspan.name" .) .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name (include "hookspan.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "hookspan.selector" -}}
app.kubernetes.io/name: {{ include "hookspan.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "hookspan.labels" -}}
{{ include "hookspan.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "hookspan.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}

{{- define "hookspan.secretName" -}}
{{- if .Values.existingSecret }}{{ .Values.existingSecret }}
{{- else if .Values.secrets }}{{ include "hookspan.fullname" . }}
{{- else }}{{ fail "existingSecret is empty: name the secret that has GET3W_WEBHOOK_SECRET, HOOKSPAN_TOKEN and what else config names as env:NAME. Make it with: kubectl create secret generic hookspan --from-literal=GET3W_WEBHOOK_SECRET=... --from-literal=HOOKSPAN_TOKEN=..." }}
{{- end }}
{{- end }}

{{/* The configuration: the values of the chart under those of config. */}}
{{- define "hookspan.config" -}}
{{- $defaults := dict "data_dir" "/data/hookspan-data" "ingress" (dict "listen" ":8080" "shutdown_delay" "10s") "admin" (dict "listen" ":8081") }}
{{- mergeOverwrite $defaults (deepCopy .Values.config) | toYaml }}
{{- end }}

{{/* "true" when the roles are pods of their own. */}}
{{- define "hookspan.apart" -}}
{{- if dig "nats" "url" "" .Values.config }}true{{ end }}
{{- end }}

{{- define "hookspan.port" -}}
{{- dig "admin" "listen" ":8081" .Values.config | splitList ":" | last }}
{{- end }}

{{/* The template of a pod: dict "root" $ "role" ROLE "args" LIST "resources" MAP "claim" BOOL. */}}
{{- define "hookspan.pod" -}}
{{- $ := .root }}
metadata:
  labels:
    {{- include "hookspan.labels" $ | nindent 4 }}
    app.kubernetes.io/component: {{ .role }}
    {{- with $.Values.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  annotations:
    checksum/config: {{ include "hookspan.config" $ | sha256sum }}
    {{- if $.Values.secrets }}
    checksum/secrets: {{ toYaml $.Values.secrets | sha256sum }}
    {{- end }}
    {{- with $.Values.podAnnotations }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with $.Values.serviceAccountName }}
  serviceAccountName: {{ . }}
  {{- end }}
  {{- with $.Values.imagePullSecrets }}
  imagePullSecrets: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $.Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  terminationGracePeriodSeconds: {{ $.Values.terminationGracePeriodSeconds }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
  {{- if $.Values.topologySpread.enabled }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: {{ $.Values.topologySpread.topologyKey }}
      whenUnsatisfiable: {{ $.Values.topologySpread.whenUnsatisfiable }}
      labelSelector:
        matchLabels:
          {{- include "hookspan.selector" $ | nindent 10 }}
          app.kubernetes.io/component: {{ .role }}
  {{- end }}
  containers:
    - name: hookspan
      image: {{ include "hookspan.image" $ }}
      imagePullPolicy: {{ $.Values.image.pullPolicy }}
      args: {{ concat (list "serve") .args | toJson }}
      env:
        - {name: HOOKSPAN_CONFIG, value: /etc/hookspan/hookspan.yaml}
        {{- with $.Values.extraEnv }}{{ toYaml . | nindent 8 }}{{ end }}
      envFrom:
        - secretRef: {name: {{ include "hookspan.secretName" $ }}}
        {{- with $.Values.extraEnvFrom }}{{ toYaml . | nindent 8 }}{{ end }}
      ports:
        {{- if has .role (list "bridge" "ingress") }}
        - {name: webhooks, containerPort: 8080}
        {{- end }}
        - {name: admin, containerPort: {{ include "hookspan.port" $ }}}
      livenessProbe:
        httpGet: {path: /livez, port: admin, scheme: {{ include "hookspan.scheme" $ }}}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /readyz, port: admin, scheme: {{ include "hookspan.scheme" $ }}}
        periodSeconds: 2
        timeoutSeconds: 5
        failureThreshold: 2
      resources: {{ toYaml .resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      volumeMounts:
        - {name: config, mountPath: /etc/hookspan, readOnly: true}
        - {name: data, mountPath: /data}
        {{- with $.Values.extraVolumeMounts }}{{ toYaml . | nindent 8 }}{{ end }}
  volumes:
    - name: config
      configMap: {name: {{ include "hookspan.fullname" $ }}}
    {{- if not .claim }}
    - name: data
      emptyDir: {}
    {{- end }}
    {{- with $.Values.extraVolumes }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- with $.Values.nodeSelector }}
  nodeSelector: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $.Values.tolerations }}
  tolerations: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $.Values.affinity }}
  affinity: {{ toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "hookspan.scheme" -}}
{{- if dig "admin" "tls" "cert" "" .Values.config }}HTTPS{{ else }}HTTP{{ end }}
{{- end }}

{{/* A Deployment or StatefulSet: dict "root" $ "role" ROLE "name" NAME "replicas" N "args" LIST "resources" MAP "claim" BOOL. */}}
{{- define "hookspan.workload" -}}
{{- $ := .root }}
apiVersion: apps/v1
kind: {{ ternary "StatefulSet" "Deployment" .claim }}
metadata:
  name: {{ include "hookspan.fullname" $ }}{{ with .name }}-{{ . }}{{ end }}
  labels:
    {{- include "hookspan.labels" $ | nindent 4 }}
    app.kubernetes.io/component: {{ .role }}
spec:
  {{- if not .scaled }}
  replicas: {{ .replicas }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "hookspan.selector" $ | nindent 6 }}
      app.kubernetes.io/component: {{ .role }}
  {{- if .claim }}
  serviceName: {{ include "hookspan.fullname" $ }}-pods
  podManagementPolicy: Parallel
  {{- else }}
  strategy:
    rollingUpdate: {maxUnavailable: 0, maxSurge: 1}
  {{- end }}
  template: {{ include "hookspan.pod" . | nindent 4 }}
  {{- if .claim }}
  volumeClaimTemplates:
    - metadata: {name: data}
      spec:
        accessModes: {{ toJson $.Values.persistence.accessModes }}
        {{- with $.Values.persistence.storageClass }}
        storageClassName: {{ . }}
        {{- end }}
        resources: {requests: {storage: {{ $.Values.persistence.size }}}}
  {{- end }}
{{- end }}
