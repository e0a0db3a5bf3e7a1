/*
 * Registers and commands of ATA (ATA/ATAPI-6, T13 1410D; sections are its) and of a PIIX-style bus
 * master (Programming Interface for Bus Master IDE Controller, revision 1.0).
 */
#pragma once

#include "kernel/abi/types.h"

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

#define ATA_STATUS_ERR  BIT(0)
#define ATA_STATUS_DRQ  BIT(3)
#define ATA_STATUS_DF   BIT(5)
#define ATA_STATUS_BSY  BIT(7)
#define ATA_STATUS_NONE 0xffu /* nothing is there */

#define ATA_DEVICE_LBA    BIT(6)
#define ATA_DEVICE_LEGACY 0xa0u /* two bits that old devices want set */

/* 8 */
#define ATA_READ_DMA        0xc8u
#define ATA_READ_DMA_EXT    0x25u
#define ATA_WRITE_DMA       0xcau
#define ATA_WRITE_DMA_EXT   0x35u
#define ATA_FLUSH_CACHE     0xe7u
#define ATA_FLUSH_CACHE_EXT 0xeau
#define ATA_IDENTIFY        0xecu

/* 8.15, table 27: words of the identification */
#define ATA_ID_WORDS          256u
#define ATA_ID_CAPABILITIES   49u
#define ATA_ID_CAP_DMA        BIT(8)
#define ATA_ID_CAP_LBA        BIT(9)
#define ATA_ID_SECTORS        60u /* two words */
#define ATA_ID_SET_82         82u
#define ATA_ID_SET_CACHE      BIT(5) /* a write cache */
#define ATA_ID_SET_83         83u
#define ATA_ID_SET_LBA48      BIT(10)
#define ATA_ID_SET_FLUSH      BIT(12)
#define ATA_ID_SIGNATURE      0x4000u /* of words 83 and 106 */
#define ATA_ID_SIGNATURE_BITS 0xc000u
#define ATA_ID_SECTORS_48     100u /* four words */
#define ATA_ID_SECTOR_SIZE    106u
#define ATA_ID_LARGE_LOGICAL  BIT(12)
#define ATA_ID_LARGE_PHYSICAL BIT(13)

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
