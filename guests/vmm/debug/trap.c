/*
 * Traps: breakpoints and #DB that are the debugger's or the guest's, debug registers, and executing
 * one instruction.
 *
 * Both vendors have RFLAGS.TF for that, and no better thing in common. The guest must not see it:
 * interrupts wait until the step is done; what the instruction pushed or loaded is put right
 * afterwards. An exception that the instruction raises is delivered, with TF in the frame, and the
 * step ends when the guest comes back from it and has executed the instruction; so does SYSCALL
 * where it masks TF. A step that is given up before leaves its mark in such a frame: the next
 * single-step trap of a vCPU that was not asked for one is dropped.
 */
#include "debug.h"
#include "guests/vmm/cpu/emulate.h"
#include "guests/vmm/vcpu.h"

#define DR6_POINTS  0xfull
#define DR6_BD      BIT(13)
#define DR6_STATUS  (DR6_POINTS | DR6_BD | DR6_BS)
#define DR7_GD      BIT(13)
#define R11         11
#define IRR_WORD(n) ((LAPIC_IRR + 0x10 * (n)) / 4)
#define TMR_WORD(n) ((LAPIC_TMR + 0x10 * (n)) / 4)

/* Instructions that move RFLAGS. */
enum step_kind {
	STEP_PLAIN,
	STEP_PUSHF,   /* TF is in what it pushed */
	STEP_LOADS,   /* POPF, IRET, SYSRET: RFLAGS are the guest's own now */
	STEP_SYSCALL, /* TF is in R11 */
	STEP_INT1,    /* its #DB is like a step's but for DR6 */
};

static bool in_64_bit_mode(const struct run_page *run)
{
	return (run->efer & EFER_LMA) && (run->cs.attributes & SEGMENT_L);
}

static enum step_kind step_kind(struct vcpu *v)
{
	u8 code[INSTR_LENGTH_MAX];

	if (emulate_peek_opcode(v, code) == 0)
		return STEP_PLAIN;
	switch (code[0]) {
	case 0x9c:
		return STEP_PUSHF;
	case 0x9d:
	case 0xcf:
		return STEP_LOADS;
	case 0xf1:
		return STEP_INT1;
	case 0x0f:
		return code[1] == 0x05 ? STEP_SYSCALL : code[1] == 0x07 ? STEP_LOADS : STEP_PLAIN;
	}
	return STEP_PLAIN;
}

/* Takes 32 vectors out of the pending word's. */
static u32 take_pending(u64 word[4], u32 bank)
{
	u32 shift = bank % 2 * 32;
	u64 half = (u64)UINT32_MAX << shift;

	return (u32)((__atomic_fetch_and(&word[bank / 2], ~half, __ATOMIC_SEQ_CST) & half) >>
		     shift);
}

/* Takes away the interrupts that could be delivered. */
static void hide_interrupts(struct vcpu *v)
{
	struct debug_saved *d = &v->state->debug;
	u32 *page = v->lapic->page->word;

	for (u32 i = 0; i < ARRAY_SIZE(d->irr); i++) {
		u32 edge = take_pending(v->run->pending.vector, i);
		u32 level = take_pending(v->run->pending.level, i);

		d->irr[i] |= page[IRR_WORD(i)] | edge | level;
		page[IRR_WORD(i)] = 0;
		page[TMR_WORD(i)] = (page[TMR_WORD(i)] & ~edge) | level;
	}
	d->hidden = 1;
	v->run->dirty |= GROUP_APIC;
}

void debug_show_interrupts(struct vcpu *v)
{
	struct debug_saved *d = &v->state->debug;

	if (!d->hidden)
		return;
	d->hidden = 0;
	for (u32 i = 0; i < ARRAY_SIZE(d->irr); i++) {
		u64 level = d->irr[i] & v->lapic->page->word[TMR_WORD(i)];

		__atomic_fetch_or(&v->run->pending.vector[i / 2],
			(d->irr[i] & ~level) << i % 2 * 32, __ATOMIC_SEQ_CST);
		__atomic_fetch_or(
			&v->run->pending.level[i / 2], level << i % 2 * 32, __ATOMIC_SEQ_CST);
		d->irr[i] = 0;
	}
	__atomic_store_n(&v->run->pending.control, 1, __ATOMIC_SEQ_CST);
}

static void step_begin(struct vcpu *v)
{
	struct debug_saved *d = &v->state->debug;
	struct run_page *run = v->run;

	d->step_own = run->rflags & RFLAGS_TF;
	d->step_rip = run->rip;
	d->step_kind = step_kind(v);
	/* One that is halted only goes on with an interrupt. */
	if (run->activity == ACTIVITY_ACTIVE)
		hide_interrupts(v);
	d->step = 1;
	/* With TF in a shadow VT-x enters with the trap due, before the instruction; and no
	 * interrupt can come now. */
	run->shadow &= SHADOW_NMI;
	run->rflags |= RFLAGS_TF;
	run->dirty |= GROUP_RIP;
}

