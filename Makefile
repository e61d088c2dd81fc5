# make test is the one command that says whether everything holds. It prints each
# step before it takes it, and stops at the first that fails.

GO          ?= go
# A number of inputs, not a time: where a deadline ends the fuzzing, Go 1.26 may report
# "context deadline exceeded" as a failure of the target (go.dev/issue/75804, mended in
# Go 1.27).
FUZZTIME    ?= 20000x
STATICCHECK  = $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help test checks servers skipped format build vet static race allocs tour fuzz benchmodule conformance bench quickstart tools

help:
	@echo 'make test        everything below but conformance and bench; FUZZTIME=1m fuzzes for longer'
	@echo 'make servers     installs what make test needs, where that may be done; make test begins with it'
	@echo 'make quickstart  the example to begin with'
	@echo 'make fuzz        every fuzz target, with FUZZTIME inputs or for that long'
	@echo 'make conformance the public test suite of HTTP caches; see docs/conformance.md'
	@echo 'make bench       the benchmarks, beside other libraries; see bench/README.md'
	@echo 'make tools       fetches what make test needs beside Go, so that it works offline later'

# Tests that need a server which is missing add a line to MEMO_SKIPPED.
test:
	@file=$$(mktemp) && trap 'rm -f "$$file"' EXIT && MEMO_SKIPPED=$$file $(MAKE) --no-print-directory checks

checks: servers format build vet static race allocs tour fuzz benchmodule skipped

skipped:
	@scripts/skipped "$${MEMO_SKIPPED:?is what make test sets}"

# step prints what comes next.
step = @printf '\n== %s\n' "$(1)"

servers:
	$(call step,setup: what the tests need is there)
	@GO='$(GO)' scripts/setup

format:
	$(call step,gofmt: every file is formatted)
	@files=$$(gofmt -l .) || exit 1; \
	if [ -n "$$files" ]; then echo "these are not formatted; run gofmt -w on them:"; echo "$$files"; exit 1; fi

build:
	$(call step,go build: every package compiles)
	@$(GO) build ./...

vet:
	$(call step,go vet)
	@$(GO) vet ./...

static:
	$(call step,staticcheck)
	@$(STATICCHECK) ./...

race:
	$(call step,go test -race: every test and example)
	@$(GO) test -race ./...

# The race detector allocates, so tests that count allocations skip under it.
allocs:
	$(call step,go test without the race detector: allocations are counted)
	@$(GO) test ./...

tour:
	$(call step,examples: the quickstart runs on the docs folder)
	@$(GO) run ./examples/quickstart docs > /dev/null

fuzz:
	$(call step,fuzz: every target, -fuzztime $(FUZZTIME))
	@set -e; for package in $$($(GO) list ./...); do \
		listed=$$($(GO) test -list '^Fuzz' $$package); \
		for target in $$(echo "$$listed" | grep '^Fuzz' || true); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

# The benchmarks are a module of their own, so that what they compare with is no
# dependency of memo.
benchmodule:
	$(call step,bench: the module builds and its tests pass)
	@cd bench && $(GO) build ./... && $(GO) vet ./... && $(STATICCHECK) ./... && $(GO) test -short ./...

conformance: internal/conformance/node_modules/.package-lock.json
	$(call step,conformance: what the public test suite of HTTP caches found still holds)
	@$(GO) run ./internal/conformance $(if $(UPDATE),-update)

internal/conformance/node_modules/.package-lock.json: internal/conformance/package-lock.json
	@cd internal/conformance && npm ci --ignore-scripts --no-audit --no-fund

bench:
	@cd bench && $(GO) run ./cmd/ratios

quickstart:
	@$(GO) run ./examples/quickstart

tools: servers
	$(GO) mod download
	cd bench && $(GO) mod download
	$(STATICCHECK) -version
