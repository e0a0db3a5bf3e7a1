/*
 * Executes a decoded instruction. Each operation has a handler that works on a copy of the
 * registers; the copy becomes the guest's only when nothing can fail any more.
 */
#include "guests/vmm/instr.h"

#define FLAG_CF          BIT(0)
#define FLAG_PF          BIT(2)
#define FLAG_AF          BIT(4)
#define FLAG_ZF          BIT(6)
#define FLAG_SF          BIT(7)
#define FLAG_DF          BIT(10)
#define FLAG_OF          BIT(11)
#define FLAGS_ARITHMETIC (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

#define VECTOR_SIZE 32 /* bytes, of the largest register */

typedef unsigned __int128 u128;
typedef __int128 s128;

struct run {
	const struct instr *in;
	struct instr_cpu *cpu;
	const struct instr_bus *bus;
	void *opaque;
	u64 bit_offset; /* bytes by which the bit number of BT and its kin moves the operand */
	u64 next_rip;   /* not yet wrapped */
};

/* Sizes are in bytes, 1 to 8. */
static u64 size_mask(unsigned size)
{
	return ~0ull >> ((64 - 8 * size) & 63);
}

static u64 size_sign(unsigned size)
{
	return BIT(8 * size - 1);
}

static u64 sign_extend(u64 value, unsigned size)
{
	unsigned unused = (64 - 8 * size) & 63;

	return (u64)((s64)(value << unused) >> unused);
}

/* Registers. */

static u64 gpr_get(const struct instr_cpu *cpu, unsigned number, unsigned size)
{
	return cpu->gpr[number] & size_mask(size);
}

/* A write of 4 bytes clears the upper half, a smaller one leaves the rest (SDM vol. 1 3.4.1.1). */
static void gpr_set(struct instr_cpu *cpu, unsigned number, unsigned size, u64 value)
{
	u64 keep = size >= 4 ? 0 : ~size_mask(size);

	cpu->gpr[number] = (cpu->gpr[number] & keep) | (value & size_mask(size));
}

static void flags_set(struct instr_cpu *cpu, u64 which, u64 value)
{
	cpu->rflags = (cpu->rflags & ~which) | (value & which);
}

static void flag_set(struct instr_cpu *cpu, u64 which, bool value)
{
	flags_set(cpu, which, value ? which : 0);
}

/* Addresses. */

static u64 linear(const struct run *run, unsigned segment, u64 offset)
{
	u64 base = run->cpu->base[segment];

	if (run->in->mode != INSTR_MODE_64)
		return (base + offset) & size_mask(4);
	return segment == INSTR_FS || segment == INSTR_GS ? base + offset : offset;
}

static u64 memory_linear(const struct run *run)
{
	const struct instr_memory *memory = &run->in->memory;
	u64 offset = (u64)memory->displacement + run->bit_offset;

	if (memory->rip)
		offset += run->next_rip;
	if (memory->base != INSTR_NO_NUMBER)
		offset += run->cpu->gpr[memory->base];
	if (memory->index != INSTR_NO_NUMBER)
		offset += run->cpu->gpr[memory->index] * memory->scale;
	return linear(run, memory->segment, offset & size_mask(memory->size));
}

static unsigned memory_access(const struct run *run, unsigned access)
{
	if (run->in->lock || run->in->operation == INSTR_XCHG)
		access |= INSTR_ACCESS_LOCKED;
	if (run->in->memory.segment == INSTR_SS)
		access |= INSTR_ACCESS_STACK;
	return access;
}

static enum instr_status memory_read(struct run *run, void *data, unsigned size, unsigned access)
{
	access = memory_access(run, access);
	if (run->bus->read(run->opaque, memory_linear(run), data, size, access))
		return INSTR_FAULT;
	return INSTR_OK;
}

static enum instr_status memory_write(struct run *run, const void *data, unsigned size)
{
	unsigned access = memory_access(run, 0);

	if (run->bus->write(run->opaque, memory_linear(run), data, size, access))
		return INSTR_FAULT;
	return INSTR_OK;
}

/* Operands of up to 8 bytes. A value read is zero-extended, an immediate sign-extended. */

static enum instr_status operand_read(struct run *run, unsigned number, unsigned access, u64 *value)
{
	const struct instr_operand *operand = &run->in->operand[number];

