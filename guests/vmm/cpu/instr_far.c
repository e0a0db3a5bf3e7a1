/*
 * Loads of segment registers, and the branches that load CS: far CALL, JMP and RET, IRET. Gates and
 * tasks are not done (INSTR_UNSUPPORTED).
 *
 * SDM vol. 3, 5.5 to 5.8 (checks), 7.12 and 7.14 (IRET); vol. 2A: CALL, JMP, IRET; vol. 2B: MOV,
 * POP, RET.
 */
#include "guests/vmm/cpu/instr_parts.h"

#define VECTOR_NP 11
#define VECTOR_SS 12
#define VECTOR_GP 13

#define SELECTOR_RPL  3u
#define SELECTOR_TI   4u
#define SELECTOR_NULL 0xfffcu /* a null selector has none of these bits */

#define TYPE_CODE       BIT(3)
#define TYPE_CONFORMING BIT(2) /* of code */
#define TYPE_READABLE   BIT(1) /* of code; of data: writable */
#define TYPE_ACCESSED   BIT(0)
#define ATTRIBUTE_S     BIT(4)
#define ATTRIBUTE_DPL   5 /* shift */
#define ATTRIBUTE_P     BIT(7)
#define ATTRIBUTE_L     BIT(9)
#define ATTRIBUTE_DB    BIT(10)
#define ATTRIBUTE_G     BIT(11)
#define RAW_ACCESSED    BIT(40)

#define VIRTUAL_8086_ATTRIBUTES 0xf3u /* P, DPL 3, S, writable, accessed */
#define VIRTUAL_8086_LIMIT      UINT16_MAX

struct descriptor {
	u16 selector;
	u16 attributes;
	u32 limit;
	u64 base;
	u64 raw;
	u64 at; /* linear address */
};

/* What a far return pops, and what it then has on its stack. */
struct frame {
	u64 rip, cs, flags, rsp, ss;
};

void instr_descriptor(u64 raw, u64 *base, u32 *limit, u16 *attributes)
{
	*attributes = (u16)((raw >> 40 & 0xff) | (raw >> 52 & 0xf) << 8);
	*limit = (u32)((raw & 0xffff) | (raw >> 48 & 0xf) << 16);
	if (*attributes & ATTRIBUTE_G)
		*limit = *limit << 12 | 0xfff;
	*base = (raw >> 16 & 0xffffff) | (raw >> 56) << 24;
}

/* A fault whose error code is a selector. */
static enum instr_status fault(struct run *run, u8 vector, u64 selector)
{
	run->bus->fault(run->opaque, vector, (u32)(selector & UINT16_MAX & ~SELECTOR_RPL));
	return INSTR_FAULT;
}

static u16 dpl_of(u16 attributes)
{
	return attributes >> ATTRIBUTE_DPL & 3;
}

/* Reads the descriptor of a selector that is not null. */
static enum instr_status descriptor_read(struct run *run, u64 selector, struct descriptor *d)
{
	const struct instr_table *table = &run->cpu->table[selector & SELECTOR_TI ? 1 : 0];
	u32 offset = (u16)selector & ~(SELECTOR_RPL | SELECTOR_TI);

	if (offset + sizeof(d->raw) - 1 > table->limit)
		return fault(run, VECTOR_GP, selector);
	d->at = table->base + offset;
	if (!run->cpu->long_mode)
		d->at = (u32)d->at;
	if (run->bus->read(run->opaque, d->at, &d->raw, sizeof(d->raw), INSTR_ACCESS_SYSTEM))
		return INSTR_FAULT;
	d->selector = (u16)selector;
	instr_descriptor(d->raw, &d->base, &d->limit, &d->attributes);
	return INSTR_OK;
}

/* Takes a checked descriptor into a register; the processor marks it as accessed. */
static enum instr_status descriptor_take(
	struct run *run, unsigned segment, struct descriptor *d, u16 rpl)
{
	struct instr_cpu *cpu = run->cpu;

