/* What the machine is: processors, ACPI, screen, entropy. */
#pragma once

#include "kernel/abi/boot.h"
#include "kernel/abi/status.h"

/* Checks what Bulkhead cannot do without, and prints the processor's name. Says what is missing. */
status_t machine_check_cpu(void);

/*
 * Fills in processors, interrupts, IOMMUs and power from ACPI, and from the firmware's services and
 * the PC's tradition where there are no tables. The memory map must have been read. Cannot fail: at
 * the least this processor is there.
 */
void machine_collect(struct boot_info *info);

/* What this processor has. */
void machine_features(struct boot_features *features);

/* Sets the first serial port up for the kernel; after the boot services. */
void machine_serial(void);

/* The framebuffer of the current mode; left empty if there is none that the kernel can use. */
void machine_screen(struct boot_framebuffer *screen);

/* 64 random bytes: sets BOOT_FLAG_ENTROPY, or says that there are none. */
void machine_entropy(struct boot_info *info);
