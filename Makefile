# Everything a contributor does here, by name. `make help` lists it.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

GO       ?= go
JOBS     ?= 2
TIMEOUT  ?= 10m
FUZZTIME ?= 10s
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# Debian keeps mosquitto where a plain user's PATH does not look.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin

# The linter lives outside the tree, under its version and the compiler that
# built it: a linter built with an older Go refuses newer code.
CACHE        := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/windlass
LINT_PKG     := github.com/golangci/golangci-lint/v2
LINT_VERSION  = $(shell sed -n 's|^[[:space:]]*$(LINT_PKG) \(v[^ ]*\).*|\1|p' tools/go.mod)
LINTER       ?= $(CACHE)/golangci-lint-$(LINT_VERSION)-$(shell $(GO) env GOVERSION)

.PHONY: help build run test check format vet lint arch fresh race gen bench interop fuzz typos cover clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

build: ## bin/windlass
	$(GO) build -ldflags '-X main.version=$(VERSION)' -o bin/windlass ./cmd/windlass

run: build ## a whole server with a demo fleet, nothing else needed (ARGS="--devices 200")
	bin/windlass dev $(ARGS)

test: ## installs what the tests need, then runs them
	scripts/test-tools
	$(GO) test -p $(JOBS) -timeout $(TIMEOUT) ./...

check: format vet lint arch fresh race ## everything a change must pass

format: ## gofmt has nothing to say
	@bad=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go' | xargs -r ls 2>/dev/null)); \
	[ -z "$$bad" ] || { echo "gofmt -w these files:"; echo "$$bad"; exit 1; }

vet: ## go vet
	$(GO) vet ./...

lint: $(LINTER) ## golangci-lint, pinned in tools/go.mod
	$(LINTER) run --concurrency $(JOBS) ./...

$(LINTER):
	@echo "building golangci-lint $(LINT_VERSION), once; this takes minutes"
	@mkdir -p $(@D)
	$(GO) build -C tools -p $(JOBS) -trimpath -ldflags '-s -w' -o $@.$$$$ $(LINT_PKG)/cmd/golangci-lint && mv $@.$$$$ $@

arch: ## import directions, by the table of docs/architecture.md
	$(GO) test ./internal/arch

fresh: ## generated files are up to date
	scripts/fresh $(MAKE) --no-print-directory gen

race: ## the tests with the race detector, in shuffled order
	scripts/test-tools cc
	$(GO) test -race -shuffle=on -p $(JOBS) -timeout $(TIMEOUT) ./...

gen: ## generated files
	$(GO) generate ./...

bench: ## our paths beside their floors, as ratios (ARGS=… go to it)
	$(GO) run ./internal/bench $(ARGS)

interop: ## devices made of other people's clients update themselves (ARGS=… go to it)
	scripts/test-tools
	$(GO) run ./internal/interop $(ARGS)

fuzz: ## each fuzz target for FUZZTIME
	scripts/fuzz $(FUZZTIME) $(JOBS)

typos: ## single faults in every chain we ship: what the loader refuses, what it lets through
	$(GO) run ./internal/typos

cover: ## bin/cover.html, and the sum
	@mkdir -p bin
	$(GO) test -p $(JOBS) -timeout $(TIMEOUT) -coverpkg=./... -coverprofile=bin/cover.out ./...
	$(GO) tool cover -html=bin/cover.out -o bin/cover.html
	$(GO) tool cover -func=bin/cover.out | tail -n 1

clean: ## removes bin
	rm -rf bin
