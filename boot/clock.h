/* Frequencies of the TSC and the local APIC's timer, and the time of day. */
#pragma once

#include "kernel/abi/boot.h"
#include "kernel/abi/status.h"

/*
 * Fills in info->tsc_hz and info->lapic_hz; what ACPI says must be in *info already. Takes some 50
 * ms. Returns OK, or NOT_SUPPORTED after a message if the TSC does not count.
 */
status_t clock_measure(struct boot_info *info);

/* Fills in info->wall_clock and info->wall_tsc; both stay 0, after a message, without a clock. */
void clock_read_time(struct boot_info *info);
