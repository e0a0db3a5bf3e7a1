/* Fetching, decoding and executing the guest's instructions for exits that need it. */
#include "emulate.h"
#include "emulate_bus.h"
#include "guests/vmm/mmio.h"

#define STRING_ITERATIONS 256 /* of a repeated instruction before interrupts get a chance */
#define PREFIX_MAX        14
#define REX_B             1u
#define REX_R             4u

/* Reads up to `count` code bytes from `linear` to the end of its page; false: the guest got #PF. */
static bool fetch_page(struct bus *b, u64 linear, u8 *bytes, u32 *count)
{
	u64 left = PAGE_SIZE - (linear & (PAGE_SIZE - 1));
	gpa_t gpa;

	if (*count > left)
		*count = (u32)left;
	if (!bus_translate(b, linear, GWALK_FETCH, &gpa))
		return false;
	if (likely(*count == INSTR_LENGTH_MAX)) {
		const u8 *code = gmem_at(&b->v->machine->memory, gpa, INSTR_LENGTH_MAX);

		if (likely(code != NULL)) {
			__builtin_memcpy(bytes, code, INSTR_LENGTH_MAX);
			return true;
		}
	}
	if (!gmem_read(&b->v->machine->memory, gpa, bytes, *count))
		memset(bytes, 0xff, *count); /* nothing is there */
	return true;
}

/* Fetches the bytes at RIP that lie in one page, or, with *count not 0, those in the next. */
static bool fetch(struct bus *b, u8 bytes[INSTR_LENGTH_MAX], u32 *count)
{
	u32 more = INSTR_LENGTH_MAX - *count;
	u64 linear = bus_code_address(b, b->v->run->rip + *count);

	if (!bus_canonical(b, linear)) {
		bus_fault(b, VECTOR_GP, 0);
		return false;
	}
	if (!fetch_page(b, linear, bytes + *count, &more))
		return false;
	*count += more;
	return true;
}

