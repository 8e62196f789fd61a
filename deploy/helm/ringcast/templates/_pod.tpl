{{/* The pod, the same in both modes but for its volume data. */}}
{{- define "ringcast.pod" -}}
{{- $mounts := include "ringcast.secretMounts" . | fromJsonArray -}}
metadata:
  labels:
    {{- include "ringcast.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # A pod reads its configuration when it starts: another one is another pod.
    checksum/config: {{ include "ringcast.config" . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "ringcast.serviceAccount" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ include "ringcast.graceSeconds" . }}
  {{- with .Values.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  containers:
    - name: ringcast
      image: {{ include "ringcast.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [serve, --config=/etc/ringcast/config/config.yaml]
      env:
        - name: RINGCAST_INSTANCE
          valueFrom:
            fieldRef:
              fieldPath: metadata.name
        {{- with include "ringcast.memoryLimit" . }}
        - name: GOMEMLIMIT
          value: {{ . }}
        {{- end }}
        {{- with .Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - name: http
          containerPort: 8080
        - name: metrics
          containerPort: 9090
        {{- if and (eq .Values.mode "embedded") .Values.embedded.exposeNATS }}
        - name: nats
          containerPort: 4222
        {{- end }}
      {{- $scheme := ternary "HTTPS" "HTTP" (not (empty .Values.secrets.tls.existingSecret)) }}
      startupProbe:
        httpGet: {path: /healthz, port: http, scheme: {{ $scheme }}}
        {{- toYaml .Values.probes.startup | nindent 8 }}
      readinessProbe:
        httpGet: {path: /readyz, port: http, scheme: {{ $scheme }}}
        timeoutSeconds: 3
        {{- toYaml .Values.probes.readiness | nindent 8 }}
      livenessProbe:
        httpGet: {path: /healthz, port: http, scheme: {{ $scheme }}}
        timeoutSeconds: 5
        {{- toYaml .Values.probes.liveness | nindent 8 }}
      {{- with int .Values.drain.preStopSleepSeconds }}
      lifecycle:
        preStop:
          sleep:
            seconds: {{ . }}
      {{- end }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      volumeMounts:
        - name: data
          mountPath: /data
        - name: config
          mountPath: /etc/ringcast/config
          readOnly: true
        {{- range $mounts }}
        - name: {{ .name }}
          mountPath: {{ include "ringcast.secretsDir" $ }}/{{ .name }}
          readOnly: true
        {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "ringcast.fullname" . }}
    {{- range $mounts }}
    - name: {{ .name }}
      secret:
        secretName: {{ .secret }}
        # By way of fsGroup.
        defaultMode: 0440
        items:
          {{- range .keys }}
          - {key: {{ . | quote }}, path: {{ . | quote }}}
          {{- end }}
    {{- end }}
    {{- if eq .Values.mode "external" }}
    - name: data
      {{- if eq .Values.ring.volume "emptyDir" }}
      emptyDir:
        sizeLimit: {{ include "ringcast.ringSize" . }}
      {{- else }}
      ephemeral:
        volumeClaimTemplate:
          spec:
            {{- include "ringcast.claim" (dict "size" (include "ringcast.ringSize" .) "storageClassName" .Values.ring.storageClassName) | nindent 12 }}
      {{- end }}
    {{- end }}
  {{- if and .Values.topologySpread.enabled (eq .Values.mode "external") }}
  topologySpreadConstraints:
    {{- range .Values.topologySpread.keys }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: {{ $.Values.topologySpread.whenUnsatisfiable }}
      # Pods of the version before do not count while they are replaced.
      matchLabelKeys: [pod-template-hash]
      labelSelector:
        matchLabels:
          {{- include "ringcast.selectorLabels" $ | nindent 10 }}
    {{- end }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "ringcast.claim" -}}
accessModes: [ReadWriteOnce]
{{- with .storageClassName }}
storageClassName: {{ . }}
{{- end }}
resources:
  requests:
    storage: {{ .size }}
{{- end -}}
