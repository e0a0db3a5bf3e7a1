/* The instruction emulator by hand: resumption, faults, access bits, ports and 16-bit code. */
#include <stdlib.h>
#include "guests/vmm/cpu/instr.h"
#include "tests/unit/test.h"

#define MEMORY_SIZE 0x20000u

static struct {
	u8 memory[MEMORY_SIZE];
	u8 vector[16][32];
	struct instr_cpu cpu;
	u64 refuse; /* an access that covers this linear address fails */
	u64 linear; /* of the last access */
	unsigned access;
	unsigned reads, writes;
	u16 port;
	u32 datum;
	unsigned port_accesses;
	bool refuse_port;
} machine;

static bool refused(u64 linear, unsigned size, unsigned access)
{
	machine.linear = linear;
	machine.access = access;
	return linear > MEMORY_SIZE - size || machine.refuse - linear < size;
}

static int bus_read(void *opaque, u64 linear, void *data, unsigned size, unsigned access)
{
	machine.reads++;
	if (opaque != &machine || refused(linear, size, access))
		return -1;
	memcpy(data, machine.memory + linear, size);
	return 0;
}

static int bus_write(void *opaque, u64 linear, const void *data, unsigned size, unsigned access)
{
	machine.writes++;
	if (opaque != &machine || refused(linear, size, access))
		return -1;
	memcpy(machine.memory + linear, data, size);
	return 0;
}

static int port_read(void *opaque, u16 port, u32 *value, unsigned size)
{
	(void)opaque;
	machine.port = port;
	*value = (machine.datum + machine.port_accesses++) & (0xffffffff >> (32 - 8 * size));
	return machine.refuse_port;
}

static int port_write(void *opaque, u16 port, u32 value, unsigned size)
{
	(void)opaque;
	(void)size;
	machine.port = port;
	machine.port_accesses++;
	machine.datum = value;
	return machine.refuse_port;
}

static void vector_read(void *opaque, unsigned number, void *data, unsigned size)
{
	(void)opaque;
	memcpy(data, machine.vector[number], size);
}

static void vector_write(void *opaque, unsigned number, const void *data, unsigned size)
{
	(void)opaque;
	memcpy(machine.vector[number], data, size);
}

static const struct instr_bus whole_bus = {
	bus_read, bus_write, port_read, port_write, vector_read, vector_write, NULL, NULL, 1000};

static void reset(void)
{
	memset(&machine, 0, sizeof(machine));
	machine.refuse = ~0ull;
	machine.cpu.rip = 0x1000;
	machine.cpu.rflags = 2;
	machine.cpu.stack_size = 2;
	machine.cpu.linear_bits = 48;
	for (unsigned i = 0; i < INSTR_SEGMENTS; i++)
		machine.cpu.limit[i] = UINT32_MAX;
}

static enum instr_status run_on(const struct instr_bus *bus, const char *hex, enum instr_mode mode)
{
	u8 bytes[INSTR_LENGTH_MAX];
	size_t count = 0;
	struct instr in;

	for (char *end; *hex; hex = end)
		bytes[count++] = (u8)strtoul(hex, &end, 16);
	if (instr_decode(bytes, count, mode, &in) != INSTR_OK || in.length != count) {
		test_fail(__FILE__, __LINE__, "not decoded");
		return INSTR_INVALID;
	}
	return instr_execute(&in, &machine.cpu, bus, &machine);
}

static enum instr_status run(const char *hex, enum instr_mode mode)
{
	return run_on(&whole_bus, hex, mode);
}

/* Runs an instruction that must fail and leave the registers alone. */
static void run_failing(const char *hex, enum instr_mode mode, enum instr_status status)
{
	struct instr_cpu before = machine.cpu;

	CHECK_EQ(run(hex, mode), status);
	/* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): a copy has the same padding */
	CHECK(!memcmp(&before, &machine.cpu, sizeof(before)));
}

