/* The volumes that the program's node describes. Pure: no system call. */
#pragma once

#include "drivers/ramdisk/volume.h"

struct volume_config {
	u32 phandle; /* of the volume's node; 0: nobody refers to it */
	bool has_file;
	bool read_only;
	u64 bytes;   /* 0: of the file, rounded up to sectors */
	u64 overlay; /* bytes that can be written; 0: none, ~0: all */
	char name[32];
};

/*
 * Reads the volumes in `fdt`, a tree of `size` bytes whose root is the program's node, into `out`;
 * returns their number. Root has checked the node before, so a tree that is damaged or a value that
 * cannot be gives 0 volumes.
 */
u32 volumes_read(const void *fdt, u64 size, struct volume_config out[VOLUMES_MAX]);
