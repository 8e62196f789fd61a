package deploy_test

// matrix is what the chart is rendered with.
var matrix = map[string]string{
	"defaults": ``,
	"embedded": `
nameOverride: broker
config:
  anonymous: [subscribe >]
  ring-max-bytes: 1GiB
  stream-max-events: 50000000
embedded: {size: 100Gi, storageClassName: fast, exposeNATS: true}
networkPolicy: {enabled: true, natsFrom: [{podSelector: {matchLabels: {role: producer}}}]}
serviceMonitor: {enabled: true}
ingress: {enabled: true, className: nginx, hosts: [events.example.com], tlsSecret: events-tls}
`,
	"external": `
mode: external
config: {nats-url: "nats://nats.nats.svc:4222", stream-replicas: 3}
`,
	"external, one gateway": `
mode: external
replicas: 1
fullnameOverride: events-ringcast
config: {nats-url: [tls://a.example.com:4223, "wss://b.example.com,nats://c.example.com"]}
networkPolicy: {enabled: true}
drain: {preStopSleepSeconds: 0, timeSeconds: 0, timeoutSeconds: 0}
topologySpread: {enabled: false}
podDisruptionBudget: {enabled: false}
resources: {limits: {memory: null}}
`,
	"external, persistent ring": `
mode: external
config: {nats-url: "nats://nats:4222", ring-max-bytes: 2GB}
ring: {volume: persistentVolume, storageClassName: local}
`,
	"NATS beside it": `
mode: external
config: {stream-replicas: 3, jwks-url: "https://login.example.com:8443/jwks"}
nats: {enabled: true}
networkPolicy: {enabled: true}
`,
	"everything": `
mode: external
image: {repository: registry.example.com/ringcast, digest: "sha256:0123456789012345678901234567890123456789012345678901234567890123", pullSecrets: [{name: registry}]}
config:
  nats-url: tls://nats.example.com:4222
  subjects: [events.>, news.*]
  heartbeat: 20s
  compression: true
  max-streams: 20000
  ring-max-events: 2000000
  ring-max-bytes: 536870912
  trusted-proxies: [10.0.0.0/8, 192.0.2.1]
  cors-origins: https://app.example.com
  jwt-issuer: https://login.example.com
  rule: ["subscribe events.notify.{sub}.>", "publish events.chat.>"]
  presence: [events.chat.*]
  log-level: debug
secrets:
  natsCreds: {existingSecret: nats, key: user.creds}
  natsTLS: {existingSecret: nats-client, certKey: tls.crt, keyKey: tls.key}
  tls: {existingSecret: gateway-tls}
  jwtPublicKey: {existingSecret: login, key: key.pem}
  ticketKey: {existingSecret: tickets}
extraEnv:
  - {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: "http://collector.tracing.svc:4318"}
  - name: OTEL_EXPORTER_OTLP_HEADERS
    valueFrom: {secretKeyRef: {name: collector, key: headers}}
drain: {preStopSleepSeconds: 15, timeSeconds: 120, timeoutSeconds: 20}
resources: {requests: {cpu: "1", memory: 1.5Gi}, limits: {memory: 1.5Gi}}
service: {type: LoadBalancer, port: 443, annotations: {example.com/idle-timeout: "4000"}}
httpRoute: {enabled: true, parentRefs: [{name: public, namespace: gateways, sectionName: https}], hostnames: [events.example.com]}
ingress: {enabled: true, hosts: [a.example.com, b.example.com]}
autoscaling: {enabled: true, minReplicas: 3, maxReplicas: 20, streams: 8000}
podDisruptionBudget: {maxUnavailable: 25%}
networkPolicy:
  enabled: true
  httpFrom: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: gateways}}}]
  extraEgress: [{ports: [{port: 4318, protocol: TCP}]}]
serviceMonitor: {enabled: true, labels: {release: prometheus}}
prometheusRule: {enabled: true, labels: {release: prometheus}}
dashboard: {enabled: true}
serviceAccount: {annotations: {example.com/role: events}}
podAnnotations: {example.com/inject: "false"}
podLabels: {team: events}
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{key: dedicated, operator: Exists}]
affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: arch, operator: In, values: [amd64]}]}]}}}
priorityClassName: high
`,
	"HMAC, an account of its own": `
mode: external
config: {nats-url: "nats://nats:4222", token-cookie: session}
secrets: {jwtSecret: {existingSecret: tokens}}
serviceAccount: {name: events}
autoscaling: {enabled: true, streams: 0}
`,
}