/* What the instruction left of our TF in the guest; it is done. */
static void step_clean(struct vcpu *v)
{
	struct debug_saved *d = &v->state->debug;
	struct run_page *run = v->run;
	u64 stack = run->gpr[RSP];
	u8 flags;

	if (d->step_own || d->step_kind == STEP_LOADS)
		return;
	run->rflags &= ~RFLAGS_TF;
	run->dirty |= GROUP_RIP;
	if (d->step_kind == STEP_SYSCALL && run->rip != d->step_rip + 2)
		run->gpr[R11] &= ~RFLAGS_TF;
	if (d->step_kind != STEP_PUSHF)
		return;
	vcpu_need(v, GROUP_SEG | GROUP_CR);
	if (!in_64_bit_mode(run)) {
		stack = run->ss.attributes & SEGMENT_DB ? (u32)stack : (u16)stack;
		stack = (u32)(run->ss.base + stack);
	}
	if (debug_read(v, stack + 1, &flags, 1) == 1) {
		flags &= (u8) ~(RFLAGS_TF >> 8);
		debug_write(v, stack + 1, &flags, 1);
	}
}

/* The step is done, or given up for another reason to stop. */
static void step_end(struct vcpu *v)
{
	struct debug_saved *d = &v->state->debug;
	struct run_page *run = v->run;
	bool done = v->debug.why == DEBUG_WHY_STEP;

	d->step = 0;
	debug_show_interrupts(v);
	if (done) {
		step_clean(v);
		if (d->step_own) /* the trap was the guest's, too */
			debug_reflect(v, DR6_BS);
		return;
	}
	if (!d->step_own && !(run->rflags & RFLAGS_TF))
		__atomic_fetch_add(&v->machine->state->debug.strays, 1, __ATOMIC_RELAXED);
	if (!d->step_own)
		run->rflags &= ~RFLAGS_TF;
	run->dirty |= GROUP_RIP;
}

u32 debug_exceptions(const struct machine *m)
{
	bool wanted =
		m->debug.attached || __atomic_load_n(&m->state->debug.strays, __ATOMIC_RELAXED);

	return (wanted ? BIT(VECTOR_DB) : 0) | (debug_soft_any(m) ? BIT(VECTOR_GP) : 0);
}

/* Puts the debugger's breakpoints in the place of the guest's. */
static void arm_points(struct vcpu *v)
{
	const struct debug_state *points = &v->machine->state->debug;
	struct debug_saved *d = &v->state->debug;
	struct run_page *run = v->run;

	for (u32 i = 0; i < DEBUG_HARD_MAX; i++) {
		d->dr[i] = run->dr[i];
		run->dr[i] = points->hard[i].linear;
	}
	d->dr7 = run->dr7;
	d->armed = 1;
	run->dr7 = debug_dr7(v->machine);
	run->dirty |= GROUP_DR;
}

/* A HLT that is stepped over is completed by the VMM, which ends the step. */
static void arm_exits(struct vcpu *v)
{
	struct debug_saved *d = &v->state->debug;
	struct run_page *run = v->run;

	d->hlt = d->step || debug_soft_any(v->machine);
	if (d->hlt)
		run->flags &= ~RUN_HLT_WAIT;
	run->exceptions = debug_exceptions(v->machine);
	run->dirty |= GROUP_CONTROL;
}

void debug_arm(struct vcpu *v, enum debug_action action)
{
	if (debug_dr7(v->machine))
		arm_points(v);
	if (action == DEBUG_STEP && !v->state->wait_startup)
		step_begin(v);
	arm_exits(v);
}

void debug_init_signal(struct vcpu *v)
{
	struct debug_saved *d = &v->state->debug;

	debug_show_interrupts(v);
	d->step = 0;
	if (d->armed)
		arm_points(v);
	arm_exits(v);
}

/* What the guest wrote meanwhile stays. */
void debug_disarm(struct vcpu *v)
{
	const struct debug_state *points = &v->machine->state->debug;
	struct debug_saved *d = &v->state->debug;
	struct run_page *run = v->run;

	if (d->step)
		step_end(v);
	if (d->hlt && !v->state->unhalted) {
		run->flags |= RUN_HLT_WAIT;
		run->dirty |= GROUP_CONTROL;
	}
	d->hlt = 0;
	if (!d->armed)
		return;
	for (u32 i = 0; i < DEBUG_HARD_MAX; i++) {
		if (run->dr[i] == points->hard[i].linear)
			run->dr[i] = d->dr[i];
	}
	if (run->dr7 == debug_dr7(v->machine))
		run->dr7 = d->dr7;
	d->armed = 0;
	run->dirty |= GROUP_DR;
}

