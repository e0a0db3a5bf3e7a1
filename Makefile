# Bulkhead. `make run`, `make check`, `make test`, `make image SYSTEM=file.dts OUT=file.img`, `make bench`, `make lint`; see README.md.

O      := build
CC     := gcc
LD     := ld
WARN   := -Wall -Wextra -Werror -Wshadow -Wundef -Wstrict-prototypes -Wmissing-prototypes
SYSTEM ?= guests/systems/network.dts
# The machine of `make run`: a drive, whose image is kept, and a network card.
MACHINE ?= --disk $(O)/drive.img,nvme,64M --net user
OUT    ?= $(O)/bulkhead.img

# Ring 3: freestanding, without the FPU unless a program asks.
USER_CFLAGS := -std=gnu17 -O2 -g $(WARN) -I. -ffreestanding -fno-pic -no-pie -mno-red-zone \
	-mgeneral-regs-only -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none \
	-fno-strict-aliasing -MMD -MP
USER_LDFLAGS := -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack

.PHONY: all run check test image bench lint format check-setup run-setup unit system clean
all: programs

include kernel/build.mk
include boot/build.mk
include drivers/build.mk
include guests/build.mk
include tests/build.mk

.PHONY: programs
programs: $(O)/boot/bootx64.efi $(O)/kernel.elf $(PROGRAMS) $(GUESTS)

run-setup:
	@tools/setup run

check-setup:
	@tools/setup test

# Those of guest-files that the description, or one that it includes, names.
INCLUDED    = $(shell sed -n 's;^/include/ "\(.*\)";$(dir $(SYSTEM))\1;p' $(SYSTEM))
GUEST_FILES = $(shell grep -oshE 'vmlinuz[-0-9]*|[a-z0-9]+\.cpio' $(SYSTEM) $(INCLUDED))

run: run-setup
	@$(MAKE) --no-print-directory programs
	@$(if $(GUEST_FILES),tools/guest-files $(O)/guests $(GUEST_FILES))
	tools/run $(SYSTEM) --timeout 0 $(MACHINE)

image: run-setup
	@$(MAKE) --no-print-directory programs
	@$(if $(GUEST_FILES),tools/guest-files $(O)/guests $(GUEST_FILES))
	tools/image $(SYSTEM) $(OUT)

.PHONY: guest-files
guest-files:
	@tools/guest-files $(O)/guests

clean:
	rm -rf $(O)
