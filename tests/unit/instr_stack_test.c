/* Stack and segment instructions by hand, where the build host's own mode does not go: real mode,
 * virtual-8086 mode, 16-bit stacks, ring 0, and each fault. */
#include <stdlib.h>
#include "guests/vmm/cpu/instr.h"
#include "tests/unit/test.h"

#define MEMORY_SIZE 0x10000u
#define GDT         0x8000u
#define STACK       0x4000u

#define CODE_0   0x08u /* selectors */
#define DATA_0   0x10u
#define CODE_3   0x1bu
#define DATA_3   0x23u
#define CONFORM  0x28u
#define ABSENT   0x30u
#define READONLY 0x38u
#define LAST     0x3fu

#define IF   0x200ull
#define IOPL 0x3000ull
#define NT   0x4000ull
#define VM   0x20000ull
#define VIF  0x80000ull
#define VIP  0x100000ull

static struct {
	u8 memory[MEMORY_SIZE];
	struct instr_cpu cpu;
	u64 probed; /* linear address of the last probe */
	u64 refuse;
	unsigned system; /* accesses with ring 0's rights */
	int vector;      /* of the fault noted, or -1 */
	u32 error;
} machine;

static int bus_read(void *opaque, u64 linear, void *data, unsigned size, unsigned access)
{
	(void)opaque;
	machine.system += !!(access & INSTR_ACCESS_SYSTEM);
	if (linear > MEMORY_SIZE - size || machine.refuse - linear < size)
		return 1;
	memcpy(data, machine.memory + linear, size);
	return 0;
}

static int bus_write(void *opaque, u64 linear, const void *data, unsigned size, unsigned access)
{
	(void)opaque;
	machine.system += !!(access & INSTR_ACCESS_SYSTEM);
	if (linear > MEMORY_SIZE - size || machine.refuse - linear < size)
		return 1;
	if (access & INSTR_ACCESS_PROBE)
		machine.probed = linear;
	else
		memcpy(machine.memory + linear, data, size);
	return 0;
}

static void note(void *opaque, u8 vector, u32 error)
{
	(void)opaque;
	machine.vector = vector;
	machine.error = error;
}

static u64 get(u32 at, u32 size)
{
	u64 value = 0;

	memcpy(&value, machine.memory + at, size);
	return value;
}

static void put(u32 at, u64 value, u32 size)
{
	memcpy(machine.memory + at, &value, size);
}

/* Real mode, all segments at 0 with limit FFFF. */
static void reset(void)
{
	memset(&machine, 0, sizeof(machine));
	machine.refuse = ~0ull;
	machine.vector = -1;
	machine.cpu.rip = 0x1000;
	machine.cpu.rflags = 2;
	machine.cpu.stack_size = 2;
	machine.cpu.linear_bits = 48;
	machine.cpu.gpr[INSTR_RSP] = STACK;
	for (unsigned i = 0; i < INSTR_SEGMENTS; i++)
		machine.cpu.limit[i] = UINT16_MAX;
}

/* 32-bit protected mode at a privilege level. */
static void reset_protected(u8 cpl)
{
	static const u64 gdt[] = {0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00cffb000000ffff,
		0x00cff3000000ffff, 0x00cf9e000000ffff, 0x00cf1b000000ffff, 0x00cf91000000ffff};
	u16 dpl = (u16)(cpl << 5);

	reset();
	memcpy(machine.memory + GDT, gdt, sizeof(gdt));
	machine.cpu.table[0] = (struct instr_table){GDT, LAST};
	machine.cpu.is_protected = true;
	machine.cpu.cpl = cpl;
	machine.cpu.stack_size = 4;
	for (unsigned i = 0; i < INSTR_SEGMENTS; i++) {
		machine.cpu.limit[i] = UINT32_MAX;
		machine.cpu.attributes[i] = 0xc93 | dpl;
		machine.cpu.selector[i] = cpl ? DATA_3 : DATA_0;
	}
	machine.cpu.attributes[INSTR_CS] = 0xc9b | dpl;
	machine.cpu.selector[INSTR_CS] = cpl ? CODE_3 : CODE_0;
}

