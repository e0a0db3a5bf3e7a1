/* Instruction decoder: prefixes, then the opcode's row of the table, then the operands. */
#include "guests/vmm/cpu/instr_table.h"

/* What may be locked, if its destination is memory. SDM vol. 2A, LOCK. */
static const u64 lockable = BIT(INSTR_ADD) | BIT(INSTR_OR) | BIT(INSTR_ADC) | BIT(INSTR_SBB) |
			    BIT(INSTR_AND) | BIT(INSTR_SUB) | BIT(INSTR_XOR) | BIT(INSTR_NOT) |
			    BIT(INSTR_NEG) | BIT(INSTR_INC) | BIT(INSTR_DEC) | BIT(INSTR_BTS) |
			    BIT(INSTR_BTR) | BIT(INSTR_BTC) | BIT(INSTR_XCHG) | BIT(INSTR_XADD) |
			    BIT(INSTR_CMPXCHG) | BIT(INSTR_CMPXCHG_PAIR);
static_assert(INSTR_CMPXCHG_PAIR < 64, "operations are bits of lockable");

struct decoder {
	const u8 *bytes;
	size_t count; /* of bytes, at most INSTR_LENGTH_MAX */
	enum instr_status at_end;
	enum instr_status status; /* the first that is not INSTR_OK stays */
	struct instr *out;
	u8 operand_size;
	u8 vex_prefix;   /* VEX.pp */
	bool vex_long;   /* VEX.L */
	bool vex_source; /* VEX.vvvv names a register */
	bool have_modrm;
};

enum {
	REX_B = 1,
	REX_X = 2,
	REX_R = 4,
	REX_W = 8
};

static void decoder_stop(struct decoder *d, enum instr_status status)
{
	if (d->status == INSTR_OK)
		d->status = status;
}

/* The next size bytes, little-endian, sign-extended; 0 at the end of the input. */
static u64 decoder_fetch(struct decoder *d, unsigned size)
{
	unsigned unused = (64 - 8 * size) & 63;
	u64 value = 0;

	if (size > d->count - d->out->length) {
		decoder_stop(d, d->at_end);
		return 0;
	}
	for (unsigned i = 0; i < size; i++)
		value |= (u64)d->bytes[d->out->length++] << 8 * i;
	return (u64)((s64)(value << unused) >> unused);
}

static u8 decoder_byte(struct decoder *d)
{
	return (u8)decoder_fetch(d, 1);
}

/*
 * Takes one byte if it is a prefix. REX counts only right before the opcode. In 64-bit mode the
 * overrides ES, CS, SS and DS are null prefixes and cancel no other override (APM vol. 3 1.2.4).
 */
static bool decode_prefix(struct instr *out, u8 byte)
{
	bool wide = out->mode == INSTR_MODE_64;

	switch (byte) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
		if (!wide)
			out->segment = byte >> 3 & 3;
		break;
	case 0x64:
	case 0x65:
		out->segment = byte == 0x64 ? INSTR_FS : INSTR_GS;
		break;
	case 0x66:
		out->operand_prefix = true;
		break;
	case 0x67:
		out->address_prefix = true;
		break;
	case 0xf0:
		out->lock = true;
		break;
	case 0xf2:
	case 0xf3:
		out->rep = byte;
		break;
	default:
		if (!wide || (byte & 0xf0) != 0x40)
			return false;
		out->rex = byte;
		return true;
	}
	out->rex = 0;
	return true;
}

/*
 * The rest of a VEX prefix that began with C4 or C5. R, X, B and vvvv are stored inverted.
 * SDM vol. 2A 2.3.5.
 */
static void decode_vex(struct decoder *d)
{
	struct instr *out = d->out;
	bool prefixes = out->lock || out->rep || out->operand_prefix || out->rex;
	u8 first = decoder_byte(d);
	u8 last = first;

	out->vex = true;
	out->map = 1;
	out->rex = (u8)~first >> 5 & REX_R;
	if (out->opcode == 0xc4) {
		last = decoder_byte(d);
		out->map = first & 31;
		out->rex = (u8)~first >> 5 | (last >> 4 & REX_W);
	}
	if (out->mode != INSTR_MODE_64)
		out->rex = 0;
	d->vex_prefix = last & 3;
	d->vex_long = last & 4;
	d->vex_source = (last >> 3 & 15) != 15;
	if (prefixes)
		decoder_stop(d, INSTR_INVALID);
}

