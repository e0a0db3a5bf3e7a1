/*
 * The registers of LGDT, LIDT, LLDT, LTR, LMSW and their stores, whose operands are in memory that
 * is emulated (SDM vol. 2A and 2B, there; vol. 3, 7.2.3 TSS descriptor in 64-bit mode).
 */
#include "emulate_bus.h"
#include "task_parts.h"

#define TSS_AVAILABLE 0x9u /* 32-bit, or 64-bit in long mode */
#define TSS_16        0x1u
#define TSS_BUSY      0x2u
#define BUSY          BIT(41) /* the same in the descriptor */
#define UPPER_TYPE    0x1f00u /* of the second half, must be 0 */
#define MSW_MASK      (CR0_PE | CR0_MP | CR0_EM | CR0_TS)

static int fault(struct bus *b, u8 vector, u32 error)
{
	bus_fault(b, vector, error);
	return 1;
}

/* Reads the descriptor of a selector in the GDT; raw[1]: base bits 63:32 of a 16-byte one. */
static int descriptor_get(
	struct bus *b, u16 selector, struct run_segment *segment, u64 raw[2], u64 *at)
{
	const struct run_page *run = b->v->run;
	u32 size = run->efer & EFER_LMA ? 16 : 8;

	if ((selector & SELECTOR_TI) || (selector & ~7u) + size - 1 > run->gdtr.limit)
		return fault(b, VECTOR_GP, selector & ~SELECTOR_RPL);
	*at = run->gdtr.base + (selector & ~7u);
	raw[1] = 0;
	if (bus_access(b, *at, (u8 *)raw, size, 0, false))
		return 1;
	*segment = descriptor_expand(raw[0], selector);
	segment->base |= raw[1] << 32;
	if ((segment->attributes & SEGMENT_S) || (raw[1] >> 32 & UPPER_TYPE) ||
		!bus_canonical(b, segment->base))
		return fault(b, VECTOR_GP, selector & ~SELECTOR_RPL);
	return 0;
}

static int load_task(struct bus *b, u16 selector)
{
	struct run_page *run = b->v->run;
	struct run_segment segment;
	u64 raw[2], at;

	if (!(selector & SELECTOR_NULL))
		return fault(b, VECTOR_GP, 0);
	if (descriptor_get(b, selector, &segment, raw, &at))
		return 1;
	if (segment_type(&segment) != TSS_AVAILABLE &&
		(segment_type(&segment) != TSS_16 || (run->efer & EFER_LMA)))
		return fault(b, VECTOR_GP, selector & ~SELECTOR_RPL);
	if (!(segment.attributes & SEGMENT_P))
		return fault(b, VECTOR_NP, selector & ~SELECTOR_RPL);
	raw[0] |= BUSY;
	if (bus_access(b, at, (u8 *)raw, sizeof(raw[0]), 0, true))
		return 1;
	segment.attributes |= TSS_BUSY;
	run->tr = segment;
	return 0;
}

static int load_ldt(struct bus *b, u16 selector)
{
	struct run_segment segment = {.selector = selector};
	u64 raw[2], at;

	if (selector & SELECTOR_NULL) {
		if (descriptor_get(b, selector, &segment, raw, &at))
			return 1;
		if (segment_type(&segment) != SEGMENT_LDT_TYPE)
			return fault(b, VECTOR_GP, selector & ~SELECTOR_RPL);
		if (!(segment.attributes & SEGMENT_P))
			return fault(b, VECTOR_NP, selector & ~SELECTOR_RPL);
	}
	b->v->run->ldtr = segment;
	return 0;
}

static int load_table(struct bus *b, struct run_segment *table, u16 limit, u64 base)
{
	if (!bus_canonical(b, base))
		return fault(b, VECTOR_GP, 0);
	*table = (struct run_segment){.limit = limit, .base = base};
	return 0;
}

static int store(struct bus *b, enum instr_operation operation, u16 *word, u64 *base)
{
	const struct run_page *run = b->v->run;
	const struct run_segment *table = operation == INSTR_SGDT ? &run->gdtr : &run->idtr;

	if (vcpu_cpl(b->v) && (run->cr4 & CR4_UMIP))
		return fault(b, VECTOR_GP, 0);
	if (operation == INSTR_SLDT || operation == INSTR_STR) {
		*word = operation == INSTR_SLDT ? run->ldtr.selector : run->tr.selector;
		return 0;
	}
	*word = (u16)table->limit;
	*base = table->base;
	return 0;
}

int bus_system(void *opaque, enum instr_operation operation, u16 *word, u64 *base)
{
	struct bus *b = opaque;
	struct run_page *run = b->v->run;
	bool is_protected = (run->cr0 & CR0_PE) && !(run->rflags & RFLAGS_VM);

	vcpu_need(b->v, GROUP_SYS);
	if (operation <= INSTR_LTR && !is_protected)
		return fault(b, VECTOR_UD, 0);
	if (operation <= INSTR_STR || operation == INSTR_SGDT || operation == INSTR_SIDT)
		return store(b, operation, word, base);
	if (vcpu_cpl(b->v))
		return fault(b, VECTOR_GP, 0);
	run->dirty |= GROUP_SYS;
	switch (operation) {
	case INSTR_LLDT:
		return load_ldt(b, *word);
	case INSTR_LTR:
		return load_task(b, *word);
	case INSTR_LGDT:
		return load_table(b, &run->gdtr, *word, *base);
	case INSTR_LIDT:
		return load_table(b, &run->idtr, *word, *base);
	default: /* LMSW: it cannot clear PE */
		run->cr0 = (run->cr0 & ~(MSW_MASK & ~CR0_PE)) | (*word & MSW_MASK);
		run->dirty |= GROUP_CR;
		return 0;
	}
}