static void reset_virtual_8086(u64 iopl)
{
	reset();
	machine.cpu.rflags |= VM | iopl;
	machine.cpu.cpl = 3;
}

static enum instr_status run(const char *hex, enum instr_mode mode)
{
	static const struct instr_bus bus = {.read = bus_read, .write = bus_write, .fault = note};
	u8 bytes[INSTR_LENGTH_MAX];
	size_t count = 0;
	struct instr in;

	machine.vector = -1;
	for (char *end; *hex; hex = end)
		bytes[count++] = (u8)strtoul(hex, &end, 16);
	if (instr_decode(bytes, count, mode, &in) != INSTR_OK || in.length != count) {
		test_fail(__FILE__, __LINE__, "not decoded");
		return INSTR_INVALID;
	}
	return instr_execute(&in, &machine.cpu, &bus, NULL);
}

/* Runs what must raise an exception and change no register. */
static bool faults(const char *hex, enum instr_mode mode, int vector, u32 error)
{
	struct instr_cpu before = machine.cpu;
	enum instr_status status = run(hex, mode);

	/* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): a copy has the same padding */
	if (memcmp(&before, &machine.cpu, sizeof(before)) != 0)
		return false;
	if (status == INSTR_PROTECTION)
		return vector == 13 && !error;
	return status == INSTR_FAULT && machine.vector == vector && machine.error == error;
}

TEST(real_mode)
{
	reset();
	CHECK_EQ(run("9a 34 12 00 20", INSTR_MODE_16), INSTR_OK); /* call 2000:1234 */
	CHECK_EQ(machine.cpu.rip, 0x1234);
	CHECK_EQ(machine.cpu.base[INSTR_CS], 0x20000);
	CHECK_EQ(get(STACK - 4, 4), 0x1005);
	CHECK_EQ(run("cb", INSTR_MODE_16), INSTR_OK); /* retf */
	CHECK_EQ(machine.cpu.rip, 0x1005);
	CHECK_EQ(machine.cpu.base[INSTR_CS], 0);
	CHECK_EQ(machine.cpu.gpr[INSTR_RSP], STACK);

	put(STACK, 0x30004567, 4);
	put(STACK + 4, 0xffff, 2);
	CHECK_EQ(run("cf", INSTR_MODE_16), INSTR_OK); /* iret */
	CHECK_EQ(machine.cpu.rip, 0x4567);
	CHECK_EQ(machine.cpu.selector[INSTR_CS], 0x3000);
	CHECK_EQ(machine.cpu.rflags, 0x7fd7);
	CHECK_EQ(machine.cpu.gpr[INSTR_RSP], STACK + 6);

	reset();
	put(0x200, 0x56781234, 4);
	CHECK_EQ(run("c4 1e 00 02", INSTR_MODE_16), INSTR_OK); /* les bx, [200h] */
	CHECK_EQ(machine.cpu.gpr[INSTR_RBX], 0x1234);
	CHECK_EQ(machine.cpu.base[INSTR_ES], 0x56780);
	CHECK_EQ(machine.cpu.limit[INSTR_ES], UINT16_MAX);
	CHECK_EQ(run("ff 2e 00 02", INSTR_MODE_16), INSTR_OK); /* jmp far [200h] */
	CHECK_EQ(machine.cpu.rip, 0x1234);
	CHECK_EQ(machine.cpu.selector[INSTR_CS], 0x5678);
	machine.cpu.limit[INSTR_CS] = 0x1233;
	CHECK(faults("ff 2e 00 02", INSTR_MODE_16, 13, 0));
	CHECK(faults("9a 34 12 00 20", INSTR_MODE_16, 13, 0));
	CHECK_EQ(machine.system, 0);
}