	d->raw |= RAW_ACCESSED;
	if (!(d->attributes & TYPE_ACCESSED) &&
		run->bus->write(run->opaque, d->at, &d->raw, sizeof(d->raw), INSTR_ACCESS_SYSTEM))
		return INSTR_FAULT;
	cpu->selector[segment] = (d->selector & ~SELECTOR_RPL) | rpl;
	cpu->attributes[segment] = d->attributes | TYPE_ACCESSED;
	cpu->limit[segment] = d->limit;
	cpu->base[segment] = d->base;
	if (segment == INSTR_SS)
		cpu->stack_size = d->attributes & ATTRIBUTE_DB ? 4 : 2;
	return INSTR_OK;
}

/* A null selector leaves SS the privilege level. FS and GS lose their bases, as on Intel's
 * processors. */
static void segment_null(struct instr_cpu *cpu, unsigned segment, u64 selector, unsigned cpl)
{
	cpu->selector[segment] = (u16)selector;
	cpu->attributes[segment] = segment == INSTR_SS ? (u16)(cpl << ATTRIBUTE_DPL) : 0;
	cpu->limit[segment] = 0;
	cpu->base[segment] = 0;
}

/* The stack segment for privilege level cpl; wide: of 64-bit code. */
static enum instr_status stack_load(struct run *run, u64 selector, u16 cpl, bool wide)
{
	struct descriptor d;
	enum instr_status status;

	if (!(selector & SELECTOR_NULL)) {
		if (!wide || cpl == 3 || (selector & SELECTOR_RPL) != cpl)
			return fault(run, VECTOR_GP, 0);
		segment_null(run->cpu, INSTR_SS, selector, cpl);
		return INSTR_OK;
	}
	status = descriptor_read(run, selector, &d);
	if (status != INSTR_OK)
		return status;
	if ((selector & SELECTOR_RPL) != cpl || dpl_of(d.attributes) != cpl ||
		!(d.attributes & ATTRIBUTE_S) || (d.attributes & TYPE_CODE) ||
		!(d.attributes & TYPE_READABLE))
		return fault(run, VECTOR_GP, selector);
	if (!(d.attributes & ATTRIBUTE_P))
		return fault(run, VECTOR_SS, selector);
	return descriptor_take(run, INSTR_SS, &d, cpl);
}

static bool is_conforming(u16 attributes)
{
	return (attributes & (TYPE_CODE | TYPE_CONFORMING)) == (TYPE_CODE | TYPE_CONFORMING);
}

static enum instr_status data_load(struct run *run, unsigned segment, u64 selector)
{
	u16 rpl = selector & SELECTOR_RPL;
	u16 level = rpl > run->cpu->cpl ? rpl : run->cpu->cpl;
	struct descriptor d;
	enum instr_status status;

	if (!(selector & SELECTOR_NULL)) {
		segment_null(run->cpu, segment, selector, 0);
		return INSTR_OK;
	}
	status = descriptor_read(run, selector, &d);
	if (status != INSTR_OK)
		return status;
	if (!(d.attributes & ATTRIBUTE_S) ||
		((d.attributes & TYPE_CODE) && !(d.attributes & TYPE_READABLE)) ||
		(!is_conforming(d.attributes) && dpl_of(d.attributes) < level))
		return fault(run, VECTOR_GP, selector);
	if (!(d.attributes & ATTRIBUTE_P))
		return fault(run, VECTOR_NP, selector);
	return descriptor_take(run, segment, &d, rpl);
}

/* Real mode keeps limit and attributes; those of virtual-8086 mode are always the same. */
static void real_load(struct instr_cpu *cpu, unsigned segment, u64 selector)
{
	cpu->selector[segment] = (u16)selector;
	cpu->base[segment] = (selector & UINT16_MAX) << 4;
}