	*value = 0;
	switch (operand->kind) {
	case INSTR_KIND_GPR:
		*value = gpr_get(run->cpu, operand->number, operand->size);
		return INSTR_OK;
	case INSTR_KIND_GPR_HIGH:
		*value = run->cpu->gpr[operand->number] >> 8 & 0xff;
		return INSTR_OK;
	case INSTR_KIND_SEGMENT:
		*value = run->cpu->selector[operand->number];
		return INSTR_OK;
	case INSTR_KIND_IMMEDIATE:
		*value = run->in->immediate;
		return INSTR_OK;
	case INSTR_KIND_MEMORY:
		return memory_read(run, value, operand->size, access);
	default:
		return INSTR_UNSUPPORTED;
	}
}

static enum instr_status operand_write(struct run *run, unsigned number, u64 value)
{
	const struct instr_operand *operand = &run->in->operand[number];
	u64 *gpr = &run->cpu->gpr[operand->number % INSTR_GPRS];

	switch (operand->kind) {
	case INSTR_KIND_GPR:
		gpr_set(run->cpu, operand->number, operand->size, value);
		return INSTR_OK;
	case INSTR_KIND_GPR_HIGH:
		*gpr = (*gpr & ~0xff00ull) | (value & 0xff) << 8;
		return INSTR_OK;
	case INSTR_KIND_MEMORY:
		return memory_write(run, &value, operand->size);
	default:
		return INSTR_UNSUPPORTED;
	}
}

/* Reads all operands; store: the first one will be written. */
static enum instr_status operands_read(struct run *run, bool store, u64 values[3])
{
	enum instr_status status = INSTR_OK;

	for (unsigned i = 0; status == INSTR_OK && i < run->in->operands; i++)
		status =
			operand_read(run, i, store && i == 0 ? INSTR_ACCESS_MODIFY : 0, &values[i]);
	return status;
}

/* Arithmetic: a and b have size bytes, and so has the result; flags as in SDM vol. 1 app. A. */

static void flags_result(struct instr_cpu *cpu, u64 result, unsigned size)
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

static u64 calculate(struct instr_cpu *cpu, u8 operation, u64 a, u64 b, unsigned size)
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

static enum instr_status run_binary(struct run *run)
{
	const struct instr *in = run->in;
	bool store = in->operation != INSTR_CMP && in->operation != INSTR_TEST;
	u64 v[3] = {0};
	enum instr_status status = operands_read(run, store, v);

	if (status != INSTR_OK)
		return status;
	v[0] = calculate(run->cpu, in->operation, v[0], v[1] & size_mask(in->size), in->size);
	return store ? operand_write(run, 0, v[0]) : INSTR_OK;
}

static enum instr_status run_unary(struct run *run)
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

static enum instr_status run_shift(struct run *run)
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
static enum instr_status run_bit(struct run *run)
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

/* XCHG, XADD. Memory is written first, since a register may also be its address. */
static enum instr_status run_exchange(struct run *run)
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
static enum instr_status run_compare_exchange(struct run *run)
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
static enum instr_status run_compare_exchange_pair(struct run *run)
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
static enum instr_status run_multiply(struct run *run)
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

static enum instr_status run_divide(struct run *run)
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

static unsigned bits_count(u64 value)
{
	unsigned count = 0;

	for (; value; value &= value - 1)
		count++;
	return count;
}

/* BSF and BSR of zero leave the destination alone, whole. */
static enum instr_status run_scan(struct run *run)
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

/* SDM vol. 1 app. B. */
static bool condition_holds(u64 rflags, u8 condition)
{
	bool less = !(rflags & FLAG_SF) != !(rflags & FLAG_OF);
	const bool tests[] = {rflags & FLAG_OF, rflags & FLAG_CF, rflags & FLAG_ZF,
		rflags & (FLAG_CF | FLAG_ZF), rflags & FLAG_SF, rflags & FLAG_PF, less,
		less || rflags & FLAG_ZF};

	return tests[condition >> 1 & 7] != (condition & 1);
}

/* A CMOV that does not move still reads memory and zero-extends a 4-byte destination. */
static enum instr_status run_move(struct run *run)
{
	const struct instr *in = run->in;
	bool holds = condition_holds(run->cpu->rflags, in->condition);
	u64 value = holds;
	enum instr_status status = INSTR_OK;

