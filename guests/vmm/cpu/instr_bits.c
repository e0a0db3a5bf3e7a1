/* Shifts, rotates, single bits, and searches for them. */
#include "guests/vmm/cpu/instr_parts.h"

/*
 * Shifts and rotates a by count, 1 to 63 bits; SHLD and SHRD take what enters from b. CF is the
 * last bit that left; OF is defined for a count of 1, and says whether the top bit changed. With
 * a count above 16, 16-bit SHLD and SHRD have no defined result: b going round is what AMD does.
 */
static u64 shift(struct instr_cpu *cpu, u8 operation, u64 a, u64 b, unsigned count, unsigned size)
{
	const u64 lefts =
		BIT(INSTR_ROL) | BIT(INSTR_RCL) | BIT(INSTR_SHL) | BIT(INSTR_SAL) | BIT(INSTR_SHLD);
	bool left = lefts & BIT(operation);
	u64 first = left ? size_sign(size) : 1; /* leaves */
	u64 last = left ? 1 : size_sign(size);  /* enters */
	bool carry = cpu->rflags & FLAG_CF;
	u64 before = a;

	while (count--) {
		bool out = a & first;
		bool in = false;

		if (operation == INSTR_ROL || operation == INSTR_ROR)
			in = out;
		else if (operation == INSTR_RCL || operation == INSTR_RCR)
			in = carry;
		else if (operation == INSTR_SAR)
			in = a & last;
		else if (operation == INSTR_SHLD || operation == INSTR_SHRD)
			in = b & first;
		before = a;
		a = ((left ? a << 1 : a >> 1) & size_mask(size)) | (in ? last : 0);
		b = ((left ? b << 1 : b >> 1) & size_mask(size)) | (in ? last : 0);
		carry = out;
	}
	flag_set(cpu, FLAG_CF, carry);
	flag_set(cpu, FLAG_OF, (a ^ before) & size_sign(size));
	if (operation >= INSTR_SHL)
		flags_result(cpu, a, size);
	return a;
}
static_assert(INSTR_SHRD < 64, "shifts are bits of lefts");

enum instr_status execute_shift(struct run *run)
{
	const struct instr *in = run->in;
	u64 v[3] = {0};
	enum instr_status status = operands_read(run, true, v);
	unsigned count;

	if (status != INSTR_OK)
		return status;
	count = (unsigned)v[in->operands - 1] & (in->size == 8 ? 63 : 31);
	if (count)
		v[0] = shift(run->cpu, in->operation, v[0], v[1], count, in->size);
	return operand_write(run, 0, v[0]);
}

/* A bit number from a register is signed and reaches beyond the operand; an immediate wraps. */
enum instr_status execute_bit(struct run *run)
{
	const struct instr *in = run->in;
	bool store = in->operation != INSTR_BT;
	unsigned bits = 8 * in->size;
	u64 a, number, bit;
	enum instr_status status = operand_read(run, 1, 0, &number);

	if (status != INSTR_OK)
		return status;
	if (in->operand[1].kind == INSTR_KIND_GPR)
		run->bit_offset =
			(u64)((s64)sign_extend(number, in->size) >> 3) & ~(in->size - 1ull);
	bit = BIT(number & (bits - 1));
	status = operand_read(run, 0, store ? INSTR_ACCESS_MODIFY : 0, &a);
	if (status != INSTR_OK)
		return status;
	flag_set(run->cpu, FLAG_CF, a & bit);
	if (in->operation == INSTR_BTS)
		a |= bit;
	else if (in->operation == INSTR_BTR)
		a &= ~bit;
	else
		a ^= bit;
	return store ? operand_write(run, 0, a) : INSTR_OK;
}

static unsigned bits_count(u64 value)
{
	unsigned count = 0;

	for (; value; value &= value - 1)
		count++;
	return count;
}

/* BSF and BSR of zero leave the destination alone, whole. */
enum instr_status execute_scan(struct run *run)
{
	struct instr_cpu *cpu = run->cpu;
	u8 operation = run->in->operation;
	unsigned bits = 8 * run->in->size;
	u64 a, result;
	enum instr_status status = operand_read(run, 1, 0, &a);

	if (status != INSTR_OK)
		return status;
	if (operation == INSTR_POPCNT) {
		result = bits_count(a);
		flags_set(cpu, FLAGS_ARITHMETIC, a ? 0 : FLAG_ZF);
	} else if (operation == INSTR_BSF || operation == INSTR_BSR) {
		flag_set(cpu, FLAG_ZF, !a);
		if (!a)
			return INSTR_OK;
		result = (u64)(operation == INSTR_BSF ? __builtin_ctzll(a)
						      : 63 - __builtin_clzll(a));
	} else {
		if (!a)
			result = bits;
		else if (operation == INSTR_TZCNT)
			result = (u64)__builtin_ctzll(a);
		else
			result = (u64)__builtin_clzll(a) - (64 - bits);
		flag_set(cpu, FLAG_CF, !a);
		flag_set(cpu, FLAG_ZF, !result);
	}
	return operand_write(run, 0, result);
}