enum instr_status segment_load(struct run *run, unsigned segment, u64 selector)
{
	selector &= UINT16_MAX;
	if (!run->bus->fault)
		return INSTR_UNSUPPORTED;
	if (!run->cpu->is_protected) {
		real_load(run->cpu, segment, selector);
		return INSTR_OK;
	}
	if (segment == INSTR_SS)
		return stack_load(run, selector, run->cpu->cpl, run->in->mode == INSTR_MODE_64);
	return data_load(run, segment, selector);
}

/* Can execution go on at rip of the code segment whose attributes and limit these are? */
static bool target_holds(const struct run *run, u16 attributes, u32 limit, u64 *rip)
{
	unsigned unused = 64 - (run->cpu->linear_bits == 57 ? 57 : 48);

	if (run->cpu->long_mode && (attributes & ATTRIBUTE_L))
		return (u64)((s64)(*rip << unused) >> unused) == *rip;
	*rip = (u32)*rip;
	return *rip <= limit;
}

/* Reads CS's new descriptor for privilege level cpl; a branch has the one that it has. */
static enum instr_status code_read(
	struct run *run, u64 selector, u16 cpl, bool branch, struct descriptor *d)
{
	u16 rpl = selector & SELECTOR_RPL;
	enum instr_status status;
	bool allowed;

	if (!(selector & SELECTOR_NULL))
		return fault(run, VECTOR_GP, 0);
	status = descriptor_read(run, selector, d);
	if (status != INSTR_OK)
		return status;
	if (!(d->attributes & ATTRIBUTE_S) && branch)
		return INSTR_UNSUPPORTED;
	if (is_conforming(d->attributes))
		allowed = dpl_of(d->attributes) <= cpl;
	else
		allowed = dpl_of(d->attributes) == cpl && rpl <= cpl;
	if (!(d->attributes & ATTRIBUTE_S) || !(d->attributes & TYPE_CODE) || !allowed ||
		(run->cpu->long_mode && (d->attributes & ATTRIBUTE_L) &&
			(d->attributes & ATTRIBUTE_DB)))
		return fault(run, VECTOR_GP, selector);
	if (!(d->attributes & ATTRIBUTE_P))
		return fault(run, VECTOR_NP, selector);
	return INSTR_OK;
}

static enum instr_status push_return(struct run *run, unsigned size)
{
	enum instr_status status = stack_push(run, run->cpu->selector[INSTR_CS], size);

	if (status == INSTR_OK)
		status = stack_push(run, run->next_rip & size_mask(run->in->mode), size);
	return status;
}

static enum instr_status branch(struct run *run, u64 selector, u64 target, unsigned size)
{
	struct instr_cpu *cpu = run->cpu;
	bool call = run->in->operation == INSTR_CALL_FAR;
	enum instr_status status = INSTR_OK;
	struct descriptor d = {.attributes = cpu->attributes[INSTR_CS] & (u16)~ATTRIBUTE_L,
		.limit = cpu->limit[INSTR_CS]};

	if (cpu->is_protected)
		status = code_read(run, selector, cpu->cpl, true, &d);
	if (status == INSTR_OK && call)
		status = push_return(run, size);
	if (status != INSTR_OK)
		return status;
	if (!target_holds(run, d.attributes, d.limit, &target))
		return INSTR_PROTECTION;
	run->far = true;
	run->next_rip = target;
	if (cpu->is_protected)
		return descriptor_take(run, INSTR_CS, &d, cpu->cpl);
	real_load(cpu, INSTR_CS, selector);
	return INSTR_OK;
}

/* LES to LGS, CALL and JMP: the offset lies before the selector in memory. */
enum instr_status execute_pointer(struct run *run)
{
	const struct instr *in = run->in;
	bool load = in->operation == INSTR_LOAD_POINTER;
	const struct instr_operand *operand = &in->operand[load ? 1 : 0];
	unsigned size = operand->size;
	u64 offset = in->immediate, selector = in->selector;
	enum instr_status status = INSTR_OK;

