/*
 * Registers and structures in memory of a USB host controller (eXtensible Host Controller Interface
 * for Universal Serial Bus 1.2; sections are its).
 */
#pragma once

#include "kernel/abi/types.h"

/* 5.3: capabilities */
#define XHCI_CAPLENGTH        0x00u /* and the version in the upper half */
#define XHCI_HCSPARAMS1       0x04u
#define XHCI_SLOTS(p)         ((p)&0xffu)
#define XHCI_PORTS(p)         ((p) >> 24)
#define XHCI_HCSPARAMS2       0x08u
#define XHCI_SCRATCH(p)       (((p) >> 21 & 31u) << 5 | (p) >> 27)
#define XHCI_HCCPARAMS1       0x10u
#define XHCI_HCC_AC64         BIT(0)
#define XHCI_HCC_CSZ          BIT(2) /* contexts of 64 bytes */
#define XHCI_HCC_XECP(p)      ((p) >> 16 << 2)
#define XHCI_DBOFF            0x14u
#define XHCI_RTSOFF           0x18u
#define XHCI_CAPABILITY_BYTES 0x20u
#define XHCI_NONE             0xffffffffu

/* 7.1: legacy support */
#define XHCI_EXT_ID(v)      ((v)&0xffu)
#define XHCI_EXT_NEXT(v)    (((v) >> 8 & 0xffu) << 2)
#define XHCI_EXT_LEGACY     1u
#define XHCI_LEGACY_BIOS    BIT(16)
#define XHCI_LEGACY_OS      BIT(24)
#define XHCI_LEGACY_CONTROL 4u
#define XHCI_LEGACY_SMIS    0xe011u /* enables; events are written 1 */
#define XHCI_LEGACY_EVENTS  0xe0000000u

/* 5.4: operational registers */
#define XHCI_USBCMD        0x00u
#define XHCI_CMD_RS        BIT(0)
#define XHCI_CMD_HCRST     BIT(1)
#define XHCI_CMD_INTE      BIT(2)
#define XHCI_USBSTS        0x04u
#define XHCI_STS_HCH       BIT(0)
#define XHCI_STS_HSE       BIT(2)
#define XHCI_STS_EINT      BIT(3)
#define XHCI_STS_CNR       BIT(11)
#define XHCI_STS_HCE       BIT(12)
#define XHCI_PAGESIZE      0x08u
#define XHCI_CRCR          0x18u
#define XHCI_DCBAAP        0x30u
#define XHCI_CONFIG        0x38u
#define XHCI_PORTSC(n)     (0x400u + 0x10u * ((n)-1)) /* ports begin at 1 */
#define XHCI_PORT_CCS      BIT(0)
#define XHCI_PORT_PED      BIT(1) /* written 1: disabled */
#define XHCI_PORT_PR       BIT(4)
#define XHCI_PORT_PP       BIT(9)
#define XHCI_PORT_SPEED(v) ((v) >> 10 & 15u)
#define XHCI_PORT_CSC      BIT(17)
#define XHCI_PORT_PRC      BIT(21)
#define XHCI_PORT_RESETS   0x006c0000u /* changes that a reset makes, connections not */
#define XHCI_PORT_CHANGES  0x00fe0000u /* written 1: cleared */
#define XHCI_PORT_KEPT     0x0e00c200u /* what a write that changes nothing else repeats */

/* 5.5: runtime registers, from interrupter 0 on; 5.6: doorbells */
#define XHCI_IMAN          0x20u
#define XHCI_IMAN_IP       BIT(0)
#define XHCI_IMAN_IE       BIT(1)
#define XHCI_IMOD          0x24u
#define XHCI_ERSTSZ        0x28u
#define XHCI_ERSTBA        0x30u
#define XHCI_ERDP          0x38u
#define XHCI_ERDP_EHB      BIT(3)
#define XHCI_RUNTIME_LEAST 0x40u

