/*
 * The task switch: checks in the old task's context, the exchange of the two states, and what can
 * only fail in the new task's context. Steps are those of SDM vol. 3, 8.3 "Task Switching".
 *
 * The CR3 of a new task under PAE paging takes effect without a check of its PDPTEs.
 */
#include "task.h"
#include "emulate.h"
#include "task_parts.h"

#define TYPE_TSS16     0x1u /* available; with TYPE_BUSY busy, with TYPE_32 32-bit */
#define TYPE_BUSY      BIT(1)
#define TYPE_32        BIT(3)
#define TYPE_TASK_GATE 0x5u
#define BUSY           BIT(41) /* the same in the descriptor */
#define GATE_SIZE      8u

#define RFLAGS_NT BIT(14)
/* all that a TSS of either size can load: no reserved bits */
#define RFLAGS_TSS32 0x3f7fd5ull
#define RFLAGS_TSS16 0x7fd5ull

#define DR6_BT    BIT(15)
#define DR7_LOCAL (BIT(0) | BIT(2) | BIT(4) | BIT(6) | BIT(8)) /* L0 to L3, LE */
#define TSS_TRAP  BIT(0)
/* exceptions that are faults: all but #DB, NMI, #BP, #OF, #DF and #MC */
#define FAULTS                                                                                     \
	(BIT(VECTOR_DE) | BIT(5) | BIT(VECTOR_UD) | BIT(7) | BIT(VECTOR_TS) | BIT(VECTOR_NP) |     \
		BIT(VECTOR_SS) | BIT(VECTOR_GP) | BIT(VECTOR_PF) | BIT(16) | BIT(17) | BIT(19))
#define ERROR_IDT BIT(1)

struct tss32 {
	u32 link;
	u32 stacks[6]; /* ESP0 SS0 ... */
	u32 cr3;
	u32 eip;
	u32 eflags;
	u32 gpr[8]; /* EAX ECX EDX EBX ESP EBP ESI EDI */
	u32 es, cs, ss, ds, fs, gs;
	u32 ldt;
	u16 trap;
	u16 io_map;
};
static_assert(sizeof(struct tss32) == 0x68);
static_assert(offsetof(struct tss32, eip) == 0x20 && offsetof(struct tss32, es) == 0x48);

struct tss16 {
	u16 link;
	u16 stacks[6];
	u16 ip;
	u16 flags;
	u16 gpr[8];
	u16 es, cs, ss, ds;
	u16 ldt;
};
static_assert(sizeof(struct tss16) == 0x2c);

/* The part that is saved of the old task: its CR3, LDT and stacks are never changed. */
#define TSS32_SAVED      offsetof(struct tss32, eip)
#define TSS32_SAVED_SIZE (offsetof(struct tss32, ldt) - TSS32_SAVED)
#define TSS16_SAVED      offsetof(struct tss16, ip)
#define TSS16_SAVED_SIZE (offsetof(struct tss16, ldt) - TSS16_SAVED)

/* A new task, whatever the size of its TSS. */
struct task_image {
	u64 cr3;
	u64 rip;
	u64 rflags;
	u32 gpr[8];
	struct task_selectors selectors;
	bool trap;
};

static void restore_event(struct task_switch *t)
{
	/* so that a fault during the delivery of an exception can become a double fault */
	if (t->event && !t->soft)
		t->v->run->inject = t->event;
}

bool task_fault(struct task_switch *t, u8 vector, u32 selector)
{
	restore_event(t);
	vcpu_raise_error(t->v, vector, (selector & ~SELECTOR_RPL) | t->ext);
	return false;
}

bool task_page_fault(struct task_switch *t)
{
	restore_event(t);
	bus_deliver(&t->bus);
	return false;
}

/* Translates both pages of a range before it is used. */
static bool translate(
	struct task_switch *t, u64 linear, u32 size, u32 access, gpa_t gpa[2], u32 *first)
{
	u64 left = PAGE_SIZE - (linear & (PAGE_SIZE - 1));

	*first = size < left ? size : (u32)left;
	if (!bus_translate(&t->bus, (u32)linear, access, &gpa[0]) ||
		(*first < size && !bus_translate(&t->bus, (u32)(linear + *first), access, &gpa[1])))
		return task_page_fault(t);
	return true;
}

bool task_read(struct task_switch *t, u64 linear, void *data, u32 size)
{
	const struct gmem *memory = &t->v->machine->memory;
	gpa_t gpa[2];
	u32 first;

	if (!translate(t, linear, size, 0, gpa, &first))
		return false;
	if (!gmem_read(memory, gpa[0], data, first))
		memset(data, 0xff, first);
	if (first < size && !gmem_read(memory, gpa[1], (u8 *)data + first, size - first))
		memset((u8 *)data + first, 0xff, size - first);
	return true;
}

