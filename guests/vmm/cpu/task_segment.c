/* Loading segment registers in a new task (SDM vol. 3, table 8-1 "Exception Conditions Checked
 * During a Task Switch"). */
#include "task_parts.h"

#define TYPE_CODE       BIT(3)
#define TYPE_CONFORMING BIT(2) /* of code */
#define TYPE_WRITABLE   BIT(1) /* of data; of code: readable */
#define TYPE_ACCESSED   BIT(0)
#define ACCESSED        BIT(40) /* the same in the descriptor */
#define BYTE_LIMIT      0xffffu

struct run_segment descriptor_expand(u64 raw, u16 selector)
{
	struct run_segment segment = {.selector = selector};

	instr_descriptor(raw, &segment.base, &segment.limit, &segment.attributes);
	return segment;
}

/* Reads the descriptor of a selector that is not null; false: the guest got #TS or a page fault. */
static bool descriptor_read(
	struct task_switch *t, u16 selector, struct run_segment *segment, u64 *raw, u64 *at)
{
	const struct run_page *run = t->v->run;
	const struct run_segment *table = selector & SELECTOR_TI ? &run->ldtr : &run->gdtr;

	if ((selector & SELECTOR_TI) && !(table->attributes & SEGMENT_P))
		return task_fault(t, VECTOR_TS, selector);
	if ((selector | 7u) > table->limit)
		return task_fault(t, VECTOR_TS, selector);
	*at = (u32)(table->base + (selector & ~7u));
	if (!task_read(t, *at, raw, sizeof(*raw)))
		return false;
	*segment = descriptor_expand(*raw, selector);
	return true;
}

/* Takes a checked descriptor, which the processor marks as accessed. */
static bool segment_take(struct task_switch *t, struct run_segment *to,
	const struct run_segment *segment, u64 raw, u64 at)
{
	raw |= ACCESSED;
	if (!(segment->attributes & TYPE_ACCESSED) && !task_write(t, at, &raw, sizeof(raw)))
		return false;
	*to = *segment;
	to->attributes |= TYPE_ACCESSED;
	return true;
}

static bool load_ldt(struct task_switch *t, u16 selector)
{
	struct run_segment segment = {0};
	u64 raw = 0, at = 0;

	if (!(selector & SELECTOR_NULL))
		return true;
	if (selector & SELECTOR_TI)
		return task_fault(t, VECTOR_TS, selector);
	if (!descriptor_read(t, selector, &segment, &raw, &at))
		return false;
	if ((segment.attributes & SEGMENT_S) || segment_type(&segment) != SEGMENT_LDT_TYPE ||
		!(segment.attributes & SEGMENT_P))
		return task_fault(t, VECTOR_TS, selector);
	t->v->run->ldtr = segment;
	return true;
}

/* SS is writable data of the new privilege level, which is the RPL of CS. */
static bool load_stack(struct task_switch *t, u16 selector, u32 cpl)
{
	struct run_segment segment = {0};
	u64 raw = 0, at = 0;

	if (!(selector & SELECTOR_NULL))
		return task_fault(t, VECTOR_TS, selector);
	if (!descriptor_read(t, selector, &segment, &raw, &at))
		return false;
	if (!(segment.attributes & SEGMENT_S) || (segment_type(&segment) & TYPE_CODE) ||
		!(segment_type(&segment) & TYPE_WRITABLE) || (selector & SELECTOR_RPL) != cpl ||
		segment_dpl(&segment) != cpl)
		return task_fault(t, VECTOR_TS, selector);
	if (!(segment.attributes & SEGMENT_P))
		return task_fault(t, VECTOR_SS, selector);
	return segment_take(t, &t->v->run->ss, &segment, raw, at);
}

