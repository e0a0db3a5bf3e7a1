/*
 * AMD-Vi: registers, tables and commands (AMD I/O Virtualization Technology (IOMMU) Specification,
 * revision 3.08).
 */
#pragma once

#include "kernel/abi/types.h"

/* 3.4: registers */
#define AMDVI_DEVICE_TABLE 0x00
#define AMDVI_COMMANDS     0x08
#define AMDVI_EVENTS       0x10
#define AMDVI_CONTROL      0x18
#define AMDVI_EXCLUSION    0x20
#define AMDVI_FEATURES     0x30
#define AMDVI_COMMAND_HEAD 0x2000
#define AMDVI_COMMAND_TAIL 0x2008
#define AMDVI_EVENT_HEAD   0x2010
#define AMDVI_EVENT_TAIL   0x2018
#define AMDVI_STATUS       0x2020

#define AMDVI_256_ENTRIES    (8ull << 56) /* length of a queue or log of one frame */
#define AMDVI_FEATURE_IA     BIT(6)       /* one command forgets everything */
#define AMDVI_ENABLE         BIT(0)
#define AMDVI_LOG_ENABLE     BIT(2)
#define AMDVI_LOG_INTERRUPT  BIT(3)
#define AMDVI_COHERENT       BIT(10)
#define AMDVI_QUEUE_ENABLE   BIT(12)
#define AMDVI_LOG_OVERFLOW   BIT(0) /* status; 1 clears it */
#define AMDVI_LOG_INTERRUPTS BIT(1)
#define AMDVI_LOG_RUNS       BIT(3)

/* 2.4: commands; first word */
#define AMDVI_WAIT(pa)           (1ull << 60 | (pa) | BIT(0)) /* stores the second word at pa */
#define AMDVI_INV_DEVICE(id)     (2ull << 60 | (u16)(id))
#define AMDVI_INV_PAGES(domain)  (3ull << 60 | (u64)(domain) << 32)
#define AMDVI_ALL_PAGES          0x7ffffffffffff003ull /* second word: S, PDE */
#define AMDVI_INV_INTERRUPTS(id) (5ull << 60 | (u16)(id))
#define AMDVI_INV_ALL            (8ull << 60)

/* 2.2.2: device table entries of four words. Valid, but neither readable nor writable; a frame of
 * interrupts (IntTabLen 10: 1,024), all fixed and arbitrated ones remapped, others refused. */
#define AMDVI_ENTRY_WORDS   4
#define AMDVI_DTE_BLOCKED   (BIT(0) | BIT(1)) /* V, TV */
#define AMDVI_DTE_NO_IRQ    BIT(0)            /* IV, IntCtl 0: refused */
#define AMDVI_DTE_IRQ(root) (BIT(0) | 10ull << 1 | (root) | 2ull << 60)

static inline u64 amdvi_dte_translate(u32 levels, u64 root)
{
	return AMDVI_DTE_BLOCKED | (u64)levels << 9 | root | BIT(61) | BIT(62); /* IR, IW */
}

/* 2.2.5: remapped interrupt, fixed, physical, to one CPU, of which 8 bits can be named */
static inline u32 amdvi_irte(u32 vector, u32 apic_id)
{
	return (u32)BIT(0) | apic_id << 8 | vector << 16;
}

/* 2.5: events */
#define AMDVI_EVENT_CODE(low)  ((u32)((low) >> 60))
#define AMDVI_EVENT_PAGE_FAULT 2
#define AMDVI_EVENT_INTERRUPT  BIT(51) /* I: it was an interrupt */
#define AMDVI_EVENT_WRITE      BIT(53) /* RW */
