/* Starting the other processors. */
#pragma once

#include "kernel/abi/boot.h"

/*
 * Starts every processor but this one, one after the other (SDM vol. 3, 8.4.4), and lets it wait on
 * the tables at `cr3`, as boot.h says. After ExitBootServices, with interrupts off; `info` is the
 * kernel's own, below 4 GiB, with the TSC's frequency. One that does not start has no
 * BOOT_CPU_WAITS.
 */
void processors_start(struct boot_info *info, u64 cr3);
