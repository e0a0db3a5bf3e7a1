/*
 * Registers and descriptors of Intel's gigabit Ethernet controllers. Sections of the PCI/PCI-X
 * Family of Gigabit Ethernet Controllers Software Developer's Manual 4.0 (82540EM) stand alone,
 * those of the 82574 GbE Controller Family Datasheet 3.4 behind its name.
 */
#pragma once

#include "kernel/abi/types.h"

#define INTEL_VENDOR  0x8086u
#define INTEL_82540EM 0x100eu
#define INTEL_82574L  0x10d3u

/* 13.4, 82574 10.2 */
#define E1000_CTRL        0x0000u
#define E1000_STATUS      0x0008u
#define E1000_EECD        0x0010u
#define E1000_EERD        0x0014u
#define E1000_CTRL_EXT    0x0018u
#define E1000_MDIC        0x0020u
#define E1000_FCAL        0x0028u
#define E1000_FCAH        0x002cu
#define E1000_FCT         0x0030u
#define E1000_ICR         0x00c0u
#define E1000_ITR         0x00c4u
#define E1000_IMS         0x00d0u
#define E1000_IMC         0x00d8u
#define E1000_EIAC        0x00dcu /* 82574, as all that is of MSI-X */
#define E1000_IAM         0x00e0u
#define E1000_IVAR        0x00e4u
#define E1000_EITR        0x00e8u /* of message 0 */
#define E1000_RCTL        0x0100u
#define E1000_FCTTV       0x0170u
#define E1000_TCTL        0x0400u
#define E1000_TIPG        0x0410u
#define E1000_EXTCNF_CTRL 0x0f00u /* 82574 */
#define E1000_RDBAL       0x2800u
#define E1000_RDBAH       0x2804u
#define E1000_RDLEN       0x2808u
#define E1000_RDH         0x2810u
#define E1000_RDT         0x2818u
#define E1000_RDTR        0x2820u
#define E1000_RADV        0x282cu
#define E1000_TDBAL       0x3800u
#define E1000_TDBAH       0x3804u
#define E1000_TDLEN       0x3808u
#define E1000_TDH         0x3810u
#define E1000_TDT         0x3818u
#define E1000_TIDV        0x3820u
#define E1000_TXDCTL      0x3828u
#define E1000_RXCSUM      0x5000u
#define E1000_RFCTL       0x5008u /* 82574 */
#define E1000_RAL         0x5400u
#define E1000_RAH         0x5404u
#define E1000_REGS_LEAST  0x6000u

/* 13.4.1 */
#define E1000_CTRL_MASTER_DISABLE BIT(2) /* 82574 */
#define E1000_CTRL_LRST           BIT(3)
#define E1000_CTRL_ASDE           BIT(5) /* 82574: to be 0 */
#define E1000_CTRL_SLU            BIT(6)
#define E1000_CTRL_ILOS           BIT(7)
#define E1000_CTRL_FRCSPD         BIT(11)
#define E1000_CTRL_FRCDPLX        BIT(12)
#define E1000_CTRL_RST            BIT(26)
#define E1000_CTRL_RFCE           BIT(27)
#define E1000_CTRL_TFCE           BIT(28)
#define E1000_CTRL_VME            BIT(30)
#define E1000_CTRL_PHY_RST        BIT(31)

/* 13.4.2 */
#define E1000_STATUS_LU     BIT(1)
#define E1000_STATUS_MASTER BIT(19) /* 82574: it may still do DMA */

#define E1000_EECD_AUTO_RD BIT(9) /* 82574 10.2.2.3: the EEPROM has been loaded */

/* 13.4.4; 82574 10.2.2.4 has the address and the done bit elsewhere */
#define E1000_EERD_START BIT(0)
#define E1000_EERD_DATA  16

/* 82574 10.2.2.5 */
#define E1000_CTRL_EXT_PBA BIT(31) /* a message that was masked is not sent twice */

/* 13.4.7 */
#define E1000_MDIC_REG    16
#define E1000_MDIC_PHY    BIT(21) /* the PHY's address is 1 */
#define E1000_MDIC_WRITE  BIT(26)
#define E1000_MDIC_READ   BIT(27)
#define E1000_MDIC_READY  BIT(28)
#define E1000_MDIC_ERROR  BIT(30)
#define E1000_EXTCNF_MDIO BIT(5) /* 82574 10.2.2.14: software has MDIC */

