.POSIX:

# The programs in the chapter's order; to add one, add it here.
PROGRAMS = tcpC/tcpC otherTCPclient/otherTCPclient tcpS/tcpS otherTCPserver/otherTCPserver \
	udpC/udpC udpS/udpS concTCP/concTCP unixSocket/unixSocket wsServer/wsServer \
	wsClient/wsClient

FLAGS = -std=c11 -O2 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wmissing-prototypes \
	-Wvla -pthread

# CC, CFLAGS and LDFLAGS are taken by the shell, so that they may come from the environment
# or from make's command line alike.
COMPILE = $${CC:-cc} $(FLAGS) $$CFLAGS

# Print the first word (with V=1 the whole command, with -s nothing) and run the others.
RUN = run() { \
		short=$$1 && shift; \
		case "$$V:$${MAKEFLAGS%% *}" in \
		1:*) echo "$$@" ;; \
		*:-*) echo "$$short" ;; \
		*:*s*) ;; \
		*) echo "$$short" ;; \
		esac; \
		"$$@"; \
	}; run

all: $(PROGRAMS) ## build the programs (the default); V=1 shows the commands

$(PROGRAMS): Makefile

.SUFFIXES: .c
.c:
	@$(RUN) "$${CC:-cc} $<" $(COMPILE) -o $@ $< $$LDFLAGS

demo: all ## run each section's session and print it
	@tests/demo

deps: ## install what demo and test use, or say how
	@tests/deps

deps-proof: ## the same for all the other targets
	@tests/deps proof

test: all ## run every test against the programs
	@tests/run

conformance: all ## hold the WebSocket programs against RFC 6455
	@sh tests/ws/conformance.sh

build/tests/peer: tests/peer/peer.c
	@mkdir -p build/tests
	@cc=$${TEST_CC:-$${CC:-cc}}; $(RUN) "$$cc tests/peer/peer.c" \
		$$cc -std=c11 -O2 -o $@ tests/peer/peer.c

trace: all ## draw what PROGRAM and its other end call and send
	@tests/trace/trace "$(PROGRAM)"

machines: all build/tests/peer ## run demo and test on other MACHINES, which root makes
	@tests/machines $(MACHINES)

sanitize: ## test builds with ASan, UBSan and LSan, and with TSan
	@tests/proof/variant asan tsan

torture: ## test a build with short and interrupted reads and writes
	@tests/proof/variant torture

portability: ## test with gcc, clang, musl, 32-bit, big-endian, hardened
	@tests/proof/variant gcc clang musl m32 s390x fortify

faults: ## fail each call of each program in turn
	@tests/proof/faults

fuzz: ## fuzz what reads from the network, FUZZ_SECONDS each
	@tests/proof/fuzz/run

soak: all build/tests/peer ## let SOAK_CONNECTIONS clients come and go
	@tests/proof/soak

coverage: ## show which lines test and faults reach, and which not
	@tests/proof/coverage

bench: all build/tests/peer ## measure the servers, bare ones, and Go's if go is here
	@tests/bench/run

bench-check: all build/tests/peer ## the same, and fail where a ratio is missed
	@tests/bench/run check

lint: ## check layout, C and shell without running anything
	@tests/proof/lint $(PROGRAMS:=.c)

clean: ## remove everything that was built
	rm -rf build $(PROGRAMS)

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):[^#]*## /make \1	/p' Makefile | expand -t 20

# Every program once more, as DIR/NAME, for BUILD=DIR tests/run:
#     make variant DIR=build/debug CFLAGS=-g
variant:
	@mkdir -p $(DIR)
	@for p in $(PROGRAMS); do \
		$(COMPILE) -o "$(DIR)/$${p##*/}" "$$p.c" $$LDFLAGS || exit 1; \
	done
