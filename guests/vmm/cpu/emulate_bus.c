/* Callbacks of the instruction emulator. */
#include "emulate_bus.h"
#include "guests/vmm/mmio.h"

/* XSAVE image in the standard format (SDM vol. 1, 13.4) */
#define FPU_FCW         0
#define FPU_FSW         2
#define FPU_FTW         4 /* a bit for each register: not empty */
#define FPU_MXCSR       24
#define FPU_ST          32
#define FPU_XMM         160
#define FPU_XSTATE_BV   512
#define FPU_LEGACY_SIZE 512
#define FPU_YMM_HIGH    576
#define FPU_SIZE        832 /* up to the end of the upper halves */
#define FPU_REGISTERS   16
#define FPU_REGISTER    16 /* bytes of an XMM register, or of a YMM register's upper half */

/* x87: after FNINIT, and what an MMX instruction makes of it (SDM vol. 1, 8.1, 9.5) */
#define FPU_FCW_INITIAL 0x37fu
#define FPU_TOP_SHIFT   11
#define FPU_STACK       8
#define FPU_MMX_UPPER   0xffffu /* bits 79:64 of a register that MMX wrote */

void bus_init(struct bus *b, struct vcpu *v)
{
	struct run_page *run = v->run;

	vcpu_need(v, GROUP_RIP | GROUP_CR | GROUP_SEG);
	b->v = v;
	b->faulted = false;
	b->user = vcpu_cpl(v) == 3;
	b->mode = INSTR_MODE_16;
	b->linear_bits = run->cr4 & CR4_LA57 ? 57 : 48;
	if ((run->efer & EFER_LMA) && (run->cs.attributes & SEGMENT_L))
		b->mode = INSTR_MODE_64;
	else if ((run->cs.attributes & SEGMENT_DB) && !(run->rflags & RFLAGS_VM))
		b->mode = INSTR_MODE_32;
	b->walk = (struct gwalk_mode){
		.cr0 = run->cr0,
		.cr3 = run->cr3,
		.cr4 = run->cr4,
		.efer = run->efer,
		.rflags = run->rflags,
		.gpa_bits = v->cpuid->physical_bits,
	};
}

u64 bus_code_address(const struct bus *b, u64 rip)
{
	if (b->mode == INSTR_MODE_64)
		return rip;
	return (u32)(b->v->run->cs.base + (b->mode == INSTR_MODE_32 ? (u32)rip : (u16)rip));
}

static bool canonical(const struct bus *b, u64 linear)
{
	u32 unused = 64 - b->linear_bits;

	return (u64)((s64)(linear << unused) >> unused) == linear;
}

bool bus_canonical(const struct bus *b, u64 linear)
{
	return b->mode != INSTR_MODE_64 || canonical(b, linear);
}

void bus_fault(struct bus *b, u8 vector, u32 error)
{
	b->faulted = true;
	b->vector = vector;
	b->error = error;
}

void bus_deliver(struct bus *b)
{
	if (!b->faulted)
		vcpu_fail(b->v, "an access that failed without a fault");
	else if (b->vector == VECTOR_PF)
		vcpu_page_fault(b->v, b->address, b->error);
	else if (b->vector == VECTOR_UD)
		vcpu_ud(b->v);
	else
		vcpu_raise_error(b->v, b->vector, b->error);
}

static bool translate(
	struct bus *b, const struct gwalk_mode *walk, u64 linear, u32 access, gpa_t *gpa)
{
	u32 error;

	if (gwalk(&b->v->machine->memory, walk, linear, access, gpa, &error))
		return true;
	bus_fault(b, VECTOR_PF, error);
	b->address = linear;
	return false;
}

bool bus_translate(struct bus *b, u64 linear, u32 access, gpa_t *gpa)
{
	return translate(b, &b->walk, linear, access | (b->user ? GWALK_USER : 0), gpa);
}