TEST(all_registers)
{
	reset();
	for (unsigned i = 0; i < 8; i++)
		machine.cpu.gpr[i] = i == INSTR_RSP ? 0xabcd0000 | STACK : 0x11110001 * (i + 1);
	CHECK_EQ(run("60", INSTR_MODE_16), INSTR_OK);
	CHECK_EQ(machine.cpu.gpr[INSTR_RSP], 0xabcd0000 | (STACK - 16));
	CHECK_EQ(get(STACK - 2, 2), 1);
	CHECK_EQ(get(STACK - 10, 2), STACK);
	CHECK_EQ(get(STACK - 16, 2), 8);
	put(STACK - 14, 0x7777, 2);
	CHECK_EQ(run("61", INSTR_MODE_16), INSTR_OK);
	CHECK_EQ(machine.cpu.gpr[INSTR_RSP], 0xabcd0000 | STACK);
	CHECK_EQ(machine.cpu.gpr[INSTR_RSI], 0x77777777);
	CHECK_EQ(machine.cpu.gpr[INSTR_RDI], 0x88880008);
	machine.refuse = STACK - 12;
	CHECK_EQ(run("60", INSTR_MODE_16), INSTR_FAULT);
	CHECK_EQ(machine.cpu.gpr[INSTR_RSP], 0xabcd0000 | STACK);
}

TEST(enter_nested)
{
	reset();
	machine.cpu.gpr[INSTR_RBP] = STACK + 0x100;
	put(STACK + 0x100 - 2, 0x1111, 2);
	put(STACK + 0x100 - 4, 0x2222, 2);
	CHECK_EQ(run("c8 10 00 23", INSTR_MODE_16), INSTR_OK); /* level 35 is level 3 */
	CHECK_EQ(get(STACK - 2, 2), STACK + 0x100);
	CHECK_EQ(get(STACK - 4, 2), 0x1111);
	CHECK_EQ(get(STACK - 6, 2), 0x2222);
	CHECK_EQ(get(STACK - 8, 2), STACK - 2);
	CHECK_EQ(machine.cpu.gpr[INSTR_RBP], STACK - 2);
	CHECK_EQ(machine.cpu.gpr[INSTR_RSP], STACK - 8 - 16);
	CHECK_EQ(machine.probed, STACK - 8 - 16);
	machine.refuse = STACK - 8 - 16 - 2 - 0x100; /* what the frame's end would hit */
	CHECK_EQ(run("c8 00 01 00", INSTR_MODE_16), INSTR_FAULT);
	CHECK_EQ(machine.cpu.gpr[INSTR_RSP], STACK - 8 - 16);
}

TEST(virtual_8086_flags)
{
	reset_virtual_8086(IOPL);
	CHECK_EQ(run("9c", INSTR_MODE_16), INSTR_OK);
	CHECK_EQ(get(STACK - 2, 2), IOPL | 2);
	put(STACK - 2, IF, 2);
	CHECK_EQ(run("9d", INSTR_MODE_16), INSTR_OK);
	CHECK_EQ(machine.cpu.rflags, VM | IOPL | IF | 2);

	reset_virtual_8086(0);
	CHECK(faults("9c", INSTR_MODE_16, 13, 0));
	CHECK(faults("9d", INSTR_MODE_16, 13, 0));
	CHECK(faults("cf", INSTR_MODE_16, 13, 0));
	machine.cpu.vme = true;
	CHECK(faults("66 9c", INSTR_MODE_16, 13, 0));
	CHECK_EQ(run("9c", INSTR_MODE_16), INSTR_OK);
	CHECK_EQ(get(STACK - 2, 2), IOPL | 2);
	put(STACK - 2, IF, 2);
	CHECK_EQ(run("9d", INSTR_MODE_16), INSTR_OK);
	CHECK_EQ(machine.cpu.rflags, VM | VIF | 2);
	CHECK_EQ(run("9c", INSTR_MODE_16), INSTR_OK);
	CHECK_EQ(get(STACK - 2, 2), IOPL | IF | 2);
	machine.cpu.rflags |= VIP; /* an interrupt waits for this */
	CHECK(faults("9d", INSTR_MODE_16, 13, 0));
	put(STACK - 2, 0x1234, 2);
	put(STACK, 0x20, 2);
	put(STACK + 2, 0x800, 2);
	CHECK_EQ(run("cf", INSTR_MODE_16), INSTR_OK);
	CHECK_EQ(machine.cpu.rflags, VM | VIP | 0x802);
	CHECK_EQ(machine.cpu.base[INSTR_CS], 0x200);
}

