/*
 * Reads a GUID partition table (UEFI Specification 2.10, chapter 5.3), of which nothing is trusted:
 * both headers and tables are looked at, each with its checksums, and only copies are used. Pure.
 */
#pragma once

#include "kernel/abi/types.h"

#define GPT_TABLE_MAX  32768u /* bytes of a table of entries; the usual one has 16384 */
#define GPT_BLOCK_MAX  4096u
#define GPT_NAME_UNITS 36u /* UTF-16 code units */
#define GPT_GUID_TEXT  36u /* characters of a GUID as text */

/* Where a table came from; the other copy is damaged, or differs, in all but GPT_BOTH. */
enum gpt_state {
	GPT_NONE = 0, /* there is no table that can be used */
	GPT_BOTH = 1,
	GPT_FIRST = 2,  /* only the one at the disk's beginning is whole */
	GPT_SECOND = 3, /* only the one at its end is */
	GPT_DIFFER = 4, /* both are whole and say different things: the first is used */
};

struct gpt {
	u32 entries;
	u32 entry_size;
	u64 first; /* usable blocks, inclusive */
	u64 last;
	u8 disk[16];
	u32 checksum; /* of the table */
	u8 table[GPT_TABLE_MAX];
};

/* A disk to read from: `count` blocks of block_size bytes (512 to GPT_BLOCK_MAX) from block `at` on
 * into `to`; false: it failed. */
struct gpt_disk {
	u64 blocks;
	u32 block_size;
	bool (*read)(const struct gpt_disk *disk, u64 at, u32 count, void *to);
};

/* Reads the table into *g. */
enum gpt_state gpt_read(struct gpt *g, const struct gpt_disk *disk);

/* What to look for: a name (ASCII) or, if name is NULL, a partition's GUID as it lies on the disk.
 */
struct gpt_wanted {
	const char *name;
	u8 guid[16];
};

/*
 * Finds the partition: *first and *last are its blocks, inclusive, which lie in the usable ones.
 * Returns the number of partitions that fit; only with 1 the blocks are valid. 0 also if the one
 * that fits has blocks that cannot be.
 */
u32 gpt_find(const struct gpt *g, const struct gpt_wanted *wanted, u64 *first, u64 *last);

/* A GUID as text, "C12A7328-F81F-11D2-BA4B-00A0C93EC93B" in any case, to its 16 bytes on the disk
 * (the first three fields little-endian). False: it is none. */
bool gpt_guid(const char *text, u8 guid[16]);
