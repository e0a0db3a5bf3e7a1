/* Decoding and executing the guest's instructions for exits that need it. */
#include "emulate.h"
#include "emulate_bus.h"
#include "guests/vmm/mmio.h"

#define STRING_ITERATIONS 256 /* of a repeated instruction before interrupts get a chance */

/* Decodes the instruction at RIP; false: the guest got a fault, or cannot go on. */
static bool decode(struct bus *b, u8 bytes[INSTR_LENGTH_MAX], u32 count, struct instr *in)
{
	struct vcpu *v = b->v;
	enum instr_status status = INSTR_TRUNCATED;

	if (count)
		status = instr_decode(bytes, count, b->mode, in);
	while (status == INSTR_TRUNCATED && count < INSTR_LENGTH_MAX) {
		if (!bus_fetch(b, bytes, &count)) {
			bus_deliver(b);
			return false;
		}
		status = instr_decode(bytes, count, b->mode, in);
	}
	switch (status) {
	case INSTR_OK:
		if (!in->vex || ((v->run->cr0 & CR0_PE) && !(v->run->rflags & RFLAGS_VM)))
			return true;
		vcpu_ud(v);
		return false;
	case INSTR_TRUNCATED:
	case INSTR_TOO_LONG:
		vcpu_gp(v);
		return false;
	case INSTR_INVALID:
		vcpu_ud(v);
		return false;
	default:
		/* a program of the guest shall not end the guest */
		if (b->user)
			vcpu_ud(v);
		else
			vcpu_fail(v, "an instruction that cannot be emulated");
		return false;
	}
}

/* The registers of an instruction; of the descriptor tables only what it may need. */
static void cpu_load(struct bus *b, const struct instr *in, struct instr_cpu *cpu)
{
	struct run_page *run = b->v->run;
	const struct run_segment *segment = &run->es; /* to gs, in the order of their numbers */

	*cpu = (struct instr_cpu){.rip = run->rip,
		.rflags = run->rflags,
		.cr0 = run->cr0,
		.linear_bits = (u8)b->linear_bits,
		.stack_size = run->ss.attributes & SEGMENT_DB ? 4 : 2,
		.is_protected = (run->cr0 & CR0_PE) && !(run->rflags & RFLAGS_VM),
		.cpl = (u8)vcpu_cpl(b->v),
		.vme = run->cr4 & CR4_VME,
		.long_mode = run->efer & EFER_LMA};
	memcpy(cpu->gpr, run->gpr, sizeof(cpu->gpr));
	for (u32 i = 0; i < INSTR_SEGMENTS; i++) {
		cpu->base[i] = segment[i].base;
		cpu->limit[i] = segment[i].limit;
		cpu->attributes[i] = segment[i].attributes;
		cpu->selector[i] = segment[i].selector;
	}
	if (!instr_loads_segment(in))
		return;
	vcpu_need(b->v, GROUP_SYS);
	cpu->table[0] = (struct instr_table){run->gdtr.base, run->gdtr.limit};
	if (run->ldtr.attributes & SEGMENT_P)
		cpu->table[1] = (struct instr_table){run->ldtr.base, run->ldtr.limit};
}
static_assert(offsetof(struct run_page, gs) - offsetof(struct run_page, es) ==
	      INSTR_GS * sizeof(struct run_segment));

static void cpu_store(struct vcpu *v, const struct instr *in, const struct instr_cpu *cpu)
{
	struct run_page *run = v->run;
	struct run_segment *segment = &run->es;

	memcpy(run->gpr, cpu->gpr, sizeof(run->gpr));
	run->rflags = cpu->rflags;
	run->dirty |= GROUP_RIP;
	if (!instr_loads_segment(in))
		return;
	for (u32 i = 0; i < INSTR_SEGMENTS; i++)
		segment[i] = (struct run_segment){
			cpu->selector[i], cpu->attributes[i], cpu->limit[i], cpu->base[i]};
	run->dirty |= GROUP_SEG;
}

static bool loads_stack_segment(const struct instr *in)
{
	return instr_loads_segment(in) && in->operation < INSTR_LOAD_POINTER &&
	       in->operand[0].number == INSTR_SS;
}

/* Moves on behind an instruction, which may have loaded RFLAGS. */
static void complete(struct vcpu *v, const struct instr *in, u64 rip, bool trap)
{
	struct run_page *run = v->run;

	if (loads_stack_segment(in) && !trap) {
		vcpu_complete(v, rip, false);
		run->shadow |= SHADOW_MOV_SS;
	} else if (in->operation == INSTR_IRET) {
		u64 resume = run->rflags & RFLAGS_RF;

		run->shadow &= ~SHADOW_NMI;
		vcpu_complete(v, rip, trap);
		run->rflags |= resume;
	} else {
		vcpu_complete(v, rip, trap);
	}
}

/* Executes a decoded instruction and moves on, or gives the guest its fault. */
static void execute(struct bus *b, const struct instr *in, u32 iterations)
{
	struct vcpu *v = b->v;
	bool trap = v->run->rflags & RFLAGS_TF;
	enum instr_status status;
	struct instr_cpu cpu;

	cpu_load(b, in, &cpu);
	if (trap)
		iterations = 1; /* single step stops after each */
	status = bus_execute(b, in, &cpu, iterations);
	cpu_store(v, in, &cpu);
	switch (status) {
	case INSTR_OK:
	case INSTR_AGAIN:
		complete(v, in, cpu.rip, trap);
		break;
	case INSTR_FAULT:
		bus_deliver(b);
		break;
	case INSTR_DIVIDE_ERROR:
		vcpu_raise(v, VECTOR_DE);
		break;
	case INSTR_PROTECTION:
		vcpu_gp(v);
		break;
	case INSTR_STACK_FAULT:
		vcpu_raise_error(v, VECTOR_SS, 0);
		break;
	default:
		if (b->user)
			vcpu_ud(v);
		else
			vcpu_fail(v, "an instruction that cannot be emulated");
		break;
	}
}

/* A 32-bit MOV between a register or constant and memory, the access of nearly every driver. */
struct plain_mov {
	u8 length;
	u8 gpr;
	bool write;
	bool constant;
	u32 value;
};

static bool mov_decode(const u8 *bytes, u32 count, bool mode_64, struct plain_mov *mov)
{
	u8 rex = 0;
	u32 at = 0;
	u8 opcode, modrm, mod, rm;

	if (count < 2)
		return false;
	if (mode_64 && (bytes[0] & 0xf0) == 0x40) /* REX */
		rex = bytes[at++];
	opcode = bytes[at++];
	if ((rex & 8) || (opcode != 0x89 && opcode != 0x8b && opcode != 0xc7) || at + 1 >= count)
		return false;
	modrm = bytes[at++];
	mod = modrm >> 6;
	rm = modrm & 7;
	if (mod == 3)
		return false;
	if (rm == 4) { /* SIB byte; base 5 without displacement has one of 32 bits */
		rm = bytes[at++] & 7;
	}
	if (mod == 1)
		at += 1;
	else if (mod == 2 || rm == 5)
		at += 4;
	mov->gpr = (u8)((modrm >> 3 & 7) | (rex & 4) << 1);
	mov->write = opcode != 0x8b;
	mov->constant = opcode == 0xc7;
	if (mov->constant) {
		if ((modrm >> 3 & 7) || at + 4 > count)
			return false;
		memcpy(&mov->value, bytes + at, 4);
		at += 4;
	}
	mov->length = (u8)at;
	return at <= count;
}

/* Does a plain MOV to the address that exited at once. */
static bool mov_execute(struct bus *b, const u8 *bytes, u32 count, gpa_t gpa)
{
	struct run_page *run = b->v->run;
	struct plain_mov mov;

	if (b->mode == INSTR_MODE_16 || (gpa & (PAGE_SIZE - 1)) > PAGE_SIZE - 4 ||
		!mov_decode(bytes, count, b->mode == INSTR_MODE_64, &mov))
		return false;
	if (mov.write)
		mmio_write(b->v, gpa, 4, mov.constant ? mov.value : (u32)run->gpr[mov.gpr]);
	else
		run->gpr[mov.gpr] = mmio_read(b->v, gpa, 4);
	run->exit_length = mov.length;
	vcpu_skip(b->v);
	return true;
}

