/* Moves of vector registers. */
#include "guests/vmm/cpu/instr_parts.h"

#define VECTOR_SIZE 32 /* bytes, of the largest register */

/* Moves of MMX registers. */
static enum instr_status execute_mmx(struct run *run)
{
	const struct instr *in = run->in;
	const struct instr_operand *to = &in->operand[0];
	const struct instr_operand *from = &in->operand[1];
	enum instr_status status = INSTR_OK;
	u64 value;

	if (from->kind == INSTR_KIND_MMX)
		run->bus->vector_read(run->opaque, INSTR_MMX + from->number, &value, sizeof(value));
	else if (from->kind == INSTR_KIND_MEMORY)
		status = operand_read(run, 1, 0, &value);
	else
		value = gpr_get(run->cpu, from->number, from->size);
	if (status != INSTR_OK || to->kind != INSTR_KIND_MMX)
		return status == INSTR_OK ? operand_write(run, 0, value) : status;
	run->bus->vector_write(run->opaque, INSTR_MMX + to->number, &value, sizeof(value));
	return INSTR_OK;
}

/*
 * Moves between vector registers, or one and memory or a general-purpose register. MOVLPS and
 * MOVHPS replace one half of the destination; between registers they cross over.
 */
enum instr_status execute_vector(struct run *run)
{
	const struct instr *in = run->in;
	const struct instr_operand *to = &in->operand[0];
	const struct instr_operand *from = &in->operand[1];
	bool load = to->kind == INSTR_KIND_VECTOR;
	bool halves = in->operation == INSTR_MOVLPS || in->operation == INSTR_MOVHPS;
	bool high = in->operation == INSTR_MOVHPS;
	bool memory = to->kind == INSTR_KIND_MEMORY || from->kind == INSTR_KIND_MEMORY;
	unsigned full = to->size == VECTOR_SIZE ? VECTOR_SIZE : 16;
	u8 value[VECTOR_SIZE] = {0};
	u8 result[VECTOR_SIZE] = {0};

	if (!run->bus->vector_read || !run->bus->vector_write)
		return INSTR_UNSUPPORTED;
	if (to->kind == INSTR_KIND_MMX || from->kind == INSTR_KIND_MMX)
		return execute_mmx(run);
	if (in->operation == INSTR_MOVAPS && memory && memory_linear(run) & (to->size - 1u))
		return INSTR_PROTECTION;

	if (from->kind == INSTR_KIND_MEMORY) {
		enum instr_status status = memory_read(run, value, from->size, 0);

		if (status != INSTR_OK)
			return status;
	} else if (from->kind == INSTR_KIND_GPR) {
		__builtin_memcpy(value, &run->cpu->gpr[from->number], from->size);
	} else {
		run->bus->vector_read(run->opaque, from->number, value, full);
		if (halves && high != load)
			__builtin_memmove(value, value + 8, 8);
	}

	if (to->kind == INSTR_KIND_MEMORY)
		return memory_write(run, value, to->size);
	if (to->kind == INSTR_KIND_GPR) {
		u64 number = 0;

		__builtin_memcpy(&number, value, to->size);
		gpr_set(run->cpu, to->number, to->size, number);
		return INSTR_OK;
	}
	if (halves || (in->operation == INSTR_MOVSS && from->kind == INSTR_KIND_VECTOR))
		run->bus->vector_read(run->opaque, to->number, result, full);
	__builtin_memcpy(result + (high ? 8 : 0), value, to->size);
	run->bus->vector_write(run->opaque, to->number, result, in->vex ? VECTOR_SIZE : full);
	return INSTR_OK;
}
