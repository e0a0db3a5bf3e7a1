# The UEFI loader. Expects CC, LD, O (the build folder), WARN; makes $(O)/boot/bootx64.efi.

BOOT_NAMES := start main files list elf block map ranges machine processors ap firmware pixel clock timers date \
	acpi acpi_machine acpi_power acpi_dmar acpi_ivrs font sha256 print memory uefi
BOOT_OBJECTS := $(BOOT_NAMES:%=$(O)/boot/%.o)

EFI_INCLUDE ?= /usr/include/efi
EFI_LIB     ?= /usr/lib

# What gnu-efi's linker script and relocator want; no red zone: the firmware's interrupts use this stack.
BOOT_CFLAGS := -std=gnu17 -O2 -g $(WARN) -I. -isystem $(EFI_INCLUDE) \
	-ffreestanding -fpic -fshort-wchar -fvisibility=hidden -fno-strict-aliasing \
	-fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
	-mno-red-zone -mgeneral-regs-only -MMD -MP
BOOT_LDFLAGS := -nostdlib -shared -Bsymbolic -znocombreloc -znoexecstack \
	-T $(EFI_LIB)/elf_x86_64_efi.lds

$(O)/boot/%.o: boot/%.c
	@mkdir -p $(@D)
	$(CC) $(BOOT_CFLAGS) -c -o $@ $<

$(O)/boot/%.o: boot/%.S
	@mkdir -p $(@D)
	$(CC) $(BOOT_CFLAGS) -c -o $@ $<

$(O)/boot/loader.so: $(BOOT_OBJECTS)
	$(LD) $(BOOT_LDFLAGS) -L $(EFI_LIB) $(EFI_LIB)/crt0-efi-x86_64.o $^ -lgnuefi -o $@
	@! nm -u $@ | grep . || { echo "$@: undefined symbols" >&2; rm $@; exit 1; }

$(O)/boot/bootx64.efi: $(O)/boot/loader.so
	objcopy -j .text -j .data -j .dynamic -j .dynsym -j .rela -j .reloc \
		--target efi-app-x86_64 --subsystem=10 $< $@

-include $(BOOT_OBJECTS:.o=.d)
