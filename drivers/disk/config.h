/*
 * The volumes that the description cuts a disk in: nodes in `partitions` of the device's node
 * (guests/systems/README.md). Pure.
 */
#pragma once

#include "drivers/disk/gpt.h"

#define DISK_VOLUMES_MAX 32u

enum disk_volume_kind {
	DISK_FIXED = 0,    /* a range of bytes */
	DISK_GPT_NAME = 1, /* a partition of that name in the disk's own table */
	DISK_GPT_UUID = 2, /* of that GUID */
};

struct disk_volume_config {
	u32 phandle; /* of its node; 0: nobody refers to it */
	enum disk_volume_kind kind;
	bool read_only;
	u64 start; /* DISK_FIXED: bytes */
	u64 size;
	char gpt_name[GPT_NAME_UNITS + 1];
	u8 guid[16];
	char name[32];
};

/* The number `name` in the node of the device with `phandle` in such a tree, `absent` if there is
 * none. */
u32 disk_config_number(const void *fdt, u64 size, u32 phandle, const char *name, u32 absent);

/*
 * Reads the volumes of the device with `phandle` in `fdt`, the program's tree of `size` bytes, in
 * whose node `devices` root has put the device's. Returns their number; what cannot be, which root
 * has refused before, gives 0.
 */
u32 disk_config_read(
	const void *fdt, u64 size, u32 phandle, struct disk_volume_config out[DISK_VOLUMES_MAX]);
