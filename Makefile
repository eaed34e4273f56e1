# mailtree. `make help` lists the targets.
PREFIX	   ?= /usr/local
BINDIR	   ?= $(PREFIX)/bin
LIBEXECDIR ?= $(PREFIX)/libexec/mailtree
MANDIR	   ?= $(PREFIX)/share/man
DOCDIR	   ?= $(PREFIX)/share/doc/mailtree
DESTDIR	   ?=
SYSCONFDIR ?= /etc

CC	?= cc
CFLAGS	?= -O2 -g
BUILD	?= build
SAN	?=
PKG_CONFIG ?= pkg-config
VERSION := 0.1

WARN	= -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes \
	  -Wmissing-prototypes -Wpointer-arith -Wvla -Werror
MT_CFLAGS = -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I. -pthread $(WARN) $(SAN) \
	  -fstack-protector-strong -fno-strict-aliasing -DMT_VERSION='"$(VERSION)"' \
	  -DMT_SYSCONFDIR='"$(SYSCONFDIR)"'
MT_LDFLAGS = -pthread $(SAN) -Wl,-z,relro,-z,now

FUSE_CFLAGS := $(shell $(PKG_CONFIG) --cflags fuse3 2>/dev/null)
FUSE_LIBS   := $(shell $(PKG_CONFIG) --libs fuse3 2>/dev/null)
# Without it letters have no case beyond ASCII when mail is searched.
UTF8PROC_CFLAGS := $(shell $(PKG_CONFIG) --exists libutf8proc 2>/dev/null && \
		     echo -DMT_UTF8PROC $$($(PKG_CONFIG) --cflags libutf8proc))
UTF8PROC_LIBS	:= $(shell $(PKG_CONFIG) --libs libutf8proc 2>/dev/null)

# Without it there are no mechanisms but PLAIN, LOGIN, EXTERNAL and ANONYMOUS.
SASL_CFLAGS := $(shell $(PKG_CONFIG) --exists libsasl2 2>/dev/null && \
		 echo -DMT_SASL $$($(PKG_CONFIG) --cflags libsasl2))
SASL_LIBS   := $(shell $(PKG_CONFIG) --libs libsasl2 2>/dev/null)

# Without it there are no passwords stored by Argon2.
SODIUM_CFLAGS := $(shell $(PKG_CONFIG) --exists libsodium 2>/dev/null && \
		   echo -DMT_SODIUM $$($(PKG_CONFIG) --cflags libsodium))
SODIUM_LIBS   := $(shell $(PKG_CONFIG) --libs libsodium 2>/dev/null)

# What changed since last time is built again: flags, and the prefix for what knows it.
remember = $(if $(subst |$(file <$1)|,,|$2|),$(shell mkdir -p '$(BUILD)')$(file >$1,$2))
FLAGS := $(CC) $(CPPFLAGS) $(CFLAGS) $(MT_CFLAGS) $(LDFLAGS) $(FUSE_CFLAGS) $(UTF8PROC_CFLAGS) \
	 $(SASL_CFLAGS) $(SODIUM_CFLAGS)
$(call remember,$(BUILD)/flags,$(FLAGS))
$(call remember,$(BUILD)/prefix,$(LIBEXECDIR))

Q = $(if $(V),,@)
say = $(if $(V),,@printf '  %-4s %s\n' $1 $@)