TEST(rep_resumes)
{
	struct instr_bus bus = whole_bus;

	reset();
	bus.max_iterations = 3;
	machine.cpu.gpr[INSTR_RCX] = 10;
	machine.cpu.gpr[INSTR_RDI] = 0x100;
	machine.cpu.gpr[INSTR_RAX] = 0x11223344;
	for (u64 left = 7; left <= 7; left -= 3) {
		CHECK_EQ(run_on(&bus, "f3 ab", INSTR_MODE_64), INSTR_AGAIN);
		CHECK_EQ(machine.cpu.gpr[INSTR_RCX], left);
		CHECK_EQ(machine.cpu.gpr[INSTR_RDI], 0x100 + 4 * (10 - left));
		CHECK_EQ(machine.cpu.rip, 0x1000);
	}
	CHECK_EQ(run_on(&bus, "f3 ab", INSTR_MODE_64), INSTR_OK);
	CHECK_EQ(machine.cpu.gpr[INSTR_RCX], 0);
	CHECK_EQ(machine.cpu.rip, 0x1002);
	CHECK_EQ(machine.writes, 10);
	CHECK_EQ(machine.memory[0x100 + 39], 0x11);
	CHECK_EQ(machine.memory[0x100 + 40], 0);

	/* The limit and the count end together; 0 as a limit is 1. */
	machine.cpu.gpr[INSTR_RCX] = 3;
	CHECK_EQ(run_on(&bus, "f3 aa", INSTR_MODE_64), INSTR_OK);
	bus.max_iterations = 0;
	machine.cpu.gpr[INSTR_RCX] = 2;
	CHECK_EQ(run_on(&bus, "f3 aa", INSTR_MODE_64), INSTR_AGAIN);
	CHECK_EQ(run_on(&bus, "f3 aa", INSTR_MODE_64), INSTR_OK);
	/* No iteration at all. */
	machine.writes = 0;
	CHECK_EQ(run_on(&bus, "f3 aa", INSTR_MODE_64), INSTR_OK);
	CHECK_EQ(machine.writes, 0);
}

TEST(rep_faults_between)
{
	reset();
	machine.cpu.gpr[INSTR_RCX] = 8;
	machine.cpu.gpr[INSTR_RSI] = 0x200;
	machine.cpu.gpr[INSTR_RDI] = 0x100;
	machine.refuse = 0x10a; /* in the third doubleword */
	CHECK_EQ(run("f3 a5", INSTR_MODE_32), INSTR_FAULT);
	CHECK_EQ(machine.cpu.gpr[INSTR_RCX], 6);
	CHECK_EQ(machine.cpu.gpr[INSTR_RSI], 0x208);
	CHECK_EQ(machine.cpu.gpr[INSTR_RDI], 0x108);
	CHECK_EQ(machine.cpu.rip, 0x1000);
	machine.refuse = ~0ull;
	CHECK_EQ(run("f3 a5", INSTR_MODE_32), INSTR_OK);
	CHECK_EQ(machine.cpu.gpr[INSTR_RDI], 0x120);
}

TEST(rep_compares)
{
	reset();
	memcpy(machine.memory + 0x100, "same..A", 7);
	memcpy(machine.memory + 0x200, "same..B", 7);
	machine.cpu.gpr[INSTR_RCX] = 20;
	machine.cpu.gpr[INSTR_RSI] = 0x100;
	machine.cpu.gpr[INSTR_RDI] = 0x200;
	CHECK_EQ(run("f3 a6", INSTR_MODE_64), INSTR_OK);
	CHECK_EQ(machine.cpu.gpr[INSTR_RCX], 13);
	CHECK_EQ(machine.cpu.rflags & 0x41, 1); /* below, not equal */
	CHECK_EQ(machine.cpu.rip, 0x1002);
	/* REPNE SCASB looks for a byte, downwards. */
	machine.cpu.rflags |= 0x400;
	machine.cpu.gpr[INSTR_RAX] = 's';
	CHECK_EQ(run("f2 ae", INSTR_MODE_64), INSTR_OK);
	CHECK_EQ(machine.cpu.gpr[INSTR_RDI], 0x1ff);
	CHECK_EQ(machine.cpu.gpr[INSTR_RCX], 5);
}

