/*
 * Arithmetic and exchanges: a and b have size bytes, and so has the result; flags as in SDM vol. 1
 * app. A.
 */
#include "guests/vmm/cpu/instr_parts.h"

typedef unsigned __int128 u128;
typedef __int128 s128;

void flags_result(struct instr_cpu *cpu, u64 result, unsigned size)
{
	u64 odd = result ^ result >> 4;

	odd = 0x6996 >> (odd & 15) & 1;
	flag_set(cpu, FLAG_SF, result & size_sign(size));
	flag_set(cpu, FLAG_ZF, !result);
	flag_set(cpu, FLAG_PF, !odd);
}

static void flags_carry(struct instr_cpu *cpu, u64 carries, bool overflow, unsigned size)
{
	flag_set(cpu, FLAG_CF, carries & size_sign(size));
	flag_set(cpu, FLAG_AF, carries & BIT(3));
	flag_set(cpu, FLAG_OF, overflow);
}

static u64 add(struct instr_cpu *cpu, u64 a, u64 b, u64 carry, unsigned size)
{
	u64 result = (a + b + carry) & size_mask(size);

	flags_carry(cpu, (a & b) | ((a | b) & ~result),
		(a ^ result) & (b ^ result) & size_sign(size), size);
	flags_result(cpu, result, size);
	return result;
}

static u64 subtract(struct instr_cpu *cpu, u64 a, u64 b, u64 borrow, unsigned size)
{
	u64 result = (a - b - borrow) & size_mask(size);

	flags_carry(cpu, (~a & b) | ((~a | b) & result), (a ^ b) & (a ^ result) & size_sign(size),
		size);
	flags_result(cpu, result, size);
	return result;
}

static u64 logic(struct instr_cpu *cpu, u64 result, unsigned size)
{
	flags_set(cpu, FLAGS_ARITHMETIC, 0);
	flags_result(cpu, result, size);
	return result;
}

u64 arithmetic_do(struct instr_cpu *cpu, u8 operation, u64 a, u64 b, unsigned size)
{
	u64 carry = cpu->rflags & FLAG_CF;

	switch (operation) {
	case INSTR_ADD:
		return add(cpu, a, b, 0, size);
	case INSTR_ADC:
		return add(cpu, a, b, carry, size);
	case INSTR_SBB:
		return subtract(cpu, a, b, carry, size);
	case INSTR_OR:
		return logic(cpu, a | b, size);
	case INSTR_XOR:
		return logic(cpu, a ^ b, size);
	case INSTR_AND:
	case INSTR_TEST:
		return logic(cpu, a & b, size);
	default:
		return subtract(cpu, a, b, 0, size);
	}
}

enum instr_status execute_binary(struct run *run)
{
	const struct instr *in = run->in;
	bool store = in->operation != INSTR_CMP && in->operation != INSTR_TEST;
	u64 v[3] = {0};
	enum instr_status status = operands_read(run, store, v);

	if (status != INSTR_OK)
		return status;
	v[0] = arithmetic_do(run->cpu, in->operation, v[0], v[1] & size_mask(in->size), in->size);
	return store ? operand_write(run, 0, v[0]) : INSTR_OK;
}

enum instr_status execute_unary(struct run *run)
{
	struct instr_cpu *cpu = run->cpu;
	unsigned size = run->in->size;
	u64 carry = cpu->rflags;
	u64 a;
	enum instr_status status = operand_read(run, 0, INSTR_ACCESS_MODIFY, &a);

	if (status != INSTR_OK)
		return status;
	switch (run->in->operation) {
	case INSTR_NOT:
		a = ~a;
		break;
	case INSTR_NEG:
		a = subtract(cpu, 0, a, 0, size);
		break;
	case INSTR_INC:
		a = add(cpu, a, 1, 0, size);
		flags_set(cpu, FLAG_CF, carry);
		break;
	default:
		a = subtract(cpu, a, 1, 0, size);
		flags_set(cpu, FLAG_CF, carry);
		break;
	}
	return operand_write(run, 0, a);
}

/* XCHG, XADD. Memory is written first, since a register may also be its address. */
enum instr_status execute_exchange(struct run *run)
{
	const struct instr *in = run->in;
	u64 v[3] = {0};
	u64 sum;
	enum instr_status status = operands_read(run, true, v);

	if (status != INSTR_OK)
		return status;
	sum = in->operation == INSTR_XADD ? add(run->cpu, v[0], v[1], 0, in->size) : v[1];
	if (in->operand[0].kind == INSTR_KIND_MEMORY) {
		status = operand_write(run, 0, sum);
		return status == INSTR_OK ? operand_write(run, 1, v[0]) : status;
	}
	operand_write(run, 1, v[0]);
	return operand_write(run, 0, sum);
}

/* Memory is written in either case, as the processor does. */
enum instr_status execute_compare_exchange(struct run *run)
{
	const struct instr *in = run->in;
	u64 accumulator = gpr_get(run->cpu, INSTR_RAX, in->size);
	u64 v[3] = {0};
	enum instr_status status = operands_read(run, true, v);

	if (status != INSTR_OK)
		return status;
	subtract(run->cpu, accumulator, v[0], 0, in->size);
	if (accumulator == v[0])
		return operand_write(run, 0, v[1]);
	if (in->operand[0].kind == INSTR_KIND_MEMORY)
		status = operand_write(run, 0, v[0]);
	gpr_set(run->cpu, INSTR_RAX, in->size, v[0]);
	return status;
}