	if (in->operation != INSTR_SETCC)
		status = operand_read(run, 1, 0, &value);
	if (status != INSTR_OK)
		return status;
	switch (in->operation) {
	case INSTR_MOVSX:
		value = sign_extend(value, in->operand[1].size);
		break;
	case INSTR_MOVBE:
		value = __builtin_bswap64(value) >> (64 - 8 * in->size);
		break;
	case INSTR_CMOV:
		if (!holds)
			operand_read(run, 0, 0, &value);
		break;
	}
	return operand_write(run, 0, value);
}

/* The stack pointer has 8 bytes in 64-bit mode, else what SS.B says. */
static unsigned stack_size(const struct run *run)
{
	if (run->in->mode == INSTR_MODE_64)
		return 8;
	return run->cpu->stack_size == 2 ? 2 : 4;
}

static enum instr_status push(struct run *run, u64 value, unsigned size)
{
	unsigned width = stack_size(run);
	u64 sp = (gpr_get(run->cpu, INSTR_RSP, width) - size) & size_mask(width);

	if (run->bus->write(
		    run->opaque, linear(run, INSTR_SS, sp), &value, size, INSTR_ACCESS_STACK))
		return INSTR_FAULT;
	gpr_set(run->cpu, INSTR_RSP, width, sp);
	return INSTR_OK;
}

static enum instr_status pop(struct run *run, u64 *value, unsigned size)
{
	unsigned width = stack_size(run);
	u64 sp = gpr_get(run->cpu, INSTR_RSP, width);

	*value = 0;
	if (run->bus->read(run->opaque, linear(run, INSTR_SS, sp), value, size, INSTR_ACCESS_STACK))
		return INSTR_FAULT;
	gpr_set(run->cpu, INSTR_RSP, width, sp + size);
	return INSTR_OK;
}

/* POP to memory computes the address with the new rSP (SDM vol. 2B, POP). */
static enum instr_status run_stack(struct run *run)
{
	const struct instr *in = run->in;
	u64 value;
	enum instr_status status = in->operation == INSTR_POP ? pop(run, &value, in->size)
							      : operand_read(run, 0, 0, &value);

	if (status != INSTR_OK)
		return status;
	if (in->operation == INSTR_POP)
		return operand_write(run, 0, value);
	if (in->operation == INSTR_PUSH)
		return push(run, value, in->size);
	if (in->operation == INSTR_CALL)
		status = push(run, run->next_rip & size_mask(in->mode), in->size);
	run->next_rip = value;
	return status;
}

/*
 * Moves between vector registers, or one and memory or a general-purpose register. MOVLPS and
 * MOVHPS replace one half of the destination; between registers they cross over.
 */
static enum instr_status run_vector(struct run *run)
{
	const struct instr *in = run->in;
	const struct instr_operand *to = &in->operand[0];
	const struct instr_operand *from = &in->operand[1];
	bool load = to->kind == INSTR_KIND_VECTOR;
	bool halves = in->operation == INSTR_MOVLPS || in->operation == INSTR_MOVHPS;
	bool high = in->operation == INSTR_MOVHPS;
	bool memory = to->kind == INSTR_KIND_MEMORY || from->kind == INSTR_KIND_MEMORY;
	unsigned full = to->size == VECTOR_SIZE ? VECTOR_SIZE : 16;
	u8 value[VECTOR_SIZE] = {0};
	u8 result[VECTOR_SIZE] = {0};

	if (!run->bus->vector_read || !run->bus->vector_write)
		return INSTR_UNSUPPORTED;
	if (in->operation == INSTR_MOVAPS && memory && memory_linear(run) & (to->size - 1u))
		return INSTR_PROTECTION;

	if (from->kind == INSTR_KIND_MEMORY) {
		if (memory_read(run, value, from->size, 0) != INSTR_OK)
			return INSTR_FAULT;
	} else if (from->kind == INSTR_KIND_GPR) {
		__builtin_memcpy(value, &run->cpu->gpr[from->number], from->size);
	} else {
		run->bus->vector_read(run->opaque, from->number, value, full);
		if (halves && high != load)
			__builtin_memmove(value, value + 8, 8);
	}

