/* Segments and control registers for the 64-bit, the 32-bit and the real-mode entry. */
#include "entry.h"

#define SELECTOR_CODE  0x10
#define SELECTOR_DATA  0x18
#define GDT_ENTRIES    4
#define TSS_LIMIT      0x67
#define REAL_IDT_LIMIT 0x3ff /* 256 vectors of 4 bytes */

static u64 descriptor(const struct run_segment *s)
{
	u64 limit = s->limit >> 12; /* granularity: pages */

	return (limit & 0xffff) | (u64)(s->attributes & 0xff) << 40 | (limit >> 16) << 48 |
	       (u64)(s->attributes >> 8) << 52;
}

static void set_registers(struct run_page *run, const struct boot_entry *entry)
{
	run->rip = entry->rip;
	run->gpr[RAX] = entry->rax;
	run->gpr[RBX] = entry->rbx;
	run->gpr[RDX] = entry->rdx;
	run->gpr[RSI] = entry->rsi;
	run->gpr[RSP] = entry->rsp;
	run->dirty |= GROUP_RIP | GROUP_CR | GROUP_SEG | GROUP_SYS;
}

/* All segments at 0; IDT, GDT, TR and LDTR stay as the reset left them. */
static void set_real(struct vcpu *v, const struct boot_entry *entry)
{
	struct run_page *run = v->run;

	run->cs.selector = 0;
	run->cs.base = 0;
	run->idtr = (struct run_segment){.limit = REAL_IDT_LIMIT};
	run->cr0 = CR0_ET; /* caches on, as firmware leaves them */
	set_registers(run, entry);
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
	const gpa_t gdt_at = BOOT_GDT + entry->shift;
	struct run_page *run = v->run;

	if (entry->mode == BOOT_MODE_REAL) {
		set_real(v, entry);
		return;
	}
	check(gmem_write(&v->machine->memory, gdt_at, gdt, sizeof(gdt)));
	run->cs = code;
	run->ds = run->es = run->fs = run->gs = run->ss = data;
	run->tr = (struct run_segment){0, (u16)(SEGMENT_P | SEGMENT_TSS32_TYPE), TSS_LIMIT, 0};
	run->gdtr = (struct run_segment){.base = gdt_at, .limit = sizeof(gdt) - 1};
	run->idtr = (struct run_segment){0};
	run->cr0 = CR0_PE | CR0_ET;
	if (wide) {
		run->cr0 |= CR0_PG;
		run->cr3 = entry->cr3;
		run->cr4 = CR4_PAE;
		run->efer = EFER_LME | EFER_LMA;
	}
	set_registers(run, entry);
}