/* CMPXCHG8B, CMPXCHG16B: rDX:rAX with memory, else rCX:rBX into it. */
enum instr_status execute_compare_exchange_pair(struct run *run)
{
	struct instr_cpu *cpu = run->cpu;
	unsigned half = run->in->size / 2;
	bool equal;
	u64 old[2] = {0};
	u64 new[2] = {0};
	u8 data[16];

	if (half == 8 && memory_linear(run) & 15)
		return INSTR_PROTECTION;
	if (memory_read(run, data, 2 * half, INSTR_ACCESS_MODIFY) != INSTR_OK)
		return INSTR_FAULT;
	__builtin_memcpy(&old[0], data, half);
	__builtin_memcpy(&old[1], data + half, half);
	equal = old[0] == gpr_get(cpu, INSTR_RAX, half) && old[1] == gpr_get(cpu, INSTR_RDX, half);
	flag_set(cpu, FLAG_ZF, equal);
	if (equal) {
		new[0] = gpr_get(cpu, INSTR_RBX, half);
		new[1] = gpr_get(cpu, INSTR_RCX, half);
		__builtin_memcpy(data, &new[0], half);
		__builtin_memcpy(data + half, &new[1], half);
	}
	if (memory_write(run, data, 2 * half) != INSTR_OK)
		return INSTR_FAULT;
	if (!equal) {
		gpr_set(cpu, INSTR_RAX, half, old[0]);
		gpr_set(cpu, INSTR_RDX, half, old[1]);
	}
	return INSTR_OK;
}

/* The double-width accumulator: AX, or rDX:rAX. */
static void accumulator_set(struct instr_cpu *cpu, unsigned size, u64 low, u64 high)
{
	if (size == 1) {
		gpr_set(cpu, INSTR_RAX, 2, (high & 0xff) << 8 | (low & 0xff));
	} else {
		gpr_set(cpu, INSTR_RAX, size, low);
		gpr_set(cpu, INSTR_RDX, size, high);
	}
}

/* Of IMUL with two or three operands the last two are the factors. */
enum instr_status execute_multiply(struct run *run)
{
	const struct instr *in = run->in;
	unsigned size = in->size;
	bool signs = in->operation == INSTR_IMUL;
	u64 v[3] = {0};
	u64 a, b;
	u128 product;
	bool wide;
	enum instr_status status = operands_read(run, false, v);

	if (status != INSTR_OK)
		return status;
	a = in->operands == 1 ? gpr_get(run->cpu, INSTR_RAX, size) : v[in->operands - 2];
	b = v[in->operands - 1];
	if (signs)
		product = (u128)((s128)(s64)sign_extend(a, size) * (s64)sign_extend(b, size));
	else
		product = (u128)a * b;
	wide = signs ? product != (u128)(s64)sign_extend((u64)product, size)
		     : product != ((u64)product & size_mask(size));
	flag_set(run->cpu, FLAG_CF | FLAG_OF, wide);
	if (in->operands > 1)
		return operand_write(run, 0, (u64)product);
	accumulator_set(run->cpu, size, (u64)product, (u64)(product >> 8 * size));
	return INSTR_OK;
}

/* divisor is above the upper half of the dividend, so that the quotient fits. */
static u64 divide_wide(u128 dividend, u64 divisor, u64 *remainder)
{
	u64 quotient;

	__asm__("divq %4"
		: "=a"(quotient), "=d"(*remainder)
		: "a"((u64)dividend), "d"((u64)(dividend >> 64)), "r"(divisor)
		: "cc");
	return quotient;
}

enum instr_status execute_divide(struct run *run)
{
	struct instr_cpu *cpu = run->cpu;
	unsigned size = run->in->size;
	bool signs = run->in->operation == INSTR_IDIV;
	u64 low = gpr_get(cpu, INSTR_RAX, size);
	u64 high = size == 1 ? gpr_get(cpu, INSTR_RAX, 2) >> 8 : gpr_get(cpu, INSTR_RDX, size);
	bool minus_dividend = signs && high & size_sign(size);
	bool minus_divisor;
	u64 divisor, quotient, remainder, largest;
	u128 dividend;
	enum instr_status status = operand_read(run, 0, 0, &divisor);

	if (status != INSTR_OK)
		return status;
	minus_divisor = signs && divisor & size_sign(size);
	if (minus_dividend)
		high = sign_extend(high, size);
	dividend = (u128)(s128)(s64)high << 8 * size | low;
	if (minus_dividend)
		dividend = -dividend;
	if (minus_divisor)
		divisor = -divisor & size_mask(size);
	if ((u64)(dividend >> 64) >= divisor)
		return INSTR_DIVIDE_ERROR;
	quotient = divide_wide(dividend, divisor, &remainder);
	largest = size_mask(size);
	if (signs)
		largest = largest / 2 + (minus_dividend != minus_divisor);
	if (quotient > largest)
		return INSTR_DIVIDE_ERROR;
	if (minus_dividend != minus_divisor)
		quotient = -quotient;
	if (minus_dividend)
		remainder = -remainder;
	accumulator_set(cpu, size, quotient, remainder);
	return INSTR_OK;
}