	if (!run->bus->fault)
		return INSTR_UNSUPPORTED;
	if (operand->kind == INSTR_KIND_MEMORY) {
		size -= sizeof(u16);
		offset = selector = 0;
		status = memory_read(run, &offset, size, 0);
		run->bit_offset = size;
		if (status == INSTR_OK)
			status = memory_read(run, &selector, sizeof(u16), 0);
	}
	if (status != INSTR_OK)
		return status;
	if (!load)
		return branch(run, selector, offset & size_mask(size), size);
	/* C4 ES, C5 DS; 0F B2 SS, B4 FS, B5 GS */
	status = segment_load(run,
		in->map          ? in->opcode & 7u
		: in->opcode & 1 ? INSTR_DS
				 : INSTR_ES,
		selector);
	if (status == INSTR_OK)
		gpr_set(run->cpu, in->operand[0].number, size, offset);
	return status;
}

/* Reads count values from the stack at rSP + skip; the stack pointer stays. */
static enum instr_status frame_read(
	struct run *run, u64 skip, u64 *values, unsigned count, unsigned size)
{
	enum instr_status status = INSTR_OK;

	for (unsigned i = 0; i < count && status == INSTR_OK; i++)
		status = stack_read(
			run, run->cpu->gpr[INSTR_RSP] + skip + (u64)i * size, &values[i], size);
	return status;
}

/* Data segments that the outer level may not use become null; FS and GS keep their bases. */
static void data_protect(struct instr_cpu *cpu)
{
	for (unsigned i = 0; i < INSTR_SEGMENTS; i++) {
		u16 attributes = cpu->attributes[i];

		if (i == INSTR_CS || i == INSTR_SS || is_conforming(attributes) ||
			dpl_of(attributes) >= cpu->cpl)
			continue;
		cpu->selector[i] = 0;
		cpu->attributes[i] = attributes & (u16)~ATTRIBUTE_P;
	}
}

/*
 * The end of RET and IRET in protected mode: CS, and with another privilege level, or IRET in
 * 64-bit mode, the stack. bytes: of the frame without it.
 */
static enum instr_status leave_to(
	struct run *run, struct frame *frame, u64 bytes, u64 drop, unsigned size)
{
	struct instr_cpu *cpu = run->cpu;
	u16 rpl = frame->cs & SELECTOR_RPL;
	bool outer = rpl > cpu->cpl;
	bool stack = outer || (run->in->operation == INSTR_IRET && run->in->mode == INSTR_MODE_64);
	enum instr_status status = INSTR_OK;
	struct descriptor d;

	if (rpl < cpu->cpl)
		return fault(run, VECTOR_GP, frame->cs);
	status = code_read(run, frame->cs, rpl, false, &d);
	if (status == INSTR_OK && stack)
		status = frame_read(run, bytes + drop, &frame->rsp, 2, size);
	if (status != INSTR_OK)
		return status;
	if (!target_holds(run, d.attributes, d.limit, &frame->rip))
		return INSTR_PROTECTION;
	if (stack) {
		bool wide = cpu->long_mode && (d.attributes & ATTRIBUTE_L);

		status = stack_load(run, frame->ss & UINT16_MAX, rpl, wide);
		if (status != INSTR_OK)
			return status;
		gpr_set(cpu, INSTR_RSP, wide ? 8 : cpu->stack_size, frame->rsp + drop);
	} else {
		stack_drop(run, bytes + drop);
	}
	cpu->cpl = (u8)rpl;
	if (outer)
		data_protect(cpu);
	run->far = true;
	run->next_rip = frame->rip;
	return descriptor_take(run, INSTR_CS, &d, rpl);
}

/* The same in real and virtual-8086 mode. */
static enum instr_status leave_real(struct run *run, struct frame *frame, u64 bytes)
{
	if (frame->rip > run->cpu->limit[INSTR_CS])
		return INSTR_PROTECTION;
	stack_drop(run, bytes);
	real_load(run->cpu, INSTR_CS, frame->cs);
	run->far = true;
	run->next_rip = frame->rip;
	return INSTR_OK;
}

