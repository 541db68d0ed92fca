# SPDX-License-Identifier: ISC
#
# coexist: one Makefile for the whole tree.
#
#   make            build/bin/*            needs a C compiler and the -dev packages
#   make unit       unit tests under ASan and UBSan
#   make lint       format, include arrows, forbidden functions, manual pages
#   make check      everything CI runs; installs missing Debian packages first
#   make demo       two real mail servers, a moving user; installs what is missing
#   make bench      ours beside the peers, ratios and medians; `make bench copy` one of them
#   make sim        SIM_HISTORIES simulated histories of a mailbox copy (docs/simulation.md)
#   make chaos      the kill and fault tests with CHAOS_KILLS kills each, CHAOS_HISTORIES histories, CHAOS_SCHEDULES
#                   schedules with real servers (docs/chaos.md)
#   make fuzz       libFuzzer on every parser (FUZZ_SECONDS each, with clang)
#   make soak       each fuzz target half a minute, ThreadSanitizer over the programs with threads
#   make mutants    breaks the code in small ways; a unit test has to notice each
#   make fuzz-corpus  takes the best of what fuzzing found into tests/fuzz/corpus
#   make install    DESTDIR and PREFIX are respected
#   make clean
#
# A source file joins the build by lying in its folder: see "What is built".

PREFIX  ?= /usr/local
DESTDIR ?=
PYTHON  ?= /usr/bin/python3
CLANG   ?= clang
FUZZ_SECONDS ?= 60
CHAOS_KILLS ?= 1000
SIM_HISTORIES ?= 20000
SIM_FIRST ?= 1
CHAOS_HISTORIES ?= 1000000
CHAOS_FIRST ?= 1
CHAOS_SCHEDULES ?= 2000
JOBS := $(shell nproc 2>/dev/null || echo 2)
VERSION := 0.1.0

# --- Flags -----------------------------------------------------------------

WARN := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
        -Wformat=2 -Wvla -Wpointer-arith -Wundef -Wwrite-strings
WERROR ?=
CPPFLAGS += -I. -D_GNU_SOURCE -DCOEXIST_VERSION='"$(VERSION)"'
BASE_CFLAGS := -std=c17 -g $(WARN) -fno-strict-aliasing -fno-common -pthread
HARDEN := -fPIE -fstack-protector-strong -D_FORTIFY_SOURCE=2
HARDEN_LD := -pie -Wl,-z,relro,-z,now

# Where there is gold the many programs of the tests are linked in a third of the time.
FAST_LD := $(shell echo 'int main(void) { return 0; }' | $(CC) -fuse-ld=gold -x c -o /dev/null - 2>/dev/null && echo -fuse-ld=gold)

CFLAGS_plain  := -O2 $(HARDEN)
LDFLAGS_plain := $(HARDEN_LD)
CFLAGS_asan   := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
LDFLAGS_asan  := -fsanitize=address,undefined $(FAST_LD)
CFLAGS_tsan   := -O1 -fno-omit-frame-pointer -fsanitize=thread
LDFLAGS_tsan  := -fsanitize=thread
# Clang's, and its default is to go on behind a runtime error.
CFLAGS_fuzz   := -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
LDFLAGS_fuzz  := -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined

# --as-needed gives each program only the libraries whose symbols it uses, so
# that for example nothing but mapd and sync is linked against Berkeley DB.
LIBS := -Wl,--as-needed -luv -lcares -lssl -lcrypto -lconfuse -lidn2 -ljansson -lresolv \
        -ldb -lmilter -lgsasl -lcurl -lz -pthread

comma := ,

# --- What is built ---------------------------------------------------------

# One archive per room of the house; a program is its main.c plus archives.
ROOMS := base maps mapd lookup tool relay milter sync
DIRS_base   := base/core base/os base/mail
DIRS_maps   := maps maps/store maps/format
DIRS_mapd   := maps/mapd
DIRS_lookup := maps/lookup
DIRS_tool   := maps/tool
DIRS_relay  := relay
DIRS_milter := milter
DIRS_sync   := imapsync imapsync/imap imapsync/ends imapsync/journal imapsync/plan imapsync/stream \
               imapsync/apply imapsync/copy imapsync/move imapsync/jobs

