/* Instructions that push and pop, but for those that load segments too. */
#include "guests/vmm/cpu/instr_parts.h"

#define LEVELS 32u /* ENTER's nesting level counts modulo this */

/* The stack pointer has 8 bytes in 64-bit mode, else what SS.B says. */
unsigned stack_width(const struct run *run)
{
	if (run->in->mode == INSTR_MODE_64)
		return 8;
	return run->cpu->stack_size == 2 ? 2 : 4;
}

enum instr_status stack_read(struct run *run, u64 sp, u64 *value, unsigned size)
{
	u64 linear;
	enum instr_status status = segment_access(
		run, INSTR_SS, sp & size_mask(stack_width(run)), size, false, &linear);

	*value = 0;
	if (status == INSTR_OK &&
		run->bus->read(run->opaque, linear, value, size, INSTR_ACCESS_STACK))
		return INSTR_FAULT;
	return status;
}

enum instr_status stack_push(struct run *run, u64 value, unsigned size)
{
	unsigned width = stack_width(run);
	u64 sp = (gpr_get(run->cpu, INSTR_RSP, width) - size) & size_mask(width);
	u64 linear;
	enum instr_status status = segment_access(run, INSTR_SS, sp, size, true, &linear);

	if (status != INSTR_OK)
		return status;
	if (run->bus->write(run->opaque, linear, &value, size, INSTR_ACCESS_STACK))
		return INSTR_FAULT;
	gpr_set(run->cpu, INSTR_RSP, width, sp);
	return INSTR_OK;
}

void stack_drop(struct run *run, u64 size)
{
	unsigned width = stack_width(run);

	gpr_set(run->cpu, INSTR_RSP, width, run->cpu->gpr[INSTR_RSP] + size);
}

enum instr_status stack_pop(struct run *run, u64 *value, unsigned size)
{
	enum instr_status status = stack_read(run, run->cpu->gpr[INSTR_RSP], value, size);

	if (status == INSTR_OK)
		stack_drop(run, size);
	return status;
}

/* POP to memory computes the address with the new rSP (SDM vol. 2B, POP). */
enum instr_status execute_stack(struct run *run)
{
	const struct instr *in = run->in;
	u64 value;
	enum instr_status status = in->operation == INSTR_POP ? stack_pop(run, &value, in->size)
							      : operand_read(run, 0, 0, &value);

	if (status != INSTR_OK)
		return status;
	if (in->operation == INSTR_POP)
		return operand_write(run, 0, value);
	if (in->operation == INSTR_PUSH)
		return stack_push(run, value, in->size);
	if (in->operand[0].kind == INSTR_KIND_IMMEDIATE)
		value = (value + run->next_rip) & size_mask(in->size);
	status = branch_check(run, value);
	if (status == INSTR_OK && in->operation == INSTR_CALL)
		status = stack_push(run, run->next_rip & size_mask(in->mode), in->size);
	run->next_rip = value;
	return status;
}

enum instr_status execute_return(struct run *run)
{
	u64 target;
	enum instr_status status = stack_pop(run, &target, run->in->size);

	if (status == INSTR_OK)
		status = branch_check(run, target);
	stack_drop(run, run->in->immediate & UINT16_MAX);
	run->next_rip = target;
	return status;
}

/* In virtual-8086 mode, with an IOPL below 3, VME gives VIF the place of IF, and only with an
 * operand size of 16 (SDM vol. 3, 20.3). */
enum instr_status execute_push_flags(struct run *run)
{
	const struct instr *in = run->in;
	u64 flags = run->cpu->rflags & ~(FLAG_RF | FLAG_VM);

	if (flags_virtual(run->cpu)) {
		if (!run->cpu->vme || in->size != 2)
			return INSTR_PROTECTION;
		flags = (flags & ~FLAG_IF) | FLAGS_IOPL | (flags & FLAG_VIF ? FLAG_IF : 0);
	}
	return stack_push(run, flags, in->size);
}

enum instr_status execute_pop_flags(struct run *run)
{
	u64 flags;
	enum instr_status status = stack_pop(run, &flags, run->in->size);

	if (status != INSTR_OK)
		return status;
	return flags_load(run->cpu, flags, run->in->size);
}

/* rAX, rCX, rDX, rBX, rSP as it was, rBP, rSI, rDI; rSP is not loaded. */
enum instr_status execute_all(struct run *run)
{
	const struct instr *in = run->in;
	u64 sp = run->cpu->gpr[INSTR_RSP];
	enum instr_status status = INSTR_OK;
	u64 value;

	for (unsigned i = INSTR_RAX; i <= INSTR_RDI && status == INSTR_OK; i++) {
		unsigned reg = INSTR_RDI - i;

		if (in->operation == INSTR_PUSHA) {
			value = i == INSTR_RSP ? sp : run->cpu->gpr[i];
			status = stack_push(run, value & size_mask(in->size), in->size);
			continue;
		}
		status = stack_pop(run, &value, in->size);
		if (reg != INSTR_RSP && status == INSTR_OK)
			gpr_set(run->cpu, reg, in->size, value);
	}
	return status;
}

/* Copies the frame pointers of the outer levels, which lie below the one in rBP. */
static enum instr_status enter_levels(struct run *run, unsigned level, unsigned size)
{
	u64 bp = run->cpu->gpr[INSTR_RBP];
	enum instr_status status = INSTR_OK;

	for (unsigned i = 1; i < level && status == INSTR_OK; i++) {
		u64 value;

		bp -= size;
		status = stack_read(run, bp, &value, size);
		if (status == INSTR_OK)
			status = stack_push(run, value, size);
	}
	return status;
}

/* The last of it is that a write at the new rSP must not fault (SDM vol. 2A, ENTER). */
enum instr_status execute_enter(struct run *run)
{
	const struct instr *in = run->in;
	unsigned size = in->size, width = stack_width(run);
	unsigned level = in->selector % LEVELS;
	enum instr_status status =
		stack_push(run, run->cpu->gpr[INSTR_RBP] & size_mask(size), size);
	u64 frame = run->cpu->gpr[INSTR_RSP];
	u64 sp, linear;

	if (status == INSTR_OK)
		status = enter_levels(run, level, size);
	if (status == INSTR_OK && level)
		status = stack_push(run, frame & size_mask(size), size);
	if (status != INSTR_OK)
		return status;
	sp = (run->cpu->gpr[INSTR_RSP] - (in->immediate & UINT16_MAX)) & size_mask(width);
	status = segment_access(run, INSTR_SS, sp, size, true, &linear);
	if (status != INSTR_OK)
		return status;
	if (run->bus->write(
		    run->opaque, linear, &sp, size, INSTR_ACCESS_STACK | INSTR_ACCESS_PROBE))
		return INSTR_FAULT;
	gpr_set(run->cpu, INSTR_RBP, size, frame);
	gpr_set(run->cpu, INSTR_RSP, width, sp);
	return INSTR_OK;
}

enum instr_status execute_leave(struct run *run)
{
	unsigned width = stack_width(run);
	enum instr_status status;
	u64 value;

	gpr_set(run->cpu, INSTR_RSP, width, run->cpu->gpr[INSTR_RBP]);
	status = stack_pop(run, &value, run->in->size);
	if (status == INSTR_OK)
		gpr_set(run->cpu, INSTR_RBP, run->in->size, value);
	return status;
}
