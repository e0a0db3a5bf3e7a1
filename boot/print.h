/* Messages on the firmware's console, which many firmwares show on the serial line too. */
#pragma once

#include "kernel/abi/types.h"

/*
 * Prints in printf's way: %s, %c, %u, %x, each number also with l (64 bits) and, for %x, with 0 and
 * a width; %% is a percent sign. For boot services only.
 */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints a size as "8.2 MiB", "12 KiB" or "123 bytes". */
void print_size(u64 bytes);
