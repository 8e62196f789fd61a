# `make` alone, or `make help`, lists what there is.
.DEFAULT_GOAL := help
SHELL         := bash
.SHELLFLAGS   := -euo pipefail -c

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
COMMIT   ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
LDFLAGS  := -X main.linkedVersion=$(VERSION) -X main.linkedCommit=$(COMMIT)
FUZZTIME ?= 30s
RUNS     ?= 5
SECONDS  ?= 5
FAULTS   ?= 200
DURATION ?= 30m
SEED     ?= 0
PORT     ?= 8000
WEB      := transport/web
INSTALL  := $(WEB)/node_modules/.package-lock.json

# Pinned; the Go tool fetches and builds it.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.7.0

# Also pinned. What gosec is not asked: unsafe calls (audited where they stand), errors that are let go of on
# purpose, conversions of integers, files that the operator names, random numbers that only spread load.
GOSEC       := github.com/securego/gosec/v2/cmd/gosec@v2.27.1
GOSEC_FLAGS := -quiet -exclude=G103,G104,G115,G304,G404 -exclude-dir=cmd/internal/bench -exclude-dir=cmd/internal/faults -exclude-dir=transport/web/clients
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.3.0

##@ Use

.PHONY: help
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-19s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## Run the demo with everything embedded; needs Go alone
	@exec bin/ringcast demo

.PHONY: build
build: ## Build bin/ringcast
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ringcast ./cmd/ringcast

##@ Work on it

.PHONY: test
test: tools $(INSTALL) ## All tests, with the race detector and a browser; installs what they need
	go test -race ./...
	cd $(WEB) && npm test
	$(MAKE) test-deploy

.PHONY: test-deploy
test-deploy: ## Test what deploys it: the Helm chart, the image, the compose file, the unit, the runbook
	@# A module of its own. Without -race, since Helm and Kubernetes' types take a minute or two to compile. With
	@# no package named go test shows what could not be tested here.
	cd deploy/test && go test

.PHONY: check
check: $(INSTALL) ## What a change must pass besides the tests: format, vet, linters, tidy go.mod, web bundle and client
	@unformatted=$$(git ls-files -z '*.go' | xargs -0 gofmt -l); \
	  if [ -n "$$unformatted" ]; then echo "not formatted (gofmt -w):" $$unformatted >&2; exit 1; fi
	go vet ./...
	go run $(STATICCHECK) ./...
	go run $(GOSEC) $(GOSEC_FLAGS) ./...
	@.ci/check-vulnerabilities $(GOVULNCHECK)
	go mod tidy -diff
	cd $(WEB) && npm run check

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (30s)
	@for package in $$(go list ./...); do \
	  list=$$(go test -list '^Fuzz' $$package); \
	  for target in $$(grep '^Fuzz' <<<"$$list" || true); do \
	    echo "$$package $$target"; \
	    go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
	  done; \
	done

.PHONY: bench
bench: build ## Measure Ringcast beside nchan and a floor; RUNS (5), SECONDS (5) each; writes deploy/bench
	@deploy/bench/fetch-nchan bin/bench/nchan
	go build -trimpath -o bin/bench/floor ./cmd/internal/bench/floor
	go run ./cmd/internal/bench/suite -runs $(RUNS) -seconds $(SECONDS) -note '$(NOTE)'

.PHONY: faults
faults: tools build $(INSTALL) ## Break gateways, NATS and the network FAULTS (200) times in DURATION (30m), as SEED says; writes deploy/faults
	go build -trimpath -o bin/faults/nats-server github.com/nats-io/nats-server/v2
	go run ./cmd/internal/faults/suite -seed $(SEED) -faults $(FAULTS) -duration $(DURATION) -note '$(NOTE)'

.PHONY: soak
soak: tools build $(INSTALL) ## Load three gateways for DURATION (30m) with clients that come and go; fails if anything grows; writes deploy/faults
	go build -trimpath -o bin/faults/nats-server github.com/nats-io/nats-server/v2
	go run ./cmd/internal/faults/suite -soak -rate 100 -duration $(DURATION) -note '$(NOTE)'

.PHONY: rolling
rolling: tools build ## Restart three gateways one after the other under 6,000 clients; fails if these come back in bursts; writes deploy/faults
	go build -trimpath -o bin/faults/nats-server github.com/nats-io/nats-server/v2
	go run ./cmd/internal/faults/suite -rolling -clients 6000 -rate 80 -duration 20s -note '$(NOTE)'

.PHONY: sizing
sizing: tools build ## Measure what one to three gateways, and NATS, take for the same load; RUNS (5), SECONDS (5) each; writes deploy/faults
	go build -trimpath -o bin/faults/nats-server github.com/nats-io/nats-server/v2
	go run ./cmd/internal/faults/suite -sizing $(RUNS) -duration $(SECONDS)s -note '$(NOTE)'

.PHONY: bench-go
bench-go: ## Run the Go benchmarks
	go test -run '^$$' -bench . -benchmem ./...

.PHONY: contract-service
contract-service: $(INSTALL) ## Serve the TypeScript client to the harness of the SSE contract tests; PORT (8000)
	@cd $(WEB)/client && npm run --silent contract-service -- --port $(PORT)

.PHONY: contract-service-go
contract-service-go: ## Serve Ringcast's Go client to the harness of the SSE contract tests; PORT (8000)
	go run ./cmd/internal/contract/service -port $(PORT)

.PHONY: reference
reference: ## Write the settings in README.md, the metrics in deploy/METRICS.md and the copies in the chart anew
	go test ./cmd/internal/config -run TestReference_README -update
	go test ./cmd/internal/metrics -run TestReference -update
	cd deploy/test && go test -run TestChart_Copies -update

.PHONY: web
web: $(INSTALL) ## Build the page that the binary embeds
	cd $(WEB) && npm run build

.PHONY: tools
tools: ## Install what the tests need and is missing (Debian, Ubuntu), or say what
	@.ci/install-tools

# npm writes this file last.
$(INSTALL): $(WEB)/package.json $(WEB)/client/package.json $(WEB)/clients/package.json $(WEB)/worker/package.json $(WEB)/package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js 20.19 or newer, with npm" >&2; exit 1; }
	cd $(WEB) && npm ci --no-audit --no-fund