bool task_write(struct task_switch *t, u64 linear, const void *data, u32 size)
{
	const struct gmem *memory = &t->v->machine->memory;
	gpa_t gpa[2];
	u32 first;

	if (!translate(t, linear, size, GWALK_WRITE, gpa, &first))
		return false;
	/* a busy bit, or a link, that was set must not be found set when the exit is handled anew
	 */
	journal_ram(t->v, gpa[0], first);
	gmem_write(memory, gpa[0], data, first);
	if (first < size) {
		journal_ram(t->v, gpa[1], size - first);
		gmem_write(memory, gpa[1], (const u8 *)data + first, size - first);
	}
	return true;
}

bool task_probe(struct task_switch *t, u64 linear, u32 size)
{
	gpa_t gpa[2];
	u32 first;

	return translate(t, linear, size, GWALK_WRITE, gpa, &first);
}

static u64 gdt_address(const struct run_page *run, u16 selector)
{
	return (u32)(run->gdtr.base + (selector & ~7u));
}

/* INT n and its kin: the gate's DPL must allow it (SDM vol. 3, 6.12.1.2). */
static bool check_gate(struct task_switch *t)
{
	struct run_page *run = t->v->run;
	u32 vector = (u8)t->event;
	u32 error = vector * GATE_SIZE | ERROR_IDT;
	u32 cpl = vcpu_cpl(t->v);
	u64 gate;

	if (!t->soft)
		return true;
	if (error + GATE_SIZE - 1 - ERROR_IDT > run->idtr.limit) {
		vcpu_raise_error(t->v, VECTOR_GP, error);
		return false;
	}
	if (!task_read(t, (u32)(run->idtr.base + vector * (u64)GATE_SIZE), &gate, sizeof(gate)))
		return false;
	if ((gate >> 40 & (SEGMENT_TYPE_MASK | SEGMENT_S)) == TYPE_TASK_GATE &&
		(gate >> (40 + SEGMENT_DPL_SHIFT) & 3) < cpl) {
		vcpu_raise_error(t->v, VECTOR_GP, error);
		return false;
	}
	return true;
}

/* Reads and checks the new TSS's descriptor. */
static bool check_tss(struct task_switch *t, u16 selector, struct run_segment *tss, u64 *raw)
{
	struct run_page *run = t->v->run;
	u8 vector = t->iret ? VECTOR_TS : VECTOR_GP;
	u32 type;

	if ((selector & SELECTOR_TI) || !(selector & SELECTOR_NULL) ||
		(selector | 7u) > run->gdtr.limit)
		return task_fault(t, vector, selector);
	if (!task_read(t, gdt_address(run, selector), raw, sizeof(*raw)))
		return false;
	*tss = descriptor_expand(*raw, selector);
	type = segment_type(tss);
	if ((tss->attributes & SEGMENT_S) || (type & ~(u32)(TYPE_32 | TYPE_BUSY)) != TYPE_TSS16 ||
		!(type & TYPE_BUSY) != !t->iret)
		return task_fault(t, vector, selector);
	if (!(tss->attributes & SEGMENT_P))
		return task_fault(t, VECTOR_NP, selector);
	if (tss->limit < (type & TYPE_32 ? sizeof(struct tss32) : sizeof(struct tss16)) - 1)
		return task_fault(t, VECTOR_TS, selector);
	return true;
}

static bool read_image(struct task_switch *t, const struct run_segment *tss, struct task_image *to)
{
	struct tss32 wide;
	struct tss16 narrow;

	if (segment_type(tss) & TYPE_32) {
		if (!task_read(t, tss->base, &wide, sizeof(wide)))
			return false;
		*to = (struct task_image){
			.cr3 = wide.cr3,
			.rip = wide.eip,
			.rflags = (wide.eflags & RFLAGS_TSS32) | RFLAGS_FIXED,
			.selectors = {(u16)wide.es, (u16)wide.cs, (u16)wide.ss, (u16)wide.ds,
				(u16)wide.fs, (u16)wide.gs, (u16)wide.ldt},
			.trap = wide.trap & TSS_TRAP,
		};
		memcpy(to->gpr, wide.gpr, sizeof(to->gpr));
		return true;
	}
	if (!task_read(t, tss->base, &narrow, sizeof(narrow)))
		return false;
	*to = (struct task_image){
		.cr3 = t->v->run->cr3, /* it has none */
		.rip = narrow.ip,
		.rflags = (narrow.flags & RFLAGS_TSS16) | RFLAGS_FIXED,
		.selectors = {narrow.es, narrow.cs, narrow.ss, narrow.ds, 0, 0, narrow.ldt},
	};
	for (u32 i = 0; i < ARRAY_SIZE(to->gpr); i++)
		to->gpr[i] = narrow.gpr[i];
	return true;
}