TEST(privileged_flags)
{
	reset_protected(3);
	put(STACK, 0x3fffff & ~(VM | NT), 4);
	CHECK_EQ(run("9d", INSTR_MODE_32), INSTR_OK);
	CHECK_EQ(machine.cpu.rflags & (IF | IOPL | VIF | VIP), 0);
	reset_protected(3);
	machine.cpu.rflags |= IOPL;
	put(STACK, 0x3fffff & ~(VM | NT), 4);
	CHECK_EQ(run("9d", INSTR_MODE_32), INSTR_OK);
	CHECK_EQ(machine.cpu.rflags & (IF | IOPL | VIF | VIP), IF | IOPL);
	reset_protected(0);
	put(STACK, 0x3fffff, 4);
	CHECK_EQ(run("9d", INSTR_MODE_32), INSTR_OK);
	CHECK_EQ(machine.cpu.rflags & (IF | IOPL | VM | VIF | VIP), IF | IOPL);
}

static void put_frame(u64 rip, u64 cs, u64 flags, u64 sp, u64 ss)
{
	const u64 frame[] = {rip, cs, flags, sp, ss};

	for (u32 i = 0; i < 5; i++)
		put(STACK + 4 * i, frame[i], 4);
}

TEST(interrupt_return)
{
	reset_protected(0);
	put_frame(0x2000, CODE_3, 0x202, 0x5000, DATA_3);
	CHECK_EQ(run("cf", INSTR_MODE_32), INSTR_OK);
	CHECK_EQ(machine.cpu.rip, 0x2000);
	CHECK_EQ(machine.cpu.gpr[INSTR_RSP], 0x5000);
	CHECK_EQ(machine.cpu.rflags, 0x202);
	CHECK_EQ(machine.cpu.cpl, 3);
	CHECK_EQ(machine.cpu.selector[INSTR_DS], 0);
	CHECK_EQ(machine.cpu.attributes[INSTR_SS], 0xcf3);
	CHECK(machine.system > 0);

	reset_protected(0);
	put_frame(0x2000, CODE_3, 0x202, 0x5000, DATA_0);
	CHECK(faults("cf", INSTR_MODE_32, 13, DATA_0));
	put_frame(0x2000, CODE_3, 0x202, 0x5000, 0);
	CHECK(faults("cf", INSTR_MODE_32, 13, 0));
	put_frame(0x2000, 0, 0x202, 0, 0);
	CHECK(faults("cf", INSTR_MODE_32, 13, 0));
	put_frame(0x2000, CODE_3 & ~3u, 0x202, 0, 0);
	CHECK(faults("cf", INSTR_MODE_32, 13, CODE_3 & ~3u));
	put_frame(0x2000, ABSENT, 0x202, 0, 0);
	CHECK(faults("cf", INSTR_MODE_32, 11, ABSENT));
	put_frame(0x2000, DATA_0, 0x202, 0, 0);
	CHECK(faults("cf", INSTR_MODE_32, 13, DATA_0));
	put_frame(0x2000, LAST + 1, 0x202, 0, 0);
	CHECK(faults("cf", INSTR_MODE_32, 13, LAST + 1));
	put_frame(0x2000, CODE_0, 0x602, 0, 0);
	CHECK_EQ(run("cf", INSTR_MODE_32), INSTR_OK);
	CHECK_EQ(machine.cpu.gpr[INSTR_RSP], STACK + 12);
	CHECK_EQ(machine.cpu.rflags, 0x602);
	machine.cpu.rflags |= NT; /* a task */
	CHECK_EQ(run("cf", INSTR_MODE_32), INSTR_UNSUPPORTED);
	machine.cpu.long_mode = true;
	CHECK(faults("cf", INSTR_MODE_32, 13, 0));

	reset_protected(3);
	put_frame(0x2000, CODE_0, 2, 0, 0); /* inwards */
	CHECK(faults("cf", INSTR_MODE_32, 13, CODE_0));
}

