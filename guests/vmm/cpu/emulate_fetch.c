/* Code bytes of the guest, and what can be told of an instruction without decoding it whole. */
#include "emulate.h"
#include "emulate_bus.h"

#define PREFIX_MAX 14
#define REX_B      1u
#define REX_R      4u

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

bool bus_fetch(struct bus *b, u8 bytes[INSTR_LENGTH_MAX], u32 *count)
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
	if (!bus_fetch(b, bytes, &count)) {
		bus_deliver(b);
		return false;
	}
	if (count < INSTR_LENGTH_MAX)
		(void)bus_fetch(b, bytes, &count); /* need not be part of the instruction */
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

/* Copies up to `max` bytes at RIP without any effect on the guest. */
static u32 peek(struct bus *bus, u8 *bytes, u32 max)
{
	struct vcpu *v = bus->v;
	struct bus b = *bus;
	u32 count = 0;

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

u32 emulate_peek(struct vcpu *v, u8 *bytes, u32 max)
{
	struct bus b;

	bus_init(&b, v);
	return peek(&b, bytes, max);
}

u32 emulate_peek_opcode(struct vcpu *v, u8 bytes[INSTR_LENGTH_MAX])
{
	u32 count, prefixes = 0;
	struct bus b;

	bus_init(&b, v);
	count = peek(&b, bytes, INSTR_LENGTH_MAX);
	while (prefixes < count && is_prefix(bytes[prefixes], b.mode == INSTR_MODE_64))
		prefixes++;
	count -= prefixes;
	memmove(bytes, bytes + prefixes, count);
	memset(bytes + count, 0, prefixes);
	return count;
}
