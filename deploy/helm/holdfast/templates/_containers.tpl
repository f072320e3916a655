{{- /* Puts the adapter into a volume that both Flink containers mount as a directory inside lib/. Flink's scripts look for
jars in lib/ and everything below it, so that the image's own jars stay visible. */ -}}
{{- define "holdfast.installAdapter" -}}
{{- include "holdfast.install" (dict "root" . "args" "") }}
{{- end -}}

{{- /* Whether `holdfast exec` is the JobManager's entry point. Not where each death is to cost a new pod. */ -}}
{{- define "holdfast.exec" -}}
{{- if and .Values.jobManager.exec.enabled (ne .Values.jobManager.restart "NewPod") }}yes{{ end -}}
{{- end -}}

{{- define "holdfast.spare" -}}
{{- if and (include "holdfast.exec" .) .Values.jobManager.exec.warmSpare }}yes{{ end -}}
{{- end -}}

{{- /* A size in bytes, in Flink's words or Kubernetes'; nothing for what is not understood. */ -}}
{{- define "holdfast.bytes" -}}
{{- $units := dict "" 1 "b" 1 "k" 1024 "kb" 1024 "m" 1048576 "mb" 1048576 "g" 1073741824 "gb" 1073741824
  "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "K" 1000 "M" 1000000 "G" 1000000000 -}}
{{- $size := kindIs "string" . | ternary (toString .) (int64 . | toString) -}}
{{- $number := regexFind "^[0-9]+" $size -}}
{{- $unit := trimPrefix $number $size | trim -}}
{{- if and $number (hasKey $units $unit) }}{{ mul (int64 $number) (get $units $unit) }}{{ end -}}
{{- end -}}

{{- /* Refuses a memory limit that cannot hold a spare: the kernel would kill one of the two, sooner or later. */ -}}
{{- define "holdfast.spareFits" -}}
{{- if include "holdfast.spare" . -}}
{{- $size := get .Values.flink.configuration "jobmanager.memory.process.size" | default "" -}}
{{- $limit := (.Values.jobManager.resources.limits | default dict).memory | default "" -}}
{{- $one := include "holdfast.bytes" $size -}}
{{- $all := include "holdfast.bytes" $limit -}}
{{- if and $one $all (lt (int64 $all) (mul 2 (int64 $one))) -}}
{{- fail (printf "jobManager.exec.warmSpare needs room for two JobManagers: jobManager.resources.limits.memory is %v, and flink.configuration has jobmanager.memory.process.size %v for each. Set the limit (and the request) to %dMi, or the size to half of the limit" $limit $size (div (add (mul 2 (int64 $one)) 1048575) 1048576)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "holdfast.install" -}}
{{- $ := .root -}}
name: install-adapter
image: {{ include "holdfast.image" $ | quote }}
imagePullPolicy: {{ $.Values.image.pullPolicy }}
args: [install-adapter, --to, /adapter{{ .args }}]
resources:
  requests: {cpu: 10m, memory: 16Mi}
  limits: {memory: 64Mi}
securityContext:
  {{- include "holdfast.ownSecurity" $ | nindent 2 }}
volumeMounts:
  - {name: adapter, mountPath: /adapter}
{{- end -}}

{{- define "holdfast.sidecar" -}}
name: holdfast
image: {{ include "holdfast.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [run]
# What makes it a native sidecar: it is up before the JobManager starts and stopped after it ended.
restartPolicy: Always
env:
  - {name: HOLDFAST_DEPLOYMENT, value: {{ include "holdfast.deployment" . | quote }}}
  - {name: HOLDFAST_STORE, value: {{ required "store.url is required: where Holdfast keeps its log" .Values.store.url | quote }}}
  - {name: HOLDFAST_ELECTION, value: kubernetes}
  # One Job is one generation: a new pod of it means failover, a new Job an upgrade.
  - name: HOLDFAST_GENERATION
    valueFrom: {fieldRef: {fieldPath: "metadata.labels['batch.kubernetes.io/controller-uid']"}}
  # The UID, because a pod's name can come again.
  - name: HOLDFAST_IDENTITY
    valueFrom: {fieldRef: {fieldPath: metadata.uid}}
  - name: HOLDFAST_POD_NAME
    valueFrom: {fieldRef: {fieldPath: metadata.name}}
  - name: HOLDFAST_NAMESPACE
    valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
  # The other listener, which takes writes, stays on loopback.
  - {name: HOLDFAST_PUBLIC_LISTEN, value: "0.0.0.0:8481"}
  - {name: HOLDFAST_LOG_FORMAT, value: json}
  {{- range $setting, $value := .Values.holdfast.settings }}
  - {name: HOLDFAST_{{ $setting | replace "-" "_" | upper }}, value: {{ or (kindIs "string" $value) (kindIs "bool" $value) | ternary (toString $value) (int64 $value | toString) | quote }}}
  {{- end }}
  {{- range $name, $value := .Values.store.env }}
  - {name: {{ $name }}, value: {{ $value | quote }}}
  {{- end }}
{{- if .Values.store.existingSecret }}
envFrom:
  - secretRef: {name: {{ .Values.store.existingSecret }}}
{{- else if .Values.store.credentials }}
envFrom:
  - secretRef: {name: {{ include "holdfast.own" . }}}
{{- end }}
ports:
  - {name: holdfast, containerPort: 8481}
# The JobManager is not started before it would be granted: elected, the store open, and known what to restore.
startupProbe:
  httpGet: {path: /ready, port: holdfast}
  periodSeconds: 1
  timeoutSeconds: 2
  failureThreshold: {{ int64 .Values.holdfast.readyWithinSeconds }}
livenessProbe:
  httpGet: {path: /live, port: holdfast}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
# Takes a pod that was fenced out of the Service, so that TaskManagers ask the one that leads.
readinessProbe:
  httpGet: {path: /ready, port: holdfast}
  periodSeconds: 5
  timeoutSeconds: 2
  failureThreshold: 2
resources:
  {{- toYaml .Values.holdfast.resources | nindent 2 }}
securityContext:
  {{- include "holdfast.ownSecurity" . | nindent 2 }}
volumeMounts:
  - {name: api-token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
  {{- with .Values.holdfast.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "holdfast.ownSecurity" -}}
runAsUser: 65532
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- /* The root file system stays writable: the image's entry point links plugins and Flink writes logs and temporary
files below /opt/flink and /tmp. 9999 is the image's user flink. */ -}}
{{- define "holdfast.flinkSecurity" -}}
runAsUser: 9999
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "holdfast.podSecurity" -}}
runAsNonRoot: true
fsGroup: 9999
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- /* One file and not the directory, so that the image's logging configuration stays. The image's entry point tries to
write its defaults into it and says that the file is read-only; that is all that happens. */ -}}
{{- define "holdfast.flinkMounts" -}}
- {name: adapter, mountPath: /opt/flink/lib/holdfast, readOnly: true}
- {name: flink-configuration, mountPath: /opt/flink/conf/config.yaml, subPath: config.yaml, readOnly: true}
{{- with .Values.flink.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "holdfast.flinkVolumes" -}}
- name: adapter
  emptyDir: {sizeLimit: 64Mi}
- name: flink-configuration
  configMap: {name: {{ include "holdfast.flinkConfiguration" . }}}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "holdfast.tolerations" -}}
{{- $ofNodeLoss := dict "operator" "Exists" "effect" "NoExecute" "tolerationSeconds" .nodeLossSeconds -}}
{{- $notReady := merge (dict "key" "node.kubernetes.io/not-ready") $ofNodeLoss -}}
{{- $unreachable := merge (dict "key" "node.kubernetes.io/unreachable") $ofNodeLoss -}}
{{- toYaml (concat (list $notReady $unreachable) .own) -}}
{{- end -}}
