# The runtime library, and the programs in drivers/. Expects CC, O (the build folder), USER_CFLAGS,
# USER_LDFLAGS; makes $(O)/lib/libruntime.a and $(O)/programs/NAME.elf, and adds those to PROGRAMS.

LIBRUNTIME := $(O)/lib/libruntime.a
LIBFDT     ?= /usr/lib/x86_64-linux-gnu/libfdt.a
PROGRAM_LD := drivers/lib/program.ld

DRIVERS_NAMES := root uart console display i8042 bus ramdisk switch virtio_blk nvme ata ahci xhci virtio_net e1000 test
# Folders of sources that several drivers share, and who is linked with which of them.
DRIVERS_SHARED     := disk keyboard netcard virtio
DRIVERS_virtio_blk := disk virtio
DRIVERS_nvme       := disk
DRIVERS_ata        := disk
DRIVERS_ahci       := disk
DRIVERS_xhci       := disk keyboard
DRIVERS_virtio_net := netcard virtio
DRIVERS_e1000      := netcard
DRIVERS_i8042      := keyboard
# The loader's font is the screen's, too.
DRIVERS_FONT            := $(O)/drivers/display/font.o
DRIVERS_OBJECTS_display := $(DRIVERS_FONT)
PROGRAMS      += $(DRIVERS_NAMES:%=$(O)/programs/%.elf)

