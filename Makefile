# The two commands of the README are `make demo` and `make test`; each installs
# what it needs first. The others are for those who work on pipex itself.

BIN   := $(CURDIR)/bin
PREFIX ?= /usr/local
FUZZTIME ?= 10000x

# A verb lives for milliseconds, so its start counts: without cgo it needs no
# dynamic linker, urfave_cli_no_docs leaves out a Markdown renderer, and grpcnotrace
# web pages with their templates.
export CGO_ENABLED := 0
BUILDFLAGS := -tags=urfave_cli_no_docs,grpcnotrace -trimpath

export PATH := $(BIN):$(CURDIR)/scripts:$(PATH)

.PHONY: build man demo demo-slurm test test-containerd test-race test-faults test-nfs test-fuzz instructions bench check install uninstall deb deps test-deps clean

# Two builds of one commit are the same bytes, whatever the directory, in a clone or from a
# source archive: the linker is told the version, and adds no ids. GOARCH=arm64 builds for that.
STAMP = pipex/lib/internal/version
PACKAGES = ./cmd/... ./scripts/...
build:
	@set -- $$(sh .ci/version) && go build $(BUILDFLAGS) -buildvcs=false \
		-ldflags="-s -w -buildid= -X $(STAMP).version=$$1 -X $(STAMP).commit=$$2" -o $(BIN)/ $(PACKAGES)

# The pages of docs that are of the manual, below MAN: man1, man5, man7. They name the day of
# the last commit, so that two builds are the same bytes.
MAN ?= $(CURDIR)/man
man:
	@rm -rf '$(MAN)' && SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2>/dev/null)} GOARCH= go run ./docs/man docs '$(MAN)'

demo: deps build
	@$(MAKE) --no-print-directory -C scripts/examples/gosource demo

# The same pipeline on three nodes of a Slurm cluster, all on this machine.
demo-slurm: build
	@sh .ci/deps slurm
	@$(MAKE) --no-print-directory -C scripts/examples/gosource demo-slurm

# One of them: make test T=prune (a script's name), make test T=TestFaultKilled.
test: test-deps
	@sh .ci/test '$(T)'

# All tests on another containerd: make test-containerd V=2.4.2
V := system
test-containerd: test-deps
	@bin=$$(sh .ci/containerd '$(V)') && PATH=$${bin:+$$bin:}$$PATH $(MAKE) --no-print-directory test

# The same, tests and verbs built with the race detector.
test-race: test-deps
	@RACE=1 sh .ci/test '$(T)'

# The full form of those tests that kill, fill and race.
test-faults: test-deps
	PIPEX_FAULTS=full go test -count=1 -timeout 90m -v -run 'TestFault' ./test

# A workspace on NFS, seen by two of three virtual machines.
test-nfs: build
	@sh test/nfs/run

# Every fuzz target, so many times each; FUZZTIME=10m for a time.
test-fuzz:
	@sh .ci/fuzz $(FUZZTIME)

# Counts the instructions of each verb's start, which TestInstructions compares.
instructions: test-deps
	PIPEX_INSTRUCTIONS=update go test -count=1 -run '^TestInstructions$$' ./test

# Compares with other tools, for people to look at: make bench, or make bench B='step exec'.
# bench/README.md has the rest. BENCH=-short proves that all rows run.
bench: deps build
	@go build -o $(BIN)/bench ./bench && exec $(BIN)/bench -keep bench $(BENCH) $(B)

check:
	sh .ci/check

# Programs, man pages, completions, pipex.mk, pages and examples, below DESTDIR and PREFIX.
install: build man
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' sh .ci/install '$(BIN)' '$(MAN)'

# Removes what install of this same tree has put there.
uninstall: man
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' sh .ci/install --uninstall '$(BIN)' '$(MAN)'

# A Debian package, in dist: make deb ARCH=arm64
ARCH ?= $(shell go env GOARCH)
deb:
	@sh .ci/deb '$(ARCH)'

deps:
	@sh .ci/deps

test-deps:
	@sh .ci/deps test
	@sh .ci/ro-crate >/dev/null

clean:
	rm -rf $(BIN) $(MAN) dist