TEST(ports)
{
	struct instr_bus bus = whole_bus;

	reset();
	machine.cpu.gpr[INSTR_RDX] = 0xabcd01f0;
	machine.cpu.gpr[INSTR_RCX] = 0xffffffff00000003;
	machine.cpu.gpr[INSTR_RDI] = 0x100;
	machine.datum = 0x5500;
	CHECK_EQ(run("67 f3 66 6d", INSTR_MODE_64), INSTR_OK); /* rep insw by edi, ecx */
	CHECK_EQ(machine.port, 0x01f0);
	CHECK_EQ(machine.port_accesses, 3);
	CHECK_EQ(machine.memory[0x104] | machine.memory[0x105] << 8, 0x5502);
	CHECK_EQ(machine.cpu.gpr[INSTR_RDI], 0x106);
	CHECK_EQ(machine.cpu.gpr[INSTR_RCX], 0);

	memcpy(machine.memory + 0x200, "\x78\x56\x34\x12", 4);
	machine.cpu.base[INSTR_FS] = 0x100;
	machine.cpu.gpr[INSTR_RSI] = 0x100;
	CHECK_EQ(run("64 48 6f", INSTR_MODE_64), INSTR_OK); /* outsd from FS */
	CHECK_EQ(machine.datum, 0x12345678);
	CHECK_EQ(machine.cpu.gpr[INSTR_RSI], 0x104);

	machine.refuse_port = true;
	run_failing("6c", INSTR_MODE_64, INSTR_FAULT);
	run_failing("6e", INSTR_MODE_64, INSTR_FAULT);
	bus.port_read = NULL;
	CHECK_EQ(run_on(&bus, "6c", INSTR_MODE_64), INSTR_UNSUPPORTED);
	bus.vector_read = NULL;
	CHECK_EQ(run_on(&bus, "0f 10 00", INSTR_MODE_64), INSTR_UNSUPPORTED);
}

TEST(faults_change_nothing)
{
	static const char *const codes[] = {
		"0f c1 08", /* xadd [rax], ecx */
		"87 08",    /* xchg [rax], ecx */
		"0f b1 08", /* cmpxchg [rax], ecx */
		"0f c7 08", /* cmpxchg8b [rax] */
		"8f 00",    /* pop [rax] */
		"ff 10",    /* call [rax] */
		"ff 00",    /* inc dword [rax] */
		"c1 00 04", /* rol dword [rax], 4 */
		"0f ab 08", /* bts [rax], ecx */
		"a4",       /* movsb */
		"f6 20",    /* mul byte [rax] */
		"0f 28 00", /* movaps xmm0, [rax] */
		"0f 44 08", /* cmove ecx, [rax], which does not move */
	};

	reset();
	machine.cpu.gpr[INSTR_RAX] = 0x400;
	machine.cpu.gpr[INSTR_RSP] = 0x800;
	machine.cpu.gpr[INSTR_RSI] = 0x400;
	machine.refuse = 0x400;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		run_failing(codes[i], INSTR_MODE_64, INSTR_FAULT);
	/* The stack refuses, not the operand. */
	machine.refuse = 0x7f8;
	run_failing("ff 30", INSTR_MODE_64, INSTR_FAULT);
	run_failing("ff 10", INSTR_MODE_64, INSTR_FAULT);
	CHECK_EQ(machine.access, INSTR_ACCESS_STACK);
}

TEST(exceptions)
{
	reset();
	machine.cpu.gpr[INSTR_RAX] = 0x401;
	run_failing("0f 28 00", INSTR_MODE_64, INSTR_PROTECTION);    /* movaps */
	run_failing("66 0f e7 00", INSTR_MODE_64, INSTR_PROTECTION); /* movntdq */
	run_failing("48 0f c7 08", INSTR_MODE_64, INSTR_PROTECTION); /* cmpxchg16b */
	run_failing("f7 30", INSTR_MODE_64, INSTR_DIVIDE_ERROR);     /* by zero */
	machine.memory[0x401] = 0xff;
	machine.cpu.gpr[INSTR_RAX] = 0x8000;
	machine.memory[0x8000] = 0xff;
	run_failing("f6 38", INSTR_MODE_64, INSTR_DIVIDE_ERROR); /* -32768 / -1 */
}

