# Tests, benchmarks and checks of the sources. Expects O (the build folder), CC. Targets: check, test, unit, unit-NAME, system,
# system-CASE, fuzz, lint, format, bench; see tests/README.md.

TESTS := $(O)/tests

# Without a -j of the caller's, as many jobs as there are CPUs.
parallel = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

# Everything; the last line is the sum over all parts.
.PHONY: test
test: check-setup
	+@MAKE='$(MAKE) --no-print-directory $(parallel)' TESTS=$(TESTS) tests/all guest-files unit system

# A quick subset: unit tests, the demonstration on AMD-V, and every system call on VT-x.
CHECK_BOOTS := demo-qemu-svm calls-bochs-vmx
.PHONY: check check-files check-boots
check: check-setup
	+@MAKE='$(MAKE) --no-print-directory $(parallel)' TESTS=$(TESTS) tests/all check-files unit check-boots

check-files:
	@tools/guest-files $(O)/guests a.cpio b.cpio

check-boots: programs check-files
	@tests/system/run --logs $(TESTS)/system $(CHECK_BOOTS)

# Unit tests: tests/unit/NAME_test.c is linked with the source files in UNIT_NAME and with test_main.c. Without a
# UNIT_NAME: the file NAME.c, or REST.c in the folder FOLDER when NAME is FOLDER_REST; for a test on the fake host the
# whole VMM; for a device model its own files and the fake machine.
UNIT_NAMES   := $(patsubst tests/unit/%_test.c,%,$(wildcard tests/unit/*_test.c))
UNIT_SCRIPTS := $(wildcard tests/unit/*_test.py)
FUZZ_NAMES   := $(patsubst tests/fuzz/%_fuzz.c,%,$(wildcard tests/fuzz/*_fuzz.c))
UNIT_HOSTED  := $(patsubst tests/unit/%_test.c,%,$(shell grep -lE '(machine_host|task_machine)\.h"' tests/unit/*_test.c))
UNIT_JOURNAL := $(filter journal%,$(UNIT_NAMES))
UNIT_VMM     := tests/unit/machine_host.c drivers/lib/flood.c drivers/lib/format.c drivers/lib/chacha20.c \
	$(filter-out $(addprefix guests/vmm/,host.c host_pass.c main.c run.c start.c journal_hooks.c) $(wildcard guests/vmm/config/*.c),$(VMM_SOURCES))
UNIT_LOADER  := guests/vmm/gmem.c $(addprefix guests/vmm/boot/,bios.c boot.c bzimage.c elf.c flat.c multiboot.c pvh.c)
UNIT_INSTR   := $(wildcard guests/vmm/cpu/instr*.c)
UNIT_ACPI    := tests/unit/acpi_machine.c $(wildcard boot/acpi*.c)

UNIT_IOMMU   := tests/unit/iommu_unit.c kernel/iommu.c vmx/vtd.c svm/amdvi.c kernel/pci_kept.c $(wildcard mm/ptable*.c) mm/pool.c
UNIT_LAPIC   := tests/unit/fake_machine.c $(wildcard guests/vmm/dev/lapic*.c)

UNIT_dev_lapic_route := $(UNIT_LAPIC)
UNIT_dev_lapic_timer := $(UNIT_LAPIC)
UNIT_acpi_tables   := $(wildcard guests/vmm/boot/acpi_*.c)
UNIT_acpi          := $(UNIT_ACPI)
UNIT_acpi_iommu    := $(UNIT_ACPI)
UNIT_vtd           := $(UNIT_IOMMU)
UNIT_amdvi         := $(UNIT_IOMMU)
UNIT_bzimage       := $(UNIT_LOADER)
UNIT_loader        := $(UNIT_LOADER)
UNIT_multiboot     := $(UNIT_LOADER)
UNIT_doorbell      := kernel/doorbell.c kernel/object.c
UNIT_gdb           = tests/unit/debug_line.c $(UNIT_VMM)
UNIT_gdb_trap      = $(UNIT_gdb)
UNIT_gdb_packet    := guests/vmm/debug/packet.c
UNIT_gwalk         := guests/vmm/cpu/gwalk.c guests/vmm/gmem.c
UNIT_instr_case    := $(UNIT_INSTR)
UNIT_instr_decode  := tests/unit/instr_capstone.c $(UNIT_INSTR)
UNIT_instr_stack   := $(UNIT_INSTR)
UNIT_instr_execute := tests/unit/instr_native.c $(UNIT_INSTR)
UNIT_ptable        := $(wildcard mm/ptable*.c) mm/pool.c
UNIT_ptable_change := $(UNIT_ptable)
UNIT_root_parts    := $(addprefix drivers/root/,prompt.c report.c) drivers/lib/format.c

UNIT_FOLDERS := boot kernel mm vmx svm guests/vmm $(patsubst %/,%,$(wildcard guests/vmm/*/ drivers/*/))
unit_named   = $(firstword $(foreach d,$(UNIT_FOLDERS),$(wildcard $(d)/$(patsubst $(notdir $(d))_%,%,$(1)).c)))
unit_device  = tests/unit/fake_machine.c $(wildcard guests/vmm/dev/$(1:dev_%=%).c guests/vmm/dev/$(1:dev_%=%)_*.c)
unit_default = $(if $(filter $(1),$(UNIT_HOSTED)),$(UNIT_VMM),$(if $(filter dev_%,$(1)),$(unit_device),$(unit_named)))
unit_sources = tests/unit/$(1)_test.c tests/unit/test_main.c \
	$(if $(filter undefined,$(origin UNIT_$(1))),$(unit_default),$(UNIT_$(1)))
unit_objects = $(patsubst %.c,$(O)/unit/%.o,$(unit_sources))

comma       := ,
UNIT_CFLAGS := -std=gnu17 -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -Wall -Wextra -Werror \
	-DHOST_TEST -I. -MMD -MP
UNIT_LDLIBS := -Wl,--as-needed -lcapstone -lfdt
UNIT_OBJECTS := $(sort $(foreach t,$(filter-out $(UNIT_JOURNAL),$(UNIT_NAMES)),$(call unit_objects,$(t))))

define unit_program
$(O)/unit/$(1): $(call unit_objects,$(1))
	$$(CC) $(filter -g -fsanitize=%,$(UNIT_CFLAGS)) -o $$@ $$^ $(UNIT_LDLIBS)
endef
$(foreach t,$(filter-out $(UNIT_JOURNAL),$(UNIT_NAMES)),$(eval $(call unit_program,$(t))))

$(UNIT_OBJECTS): $(O)/unit/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -c -o $@ $<

# The journal's tests end the VMM at the stores that the compiler announces, all of them, and note those of the files
# that are built so for the program. That and AddressSanitizer exclude each other.
UNIT_JOURNAL_CFLAGS := $(subst address$(comma),,$(UNIT_CFLAGS))
unit_journal         = $(patsubst %.c,$(O)/unit-journal/%.o,$(addprefix tests/unit/,$(1)_test.c test_main.c journal_deaths.c \
	block_server.c virtio_guest.c) $(UNIT_VMM))

$(foreach t,$(UNIT_JOURNAL),$(O)/unit/$(t)): $(O)/unit/%: $(call unit_journal,%)
	$(CC) -g -fsanitize=undefined $(JOURNAL_WRAP) -o $@ $^ $(UNIT_LDLIBS)

$(sort $(foreach t,$(UNIT_JOURNAL),$(call unit_journal,$(t)))): $(O)/unit-journal/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(UNIT_JOURNAL_CFLAGS) $(if $(filter guests/vmm/%,$<),$(JOURNAL_CFLAGS)) -c -o $@ $<
	$(if $(filter-out $(JOURNAL_SOURCES),$(filter guests/vmm/%,$<)),objcopy $(foreach n,1 2 4 8 16 N,--redefine-sym \
		__asan_store$(n)_noabort=unnoted_store$(n)) $@)

-include $(wildcard $(O)/unit-journal/*/*/*.d $(O)/unit-journal/*/*/*/*.d)

.PHONY: unit unit-programs
unit-programs: $(UNIT_NAMES:%=$(O)/unit/%)

# A test that does not build fails on its own: the others still run.
unit:
	+@MAKE='$(MAKE) --no-print-directory $(parallel)' tests/unit/run --logs $(TESTS)/unit \
		$(UNIT_NAMES:%=$(O)/unit/%) $(FUZZ_NAMES:%=$(O)/unit/seeds_%) $(UNIT_SCRIPTS)

unit-%: $(O)/unit/%
	$<

-include $(UNIT_OBJECTS:.o=.d)

# System tests: whole machines in emulators. `make system-NAME` runs the cases whose name begins so.
.PHONY: system
system: programs guest-files $(TESTS)/locked.efi
	@tests/system/run --logs $(TESTS)/system

system-%: programs guest-files $(TESTS)/locked.efi
	@tests/system/run --logs $(TESTS)/system $*

# A VMM (SOAK=vmm) or drivers and servers (SOAK=drivers; ONE_CPU=1, ICOUNT=1) killed KILLS times under guests that work;
# COUNT system calls with random arguments (SOAK=syscalls).
KILLS    ?= 1000
COUNT    ?= 10000000
SOAK     ?= vmm
WORKLOAD ?=
.PHONY: soak
soak: programs guest-files
	@tests/soak --mode $(SOAK) --kills $(KILLS) --count $(COUNT) $(WORKLOAD:%=--workload %) $(ONE_CPU:%=--one-cpu) \
		$(ICOUNT:%=--icount) --logs $(TESTS)/soak

# EFI programs of the system tests are linked as the loader is.
$(TESTS)/efi/%.o: tests/system/efi/%.c
	@mkdir -p $(@D)
	$(CC) $(BOOT_CFLAGS) -c -o $@ $<

$(TESTS)/%.efi: $(TESTS)/efi/%.o
	$(LD) $(BOOT_LDFLAGS) -L $(EFI_LIB) $(EFI_LIB)/crt0-efi-x86_64.o $^ -lgnuefi -o $(@:.efi=.so)
	objcopy -j .text -j .sdata -j .data -j .rodata -j .dynamic -j .dynsym -j .rel -j .rela -j '.rel.*' \
		-j '.rela.*' -j .reloc --target efi-app-x86_64 --subsystem=10 $(@:.efi=.so) $@

-include $(wildcard $(TESTS)/efi/*.d)

# Fuzzers: tests/fuzz/NAME_fuzz.c with the source files in FUZZ_NAME, which default like those of a unit test.
# FUZZ_RUNS inputs each, for FUZZ_TIME seconds at most.
# What a run has found interesting is kept and built upon in $(TESTS)/corpus; `make fuzz-seeds` chooses seeds from it.
FUZZ_gdb   = tests/unit/debug_line.c $(UNIT_VMM)
FUZZ_instr := $(UNIT_INSTR)
FUZZ_virtio := $(UNIT_VIRTIO) \
	$(wildcard guests/vmm/virtio/[nr]*.c guests/vmm/virtio/blk*.c) guests/vmm/virtio/console.c drivers/lib/chacha20.c
FUZZ_session := $(addprefix drivers/,ramdisk/disk.c ramdisk/volume.c switch/switch.c switch/wire.c switch/table.c \
	switch/offload.c)
FUZZ_dev_ioapic := tests/unit/fake_machine.c guests/vmm/dev/ioapic.c guests/vmm/dev/lapic_route.c
FUZZ_RUNS  ?= 200000
FUZZ_TIME  ?= 120
fuzz_sources = tests/fuzz/count.c $(if $(filter undefined,$(origin FUZZ_$(1))),$(unit_default),$(FUZZ_$(1)))

define fuzz_program
$(O)/fuzz/$(1): tests/fuzz/$(1)_fuzz.c $(fuzz_sources)
	@mkdir -p $$(@D)
	clang -std=gnu17 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -Wall -Wextra -Werror \
		-Wno-c2x-extensions -Wno-gnu-variable-sized-type-not-at-end -DHOST_TEST -I. -o $$@ $$^
endef
$(foreach t,$(FUZZ_NAMES),$(eval $(call fuzz_program,$(t))))

.PHONY: fuzz fuzz-seeds
fuzz: $(FUZZ_NAMES:%=$(O)/fuzz/%)
	@tests/fuzz/run --runs $(FUZZ_RUNS) --seconds $(FUZZ_TIME) --corpus $(TESTS)/corpus $^

fuzz-seeds: $(FUZZ_NAMES:%=$(O)/fuzz/%)
	@tests/fuzz/run --seeds --corpus $(TESTS)/corpus $^

fuzz-%: $(O)/fuzz/%
	@tests/fuzz/run --runs $(FUZZ_RUNS) --seconds $(FUZZ_TIME) --corpus $(TESTS)/corpus $<

# Their seeds are unit tests, as programs seeds_NAME.
define replay_program
$(O)/unit/seeds_$(1): tests/fuzz/replay.c tests/fuzz/$(1)_fuzz.c $(fuzz_sources) tests/fuzz/seeds/$(1).hex
	@mkdir -p $$(@D)
	$$(CC) $(filter-out -MMD -MP,$(UNIT_CFLAGS)) -DSEEDS='"tests/fuzz/seeds/$(1).hex"' -o $$@ $$(filter %.c,$$^)
endef
$(foreach t,$(FUZZ_NAMES),$(eval $(call replay_program,$(t))))

# The sources: style, static analysis, and the tree's own rules.
.PHONY: lint format
lint:
	+@MAKE='$(MAKE) --no-print-directory' tools/lint

format:
	git ls-files -co --exclude-standard '*.c' '*.h' | xargs clang-format -i

# Instruction counts beside the limits and the peers' figures.
.PHONY: bench
bench: run-setup
	@$(MAKE) --no-print-directory $(parallel) programs guest-files
	@tools/bench
