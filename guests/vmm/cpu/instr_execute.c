/*
 * Executes a decoded instruction. Each operation has a handler that works on a copy of the
 * registers; the copy becomes the guest's only when nothing can fail any more.
 */
#include "guests/vmm/cpu/instr_parts.h"

/* SDM vol. 1 app. B. */
static bool condition_holds(u64 rflags, u8 condition)
{
	bool less = !(rflags & FLAG_SF) != !(rflags & FLAG_OF);
	const bool tests[] = {rflags & FLAG_OF, rflags & FLAG_CF, rflags & FLAG_ZF,
		rflags & (FLAG_CF | FLAG_ZF), rflags & FLAG_SF, rflags & FLAG_PF, less,
		less || rflags & FLAG_ZF};

	return tests[condition >> 1 & 7] != (condition & 1);
}

/* A CMOV that does not move still reads memory and zero-extends a 4-byte destination. */
static enum instr_status execute_move(struct run *run)
{
	const struct instr *in = run->in;
	bool holds = condition_holds(run->cpu->rflags, in->condition);
	u64 value = holds;
	enum instr_status status = INSTR_OK;

	if (in->operation != INSTR_SETCC)
		status = operand_read(run, 1, 0, &value);
	if (status != INSTR_OK)
		return status;
	switch (in->operation) {
	case INSTR_MOVSX:
		value = sign_extend(value, in->operand[1].size);
		break;
	case INSTR_MOVBE:
		value = __builtin_bswap64(value) >> (64 - 8 * in->size);
		break;
	case INSTR_CMOV:
		if (!holds)
			operand_read(run, 0, 0, &value);
		break;
	}
	return operand_write(run, 0, value);
}

/* AL becomes the byte at rBX + AL. */
static enum instr_status execute_xlat(struct run *run)
{
	const struct instr_memory *memory = &run->in->memory;
	u64 offset = run->cpu->gpr[INSTR_RBX] + gpr_get(run->cpu, INSTR_RAX, 1);
	u64 linear;
	u8 byte;
	enum instr_status status = segment_access(
		run, memory->segment, offset & size_mask(memory->size), 1, false, &linear);

	if (status != INSTR_OK)
		return status;
	if (run->bus->read(run->opaque, linear, &byte, 1,
		    memory->segment == INSTR_SS ? INSTR_ACCESS_STACK : 0))
		return INSTR_FAULT;
	gpr_set(run->cpu, INSTR_RAX, 1, byte);
	return INSTR_OK;
}

/* Whatever the operand size, memory gets 16 bits (SDM vol. 2B, SMSW). */
static enum instr_status execute_smsw(struct run *run)
{
	return operand_write(run, 0, run->cpu->cr0 & UINT16_MAX);
}

/* The limit, then the base; outside 64-bit mode 24 bits of it with an operand size of 2. A store
 * that faults at the base has written the limit. SDM vol. 2A, LGDT; vol. 2B, SGDT. */
static enum instr_status execute_system(struct run *run)
{
	const struct instr *in = run->in;
	bool table = in->operation >= INSTR_SGDT && in->operation <= INSTR_LIDT;
	bool short_base =
		in->mode != INSTR_MODE_64 && (in->mode == INSTR_MODE_16) != in->operand_prefix;
	u64 mask = short_base ? UINT32_MAX >> 8 : ~0ull;
	unsigned size = in->mode == INSTR_MODE_64 ? 8 : 4;
	bool store = in->operation <= INSTR_STR || in->operation == INSTR_SGDT ||
		     in->operation == INSTR_SIDT;
	enum instr_status status = INSTR_OK;
	u64 base = 0;
	u16 word = 0;

	if (!run->bus->system)
		return INSTR_UNSUPPORTED;
	if (!store)
		status = memory_read(run, &word, sizeof(word), 0);
	if (!store && table && status == INSTR_OK) {
		run->bit_offset = sizeof(word);
		status = memory_read(run, &base, size, 0);
	}
	if (status != INSTR_OK)
		return status;
	base &= mask;
	if (run->bus->system(run->opaque, in->operation, &word, &base))
		return INSTR_FAULT;
	if (store)
		status = memory_write(run, &word, sizeof(word));
	if (store && table && status == INSTR_OK) {
		base &= mask;
		run->bit_offset = sizeof(word);
		status = memory_write(run, &base, size);
	}
	return status;
}

static enum instr_status execute_nop(struct run *run)
{
	(void)run;
	return INSTR_OK;
}

static enum instr_status (*const handlers[INSTR_OPERATIONS])(struct run *run) = {
	[INSTR_ADD... INSTR_CMP] = execute_binary,
	[INSTR_ROL... INSTR_SHRD] = execute_shift,
	[INSTR_BT... INSTR_BTC] = execute_bit,
	[INSTR_NOT... INSTR_NEG] = execute_unary,
	[INSTR_MUL... INSTR_IMUL] = execute_multiply,
	[INSTR_DIV... INSTR_IDIV] = execute_divide,
	[INSTR_TEST] = execute_binary,
	[INSTR_INC... INSTR_DEC] = execute_unary,
	[INSTR_XCHG... INSTR_XADD] = execute_exchange,
	[INSTR_CMPXCHG] = execute_compare_exchange,
	[INSTR_CMPXCHG_PAIR] = execute_compare_exchange_pair,
	[INSTR_BSF... INSTR_POPCNT] = execute_scan,
	[INSTR_MOV... INSTR_MOVBE] = execute_move,
	[INSTR_XLAT] = execute_xlat,
	[INSTR_CMOV... INSTR_SETCC] = execute_move,
	[INSTR_PUSH... INSTR_JMP] = execute_stack,
	[INSTR_RET] = execute_return,
	[INSTR_PUSHF] = execute_push_flags,
	[INSTR_POPF] = execute_pop_flags,
	[INSTR_PUSHA... INSTR_POPA] = execute_all,
	[INSTR_ENTER] = execute_enter,
	[INSTR_LEAVE] = execute_leave,
	[INSTR_LOAD_POINTER... INSTR_JMP_FAR] = execute_pointer,
	[INSTR_RET_FAR] = execute_far_return,
	[INSTR_IRET] = execute_interrupt_return,
	[INSTR_MOVS... INSTR_OUTS] = execute_string,
	[INSTR_MOVUPS... INSTR_MOVHPS] = execute_vector,
	[INSTR_SLDT... INSTR_LIDT] = execute_system,
	[INSTR_SMSW] = execute_smsw,
	[INSTR_LMSW] = execute_system,
	[INSTR_NOP] = execute_nop,
};

enum instr_status instr_execute(
	const struct instr *in, struct instr_cpu *cpu, const struct instr_bus *bus, void *opaque)
{
	struct instr_cpu next = *cpu;
	struct run run = {
		.in = in,
		.cpu = &next,
		.bus = bus,
		.opaque = opaque,
		.next_rip = cpu->rip + in->length,
	};
	enum instr_status status;

	if (handlers[in->operation] == execute_string && in->rep)
		status = execute_repeated(&run, cpu);
	else
		status = handlers[in->operation](&run);
	if (status == INSTR_OK) {
		next.rip = run.far ? run.next_rip : run.next_rip & size_mask(in->mode);
		*cpu = next;
	}
	return status;
}