/* Decodes the instruction at RIP; false: the guest got a fault, or cannot go on. */
static bool decode(struct bus *b, u8 bytes[INSTR_LENGTH_MAX], u32 count, struct instr *in)
{
	struct vcpu *v = b->v;
	enum instr_status status = INSTR_TRUNCATED;

	if (count)
		status = instr_decode(bytes, count, b->mode, in);
	while (status == INSTR_TRUNCATED && count < INSTR_LENGTH_MAX) {
		if (!fetch(b, bytes, &count)) {
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

/* Executes a decoded instruction and moves on, or gives the guest its fault. */
static void execute(struct bus *b, const struct instr *in, u32 iterations)
{
	struct vcpu *v = b->v;
	struct run_page *run = v->run;
	const struct run_segment *segment[INSTR_SEGMENTS] = {
		&run->es, &run->cs, &run->ss, &run->ds, &run->fs, &run->gs};
	struct instr_cpu cpu = {.rip = run->rip, .rflags = run->rflags, .cr0 = run->cr0};
	enum instr_status status;

	memcpy(cpu.gpr, run->gpr, sizeof(cpu.gpr));
	for (u32 i = 0; i < INSTR_SEGMENTS; i++) {
		cpu.base[i] = segment[i]->base;
		cpu.limit[i] = segment[i]->limit;
		cpu.attributes[i] = segment[i]->attributes;
		cpu.selector[i] = segment[i]->selector;
	}
	cpu.is_protected = (run->cr0 & CR0_PE) && !(run->rflags & RFLAGS_VM);
	cpu.linear_bits = (u8)b->linear_bits;
	cpu.stack_size = run->ss.attributes & SEGMENT_DB ? 4 : 2;
	if (run->rflags & RFLAGS_TF)
		iterations = 1; /* single step stops after each */
	status = bus_execute(b, in, &cpu, iterations);

	memcpy(run->gpr, cpu.gpr, sizeof(run->gpr));
	run->rflags = cpu.rflags;
	run->dirty |= GROUP_RIP;
	switch (status) {
	case INSTR_OK:
	case INSTR_AGAIN:
		vcpu_complete(v, cpu.rip);
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
	}
	if (count > INSTR_LENGTH_MAX)
		count = 0;
	if (count)
		memcpy(bytes, run->exit.memory.bytes, count);
	else if (!fetch(&b, bytes, &count)) {
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

static bool is_prefix(u8 byte, bool mode_64)
{
	switch (byte) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0x64:
	case 0x65:
	case 0x66:
	case 0x67:
	case 0xf0:
	case 0xf2:
	case 0xf3:
		return true;
	default:
		return mode_64 && (byte & 0xf0) == 0x40;
	}
}

/* Bytes of ModRM, SIB and displacement. */
static u32 modrm_length(u8 modrm, u8 sib, u32 address_size)
{
	u8 mod = modrm >> 6;
	u8 rm = modrm & 7;

	if (mod == 3)
		return 1;
	if (address_size == 2)
		return 1u + (mod == 2 || (mod == 0 && rm == 6) ? 2 : mod);
	if (rm == 4)
		return 2u + (mod == 1 ? 1 : mod == 2 || (sib & 7) == 5 ? 4 : 0);
	return 1u + (mod == 1 ? 1 : mod == 2 || rm == 5 ? 4 : 0);
}

/* Length behind the prefixes; 0: not an instruction that exits by itself. */
static u32 opcode_length(const u8 *b, u32 address_size, u32 operand_size)
{
	switch (b[0]) {
	case 0x9a: /* CALL and JMP with a far pointer */
	case 0xea:
		return 3 + operand_size;
	case 0xff: /* the same in memory */
		return (b[1] >> 3 & 7) == 3 || (b[1] >> 3 & 7) == 5
			       ? 1 + modrm_length(b[1], b[2], address_size)
			       : 0;
	case 0xcd: /* INT n */
		return 2;
	case 0xcc: /* INT3, INTO, IRET, INT1 */
	case 0xce:
	case 0xcf:
	case 0xf1:
		return 1;
	case 0xe4 ... 0xe7: /* IN, OUT with a port number */
		return 2;
	case 0xec ... 0xef: /* IN, OUT with DX; INS, OUTS; HLT */
	case 0x6c ... 0x6f:
	case 0xf4:
		return 1;
	case 0x0f:
		break;
	default:
		return 0;
	}
	switch (b[1]) {
	case 0x06: /* CLTS, INVD, WBINVD, WRMSR, RDTSC, RDMSR, RDPMC, CPUID */
	case 0x08:
	case 0x09:
	case 0x30 ... 0x33:
	case 0xa2:
		return 2;
	case 0x20 ... 0x23: /* MOV to and from CR and DR */
		return 3;
	case 0x00: /* SLDT, ... */
	case 0x01: /* VMCALL, XSETBV, LMSW, INVLPG, ... */
		return 2 + modrm_length(b[2], b[3], address_size);
	default:
		return 0;
	}
}

/* Fetches what may be an instruction that exits by itself, zeroes behind it; false: the guest got a
 * fault. */
static bool fetch_whole(struct bus *b, u8 bytes[INSTR_LENGTH_MAX + 4])
{
	u32 count = 0;

	memset(bytes, 0, INSTR_LENGTH_MAX + 4);
	if (!fetch(b, bytes, &count)) {
		bus_deliver(b);
		return false;
	}
	if (count < INSTR_LENGTH_MAX)
		(void)fetch(b, bytes, &count); /* need not be part of the instruction */
	return true;
}

u32 emulate_length(struct vcpu *v)
{
	u8 bytes[INSTR_LENGTH_MAX + 4];
	bool address_prefix = false, operand_prefix = false;
	u32 at = 0;
	u32 length, address_size, operand_size;
	struct bus b;

	bus_init(&b, v);
	if (!fetch_whole(&b, bytes))
		return 0;
	while (at < PREFIX_MAX && is_prefix(bytes[at], b.mode == INSTR_MODE_64)) {
		address_prefix |= bytes[at] == 0x67;
		operand_prefix |= bytes[at++] == 0x66;
	}
	address_size = b.mode;
	if (address_prefix)
		address_size = b.mode == INSTR_MODE_32 ? 2 : 4;
	operand_size = (b.mode == INSTR_MODE_16) == operand_prefix ? 4 : 2;
	length = opcode_length(bytes + at, address_size, operand_size);
	return length && at + length <= INSTR_LENGTH_MAX ? at + length : 0;
}

bool emulate_mov_cr(struct vcpu *v, u32 number, u32 *gpr)
{
	u8 bytes[INSTR_LENGTH_MAX + 4];
	u8 rex = 0;
	u32 lock = 0; /* another way to CR8 (APM vol. 3, MOV CRn) */
	u32 at = 0;
	struct bus b;

	bus_init(&b, v);
	if (!fetch_whole(&b, bytes))
		return false;
	while (at < PREFIX_MAX && is_prefix(bytes[at], b.mode == INSTR_MODE_64)) {
		lock |= bytes[at] == 0xf0;
		/* counts right before the opcode only */
		rex = b.mode == INSTR_MODE_64 && (bytes[at] & 0xf0) == 0x40 ? bytes[at] : 0;
		at++;
	}
	if (bytes[at] != 0x0f || bytes[at + 1] != 0x22 ||
		((bytes[at + 2] >> 3 & 7u) | (rex & REX_R) << 1 | lock << 3) != number)
		return false; /* another CPU of the guest changed the code: it is executed again */
	*gpr = (bytes[at + 2] & 7u) | (rex & REX_B) << 3;
	v->run->exit_length = at + 3;
	return true;
}

u32 emulate_peek(struct vcpu *v, u8 *bytes, u32 max)
{
	u32 count = 0;
	struct bus b;

	bus_init(&b, v);
	b.user = false;
	b.walk.efer &= ~EFER_NXE;
	b.walk.rflags |= RFLAGS_AC;
	while (count < max) {
		u64 linear = bus_code_address(&b, v->run->rip + count);
		u32 error;
		gpa_t gpa;

		if (!bus_canonical(&b, linear) ||
			!gwalk(&v->machine->memory, &b.walk, linear, GWALK_PEEK, &gpa, &error) ||
			!gmem_read(&v->machine->memory, gpa, bytes + count, 1))
			break;
		count++;
	}
	return count;
}
