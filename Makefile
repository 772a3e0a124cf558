# waypost: one non-recursive Makefile. Sources are found by wildcard; see docs/ARCHITECTURE.md.
#   make            programs in build/bin        make SAN=1 ...   ASan + UBSan, in build/san
#   make check      all tests                    make fuzz        libFuzzer targets (clang), FUZZ_SECONDS each
#   make lint       layers, budgets, style       make fault       fault injection
#   make coverage   lines that the tests run, of COVER (lib/smtp); ONLY as in check
#   make bench      benchmarks that run alone    make install     DESTDIR= PREFIX=
VERSION := 0.1.0
PREFIX  ?= /usr/local
DESTDIR ?=
CC      := $(if $(filter default,$(origin CC)),gcc,$(CC))

BUILD := build$(if $(SAN),/san)$(if $(COV),/cov)
WARN  := -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes -Wstrict-prototypes -Wvla -Wformat=2 \
         $(if $(WERROR),-Werror)
HARDEN := -fstack-protector-strong -fPIE $(if $(filter x86_64,$(shell uname -m)),-fcf-protection)
ifdef SAN
OPT := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer \
       $(if $(findstring clang,$(CC)),-D__SANITIZE_ADDRESS__) # as gcc defines it
# ASan itself defines crypt_r, which is why the linker would leave the real one out.
LDOPT := -fsanitize=address,undefined -Wl,--push-state,--no-as-needed -lcrypt -Wl,--pop-state
else ifdef COV
OPT := -O0 -g --coverage -fprofile-update=atomic
else
OPT := -O2 -g -D_FORTIFY_SOURCE=2
endif
CPPFLAGS += -D_GNU_SOURCE -DWAYPOST_VERSION='"$(VERSION)"' -Ilib -Icmd -I.
CFLAGS   += -std=gnu17 $(OPT) $(WARN) $(HARDEN) -ffunction-sections -fdata-sections
LDFLAGS  += $(LDOPT) -pie -Wl,-z,relro,-z,now -Wl,--gc-sections -Wl,--as-needed
# Every program names every library; --as-needed keeps only those that it uses.
LDLIBS   := -lssl -lcrypto -lresolv -lcrypt -lidn2 -lz -ljansson -lpcre2-8 -lseccomp

