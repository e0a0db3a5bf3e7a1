/* Copies of the expansion ROMs of functions that partitions have. */
#pragma once

#include "drivers/protocols/bus.h"

struct member;
struct start_info;

/*
 * Goes on with copying them, while nobody has the functions: the bus domain lets one decode at a
 * time. `table` is the checked copy of what it told, `rom` is its session's. True: all are copied,
 * or told of in the log.
 */
bool rom_run(const struct bus_table *table, struct bus_rom *rom);

/* When rom_run wants to be called again, whatever happens: TSC. */
cycles_t rom_deadline(void);

/* Adds the copy for function `i` of a partition's devices, of `size` bytes, to its start page;
 * there may be none. */
bool rom_add(struct member *m, struct start_info *info, u32 i, u64 size);