/* Moves bytes within a page between guest-physical memory, whatever is there, and a buffer. */
static void move(struct bus *b, gpa_t gpa, u8 *data, u32 size, bool write)
{
	u8 *ram = gmem_at(&b->v->machine->memory, gpa, size);

	if (ram) {
		memcpy(write ? ram : data, write ? data : ram, size);
		return;
	}
	while (size) {
		u32 step = size >= 8 ? 8 : size >= 4 ? 4 : size >= 2 ? 2 : 1;
		u64 value = 0;

		if (write) {
			memcpy(&value, data, step);
			mmio_write(b->v, gpa, step, value);
		} else {
			value = mmio_read(b->v, gpa, step);
			memcpy(data, &value, step);
		}
		gpa += step;
		data += step;
		size -= step;
	}
}

/* Both pages are translated before a byte moves. */
int bus_access(struct bus *b, u64 linear, u8 *data, unsigned size, unsigned access, bool write)
{
	u64 left = PAGE_SIZE - (linear & (PAGE_SIZE - 1));
	u32 first = size < left ? size : (u32)left;
	u64 second = linear + first;
	u32 want = write || (access & INSTR_ACCESS_MODIFY) ? GWALK_WRITE : 0;
	const struct gwalk_mode *walk = &b->walk;
	bool wide = b->mode == INSTR_MODE_64;
	struct gwalk_mode implicit;
	gpa_t gpa, gpa_second = 0;

	if (access & INSTR_ACCESS_SYSTEM) {
		implicit = b->walk;
		implicit.rflags &= ~RFLAGS_AC; /* SMAP holds (SDM vol. 3, 4.6.1) */
		walk = &implicit;
		wide = b->walk.efer & EFER_LMA;
	} else if (b->user) {
		want |= GWALK_USER;
	}
	if (!wide)
		second = (u32)second;
	if (wide && (!canonical(b, linear) || !canonical(b, linear + size - 1))) {
		bus_fault(b, access & INSTR_ACCESS_STACK ? VECTOR_SS : VECTOR_GP, 0);
		return 1;
	}
	if (!translate(b, walk, linear, want, &gpa) ||
		(first < size && !translate(b, walk, second, want, &gpa_second)))
		return 1;
	if (access & INSTR_ACCESS_PROBE)
		return 0;
	move(b, gpa, data, first, write);
	if (first < size)
		move(b, gpa_second, data + first, size - first, write);
	return 0;
}

static int bus_read(void *opaque, u64 linear, void *data, unsigned size, unsigned access)
{
	return bus_access(opaque, linear, data, size, access, false);
}

static int bus_write(void *opaque, u64 linear, const void *data, unsigned size, unsigned access)
{
	u8 copy[32];

	if (size > sizeof(copy))
		return 1;
	memcpy(copy, data, size);
	return bus_access(opaque, linear, copy, size, access, true);
}

static int bus_port_read(void *opaque, u16 port, u32 *value, unsigned size)
{
	struct bus *b = opaque;

	*value = port_read(b->v, port, size);
	return 0;
}

static int bus_port_write(void *opaque, u16 port, u32 value, unsigned size)
{
	struct bus *b = opaque;

	port_write(b->v, port, size, value);
	return 0;
}

/* Loads the part of the image that holds x87, XMM and YMM registers, in their initial state those
 * that are not there. */
static u32 fpu_load(struct bus *b, u8 image[FPU_SIZE], u64 *present)
{
	u32 size = b->v->machine->fpu_size;

	if (size > FPU_SIZE)
		size = FPU_SIZE;
	memset(image, 0, FPU_SIZE);
	if (size < FPU_LEGACY_SIZE || !host_fpu_read(b->v, 0, image, size)) {
		log_line("the vector registers of vcpu %u cannot be read", b->v->index);
		return 0;
	}
	*present = XCR0_X87 | XCR0_SSE;
	if (size > FPU_LEGACY_SIZE)
		memcpy(present, image + FPU_XSTATE_BV, sizeof(*present));
	if (!(*present & XCR0_X87)) {
		memset(image, 0, FPU_MXCSR);
		memset(image + FPU_ST, 0, FPU_XMM - FPU_ST);
		memcpy(image + FPU_FCW, &(u16){FPU_FCW_INITIAL}, sizeof(u16));
	}
	if (!(*present & XCR0_SSE))
		memset(image + FPU_XMM, 0, FPU_REGISTERS * FPU_REGISTER);
	if (!(*present & XCR0_AVX))
		memset(image + FPU_YMM_HIGH, 0, FPU_SIZE - FPU_YMM_HIGH);
	return size;
}

