# The VMM and the small guests. Expects CC, O (the build folder), USER_CFLAGS, USER_LDFLAGS, and LIBRUNTIME, LIBFDT
# and PROGRAM_LD of drivers/build.mk; makes $(O)/programs/vmm.elf, which it adds to PROGRAMS, and
# $(O)/guests/NAME.elf, which it adds to GUESTS.

PROGRAMS += $(O)/programs/vmm.elf

SMALL_NAMES := hello bench hostile devices keeper smp debuggee events ipi reach
GUESTS      += $(SMALL_NAMES:%=$(O)/guests/%.elf) $(O)/guests/multiboot.elf $(O)/guests/sector.bin

VMM_SOURCES   := $(sort $(wildcard guests/vmm/*.c guests/vmm/*/*.c))
VMM_OBJECTS   := $(patsubst %,$(O)/%.o,$(VMM_SOURCES))
SMALL_OBJECTS := $(patsubst %,$(O)/%.o,$(sort $(wildcard guests/small/*.c guests/small/*.S)))
SMALL_COMMON  := $(O)/guests/small/start.S.o $(O)/guests/small/small.c.o

# What changes the machine's state is compiled so that each store is announced to the journal (guests/vmm/journal.h):
# -fsanitize=kernel-address with its checks as calls, of writes alone. The rest changes nothing that is rolled back.
JOURNAL_CFLAGS  := -fsanitize=kernel-address -fsanitize-recover=kernel-address --param=asan-instrument-reads=0 --param=asan-stack=0 --param=asan-globals=0 \
	--param=asan-instrumentation-with-call-threshold=0 -fno-sanitize-address-use-after-scope
JOURNAL_SOURCES := $(addprefix guests/vmm/,console.c control.c exit.c interrupt.c machine.c machine_pass.c machine_virtio.c \
	mmio.c portio.c report.c smp.c vcpu.c pv/hypercall.c pv/pveoi.c pv/steal.c) $(wildcard guests/vmm/dev/*.c guests/vmm/debug/*.c) \
	$(filter-out $(addprefix guests/vmm/cpu/,cpuid.c gwalk.c) $(wildcard guests/vmm/cpu/instr*.c),$(wildcard guests/vmm/cpu/*.c))
JOURNAL_WRAP    := -Wl,--wrap=memcpy,--wrap=memmove,--wrap=memset

$(VMM_OBJECTS) $(SMALL_OBJECTS): $(O)/%.o: %
	@mkdir -p $(@D)
	$(CC) $(USER_CFLAGS) $(if $(filter $<,$(JOURNAL_SOURCES)),$(JOURNAL_CFLAGS)) -c -o $@ $<

# The program with its symbols (.debug) is kept beside what goes into the image.
$(O)/programs/vmm.debug: $(VMM_OBJECTS) $(LIBRUNTIME) $(PROGRAM_LD)
	@mkdir -p $(@D)
	$(CC) $(USER_LDFLAGS) -Wl,-z,max-page-size=4096 $(JOURNAL_WRAP) -Wl,-T,$(PROGRAM_LD) -o $@ \
		$(VMM_OBJECTS) $(LIBRUNTIME) $(LIBFDT) $(LIBRUNTIME)

$(O)/programs/vmm.elf: $(O)/programs/vmm.debug
	objcopy --strip-all $< $@

$(SMALL_NAMES:%=$(O)/guests/%.elf): $(O)/guests/%.elf: $(O)/guests/small/%.c.o $(SMALL_COMMON) guests/small/small.ld
	@mkdir -p $(@D)
	$(CC) $(USER_LDFLAGS) -Wl,-z,max-page-size=4096 -Wl,-T,guests/small/small.ld -o $@ \
		$(filter %.o,$^)

$(O)/guests/smp.elf $(O)/guests/events.elf: $(O)/guests/%.elf: $(O)/guests/small/%_start.S.o

$(O)/guests/ipi.elf: $(O)/guests/small/smp_start.S.o

$(O)/guests/multiboot.elf: $(O)/guests/small/multiboot.c.o $(O)/guests/small/multiboot_start.S.o $(SMALL_COMMON) \
		guests/small/multiboot.ld
	$(CC) $(USER_LDFLAGS) -Wl,-z,max-page-size=4096 -Wl,-T,guests/small/multiboot.ld -o $@ $(filter %.o,$^)

$(O)/guests/sector.bin: $(O)/guests/small/sector.S.o
	@mkdir -p $(@D)
	$(LD) -Ttext 0x7c00 --oformat binary -o $@ $<

-include $(VMM_OBJECTS:.o=.d) $(SMALL_OBJECTS:.o=.d)

# Unit tests of virtio: a driver in plain memory; models with the transport below them.
UNIT_VIRTIO := tests/unit/fake_machine.c tests/unit/virtio_driver.c \
	$(addprefix guests/vmm/,gmem.c dev/msix.c dev/pci.c dev/pci_i440fx.c) \
	$(addprefix guests/vmm/virtio/,virtqueue.c virtio.c common.c msix.c pci.c)
UNIT_PASS     := tests/unit/fake_machine.c tests/unit/fake_device.c tests/unit/pass_function.c \
	$(addprefix guests/vmm/dev/,pass.c msix.c pci.c pci_i440fx.c)
UNIT_dev_pass := $(UNIT_PASS)
FUZZ_dev_pass := $(UNIT_PASS)
UNIT_virtqueue := guests/vmm/virtio/virtqueue.c guests/vmm/gmem.c
UNIT_virtio := $(UNIT_VIRTIO)
UNIT_virtio_msix := $(UNIT_VIRTIO)
UNIT_virtio_blk := $(UNIT_VIRTIO) tests/unit/virtio_medium.c $(wildcard guests/vmm/virtio/blk*.c)
UNIT_virtio_net := $(UNIT_VIRTIO) $(wildcard guests/vmm/virtio/net*.c)
UNIT_virtio_console := $(UNIT_VIRTIO) guests/vmm/virtio/console.c
UNIT_virtio_rng := $(UNIT_VIRTIO) guests/vmm/virtio/rng.c drivers/lib/chacha20.c
UNIT_machine_virtio      = tests/unit/virtio_guest.c $(UNIT_VMM)
UNIT_backend_block       = tests/unit/block_server.c tests/unit/virtio_guest.c $(UNIT_VMM)
UNIT_backend_net         = tests/unit/virtio_guest.c $(UNIT_VMM)
