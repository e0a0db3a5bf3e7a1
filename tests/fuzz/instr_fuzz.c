/*
 * Fuzzes the instruction decoder and emulator: the input is the mode, the registers and the code;
 * memory reads answer from the input's rest, and callbacks refuse now and then.
 * clang -fsanitize=fuzzer,address,undefined -I. tests/fuzz/instr_fuzz.c guests/vmm/cpu/instr_*.c
 */
#include <string.h>
#include "guests/vmm/cpu/instr.h"
#include "tests/fuzz/fuzz.h"

#define MAX_ITERATIONS 16

/* The code comes early, since the fuzzer begins with short inputs; the rest of those is 0. */
struct input {
	u8 mode;
	u8 cut; /* so many bytes of the code are missing */
	u8 code[INSTR_LENGTH_MAX + 1];
	u8 refuse_after; /* accesses; 0: never */
	u64 gpr[INSTR_GPRS];
	u64 rip;
	u64 rflags;
	u64 base[INSTR_SEGMENTS];
	u8 stack_size;
	u8 is_protected;
	u32 limit_bits[INSTR_SEGMENTS]; /* that are 0 in the limit */
	u16 attributes[INSTR_SEGMENTS];
	u8 memory[64];
	u8 cpl;
	u8 vme;
	u8 long_mode;
	struct instr_table table[2];
};

struct world {
	struct input input;
	unsigned accesses;
	enum instr_mode mode;
	bool faulted;
};

static int count(struct world *world)
{
	require(world->accesses <= 4 * MAX_ITERATIONS);
	world->accesses++;
	return world->input.refuse_after && world->accesses > world->input.refuse_after;
}

static int check(struct world *world, u64 linear, unsigned size, unsigned access)
{
	require(size && size <= 32 && !(size & (size - 1)));
	require(world->mode == INSTR_MODE_64 || linear <= 0xffffffff ||
		(access & INSTR_ACCESS_SYSTEM && world->input.long_mode & 1));
	require(access <= 2 * INSTR_ACCESS_PROBE - 1);
	return count(world);
}

static int bus_read(void *opaque, u64 linear, void *data, unsigned size, unsigned access)
{
	struct world *world = opaque;

	if (check(world, linear, size, access))
		return 1;
	memcpy(data, world->input.memory + linear % 32, size);
	return 0;
}

static int bus_write(void *opaque, u64 linear, const void *data, unsigned size, unsigned access)
{
	struct world *world = opaque;

	if (check(world, linear, size, access))
		return 1;
	if (!(access & INSTR_ACCESS_PROBE))
		memcpy(world->input.memory + linear % 32, data, size);
	return 0;
}

static int port_read(void *opaque, u16 port, u32 *value, unsigned size)
{
	require(size == 1 || size == 2 || size == 4);
	*value = port * 0x10001u;
	return count(opaque);
}

static int port_write(void *opaque, u16 port, u32 value, unsigned size)
{
	(void)port;
	require(size == 4 || value >> 8 * size == 0);
	return count(opaque);
}

static void vector_read(void *opaque, unsigned number, void *data, unsigned size)
{
	(void)opaque;
	require(number < 16 ? size == 16 || size == 32 : number < INSTR_MMX + 8 && size == 8);
	memset(data, (int)number, size);
}

static void vector_write(void *opaque, unsigned number, const void *data, unsigned size)
{
	static u8 vectors[INSTR_MMX + 8][32];

	(void)opaque;
	require(number < 16 ? size == 16 || size == 32 : number < INSTR_MMX + 8 && size == 8);
	memcpy(vectors[number], data, size);
}

static int system_register(void *opaque, enum instr_operation operation, u16 *word, u64 *base)
{
	require(operation >= INSTR_SLDT && operation <= INSTR_LMSW && operation != INSTR_SMSW);
	*word ^= 0x55;
	*base ^= operation;
	return count(opaque);
}

static void note_fault(void *opaque, u8 vector, u32 error)
{
	struct world *world = opaque;

	require(vector >= 11 && vector <= 13 && error <= UINT16_MAX && !(error & 3));
	world->faulted = true;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const enum instr_mode modes[] = {INSTR_MODE_16, INSTR_MODE_32, INSTR_MODE_64};
	static const struct instr_bus bus = {bus_read, bus_write, port_read, port_write,
		vector_read, vector_write, system_register, note_fault, MAX_ITERATIONS};
	struct world world = {0};
	struct instr_cpu cpu = {0};
	struct instr_cpu before;
	struct instr in;
	enum instr_status status;
	size_t code_size;
	u8 *code;

	memcpy(&world.input, data, size < sizeof(world.input) ? size : sizeof(world.input));
	world.mode = modes[world.input.mode % 3];
	code_size = sizeof(world.input.code) - world.input.cut % (sizeof(world.input.code) + 1);
	code = malloc(code_size);
	memcpy(code, world.input.code, code_size);
	memset(&in, 0xa5, sizeof(in));
	status = instr_decode(code, code_size, world.mode, &in);
	free(code);
	require(status <= INSTR_UNSUPPORTED);
	fuzz_operations++;
	if (status != INSTR_OK)
		return 0;
	require(in.length && in.length <= INSTR_LENGTH_MAX && in.length <= code_size);
	require(in.operation > INSTR_NONE && in.operation < INSTR_OPERATIONS && in.operands <= 3);

	memcpy(cpu.gpr, world.input.gpr, sizeof(cpu.gpr));
	memcpy(cpu.base, world.input.base, sizeof(cpu.base));
	cpu.rip = world.input.rip;
	cpu.rflags = world.input.rflags;
	cpu.stack_size = world.input.stack_size;
	cpu.is_protected = world.input.is_protected & 1;
	cpu.linear_bits = 48;
	cpu.cpl = world.input.cpl & 3;
	cpu.vme = world.input.vme & 1;
	cpu.long_mode = world.input.long_mode & 1;
	memcpy(cpu.table, world.input.table, sizeof(cpu.table));
	for (int i = 0; i < INSTR_SEGMENTS; i++) {
		cpu.limit[i] = ~world.input.limit_bits[i];
		cpu.attributes[i] = world.input.attributes[i];
	}
	before = cpu;
	status = instr_execute(&in, &cpu, &bus, &world);
	if (status == INSTR_OK && in.operation >= INSTR_CALL_FAR && in.operation <= INSTR_IRET)
		require(cpu.rip <= UINT32_MAX || cpu.long_mode);
	else if (status == INSTR_OK)
		require(cpu.rip <= ~0ull >> (64 - 8 * in.mode));
	else
		require(cpu.rip == before.rip);
	if (status != INSTR_OK && status != INSTR_AGAIN && !in.rep)
		require(!memcmp(&cpu, &before, sizeof(cpu)));
	require(status != INSTR_AGAIN || (in.rep && in.operation >= INSTR_MOVS));
	require(!world.faulted || status == INSTR_FAULT);
	require(status != INSTR_UNSUPPORTED ||
		(in.operation >= INSTR_CALL_FAR && in.operation <= INSTR_IRET));
	require(status != INSTR_INVALID);
	return 0;
}