TEST(access_bits)
{
	reset();
	machine.cpu.gpr[INSTR_RBP] = 0x400;
	CHECK_EQ(run("8b 45 00", INSTR_MODE_64), INSTR_OK); /* mov eax, [rbp] */
	CHECK_EQ(machine.access, INSTR_ACCESS_STACK);
	CHECK_EQ(run("f0 01 03", INSTR_MODE_64), INSTR_OK); /* lock add [rbx], eax */
	CHECK_EQ(machine.access, INSTR_ACCESS_LOCKED);
	machine.refuse = 0;
	CHECK_EQ(run("f0 01 03", INSTR_MODE_64), INSTR_FAULT);
	CHECK_EQ(machine.access, INSTR_ACCESS_LOCKED | INSTR_ACCESS_MODIFY);
	CHECK_EQ(run("87 03", INSTR_MODE_64), INSTR_FAULT); /* xchg locks by itself */
	CHECK_EQ(machine.access, INSTR_ACCESS_LOCKED | INSTR_ACCESS_MODIFY);
	CHECK_EQ(run("39 03", INSTR_MODE_64), INSTR_FAULT); /* cmp does not write */
	CHECK_EQ(machine.access, 0);
}

TEST(code_16)
{
	reset();
	machine.cpu.base[INSTR_DS] = 0x10000;
	machine.cpu.base[INSTR_SS] = 0x8000;
	machine.cpu.base[INSTR_ES] = 0xfffff000;
	machine.cpu.gpr[INSTR_RBX] = 0x7777fff0;
	machine.cpu.gpr[INSTR_RSI] = 0x20;
	machine.cpu.gpr[INSTR_RBP] = 0x100;
	machine.cpu.gpr[INSTR_RAX] = 0x1122334455667788;
	CHECK_EQ(run("89 00", INSTR_MODE_16), INSTR_OK); /* mov [bx + si], ax wraps at 64 KiB */
	CHECK_EQ(machine.linear, 0x10010);
	CHECK_EQ(machine.memory[0x10010] | machine.memory[0x10011] << 8, 0x7788);
	CHECK_EQ(machine.memory[0x10012], 0);
	CHECK_EQ(run("89 42 f0", INSTR_MODE_16), INSTR_OK); /* mov [bp + si - 16], ax */
	CHECK_EQ(machine.linear, 0x8110);
	CHECK_EQ(machine.access, INSTR_ACCESS_STACK);
	CHECK_EQ(run("26 66 a3 34 12", INSTR_MODE_16), INSTR_OK); /* mov es:[0x1234], eax */
	CHECK_EQ(machine.linear, 0x234);                          /* 32-bit linear addresses wrap */
	CHECK_EQ(machine.memory[0x237], 0x55);

	machine.cpu.rip = 0xfffe;
	CHECK_EQ(run("8a 04", INSTR_MODE_16), INSTR_OK);
	CHECK_EQ(machine.cpu.rip, 0);
	machine.cpu.rip = 0xfffffffe;
	CHECK_EQ(run("8a 00", INSTR_MODE_32), INSTR_FAULT);
	machine.cpu.gpr[INSTR_RAX] = 0;
	CHECK_EQ(run("8a 00", INSTR_MODE_32), INSTR_OK);
	CHECK_EQ(machine.cpu.rip, 0);
}

