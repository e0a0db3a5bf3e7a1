/*
 * Registers of an ATA channel (ATA/ATAPI-6, T13 1410D; sections are its) and of a PIIX-style bus
 * master (Programming Interface for Bus Master IDE Controller, revision 1.0).
 */
#pragma once

#include "drivers/disk/ata.h"

/* 7: the command block, from its base on */
#define ATA_DATA     0u
#define ATA_ERROR    1u
#define ATA_COUNT    2u
#define ATA_LBA_LOW  3u
#define ATA_LBA_MID  4u
#define ATA_LBA_HIGH 5u
#define ATA_DEVICE   6u
#define ATA_STATUS   7u /* reading it drops the interrupt */
#define ATA_COMMAND  7u
#define ATA_BLOCK    8u /* ports */

/* The control block: one port. Reads: the status, without dropping the interrupt. */
#define ATA_CONTROL_NIEN BIT(1)
#define ATA_CONTROL_SRST BIT(2)

#define ATA_DEVICE_LEGACY 0xa0u /* two bits that old devices want set */

/* Bus master, 2.0: of the channel, from the base on; the second channel's are 8 further. */
#define BM_COMMAND       0u
#define BM_STATUS        2u
#define BM_TABLE         4u
#define BM_CHANNEL       8u /* ports */
#define BM_COMMAND_START BIT(0)
#define BM_COMMAND_READ  BIT(3) /* from the disk to memory */
#define BM_STATUS_ERROR  BIT(1) /* written 1: cleared */
#define BM_STATUS_INTR   BIT(2) /* likewise */

/* 1.2: physical region descriptor; a region lies in 64 KiB, of which 0 means all */
struct bm_region {
	u32 address;
	u16 length;
	u16 flags;
};
static_assert(sizeof(struct bm_region) == 8);
#define BM_REGION_LAST  0x8000u
#define BM_REGION_BYTES 0x10000u