	if (to->kind == INSTR_KIND_MEMORY)
		return memory_write(run, value, to->size);
	if (to->kind == INSTR_KIND_GPR) {
		u64 number = 0;

		__builtin_memcpy(&number, value, to->size);
		gpr_set(run->cpu, to->number, to->size, number);
		return INSTR_OK;
	}
	if (halves || (in->operation == INSTR_MOVSS && from->kind == INSTR_KIND_VECTOR))
		run->bus->vector_read(run->opaque, to->number, result, full);
	__builtin_memcpy(result + (high ? 8 : 0), value, to->size);
	run->bus->vector_write(run->opaque, to->number, result, in->vex ? VECTOR_SIZE : full);
	return INSTR_OK;
}

static enum instr_status run_nop(struct run *run)
{
	(void)run;
	return INSTR_OK;
}

/* String instructions. */

static u64 string_linear(const struct run *run, bool dest)
{
	const struct instr_memory *memory = &run->in->memory;
	unsigned number = dest ? INSTR_RDI : INSTR_RSI;

	return linear(
		run, dest ? INSTR_ES : memory->segment, gpr_get(run->cpu, number, memory->size));
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

	*value = 0;
	if (run->bus->read(run->opaque, string_linear(run, dest), value, size, access))
		return INSTR_FAULT;
	string_advance(run, dest ? INSTR_RDI : INSTR_RSI);
	return INSTR_OK;
}

static enum instr_status string_write(struct run *run, u64 value)
{
	if (run->bus->write(run->opaque, string_linear(run, true), &value, run->in->size, 0))
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
static enum instr_status run_string(struct run *run)
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
			calculate(run->cpu, INSTR_CMP, a, b, in->size);
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
static enum instr_status run_repeated(struct run *run, struct instr_cpu *cpu)
{
	const struct instr *in = run->in;
	bool compare = in->operation == INSTR_CMPS || in->operation == INSTR_SCAS;
	unsigned width = in->memory.size;
	u32 left = run->bus->max_iterations ? run->bus->max_iterations : 1;

	while (gpr_get(run->cpu, INSTR_RCX, width)) {
		enum instr_status status;

		if (!left--)
			return INSTR_AGAIN;
		status = run_string(run);
		if (status != INSTR_OK)
			return status;
		gpr_set(run->cpu, INSTR_RCX, width, run->cpu->gpr[INSTR_RCX] - 1);
		*cpu = *run->cpu;
		if (compare && !(cpu->rflags & FLAG_ZF) == (in->rep == 0xf3))
			break;
	}
	return INSTR_OK;
}

static enum instr_status (*const handlers[INSTR_OPERATIONS])(struct run *run) = {
	[INSTR_ADD... INSTR_CMP] = run_binary,
	[INSTR_ROL... INSTR_SHRD] = run_shift,
	[INSTR_BT... INSTR_BTC] = run_bit,
	[INSTR_NOT... INSTR_NEG] = run_unary,
	[INSTR_MUL... INSTR_IMUL] = run_multiply,
	[INSTR_DIV... INSTR_IDIV] = run_divide,
	[INSTR_TEST] = run_binary,
	[INSTR_INC... INSTR_DEC] = run_unary,
	[INSTR_XCHG... INSTR_XADD] = run_exchange,
	[INSTR_CMPXCHG] = run_compare_exchange,
	[INSTR_CMPXCHG_PAIR] = run_compare_exchange_pair,
	[INSTR_BSF... INSTR_POPCNT] = run_scan,
	[INSTR_MOV... INSTR_SETCC] = run_move,
	[INSTR_PUSH... INSTR_JMP] = run_stack,
	[INSTR_MOVS... INSTR_OUTS] = run_string,
	[INSTR_MOVUPS... INSTR_MOVHPS] = run_vector,
	[INSTR_NOP] = run_nop,
};

enum instr_status instr_execute(
	const struct instr *in, struct instr_cpu *cpu, const struct instr_bus *bus, void *opaque)
{
	struct instr_cpu next = *cpu;
	struct run run = {
		.in = in,
		.cpu = &next,
		.bus = bus,
		.opaque = opaque,
		.next_rip = cpu->rip + in->length,
	};
	enum instr_status status;

	if (handlers[in->operation] == run_string && in->rep)
		status = run_repeated(&run, cpu);
	else
		status = handlers[in->operation](&run);
	if (status == INSTR_OK) {
		next.rip = run.next_rip & size_mask(in->mode);
		*cpu = next;
	}
	return status;
}