/* Prefixes, escapes and the last byte of the opcode. */
static void decode_opcode(struct decoder *d)
{
	struct instr *out = d->out;
	u8 byte;

	do
		byte = decoder_byte(d);
	while (d->status == INSTR_OK && decode_prefix(out, byte));
	out->opcode = byte;
	if (byte == 0x0f) {
		out->map = 1;
		out->opcode = decoder_byte(d);
		if (out->opcode == 0x38 || out->opcode == 0x3a) {
			out->map = out->opcode == 0x38 ? 2 : 3;
			out->opcode = decoder_byte(d);
		}
	} else if (byte == 0xc4 || byte == 0xc5) {
		/* Outside 64-bit mode they are LES and LDS, which have no register form. */
		if (out->length == d->count)
			decoder_stop(d, d->at_end);
		else if (out->mode == INSTR_MODE_64 || d->bytes[out->length] >= 0xc0) {
			decode_vex(d);
			out->opcode = decoder_byte(d);
		}
	}
}

static u8 decode_modrm(struct decoder *d)
{
	if (!d->have_modrm)
		d->out->modrm = decoder_byte(d);
	d->have_modrm = true;
	return d->out->modrm;
}

/* The first row for the opcode, or the first one behind where it would be. */
static const struct row *row_find(unsigned opcode)
{
	size_t low = 0;
	size_t high = instr_row_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if ((unsigned)instr_rows[middle].opcode + instr_rows[middle].more < opcode)
			low = middle + 1;
		else
			high = middle;
	}
	return &instr_rows[low];
}

static bool row_fits(struct decoder *d, const struct row *row)
{
	const struct instr *out = d->out;
	unsigned repeat = out->rep == 0xf3 ? 2 : 3;
	unsigned prefix = out->vex ? d->vex_prefix : out->rep ? repeat : out->operand_prefix;

	if (row->prefix && !(row->prefix & BIT(prefix)))
		return false;
	return !row->reg || row->reg & BIT(decode_modrm(d) >> 3 & 7);
}

/* The row for the instruction, and its operation. Without one, returns NULL and stops d. */
static const struct row *decode_operation(struct decoder *d)
{
	struct instr *out = d->out;
	unsigned opcode = out->map * 256u + out->opcode;
	const struct row *end = instr_rows + instr_row_count;
	const struct row *row = row_find(opcode);
	bool wide = out->mode == INSTR_MODE_64;

	while (row < end && row->opcode <= opcode && !row_fits(d, row))
		row++;
	if (row == end || row->opcode > opcode) {
		decoder_stop(d, INSTR_UNSUPPORTED);
		return NULL;
	}
	if (row->operation == INVALID || (row->bits & NOT_64 && wide))
		decoder_stop(d, INSTR_INVALID);
	if (row->operation == INSTR_NONE || (row->bits & ONLY_64 && !wide) ||
		(out->vex && !(row->bits & (VEX | VEX_MEMORY))))
		decoder_stop(d, INSTR_UNSUPPORTED);
	if (out->vex && row->bits & VEX_MEMORY) {
		if (row->operation != INSTR_MOVSS && d->vex_long)
			decoder_stop(d, INSTR_INVALID);
		if (decode_modrm(d) >= 0xc0)
			decoder_stop(d, INSTR_UNSUPPORTED);
	}
	if (d->vex_source)
		decoder_stop(d, INSTR_INVALID);
	out->operation = row->operation;
	if (row->bits & ADD_REG)
		out->operation = (u8)(out->operation + (decode_modrm(d) >> 3 & 7));
	if (opcode == 0x90 && !(out->rex & REX_B))
		out->operation = INSTR_NOP;
	return d->status == INSTR_OK ? row : NULL;
}

static void decode_sizes(struct decoder *d, const struct row *row)
{
	struct instr *out = d->out;
	bool wide = out->mode == INSTR_MODE_64;
	u8 normal = out->mode == INSTR_MODE_16 ? 2 : 4;

	d->operand_size = out->operand_prefix ? 6 - normal : normal;
	if (out->rex & REX_W || (wide && row->bits & NEAR_64))
		d->operand_size = 8;
	if (wide && row->bits & STACK_64 && !out->operand_prefix)
		d->operand_size = 8;
	if (wide)
		out->memory.size = out->address_prefix ? 4 : 8;
	else
		out->memory.size = out->address_prefix ? 6 - normal : normal;
}

