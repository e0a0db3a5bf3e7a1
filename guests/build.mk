# The VMM and the small guests. Expects CC, O (the build folder), USER_CFLAGS, USER_LDFLAGS, and LIBRUNTIME, LIBFDT
# and PROGRAM_LD of drivers/build.mk; makes $(O)/programs/vmm.elf, which it adds to PROGRAMS, and
# $(O)/guests/NAME.elf, which it adds to GUESTS.

PROGRAMS += $(O)/programs/vmm.elf

SMALL_NAMES := hello bench hostile smp
GUESTS      += $(SMALL_NAMES:%=$(O)/guests/%.elf)

VMM_OBJECTS   := $(patsubst %,$(O)/%.o,$(sort $(wildcard guests/vmm/*.c)))
SMALL_OBJECTS := $(patsubst %,$(O)/%.o,$(sort $(wildcard guests/small/*.c guests/small/*.S)))
SMALL_COMMON  := $(O)/guests/small/start.S.o $(O)/guests/small/small.c.o

$(VMM_OBJECTS) $(SMALL_OBJECTS): $(O)/%.o: %
	@mkdir -p $(@D)
	$(CC) $(USER_CFLAGS) -c -o $@ $<

# The program with its symbols (.debug) is kept beside what goes into the image.
$(O)/programs/vmm.debug: $(VMM_OBJECTS) $(LIBRUNTIME) $(PROGRAM_LD)
	@mkdir -p $(@D)
	$(CC) $(USER_LDFLAGS) -Wl,-z,max-page-size=4096 -Wl,-T,$(PROGRAM_LD) -o $@ \
		$(VMM_OBJECTS) $(LIBRUNTIME) $(LIBFDT) $(LIBRUNTIME)

$(O)/programs/vmm.elf: $(O)/programs/vmm.debug
	objcopy --strip-all $< $@

$(SMALL_NAMES:%=$(O)/guests/%.elf): $(O)/guests/%.elf: $(O)/guests/small/%.c.o $(SMALL_COMMON) guests/small/small.ld
	@mkdir -p $(@D)
	$(CC) $(USER_LDFLAGS) -Wl,-z,max-page-size=4096 -Wl,-T,guests/small/small.ld -o $@ \
		$(filter %.o,$^)

$(O)/guests/smp.elf: $(O)/guests/small/smp_start.S.o

-include $(VMM_OBJECTS:.o=.d) $(SMALL_OBJECTS:.o=.d)
