# Sallyport. `make` alone prints what there is to make.
#
# CI calls these targets and nothing else, so what is green here is green there.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BIN := bin
TOOL := go tool -modfile=tools/go.mod
LINT := $(TOOL) golangci-lint

# sallyd needs C for SQLite; names and users are still looked up by Go, so that one static file runs anywhere.
SALLYD_FLAGS := -trimpath -tags netgo,osusergo,sqlite_omit_load_extension -ldflags '-linkmode external -extldflags -static'

FUZZTIME ?= 30s
BENCH_LEAVES ?= 100000
BENCH_ONLY ?=
BENCH_DIR ?= $(BIN)/bench-big
FAULT ?=
CA ?= file

.PHONY: help
help:
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Run

.PHONY: demo
demo: deps build ## play the whole story against real sshd processes, on loopback; CA=vault keeps the CA key in a real Vault
	$(if $(filter vault,$(CA)),export SALLYPORT_VAULT; SALLYPORT_VAULT=$$(scripts/vault.sh); )$(BIN)/demo -bin $(BIN) -ca $(CA)

.PHONY: dev
dev: deps build ## keep all parts up for a person with a terminal and a browser; Ctrl-C ends it
	@exec $(BIN)/dev -bin $(BIN)

.PHONY: build
build: ## build static sallyd, sally and sally-host, and the demo, into bin/
	CGO_ENABLED=1 go build $(SALLYD_FLAGS) -o $(BIN)/sallyd ./cmd/sallyd
	CGO_ENABLED=0 go build -trimpath -o $(BIN)/sally ./cmd/sally
	CGO_ENABLED=0 go build -trimpath -o $(BIN)/sally-host ./cmd/sally-host
	go build -o $(BIN)/demo ./internal/lab/demo
	go build -o $(BIN)/dev ./internal/lab/dev

.PHONY: deb
deb: ## build the Debian package of sally-host into bin/deb; the same bytes each time
	@scripts/deb.sh

.PHONY: vault
vault: ## build the real Vault for tests and demo, once, outside of the tree; prints its path
	@scripts/vault.sh

.PHONY: deps
deps: ## install what tests and demo need and is missing (apt; root or sudo)
	@scripts/deps.sh

##@ Test

.PHONY: test
test: ## run every test, integration included; a skipped test is a failure
	@scripts/test.sh

.PHONY: race
race: ## the same with the race detector
	@scripts/test.sh -race

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME (30s); FUZZ=regexp chooses
	@FUZZTIME='$(FUZZTIME)' FUZZ='$(FUZZ)' scripts/fuzz.sh

.PHONY: npm
npm: deps ## install what the tests use from npm, into ~/.cache
	@scripts/npm.sh

.PHONY: sabotage
sabotage: npm ## plant each fault in a copy and demand that a test turns red; FAULT=regexp chooses
	@go -C tools build -o ../$(BIN)/tools/sabotage ./sabotage
	@export SALLYPORT_VAULT; SALLYPORT_VAULT=$$(scripts/vault.sh); $(BIN)/tools/sabotage -root . -only '$(FAULT)'

.PHONY: bench
bench: deps ## measure what has a budget (docs/performance.md), over a ledger of BENCH_LEAVES (100000); BENCH_ONLY=hosts measures one part
	@go build -o $(BIN)/bench ./internal/lab/bench
	@$(BIN)/bench -leaves $(BENCH_LEAVES) -only '$(BENCH_ONLY)'

.PHONY: bench-big
bench-big: deps ## the same over ten million leaves, kept in BENCH_DIR (bin/bench-big) and used again; takes hours and some 30 GB
	@go build -o $(BIN)/bench ./internal/lab/bench
	@$(BIN)/bench -leaves 10000000 -dir $(BENCH_DIR)

.PHONY: cover
cover: npm ## write bin/cover.html and print the coverage of each package and in all
	@mkdir -p $(BIN)
	export SALLYPORT_VAULT; SALLYPORT_VAULT=$$(scripts/vault.sh); go test -count=1 -coverpkg=./... -coverprofile=$(BIN)/cover.out ./...
	@go tool cover -html=$(BIN)/cover.out -o $(BIN)/cover.html
	@go tool cover -func=$(BIN)/cover.out | tail -n 1

##@ Keep in order

.PHONY: lint
lint: ## run golangci-lint over the product and the tools
	$(LINT) run ./...
	cd tools && go tool golangci-lint run -c ../.golangci.yaml ./...

.PHONY: fmt
fmt: ## format with gofumpt and group imports
	$(LINT) fmt

.PHONY: generate
generate: ## write what is made from the code: OpenAPI document, reference of the settings, man pages, lists of promises
	@scripts/generate.sh

.PHONY: screenshots
screenshots: deps build ## look at the pages in a real browser and write docs/images
	go run ./internal/lab/screenshots -bin $(BIN) -out docs/images

.PHONY: verify
verify: ## check modules, formatting, generated files and planted faults without changing anything
	@scripts/verify.sh

.PHONY: recording
recording: deps build ## record a session anew for README's moving picture
	@scripts/recording.sh

.PHONY: clean
clean: ## remove bin/
	rm -rf $(BIN)
