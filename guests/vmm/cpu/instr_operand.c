/* Operands of instructions: addresses, memory, and values of up to 8 bytes. */
#include "guests/vmm/cpu/instr_parts.h"

/* Segment attributes: the type field of data and of code, and what follows it. */
#define TYPE_CODE     BIT(3)
#define TYPE_DOWN     BIT(2) /* data: expands down */
#define TYPE_WRITABLE BIT(1) /* data */
#define TYPE_READABLE BIT(1) /* code */
#define ATTRIBUTE_P   BIT(7)
#define ATTRIBUTE_DB  BIT(10)

u64 segment_linear(const struct run *run, unsigned segment, u64 offset)
{
	u64 base = run->cpu->base[segment];

	if (run->in->mode != INSTR_MODE_64)
		return (base + offset) & size_mask(4);
	return segment == INSTR_FS || segment == INSTR_GS ? base + offset : offset;
}

/* Do the type and the presence of a segment allow it? The null selector's is not present. */
static bool segment_allows(const struct instr_cpu *cpu, unsigned segment, bool write)
{
	u16 attributes = cpu->attributes[segment];
	bool code = attributes & TYPE_CODE;

	if (!cpu->is_protected)
		return true;
	if (!(attributes & ATTRIBUTE_P))
		return false;
	return write ? !code && (attributes & TYPE_WRITABLE)
		     : !code || (attributes & TYPE_READABLE);
}

static bool segment_holds(const struct instr_cpu *cpu, unsigned segment, u64 offset, unsigned size)
{
	u16 attributes = cpu->attributes[segment];
	u64 last = offset + size - 1;

	if (cpu->is_protected && !(attributes & TYPE_CODE) && (attributes & TYPE_DOWN))
		return offset > cpu->limit[segment] &&
		       last <= size_mask(attributes & ATTRIBUTE_DB ? 4 : 2);
	return last <= cpu->limit[segment];
}

enum instr_status segment_access(
	const struct run *run, unsigned segment, u64 offset, unsigned size, bool write, u64 *linear)
{
	*linear = segment_linear(run, segment, offset);
	if (run->in->mode == INSTR_MODE_64 ||
		(segment_allows(run->cpu, segment, write) &&
			segment_holds(run->cpu, segment, offset, size)))
		return INSTR_OK;
	return segment == INSTR_SS ? INSTR_STACK_FAULT : INSTR_PROTECTION;
}

enum instr_status branch_check(const struct run *run, u64 rip)
{
	unsigned unused = 64 - (run->cpu->linear_bits == 57 ? 57 : 48);

	if (run->in->mode != INSTR_MODE_64)
		return rip <= run->cpu->limit[INSTR_CS] ? INSTR_OK : INSTR_PROTECTION;
	return (u64)((s64)(rip << unused) >> unused) == rip ? INSTR_OK : INSTR_PROTECTION;
}

static u64 memory_offset(const struct run *run)
{
	const struct instr_memory *memory = &run->in->memory;
	u64 offset = (u64)memory->displacement + run->bit_offset;

	if (memory->rip)
		offset += run->next_rip;
	if (memory->base != INSTR_NO_NUMBER)
		offset += run->cpu->gpr[memory->base];
	if (memory->index != INSTR_NO_NUMBER)
		offset += run->cpu->gpr[memory->index] * memory->scale;
	return offset & size_mask(memory->size);
}

u64 memory_linear(const struct run *run)
{
	return segment_linear(run, run->in->memory.segment, memory_offset(run));
}

static unsigned memory_access(const struct run *run, unsigned access)
{
	if (run->in->lock || run->in->operation == INSTR_XCHG)
		access |= INSTR_ACCESS_LOCKED;
	if (run->in->memory.segment == INSTR_SS)
		access |= INSTR_ACCESS_STACK;
	return access;
}

enum instr_status memory_read(struct run *run, void *data, unsigned size, unsigned access)
{
	bool modify = access & INSTR_ACCESS_MODIFY;
	u64 linear;
	enum instr_status status = segment_access(
		run, run->in->memory.segment, memory_offset(run), size, modify, &linear);

	access = memory_access(run, access);
	if (status == INSTR_OK && run->bus->read(run->opaque, linear, data, size, access))
		return INSTR_FAULT;
	return status;
}

enum instr_status memory_write(struct run *run, const void *data, unsigned size)
{
	unsigned access = memory_access(run, 0);
	u64 linear;
	enum instr_status status = segment_access(
		run, run->in->memory.segment, memory_offset(run), size, true, &linear);

	if (status == INSTR_OK && run->bus->write(run->opaque, linear, data, size, access))
		return INSTR_FAULT;
	return status;
}

/* Operands of up to 8 bytes. A value read is zero-extended, an immediate sign-extended. */

enum instr_status operand_read(struct run *run, unsigned number, unsigned access, u64 *value)
{
	const struct instr_operand *operand = &run->in->operand[number];

	*value = 0;
	switch (operand->kind) {
	case INSTR_KIND_GPR:
		*value = gpr_get(run->cpu, operand->number, operand->size);
		return INSTR_OK;
	case INSTR_KIND_GPR_HIGH:
		*value = run->cpu->gpr[operand->number] >> 8 & 0xff;
		return INSTR_OK;
	case INSTR_KIND_SEGMENT:
		*value = run->cpu->selector[operand->number];
		return INSTR_OK;
	case INSTR_KIND_IMMEDIATE:
		*value = run->in->immediate;
		return INSTR_OK;
	case INSTR_KIND_MEMORY:
		return memory_read(run, value, operand->size, access);
	default:
		return INSTR_UNSUPPORTED;
	}
}

enum instr_status operand_write(struct run *run, unsigned number, u64 value)
{
	const struct instr_operand *operand = &run->in->operand[number];
	u64 *gpr = &run->cpu->gpr[operand->number % INSTR_GPRS];

	switch (operand->kind) {
	case INSTR_KIND_GPR:
		gpr_set(run->cpu, operand->number, operand->size, value);
		return INSTR_OK;
	case INSTR_KIND_GPR_HIGH:
		*gpr = (*gpr & ~0xff00ull) | (value & 0xff) << 8;
		return INSTR_OK;
	case INSTR_KIND_SEGMENT:
		return segment_load(run, operand->number, value);
	case INSTR_KIND_MEMORY:
		return memory_write(run, &value, operand->size);
	default:
		return INSTR_UNSUPPORTED;
	}
}

/* Reads all operands; store: the first one will be written. */
enum instr_status operands_read(struct run *run, bool store, u64 values[3])
{
	enum instr_status status = INSTR_OK;

	for (unsigned i = 0; status == INSTR_OK && i < run->in->operands; i++)
		status =
			operand_read(run, i, store && i == 0 ? INSTR_ACCESS_MODIFY : 0, &values[i]);
	return status;
}