enum instr_status execute_far_return(struct run *run)
{
	unsigned size = run->in->size;
	u64 drop = run->in->immediate & UINT16_MAX;
	struct frame frame = {0};
	enum instr_status status;

	if (!run->bus->fault)
		return INSTR_UNSUPPORTED;
	status = frame_read(run, 0, &frame.rip, 2, size);
	frame.cs &= UINT16_MAX;
	if (status != INSTR_OK)
		return status;
	if (run->cpu->is_protected)
		return leave_to(run, &frame, 2ull * size, drop, size);
	return leave_real(run, &frame, 2ull * size + drop);
}

/* IRET from ring 0 with VM in the flags that it pops: nine values of 4 bytes. */
static enum instr_status enter_virtual_8086(struct run *run, struct frame *frame)
{
	static const u8 order[] = {INSTR_SS, INSTR_ES, INSTR_DS, INSTR_FS, INSTR_GS};
	struct instr_cpu *cpu = run->cpu;
	u64 value[ARRAY_SIZE(order) + 1]; /* rSP before them */
	enum instr_status status = frame_read(run, 12, value, ARRAY_SIZE(value), 4);

	if (status != INSTR_OK)
		return status;
	if (frame->rip > VIRTUAL_8086_LIMIT)
		return INSTR_PROTECTION;
	for (unsigned i = 0; i < INSTR_SEGMENTS; i++) {
		cpu->attributes[i] = VIRTUAL_8086_ATTRIBUTES;
		cpu->limit[i] = VIRTUAL_8086_LIMIT;
	}
	real_load(cpu, INSTR_CS, frame->cs);
	for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
		real_load(cpu, order[i], value[i + 1]);
	cpu->gpr[INSTR_RSP] = value[0];
	flags_set(cpu, FLAGS_ALL, frame->flags);
	run->far = true;
	run->next_rip = frame->rip;
	return INSTR_OK;
}

static enum instr_status return_protected(struct run *run, struct frame *frame, unsigned size)
{
	struct instr_cpu *cpu = run->cpu;
	u16 cpl = cpu->cpl;
	u64 more = cpl == 0 && size >= 4 ? FLAG_VIF | FLAG_VIP : 0;
	enum instr_status status;

	if ((frame->flags & FLAG_VM) && cpl == 0 && !cpu->long_mode && size == 4)
		return enter_virtual_8086(run, frame);
	status = leave_to(run, frame, 3ull * size, 0, size);
	if (status != INSTR_OK)
		return status;
	/* by the old privilege level */
	flags_set(cpu, flags_allowed(cpu, cpl, size) | more | (size >= 4 ? FLAG_RF : 0),
		frame->flags);
	return INSTR_OK;
}

enum instr_status execute_interrupt_return(struct run *run)
{
	struct instr_cpu *cpu = run->cpu;
	unsigned size = run->in->size;
	struct frame frame = {0};
	enum instr_status status;

	if (!run->bus->fault)
		return INSTR_UNSUPPORTED;
	if (flags_virtual(cpu) && (!cpu->vme || size != 2))
		return INSTR_PROTECTION;
	if (cpu->is_protected && (cpu->rflags & FLAG_NT))
		return cpu->long_mode ? INSTR_PROTECTION : INSTR_UNSUPPORTED;
	status = frame_read(run, 0, &frame.rip, 3, size);
	frame.cs &= UINT16_MAX;
	if (status != INSTR_OK)
		return status;
	if (cpu->is_protected)
		return return_protected(run, &frame, size);
	status = leave_real(run, &frame, 3ull * size);
	if (status == INSTR_OK)
		status = flags_load(cpu, frame.flags, size);
	if (size >= 4)
		flags_set(cpu, FLAG_RF, frame.flags);
	return status;
}