static bool load_code(struct task_switch *t, u16 selector, u32 cpl)
{
	struct run_segment segment = {0};
	u64 raw = 0, at = 0;
	u32 type;

	if (!(selector & SELECTOR_NULL))
		return task_fault(t, VECTOR_TS, selector);
	if (!descriptor_read(t, selector, &segment, &raw, &at))
		return false;
	type = segment_type(&segment);
	if (!(segment.attributes & SEGMENT_S) || !(type & TYPE_CODE))
		return task_fault(t, VECTOR_TS, selector);
	if (type & TYPE_CONFORMING ? segment_dpl(&segment) > cpl : segment_dpl(&segment) != cpl)
		return task_fault(t, VECTOR_TS, selector);
	if (!(segment.attributes & SEGMENT_P))
		return task_fault(t, VECTOR_NP, selector);
	segment.attributes &= ~SEGMENT_L; /* means nothing outside long mode */
	return segment_take(t, &t->v->run->cs, &segment, raw, at);
}

static bool load_data(struct task_switch *t, struct run_segment *to, u16 selector, u32 cpl)
{
	struct run_segment segment = {0};
	u32 type, rpl = selector & SELECTOR_RPL;
	u64 raw = 0, at = 0;

	if (!(selector & SELECTOR_NULL))
		return true;
	if (!descriptor_read(t, selector, &segment, &raw, &at))
		return false;
	type = segment_type(&segment);
	if (!(segment.attributes & SEGMENT_S) || ((type & TYPE_CODE) && !(type & TYPE_WRITABLE)))
		return task_fault(t, VECTOR_TS, selector);
	if ((type & (TYPE_CODE | TYPE_CONFORMING)) != (TYPE_CODE | TYPE_CONFORMING) &&
		segment_dpl(&segment) < (rpl > cpl ? rpl : cpl))
		return task_fault(t, VECTOR_TS, selector);
	if (!(segment.attributes & SEGMENT_P))
		return task_fault(t, VECTOR_NP, selector);
	return segment_take(t, to, &segment, raw, at);
}

static struct run_segment virtual_8086(u16 selector)
{
	return (struct run_segment){selector,
		(u16)(SEGMENT_P | SEGMENT_S | SEGMENT_DATA_TYPE | 3u << SEGMENT_DPL_SHIFT),
		BYTE_LIMIT, (u64)selector << 4};
}

/*
 * The selectors are loaded before any descriptor. Until its descriptor is there, a register of data
 * and the stack cannot be used; CS has a form that the processor accepts at this privilege level.
 */
static void load_selectors(struct run_page *run, const struct task_selectors *s, u32 cpl)
{
	u16 dpl = (u16)(cpl << SEGMENT_DPL_SHIFT);

	run->ldtr = (struct run_segment){.selector = s->ldt};
	run->es = (struct run_segment){.selector = s->es};
	run->ds = (struct run_segment){.selector = s->ds};
	run->fs = (struct run_segment){.selector = s->fs};
	run->gs = (struct run_segment){.selector = s->gs};
	run->cs = (struct run_segment){.selector = s->cs,
		.attributes = (u16)(SEGMENT_P | SEGMENT_S | SEGMENT_CODE_TYPE | dpl),
		.limit = BYTE_LIMIT};
	/* of one byte: every push faults */
	run->ss = (struct run_segment){.selector = s->ss,
		.attributes = (u16)(SEGMENT_P | SEGMENT_S | SEGMENT_DATA_TYPE | dpl)};
}

bool task_load_segments(struct task_switch *t, const struct task_selectors *s)
{
	struct run_page *run = t->v->run;
	u32 cpl = s->cs & SELECTOR_RPL;

	run->dirty |= GROUP_SEG | GROUP_SYS;
	if (run->rflags & RFLAGS_VM) {
		run->es = virtual_8086(s->es);
		run->cs = virtual_8086(s->cs);
		run->ss = virtual_8086(s->ss);
		run->ds = virtual_8086(s->ds);
		run->fs = virtual_8086(s->fs);
		run->gs = virtual_8086(s->gs);
		run->ldtr = (struct run_segment){.selector = s->ldt};
		return load_ldt(t, s->ldt);
	}
	load_selectors(run, s, cpl);
	return load_ldt(t, s->ldt) && load_stack(t, s->ss, cpl) && load_code(t, s->cs, cpl) &&
	       load_data(t, &run->ds, s->ds, cpl) && load_data(t, &run->es, s->es, cpl) &&
	       load_data(t, &run->fs, s->fs, cpl) && load_data(t, &run->gs, s->gs, cpl);
}