void debug_take_over(struct machine *m)
{
	for (u32 i = 0; i < m->vcpus; i++) {
		struct vcpu *v = &m->vcpu[i];
		const struct debug_saved *d = &v->state->debug;

		if (d->armed || d->step || d->hlt) {
			vcpu_need(v, GROUP_ALL_REG);
			debug_disarm(v);
		}
	}
	debug_points_clear(m);
	for (u32 i = 0; i < m->vcpus; i++) {
		struct run_page *run = m->vcpu[i].run;

		if (run->exceptions != debug_exceptions(m)) {
			run->exceptions = debug_exceptions(m);
			run->dirty |= GROUP_CONTROL;
		}
	}
}

static void stop(struct vcpu *v, enum debug_why why)
{
	v->debug.why = why;
	v->pause = true;
	debug_halt(v->machine);
}

bool debug_failed(struct vcpu *v)
{
	if (!v->machine->debug.attached)
		return false;
	stop(v, DEBUG_WHY_FAILED);
	return true;
}

void debug_reflect(struct vcpu *v, u64 status)
{
	struct run_page *run = v->run;

	vcpu_need(v, GROUP_DR);
	run->dr6 = (run->dr6 & ~DR6_POINTS) | (status & DR6_STATUS);
	if (status & DR6_BD)
		run->dr7 &= ~DR7_GD;
	run->dirty |= GROUP_DR;
	vcpu_raise(v, VECTOR_DB);
}

/* A trap of ours is none for the guest: AMD-V has put it into DR6. */
static void forget(struct vcpu *v, u64 status, u64 before)
{
	vcpu_need(v, GROUP_DR);
	v->run->dr6 &= ~(status & ~before);
	v->run->dirty |= GROUP_DR;
}

static bool debug_trap(struct vcpu *v)
{
	struct debug_state *points = &v->machine->state->debug;
	struct debug_saved *d = &v->state->debug;
	u64 status = v->run->exit.exception.address & DR6_STATUS;
	u64 strays = __atomic_load_n(&points->strays, __ATOMIC_RELAXED);

	vcpu_need(v, GROUP_RIP);
	/* Bochs with AMD-V says nothing in DR6 */
	if (!status && d->step && d->step_kind != STEP_INT1)
		status = DR6_BS;
	if (d->armed) {
		for (u32 i = 0; i < DEBUG_HARD_MAX; i++) {
			if (!(status & BIT(i)) || !points->hard[i].length)
				continue;
			v->debug.point = points->hard[i];
			stop(v, DEBUG_WHY_HARD);
			forget(v, status & (DR6_POINTS | DR6_BS), 0);
			return true;
		}
	}
	if (!(status & DR6_BS))
		return false;
	if (d->step) {
		stop(v, DEBUG_WHY_STEP);
		forget(v, DR6_BS, d->step_own ? DR6_BS : 0);
		return true;
	}
	while (strays && !__atomic_compare_exchange_n(&points->strays, &strays, strays - 1, false,
				 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	if (!strays)
		return false;
	v->run->rflags &= ~RFLAGS_TF;
	v->run->dirty |= GROUP_RIP;
	forget(v, DR6_BS, 0);
	return true;
}

static u64 code_address(const struct vcpu *v)
{
	const struct run_page *run = v->run;

	return in_64_bit_mode(run) ? run->rip : (u32)(run->cs.base + run->rip);
}

static bool at_breakpoint(struct vcpu *v)
{
	gpa_t gpa;

	vcpu_need(v, GROUP_RIP | GROUP_CR | GROUP_SEG);
	return debug_translate(v, code_address(v), &gpa) && debug_soft_at(v->machine, gpa);
}

bool debug_hlt(struct vcpu *v)
{
	if (!debug_wants_hlt(v) || !at_breakpoint(v))
		return false;
	stop(v, DEBUG_WHY_SOFT);
	return true;
}

bool debug_exception(struct vcpu *v)
{
	switch (v->run->exit.exception.vector) {
	case VECTOR_DB:
		if (!debug_trap(v))
			debug_reflect(v, v->run->exit.exception.address);
		return true;
	case VECTOR_GP: /* HLT of ring 3 */
		if (!at_breakpoint(v))
			return false;
		stop(v, DEBUG_WHY_SOFT);
		return true;
	}
	return false;
}

bool debug_stepped(struct vcpu *v)
{
	if (!v->state->debug.step)
		return false;
	stop(v, DEBUG_WHY_STEP);
	return true;
}