drivers_objects = $(patsubst %,$(O)/%.o,$(sort $(wildcard $(1)/*.c $(1)/*.S)))
DRIVERS_OBJECTS := $(foreach d,lib $(DRIVERS_SHARED) $(DRIVERS_NAMES),$(call drivers_objects,drivers/$(d)))

$(DRIVERS_OBJECTS): $(O)/%.o: %
	@mkdir -p $(@D)
	$(CC) $(USER_CFLAGS) -c -o $@ $<

$(DRIVERS_FONT): boot/font.c
	@mkdir -p $(@D)
	$(CC) $(USER_CFLAGS) -c -o $@ $<

$(LIBRUNTIME): $(call drivers_objects,drivers/lib)
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $^

drivers_program_objects = $(foreach d,$(1) $(DRIVERS_$(1)),$(call drivers_objects,drivers/$(d))) $(DRIVERS_OBJECTS_$(1))

# Programs are kept with their symbols (.debug) beside what goes into the image.
define drivers_program
$(O)/programs/$(1).debug: $(call drivers_program_objects,$(1)) $(LIBRUNTIME) $(2)
	@mkdir -p $$(@D)
	$$(CC) $$(USER_LDFLAGS) -Wl,-z,max-page-size=4096 -Wl,-T,$(2) -o $$@ \
		$(call drivers_program_objects,$(1)) $(LIBRUNTIME) $(LIBFDT)
endef

$(eval $(call drivers_program,root,drivers/root/root.ld))
$(foreach p,$(filter-out root,$(DRIVERS_NAMES)),$(eval $(call drivers_program,$(p),$(PROGRAM_LD))))

$(DRIVERS_NAMES:%=$(O)/programs/%.elf): %.elf: %.debug
	objcopy --strip-all $< $@

-include $(DRIVERS_OBJECTS:.o=.d) $(DRIVERS_FONT:.o=.d)

# Sources of the unit tests, for tests/build.mk.
UNIT_ring             :=
UNIT_lib              :=
UNIT_console_mux      := drivers/console/mux.c drivers/console/keys.c drivers/lib/format.c
UNIT_root_parts       := drivers/root/prompt.c drivers/root/report.c drivers/lib/format.c
UNIT_root_description := tests/unit/root_reader.c \
	$(addprefix drivers/root/,tree.c description.c volumes.c links.c interrupts.c config.c) \
	drivers/lib/format.c
UNIT_epoch            :=
UNIT_watch            :=
UNIT_bus_acs          := drivers/bus/acs.c
UNIT_root_bus         := drivers/root/bus_table.c drivers/lib/format.c
UNIT_root_faults      := drivers/root/faults_text.c drivers/lib/format.c
UNIT_block_session    :=
UNIT_net_session      :=
UNIT_ramdisk_disk     := drivers/ramdisk/disk.c drivers/ramdisk/volume.c
UNIT_switch_offload   := drivers/switch/offload.c
UNIT_switch_forward   := $(addprefix drivers/switch/,switch.c wire.c table.c offload.c)
UNIT_root_servers     := $(UNIT_root_description) drivers/ramdisk/config.c drivers/switch/config.c
UNIT_DISK             := tests/unit/fake_device.c tests/unit/disk_work.c drivers/disk/server.c
UNIT_disk_gpt         := drivers/disk/gpt.c
UNIT_disk_server      := drivers/disk/server.c
UNIT_disk_config      := $(UNIT_root_description) drivers/disk/config.c drivers/disk/gpt.c
FAKE_VIRTIO           := tests/unit/fake_virtio.c drivers/virtio/pci.c drivers/virtio/queue.c
UNIT_disk_virtio      := $(UNIT_DISK) $(FAKE_VIRTIO) tests/unit/fake_virtio_blk.c drivers/virtio_blk/blk.c
UNIT_disk_nvme        := $(UNIT_DISK) tests/unit/fake_nvme.c drivers/nvme/nvme.c drivers/nvme/controller.c \
	drivers/nvme/queue.c
FUZZ_disk_virtio      := $(UNIT_disk_virtio)
FUZZ_disk_nvme        := $(UNIT_disk_nvme)
UNIT_disk_ata         := $(UNIT_DISK) tests/unit/fake_ata.c drivers/disk/ata.c drivers/ata/ata.c
FUZZ_disk_ata         := $(UNIT_disk_ata)
UNIT_disk_ahci        := $(UNIT_DISK) tests/unit/fake_ahci.c drivers/disk/ata.c drivers/ahci/ahci.c drivers/ahci/port.c
FUZZ_disk_ahci        := $(UNIT_disk_ahci)
UNIT_disk_xhci        := $(UNIT_DISK) $(addprefix tests/unit/fake_,xhci.c xhci_regs.c stick.c usb.c loop.c) \
	$(addprefix drivers/keyboard/,keyboard.c layout.c) drivers/lib/format.c \
	$(filter-out %/main.c,$(wildcard drivers/xhci/*.c))
UNIT_usb_bus          := $(UNIT_disk_xhci)
FUZZ_disk_xhci        := $(UNIT_disk_xhci)
UNIT_CARD             := tests/unit/fake_device.c tests/unit/card_work.c drivers/netcard/server.c
UNIT_card_e1000       := $(UNIT_CARD) tests/unit/fake_e1000.c $(addprefix drivers/e1000/,e1000.c chip.c ring.c)
UNIT_card_virtio      := $(UNIT_CARD) $(FAKE_VIRTIO) tests/unit/fake_virtio_net.c drivers/virtio_net/net.c
FUZZ_card_virtio      := $(UNIT_card_virtio)
FUZZ_card_e1000       := $(UNIT_card_e1000)
UNIT_TERMINAL         := $(addprefix drivers/display/,grid.c parse.c control.c colour.c) drivers/lib/format.c
UNIT_PAINT            := $(UNIT_TERMINAL) $(addprefix drivers/display/,paint.c glyph.c) boot/font.c
UNIT_KEYBOARD         := $(addprefix drivers/keyboard/,keyboard.c layout.c) drivers/i8042/scan.c
UNIT_display_terminal := $(UNIT_TERMINAL)
UNIT_display_paint    := $(UNIT_PAINT)
UNIT_display_keys     := drivers/display/keys.c
UNIT_keyboard         := $(UNIT_KEYBOARD)
UNIT_i8042            := drivers/i8042/i8042.c
FUZZ_display          := $(UNIT_PAINT) drivers/display/keys.c
FUZZ_keyboard         := $(UNIT_KEYBOARD) drivers/i8042/i8042.c
