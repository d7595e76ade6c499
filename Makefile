# The two commands of the README are `make demo` and `make test`; each installs
# what it needs first. The others are for those who work on pipex itself.

VERBS := prepare exec commit discard link prune
PORCELAIN := $(notdir $(patsubst %/main.go,%,$(wildcard scripts/*/main.go)))
BIN   := $(CURDIR)/bin
PREFIX ?= /usr/local
FUZZTIME ?= 3s

# A verb lives for milliseconds, so its start counts: without cgo it needs no
# dynamic linker, urfave_cli_no_docs leaves out a Markdown renderer, and grpcnotrace
# web pages with their templates.
export CGO_ENABLED := 0
BUILDFLAGS := -tags=urfave_cli_no_docs,grpcnotrace -trimpath

export PATH := $(BIN):$(CURDIR)/scripts:$(PATH)

.PHONY: build man demo test test-containerd test-race test-faults test-fuzz instructions bench check install deps test-deps clean

build:
	@go build $(BUILDFLAGS) -ldflags='-s -w' -o $(BIN)/ ./cmd/... ./scripts/...

# The pages of docs that are of the manual, below MAN: man1, man5, man7. They name the day of
# the last commit, so that two builds are the same bytes.
MAN ?= $(CURDIR)/man
man:
	@rm -rf '$(MAN)' && SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2>/dev/null)} go run ./docs/man docs '$(MAN)'

demo: deps build
	@$(MAKE) --no-print-directory -C scripts/examples/gosource demo

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

# Every fuzz target, each for a while.
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

# make looks in /usr/local/include for what a Makefile includes.
install: build
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/include
	install $(VERBS:%=$(BIN)/pipex-%) $(PORCELAIN:%=$(BIN)/%) $(DESTDIR)$(PREFIX)/bin
	find scripts -maxdepth 1 -type f -perm /111 -exec install {} $(DESTDIR)$(PREFIX)/bin \;
	find scripts -maxdepth 1 -name 'pipex-*' -type f ! -perm /111 -exec install -m 644 {} $(DESTDIR)$(PREFIX)/bin \; # which those source
	install -m 644 scripts/pipex.mk $(DESTDIR)$(PREFIX)/include

deps:
	@sh .ci/deps

test-deps:
	@sh .ci/deps test

clean:
	rm -rf $(BIN) $(MAN)
