# waypost: one non-recursive Makefile. Sources are found by wildcard; see docs/ARCHITECTURE.md.
#   make            programs in build/bin        make SAN=1 ...   ASan + UBSan, in build/san
#   make check      all tests                    make fuzz        libFuzzer targets (clang), FUZZ_SECONDS each
#   make lint       layers, budgets, style       make fault       fault injection
#   make bench      benchmarks that run alone    make install     DESTDIR= PREFIX=
VERSION := 0.1.0
PREFIX  ?= /usr/local
DESTDIR ?=
CC      := $(if $(filter default,$(origin CC)),gcc,$(CC))

BUILD := build$(if $(SAN),/san)
WARN  := -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes -Wstrict-prototypes -Wvla -Wformat=2 \
         $(if $(WERROR),-Werror)
HARDEN := -fstack-protector-strong -fPIE $(if $(filter x86_64,$(shell uname -m)),-fcf-protection)
ifdef SAN
OPT := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
LDOPT := -fsanitize=address,undefined
else
OPT := -O2 -g -D_FORTIFY_SOURCE=2
endif
CPPFLAGS += -D_GNU_SOURCE -DWAYPOST_VERSION='"$(VERSION)"' -Ilib -Icmd
CFLAGS   += -std=gnu17 $(OPT) $(WARN) $(HARDEN) -ffunction-sections -fdata-sections
LDFLAGS  += $(LDOPT) -pie -Wl,-z,relro,-z,now -Wl,--gc-sections -Wl,--as-needed
# Every program names every library; --as-needed keeps only those that it uses.
LDLIBS   := -lssl -lcrypto -lresolv -lcrypt -lidn2 -lz -ljansson

PROGS := $(notdir $(patsubst %/main.c,%,$(wildcard cmd/*/main.c)))
LIB_SRC  := $(filter-out %_test.c %_fuzz.c,$(wildcard lib/*/*.c))
CMD_SRC  := $(filter-out %_test.c %_fuzz.c,$(wildcard cmd/*/*.c))
TEST_SRC := $(wildcard lib/*/*_test.c cmd/*/*_test.c)
FUZZ_SRC := $(wildcard lib/*/*_fuzz.c cmd/*/*_fuzz.c)
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
.PHONY: all lib tests check lint fuzz fault bench install peers clean
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

agent_of = $(word 2,$(subst /, ,$(1)))
$(TESTS): $(BUILD)/test/%: $(BUILD)/obj/%.o $$(if $$(filter cmd/%,$$*),$$(call agent_obj,$$(call agent_of,$$*))) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) $(LDLIBS) -lcmocka

$(REPLAYS): $(BUILD)/replay/%: $(BUILD)/obj/%_fuzz.o $(BUILD)/obj/tests/replay.o $$(if $$(filter cmd/%,$$*),$$(call agent_obj,$$(call agent_of,$$*))) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) $(LDLIBS)

tests: $(TESTS) $(REPLAYS)

check: all tests
	tests/run --build $(BUILD)

clean:
	rm -rf build

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
