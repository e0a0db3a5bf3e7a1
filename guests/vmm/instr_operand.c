/* Operands of instructions: addresses, memory, and values of up to 8 bytes. */
#include "guests/vmm/instr_parts.h"

u64 segment_linear(const struct run *run, unsigned segment, u64 offset)
{
	u64 base = run->cpu->base[segment];

	if (run->in->mode != INSTR_MODE_64)
		return (base + offset) & size_mask(4);
	return segment == INSTR_FS || segment == INSTR_GS ? base + offset : offset;
}

u64 memory_linear(const struct run *run)
{
	const struct instr_memory *memory = &run->in->memory;
	u64 offset = (u64)memory->displacement + run->bit_offset;

	if (memory->rip)
		offset += run->next_rip;
	if (memory->base != INSTR_NO_NUMBER)
		offset += run->cpu->gpr[memory->base];
	if (memory->index != INSTR_NO_NUMBER)
		offset += run->cpu->gpr[memory->index] * memory->scale;
	return segment_linear(run, memory->segment, offset & size_mask(memory->size));
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
	access = memory_access(run, access);
	if (run->bus->read(run->opaque, memory_linear(run), data, size, access))
		return INSTR_FAULT;
	return INSTR_OK;
}

enum instr_status memory_write(struct run *run, const void *data, unsigned size)
{
	unsigned access = memory_access(run, 0);

	if (run->bus->write(run->opaque, memory_linear(run), data, size, access))
		return INSTR_FAULT;
	return INSTR_OK;
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