# ---- what is built from what: libraries are folders, programs are their main.c -------
src	  = $(filter-out %/main.c,$(wildcard $1/*.c))
LIBS	  = base store fs mime view pop3 imap server command
base_SRC   := $(call src,storage/base)
store_SRC  := $(call src,storage)
fs_SRC	   := $(call src,fs)
mime_SRC   := $(call src,storage/mime)
view_SRC   := $(call src,protocol)
pop3_SRC   := $(call src,protocol/pop3)
imap_SRC   := $(call src,protocol/imap)
server_SRC := $(call src,protocol/server)
command_SRC := $(call src,protocol/command)

PROGS = mailtreed mailtree mailtree-pop3 mailtree-imap mailtree-auth mailtree-login
mailtreed_SRC	   := fs/main.c
mailtreed_USES	   := fs store base
mailtreed_LIBS	    = $(FUSE_LIBS)
mailtree_SRC	   := protocol/command/main.c
mailtree_USES	   := command server pop3 imap view base
mailtree_LIBS	    = -lcrypt -lssl -lcrypto $(SODIUM_LIBS)
mailtree-pop3_SRC  := protocol/pop3/main.c
mailtree-pop3_USES := pop3 view base
mailtree-pop3_LIBS  =
mailtree-imap_SRC  := protocol/imap/main.c
mailtree-imap_USES := imap mime view base
mailtree-imap_LIBS  = $(UTF8PROC_LIBS)
mailtree-auth_SRC  := $(wildcard protocol/server/auth/*.c)
mailtree-auth_USES := server view base
mailtree-auth_LIBS  = -lcrypt -lpam -lcrypto $(SASL_LIBS) $(SODIUM_LIBS)
mailtree-login_SRC := $(wildcard protocol/server/login/*.c)
mailtree-login_USES:= server pop3 imap view base
mailtree-login_LIBS = -lssl -lcrypto

obj	= $(patsubst %.c,$(BUILD)/%.o,$1)
lib	= $(patsubst %,$(BUILD)/lib%.a,$1)

all: $(addprefix $(BUILD)/,$(PROGS))

define lib_rule
$(BUILD)/lib$1.a: $(call obj,$($1_SRC))
	$$(call say,AR)
	$$(Q)rm -f $$@; $$(AR) rcs $$@ $$^
endef
$(foreach l,$(LIBS),$(eval $(call lib_rule,$l)))

define prog_rule
$(BUILD)/$1: $(call obj,$($1_SRC)) $(call lib,$($1_USES))
	$$(call say,LD)
	$$(Q)$$(CC) $$(CFLAGS) $$(LDFLAGS) $$(MT_LDFLAGS) -o $$@ $$^ $$($1_LIBS)
endef
$(foreach p,$(PROGS),$(eval $(call prog_rule,$p)))

# What `mailtree version` lists: `name version` each; no version: it was not found.
PARTS := $(foreach p,fuse3 libcrypto pam libcrypt libutf8proc libsasl2 libsodium,$p $(shell $(PKG_CONFIG) --modversion $p 2>/dev/null),)

$(BUILD)/fs/%.o: MT_CFLAGS += $(FUSE_CFLAGS)
$(BUILD)/protocol/server/config.o $(BUILD)/protocol/server/auth/%.o: MT_CFLAGS += $(SASL_CFLAGS)
$(BUILD)/protocol/server/pw%.o $(BUILD)/tests/unit/test_pwhash.o: MT_CFLAGS += $(SODIUM_CFLAGS)
$(BUILD)/storage/mime/%.o: MT_CFLAGS += $(UTF8PROC_CFLAGS)
$(BUILD)/storage/base/program.o: MT_CFLAGS += -DMT_LIBEXECDIR='"$(LIBEXECDIR)"'
$(BUILD)/storage/base/program.o: $(BUILD)/prefix
$(BUILD)/protocol/seal.o: MT_CFLAGS += -I$(BUILD)
$(BUILD)/protocol/seal.o: $(BUILD)/callnames.inc
$(BUILD)/protocol/command/version.o: MT_CFLAGS += -DMT_PARTS='"$(PARTS)"'
# What the machine calls its system calls.
$(BUILD)/callnames.inc: Makefile
	$(Q)mkdir -p $(@D)
	$(Q)echo '#include <sys/syscall.h>' | $(CC) $(CPPFLAGS) $(CFLAGS) -E -dM - | \
	    sed -n 's/^#define SYS_\([a-z0-9_]*\) .*/{SYS_\1, "\1"},/p' | sort >$@.new && mv $@.new $@
$(BUILD)/%.o: %.c Makefile $(BUILD)/flags
	$(call say,CC)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(MT_CFLAGS) -MMD -MP -c -o $@ $<

# ---- tests ----------------------------------------------------------------------------
UNIT	  := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test_*.c))
FUZZ	  := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
TOOLS	  := $(patsubst tests/tools/%.c,$(BUILD)/tests/tools/%,$(wildcard tests/tools/*.c))
TEST_LIBS  = $(call lib,fs store command server pop3 imap mime view base)
TEST_LINK  = $(FUSE_LIBS) $(UTF8PROC_LIBS) -lcrypt -lpam -lssl -lcrypto $(SODIUM_LIBS)

$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(call obj,$(wildcard tests/unit/support/*.c)) $(TEST_LIBS)
	$(call say,LD)
	$(Q)$(CC) $(CFLAGS) $(MT_LDFLAGS) -o $@ $^ $(TEST_LINK) -lcmocka

$(BUILD)/tests/tools/%: $(BUILD)/tests/tools/%.o $(TEST_LIBS)
	$(call say,LD)
	$(Q)$(CC) $(CFLAGS) $(MT_LDFLAGS) -o $@ $^ $(TEST_LINK)

$(BUILD)/tests/fuzz/%: $(BUILD)/tests/fuzz/%.o $(call obj,tests/unit/support/fakebox.c) $(TEST_LIBS)
	$(call say,LD)
	$(Q)$(CC) $(CFLAGS) $(MT_LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(TEST_LINK)

tools: $(TOOLS)
unit: $(UNIT)
check: all unit tools		## unit tests
	$(Q)scripts/unit $(UNIT)

ASAN = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
TSAN = -fsanitize=thread -fno-omit-frame-pointer
# One build serves both: what is compiled for libFuzzer does no harm in other programs.
asan:				## unit tests under ASan and UBSan, with clang (build/asan)
	$(Q)$(MAKE) BUILD=build/asan CC=clang CFLAGS='-O1 -g' \
	    SAN='$(ASAN) -fsanitize=fuzzer-no-link' $(or $(GOAL),check)
fuzz:				## fuzz targets (build/asan; scripts/fuzz runs them)
	$(Q)$(MAKE) asan GOAL=fuzz-targets
tsan:				## unit tests under TSan (build/tsan)
	$(Q)$(MAKE) BUILD=build/tsan SAN='$(TSAN)' CFLAGS='-O1 -g' $(or $(GOAL),check)
clang:				## everything with clang (build/clang)
	$(Q)$(MAKE) BUILD=build/clang CC=clang all unit tools
fuzz-targets: $(FUZZ)
bench: all tools		## timings beside the raw directory (scripts/bench)
	$(Q)scripts/bench
layers: all			## direction of includes and links, each header alone
	$(Q)scripts/layers

# ---- the rest ---------------------------------------------------------------------------
MAN := $(wildcard storage/*.[1-8] fs/*.[1-8] protocol/*.[1-8] protocol/*/*.[1-8])
install: all			## DESTDIR, PREFIX
	install -d '$(DESTDIR)$(BINDIR)' '$(DESTDIR)$(LIBEXECDIR)'
	install -m 755 $(BUILD)/mailtree '$(DESTDIR)$(BINDIR)/'
	install -m 755 $(addprefix $(BUILD)/,$(filter-out mailtree,$(PROGS))) '$(DESTDIR)$(LIBEXECDIR)/'
	install -d '$(DESTDIR)$(DOCDIR)'
	install -m 644 README.md LICENSE $(wildcard protocol/server/*.example) '$(DESTDIR)$(DOCDIR)/'
	for m in $(MAN); do d='$(DESTDIR)$(MANDIR)'/man$${m##*.}; install -d "$$d" && \
	    install -m 644 "$$m" "$$d/" || exit 1; done

clean:				## remove build/
	rm -rf build

help:				## this list
	@echo 'make              build everything into build/'
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):[^#]*## */make \1|/' | \
	    awk -F'|' '{ printf "%-17s %s\n", $$1, $$2 }'

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
.PHONY: all check asan tsan clang fuzz fuzz-targets bench layers install clean help tools unit
.SECONDARY:
