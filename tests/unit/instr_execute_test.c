/*
 * The instruction emulator against the processor: random instructions of the supported kinds run
 * both ways, in 64-bit and in 32-bit code, and must leave the same registers, memory and flags.
 */
#include <asm/prctl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "guests/vmm/cpu/instr.h"
#include "tests/unit/instr_native.h"
#include "tests/unit/instr_random.h"
#include "tests/unit/test.h"

#define CASES 1000000 /* per mode, that run */

#define CF         0x001ull
#define PF         0x004ull
#define AF         0x010ull
#define ZF         0x040ull
#define SF         0x080ull
#define DF         0x400ull
#define OF         0x800ull
#define FLAG_ID    0x200000ull
#define ARITHMETIC (CF | PF | AF | ZF | SF | OF)

#define GDT 0xfffffe0000000000ull

static u8 emulated_vector[16][32];
static u8 mirror[MEMORY_SIZE];
static bool outside;     /* the emulated instruction left the memory */
static bool noted_fault; /* it loaded a segment with what is none */

/* Numbers near the corners more often than others. */
static u64 random_number(void)
{
	static const u64 corners[] = {0, 1, 0x7f, 0x80, 0x7fff, 0x8000, 0x7fffffff, 0x80000000,
		0x7fffffffffffffff, 0x8000000000000000, ~0ull};
	u64 number = random_next();

	if (one_in(3))
		return corners[number % ARRAY_SIZE(corners)];
	return one_in(3) ? number >> (number & 63) : number;
}

/* The emulator's side. */

static u8 *mirror_at(u64 linear, unsigned size)
{
	u64 offset = linear - MEMORY_START;

	outside |= offset > MEMORY_SIZE - size;
	return outside ? NULL : mirror + offset;
}

/* Linux's code and data segments, in a table that is nowhere. */
static u64 descriptor_at(u64 linear)
{
	switch (linear - GDT) {
	case USER_CS_32 & ~7:
		return 0x00cffb000000ffff;
	case USER_CS_64 & ~7:
		return 0x00affb000000ffff;
	case USER_DS & ~7:
		return 0x00cff3000000ffff;
	default:
		return 0;
	}
}

static int bus_read(void *opaque, u64 linear, void *data, unsigned size, unsigned access)
{
	u8 *at;

	(void)opaque;
	if (access & INSTR_ACCESS_SYSTEM) {
		memcpy(data, &(u64){descriptor_at(linear)}, sizeof(u64));
		return 0;
	}
	at = mirror_at(linear, size);
	if (at)
		memcpy(data, at, size);
	return !at;
}

static int bus_write(void *opaque, u64 linear, const void *data, unsigned size, unsigned access)
{
	u8 *at = mirror_at(linear, size);

	(void)opaque;
	if (at && !(access & INSTR_ACCESS_PROBE))
		memcpy(at, data, size);
	return !at;
}

static void bus_vector_read(void *opaque, unsigned number, void *data, unsigned size)
{
	(void)opaque;
	memcpy(data, emulated_vector[number], size);
}

static void bus_vector_write(void *opaque, unsigned number, const void *data, unsigned size)
{
	(void)opaque;
	memcpy(emulated_vector[number], data, size);
}

static void bus_fault(void *opaque, u8 vector, u32 error)
{
	(void)opaque;
	(void)vector;
	(void)error;
	noted_fault = true;
}

static enum instr_status emulate(const struct instr *in, struct instr_cpu *cpu)
{
	struct instr_bus bus = {
		.read = bus_read,
		.write = bus_write,
		.vector_read = bus_vector_read,
		.vector_write = bus_vector_write,
		.fault = bus_fault,
		.max_iterations = random_next() % 3,
	};
	enum instr_status status;

	outside = noted_fault = false;
	do
		status = instr_execute(in, cpu, &bus, NULL);
	while (status == INSTR_AGAIN);
	return status;
}

/* Cases. */

struct generated {
	u8 bytes[32];
	struct instr in;
};

/* The system has something in FS and GS; an MMX register is what the next case would find. */
static bool is_left_out(const struct instr *in)
{
	u8 segment = in->operand[0].kind == INSTR_KIND_SEGMENT ? in->operand[0].number : INSTR_DS;

	if (in->operation == INSTR_LOAD_POINTER)
		segment = in->map ? in->opcode & 7 : INSTR_DS;
	return (in->operation != INSTR_PUSH && instr_loads_segment(in) && segment >= INSTR_FS) ||
	       in->operand[0].kind == INSTR_KIND_MMX || in->operand[1].kind == INSTR_KIND_MMX;
}

static bool is_branch(const struct instr *in)
{
	return in->operation == INSTR_CALL || in->operation == INSTR_JMP ||
	       in->operation == INSTR_RET ||
	       (in->operation >= INSTR_CALL_FAR && in->operation <= INSTR_IRET);
}

static bool allowed(const struct instr *in, bool wide)
{
	bool string = in->operation == INSTR_INS || in->operation == INSTR_OUTS;

	/* In 32-bit code CS cannot be written, and Linux has nothing in FS and GS. */
	if (!wide && in->segment != INSTR_NO_NUMBER &&
		(in->segment == INSTR_CS || in->segment >= INSTR_FS))
		return false;
	/* Processors differ about PAUSE with REX.B ... */
	if (in->operation == INSTR_XCHG && in->opcode == 0x90 && in->rep == 0xf3)
		return false;
	/* ... and about near branches with 66. */
	if (is_branch(in) && (in->operand_prefix || in->operand[0].kind == INSTR_KIND_GPR ||
				     (in->operand[0].kind == INSTR_KIND_MEMORY &&
					     in->memory.base == in->memory.index)))
		return false;
	/* ... and about far pointers with REX.W. */
	if (in->operation >= INSTR_LOAD_POINTER && in->operation <= INSTR_JMP_FAR && in->rex & 8)
		return false;
	if (is_left_out(in))
		return false;
	/* The kernel's registers. */
	return !string && (in->operation < INSTR_SLDT || in->operation > INSTR_LMSW);
}

static void generate(struct generated *g, bool wide)
{
	static const u8 prefixes[] = {0x66, 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x64, 0x65, 0x26, 0x36};
	enum instr_mode mode = wide ? INSTR_MODE_64 : INSTR_MODE_32;

	do {
		size_t n = 0;

		for (size_t i = 0; i < sizeof(g->bytes); i++)
			g->bytes[i] = (u8)random_next();
		while (one_in(2) && n < 3)
			g->bytes[n++] = prefixes[random_next() % ARRAY_SIZE(prefixes)];
		if (wide && one_in(2))
			g->bytes[n++] = 0x40 | (random_next() & 15);
		if (one_in(12)) {
			g->bytes[n++] = 0xc5;
			g->bytes[n++] |= wide ? 0x78 : 0xf8;
		} else if (one_in(2)) {
			g->bytes[n++] = 0x0f;
			if (one_in(20)) {
				g->bytes[n++] = 0x38;
				g->bytes[n] = one_in(2) ? 0xf0 | (random_next() & 1) : 0x2a;
			}
		}
		n++;
		/* Register forms once in a while. */
		if (!one_in(16) && g->bytes[n] >= 0xc0)
			g->bytes[n] ^= one_in(2) ? 0xc0 : one_in(2) ? 0x80 : 0x40;
	} while (instr_decode(g->bytes, 15, mode, &g->in) != INSTR_OK || !allowed(&g->in, wide));
}

/* Replaces the displacement of an address without a base. */
static void patch(struct generated *g, u64 displacement)
{
	const struct instr *in = &g->in;
	bool absolute = in->map == 0 && (in->opcode & 0xfc) == 0xa0;
	unsigned size = absolute ? in->memory.size : in->memory.size == 2 ? 2 : 4;
	unsigned end = in->length;

	for (unsigned i = 0; i < in->operands; i++)
		if (in->operand[i].kind == INSTR_KIND_IMMEDIATE && (in->opcode & 0xfc) != 0xd0)
			end -= in->operand[i].size;
	memcpy(g->bytes + end - size, &displacement, size);
}

static void gpr_low(u64 *gpr, unsigned number, unsigned size, u64 value)
{
	u64 mask = ~0ull >> (64 - 8 * size);

	gpr[number] = (gpr[number] & ~mask) | (value & mask);
}

/* Solves (1 + scale) * x = value, with a scale of 2, 4 or 8, modulo 2^64. */
static u64 divide_odd(u64 value, u64 divisor)
{
	u64 inverse = divisor;

	for (int i = 0; i < 6; i++)
		inverse *= 2 - divisor * inverse;
	return value * inverse;
}

/* Makes the memory operand lie at target, by its base register or else its displacement. */
static void aim(struct generated *g, const struct instr_cpu *cpu, u64 *gpr, u64 target, u64 code)
{
	const struct instr_memory *m = &g->in.memory;
	bool based = g->in.mode == INSTR_MODE_64 && m->segment >= INSTR_FS;
	u64 offset = target - (based ? cpu->base[m->segment] : 0);

	if (m->index != INSTR_NO_NUMBER && m->base == INSTR_NO_NUMBER)
		gpr_low(gpr, m->index, m->size, random_next() & 255);
	if (m->base == INSTR_NO_NUMBER) {
		if (m->rip)
			offset -= code + g->in.length;
		if (m->index != INSTR_NO_NUMBER)
			offset -= gpr[m->index] * m->scale;
		patch(g, offset);
		return;
	}
	offset -= (u64)m->displacement;
	if (m->index == m->base)
		offset = m->scale == 1 ? offset / 2 : divide_odd(offset, m->scale + 1);
	else if (m->index != INSTR_NO_NUMBER)
		offset -= gpr[m->index] * m->scale;
	gpr_low(gpr, m->base, m->size, offset);
}

static void put(u64 at, u64 value, unsigned size)
{
	memcpy(memory + at - MEMORY_START, &value, size);
	memcpy(mirror + at - MEMORY_START, &value, size);
}

/* What the instruction finds on the stack at rSP, or at target in memory, or in itself. */
static void choose_stack(struct generated *g, u64 *gpr, u64 target, u64 code)
{
	const struct instr *in = &g->in;
	u64 sp = gpr[INSTR_RSP];
	u64 next = code + in->length;
	u64 cs = in->mode == INSTR_MODE_64 ? USER_CS_64 : USER_CS_32;
	u64 flags = (random_next() & (ARITHMETIC | DF | FLAG_ID)) | 0x202;
	u64 frame[] = {next, cs, flags, sp + random_next() % 512, USER_DS};
	u8 *end = g->bytes + in->length;
	unsigned last = in->operands ? in->operands - 1u : 0;
	bool constant = in->operand[last].kind == INSTR_KIND_IMMEDIATE;

	switch (in->operation) {
	case INSTR_POP:
		if (in->operand[0].kind == INSTR_KIND_SEGMENT)
			put(sp, USER_DS, 2);
		break;
	case INSTR_MOV:
		if (in->operand[0].kind == INSTR_KIND_SEGMENT && in->modrm >= 0xc0)
			gpr[in->operand[1].number] = USER_DS;
		else if (in->operand[0].kind == INSTR_KIND_SEGMENT)
			put(target, USER_DS, 2);
		break;
	case INSTR_POPF:
		put(sp, flags, in->size);
		break;
	case INSTR_RET:
		put(sp, next, in->size);
		break;
	case INSTR_RET_FAR:
	case INSTR_IRET:
		for (unsigned i = 0; i < ARRAY_SIZE(frame); i++)
			put(sp + i * in->size, frame[i], in->size);
		break;
	case INSTR_CALL:
		if (constant)
			memset(end - 4, 0, 4);
		break;
	case INSTR_CALL_FAR:
	case INSTR_JMP_FAR:
		put(target, next, 4);
		put(target + 4, cs, 2);
		if (constant) {
			memcpy(end - 6, &next, 4);
			memcpy(end - 2, &cs, 2);
		}
		break;
	case INSTR_LOAD_POINTER:
		put(target + in->size, USER_DS, 2);
		break;
	case INSTR_ENTER:
		end[-2] &= 0xf; /* the high byte of the frame's size */
		gpr[INSTR_RBP] = target + random_next() % 512;
		break;
	case INSTR_LEAVE:
		gpr[INSTR_RBP] = target;
		break;
	}
}

/* Registers that let the instruction do something of interest. */
static void choose(struct generated *g, struct instr_cpu *cpu, u64 *gpr, u64 code)
{
	const struct instr *in = &g->in;
	const struct instr_memory *m = &in->memory;
	u64 target = MEMORY_START + MEMORY_SIZE / 2 + random_next() % 512;
	u64 value;

	for (int i = 0; i < INSTR_GPRS; i++)
		gpr[i] = random_number();
	gpr[INSTR_RSP] = target + 1024;
	if (one_in(2))
		target &= ~31ull;
	if (in->operation >= INSTR_MOVS && in->operation <= INSTR_OUTS) {
		gpr_low(gpr, INSTR_RSI, m->size, target);
		gpr_low(gpr, INSTR_RDI, m->size, target + random_next() % 64);
		gpr_low(gpr, INSTR_RCX, m->size, random_next() % 8);
		/* Processors differ about the upper halves after no iteration at all. */
		if (in->mode == INSTR_MODE_64 && m->size == 4 && !(gpr[INSTR_RCX] & 0xffffffff))
			gpr[INSTR_RCX]++;
		if (in->mode == INSTR_MODE_64 && m->segment >= INSTR_FS)
			gpr_low(gpr, INSTR_RSI, m->size, target - cpu->base[m->segment]);
		return;
	}
	if (in->operation == INSTR_XLAT) {
		if (in->mode == INSTR_MODE_64 && m->segment >= INSTR_FS)
			target -= cpu->base[m->segment];
		gpr_low(gpr, INSTR_RBX, m->size, target - (gpr[INSTR_RAX] & 0xff));
		return;
	}
	if (in->operation >= INSTR_BT && in->operation <= INSTR_BTC &&
		in->operand[1].kind == INSTR_KIND_GPR)
		gpr_low(gpr, in->operand[1].number, in->size, random_next() % 16384 - 8192);
	if ((in->operation == INSTR_DIV || in->operation == INSTR_IDIV) && one_in(2))
		gpr_low(gpr, INSTR_RDX, in->size,
			one_in(2)   ? 0
			: one_in(2) ? -1ull
				    : random_next() & 7);
	memcpy(&value, memory + target - MEMORY_START, 8);
	if (in->operation == INSTR_CMPXCHG || in->operation == INSTR_CMPXCHG_PAIR) {
		if (one_in(2))
			gpr_low(gpr, INSTR_RAX, in->size < 8 ? in->size : in->size / 2, value);
		memcpy(&value, memory + target - MEMORY_START + in->size / 2, 8);
		if (in->operation == INSTR_CMPXCHG_PAIR)
			gpr_low(gpr, INSTR_RDX, in->size / 2, value);
	}
	if (in->operation == INSTR_CALL || in->operation == INSTR_JMP) {
		value = code + in->length;
		memcpy(memory + target - MEMORY_START, &value, 8);
		memcpy(mirror + target - MEMORY_START, &value, 8);
	}
	choose_stack(g, gpr, target, code);
	for (unsigned i = 0; i < in->operands; i++)
		if (in->operand[i].kind == INSTR_KIND_MEMORY)
			aim(g, cpu, gpr, target, code);
}

/* Flags that the manuals leave undefined after the instruction. cl is CL before it. */
static u64 undefined_flags(const struct instr *in, u64 cl)
{
	unsigned last = in->operands ? in->operands - 1u : 0;
	u64 count = in->operand[last].kind == INSTR_KIND_IMMEDIATE ? in->immediate : cl;
	u8 operation = in->operation;

	count &= in->size == 8 ? 63 : 31;
	if (operation == INSTR_AND || operation == INSTR_OR || operation == INSTR_XOR ||
		operation == INSTR_TEST)
		return AF;
	if (operation >= INSTR_ROL && operation <= INSTR_RCR)
		return count > 1 ? OF : 0;
	if (operation >= INSTR_SHL && operation <= INSTR_SHRD) {
		bool carry = operation != INSTR_SAR && count >= in->size * 8u;

		return count == 0 ? 0 : AF | (count > 1 ? OF : 0) | (carry ? CF : 0);
	}
	if (operation >= INSTR_BT && operation <= INSTR_BTC)
		return OF | SF | AF | PF;
	if (operation == INSTR_MUL || operation == INSTR_IMUL)
		return SF | ZF | AF | PF;
	if (operation == INSTR_DIV || operation == INSTR_IDIV)
		return ARITHMETIC;
	if (operation == INSTR_BSF || operation == INSTR_BSR)
		return ARITHMETIC & ~ZF;
	if (operation == INSTR_TZCNT || operation == INSTR_LZCNT)
		return OF | SF | PF | AF;
	return 0;
}

/*
 * What processors do each in their own way: a double shift by more bits than the operand has (SDM
 * vol. 2, SHLD: undefined), F3 90 with REX.B, which some take for PAUSE and some for XCHG, and the
 * upper half of 4 bytes to which a segment register is pushed.
 */
static bool is_undefined(const struct generated *g, u64 cl)
{
	const struct instr *in = &g->in;
	u64 count = in->operand[2].kind == INSTR_KIND_IMMEDIATE ? in->immediate : cl;

	if (in->operation == INSTR_SHLD || in->operation == INSTR_SHRD)
		return in->size == 2 && (count & 31) > 16;
	if (in->operation == INSTR_PUSH && in->operand[0].kind == INSTR_KIND_SEGMENT)
		return in->size == 4;
	return in->operation == INSTR_XCHG && g->bytes[in->length - 1] == 0x90 &&
	       memchr(g->bytes, 0xf3, in->length);
}

static void complain(const struct generated *g, const char *what, u64 ours, u64 theirs)
{
	static int complaints;
	char hex[32];

	if (complaints++ > 30)
		return;
	for (int i = 0; i < g->in.length; i++)
		snprintf(hex + 2 * i, 3, "%02x", g->bytes[i]);
	test_fail(__FILE__, __LINE__, "mode %u %s operation %u: %s is %#llx, the processor's %#llx",
		g->in.mode, hex, g->in.operation, what, (unsigned long long)ours,
		(unsigned long long)theirs);
}

/*
 * A repeated string instruction with 32-bit addresses whose count is 0 from the start: Intel's
 * processors clear the upper halves of its registers, AMD's leave them.
 */
static bool upper_halves_differ(const struct instr *in, u64 rcx)
{
	return in->operation >= INSTR_MOVS && in->operation <= INSTR_OUTS && in->memory.size == 4 &&
	       (u32)rcx == 0;
}

static void compare(const struct generated *g, const struct instr_cpu *cpu, u64 cl, u64 code)
{
	static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
		"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"};
	bool wide = g->in.mode == INSTR_MODE_64;
	u64 mask = wide && !upper_halves_differ(&g->in, cl) ? ~0ull : 0xffffffff;
	bool loads = g->in.operation == INSTR_POPF || g->in.operation == INSTR_IRET;
	u64 flags = (ARITHMETIC & ~undefined_flags(&g->in, cl)) |
		    (loads ? DF | (g->in.size >= 4 ? FLAG_ID : 0) : 0);

	for (unsigned i = 0; i < (wide ? 16 : 8); i++)
		if ((cpu->gpr[i] ^ native->gpr[i]) & mask)
			complain(g, names[i], cpu->gpr[i], native->gpr[i]);
	if ((cpu->rflags ^ native->rflags) & flags)
		complain(g, "rflags", cpu->rflags & flags, native->rflags & flags);
	if (cpu->rip != code + g->in.length)
		complain(g, "rip", cpu->rip, code + g->in.length);
	for (u64 i = 0; i < MEMORY_SIZE && memcmp(mirror, memory, MEMORY_SIZE) != 0; i++)
		if (mirror[i] != memory[i]) {
			complain(g, "memory", mirror[i], memory[i]);
			memcpy(mirror, memory, MEMORY_SIZE);
		}
	for (unsigned i = 0; i < 16; i++)
		if (memcmp(emulated_vector[i], native->vector[i], 32) != 0)
			complain(g, "vector", i, i);
}

/* One instruction both ways. Returns false if its address could not be made to suit. */
static bool run_case(bool wide, unsigned *counts)
{
	struct generated g;
	struct instr_cpu cpu = {
		.selector = {USER_DS, wide ? USER_CS_64 : USER_CS_32, USER_DS, USER_DS},
		.base = {[INSTR_GS] = GS_BASE},
		.limit = {~0u, ~0u, ~0u, ~0u, ~0u, ~0u},
		.attributes = {0xcf3, 0xcfb, 0xcf3, 0xcf3, 0xcf3, 0xcf3},
		.stack_size = 4,
		.linear_bits = 48,
		.is_protected = true,
		.cpl = 3,
		.long_mode = true,
		.table = {{GDT, USER_CS_64 | 7}}};
	u64 code = native_slot(wide);
	enum instr_status status;
	int signal_number;
	u64 cl;

	if (wide)
		syscall(SYS_arch_prctl, ARCH_GET_FS, &cpu.base[INSTR_FS]);
	generate(&g, wide);
	choose(&g, &cpu, cpu.gpr, code);
	if (!wide)
		for (int i = 0; i < INSTR_GPRS; i++)
			cpu.gpr[i] &= i < 8 ? 0xffffffff : 0;
	if (instr_decode(g.bytes, 15, wide ? INSTR_MODE_64 : INSTR_MODE_32, &g.in) != INSTR_OK)
		return false;
	if (is_undefined(&g, cpu.gpr[INSTR_RCX]))
		return true;
	if (g.in.operation == INSTR_SMSW)
		return true; /* under UMIP the system answers, with a CR0 of its own */
	cpu.rip = code;
	cpu.rflags = 0x202 | (random_next() & (ARITHMETIC | DF));
	memcpy(native->gpr, cpu.gpr, sizeof(cpu.gpr));
	native->rflags = cpu.rflags;
	memcpy(emulated_vector, native->vector, sizeof(emulated_vector));
	cl = cpu.gpr[INSTR_RCX];
	status = emulate(&g.in, &cpu);
	/* A branch that would go elsewhere might never come back. */
	if (outside || (is_branch(&g.in) && status == INSTR_OK && cpu.rip != code + g.in.length)) {
		memcpy(mirror, memory, MEMORY_SIZE);
		return false;
	}
	signal_number = native_run(wide, g.bytes, g.in.length);
	counts[g.in.operation]++;
	if (status == INSTR_DIVIDE_ERROR && signal_number == SIGFPE)
		return true;
	if ((status == INSTR_PROTECTION || noted_fault) && signal_number == SIGSEGV)
		return true; /* a selector that the address could not be made to hit */
	if (g.in.operation == INSTR_NOP && signal_number == SIGSEGV)
		return true; /* the emulator does not look at the address of CLFLUSH */
	if (status != INSTR_OK || signal_number) {
		complain(&g, "status", status, (u64)signal_number);
		memcpy(mirror, memory, MEMORY_SIZE);
	} else {
		compare(&g, &cpu, cl, code);
	}
	return true;
}

static void against_processor(bool wide)
{
	unsigned counts[INSTR_OPERATIONS] = {0};
	unsigned done = 0;
	unsigned tries = 0;

	if (!native_prepare()) {
		printf("skipped: no AVX, or memory below 64 KiB is not to be had\n");
		return;
	}
	for (u64 i = 0; i < MEMORY_SIZE; i++)
		mirror[i] = memory[i] = (u8)(one_in(4) ? random_number() : random_next());
	for (unsigned i = 0; i < sizeof(native->vector); i++)
		((u8 *)native->vector)[i] = (u8)random_next();
	/* Few may miss the memory: a wrong address of the emulator would. */
	for (; done < CASES && tries < CASES + CASES / 50; tries++)
		done += run_case(wide, counts);
	printf("%u instructions of %u-bit code on the processor, of %u tried\n", done,
		wide ? 64 : 32, tries);
	CHECK_EQ(done, CASES);
	for (unsigned i = 1; i < INSTR_OPERATIONS; i++)
		if (i != INSTR_INS && i != INSTR_OUTS && (i < INSTR_SLDT || i > INSTR_LMSW) &&
			!(wide && (i == INSTR_PUSHA || i == INSTR_POPA)) && counts[i] < 50)
			test_fail(
				__FILE__, __LINE__, "operation %u ran %u times only", i, counts[i]);
}

TEST(processor_64)
{
	against_processor(true);
}

TEST(processor_32)
{
	against_processor(false);
}