/* 6.4: transfer request blocks */
struct xhci_trb {
	u64 parameter;
	u32 status;
	u32 control;
};
static_assert(sizeof(struct xhci_trb) == 16);
#define XHCI_TRB_CYCLE       BIT(0)
#define XHCI_TRB_TOGGLE      BIT(1) /* of a link */
#define XHCI_TRB_ISP         BIT(2) /* an event if it is short */
#define XHCI_TRB_CHAIN       BIT(4)
#define XHCI_TRB_IOC         BIT(5)     /* an event when it is done */
#define XHCI_TRB_IDT         BIT(6)     /* data are in the parameter */
#define XHCI_TRB_IN          BIT(16)    /* of control transfers */
#define XHCI_TRB_SETUP_IN    (3u << 16) /* a data stage, to memory; */
#define XHCI_TRB_SETUP_OUT   (2u << 16) /* from memory */
#define XHCI_TRB_TYPE(t)     ((u32)(t) << 10)
#define XHCI_TRB_TYPE_OF(c)  ((c) >> 10 & 63u)
#define XHCI_TRB_ENDPOINT(e) ((u32)(e) << 16)
#define XHCI_TRB_SLOT(s)     ((u32)(s) << 24)
#define XHCI_TRB_SLOT_OF(c)  ((c) >> 24)
#define XHCI_TRB_TD_SIZE(n)  ((u32)(n) << 17)
#define XHCI_TD_SIZE_MOST    31u
#define XHCI_TRB_BOUNDARY    0x10000u /* that data of one do not cross (6.4.1) */
#define XHCI_CODE(s)         ((s) >> 24)
#define XHCI_LEFT(s)         ((s)&0xffffffu) /* bytes that were not moved */

enum xhci_trb_type {
	XHCI_NORMAL = 1,
	XHCI_SETUP = 2,
	XHCI_DATA = 3,
	XHCI_STATUS = 4,
	XHCI_LINK = 6,
	XHCI_ENABLE_SLOT = 9,
	XHCI_DISABLE_SLOT = 10,
	XHCI_ADDRESS_DEVICE = 11,
	XHCI_CONFIGURE_ENDPOINT = 12,
	XHCI_EVALUATE_CONTEXT = 13,
	XHCI_RESET_ENDPOINT = 14,
	XHCI_STOP_ENDPOINT = 15,
	XHCI_SET_DEQUEUE = 16,
	XHCI_EVENT_TRANSFER = 32,
	XHCI_EVENT_COMMAND = 33,
	XHCI_EVENT_PORT = 34,
};

/* 6.4.5: completion codes */
enum xhci_code {
	XHCI_CODE_NONE = 0,
	XHCI_CODE_SUCCESS = 1,
	XHCI_CODE_STALL = 6,
	XHCI_CODE_SHORT = 13,
	XHCI_CODE_STOPPED = 26, /* and two after it */
	XHCI_CODE_STOPPED_LAST = 28,
};

/* 6.5 */
struct xhci_segment {
	u64 base;
	u32 size; /* TRBs */
	u32 reserved;
};
static_assert(sizeof(struct xhci_segment) == 16);

/* 6.2: words of a context, whatever its size */
#define XHCI_INPUT_ADD       1u /* of the input control context */
#define XHCI_SLOT_SPEED(s)   ((u32)(s) << 20)
#define XHCI_SLOT_HUB        BIT(26)
#define XHCI_SLOT_ENTRIES(n) ((u32)(n) << 27)
#define XHCI_SLOT_PORT(n)    ((u32)(n) << 16)
#define XHCI_SLOT_PORTS(n)   ((u32)(n) << 24) /* of a hub */
#define XHCI_SLOT_TT(s, p)   ((u32)(s) | (u32)(p) << 8)
#define XHCI_SLOT_THINK(t)   ((u32)(t) << 16)
#define XHCI_EP_STATE(w)     ((w)&7u)
#define XHCI_EP_RUNNING      1u
#define XHCI_EP_HALTED       2u
#define XHCI_EP_INTERVAL(n)  ((u32)(n) << 16)
#define XHCI_EP_TYPE(t)      ((u32)(t) << 3)
#define XHCI_EP_ERRORS       (3u << 1) /* CErr */
#define XHCI_EP_PACKET(n)    ((u32)(n) << 16)
#define XHCI_EP_BURST(n)     ((u32)(n) << 8)
#define XHCI_EP_CONTROL      4u
#define XHCI_EP_BULK_OUT     2u
#define XHCI_EP_BULK_IN      6u
#define XHCI_EP_INTERRUPT_IN 7u
#define XHCI_EP_ESIT(n)      ((u32)(n) << 16) /* bytes in an interval, with the average */
#define XHCI_EP_CYCLE        BIT(0)           /* with the dequeue pointer */
#define XHCI_CONTEXTS        32u
#define XHCI_CONTEXT_WORDS   16u /* of 64 bytes */

enum xhci_speed {
	XHCI_FULL = 1,
	XHCI_LOW = 2,
	XHCI_HIGH = 3,
	XHCI_SUPER = 4,
	XHCI_SUPER_PLUS = 5,
};
