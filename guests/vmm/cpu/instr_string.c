/* String instructions, one iteration or many. */
#include "guests/vmm/cpu/instr_parts.h"

static enum instr_status string_access(const struct run *run, bool dest, bool write, u64 *linear)
{
	const struct instr_memory *memory = &run->in->memory;
	unsigned number = dest ? INSTR_RDI : INSTR_RSI;

	return segment_access(run, dest ? INSTR_ES : memory->segment,
		gpr_get(run->cpu, number, memory->size), run->in->size, write, linear);
}

static void string_advance(struct run *run, unsigned number)
{
	unsigned width = run->in->memory.size;
	u64 step = run->cpu->rflags & FLAG_DF ? -(u64)run->in->size : run->in->size;

	gpr_set(run->cpu, number, width, run->cpu->gpr[number] + step);
}

/* Reads the source or the destination, and moves its pointer on. */
static enum instr_status string_read(struct run *run, bool dest, u64 *value)
{
	unsigned size = run->in->size;
	unsigned access = !dest && run->in->memory.segment == INSTR_SS ? INSTR_ACCESS_STACK : 0;

	u64 linear;
	enum instr_status status = string_access(run, dest, false, &linear);

	*value = 0;
	if (status != INSTR_OK)
		return status;
	if (run->bus->read(run->opaque, linear, value, size, access))
		return INSTR_FAULT;
	string_advance(run, dest ? INSTR_RDI : INSTR_RSI);
	return INSTR_OK;
}

static enum instr_status string_write(struct run *run, u64 value)
{
	u64 linear;
	enum instr_status status = string_access(run, true, true, &linear);

	if (status != INSTR_OK)
		return status;
	if (run->bus->write(run->opaque, linear, &value, run->in->size, 0))
		return INSTR_FAULT;
	string_advance(run, INSTR_RDI);
	return INSTR_OK;
}

static enum instr_status string_port(struct run *run, u64 *value, bool in)
{
	u16 port = (u16)run->cpu->gpr[INSTR_RDX];
	u32 datum = (u32)*value;
	int refused;

	if (!run->bus->port_read || !run->bus->port_write)
		return INSTR_UNSUPPORTED;
	if (in)
		refused = run->bus->port_read(run->opaque, port, &datum, run->in->size);
	else
		refused = run->bus->port_write(run->opaque, port, datum, run->in->size);
	*value = datum;
	return refused ? INSTR_FAULT : INSTR_OK;
}

/* One iteration. */
enum instr_status execute_string(struct run *run)
{
	const struct instr *in = run->in;
	u64 a = gpr_get(run->cpu, INSTR_RAX, in->size);
	u64 b = 0;
	enum instr_status status = INSTR_OK;

	switch (in->operation) {
	case INSTR_MOVS:
	case INSTR_CMPS:
	case INSTR_LODS:
	case INSTR_OUTS:
		status = string_read(run, false, &a);
		break;
	case INSTR_INS:
		status = string_port(run, &a, true);
		break;
	}
	if (status != INSTR_OK)
		return status;
	switch (in->operation) {
	case INSTR_CMPS:
	case INSTR_SCAS:
		status = string_read(run, true, &b);
		if (status == INSTR_OK)
			arithmetic_do(run->cpu, INSTR_CMP, a, b, in->size);
		return status;
	case INSTR_LODS:
		gpr_set(run->cpu, INSTR_RAX, in->size, a);
		return INSTR_OK;
	case INSTR_OUTS:
		return string_port(run, &a, false);
	default:
		return string_write(run, a);
	}
}

/* Up to the bus's number of iterations, each of which counts once it is done. */
enum instr_status execute_repeated(struct run *run, struct instr_cpu *cpu)
{
	const struct instr *in = run->in;
	bool compare = in->operation == INSTR_CMPS || in->operation == INSTR_SCAS;
	unsigned width = in->memory.size;
	u32 left = run->bus->max_iterations ? run->bus->max_iterations : 1;

	while (gpr_get(run->cpu, INSTR_RCX, width)) {
		enum instr_status status;

		if (!left--)
			return INSTR_AGAIN;
		status = execute_string(run);
		if (status != INSTR_OK)
			return status;
		gpr_set(run->cpu, INSTR_RCX, width, run->cpu->gpr[INSTR_RCX] - 1);
		*cpu = *run->cpu;
		if (compare && !(cpu->rflags & FLAG_ZF) == (in->rep == 0xf3))
			break;
	}
	return INSTR_OK;
}