TEST(return_to_virtual_8086)
{
	reset_protected(0);
	put_frame(0x2000, 0x300, VM | IF | 2, 0x12345678, 0x400);
	for (u32 i = 0; i < 4; i++)
		put(STACK + 20 + 4 * i, 0x500 + 0x100 * i, 4);
	CHECK_EQ(run("cf", INSTR_MODE_32), INSTR_OK);
	CHECK_EQ(machine.cpu.rip, 0x2000);
	CHECK_EQ(machine.cpu.rflags, VM | IF | 2);
	CHECK_EQ(machine.cpu.base[INSTR_CS], 0x3000);
	CHECK_EQ(machine.cpu.base[INSTR_SS], 0x4000);
	CHECK_EQ(machine.cpu.base[INSTR_ES], 0x5000);
	CHECK_EQ(machine.cpu.base[INSTR_GS], 0x8000);
	CHECK_EQ(machine.cpu.attributes[INSTR_GS], 0xf3);
	CHECK_EQ(machine.cpu.limit[INSTR_CS], 0xffff);
	CHECK_EQ(machine.cpu.gpr[INSTR_RSP], 0x12345678);
	reset_protected(0);
	put_frame(0x12000, 0x300, VM | 2, 0, 0);
	CHECK(faults("cf", INSTR_MODE_32, 13, 0));
}

TEST(far_return)
{
	reset_protected(0);
	put(STACK, 0x2000, 4);
	put(STACK + 4, CODE_3, 4);
	put(STACK + 8 + 0x10, 0x5000, 4); /* behind the parameters */
	put(STACK + 12 + 0x10, DATA_3, 4);
	CHECK_EQ(run("ca 10 00", INSTR_MODE_32), INSTR_OK);
	CHECK_EQ(machine.cpu.gpr[INSTR_RSP], 0x5010);
	CHECK_EQ(machine.cpu.cpl, 3);
	reset_protected(0);
	put(STACK, 0x2000, 4);
	put(STACK + 4, CONFORM, 4);
	CHECK_EQ(run("ca 10 00", INSTR_MODE_32), INSTR_OK);
	CHECK_EQ(machine.cpu.gpr[INSTR_RSP], STACK + 0x18);
	CHECK_EQ(machine.cpu.attributes[INSTR_CS], 0xc9f);
	CHECK_EQ(get(GDT + CONFORM + 5, 1), 0x9f); /* accessed */
}

TEST(segments)
{
	reset_protected(0);
	put(0x200, READONLY, 2);
	CHECK_EQ(run("8e 1d 00 02 00 00", INSTR_MODE_32), INSTR_OK); /* mov ds, [200h] */
	CHECK_EQ(machine.cpu.selector[INSTR_DS], READONLY);
	CHECK(faults("8e 15 00 02 00 00", INSTR_MODE_32, 13, READONLY)); /* mov ss, [200h] */
	put(0x200, 0, 2);
	CHECK(faults("8e 15 00 02 00 00", INSTR_MODE_32, 13, 0));
	put(0x200, ABSENT, 2);
	CHECK(faults("8e 05 00 02 00 00", INSTR_MODE_32, 11, ABSENT));
	put(STACK, DATA_0, 4);
	CHECK_EQ(run("07", INSTR_MODE_32), INSTR_OK); /* pop es */
	CHECK_EQ(machine.cpu.gpr[INSTR_RSP], STACK + 4);
	CHECK_EQ(run("0f a8", INSTR_MODE_32), INSTR_OK); /* push gs */
	CHECK_EQ(get(STACK, 4), DATA_0);
	put(GDT + DATA_0, 0x00cf13000000ffff, 8); /* not present */
	put(0x200, DATA_0, 2);
	CHECK(faults("8e 15 00 02 00 00", INSTR_MODE_32, 12, DATA_0));

	reset_protected(3);
	put(0x200, DATA_0, 2);
	CHECK(faults("8e 1d 00 02 00 00", INSTR_MODE_32, 13, DATA_0));
	put(0x200, CONFORM, 2);
	CHECK_EQ(run("8e 1d 00 02 00 00", INSTR_MODE_32), INSTR_OK); /* readable for all */
	put(0x200, DATA_3 | 4, 2);                                   /* in the LDT */
	CHECK(faults("8e 1d 00 02 00 00", INSTR_MODE_32, 13, (DATA_3 | 4) & ~3u));
	machine.cpu.table[1] = machine.cpu.table[0];
	CHECK_EQ(run("8e 1d 00 02 00 00", INSTR_MODE_32), INSTR_OK);
	CHECK_EQ(machine.cpu.selector[INSTR_DS], DATA_3 | 4);
}
