/*
 * Shared by the files of the emulator: the instruction being executed, its operands, its handlers.
 */
#pragma once

#include "guests/vmm/cpu/instr.h"

#define FLAG_CF          BIT(0)
#define FLAG_PF          BIT(2)
#define FLAG_AF          BIT(4)
#define FLAG_ZF          BIT(6)
#define FLAG_SF          BIT(7)
#define FLAG_TF          BIT(8)
#define FLAG_IF          BIT(9)
#define FLAG_DF          BIT(10)
#define FLAG_OF          BIT(11)
#define FLAGS_IOPL       (BIT(12) | BIT(13))
#define FLAG_NT          BIT(14)
#define FLAG_RF          BIT(16)
#define FLAG_VM          BIT(17)
#define FLAG_AC          BIT(18)
#define FLAG_VIF         BIT(19)
#define FLAG_VIP         BIT(20)
#define FLAG_ID          BIT(21)
#define FLAGS_ARITHMETIC (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)
#define FLAGS_ALL        0x3f7fd5ull /* but those that are reserved */

struct run {
	const struct instr *in;
	struct instr_cpu *cpu;
	const struct instr_bus *bus;
	void *opaque;
	u64 bit_offset; /* bytes by which the bit number of BT and its kin moves the operand, or at
			   which a table's base follows its limit */
	u64 next_rip;   /* not yet wrapped */
	bool far;       /* next_rip belongs to another segment, and is complete */
};

/* Sizes are in bytes, 1 to 8. */
static inline u64 size_mask(unsigned size)
{
	return ~0ull >> ((64 - 8 * size) & 63);
}

static inline u64 size_sign(unsigned size)
{
	return BIT(8 * size - 1);
}

static inline u64 sign_extend(u64 value, unsigned size)
{
	unsigned unused = (64 - 8 * size) & 63;

	return (u64)((s64)(value << unused) >> unused);
}

static inline u64 gpr_get(const struct instr_cpu *cpu, unsigned number, unsigned size)
{
	return cpu->gpr[number] & size_mask(size);
}

/* A write of 4 bytes clears the upper half, a smaller one leaves the rest (SDM vol. 1 3.4.1.1). */
static inline void gpr_set(struct instr_cpu *cpu, unsigned number, unsigned size, u64 value)
{
	u64 keep = size >= 4 ? 0 : ~size_mask(size);

	cpu->gpr[number] = (cpu->gpr[number] & keep) | (value & size_mask(size));
}

static inline void flags_set(struct instr_cpu *cpu, u64 which, u64 value)
{
	cpu->rflags = (cpu->rflags & ~which) | (value & which);
}

static inline void flag_set(struct instr_cpu *cpu, u64 which, bool value)
{
	flags_set(cpu, which, value ? which : 0);
}

/* instr_operand.c */

/* The linear address of offset, already wrapped to the address size, in a segment. */
u64 segment_linear(const struct run *run, unsigned segment, u64 offset);

/* That of the instruction's memory operand. */
u64 memory_linear(const struct run *run);

/*
 * Checks an access of size bytes at offset, already wrapped to the address size, and gives its
 * linear address. OK, PROTECTION or STACK_FAULT.
 */
enum instr_status segment_access(const struct run *run, unsigned segment, u64 offset, unsigned size,
	bool write, u64 *linear);

/* instr_flags.c: flags that POPF and IRET load, of size bytes, at privilege level cpl. */

/* Virtual-8086 mode with an IOPL below 3: IF is not the program's. */
bool flags_virtual(const struct instr_cpu *cpu);

/* The flags that may be changed. */
u64 flags_allowed(const struct instr_cpu *cpu, unsigned cpl, unsigned size);

/* Sets them; or VIF, where that has the place of IF. OK or PROTECTION. */
enum instr_status flags_load(struct instr_cpu *cpu, u64 value, unsigned size);

/* instr_stack.c: size bytes on the stack. OK, FAULT or STACK_FAULT. */
unsigned stack_width(const struct run *run);
enum instr_status stack_read(struct run *run, u64 sp, u64 *value, unsigned size);
enum instr_status stack_push(struct run *run, u64 value, unsigned size);
enum instr_status stack_pop(struct run *run, u64 *value, unsigned size);
void stack_drop(struct run *run, u64 size);

enum instr_status execute_stack(struct run *run);
enum instr_status execute_return(struct run *run);
enum instr_status execute_push_flags(struct run *run);
enum instr_status execute_pop_flags(struct run *run);
enum instr_status execute_all(struct run *run);
enum instr_status execute_enter(struct run *run);
enum instr_status execute_leave(struct run *run);

/* instr_far.c; segment_load is not for CS. OK, FAULT, or UNSUPPORTED without a callback. */
enum instr_status segment_load(struct run *run, unsigned segment, u64 selector);
enum instr_status execute_pointer(struct run *run);
enum instr_status execute_far_return(struct run *run);
enum instr_status execute_interrupt_return(struct run *run);

/* instr_operand.c */

/* Can execution go on at rip, an offset in CS? OK or PROTECTION. */
enum instr_status branch_check(const struct run *run, u64 rip);

/* Move size bytes of the memory operand; access is for the bus. OK, FAULT, PROTECTION or
 * STACK_FAULT. */
enum instr_status memory_read(struct run *run, void *data, unsigned size, unsigned access);
enum instr_status memory_write(struct run *run, const void *data, unsigned size);

/*
 * Operands of up to 8 bytes. A value read is zero-extended, an immediate sign-extended; a write to
 * a segment register loads it. As memory_read, or UNSUPPORTED for an operand of another kind.
 */
enum instr_status operand_read(struct run *run, unsigned number, unsigned access, u64 *value);
enum instr_status operand_write(struct run *run, unsigned number, u64 value);

/* Reads all operands; store: the first one will be written. */
enum instr_status operands_read(struct run *run, bool store, u64 values[3]);

/* instr_arithmetic.c */

/* Sets SF, ZF and PF by a result of size bytes. */
void flags_result(struct instr_cpu *cpu, u64 result, unsigned size);

/* ADD to CMP, or TEST, of a and b, which have size bytes: returns the result, sets the flags. */
u64 arithmetic_do(struct instr_cpu *cpu, u8 operation, u64 a, u64 b, unsigned size);

/* The handlers return what instr_execute does; run->cpu is a copy that counts only after OK. */
enum instr_status execute_binary(struct run *run);
enum instr_status execute_unary(struct run *run);
enum instr_status execute_exchange(struct run *run);
enum instr_status execute_compare_exchange(struct run *run);
enum instr_status execute_compare_exchange_pair(struct run *run);
enum instr_status execute_multiply(struct run *run);
enum instr_status execute_divide(struct run *run);

/* instr_bits.c */
enum instr_status execute_shift(struct run *run);
enum instr_status execute_bit(struct run *run);
enum instr_status execute_scan(struct run *run);

/* instr_string.c: one iteration; and up to the bus's number, each copied to cpu once it is done. */
enum instr_status execute_string(struct run *run);
enum instr_status execute_repeated(struct run *run, struct instr_cpu *cpu);

/* instr_vector.c */
enum instr_status execute_vector(struct run *run);