TEST(stack_16)
{
	reset();
	machine.cpu.base[INSTR_SS] = 0x8000;
	machine.cpu.gpr[INSTR_RSP] = 0xaaaa0002;
	memcpy(machine.memory + 0x50, "\x34\x12\x78\x56", 4);
	CHECK_EQ(run("66 ff 36 50 00", INSTR_MODE_16), INSTR_OK); /* push dword [0x50] */
	CHECK_EQ(machine.linear, 0x8000 + 0xfffe);                /* SP alone wraps */
	CHECK_EQ(machine.cpu.gpr[INSTR_RSP], 0xaaaafffe);
	machine.cpu.gpr[INSTR_RSP] = 0xaaaa0100;
	CHECK_EQ(run("ff 16 50 00", INSTR_MODE_16), INSTR_OK); /* call word [0x50] */
	CHECK_EQ(machine.cpu.rip, 0x1234);
	CHECK_EQ(machine.cpu.gpr[INSTR_RSP], 0xaaaa00fe);
	CHECK_EQ(machine.memory[0x80fe] | machine.memory[0x80ff] << 8, 0x1009);
	CHECK_EQ(run("8f 06 60 00", INSTR_MODE_16), INSTR_OK); /* pop word [0x60] */
	CHECK_EQ(machine.memory[0x60] | machine.memory[0x61] << 8, 0x1009);
	CHECK_EQ(machine.cpu.gpr[INSTR_RSP], 0xaaaa0100);
	/* A 32-bit stack segment below 16-bit code. */
	machine.cpu.stack_size = 4;
	machine.cpu.base[INSTR_SS] = 0;
	machine.cpu.gpr[INSTR_RSP] = 0x10002;
	CHECK_EQ(run("66 ff 36 50 00", INSTR_MODE_16), INSTR_OK);
	CHECK_EQ(machine.cpu.gpr[INSTR_RSP], 0xfffe);
	CHECK_EQ(run("66 ff 26 50 00", INSTR_MODE_16), INSTR_OK); /* jmp dword [0x50] */
	CHECK_EQ(machine.cpu.rip, 0x1234);                        /* wrapped to the code's size */
}

TEST(strings_16)
{
	reset();
	machine.cpu.base[INSTR_ES] = 0x10000;
	machine.cpu.gpr[INSTR_RCX] = 0x12340003;
	machine.cpu.gpr[INSTR_RSI] = 0x1fffe;
	machine.cpu.gpr[INSTR_RDI] = 0x10;
	memcpy(machine.memory + 0xfffe, "ab", 2);
	memcpy(machine.memory, "cd", 2);
	CHECK_EQ(run("f3 a4", INSTR_MODE_16), INSTR_OK);
	CHECK(!memcmp(machine.memory + 0x10010, "abc", 4));
	CHECK_EQ(machine.cpu.gpr[INSTR_RSI], 0x10001);
	CHECK_EQ(machine.cpu.gpr[INSTR_RCX], 0x12340000);
}

TEST(vectors)
{
	reset();
	memset(machine.vector, 0xee, sizeof(machine.vector));
	machine.memory[0x400] = 1;
	machine.cpu.gpr[INSTR_RAX] = 0x400;
	CHECK_EQ(run("0f 10 08", INSTR_MODE_64), INSTR_OK); /* movups xmm1, [rax] */
	CHECK_EQ(machine.vector[1][0], 1);
	CHECK_EQ(machine.vector[1][31], 0xee);
	CHECK_EQ(run("c5 f8 10 10", INSTR_MODE_64), INSTR_OK); /* vmovups xmm2, [rax] */
	CHECK_EQ(machine.vector[2][0], 1);
	CHECK_EQ(machine.vector[2][31], 0);
	CHECK_EQ(run("c5 fe 7f 18", INSTR_MODE_64), INSTR_OK); /* vmovdqu [rax], ymm3 */
	CHECK_EQ(machine.memory[0x41f], 0xee);
	CHECK_EQ(machine.memory[0x420], 0);
	CHECK_EQ(machine.writes, 1);
}