PROGS := $(notdir $(patsubst %/main.c,%,$(wildcard cmd/*/main.c)))
# A folder of lib or cmd may have rooms, which are folders too.
sources   = $(wildcard $(1:%=lib/*/%) $(1:%=lib/*/*/%) $(1:%=cmd/*/%) $(1:%=cmd/*/*/%))
SRC      := $(filter-out %_test.c %_fuzz.c,$(call sources,*.c))
LIB_SRC  := $(filter lib/%,$(SRC))
CMD_SRC  := $(filter cmd/%,$(SRC))
TEST_SRC := $(call sources,*_test.c) $(wildcard tests/*/*_test.c)
FUZZ_SRC := $(call sources,*_fuzz.c)
LIB      := $(BUILD)/libwaypost.a
BINS     := $(PROGS:%=$(BUILD)/bin/%)
TESTS    := $(TEST_SRC:%.c=$(BUILD)/test/%)
REPLAYS  := $(FUZZ_SRC:%_fuzz.c=$(BUILD)/replay/%)
FUZZERS  := $(FUZZ_SRC:%_fuzz.c=build/fuzz/%)
obj       = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
# An agent's objects without its main, for its tests and fuzz targets.
agent_obj = $(call obj,$(filter-out cmd/$(1)/main.c,$(filter cmd/$(1)/%,$(CMD_SRC))))

all: $(BINS)
lib: $(LIB)
.PHONY: all lib tests check coverage lint fuzz fault bench install peers clean
.SECONDARY:
.SECONDEXPANSION:

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(LIB): $(call obj,$(LIB_SRC))
	@rm -f $@
	$(AR) rcs $@ $^

$(BINS): $(BUILD)/bin/%: $$(call agent_obj,$$*) $(BUILD)/obj/cmd/%/main.o $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) $(LDLIBS)

# The agent's sources and objects for what lies in cmd/. No '%' may stand in the prerequisites: the stem would take its place.
own_src = $(if $(filter cmd/%,$(1)),$(filter-out %/main.c,$(filter cmd/$(word 2,$(subst /, ,$(1)))/%,$(CMD_SRC))))
# A test below tests/ has the other sources of its folder.
own_obj = $(call obj,$(call own_src,$(1)) $(if $(filter tests/%,$(1)),$(filter-out %_test.c,$(wildcard $(dir $(1))*.c))))
$(TESTS): $(BUILD)/test/%: $(BUILD)/obj/%.o $$(call own_obj,$$*) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) $(LDLIBS) -lcmocka

$(REPLAYS): $(BUILD)/replay/%: $(BUILD)/obj/%_fuzz.o $(BUILD)/obj/tests/replay.o $$(call own_obj,$$*) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) $(LDLIBS)

# Preloaded by tests: makes the n-th file operation fail or kill; does what an intruder would.
PRELOADS := $(BUILD)/libfault.so $(BUILD)/libbreakout.so
$(PRELOADS): $(BUILD)/lib%.so: tests/$$*/$$*lib.c $$(wildcard tests/$$*/*.h)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=gnu17 -O2 -g $(WARN) -fPIC -shared -o $@ $< -ldl

tests: $(TESTS) $(REPLAYS) $(PRELOADS)

# JOBS: tests at a time; ONLY: those whose path contains it.
check: all tests
	tests/run --build $(BUILD) $(if $(JOBS),--jobs $(JOBS)) $(ONLY)

# A worker that is killed leaves no counts: what only it runs is not counted.
COVER ?= lib/smtp
coverage:
	$(MAKE) COV=1 all tests
	find build/cov -name '*.gcda' -delete
	tests/run --build build/cov $(if $(JOBS),--jobs $(JOBS)) $(ONLY)
	gcovr --root . --object-directory build/cov --filter '$(COVER)/' --exclude '.*_test.c' --exclude '.*_fuzz.c' build/cov

fault: all tests
	WAYPOST_CRASH_SECONDS=0 tests/run --build $(BUILD) tests/crash
	tests/fault/run --build $(BUILD) $(if $(JOBS),--jobs $(JOBS)) $(ONLY)

lint: all
	tests/lint/run --build $(BUILD)
	cppcheck --quiet --std=c11 --language=c --enable=warning,performance,portability --inline-suppr \
	  --suppressions-list=tests/lint/cppcheck.txt --error-exitcode=1 -D_GNU_SOURCE -DWAYPOST_VERSION='""' -Ilib -Icmd -j 2 lib cmd

# Coverage-guided runs: FUZZ_SECONDS for each target; what is found stands in build/fuzz/found.
FUZZ_SECONDS ?= 60
FUZZ_FLAGS := -D_GNU_SOURCE -DWAYPOST_VERSION='"$(VERSION)"' -Ilib -Icmd -std=gnu17 -O1 -g -fno-omit-frame-pointer
$(FUZZERS): build/fuzz/%: %_fuzz.c $(LIB_SRC) $$(call own_src,$$*) build/fuzz/libwaypost.a
	@mkdir -p $(@D)
	clang $(FUZZ_FLAGS) -fsanitize=fuzzer,address,undefined -o $@ $(filter-out lib/% %.a,$(filter %.c,$^)) \
	  $(filter lib/%_fuzz.c,$^) build/fuzz/libwaypost.a $(LDLIBS)
build/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	clang $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link,address,undefined -c -o $@ $<
build/fuzz/libwaypost.a: $(LIB_SRC:%.c=build/fuzz/obj/%.o)
	@rm -f $@
	$(AR) rcs $@ $^
fuzz: $(FUZZERS)
	tests/fuzz/run $(FUZZ_SECONDS) $(FUZZERS)

bench: all
	@for b in bench/*; do if [ -f $$b ] && [ -x $$b ]; then BUILD=$(BUILD) $$b || exit 1; fi; done

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man
	install -m 755 $(BINS) $(DESTDIR)$(PREFIX)/bin
	for name in sendmail mailq newaliases; do ln -sf mua-send $(DESTDIR)$(PREFIX)/bin/$$name || exit 1; done
	for page in man/*.[1-9]; do s=$${page##*.}; install -d $(DESTDIR)$(PREFIX)/share/man/man$$s && \
	  install -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man$$s || exit 1; done
	install -d $(DESTDIR)$(PREFIX)/share/waypost
	cp -R share/. $(DESTDIR)$(PREFIX)/share/waypost

peers:
	tests/peers

clean:
	rm -rf build

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
