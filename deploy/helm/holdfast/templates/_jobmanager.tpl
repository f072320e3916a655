{{- /* The spec of the Job. Its hash is part of the Job's name: a Job cannot be changed, so a change makes another one. */ -}}
{{- define "holdfast.jobSpec" -}}
{{- include "holdfast.spareFits" . -}}
completions: 1
parallelism: 1
# How often a job may fail over in its whole life is not for a counter to decide. Restarts of both containers count.
backoffLimit: 2147483647
{{- if eq .Values.jobManager.restart "NewPod" }}
# 163 is what the system sees of Flink's 1443: the job ended as FAILED. It is not run again within its generation.
podFailurePolicy:
  rules:
    - action: FailJob
      onExitCodes: {containerName: jobmanager, operator: In, values: [163]}
{{- end }}
# podReplacementPolicy stays at its default as well. In place that is TerminatingOrFailed: the next pod need not wait
# until a lost node has confirmed that the old one is gone, because the epoch fences it.
template:
  metadata:
    labels:
      {{- include "holdfast.selectorLabels" . | nindent 6 }}
      app.kubernetes.io/component: jobmanager
      {{- with .Values.jobManager.podLabels }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    annotations:
      # What the pod reads only when it starts.
      holdfast/configuration: {{ include "holdfast.configYaml" . | sha256sum | trunc 16 | quote }}
      {{- with .Values.store.credentials }}
      holdfast/credentials: {{ toYaml . | sha256sum | trunc 16 | quote }}
      {{- end }}
      holdfast/rollout: {{ .Values.rollout | quote }}
      {{- with .Values.jobManager.podAnnotations }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
  spec:
    serviceAccountName: {{ include "holdfast.serviceAccount" . }}
    # The sidecar alone gets the token; see the volume api-token.
    automountServiceAccountToken: false
    # A Service called holdfast would otherwise put HOLDFAST_… variables into every pod.
    enableServiceLinks: false
    restartPolicy: {{ eq .Values.jobManager.restart "NewPod" | ternary "Never" "OnFailure" }}
    terminationGracePeriodSeconds: {{ int64 .Values.jobManager.terminationGracePeriodSeconds }}
    {{- with .Values.imagePullSecrets }}
    imagePullSecrets:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    securityContext:
      {{- include "holdfast.podSecurity" . | nindent 6 }}
    {{- with .Values.jobManager.nodeSelector }}
    nodeSelector:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with .Values.jobManager.affinity }}
    affinity:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    tolerations:
      {{- include "holdfast.tolerations" (dict "nodeLossSeconds" .Values.nodeLossSeconds "own" .Values.jobManager.tolerations) | nindent 6 }}
    initContainers:
      - {{- include "holdfast.install" (dict "root" . "args" (ternary ", --with-exec" "" (eq "yes" (include "holdfast.exec" .)))) | nindent 8 }}
      - {{- include "holdfast.sidecar" . | nindent 8 }}
    containers:
      - name: jobmanager
        image: {{ .Values.flink.image | quote }}
        imagePullPolicy: {{ .Values.flink.pullPolicy }}
        {{- if include "holdfast.exec" . }}
        # Starts the JobManager again at once when it dies, in this container: docs/exec.md.
        command:
          - /opt/flink/lib/holdfast/holdfast
          - exec
          {{- if include "holdfast.spare" . }}
          - --warm-spare
          # Its own, because the first process has those of the configuration, and the NetworkPolicy lets no others in.
          - --spare-property=jobmanager.rpc.port=6125
          - --spare-property=blob.server.port=6126
          - --spare-property=rest.bind-port=8082
          {{- end }}
          {{- range .Values.jobManager.exec.args }}
          - {{ . | quote }}
          {{- end }}
          - --
          {{- range .Values.jobManager.exec.entryPoint }}
          - {{ . | quote }}
          {{- end }}
        {{- end }}
        args:
          - standalone-job
          # What the leader publishes, and so what TaskManagers connect to. The Service's name would be the same for the
          # old and the new JobManager, and lead to either.
          - -Djobmanager.rpc.address=$(POD_IP)
          {{- with .Values.job.className }}
          - --job-classname
          - {{ . | quote }}
          {{- end }}
          {{- range .Values.job.args }}
          - {{ . | quote }}
          {{- end }}
        env:
          - name: POD_IP
            valueFrom: {fieldRef: {fieldPath: status.podIP}}
          {{- if include "holdfast.exec" . }}
          # How the JobManager is started without scripts: a new container of this pod need not learn it again.
          - {name: HOLDFAST_STATE_DIR, value: /var/lib/holdfast}
          {{- end }}
          {{- with .Values.flink.env }}
          {{- toYaml . | nindent 10 }}
          {{- end }}
        {{- with .Values.flink.envFrom }}
        envFrom:
          {{- toYaml . | nindent 10 }}
        {{- end }}
        ports:
          - {name: rpc, containerPort: 6123}
          - {name: blob, containerPort: 6124}
          - {name: rest, containerPort: 8081}
          {{- if include "holdfast.spare" . }}
          - {name: rpc-spare, containerPort: 6125}
          - {name: blob-spare, containerPort: 6126}
          - {name: rest-spare, containerPort: 8082}
          {{- end }}
        # No readiness probe: TaskManagers need the sidecar's leader stream before Flink's REST API answers.
        {{- with .Values.jobManager.livenessProbe }}
        livenessProbe:
          {{- toYaml . | nindent 10 }}
        {{- end }}
        resources:
          {{- toYaml .Values.jobManager.resources | nindent 10 }}
        securityContext:
          {{- include "holdfast.flinkSecurity" . | nindent 10 }}
        volumeMounts:
          {{- include "holdfast.flinkMounts" . | nindent 10 }}
          {{- if include "holdfast.exec" . }}
          - {name: exec-state, mountPath: /var/lib/holdfast}
          {{- end }}
    volumes:
      {{- include "holdfast.flinkVolumes" . | nindent 6 }}
      {{- if include "holdfast.exec" . }}
      - name: exec-state
        emptyDir: {sizeLimit: 16Mi}
      {{- end }}
      # What a service account's pod is usually given, by name: for one container instead of all.
      - name: api-token
        projected:
          sources:
            - serviceAccountToken: {path: token, expirationSeconds: 3600}
            - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
            - downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}
{{- end -}}
