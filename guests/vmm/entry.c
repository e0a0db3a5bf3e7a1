/* Flat segments and control registers for the 64-bit and the PVH entry. */
#include "entry.h"

#define SELECTOR_CODE 0x10
#define SELECTOR_DATA 0x18
#define GDT_ENTRIES   4
#define TSS_LIMIT     0x67

static u64 descriptor(const struct run_segment *s)
{
	u64 limit = s->limit >> 12; /* granularity: pages */

	return (limit & 0xffff) | (u64)(s->attributes & 0xff) << 40 | (limit >> 16) << 48 |
	       (u64)(s->attributes >> 8) << 52;
}

void entry_set(struct vcpu *v, const struct boot_entry *entry)
{
	bool wide = entry->mode == BOOT_MODE_LONG;
	const struct run_segment code = {SELECTOR_CODE,
		(u16)(SEGMENT_P | SEGMENT_S | SEGMENT_CODE_TYPE | SEGMENT_G |
			(wide ? SEGMENT_L : SEGMENT_DB)),
		UINT32_MAX, 0};
	const struct run_segment data = {SELECTOR_DATA,
		(u16)(SEGMENT_P | SEGMENT_S | SEGMENT_DATA_TYPE | SEGMENT_G | SEGMENT_DB),
		UINT32_MAX, 0};
	const u64 gdt[GDT_ENTRIES] = {0, 0, descriptor(&code), descriptor(&data)};
	struct run_page *run = v->run;

	check(gmem_write(&v->machine->memory, BOOT_GDT, gdt, sizeof(gdt)));
	run->cs = code;
	run->ds = run->es = run->fs = run->gs = run->ss = data;
	run->tr = (struct run_segment){0, (u16)(SEGMENT_P | SEGMENT_TSS32_TYPE), TSS_LIMIT, 0};
	run->gdtr = (struct run_segment){.base = BOOT_GDT, .limit = sizeof(gdt) - 1};
	run->idtr = (struct run_segment){0};
	run->cr0 = CR0_PE | CR0_ET;
	if (wide) {
		run->cr0 |= CR0_PG;
		run->cr3 = entry->cr3;
		run->cr4 = CR4_PAE;
		run->efer = EFER_LME | EFER_LMA;
	}
	run->rip = entry->rip;
	run->gpr[RBX] = entry->rbx;
	run->gpr[RSI] = entry->rsi;
	run->gpr[RSP] = entry->rsp;
	run->dirty |= GROUP_RIP | GROUP_CR | GROUP_SEG | GROUP_SYS;
}