void emulate_memory_exit(struct vcpu *v)
{
	struct run_page *run = v->run;
	u64 access = run->exit.memory.access;
	gpa_t gpa = run->exit.memory.gpa;
	u32 count = run->exit.memory.byte_count;
	u8 bytes[INSTR_LENGTH_MAX];
	struct instr in;
	struct bus b;

	bus_init(&b, v);
	if (gmem_at(&v->machine->memory, gpa, 1)) {
		vcpu_fail(v, "a nested page fault on its own RAM");
		return;
	}
	if (access & EXIT_ACCESS_WALK) {
		/* its page tables lie where no memory is: they read as ones */
		u32 want = (access & EXIT_ACCESS_WRITE ? GWALK_WRITE : 0) |
			   (access & EXIT_ACCESS_EXEC ? GWALK_FETCH : 0);

		if ((access & EXIT_ACCESS_GLA) &&
			!bus_translate(&b, run->exit.memory.gla, want, &gpa)) {
			bus_deliver(&b);
			return;
		}
	} else if (access & EXIT_ACCESS_EXEC) {
		vcpu_ud(v); /* ff ff is no instruction */
		return;
	} else if (run->inject & INJECT_VALID) {
		vcpu_fail(v, "an event whose stack or tables are no memory");
		return;
	}
	if (count > INSTR_LENGTH_MAX)
		count = 0;
	if (count)
		memcpy(bytes, run->exit.memory.bytes, count);
	else if (!bus_fetch(&b, bytes, &count)) {
		bus_deliver(&b);
		return;
	}
	if (!(access & EXIT_ACCESS_WALK) && mov_execute(&b, bytes, count, gpa))
		return;
	if (decode(&b, bytes, count, &in))
		execute(&b, &in, STRING_ITERATIONS);
}

/* INS: iterations that the limit of ES allows outside 64-bit mode; 0: not the first one. */
static u32 es_iterations(const struct bus *b, u32 offset, u32 size)
{
	const struct run_page *run = b->v->run;
	const struct run_segment *es = &run->es;
	u32 type = es->attributes & SEGMENT_TYPE_MASK;
	bool is_protected = (run->cr0 & CR0_PE) && !(run->rflags & RFLAGS_VM);

	if (is_protected && (!(es->attributes & SEGMENT_P) || (type & BIT(3)) || !(type & BIT(1))))
		return 0;                      /* not there, code, or read-only */
	if (is_protected && (type & BIT(2))) { /* expands down: one at a time */
		u32 top = es->attributes & SEGMENT_DB ? UINT32_MAX : UINT16_MAX;

		return offset > es->limit && offset <= top - (size - 1) ? 1 : 0;
	}
	if (es->limit < size - 1 || offset > es->limit - (size - 1))
		return 0;
	if (run->rflags & RFLAGS_DF)
		return offset / size + 1;
	return (u32)(((u64)es->limit + 1 - offset) / size);
}

/*
 * INS: how many iterations can be done without a fault in the middle, which would lose what was
 * read from the port. 0: the first one faults, and the guest got the fault.
 */
static u32 ins_iterations(struct bus *b, const struct instr *in)
{
	struct run_page *run = b->v->run;
	u64 mask = in->memory.size >= 8 ? ~0ull : BIT(in->memory.size * 8) - 1;
	u64 linear = run->gpr[RDI] & mask;
	u32 size = in->size;
	u32 limit = UINT32_MAX;
	u32 offset, count;
	gpa_t gpa;

	if (in->rep && !(run->gpr[RCX] & mask))
		return 1; /* does nothing */
	if (b->mode != INSTR_MODE_64) {
		limit = es_iterations(b, (u32)linear, size);
		linear = (u32)(linear + run->es.base);
	}
	if (!limit || !bus_canonical(b, linear) || !bus_canonical(b, linear + size - 1)) {
		bus_fault(b, VECTOR_GP, 0);
		return 0;
	}
	offset = linear & (PAGE_SIZE - 1);
	if (!bus_translate(b, linear, GWALK_WRITE, &gpa) ||
		!bus_translate(b, linear + size - 1, GWALK_WRITE, &gpa))
		return 0;
	if (offset + size > PAGE_SIZE)
		return 1;
	count = run->rflags & RFLAGS_DF ? offset / size + 1 : ((u32)PAGE_SIZE - offset) / size;
	return count < limit ? count : limit;
}

void emulate_string_io(struct vcpu *v)
{
	u8 bytes[INSTR_LENGTH_MAX];
	u32 iterations = STRING_ITERATIONS;
	u32 safe = iterations;
	struct instr in;
	struct bus b;

	bus_init(&b, v);
	if (!decode(&b, bytes, 0, &in))
		return;
	if (in.operation != INSTR_INS && in.operation != INSTR_OUTS) {
		vcpu_ud(v); /* another CPU of the guest changed the code meanwhile */
		return;
	}
	if (in.operation == INSTR_INS)
		safe = ins_iterations(&b, &in);
	if (!safe) {
		bus_deliver(&b);
		return;
	}
	execute(&b, &in, safe < iterations ? safe : iterations);
}