TEST(vectors_vex_scalar)
{
	reset();
	memset(machine.vector, 0xee, sizeof(machine.vector));
	memcpy(machine.memory + 0x400, "12345678", 8);
	machine.cpu.gpr[INSTR_RAX] = 0x400;
	CHECK_EQ(run("c5 fa 10 08", INSTR_MODE_64), INSTR_OK); /* vmovss xmm1, [rax] */
	CHECK(!memcmp(machine.vector[1], "1234\0\0\0", 8));
	CHECK_EQ(machine.vector[1][31], 0);
	CHECK_EQ(run("c4 e1 f9 6e 10", INSTR_MODE_64), INSTR_OK); /* vmovq xmm2, [rax] */
	CHECK(!memcmp(machine.vector[2], "12345678\0", 9));
	CHECK_EQ(machine.vector[2][31], 0);
	CHECK_EQ(run("c5 fb 11 58 10", INSTR_MODE_64), INSTR_OK); /* vmovsd [rax+16], xmm3 */
	CHECK_EQ(machine.memory[0x417], 0xee);
	CHECK_EQ(machine.memory[0x418], 0);
	CHECK_EQ(run("c5 f8 17 60 20", INSTR_MODE_64), INSTR_OK); /* vmovhps [rax+32], xmm4 */
	CHECK_EQ(machine.memory[0x427], 0xee);
	CHECK_EQ(run("c5 f9 d6 68 30", INSTR_MODE_64), INSTR_OK); /* vmovq [rax+48], xmm5 */
	CHECK_EQ(machine.memory[0x437], 0xee);
}

TEST(xlat_and_movdiri)
{
	reset();
	machine.memory[0x412] = 0x77;
	machine.cpu.gpr[INSTR_RAX] = 0xaabb12;
	machine.cpu.gpr[INSTR_RBX] = 0x400;
	CHECK_EQ(run("d7", INSTR_MODE_64), INSTR_OK);
	CHECK_EQ(machine.cpu.gpr[INSTR_RAX], 0xaabb77);
	machine.refuse = 0x477;
	run_failing("d7", INSTR_MODE_64, INSTR_FAULT);
	machine.refuse = ~0ull;
	CHECK_EQ(run("0f 38 f9 03", INSTR_MODE_64), INSTR_OK); /* movdiri [rbx], eax */
	CHECK_EQ(machine.memory[0x402], 0xaa);
}

/* SMSW stores 16 bits in memory with any operand size; its register form is not ours. */
TEST(smsw)
{
	static const char *const code[] = {"0f 01 23", "66 0f 01 23", "48 0f 01 23"};

	for (u32 i = 0; i < ARRAY_SIZE(code); i++) {
		reset();
		memset(machine.memory + 0x400, 0x77, 8);
		machine.cpu.gpr[INSTR_RBX] = 0x400;
		machine.cpu.cr0 = 0x8005003b;
		CHECK_EQ(run(code[i], INSTR_MODE_64), INSTR_OK);
		CHECK_EQ(machine.memory[0x400], 0x3b);
		CHECK_EQ(machine.memory[0x401], 0);
		CHECK_EQ(machine.memory[0x402], 0x77);
	}
	machine.refuse = 0x400;
	run_failing("0f 01 23", INSTR_MODE_64, INSTR_FAULT);
	machine.refuse = ~0ull;
}

