/* The partition's node: what the guest's machine has, and how it starts. */
#pragma once

#include "guests/vmm/boot/boot.h"
#include "guests/vmm/machine.h"

struct config {
	const struct start_info *info;
	const void *fdt;
	int machine;          /* offset of the `machine` node */
	const char *kernel;   /* name of the file; NULL: firmware starts the guest */
	const char *initrd;   /* NULL: none */
	const char *bootargs; /* "" if there are none */
	u32 modules;          /* nodes below `boot`, in their order */
	struct {
		const char *file;
		const char *args; /* "" if there are none */
	} module[BOOT_MODULES_MAX];
	u32 doorbells; /* made so far */
	u32 serials;
	u32 disks;
	u32 cards;
	u32 functions;                                /* of the machine's own */
	u64 claimed[(START_MAX_RESOURCES + 63) / 64]; /* sessions that a device has, by number */
};

/* Reads the device tree; false, with a log line, if something is wrong. */
bool config_open(struct config *c, const struct start_info *info);

/*
 * Makes the devices that the nodes below `machine` describe. A node that no device model answers
 * for is logged and left out; false: a node is wrong. m has been initialized.
 */
bool config_devices(struct config *c, struct machine *m);

/* Is the partition's property `name` there? */
bool config_flag(const struct config *c, const char *name);

/* The boot file `name` as an image; false, with a log line, if root did not give it. */
bool config_file(const struct config *c, const char *name, struct boot_image *image);