/* Where the old task goes on, and its flags, as they are saved. */
static u64 saved_rip(struct task_switch *t, u32 length)
{
	return (u32)(t->v->run->rip + length);
}

static u64 saved_flags(const struct task_switch *t)
{
	u64 flags = t->v->run->rflags;
	u32 vector = (u8)t->event;

	if (t->iret)
		flags &= ~RFLAGS_NT;
	/* as a fault pushes it (SDM vol. 3, 17.3.1.1) */
	if (t->event && !t->soft && (t->event & INJECT_TYPE_MASK) == INJECT_TYPE_EXCEPT &&
		vector < 32 && (FAULTS & BIT(vector)))
		flags |= RFLAGS_RF;
	return flags;
}

static bool old_is_wide(const struct run_page *run)
{
	return run->tr.attributes & TYPE_32;
}

static u64 saved_at(const struct run_page *run)
{
	return run->tr.base + (old_is_wide(run) ? TSS32_SAVED : TSS16_SAVED);
}

static u32 saved_size(const struct run_page *run)
{
	return old_is_wide(run) ? TSS32_SAVED_SIZE : TSS16_SAVED_SIZE;
}

static bool save_old(struct task_switch *t, u32 length)
{
	const struct run_page *run = t->v->run;
	struct tss32 wide = {
		.eip = (u32)saved_rip(t, length),
		.eflags = (u32)saved_flags(t),
		.es = run->es.selector,
		.cs = run->cs.selector,
		.ss = run->ss.selector,
		.ds = run->ds.selector,
		.fs = run->fs.selector,
		.gs = run->gs.selector,
	};
	struct tss16 narrow = {
		.ip = (u16)saved_rip(t, length),
		.flags = (u16)saved_flags(t),
		.es = run->es.selector,
		.cs = run->cs.selector,
		.ss = run->ss.selector,
		.ds = run->ds.selector,
	};

	for (u32 i = 0; i < ARRAY_SIZE(wide.gpr); i++) {
		wide.gpr[i] = (u32)run->gpr[i];
		narrow.gpr[i] = (u16)run->gpr[i];
	}
	if (old_is_wide(run))
		return task_write(t, saved_at(run), (u8 *)&wide + TSS32_SAVED, TSS32_SAVED_SIZE);
	return task_write(t, saved_at(run), (u8 *)&narrow + TSS16_SAVED, TSS16_SAVED_SIZE);
}

/* All that can be found wrong before anything changes; also that every write will succeed. */
static bool check_old(struct task_switch *t, const struct run_segment *tss)
{
	const struct run_page *run = t->v->run;
	u16 old = run->tr.selector;
	u32 end = saved_size(run) + (old_is_wide(run) ? TSS32_SAVED : TSS16_SAVED);

	if (run->tr.limit < end - 1)
		return task_fault(t, VECTOR_TS, old);
	if (!task_probe(t, saved_at(run), saved_size(run)))
		return false;
	if (!t->nested && ((old | 7u) > run->gdtr.limit || (old & SELECTOR_TI)))
		return task_fault(t, VECTOR_TS, old);
	if (!t->nested && !task_probe(t, gdt_address(run, old), sizeof(u64)))
		return false;
	if (!t->iret && !task_probe(t, gdt_address(run, tss->selector), sizeof(u64)))
		return false;
	return !t->nested || task_probe(t, tss->base, sizeof(u16));
}

/* Busy bits, the old state, the link: the new task is entered from here on. */
static bool exchange(struct task_switch *t, struct run_segment *tss, u64 raw,
	struct task_image *image, u32 length)
{
	struct run_page *run = t->v->run;
	u16 old = run->tr.selector;
	u64 descriptor;

	if (!t->nested) {
		if (!task_read(t, gdt_address(run, old), &descriptor, sizeof(descriptor)))
			return false;
		descriptor &= ~BUSY;
		if (!task_write(t, gdt_address(run, old), &descriptor, sizeof(descriptor)))
			return false;
	}
	if (!save_old(t, length))
		return false;
	if (t->nested) {
		if (!task_write(t, tss->base, &old, sizeof(old)))
			return false;
		image->rflags |= RFLAGS_NT;
	}
	if (!t->iret) {
		raw |= BUSY;
		if (!task_write(t, gdt_address(run, tss->selector), &raw, sizeof(raw)))
			return false;
	}
	tss->attributes |= TYPE_BUSY;
	run->tr = *tss;
	return true;
}

