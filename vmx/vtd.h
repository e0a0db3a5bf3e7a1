/*
 * VT-d: registers, tables and descriptors (Intel Virtualization Technology for Directed I/O
 * specification, revision 4.1; legacy mode).
 */
#pragma once

#include "kernel/abi/types.h"

/* 11.4: registers */
#define VTD_CAP     0x08
#define VTD_ECAP    0x10
#define VTD_GCMD    0x18
#define VTD_GSTS    0x1c
#define VTD_RTADDR  0x20
#define VTD_FSTS    0x34
#define VTD_FECTL   0x38
#define VTD_FEDATA  0x3c
#define VTD_FEADDR  0x40
#define VTD_FEUADDR 0x44
#define VTD_PMEN    0x64
#define VTD_IQT     0x88
#define VTD_IQA     0x90
#define VTD_IRTA    0xb8

/* 11.4.2, 11.4.3 */
#define VTD_CAP_DOMAINS(cap) (16ull << 2 * ((cap)&7)) /* ND */
#define VTD_CAP_RWBF         BIT(4)
#define VTD_CAP_PMR          (BIT(5) | BIT(6)) /* PLMR, PHMR */
#define VTD_CAP_CM           BIT(7)
#define VTD_CAP_39BIT        BIT(9) /* SAGAW: three levels */
#define VTD_CAP_48BIT        BIT(10)
#define VTD_CAP_FRO(cap)     ((u32)((cap) >> 24 & 0x3ff) * 16)
#define VTD_CAP_2M           BIT(34) /* SLLPS */
#define VTD_CAP_1G           BIT(35)
#define VTD_CAP_FAULTS(cap)  ((u32)((cap) >> 40 & 0xff) + 1) /* NFR */
#define VTD_ECAP_C           BIT(0)
#define VTD_ECAP_QI          BIT(1)
#define VTD_ECAP_IR          BIT(3)
#define VTD_ECAP_EIM         BIT(4)
#define VTD_ECAP_SC          BIT(7)

/* 11.4.4: the same bits in GCMD and GSTS */
#define VTD_SIRTP     BIT(24)
#define VTD_IRE       BIT(25)
#define VTD_QIE       BIT(26)
#define VTD_SRTP      BIT(30)
#define VTD_TE        BIT(31)
#define VTD_GSTS_KEPT 0x96ffffffu /* what a command repeats of it */
#define VTD_CFI       BIT(23)

#define VTD_FSTS_PFO  BIT(0)
#define VTD_IRTA_SIZE 7 /* 2^(7 + 1) entries */
#define VTD_IRTA_EIME BIT(11)
#define VTD_PMEN_PRS  BIT(0)

#define VTD_PRESENT BIT(0)

/* 6.5.2: descriptors; the second word is 0 but in a wait. All contexts, all interrupt entries, the
 * translations of a domain with reads and writes under way. */
#define VTD_INV_CONTEXT     (1ull | 1ull << 4)
#define VTD_INV_DOMAIN(did) (2ull | 2ull << 4 | BIT(6) | BIT(7) | (u64)(did) << 16)
#define VTD_INV_IOTLB       (2ull | 1ull << 4)
#define VTD_INV_INTERRUPTS  4ull
/* Writes the status, and is a fence. */
#define VTD_INV_WAIT(value) (5ull | BIT(5) | BIT(6) | (u64)(value) << 32)

/* 9.3: second word of a context entry; the first is the table's address and VTD_PRESENT, which
 * means that untranslated requests are translated and others are refused. */
static inline u64 vtd_context_high(u32 levels, u32 domain)
{
	return (levels - 2) | (u64)domain << 8;
}

/* 9.9: remapped interrupt to one CPU, fixed, physical; only from `requester` (SVT 1, SQ 0). */
static inline u64 vtd_irte_low(u32 vector, u32 apic_id, bool level, bool eim)
{
	u64 destination = eim ? apic_id : (apic_id & 0xff) << 8;

	return VTD_PRESENT | (level ? BIT(4) : 0) | (u64)vector << 16 | destination << 32;
}

static inline u64 vtd_irte_high(u32 requester)
{
	return (u16)requester | 1ull << 18;
}

/* 5.1.2.2, 5.1.5.1: bits 19:4 of a message's address, and 63:48 of an I/O APIC's entry: remappable
 * format, index; those below BIT(15) only. */
static inline u32 vtd_handle(u32 index)
{
	return 1 | index << 1;
}

/* 11.4.14: second word of a fault record */
#define VTD_FAULT_SET        BIT(63)
#define VTD_FAULT_READ       BIT(62)
#define VTD_FAULT_REASON(hi) ((u32)((hi) >> 32 & 0xff))
/* 7.1.3 */
#define VTD_REASON_ROOT      1 /* not present */
#define VTD_REASON_CONTEXT   2
#define VTD_REASON_WRITE     5
#define VTD_REASON_READ      6
#define VTD_REASON_INTERRUPT 0x20 /* from here on */
#define VTD_REASON_LAST      0x27