/* IEEE 802.3, 22.2.4.1: register 0 of a PHY */
#define PHY_CONTROL         0u
#define PHY_CONTROL_RESTART BIT(9)
#define PHY_CONTROL_ISOLATE BIT(10)
#define PHY_CONTROL_POWER   BIT(11) /* it is switched off */
#define PHY_CONTROL_AUTONEG BIT(12)

/* 13.4.17: causes; 82574 10.2.4.1 */
#define E1000_INT_TXDW   BIT(0)
#define E1000_INT_LSC    BIT(2)
#define E1000_INT_RXDMT0 BIT(4)
#define E1000_INT_RXO    BIT(6)
#define E1000_INT_RXT0   BIT(7)
#define E1000_INT_RXQ0   BIT(20) /* 82574, with MSI-X */
#define E1000_INT_TXQ0   BIT(22)
#define E1000_INT_OTHER  BIT(24)

/* 82574 10.2.4.9: message 0 for receive queue 0, transmit queue 0 and the rest */
#define E1000_IVAR_MESSAGE_0 (0x8u | 0x8u << 8 | 0x8u << 16)

/* 13.4.22. LPE is 0: frames of more than 1522 bytes, check sequence included, are dropped */
#define E1000_RCTL_EN    BIT(1)
#define E1000_RCTL_UPE   BIT(3)
#define E1000_RCTL_MPE   BIT(4)
#define E1000_RCTL_BAM   BIT(15)
#define E1000_RCTL_SECRC BIT(26)
#define E1000_BUFFER     2048u /* BSIZE and BSEX 0 */

/* 13.4.33; an 82574 has more fields, which stay as they are */
#define E1000_TCTL_EN     BIT(1)
#define E1000_TCTL_PSP    BIT(3)
#define E1000_TCTL_CT     (0x0fu << 4)
#define E1000_TCTL_COLD   (0x40u << 12)
#define E1000_TCTL_FIELDS 0x003ffff0u /* CT and COLD */

/* 13.4.34: IPGT, IPGR1, IPGR2; an 82574 has 8 for IPGT */
#define E1000_TIPG_82540 (10u | 8u << 10 | 6u << 20)
#define E1000_TIPG_82574 (8u | 8u << 10 | 6u << 20)

#define E1000_TXDCTL_82574 BIT(22) /* 82574 10.2.6.10: to be 1 */

#define E1000_RFCTL_ACKDIS BIT(12) /* no interrupt for an ACK alone */

#define E1000_RAH_AV BIT(31)

/* 5.6.1, 5.6.35 */
#define EEPROM_WORDS 0x40u
#define EEPROM_SUM   0xbabau

/* 3.2.3; 82574 7.1.4 */
struct e1000_rx_desc {
	u64 address;
	u16 length;
	u16 checksum;
	u8 status;
	u8 errors;
	u16 special;
};
static_assert(sizeof(struct e1000_rx_desc) == 16);

#define E1000_RXD_DD    BIT(0)
#define E1000_RXD_EOP   BIT(1)
#define E1000_RXD_IXSM  BIT(2)
#define E1000_RXD_TCPCS BIT(5)
#define E1000_RXE_FRAME 0x97u /* CE, SE, SEQ, CXE and RXE: the frame is bad */
#define E1000_RXE_TCPE  BIT(5)
#define E1000_RXE_IPE   BIT(6)

/* 3.3.6, 3.3.7; 82574 7.2.10 */
struct e1000_tx_desc {
	union {
		u64 address;
		struct {
			u8 ipcss;
			u8 ipcso;
			u16 ipcse;
			u8 tucss;
			u8 tucso;
			u16 tucse;
		};
	};
	u32 command; /* length, type, command */
	u8 status;   /* context: and header length */
	u8 options;  /* POPTS */
	u16 special; /* context: MSS */
};
static_assert(sizeof(struct e1000_tx_desc) == 16);

#define E1000_TXD_LENGTH 0xfffffu
#define E1000_TXD_DATA   BIT(20) /* DTYP 1; 0 is a context */
#define E1000_TXD_EOP    BIT(24)
#define E1000_TXD_IFCS   BIT(25)
#define E1000_TXD_RS     BIT(27)
#define E1000_TXD_DEXT   BIT(29)
#define E1000_TXD_DD     BIT(0)
#define E1000_POPTS_TXSM BIT(1)