/* SDM vol. 2A table 2-1. */
static void decode_memory_16(struct decoder *d, u8 mod, u8 rm)
{
	static const u8 bases[] = {INSTR_RBX, INSTR_RBX, INSTR_RBP, INSTR_RBP, INSTR_RSI, INSTR_RDI,
		INSTR_RBP, INSTR_RBX};
	static const u8 indexes[] = {INSTR_RSI, INSTR_RDI, INSTR_RSI, INSTR_RDI};
	struct instr_memory *memory = &d->out->memory;

	if (mod == 0 && rm == 6) {
		memory->displacement = (s64)decoder_fetch(d, 2);
		return;
	}
	memory->base = bases[rm];
	if (rm < ARRAY_SIZE(indexes))
		memory->index = indexes[rm];
	if (mod)
		memory->displacement = (s64)decoder_fetch(d, mod);
}

/* SDM vol. 2A tables 2-2, 2-3 and 2-5, 2.2.1.6 (relative to rip). */
static void decode_memory_32(struct decoder *d, u8 mod, u8 rm)
{
	struct instr_memory *memory = &d->out->memory;
	u8 rex = d->out->rex;
	u8 base = rm;
	bool sib = rm == 4;

	if (sib) {
		u8 byte = decoder_byte(d);
		u8 index = (byte >> 3 & 7) | (rex & REX_X ? 8 : 0);

		base = byte & 7;
		memory->scale = (u8)(1 << (byte >> 6));
		if (index != INSTR_RSP)
			memory->index = index;
	}
	if (mod == 0 && base == 5) {
		memory->rip = !sib && d->out->mode == INSTR_MODE_64;
		memory->displacement = (s64)decoder_fetch(d, 4);
		return;
	}
	memory->base = base | (rex & REX_B ? 8 : 0);
	if (mod)
		memory->displacement = (s64)decoder_fetch(d, mod == 1 ? 1 : 4);
}

/* The segment of the memory operand: the override, or SS with rSP and rBP as base, or DS. */
static void decode_segment(struct instr *out)
{
	u8 base = out->memory.base;

	if (out->segment != INSTR_NO_NUMBER)
		out->memory.segment = out->segment;
	else
		out->memory.segment = base == INSTR_RSP || base == INSTR_RBP ? INSTR_SS : INSTR_DS;
}

static u8 decode_width(const struct decoder *d, u8 width)
{
	if ((width == WIDTH_O || width == WIDTH_OZ) && !(d->out->opcode & 1))
		return 1;
	switch (width) {
	case WIDTH_V:
	case WIDTH_O:
		return d->operand_size;
	case WIDTH_Z:
	case WIDTH_OZ:
		return d->operand_size == 2 ? 2 : 4;
	case WIDTH_Y:
		return d->out->rex & REX_W ? 8 : 4;
	case WIDTH_X:
		return d->vex_long ? 32 : 16;
	case WIDTH_T:
		return d->out->mode == INSTR_MODE_64 ? 10 : 6;
	case WIDTH_M:
		return d->out->modrm >= 0xc0 ? d->operand_size : 2;
	case WIDTH_P:
		return d->operand_size + sizeof(u16);
	default:
		return width;
	}
}

static void operand_gpr(const struct instr *out, struct instr_operand *operand, u8 number)
{
	operand->kind = INSTR_KIND_GPR;
	operand->number = number;
	if (operand->size == 1 && !out->rex && number >= 4) {
		operand->kind = INSTR_KIND_GPR_HIGH;
		operand->number = number - 4;
	}
}

static void operand_immediate(struct decoder *d, struct instr_operand *operand, u8 place)
{
	struct instr *out = d->out;

	operand->kind = INSTR_KIND_IMMEDIATE;
	out->immediate = decoder_fetch(d, operand->size);
	if (place != AT_IMMEDIATE)
		operand->size = d->operand_size;
	if (place == AT_FRAME)
		out->selector = decoder_byte(d);
	if (place == AT_POINTER)
		out->selector = (u16)decoder_fetch(d, sizeof(out->selector));
}

