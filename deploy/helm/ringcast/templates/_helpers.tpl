{{- define "ringcast.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Names of objects: room is left for -0, and for the suffixes that this chart adds. */}}
{{- define "ringcast.fullname" -}}
{{- $name := include "ringcast.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "ringcast.selectorLabels" -}}
app.kubernetes.io/name: {{ include "ringcast.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "ringcast.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "ringcast.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "ringcast.serviceAccount" -}}
{{- default (include "ringcast.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "ringcast.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The settings that say how a process ends, as YAML; graceSeconds adds up the same ones. */}}
{{- define "ringcast.drainSettings" -}}
drain-time: {{ int .Values.drain.timeSeconds }}s
shutdown-timeout: {{ int .Values.drain.timeoutSeconds }}s
{{- end -}}

{{/* How long a pod may take to end. 10 s are for the ring, NATS and what is in the process besides. */}}
{{- define "ringcast.graceSeconds" -}}
{{- with .Values.drain -}}
{{- add (int .preStopSleepSeconds) (int .timeSeconds) (int .timeoutSeconds) 10 -}}
{{- end -}}
{{- end -}}

{{/* A quantity of Kubernetes (512Mi, 1G) or a size of Ringcast (256MiB) in bytes. */}}
{{- define "ringcast.bytes" -}}
{{- if kindIs "string" . -}}
{{- $number := regexFind "^[0-9.]+" . -}}
{{- $unit := trimPrefix $number . | trim | lower | trimSuffix "b" -}}
{{- $units := dict "" 1 "k" 1000 "m" 1000000 "g" 1000000000 "t" 1000000000000 "ki" 1024 "mi" 1048576 "gi" 1073741824 "ti" 1099511627776 -}}
{{- if or (not $number) (not (hasKey $units $unit)) -}}
{{- fail (printf "%q is not a number of bytes such as 512Mi" .) -}}
{{- end -}}
{{- mulf (float64 $number) (get $units $unit) | int64 -}}
{{- else -}}
{{- int64 . -}}
{{- end -}}
{{- end -}}

{{/* What a ring can come to on disk: its file, twice ring-max-bytes at most, and three of them that
were damaged and moved aside. A pod that exceeds an emptyDir's limit is evicted. */}}
{{- define "ringcast.ringSize" -}}
{{- if .Values.ring.size -}}
{{- .Values.ring.size -}}
{{- else -}}
{{- $max := include "ringcast.bytes" (get .Values.config "ring-max-bytes" | default "256MiB") | int64 -}}
{{- printf "%dMi" (add 64 (div (mul 8 $max) 1048576)) -}}
{{- end -}}
{{- end -}}

{{- define "ringcast.memoryLimit" -}}
{{- with dig "limits" "memory" "" .Values.resources -}}
{{- printf "%dMiB" (div (mul 8 (include "ringcast.bytes" . | int64)) 10485760) -}}
{{- end -}}
{{- end -}}

{{/* The NATS servers: those that are named, or the chart of NATS beside this one, whose service is
called as its chart calls it. */}}
{{- define "ringcast.natsURL" -}}
{{- $named := get .Values.config "nats-url" -}}
{{- if kindIs "slice" $named -}}
{{- join "," $named -}}
{{- else if $named -}}
{{- $named -}}
{{- else -}}
{{- $chart := get .Values.nats "nameOverride" | default "nats" -}}
{{- $name := printf "%s-%s" .Release.Name $chart -}}
{{- if get .Values.nats "fullnameOverride" -}}
{{- $name = get .Values.nats "fullnameOverride" -}}
{{- else if contains $chart .Release.Name -}}
{{- $name = .Release.Name -}}
{{- end -}}
{{- printf "nats://%s.%s.svc:4222" ($name | trunc 63 | trimSuffix "-") .Release.Namespace -}}
{{- end -}}
{{- end -}}

{{/* The ports of the NATS servers, as a JSON list. */}}
{{- define "ringcast.natsPorts" -}}
{{- $ports := list -}}
{{- range splitList "," (include "ringcast.natsURL" .) -}}
{{- $url := urlParse (trim .) -}}
{{- $port := regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) -}}
{{- $default := get (dict "ws" 80 "wss" 443) $url.scheme | default 4222 -}}
{{- $ports = append $ports (int (default $default $port)) -}}
{{- end -}}
{{- $ports | uniq | toJson -}}
{{- end -}}

{{- define "ringcast.secretsDir" -}}/etc/ringcast/secrets{{- end -}}

{{/* The settings whose values are files of secrets, as YAML: setting, path in the container. */}}
{{- define "ringcast.secretSettings" -}}
{{- $dir := include "ringcast.secretsDir" . -}}
{{- with .Values.secrets.natsCreds }}{{ if .existingSecret }}
nats-creds: {{ $dir }}/nats-creds/{{ .key }}
{{- end }}{{ end }}
{{- with .Values.secrets.natsTLS }}{{ if .existingSecret }}
{{- if .caKey }}
nats-tls-ca: {{ $dir }}/nats-tls/{{ .caKey }}
{{- end }}
{{- if .certKey }}
nats-tls-cert: {{ $dir }}/nats-tls/{{ .certKey }}
{{- end }}
{{- if .keyKey }}
nats-tls-key: {{ $dir }}/nats-tls/{{ .keyKey }}
{{- end }}
{{- end }}{{ end }}
{{- with .Values.secrets.tls }}{{ if .existingSecret }}
tls-cert: {{ $dir }}/tls/{{ .certKey }}
tls-key: {{ $dir }}/tls/{{ .keyKey }}
{{- end }}{{ end }}
{{- with .Values.secrets.jwtSecret }}{{ if .existingSecret }}
jwt-secret-file: {{ $dir }}/jwt-secret/{{ .key }}
{{- end }}{{ end }}
{{- with .Values.secrets.jwtPublicKey }}{{ if .existingSecret }}
jwt-public-key-file: {{ $dir }}/jwt-public-key/{{ .key }}
{{- end }}{{ end }}
{{- with .Values.secrets.ticketKey }}{{ if .existingSecret }}
ticket-key-file: {{ $dir }}/ticket-key/{{ .key }}
{{- end }}{{ end }}
{{- end -}}

{{/* The Secrets that are mounted, as a JSON list of {name, secret, keys}; name is the folder. */}}
{{- define "ringcast.secretMounts" -}}
{{- $mounts := list -}}
{{- range $value, $folder := dict "natsCreds" "nats-creds" "natsTLS" "nats-tls" "tls" "tls" "jwtSecret" "jwt-secret" "jwtPublicKey" "jwt-public-key" "ticketKey" "ticket-key" -}}
{{- $secret := get $.Values.secrets $value -}}
{{- if $secret.existingSecret -}}
{{- $keys := compact (list (get $secret "key") (get $secret "caKey") (get $secret "certKey") (get $secret "keyKey")) | uniq -}}
{{- $mounts = append $mounts (dict "name" $folder "secret" $secret.existingSecret "keys" $keys) -}}
{{- end -}}
{{- end -}}
{{- $mounts | toJson -}}
{{- end -}}

{{/* The program's configuration file. */}}
{{- define "ringcast.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $_ := set $config "listen" "0.0.0.0:8080" -}}
{{- $_ := set $config "admin-listen" "0.0.0.0:9090" -}}
{{- $_ := set $config "data-dir" "/data" -}}
{{- $_ := mustMergeOverwrite $config (include "ringcast.drainSettings" . | fromYaml) -}}
{{- if eq .Values.mode "external" -}}
{{- $_ := set $config "nats-url" (include "ringcast.natsURL" .) -}}
{{- if and .Values.nats.enabled (not (hasKey $config "stream-replicas")) (ge (dig "config" "cluster" "replicas" 0 .Values.nats | int) 3) -}}
{{- $_ := set $config "stream-replicas" 3 -}}
{{- end -}}
{{- else -}}
{{- $_ := set $config "nats-listen" (ternary "0.0.0.0:4222" "127.0.0.1:4222" .Values.embedded.exposeNATS) -}}
{{- end -}}
{{- $_ := mustMergeOverwrite $config (include "ringcast.secretSettings" . | fromYaml) -}}
{{- toYaml $config -}}
{{- end -}}

{{/* What is wrong between values that are each valid alone. What is wrong between settings the
program says when it starts. */}}
{{- define "ringcast.check" -}}
{{- $url := get .Values.config "nats-url" -}}
{{- if regexMatch "@" (toString $url) -}}
{{- fail "config.nats-url has a user, password or token in it, and would be stored where it is no secret: use secrets.natsCreds or secrets.natsTLS" -}}
{{- end -}}
{{- if eq .Values.mode "external" -}}
{{- if not (or $url .Values.nats.enabled) -}}
{{- fail "mode external needs config.nats-url, or nats.enabled" -}}
{{- end -}}
{{- if and $url .Values.nats.enabled -}}
{{- fail "config.nats-url and nats.enabled are both set: the NATS that is installed would not be used" -}}
{{- end -}}
{{- else -}}
{{- if or $url .Values.nats.enabled -}}
{{- fail "mode embedded has its NATS inside: without config.nats-url and nats.enabled, or with mode external" -}}
{{- end -}}
{{- if or .Values.secrets.natsCreds.existingSecret .Values.secrets.natsTLS.existingSecret -}}
{{- fail "secrets.natsCreds and secrets.natsTLS are for mode external" -}}
{{- end -}}
{{- if .Values.autoscaling.enabled -}}
{{- fail "autoscaling is for mode external: the embedded NATS server is a single one" -}}
{{- end -}}
{{- end -}}
{{- with .Values.secrets.natsTLS -}}
{{- if ne (empty .certKey) (empty .keyKey) -}}
{{- fail "secrets.natsTLS.certKey and keyKey: only one of them is set, and they need each other" -}}
{{- end -}}
{{- end -}}
{{- $keys := compact (list (ternary "secrets.jwtSecret" "" (not (empty .Values.secrets.jwtSecret.existingSecret))) (ternary "secrets.jwtPublicKey" "" (not (empty .Values.secrets.jwtPublicKey.existingSecret))) (ternary "config.jwks-url" "" (not (empty (get .Values.config "jwks-url"))))) -}}
{{- if gt (len $keys) 1 -}}
{{- fail (printf "%s: only one of them can be set" (join " and " $keys)) -}}
{{- end -}}
{{- with .Values.autoscaling -}}
{{- if .enabled -}}
{{- if lt (int .maxReplicas) (int .minReplicas) -}}
{{- fail "autoscaling.maxReplicas is below minReplicas" -}}
{{- end -}}
{{- if not (or .streams .cpu) -}}
{{- fail "autoscaling has nothing to go by: set streams or cpu" -}}
{{- end -}}
{{- if and .cpu (not (dig "requests" "cpu" "" $.Values.resources)) -}}
{{- fail "autoscaling.cpu is a percentage of resources.requests.cpu, which is not set" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.parentRefs is empty: name the Gateway" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.hosts is empty: name a host" -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- if hasPrefix "RINGCAST_" .name -}}
{{- fail (printf "extraEnv has %s: settings go into config" .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
