# Builds everything into build/.  make SAN=1: with AddressSanitizer and UBSan, into build-san/.
#   make            the extension, the module that brings it into a program (LD_PRELOAD), the import module and its parser, the file driver
#   scripts/package: a Debian package of it
#   make check      unit and scenario tests            make install PREFIX=/usr/local DESTDIR=
CC      ?= gcc
SAN     ?=
B       ?= $(if $(SAN),build-san,build)
# One name for one folder: what was compiled knows its headers by that.
override B := $(patsubst $(CURDIR)/%,%,$(abspath $(B)))
PREFIX  ?= /usr/local
# The rights matrix that is embedded; the mutation test gives another one.
RIGHTS  ?= schema/rights.tsv

WARN    := -std=c11 -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wwrite-strings
OPT     ?= -O2 -g
HARDEN  := -D_GNU_SOURCE -fPIC -fvisibility=hidden -fstack-protector-strong $(if $(SAN),,-D_FORTIFY_SOURCE=2)
, := ,
SANFLAG := $(if $(SAN),-fsanitize=address$(,)undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
CFLAGS  += $(WARN) $(OPT) $(HARDEN) $(SANFLAG) -Iinclude -Iext -I$(B)/gen
LDFLAGS += $(SANFLAG) -Wl,-z,relro,-z,now

FUSE_CFLAGS := $(shell pkg-config --cflags fuse3)
FUSE_LIBS   := $(shell pkg-config --libs fuse3)
XML_CFLAGS  := $(shell pkg-config --cflags libxml-2.0)
XML_LIBS    := $(shell pkg-config --libs libxml-2.0)
XSL_CFLAGS  := $(shell pkg-config --cflags libxslt)
XSL_LIBS    := $(shell pkg-config --libs libxslt)

# ext/import_*.c belong to dmp_import.so, ext/parse_*.c to the child that parses, ext/draw_*.c to the helper that draws,
# ext/preload_*.c to dmp_preload.so; the rest is dmp.so.
EXT_SRC    := $(filter-out ext/import_% ext/parse_% ext/draw_% ext/preload_%,$(wildcard ext/*.c))
IMPORT_SRC := $(wildcard ext/import_*.c)
PARSE_SRC  := $(wildcard ext/parse_*.c) ext/syntax.c ext/bytes.c
DRAW_SRC   := $(wildcard ext/draw_*.c) ext/parse_jail.c ext/parse_text.c ext/syntax.c ext/bytes.c
FUSE_SRC   := $(wildcard fuse/*.c)
TEST_SRC   := $(wildcard tests/test_*.c)

obj = $(patsubst %.c,$(B)/obj/%.o,$(1))
EXT_OBJ := $(call obj,$(EXT_SRC))
GEN     := $(B)/gen/rights_data.h $(B)/gen/section_data.h $(B)/gen/layout_sql.h $(B)/gen/cda_xsl.h

all: $(B)/dmp.so $(B)/dmp_preload.so $(if $(IMPORT_SRC),$(B)/dmp_import.so $(B)/dmp-parse) $(if $(FUSE_SRC),$(B)/dmpfs $(B)/dmp-draw)

$(B)/gen/rights_data.h: scripts/embed $(wildcard schema/*.tsv) $(RIGHTS)
	@mkdir -p $(@D)
	scripts/embed rights $(RIGHTS) > $@.tmp && mv $@.tmp $@
$(B)/gen/section_data.h: scripts/embed schema/sections.tsv
	@mkdir -p $(@D)
	scripts/embed sections schema/sections.tsv > $@.tmp && mv $@.tmp $@
$(B)/gen/layout_sql.h: scripts/embed schema/layout.sql schema/sections.tsv schema/profession.tsv
	@mkdir -p $(@D)
	scripts/embed pages schema/sections.tsv schema/profession.tsv > $@.pages
	scripts/embed text layout_sql schema/layout.sql $@.pages > $@.tmp && mv $@.tmp $@
$(B)/gen/cda_xsl.h: scripts/embed schema/cda.xsl
	@mkdir -p $(@D)
	scripts/embed text cda_xsl schema/cda.xsl > $@.tmp && mv $@.tmp $@

$(B)/obj/fuse/%.o: CFLAGS += $(FUSE_CFLAGS)
$(B)/obj/ext/parse_%.o: CFLAGS += $(XML_CFLAGS)
$(B)/obj/ext/draw_%.o: CFLAGS += $(XSL_CFLAGS)
$(B)/obj/%.o: %.c Makefile | $(GEN)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c $< -o $@

# The extension links no libsqlite3: it uses the API that its host gives it.
$(B)/dmp.so: $(EXT_OBJ)
	$(CC) $(CFLAGS) -shared $^ -o $@ $(LDFLAGS) -lsodium -lpthread -lm
$(B)/dmp_preload.so: $(call obj,ext/preload_dmp.c)
	$(CC) $(CFLAGS) -shared $^ -o $@ $(LDFLAGS) -ldl
$(B)/dmp_import.so: $(call obj,$(IMPORT_SRC) ext/syntax.c ext/bytes.c ext/rights.c ext/suite.c)
	$(CC) $(CFLAGS) -shared $^ -o $@ $(LDFLAGS) -lsodium
$(B)/dmp-parse: $(call obj,$(PARSE_SRC))
	$(CC) $(CFLAGS) $^ -o $@ $(LDFLAGS) $(XML_LIBS)
$(B)/dmp-draw: $(call obj,$(DRAW_SRC))
	$(CC) $(CFLAGS) $^ -o $@ $(LDFLAGS) $(XSL_LIBS)
$(B)/dmpfs: $(call obj,$(FUSE_SRC))
	$(CC) $(CFLAGS) $^ -o $@ $(LDFLAGS) $(FUSE_LIBS) -lsqlite3 -lpthread

# Unit tests link the sources they test: -DSQLITE_CORE gives them SQLite's functions directly.
CORE_OBJ := $(patsubst %.c,$(B)/core/%.o,$(filter-out ext/random.c,$(EXT_SRC)))
$(B)/core/%.o: %.c Makefile | $(GEN)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -DSQLITE_CORE -MMD -MP -c $< -o $@
$(B)/tests/%: tests/%.c $(CORE_OBJ) $(B)/core/ext/random.o
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -DSQLITE_CORE -Itests $^ -o $@ $(LDFLAGS) -lcmocka -lsqlite3 -lsodium -lpthread -lm
.SECONDARY:

# Two builds that cannot be shipped, each in a folder of its own: the same sources with one object replaced.
# random/dmp.so draws its random bytes from a seed (its records carry format 0xFFFF); yes/dmp.so always grants every right.
$(B)/random/dmp.so: $(filter-out $(B)/obj/ext/random.o,$(EXT_OBJ)) $(B)/obj/tests/random_test.o
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -shared $^ -o $@ $(LDFLAGS) -lsodium -lpthread -lm
$(B)/yes/dmp.so: $(filter-out $(B)/obj/ext/rights.o,$(EXT_OBJ)) $(B)/obj/tests/rights_yes.o
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -shared $^ -o $@ $(LDFLAGS) -lsodium -lpthread -lm
test-builds: $(B)/random/dmp.so $(B)/yes/dmp.so

TESTS := $(patsubst tests/%.c,$(B)/tests/%,$(TEST_SRC))
unit: $(TESTS)
	@set -e; for t in $(TESTS); do echo "== $$t"; $$t; done

check: all unit

$(B)/man/%: scripts/man README.md $(wildcard scripts/dmp.d/*.py)
	@mkdir -p $(@D)
	scripts/man $* > $@.tmp && mv $@.tmp $@

# Never the test builds of $(B)/random and $(B)/yes.
install: all $(B)/man/dmp.1 $(B)/man/dmp.7
	install -d $(DESTDIR)$(PREFIX)/lib/dmp/dmp.d $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(B)/dmp.so $(B)/dmp_preload.so $(B)/dmp_import.so $(DESTDIR)$(PREFIX)/lib/dmp
	install -m 755 $(B)/dmp-parse $(B)/dmp-draw $(B)/dmpfs $(DESTDIR)$(PREFIX)/lib/dmp
	install -m 644 scripts/dmp.d/*.py $(DESTDIR)$(PREFIX)/lib/dmp/dmp.d
	install -m 755 scripts/dmp scripts/dmp-desk $(DESTDIR)$(PREFIX)/bin
	install -d $(DESTDIR)$(PREFIX)/share/dmp/layouts $(DESTDIR)$(PREFIX)/share/dmp/schema
	install -m 644 schema/*.tsv $(DESTDIR)$(PREFIX)/share/dmp/schema
	install -m 644 schema/layouts/*.sql $(DESTDIR)$(PREFIX)/share/dmp/layouts
	ln -sf ../lib/dmp/dmpfs $(DESTDIR)$(PREFIX)/bin/dmpfs
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/share/doc/dmp
	ln -sf ../lib/dmp/dmpfs $(DESTDIR)$(PREFIX)/sbin/mount.dmpfs
	sed 's,@PREFIX@,$(PREFIX),' fuse/dmpfs@.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/dmpfs@.service
	chmod 644 $(DESTDIR)$(PREFIX)/lib/systemd/system/dmpfs@.service
	install -m 644 README.md fuse/smb.conf $(DESTDIR)$(PREFIX)/share/doc/dmp
	install -d $(foreach s,1 7 8,$(DESTDIR)$(PREFIX)/share/man/man$(s))
	install -m 644 $(B)/man/dmp.1 fuse/dmpfs.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 $(B)/man/dmp.7 $(DESTDIR)$(PREFIX)/share/man/man7
	install -m 644 fuse/mount.dmpfs.8 $(DESTDIR)$(PREFIX)/share/man/man8

clean:
	rm -rf build build-clang build-san build-fuzz

-include $(shell find $(B) -name '*.d' 2>/dev/null)
.PHONY: all unit check install clean test-builds
