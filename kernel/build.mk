# The kernel image: kernel/, mm/, vmx/, svm/. Makes $(O)/kernel.elf.

KERNEL_CFLAGS := -std=gnu17 -O2 -g $(WARN) -I. -ffreestanding -fno-pic -no-pie -mcmodel=kernel \
	-mno-red-zone -mgeneral-regs-only -fno-stack-protector -fno-asynchronous-unwind-tables \
	-fcf-protection=none -fno-strict-aliasing -fno-omit-frame-pointer -momit-leaf-frame-pointer -MMD -MP
KERNEL_SOURCES := $(wildcard kernel/*.c mm/*.c vmx/*.c svm/*.c kernel/*.S vmx/*.S svm/*.S)
KERNEL_OBJECTS := $(patsubst %,$(O)/kernel/%.o,$(KERNEL_SOURCES))

$(O)/kernel/%.c.o: %.c
	@mkdir -p $(@D)
	$(CC) $(KERNEL_CFLAGS) -c -o $@ $<

$(O)/kernel/%.S.o: %.S
	@mkdir -p $(@D)
	$(CC) $(KERNEL_CFLAGS) -c -o $@ $<

$(O)/kernel.elf: $(KERNEL_OBJECTS) kernel/link.ld
	$(LD) -nostdlib -static -z max-page-size=4096 -z noexecstack --no-warn-rwx-segments -T kernel/link.ld -o $@ $(KERNEL_OBJECTS)

-include $(KERNEL_OBJECTS:.o=.d)
