# make test is the one command that says whether everything holds. It prints each
# step before it takes it, and stops at the first that fails.

GO          ?= go
# A number of inputs, not a time: where a deadline ends the fuzzing, Go 1.26 may report
# "context deadline exceeded" as a failure of the target (go.dev/issue/75804, mended in
# Go 1.27).
FUZZTIME    ?= 5000x
STATICCHECK  = $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: sim prove check-servers help quick test checks servers skipped format build vet cross static race allocs bits32 tour fuzz contrib benchmodule conformance bench quickstart tools

help:
	@echo 'make quick       what takes less than a minute, for the loop while working'
	@echo 'make test        everything below but conformance and bench; FUZZTIME=1m fuzzes for longer'
	@echo 'make servers     installs what make test needs, where that may be done; make test begins with it'
	@echo 'make quickstart  the example to begin with'
	@echo 'make fuzz        every fuzz target, with FUZZTIME inputs or for that long'
	@echo 'make cross       builds and vets for other systems; PLATFORMS="openbsd/arm64" for those'
	@echo 'make contrib     builds, vets and tests the modules beside this one'
	@echo 'make sim         histories of a simulated fleet, for a minute; SIM=10m for longer, MEMO_SIM_SEED=n for one'
	@echo 'make check-servers  histories of real processes on real servers, for two minutes; CHECK=10m for longer'
	@echo 'make prove       takes the guards of the protocol out, one by one, and wants the simulation to find it'
	@echo 'make conformance the public test suite of HTTP caches; see docs/conformance.md'
	@echo 'make bench       the benchmarks, beside other libraries; see bench/README.md'
	@echo 'make tools       fetches what make test needs beside Go, so that it works offline later'

# Tests that need a server which is missing add a line to MEMO_SKIPPED.
test:
	@file=$$(mktemp) && trap 'rm -f "$$file"' EXIT && MEMO_SKIPPED=$$file $(MAKE) --no-print-directory checks

STEPS = servers format build vet cross static race allocs bits32 tour fuzz contrib benchmodule skipped

checks:
	@total=0; for step in $(STEPS); do \
		began=$$(date +%s); \
		$(MAKE) --no-print-directory $$step || exit 1; \
		took=$$(($$(date +%s) - began)); total=$$((total + took)); \
		echo "-- $$step took $$took s"; \
	done; \
	printf '\n== everything holds; it took %d s\n' $$total

# Nothing that needs a server, and no race detector.
quick: format build vet
	$(call step,go test: what needs no server)
	@$(GO) test -vet=off $$($(GO) list ./... | grep -v $(SERVERS))

skipped:
	@scripts/skipped "$${MEMO_SKIPPED:?is what make test sets}"

# step prints what comes next.
step = @printf '\n== %s\n' "$(1)"
comma = ,

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

# Other systems, and 32 bits. go vet looks at the tests too. Nothing is run, so nothing is
# optimized, which saves time. So does compiling the client of DynamoDB, half of all there
# is, for one of them only.
PLATFORMS ?= windows/amd64 darwin/arm64 freebsd/amd64 js/wasm linux/arm

cross:
	@set -e; for platform in $(PLATFORMS); do \
		printf '\n== %s\n' "go build, go vet: packages and tests compile for $$platform"; \
		case $$platform in \
			linux/arm) packages=./...;; \
			*) packages=$$($(GO) list ./... | grep -v -e /dynamostore -e /fleettest -e /checker);; \
		esac; \
		export CGO_ENABLED=0 GOOS=$${platform%/*} GOARCH=$${platform#*/}; \
		$(GO) build -gcflags='all=-N -l' $$packages && $(GO) vet -gcflags='all=-N -l' $$packages; \
	done

static:
	$(call step,staticcheck)
	@$(STATICCHECK) ./...

# The packages whose tests run servers, and look at the clock.
SERVERS = -e /internal/checker -e /internal/fleettest -e /internal/testserver -e /store/dynamostore -e /store/memcachestore -e /store/redisstore

# Those go one after the other, so that none is slow because of the others.
race:
	$(call step,go test -race: every test and example$(comma) in any order)
	@$(GO) test -vet=off -race -shuffle=on $$($(GO) list ./... | grep -v $(SERVERS))
	@$(GO) test -vet=off -race -shuffle=on -p 1 $$($(GO) list ./... | grep $(SERVERS))

# The race detector allocates, and makes some tests take too long; these skip under it.
# They are in these packages.
allocs:
	$(call step,go test without the race detector: allocations are counted)
	@$(GO) test -vet=off -shuffle=on . ./codec/... ./httpcache ./store/memstore

# The packages that do arithmetic with lengths and times from elsewhere. There is no race
# detector for 32 bits.
bits32:
	$(call step,go test with 32 bits)
	@CGO_ENABLED=0 GOARCH=386 $(GO) test -vet=off -shuffle=on . ./codec/... ./httpcache

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

# The modules beside this one: adapters, and tests whose dependencies are nobody else's.
contrib:
	@set -e; find . -name node_modules -prune -o -name go.mod -print | sort | while read -r module; do \
		folder=$$(dirname "$$module"); \
		case $$folder in .|./bench) continue;; esac; \
		printf '\n== %s\n' "$$folder: the module builds and its tests pass"; \
		(cd "$$folder" && $(GO) vet ./... && $(STATICCHECK) ./... && $(GO) test -race -shuffle=on ./...); \
	done

# The benchmarks are a module of their own, so that what they compare with is no
# dependency of memo.
benchmodule:
	$(call step,bench: the module builds and its tests pass)
	@cd bench && $(GO) build ./... && $(GO) vet ./... && $(STATICCHECK) ./... && $(GO) test -short ./...

# Both print their seeds.
SIM ?= 1m

sim:
	$(call step,a simulated fleet: no history violates a guarantee)
	@MEMO_SIM=$(SIM) $(GO) test -count=1 -timeout 0 -v -run TestNoHistory ./internal/sim

CHECK ?= 2m

check-servers: servers
	$(call step,a real fleet on real servers: no history violates a guarantee)
	@CHECK=$(CHECK) $(GO) test -count=1 -timeout 0 -v ./internal/checker

prove:
	$(call step,a simulated fleet: every guard is needed)
	@MEMO_PROVE=1 $(GO) test -count=1 -timeout 0 -v -run TestEveryGuard ./internal/sim

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
	@set -e; find . -name node_modules -prune -o -name go.mod -print | while read -r module; do \
		(cd "$$(dirname "$$module")" && $(GO) mod download); \
	done
	$(STATICCHECK) -version
