/*
 * Registers and structures in memory of a SATA host bus adapter (Serial ATA AHCI 1.3.1; sections
 * are its).
 */
#pragma once

#include "kernel/abi/types.h"

#define HBA_BAR 5u

/* 3.1: of the HBA */
#define HBA_CAP        0x00u
#define HBA_CAP_NCS(c) ((c) >> 8 & 31u) /* command slots, less 1 */
#define HBA_CAP_NCQ    BIT(30)
#define HBA_CAP_S64A   BIT(31)
#define HBA_GHC        0x04u
#define HBA_GHC_HR     BIT(0)
#define HBA_GHC_IE     BIT(1)
#define HBA_GHC_AE     BIT(31)
#define HBA_IS         0x08u
#define HBA_PI         0x0cu
#define HBA_CAP2       0x24u
#define HBA_CAP2_BOH   BIT(0)
#define HBA_BOHC       0x28u
#define HBA_BOHC_BOS   BIT(0)
#define HBA_BOHC_OOS   BIT(1)
#define HBA_BOHC_BB    BIT(4)
#define HBA_BYTES      0x100u
#define HBA_PORTS_MAX  32u
#define HBA_PORT(n)    (0x100u + 0x80u * (n))
#define HBA_PORT_BYTES 0x80u
#define HBA_NONE       0xffffffffu /* what is not there reads so */

/* 3.3: of a port */
#define PORT_CLB      0x00u
#define PORT_CLBU     0x04u
#define PORT_FB       0x08u
#define PORT_FBU      0x0cu
#define PORT_IS       0x10u
#define PORT_IE       0x14u
#define PORT_IS_DHRS  BIT(0)
#define PORT_IS_PSS   BIT(1)
#define PORT_IS_DSS   BIT(2)
#define PORT_IS_SDBS  BIT(3)
#define PORT_IS_PCS   BIT(6)  /* cleared by PORT_SERR_X */
#define PORT_IS_PRCS  BIT(22) /* cleared by PORT_SERR_N */
#define PORT_IS_OFS   BIT(24)
#define PORT_IS_IFS   BIT(27)
#define PORT_IS_HBDS  BIT(28)
#define PORT_IS_HBFS  BIT(29)
#define PORT_IS_TFES  BIT(30)
#define PORT_CMD      0x18u
#define PORT_CMD_ST   BIT(0)
#define PORT_CMD_SUD  BIT(1)
#define PORT_CMD_POD  BIT(2)
#define PORT_CMD_FRE  BIT(4)
#define PORT_CMD_FR   BIT(14)
#define PORT_CMD_CR   BIT(15)
#define PORT_CMD_ICC  (0xfull << 28)
#define PORT_CMD_WAKE BIT(28) /* ICC: active */
#define PORT_TFD      0x20u   /* status; error in bits 15:8 */
#define PORT_SIG      0x24u
#define PORT_SIG_DISK 0x00000101u
#define PORT_SSTS     0x28u
#define PORT_SSTS_DET 0xfu
#define PORT_DET_NONE 0u
#define PORT_DET_LINK 3u
#define PORT_SCTL     0x2cu
#define PORT_SCTL_DET 0xfu
#define PORT_SCTL_RST 1u     /* DET: COMRESET */
#define PORT_SCTL_IPM 0x300u /* neither partial nor slumber */
#define PORT_SERR     0x30u
#define PORT_SACT     0x34u
#define PORT_CI       0x38u

/* What ends the work of the port (6.1), so that 6.2.2 begins; and what says that the disk has come
 * or gone, or the link was lost. */
#define PORT_IS_FATAL (PORT_IS_OFS | PORT_IS_IFS | PORT_IS_HBDS | PORT_IS_HBFS | PORT_IS_TFES)
#define PORT_IS_LOST  (PORT_IS_PCS | PORT_IS_PRCS)

/* 4.2.2: command list */
struct ahci_header {
	u32 flags;
	u32 moved; /* PRDBC */
	u32 table; /* bus address */
	u32 table_high;
	u32 reserved[4];
};
static_assert(sizeof(struct ahci_header) == 32);
#define AHCI_FIS_WORDS  5u /* CFL: of a register FIS */
#define AHCI_WRITE      BIT(6)
#define AHCI_REGIONS(n) ((u32)(n) << 16)

/* 4.2.3.3 */
struct ahci_region {
	u32 address;
	u32 address_high;
	u32 reserved;
	u32 last; /* bytes, less 1: an odd number */
};
static_assert(sizeof(struct ahci_region) == 16);
#define AHCI_REGION_MOST 0x400000u

/* Register FIS, host to device (Serial ATA 3.1, 10.5.5) */
struct ahci_fis {
	u8 type;
	u8 flags;
	u8 command;
	u8 feature;
	u8 lba[3];
	u8 device;
	u8 lba_high[3];
	u8 feature_high;
	u8 count;
	u8 count_high;
	u8 icc;
	u8 control;
	u8 reserved[4];
};
static_assert(sizeof(struct ahci_fis) == 20);
#define AHCI_FIS_TYPE    0x27u
#define AHCI_FIS_COMMAND 0x80u /* C: it is a command */

/* 4.2.3: command table; as long as the pieces of a request need, and aligned to 128 */
#define AHCI_TABLE_REGIONS 40u
struct ahci_table {
	struct ahci_fis fis;
	u8 rest[44];
	u8 packet[64];
	struct ahci_region region[AHCI_TABLE_REGIONS];
};
static_assert(offsetof(struct ahci_table, region) == 0x80 && sizeof(struct ahci_table) % 128 == 0);

#define AHCI_SLOTS_MAX 32u
#define AHCI_FIS_BYTES 256u /* 4.2.1: received FISes */