static void decode_operand(struct decoder *d, struct instr_operand *operand, u16 descriptor)
{
	struct instr *out = d->out;
	u8 place = OPERAND_PLACE(descriptor);
	u8 reg = (out->modrm >> 3 & 7) | (out->rex & REX_R ? 8 : 0);
	u8 low = (place == AT_OPCODE ? out->opcode & 7 : out->modrm & 7) |
		 (out->rex & REX_B ? 8 : 0);

	operand->size = decode_width(d, OPERAND_WIDTH(descriptor));
	switch (place) {
	case AT_PAIR:
		operand->size *= 2;
		operand->kind = INSTR_KIND_MEMORY;
		break;
	case AT_RM:
	case AT_VECTOR_RM:
	case AT_MMX_RM:
		operand->number = place == AT_MMX_RM ? low & 7 : low;
		if (out->modrm < 0xc0)
			operand->kind = INSTR_KIND_MEMORY;
		else if (place == AT_RM)
			operand_gpr(out, operand, low);
		else
			operand->kind = place == AT_VECTOR_RM ? INSTR_KIND_VECTOR : INSTR_KIND_MMX;
		break;
	case AT_REG:
		operand_gpr(out, operand, reg);
		break;
	case AT_OPCODE:
		operand_gpr(out, operand, low);
		break;
	case AT_RAX:
		operand_gpr(out, operand, INSTR_RAX);
		break;
	case AT_RCX:
		operand_gpr(out, operand, INSTR_RCX);
		break;
	case AT_VECTOR_REG:
		operand->kind = INSTR_KIND_VECTOR;
		operand->number = reg;
		break;
	case AT_MMX_REG:
		operand->kind = INSTR_KIND_MMX;
		operand->number = reg & 7;
		break;
	case AT_OPCODE_SELECTOR:
		operand->kind = INSTR_KIND_SEGMENT;
		operand->number = out->opcode >> 3 & 7;
		break;
	case AT_SELECTOR:
		operand->kind = INSTR_KIND_SEGMENT;
		operand->number = reg & 7;
		if (operand->number >= INSTR_SEGMENTS)
			decoder_stop(d, INSTR_INVALID);
		break;
	case AT_IMMEDIATE:
	case AT_WIDENED:
	case AT_FRAME:
	case AT_POINTER:
		operand_immediate(d, operand, place);
		break;
	case AT_ONE:
		operand->kind = INSTR_KIND_IMMEDIATE;
		out->immediate = 1;
		break;
	case AT_ADDRESS:
		operand->kind = INSTR_KIND_MEMORY;
		out->memory.displacement = (s64)decoder_fetch(d, out->memory.size);
		break;
	case AT_SOURCE:
		operand->kind = INSTR_KIND_SOURCE;
		out->memory.base = INSTR_RSI;
		break;
	case AT_DEST:
		operand->kind = INSTR_KIND_DEST;
		break;
	}
}

static bool row_has_modrm(const struct row *row)
{
	static const u32 places = BIT(AT_RM) | BIT(AT_PAIR) | BIT(AT_REG) | BIT(AT_SELECTOR) |
				  BIT(AT_VECTOR_REG) | BIT(AT_VECTOR_RM) | BIT(AT_MMX_REG) |
				  BIT(AT_MMX_RM);
	u32 used = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(row->operand); i++)
		used |= BIT(OPERAND_PLACE(row->operand[i]));
	return used & places;
}

/* ModRM with SIB and displacement, then the operands in order, of which one may be immediate. */
static void decode_operands(struct decoder *d, const struct row *row)
{
	struct instr *out = d->out;

	if (row_has_modrm(row)) {
		u8 modrm = decode_modrm(d);

		if (modrm < 0xc0 && out->memory.size == 2)
			decode_memory_16(d, modrm >> 6, modrm & 7);
		else if (modrm < 0xc0)
			decode_memory_32(d, modrm >> 6, modrm & 7);
		else if (row->bits & MEMORY)
			decoder_stop(d, INSTR_INVALID);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(row->operand) && row->operand[i]; i++) {
		decode_operand(d, &out->operand[i], row->operand[i]);
		out->operands++;
	}
	out->size = out->operands ? out->operand[0].size : d->operand_size;
	decode_segment(out);
	if (out->lock &&
		(out->operand[0].kind != INSTR_KIND_MEMORY || out->operation > INSTR_CMPXCHG_PAIR ||
			!(lockable & BIT(out->operation))))
		decoder_stop(d, INSTR_INVALID);
}

enum instr_status instr_decode(
	const u8 *bytes, size_t count, enum instr_mode mode, struct instr *out)
{
	bool cut = count < INSTR_LENGTH_MAX;
	struct decoder d = {
		.bytes = bytes,
		.count = cut ? count : INSTR_LENGTH_MAX,
		.at_end = cut ? INSTR_TRUNCATED : INSTR_TOO_LONG,
		.out = out,
	};
	const struct row *row;

	__builtin_memset(out, 0, sizeof(*out));
	out->mode = (u8)mode;
	out->segment = INSTR_NO_NUMBER;
	out->memory = (struct instr_memory){
		.base = INSTR_NO_NUMBER, .index = INSTR_NO_NUMBER, .scale = 1};

	decode_opcode(&d);
	if (d.status != INSTR_OK)
		return d.status;
	row = decode_operation(&d);
	if (row) {
		out->condition = out->opcode & 15;
		decode_sizes(&d, row);
		decode_operands(&d, row);
	}
	return d.status;
}
