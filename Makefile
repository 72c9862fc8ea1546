# Everything a developer of Hookspan runs. `make` alone lists it.

.DEFAULT_GOAL := help
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null)
FUZZTIME ?= 60s
PARALLEL ?= 1
EVENTS   ?= 100000
AWAY     ?= 5m
BIN      := bin/hookspan
LINT     := bin/golangci-lint

# What judges and packs what is in deploy; each is built by itself, as helm and kubectl-validate
# need different versions of the same modules.
DEPLOY_TOOLS := bin/helm bin/compose-go bin/kubectl-validate

.PHONY: help deploy-test release run test e2e lint fuzz bench build demo chaos cluster-test clean

help: ## List the targets.
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## Serve on :8080 with the embedded NATS, no configuration file and a development secret.
	GET3W_WEBHOOK_SECRET="$${GET3W_WEBHOOK_SECRET:-development-secret}" $(BIN) serve

# The tests wait more than they compute, so more packages run at once than there are processors.
# What go vet looks for is what make lint finds.
test: ## Run all tests with the race detector, and say at the end which ones were skipped.
	@skipped=$$(mktemp); trap 'rm -f "$$skipped"' EXIT; status=0; \
	HOOKSPAN_TEST_SKIPPED="$$skipped" go test -race -vet=off -p 4 -timeout 20m ./... || status=$$?; \
	if [ -s "$$skipped" ]; then echo "Skipped, as this machine lacks what they need (CI skips nothing):"; sort -u "$$skipped"; fi; \
	exit $$status

e2e: ## Try the console in Chromium, and keep pictures of all its pages in .screenshots.
	go test -race -count=1 ./bridge/internal/console/e2e

lint: $(LINT) ## Check format, modules and the linters of .ci/golangci.yml.
	go mod tidy -diff
	$(LINT) run --config .ci/golangci.yml ./...

fuzz: ## Run every fuzz target for FUZZTIME (default 60s).
	@set -e; for pkg in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

bench: build ## Measure speed and memory for about 25 minutes, and write docs/benchmarks.md. BEFORE names an older binary to compare with.
	go run ./cmd/bench -hookspan $(BIN) $(if $(BEFORE),-before $(BEFORE)) -out docs/benchmarks.md

build: ## Build the static binary bin/hookspan.
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.release=$(VERSION)" -o $(BIN) ./cmd/hookspan

demo: build ## Run a bridge on free ports, send it 25 webhooks (some twice, some forged), have three more lost, and count what became of them.
	go run ./cmd/demo -hookspan $(BIN)

chaos: build ## Break everything under load, EVENTS webhooks a fault (default 100000), and count what was lost. Disks of its own need root. BEFORE names an older binary to go to and fro between.
	go build -o bin/chaos ./cmd/chaos
	bin/chaos -hookspan $(BIN) $(if $(BEFORE),-before $(BEFORE)) -events $(EVENTS) -parallel $(PARALLEL)

deploy-test: build $(DEPLOY_TOOLS) ## Hold the chart, compose.yaml and the proxies of deploy/ against what uses them. Building the tools takes minutes the first time.
	.ci/deploy/helm.sh
	COMPOSE_PROFILES=cluster bin/compose-go deploy/compose.yaml >/dev/null
	.ci/deploy/proxies.sh

cluster-test: build ## Try everything that can happen to three nats-servers with two processes of each role, for about 10 minutes. AWAY is how long the quorum is away (default 5m).
	go build -o bin/chaos ./cmd/chaos
	go build -o bin/nats-server github.com/nats-io/nats-server/v2
	bin/chaos -hookspan $(BIN) -nats-server bin/nats-server -only cluster-roles -events 1000 -faster 5 -away $(AWAY)

release: bin/nfpm bin/cyclonedx-gomod ## Make a release of VERSION, which is the tag of the commit, in dist: archives, packages, SBOMs and checksums.
	.ci/release.sh $(VERSION)

clean: ## Remove what the targets built. Your data in hookspan-data stays.
	rm -rf bin dist

# The linter has a module of its own, so that nobody who imports Hookspan gets it.
$(LINT): .ci/tools/go.mod .ci/tools/go.sum
	cd .ci/tools && go build -o ../../$(LINT) github.com/golangci/golangci-lint/v2/cmd/golangci-lint

bin/helm: .ci/deploy/go.mod .ci/deploy/go.sum
	cd .ci/deploy && go build -o ../../$@ helm.sh/helm/v3/cmd/helm

bin/compose-go: .ci/deploy/go.mod .ci/deploy/go.sum
	cd .ci/deploy && go build -o ../../$@ github.com/compose-spec/compose-go/v2/cmd

bin/nfpm: .ci/deploy/go.mod .ci/deploy/go.sum
	cd .ci/deploy && go build -o ../../$@ github.com/goreleaser/nfpm/v2/cmd/nfpm

bin/cyclonedx-gomod: .ci/deploy/go.mod .ci/deploy/go.sum
	cd .ci/deploy && go build -o ../../$@ github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod

bin/kubectl-validate: .ci/deploy/validate/go.mod .ci/deploy/validate/go.sum
	cd .ci/deploy/validate && go build -o ../../../$@ sigs.k8s.io/kubectl-validate