MAIN_coexist-mapd   := maps/mapd/main.c
MAIN_coexist-lookup := maps/lookup/main.c
MAIN_maptool        := maps/tool/main.c
MAIN_coexist-relay  := relay/main.c
MAIN_coexist-milter := milter/main.c
MAIN_coexist-sync   := imapsync/main.c
ROOM_coexist-mapd   := mapd
ROOM_coexist-lookup := lookup
ROOM_maptool        := tool
ROOM_coexist-relay  := relay
ROOM_coexist-milter := milter
ROOM_coexist-sync   := sync
PROGRAMS := $(foreach p,coexist-mapd coexist-lookup maptool coexist-relay coexist-milter \
              coexist-sync,$(if $(wildcard $(MAIN_$(p))),$(p)))

sources = $(filter-out %/main.c,$(wildcard $(addsuffix /*.c,$(DIRS_$(1)))))
UNIT_TESTS := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
FUZZERS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
# Small programs that benches and integration tests start, one per file.
HELPERS := $(patsubst tests/bench/%.c,%,$(wildcard tests/bench/*.c)) \
           $(patsubst tests/tools/%.c,%,$(wildcard tests/tools/*.c))

.PHONY: all asan tsan helpers unit lint format sim sim-faults check demo bench chaos fuzz fuzz-corpus fuzzers soak mutants model install clean packages
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all

all: packages-build $(addprefix build/bin/,$(PROGRAMS))
asan: packages-build $(addprefix build/asan/,$(PROGRAMS))
tsan: packages-build $(addprefix build/tsan/,$(PROGRAMS))
helpers: $(addprefix build/bin/,$(notdir $(HELPERS))) build/sim/sim build/sim/trace build/sim/promises

# $(1) variant, $(2) folder for its programs
define variant_rules
build/obj/$(1)/%.o: %.c | packages-build
	@mkdir -p $$(@D)
	$$(CC) $$(BASE_CFLAGS) $$(CFLAGS_$(1)) $$(WERROR) $$(CPPFLAGS) $$(CFLAGS) -MMD -MP -c -o $$@ $$<

$$(foreach r,$$(ROOMS),$$(eval $$(call archive_rule,$(1),$$(r))))
$$(foreach p,$$(PROGRAMS),$$(eval $$(call program_rule,$(1),$(2),$$(p))))
endef

define archive_rule
build/obj/$(1)/lib$(2).a: $(patsubst %.c,build/obj/$(1)/%.o,$(call sources,$(2)))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(AR) rcs $$@ $$^
endef

archives = $(foreach r,$(2),build/obj/$(1)/lib$(r).a)

define program_rule
$(2)/$(3): build/obj/$(1)/$(MAIN_$(3):.c=.o) $(call archives,$(1),$(ROOM_$(3)) maps base)
	@mkdir -p $$(@D)
	$$(CC) $$(BASE_CFLAGS) $$(CFLAGS_$(1)) $$(LDFLAGS_$(1)) $$(LDFLAGS) -o $$@ $$^ $$(LIBS)
endef

$(eval $(call variant_rules,plain,build/bin))
$(eval $(call variant_rules,asan,build/asan))
$(eval $(call variant_rules,tsan,build/tsan))

# A test may look into every room, each program's folder included.
build/unit/%: build/obj/asan/tests/unit/%.o $(call archives,asan,$(ROOMS))
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) $(CFLAGS_asan) $(LDFLAGS_asan) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS) -lcmocka

build/bin/%: build/obj/plain/tests/bench/%.o $(call archives,plain,$(ROOMS))
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) $(CFLAGS_plain) $(LDFLAGS_plain) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS)

build/bin/%: build/obj/plain/tests/tools/%.o $(call archives,plain,$(ROOMS))
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) $(CFLAGS_plain) $(LDFLAGS_plain) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS)

# The simulation: the copy in one process with model servers.  What it calls of the clock, of poll()
# and, for planted faults, of the journal comes to the simulation first.
# Where the compiler does not see how many descriptors there are, poll() is __poll_chk() (_FORTIFY_SOURCE).
SIM_WRAPS := clock_gettime poll __poll_chk journal_intent_put journal_intent_sent_put journal_pair_put journal_pairs journal_walk \
             journal_known_get journal_folder_detach journal_is_complete journal_is_fresh resolve restored plan_make
SIM_OBJECTS = $(patsubst %.c,build/obj/$(1)/%.o,$(filter-out $(2),$(wildcard tests/sim/*.c)))
SIM_LD := $(addprefix -Wl$(comma)--wrap=,$(SIM_WRAPS))
# sim_bdb: with Berkeley DB on files instead of the journal in memory.
SIM_BDB_LD := $(SIM_LD) $(addprefix -Wl$(comma)--wrap=bdb_,env_open_as env_is_failed env_checkpoint \
                begin commit put del get cursor_open)
define sim_rule
build/sim/$(2): $(call SIM_OBJECTS,$(1),$(3)) $(call archives,$(1),sync base)
	@mkdir -p $$(@D)
	$$(CC) $$(BASE_CFLAGS) $$(CFLAGS_$(1)) $$(LDFLAGS_$(1)) -o $$@ $$(filter %.o,$$^) $(4) -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group $$(LIBS)
endef
PROMISES := promises.c promises_help.c promises_life.c promises_mail.c
SIM_BOTH := $(addprefix tests/sim/,both.c trace.c $(PROMISES))
SIM_FILES := $(addprefix tests/sim/,real_bdb.c tear.c)
$(eval $(call sim_rule,plain,sim,$(SIM_FILES) $(SIM_BOTH),$(SIM_LD)))
$(eval $(call sim_rule,asan,sim_asan,$(SIM_FILES) $(SIM_BOTH),$(SIM_LD)))
$(eval $(call sim_rule,plain,sim_bdb,tests/sim/mem_bdb.c $(SIM_BOTH),$(SIM_BDB_LD)))
# With the real clock and poll(): they talk to real servers as well.
SIM_REAL_LD := $(filter-out %=poll %=__poll_chk %=clock_gettime,$(SIM_LD))
$(eval $(call sim_rule,plain,trace,$(SIM_FILES) $(addprefix tests/sim/,sim.c many.c $(PROMISES)),$(SIM_REAL_LD)))
$(eval $(call sim_rule,plain,promises,$(SIM_FILES) $(addprefix tests/sim/,sim.c many.c trace.c),$(SIM_REAL_LD)))

# Unit tests of the copy between model servers.
COPY_TESTS := $(patsubst tests/unit/%.c,build/unit/%,$(shell grep -l copy_rig.h tests/unit/test_*.c))
$(COPY_TESTS): build/unit/%: build/obj/asan/tests/unit/%.o \
  $(call SIM_OBJECTS,asan,$(SIM_FILES) $(SIM_BOTH) tests/sim/sim.c tests/sim/many.c) $(call archives,asan,sync base)
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) $(CFLAGS_asan) $(LDFLAGS_asan) -o $@ $(filter %.o,$^) $(SIM_LD) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS) -lcmocka

# Corpus replay needs no clang: the fuzz target is linked to a small main.
build/replay/%: build/obj/asan/tests/fuzz/%.o build/obj/asan/tests/fuzz/replay.o $(call archives,asan,$(ROOMS))
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) $(CFLAGS_asan) $(LDFLAGS_asan) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS)

build/obj/fuzz/%.o: %.c | packages-build
	@mkdir -p $(@D)
	$(CLANG) -std=c17 -g -pthread $(CFLAGS_fuzz) $(CPPFLAGS) -MMD -MP -c -o $@ $<

$(foreach r,$(ROOMS),$(eval $(call archive_rule,fuzz,$(r))))

build/fuzz/%: build/obj/fuzz/tests/fuzz/%.o $(call archives,fuzz,$(ROOMS))
	@mkdir -p $(@D)
	$(CLANG) -g -pthread $(LDFLAGS_fuzz) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS)

# --- Packages --------------------------------------------------------------

.PHONY: packages-build packages-check packages-demo packages-bench packages-fuzz packages-soak
packages-build:
	@sh tests/tools/packages.sh verify build
packages-check packages-demo packages-bench packages-fuzz packages-soak: packages-%:
	@sh tests/tools/packages.sh install $*

# --- Tests -----------------------------------------------------------------

unit: $(addprefix build/unit/,$(UNIT_TESTS)) $(addprefix build/replay/,$(FUZZERS)) build/sim/sim build/sim/promises
	@$(PYTHON) tests/tools/run_unit.py

lint:
	@$(PYTHON) tests/tools/lint.py
	@$(PYTHON) tests/tools/mutate.py --check
	@$(PYTHON) tests/chaos/mutants.py --check

format:
	git ls-files -co --exclude-standard '*.c' '*.h' | xargs clang-format -i

model:
	@$(PYTHON) tests/tools/run_model.py

# One in twenty with Berkeley DB, and other seeds; and these over three connections to each server.
sim: build/sim/sim build/sim/sim_bdb
	@build/sim/sim -s $(SIM_FIRST) -n $$(($(SIM_HISTORIES) - $(SIM_HISTORIES) / 20 - $(SIM_FIRST) + 1))
	@build/sim/sim_bdb -n $$(($(SIM_HISTORIES) / 20)) -s $$(($(SIM_HISTORIES) + 1))
	@build/sim/sim -c 3 -n $$(($(SIM_HISTORIES) / 20)) -s $$(($(SIM_HISTORIES) + 1))

# How many of the errors that somebody could make the simulation would find.
sim-faults: build/sim/sim
	@build/sim/sim -p -n 3000

check: packages-check
	@$(PYTHON) tests/tools/check.py

demo: packages-demo
	@echo 'coexist: building'
	@$(MAKE) --no-print-directory -s -j$(JOBS) all helpers
	@$(PYTHON) tests/tools/demo.py

BENCHES := relay lookup copy follow export many large size wide connections
.PHONY: $(BENCHES)
bench: packages-bench
	@echo 'coexist: building'
	@$(MAKE) --no-print-directory -s -j$(JOBS) all helpers
	@$(PYTHON) tests/bench/bench.py $(filter $(BENCHES),$(MAKECMDGOALS))

# "make bench copy follow": the names are no work of their own.
$(BENCHES):
	@:

# What is more of the same than `make check` has time for: histories, schedules with real programs, kills.  Histories that
# were stopped go on with CHAOS_FIRST=N, the number that the last line of progress says.
chaos: packages-check
	@$(MAKE) --no-print-directory -s -j$(JOBS) all asan helpers
	@$(MAKE) --no-print-directory -s sim SIM_HISTORIES=$(CHAOS_HISTORIES) SIM_FIRST=$(CHAOS_FIRST)
	$(PYTHON) tests/chaos/chaos.py -n $(CHAOS_SCHEDULES)
	$(PYTHON) tests/chaos/chaos.py --mutants
	COEXIST_KILLS=$(CHAOS_KILLS) $(PYTHON) -m pytest -q -p no:cacheprovider -k 'kill or stopped or fault' tests/integration

fuzz: packages-fuzz
	@$(MAKE) --no-print-directory -s -j$(JOBS) fuzzers
	@FUZZ_SECONDS=$(FUZZ_SECONDS) $(PYTHON) tests/tools/run_fuzz.py

# The best of what was found becomes part of the tree, to be replayed by every `make unit`.
fuzz-corpus: packages-fuzz
	@$(MAKE) --no-print-directory -s -j$(JOBS) fuzzers
	@$(PYTHON) tests/tools/fuzz_corpus.py

fuzzers: $(addprefix build/fuzz/,$(FUZZERS) planted_error)

soak: packages-soak
	@$(PYTHON) tests/tools/soak.py

mutants: packages-check
	@$(PYTHON) tests/tools/mutate.py

# --- Install ---------------------------------------------------------------

SBIN_PROGRAMS := $(filter-out maptool,$(PROGRAMS))
install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1 \
	  $(DESTDIR)$(PREFIX)/share/man/man5 $(DESTDIR)$(PREFIX)/share/man/man7 $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 755 $(addprefix build/bin/,$(SBIN_PROGRAMS)) $(DESTDIR)$(PREFIX)/sbin
	install -m 755 build/bin/maptool $(DESTDIR)$(PREFIX)/bin
	for s in 1 5 7 8; do for f in docs/man/*.$$s; do \
	  [ ! -e "$$f" ] || install -m 644 "$$f" $(DESTDIR)$(PREFIX)/share/man/man$$s; done; done

clean:
	rm -rf build

-include $(shell find build/obj -name '*.d' 2>/dev/null)
