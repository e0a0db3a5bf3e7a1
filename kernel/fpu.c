/*
 * FPU state. The kernel uses none, ring 3 only in threads with THREAD_FPU; so a guest's registers
 * stay loaded while its VMM and the kernel run, with CR0.TS keeping every other program from them,
 * and are saved when another guest or such a thread comes.
 */
#include "kernel/kernel.h"
#include "kernel/vcpu.h"

#define MXCSR_DEFAULT 0x1f80u
#define FCW_DEFAULT   0x37f

static void set_ts(struct cpu *c, bool on)
{
	if (c->task_switched == on)
		return;
	c->task_switched = on;
	write_cr0(on ? read_cr0() | CR0_TS : read_cr0() & ~CR0_TS);
}

static void set_xcr0(struct cpu *c, u64 value)
{
	if (features.xsave && c->xcr0 != value) {
		c->xcr0 = value;
		write_xcr0(value);
	}
}

void fpu_init_cpu(struct cpu *c)
{
	u32 a, b, d, size = 512;

	if (features.xsave) {
		c->xcr0 = 0;
		set_xcr0(c, features.xcr0_saved);
		cpuid(0xd, 0, &a, &b, &size, &d);
		size = b;
	}
	machine.fpu_size = size;
}

/* The state after FNINIT and LDMXCSR 1F80h, in the standard XSAVE format. */
void fpu_area_init(void *area)
{
	memset(area, 0, FPU_AREA_SIZE);
	*(u16 *)area = FCW_DEFAULT;
	*(u32 *)((u8 *)area + 24) = MXCSR_DEFAULT;
	if (features.xsave)
		*(u64 *)((u8 *)area + 512) = 3; /* XSTATE_BV */
}

/* What XRSTOR faults on (SDM vol. 1, 13.8): MXCSR, and the header's bits. A bad image becomes the
 * initial state. */
bool fpu_area_check(void *area)
{
	u32 mxcsr = *(u32 *)((u8 *)area + 24);
	u64 *header = (u64 *)((u8 *)area + 512);
	bool good = !(mxcsr & ~0xffffu);

	if (features.xsave) {
		good = good && !(header[0] & ~features.xcr0_saved);
		for (unsigned i = 1; i < 8; i++)
			good = good && !header[i];
	}
	if (!good)
		fpu_area_init(area);
	return good;
}

static void save(void *area)
{
	if (features.xsave)
		__asm__ volatile("xsave64 (%0)" : : "r"(area), "a"(~0u), "d"(~0u) : "memory");
	else
		__asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
}

static void restore(const void *area)
{
	if (features.xsave)
		__asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"(~0u), "d"(~0u) : "memory");
	else
		__asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
}

void fpu_sync(struct cpu *c)
{
	u64 xcr0;

	if (!features.xsave || !c->fpu)
		return;
	xcr0 = read_xcr0();
	if (xcr0 != c->xcr0)
		c->xcr0 = c->fpu->xcr0 = xcr0;
}

/* Leaves CR0.TS clear. */
static void save_loaded(struct cpu *c)
{
	if (!c->fpu)
		return;
	fpu_sync(c);
	set_ts(c, false);
	set_xcr0(c, features.xcr0_saved);
	save(c->fpu->area);
}

static void load(struct cpu *c, struct fpu *f)
{
	save_loaded(c);
	set_ts(c, false);
	set_xcr0(c, features.xcr0_saved);
	c->fpu = f;
	restore(f->area);
}

void fpu_load_vcpu(struct cpu *c, struct vcpu *v)
{
	if (unlikely(c->fpu != &v->fpu)) {
		load(c, &v->fpu);
		set_ts(c, true);
	}
	set_xcr0(c, v->fpu.xcr0);
}

void fpu_switch(struct cpu *c, struct thread *t)
{
	if (likely(t->lean)) {
		set_ts(c, true);
		return;
	}
	if (c->fpu != &t->fpu)
		load(c, &t->fpu);
	set_xcr0(c, t->fpu.xcr0);
	set_ts(c, false);
}

void fpu_evict(struct cpu *c, struct fpu *f)
{
	if (c->fpu != f)
		return;
	save_loaded(c);
	c->fpu = NULL;
	/* The program that goes on now may not look at what is left there. */
	set_ts(c, true);
}