static void fpu_store(struct bus *b, u8 image[FPU_SIZE], u64 present, u32 size)
{
	if (size > FPU_LEGACY_SIZE)
		memcpy(image + FPU_XSTATE_BV, &present, sizeof(present));
	if (!host_fpu_write(b->v, 0, image, size))
		log_line("the vector registers of vcpu %u cannot be written", b->v->index);
}

/* MM0 to MM7 are the x87 registers in their order; the image has them as the stack's. */
static void mmx_move(struct bus *b, unsigned number, void *data, bool write)
{
	u8 image[FPU_SIZE], stack[FPU_STACK * FPU_REGISTER];
	u8 *at = image + FPU_ST + number % FPU_STACK * FPU_REGISTER;
	u64 present;
	u32 size = fpu_load(b, image, &present);
	u16 status, top;

	if (!size)
		return;
	memcpy(&status, image + FPU_FSW, sizeof(status));
	top = status >> FPU_TOP_SHIFT & (FPU_STACK - 1);
	status &= (u16) ~((FPU_STACK - 1) << FPU_TOP_SHIFT);
	memcpy(stack, image + FPU_ST, sizeof(stack));
	for (u32 i = 0; i < FPU_STACK; i++)
		memcpy(image + FPU_ST + i * FPU_REGISTER,
			stack + (i - top) % FPU_STACK * FPU_REGISTER, FPU_REGISTER);
	memcpy(image + FPU_FSW, &status, sizeof(status));
	image[FPU_FTW] = UINT8_MAX;
	if (write) {
		memcpy(at, data, sizeof(u64));
		memcpy(at + sizeof(u64), &(u16){FPU_MMX_UPPER}, sizeof(u16));
	} else {
		memcpy(data, at, sizeof(u64));
	}
	fpu_store(b, image, present | XCR0_X87, size);
}

static void bus_vector_read(void *opaque, unsigned number, void *data, unsigned size)
{
	u8 image[FPU_SIZE];
	u64 present;

	memset(data, 0, size);
	if (number >= INSTR_MMX) {
		mmx_move(opaque, number, data, false);
		return;
	}
	if (!fpu_load(opaque, image, &present))
		return;
	memcpy(data, image + FPU_XMM + number * FPU_REGISTER, FPU_REGISTER);
	if (size > FPU_REGISTER)
		memcpy((u8 *)data + FPU_REGISTER, image + FPU_YMM_HIGH + number * FPU_REGISTER,
			FPU_REGISTER);
}

static void bus_vector_write(void *opaque, unsigned number, const void *data, unsigned size)
{
	struct bus *b = opaque;
	u8 image[FPU_SIZE];
	u64 present;
	u32 bytes;

	if (number >= INSTR_MMX) {
		u64 value;

		memcpy(&value, data, sizeof(value));
		mmx_move(b, number, &value, true);
		return;
	}
	bytes = fpu_load(b, image, &present);
	if (!bytes)
		return;
	memcpy(image + FPU_XMM + number * FPU_REGISTER, data, FPU_REGISTER);
	present |= XCR0_SSE;
	if (size > FPU_REGISTER && bytes == FPU_SIZE) {
		memcpy(image + FPU_YMM_HIGH + number * FPU_REGISTER,
			(const u8 *)data + FPU_REGISTER, FPU_REGISTER);
		present |= XCR0_AVX;
	}
	fpu_store(b, image, present, bytes);
}

static void bus_note(void *opaque, u8 vector, u32 error)
{
	bus_fault(opaque, vector, error);
}

enum instr_status bus_execute(
	struct bus *b, const struct instr *in, struct instr_cpu *cpu, u32 iterations)
{
	const struct instr_bus callbacks = {
		.read = bus_read,
		.write = bus_write,
		.port_read = bus_port_read,
		.port_write = bus_port_write,
		.vector_read = bus_vector_read,
		.vector_write = bus_vector_write,
		.system = bus_system,
		.fault = bus_note,
		.max_iterations = iterations,
	};

	return instr_execute(in, cpu, &callbacks, b);
}