/* Limits, types and presence of segments. SDM vol. 3, 5.3 to 5.5. */
TEST(segment_checks)
{
	static const struct {
		u16 attributes;
		u32 limit;
		u64 offset;
		bool read, write;
	} cases[] = {
		{0xc93, 0xffffffff, 0x1000, true, true},
		{0xc93, 0x1003, 0x1000, true, true},
		{0xc93, 0x1002, 0x1000, false, false},
		{0xc93, 0x1002, 0xfffffffd, false, false}, /* no wrap into the segment */
		{0xc91, 0xffff, 0x1000, true, false},      /* read-only */
		{0xc9b, 0xffff, 0x1000, true, false},      /* code */
		{0xc99, 0xffff, 0x1000, false, false},     /* execute only */
		{0x000, 0xffffffff, 0x1000, false, false}, /* null selector */
		{0xc97, 0xfff, 0x1000, true, true},        /* expand-down */
		{0xc97, 0x1000, 0x1000, false, false},
		{0x897, 0xfff, 0xfffd, false, false}, /* ... of 16 bits */
		{0xc97, 0xfff, 0xfffd, true, true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (unsigned segment = 0; segment < 2; segment++) {
			unsigned number = segment ? INSTR_SS : INSTR_DS;
			enum instr_status bad = segment ? INSTR_STACK_FAULT : INSTR_PROTECTION;

			reset();
			machine.cpu.is_protected = true;
			machine.cpu.attributes[number] = cases[i].attributes;
			machine.cpu.limit[number] = cases[i].limit;
			machine.cpu.gpr[INSTR_RBX] = machine.cpu.gpr[INSTR_RBP] = cases[i].offset;
			if (run(segment ? "8b 45 00" : "8b 03", INSTR_MODE_32) !=
				(cases[i].read ? INSTR_OK : bad))
				test_fail(__FILE__, __LINE__, "read, case %zu", i);
			if (run(segment ? "89 45 00" : "89 03", INSTR_MODE_32) !=
				(cases[i].write ? INSTR_OK : bad))
				test_fail(__FILE__, __LINE__, "write, case %zu", i);
			machine.cpu.gpr[INSTR_RBX] = machine.cpu.gpr[INSTR_RBP] = cases[i].offset;
			if (run(segment ? "01 45 00" : "01 03", INSTR_MODE_32) !=
				(cases[i].write ? INSTR_OK : bad))
				test_fail(__FILE__, __LINE__, "modify, case %zu", i);
		}
	}
}

TEST(segment_checks_elsewhere)
{
	/* real mode: limits, no types */
	reset();
	for (unsigned i = 0; i < INSTR_SEGMENTS; i++)
		machine.cpu.limit[i] = 0xffff;
	machine.cpu.gpr[INSTR_RBX] = 0xfffd;
	run_failing("66 89 07", INSTR_MODE_16, INSTR_PROTECTION);
	CHECK_EQ(run("89 07", INSTR_MODE_16), INSTR_OK);
	CHECK_EQ(run("2e 89 07", INSTR_MODE_16), INSTR_OK); /* CS is writable there */
	machine.cpu.gpr[INSTR_RSP] = 1;
	run_failing("ff 37", INSTR_MODE_16, INSTR_STACK_FAULT); /* push word [bx] */
	/* strings: finished iterations count */
	machine.cpu.limit[INSTR_ES] = 0x105;
	machine.cpu.gpr[INSTR_RDI] = 0x100;
	machine.cpu.gpr[INSTR_RCX] = 4;
	CHECK_EQ(run("f3 ab", INSTR_MODE_16), INSTR_PROTECTION);
	CHECK_EQ(machine.cpu.gpr[INSTR_RCX], 1);
	CHECK_EQ(machine.cpu.gpr[INSTR_RDI], 0x106);
	/* branches */
	machine.cpu.gpr[INSTR_RSP] = 0x800;
	memcpy(machine.memory + 0x50, "\x00\x20\x01\x00", 4);
	run_failing("66 ff 26 50 00", INSTR_MODE_16, INSTR_PROTECTION);
	run_failing("66 ff 16 50 00", INSTR_MODE_16, INSTR_PROTECTION);
	CHECK_EQ(run("ff 26 50 00", INSTR_MODE_16), INSTR_OK);
	machine.cpu.gpr[INSTR_RBX] = 0x60;
	memcpy(machine.memory + 0x60, "\0\0\0\0\0\x80\0\0", 8);
	run_failing("ff 23", INSTR_MODE_64, INSTR_PROTECTION);
	machine.cpu.linear_bits = 57;
	CHECK_EQ(run("ff 23", INSTR_MODE_64), INSTR_OK);
	/* 64-bit mode looks at no segment */
	reset();
	machine.cpu.is_protected = true;
	machine.cpu.limit[INSTR_DS] = 0;
	CHECK_EQ(run("89 43 40", INSTR_MODE_64), INSTR_OK);
}
