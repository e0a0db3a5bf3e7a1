/*
 * ATA disks, whatever carries the commands: their codes and what a disk says of itself (ACS-3, T13
 * 2161-D, and ATA/ATAPI-6, T13 1410D, for what is older). Pure.
 */
#pragma once

#include "kernel/abi/types.h"

#define ATA_STATUS_ERR  BIT(0)
#define ATA_STATUS_DRQ  BIT(3)
#define ATA_STATUS_DF   BIT(5)
#define ATA_STATUS_BSY  BIT(7)
#define ATA_STATUS_NONE 0xffu /* nothing is there */

#define ATA_ERROR_ICRC BIT(15) /* of the error, above the status: a word was lost on the link */

#define ATA_DEVICE_LBA BIT(6)
#define ATA_DEVICE_FUA BIT(7) /* of the queued write */

/* ACS-3, 7: commands */
#define ATA_DATASET           0x06u
#define ATA_READ_DMA_EXT      0x25u
#define ATA_WRITE_DMA_EXT     0x35u
#define ATA_WRITE_DMA_FUA_EXT 0x3du
#define ATA_READ_FPDMA        0x60u
#define ATA_WRITE_FPDMA       0x61u
#define ATA_READ_DMA          0xc8u
#define ATA_WRITE_DMA         0xcau
#define ATA_FLUSH_CACHE       0xe7u
#define ATA_FLUSH_CACHE_EXT   0xeau
#define ATA_IDENTIFY          0xecu

/* 7.10.3: a block of the data of DATA SET MANAGEMENT; a range is an LBA and, from bit 48 on, a
 * number of sectors. Zeroes are no range. */
#define ATA_DATASET_TRIM   BIT(0) /* feature */
#define ATA_DATASET_BYTES  512u
#define ATA_DATASET_RANGES 64u
#define ATA_DATASET_MOST   0xffffu /* sectors of a range */
#define ATA_DATASET_COUNT  48u     /* its lowest bit */

#define ATA_ID_WORDS 256u

/* What IDENTIFY DEVICE says. */
struct ata_identity {
	u64 sectors;       /* blocks of block_size */
	u32 block_size;    /* bytes */
	u32 physical_size; /* bytes, block_size or more */
	bool large;        /* it has 48-bit addresses */
	bool flush;        /* it has a cache to flush */
	bool fua;          /* it has WRITE DMA FUA EXT */
	bool trim;
	u32 depth;     /* of its queue; 0: it has none */
	u8 serial[20]; /* as it stands in the words */
};

/* Reads the words (ACS-3, 7.12.7), of which nothing is trusted. NULL, or why the disk cannot be
 * used: *out is not valid then. */
const char *ata_identify(const u16 words[ATA_ID_WORDS], struct ata_identity *out);