static void load_registers(struct task_switch *t, const struct task_image *image, bool wide)
{
	struct run_page *run = t->v->run;

	run->cr0 |= CR0_TS;
	if (wide && (run->cr0 & CR0_PG)) {
		run->cr3 = image->cr3;
		t->bus.walk.cr3 = image->cr3;
	}
	run->rip = image->rip;
	run->rflags = image->rflags;
	t->bus.walk.rflags = image->rflags & ~RFLAGS_AC;
	for (u32 i = 0; i < ARRAY_SIZE(image->gpr); i++)
		run->gpr[i] = image->gpr[i];
	run->shadow &= SHADOW_NMI;
	if (t->iret)
		run->shadow = 0;
	else if ((t->event & (INJECT_VALID | INJECT_TYPE_MASK)) == (INJECT_VALID | INJECT_TYPE_NMI))
		run->shadow |= SHADOW_NMI;
	run->activity = ACTIVITY_ACTIVE;
	run->dr7 &= ~DR7_LOCAL;
	run->dirty |= GROUP_RIP | GROUP_CR | GROUP_SYS | GROUP_DR;
}

/* Pushes the error code on the new task's stack, in the size of its TSS. */
static bool push_error(struct task_switch *t, u32 error, u32 size)
{
	struct run_page *run = t->v->run;
	bool big = run->ss.attributes & SEGMENT_DB;
	bool down = (run->ss.attributes & SEGMENT_TYPE_MASK & BIT(2)) != 0;
	u32 sp = (u32)run->gpr[RSP] - size;
	u32 top = big ? UINT32_MAX : UINT16_MAX;

	sp &= top;
	/* expand-down: offsets above the limit are the valid ones */
	if (sp > top - (size - 1) || (down ? sp <= run->ss.limit : sp + (size - 1) > run->ss.limit))
		return task_fault(t, VECTOR_SS, 0);
	t->bus.user = vcpu_cpl(t->v) == 3;
	t->bus.walk.rflags = run->rflags;
	if (!task_write(t, run->ss.base + sp, &error, size))
		return false;
	run->gpr[RSP] = big ? sp : (run->gpr[RSP] & ~(u64)UINT16_MAX) | sp;
	return true;
}

/* Length of the instruction that asked for the switch; 0: an event did. */
static bool find_length(struct task_switch *t, u8 source, u32 *length)
{
	struct vcpu *v = t->v;

	*length = 0;
	if (source == TASK_EVENT && !t->soft)
		return true;
	*length = v->run->exit_length ? v->run->exit_length : emulate_length(v);
	if (!*length && !v->machine->stop && !(v->run->dirty & GROUP_INJECT))
		vcpu_fail(v, "a task switch by an instruction of unknown length");
	return *length != 0;
}

/* The switch up to the first instruction of the new task. */
static void switch_task(struct task_switch *t, u16 selector, u32 length, bool push, u32 error)
{
	struct vcpu *v = t->v;
	struct task_image image;
	struct run_segment tss = {0};
	bool wide;
	u64 raw;

	if (!check_gate(t) || !check_tss(t, selector, &tss, &raw) || !read_image(t, &tss, &image) ||
		!check_old(t, &tss) || !exchange(t, &tss, raw, &image, length))
		return;
	wide = segment_type(&tss) & TYPE_32;
	load_registers(t, &image, wide);
	if (!task_load_segments(t, &image.selectors))
		return;
	if (push && !push_error(t, error, wide ? sizeof(u32) : sizeof(u16)))
		return;
	if (image.trap) {
		v->run->dr6 |= DR6_BT;
		vcpu_raise(v, VECTOR_DB);
	}
}

void task_exit(struct vcpu *v)
{
	struct run_page *run = v->run;
	struct task_switch t = {.v = v};
	u16 selector = run->exit.task.selector;
	u8 source = run->exit.task.source;
	u32 error = run->exit.task.error;
	bool push = source == TASK_EVENT && run->exit.task.error_valid;
	u32 length;

	vcpu_need(v, GROUP_ALL_REG);
	if (!(run->cr0 & CR0_PE) || (run->efer & EFER_LMA)) {
		vcpu_fail(v, "a task switch where there are no tasks");
		return;
	}
	bus_init(&t.bus, v);
	if (source == TASK_EVENT) {
		t.event = run->exit.task.event;
		t.soft = run->exit.task.soft;
	}
	if (!find_length(&t, source, &length))
		return;
	t.bus.user = false;
	t.bus.walk.rflags &= ~RFLAGS_AC; /* implicit accesses: SMAP holds */
	t.nested = source == TASK_CALL || source == TASK_EVENT;
	t.iret = source == TASK_IRET;
	t.ext = source == TASK_EVENT && !t.soft ? ERROR_EXT : 0;
	switch_task(&t, selector, length, push, error);
}
