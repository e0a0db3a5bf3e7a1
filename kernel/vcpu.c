/* vCPUs: making them, running them, what both vendors share of an exit. */
#include "kernel/kernel.h"
#include "kernel/virq.h"

#define XCR0_X87       BIT(0)
#define XCR0_SSE       BIT(1)
#define XCR0_AVX       BIT(2)
#define XCR0_AVX512    0xe0ull
#define WINDOW_UNKNOWN 0xff
#define SAMPLE         64 /* entries, of which one is measured */
/* Kinds that go straight to the VMM */
#define PLAIN_EXITS ((BIT(EXIT_KIND_COUNT) - 1) & ~(BIT(EXIT_IO) | BIT(EXIT_HLT)))

static void timer_expired(struct timer *timer)
{
	struct vcpu *v = container_of(timer, struct vcpu, timer);
	u32 vector = __atomic_load_n(&v->run->timer_vector, __ATOMIC_RELAXED);

	/* The VMM may have written a new one that is not taken over yet. */
	if (v->run->timer == timer->deadline)
		v->run->timer = 0;
	if (vector >= 16 && vector < 256)
		virq_request(v, vector);
	if (v->thread)
		vcpu_wake(v);
}

static void deadline_expired(struct timer *timer)
{
	struct vcpu *v = container_of(timer, struct vcpu, deadline);

	if (v->thread && (v->thread->state == THREAD_HALTED || v->thread->resume == RESUME_GUEST))
		vcpu_leave(v, STATUS_TIMEOUT, 0);
}

static void vcpu_init(struct vcpu *v)
{
	v->fpu.xcr0 = XCR0_X87;
	v->timer.expire = timer_expired;
	v->deadline.expire = deadline_expired;
	v->deadline.deadline = TIME_NEVER;
	list_init(&v->map_link);
	fpu_area_init(v->fpu.area);
	v->run->dirty = GROUP_ALL_REG | GROUP_CONTROL | GROUP_INJECT | GROUP_APIC;
}

/* Makes `t` the thread of `v`; other CPUs may try the same. A thread that dies meanwhile is looked
 * at again by thread_kill. */
status_t vcpu_tie(struct vcpu *v, struct thread *t)
{
	struct thread *old = v->thread;
	struct vcpu *none = NULL;

	v->thread = t;
	if (!__atomic_compare_exchange_n(
		    &t->vcpu, &none, v, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
		v->thread = old;
		return STATUS_BUSY;
	}
	if (old)
		old->vcpu = NULL;
	v->until_sample = SAMPLE;
	return STATUS_OK;
}

/* Counts one more vCPU, unless the VM is being destroyed. */
static bool vm_hold(struct vm *vm)
{
	bool alive;

	spin_lock(&vm->obj.lock);
	alive = !vm->obj.dying;
	if (alive)
		__atomic_add_fetch(&vm->vcpus, 1, __ATOMIC_RELAXED);
	spin_unlock(&vm->obj.lock);
	return alive;
}

status_t vcpu_create(struct thread *t, struct domain *payer, struct kobj **out)
{
	struct msg_create_vcpu m = *(const struct msg_create_vcpu *)t->message;
	struct cap vm;
	struct cap thread;
	struct thread *runner;
	struct vcpu *v;
	status_t s = cap_lookup(t->domain, m.vm, KIND_VM, RIGHT_CREATE, &vm);

	if (s == STATUS_OK)
		s = cap_lookup(t->domain, m.thread, KIND_THREAD, RIGHT_CTL, &thread);
	if (s != STATUS_OK)
		return s;
	runner = container_of(thread.obj, struct thread, obj);
	if (runner->vcpu)
		return STATUS_BUSY;
	/* A VM must not end before its vCPUs. */
	if (vm.obj->payer != payer && !domain_above(vm.obj->payer, payer))
		return STATUS_BAD_ARG;
	v = pool_alloc(&payer->pool, sizeof(*v));
	if (!v)
		return STATUS_NO_MEMORY;
	v->obj.payer = payer;
	v->vm = container_of(vm.obj, struct vm, obj);
	v->run = pool_frame_alloc(&payer->pool);
	v->apic = pool_frame_alloc(&payer->pool);
	v->fpu.area = pool_alloc(&payer->pool, FPU_AREA_SIZE);
	s = STATUS_NO_MEMORY;
	if (v->run && v->apic && v->fpu.area) {
		v->apic_pa = window_pa(v->apic);
		v->cpu = runner->cpu;
		vcpu_init(v);
		s = vcpu_ops->vcpu_init(v);
	}
	if (s == STATUS_OK && !vm_hold(v->vm))
		s = STATUS_GONE;
	if (s != STATUS_OK) {
		vcpu_free(v);
		return s;
	}
	kobj_init(&v->obj, KIND_VCPU, payer, 0);
	*out = &v->obj;
	return vcpu_tie(v, runner);
}

void vcpu_free(struct vcpu *v)
{
	struct pool *pool = &v->obj.payer->pool;

	vcpu_ops->vcpu_free(v);
	pool_frame_free(pool, v->run);
	pool_frame_free(pool, v->apic);
	pool_free(pool, v->fpu.area, FPU_AREA_SIZE);
	pool_free(pool, v, sizeof(*v));
}

static void unload(struct cpu *c)
{
	struct vcpu *v = c->loaded;

	if (!v)
		return;
	read_breakpoints(v->dr);
	v->dr6 = read_dr6();
	if (vcpu_ops->unload)
		vcpu_ops->unload(v);
	c->loaded = NULL;
}

void vcpu_flush_stale(struct vcpu *v)
{
	u64 generation = __atomic_load_n(&v->vm->space.tlb.generation, __ATOMIC_ACQUIRE);

	if (v->tlb_generation != generation) {
		v->tlb_generation = generation;
		vcpu_ops->flush(v);
	}
}

bool vcpu_new_tag(struct vcpu *v, u32 last)
{
	struct cpu *c = cpu_self();
	bool again = c->asid_last == last;

	if (again) {
		c->asid_last = 0;
		c->asid_generation++;
	}
	v->asid = ++c->asid_last;
	v->asid_generation = c->asid_generation;
	return again;
}

static void load(struct cpu *c, struct vcpu *v)
{
	unload(c);
	c->loaded = v;
	vcpu_ops->load(v);
	vcpu_flush_stale(v);
	write_breakpoints(v->dr);
	write_dr6(v->dr6);
}

void vcpu_stop(struct vcpu *v)
{
	struct cpu *c = cpu_self();
	struct thread *t = v->thread;

	timer_cancel(&v->timer);
	timer_cancel(&v->deadline);
	if (c->loaded == v)
		unload(c);
	fpu_evict(c, &v->fpu); /* its next thread goes on with it */
	if (t) {
		if (t->state == THREAD_HALTED || t->resume == RESUME_GUEST)
			vcpu_leave(v, STATUS_GONE, 0);
		t->vcpu = NULL;
		v->thread = NULL;
	}
}

static bool xcr0_valid(u64 x)
{
	if (!(x & XCR0_X87) || x & ~features.xcr0)
		return false;
	if ((x & XCR0_AVX) && !(x & XCR0_SSE))
		return false;
	return !(x & XCR0_AVX512) || ((x & XCR0_AVX512) == XCR0_AVX512 && (x & XCR0_AVX));
}

static void export(struct vcpu *v, u64 groups)
{
	struct run_page *r = v->run;

	r->valid = groups;
	if (likely(groups == GROUP_RIP)) {
		r->activity = v->halted ? ACTIVITY_HLT : ACTIVITY_ACTIVE;
		return vcpu_ops->export(v, groups);
	}
	if (unlikely(groups & GROUP_DR)) {
		read_breakpoints(r->dr);
		r->dr6 = read_dr6();
	}
	if (unlikely(groups & GROUP_XCR)) {
		fpu_sync(cpu_self());
		r->xcr0 = v->fpu.xcr0;
	}
	if (groups & GROUP_RIP)
		r->activity = v->halted ? ACTIVITY_HLT : ACTIVITY_ACTIVE;
	vcpu_ops->export(v, groups);
}

/* Takes over what the VMM changed. */
static void import(struct vcpu *v, u64 groups)
{
	struct run_page *r = v->run;

	if (likely(groups == GROUP_RIP)) {
		v->halted = r->activity == ACTIVITY_HLT;
		return vcpu_ops->import(v, groups);
	}
	if (groups & GROUP_DR) {
		write_breakpoints(r->dr);
		write_dr6((r->dr6 & 0x1e00full) | 0xfffe0ff0);
	}
	if (groups & GROUP_XCR) {
		u64 xcr0 = __atomic_load_n(&r->xcr0, __ATOMIC_RELAXED);

		if (xcr0_valid(xcr0))
			v->fpu.xcr0 = xcr0;
	}
	if (groups & GROUP_RIP)
		v->halted = r->activity == ACTIVITY_HLT;
	if (groups & GROUP_APIC) {
		v->irr_check = true;
		v->window = WINDOW_UNKNOWN; /* the TPR may be another one */
	}
	if (groups & GROUP_CONTROL) {
		u64 at = __atomic_load_n(&r->timer, __ATOMIC_RELAXED);

		timer_arm(&v->timer, at ? at : TIME_NEVER);
	}
	if (groups & GROUP_FLUSH)
		vcpu_ops->flush(v);
	vcpu_ops->import(v, groups);
}

/* A type that hardware injects, and an exception that exists. */
static bool event_valid(u64 event)
{
	switch (event & INJECT_TYPE_MASK) {
	case INJECT_TYPE_INTR:
	case INJECT_TYPE_NMI:
	case INJECT_TYPE_SOFT:
		return true;
	case INJECT_TYPE_EXCEPT:
		return (event & 0xff) < 32;
	}
	return false;
}

/* Takes over what is dirty; always before anything is exported over it. */
static inline void import_dirty(struct vcpu *v, struct run_page *r)
{
	u64 groups = __atomic_load_n(&r->dirty, __ATOMIC_ACQUIRE);

	if (groups) {
		r->dirty = 0;
		import(v, groups);
	}
}

/* Opens the smallest window that lets the pending interrupt, or the VMM, in. */
static void set_window(struct vcpu *v, unsigned class, bool nmi)
{
	if (v->window != class) {
		v->window = (u8) class;
		vcpu_ops->window(v, class);
	}
	if (v->nmi_window != nmi) {
		v->nmi_window = nmi;
		vcpu_ops->nmi_window(v, nmi);
	}
}

/* Delivers what can be delivered now. True: the VMM asked for a window, and it is open. */
static bool deliver(struct vcpu *v, u64 flags)
{
	struct run_page *r = v->run;
	unsigned class = 0;
	bool open = false;
	u64 event = __atomic_load_n(&r->inject, __ATOMIC_RELAXED);
	int vector;

	if (unlikely(event & INJECT_VALID)) {
		v->halted = false;
		/* One that the backend reflects goes first; then this one waits for the next exit.
		 */
		if (!event_valid(event) || vcpu_ops->inject(v, event, r->inject_length))
			r->inject = 0;
	}
	if (unlikely(flags & RUN_WINDOW ||
		     (flags & RUN_EOI_SKIP && v->irr_check && !virq_may_skip_eoi(v)))) {
		open = vcpu_ops->can_take(v);
		class = 16;
	}
	if ((v->irr_check || v->halted) && !open) {
		bool by_hardware = vcpu_ops->sync_apic && vcpu_ops->sync_apic(v);

		vector = virq_deliverable(v);
		if (vector >= 0 && virq_above_tpr(v, vector) && vcpu_ops->can_take(v)) {
			v->halted = false;
			if (!by_hardware) {
				vcpu_ops->inject(
					v, INJECT_VALID | INJECT_TYPE_INTR | (u64)vector, 0);
				virq_accept(v, vector);
				v->stats.injections++;
				vector = virq_deliverable(v);
			}
		}
		if (by_hardware)
			v->irr_check = false;
		else if (vector >= 0 && class < (unsigned)vector >> 4)
			class = (unsigned)vector >> 4;
	}
	set_window(v, open ? 0 : class, flags & RUN_NMI_WINDOW);
	return open;
}

/* Ends vcpu_run without an exit. */
void vcpu_leave(struct vcpu *v, status_t s, u64 bits)
{
	struct thread *t = v->thread;
	struct cpu *c = cpu_self();

	t->resume = RESUME_SYSRET;
	t->regs.gpr[RAX] = s;
	t->regs.gpr[RDI] = bits;
	v->run->exit_kind = EXIT_NONE;
	v->run->valid = 0;
	if (s != STATUS_GONE) {
		u64 length = 0;
		u64 event;

		if (c->loaded != v)
			load(c, v);
		import_dirty(v, v->run);
		event = vcpu_ops->uninject(v, &length);
		if (event) {
			v->run->inject = event;
			v->run->inject_length = length;
		}
		export(v, v->run->export[EXIT_NONE] & GROUP_ALL_REG);
	}
	if (c->current == t)
		thread_restore(c, t);
	if (t->state == THREAD_HALTED)
		thread_ready(t);
	else if (t->wait_mask)
		t->wait_mask = 0;
}

void vcpu_wake(struct vcpu *v)
{
	if (v->thread->state == THREAD_HALTED)
		thread_ready(v->thread);
}

static __attribute__((noreturn)) void return_exit(struct vcpu *v, unsigned kind)
{
	struct cpu *c = cpu_self();
	struct thread *t = v->thread;
	struct run_page *r = v->run;

	t->resume = RESUME_SYSRET;
	t->wait_mask = 0;
	t->regs.gpr[RAX] = STATUS_OK;
	v->stats.exits[kind]++;
	r->sequence++;
	export(v, r->export[kind] & GROUP_ALL_REG);
	if (unlikely(c->resched))
		cpu_resume();
	thread_restore(c, t);
	return_sysret_to(t);
}

/* Event bits that are bound to vectors become pending. */
static void take_bound(struct vcpu *v, u64 bits)
{
	__atomic_and_fetch(&v->thread->event, ~bits, __ATOMIC_SEQ_CST);
	for (; bits; bits &= bits - 1)
		virq_request(v, v->bound[__builtin_ctzl(bits)]);
}

/* The thread's event has bits for the guest or the VMM. Returns when the guest can go on. */
static __attribute__((noinline)) void take_event(struct vcpu *v, u64 bits)
{
	if (bits & v->bound_mask)
		take_bound(v, bits & v->bound_mask);
	bits &= v->mask;
	if (!bits)
		return;
	__atomic_and_fetch(&v->thread->event, ~bits, __ATOMIC_SEQ_CST);
	vcpu_leave(v, STATUS_EVENT, bits);
	cpu_resume();
}

/* Interrupts, windows, HLT. Returns when the guest can be entered. */
static __attribute__((noinline)) void attend(struct vcpu *v)
{
	if (v->run->pending.control)
		virq_merge(v);
	if (deliver(v, __atomic_load_n(&v->run->flags, __ATOMIC_RELAXED))) {
		v->run->exit_kind = EXIT_WINDOW;
		return_exit(v, EXIT_WINDOW);
	}
	if (v->halted) {
		v->stats.halts++;
		thread_block(v->thread, THREAD_HALTED);
		/* Who posted a vector before may have seen the thread run: event_set. */
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (v->run->pending.control)
			thread_ready(v->thread);
		/* On a fresh stack: events without end that nobody waits for come back to here. */
		asm volatile("mov %%gs:%c0, %%rsp; xor %%ebp, %%ebp; call cpu_resume" ::"i"(
			offsetof(struct cpu, stack_top)));
	}
}

void vcpu_continue(struct vcpu *v)
{
	struct cpu *c = cpu_self();
	struct thread *t = v->thread;
	struct run_page *r = v->run;
	u64 mask = v->mask | v->bound_mask;

	/* Published before the event is read; event_set does it the other way round. */
	__atomic_store_n(&t->wait_mask, mask, __ATOMIC_SEQ_CST);
	if (unlikely(t->event & mask))
		take_event(v, t->event & mask);
	if (unlikely(c->loaded != v))
		load(c, v);
	import_dirty(v, r);
	if (unlikely(v->attention || r->pending.control ||
		     r->flags & (RUN_WINDOW | RUN_NMI_WINDOW) || r->inject & INJECT_VALID))
		attend(v);
	if (unlikely(c->fpu != &v->fpu || c->xcr0 != v->fpu.xcr0))
		fpu_load_vcpu(c, v);
	v->stats.entries++;
	if (unlikely(!--v->until_sample)) {
		v->until_sample = SAMPLE;
		v->stats.outside += SAMPLE * (sched_run_time(c) - v->left);
		lapic_refresh();
	}
	vcpu_ops->enter(v);
}

/* Those that the kernel may handle itself. Apart, so that the others save no registers. */
static __attribute__((noinline, noreturn)) void exit_special(struct vcpu *v, unsigned kind)
{
	struct run_page *r = v->run;

	switch (kind) {
	case EXIT_IO:
		if (!(r->exit.io.flags & (EXIT_IO_IN | EXIT_IO_STRING))) {
			struct doorbell *b = doorbell_find(v->vm, r->exit.io.port);

			/* One that another CPU takes away just now has rung for nobody: as if a
			 * moment later. */
			if (b && __atomic_load_n(&b->slot.obj, __ATOMIC_ACQUIRE)) {
				v->stats.doorbells++;
				vcpu_ops->skip(v);
				event_set_slot(&b->slot, ~0ull);
				goto reenter;
			}
		}
		break;
	case EXIT_HLT:
		if (r->flags & RUN_HLT_WAIT) {
			vcpu_ops->skip(v);
			v->halted = true;
			goto reenter;
		}
		break;
	case VCPU_WINDOW:
		v->stats.windows++;
		vcpu_ops->window(v, 0);
		v->window = 0;
		goto reenter;
	case VCPU_NMI_WINDOW:
		vcpu_ops->nmi_window(v, false);
		v->nmi_window = false;
		r->exit_kind = EXIT_WINDOW;
		kind = EXIT_WINDOW;
		break;
	case VCPU_INTERRUPT:
		v->stats.interrupts++;
		if (!v->vector) {
			interrupts_take();
			goto reenter;
		}
		interrupt_handle(v->vector);
		v->vector = 0;
		cpu_resume(); /* it may have ended vcpu_run */
	case VCPU_MCE:
		panic("machine check in a guest");
	case VCPU_REENTER:
		goto reenter;
	}
	return_exit(v, kind);
reenter:
	if (unlikely(cpu_self()->resched || cpu_self()->works))
		cpu_resume();
	vcpu_continue(v);
}

void vcpu_exited(struct vcpu *v)
{
	unsigned kind;

	if (unlikely(v->until_sample == 1))
		v->left = sched_run_time(cpu_self());
	kind = vcpu_ops->exit(v);
	if (likely(kind < 64 && BIT(kind) & PLAIN_EXITS))
		return_exit(v, kind);
	exit_special(v, kind);
}

void sys_vcpu_run(u64 cap, u64 mask, u64 deadline)
{
	struct cpu *c = cpu_self();
	struct thread *t = c->current;
	struct slot *slot;
	struct kobj *o = cap_find(t->domain->slots, cap, KIND_VCPU, RIGHT_RUN, &slot);
	struct vcpu *v = t->vcpu;

	if (unlikely(!o || !v || o != &v->obj)) {
		struct cap found;
		status_t s = cap_lookup(t->domain, cap, KIND_VCPU, RIGHT_RUN, &found);

		t->regs.gpr[RAX] = s == STATUS_OK ? STATUS_BAD_STATE : s;
		return;
	}
	v->mask = mask;
	t->resume = RESUME_GUEST;
	/* The timer stays armed over exits, so that a deadline that does not change costs nothing.
	 */
	if (unlikely(deadline != v->deadline.deadline ||
		     (!v->deadline.queued && deadline != TIME_NEVER))) {
		if (deadline != TIME_NEVER && deadline <= rdtsc())
			return vcpu_leave(v, STATUS_TIMEOUT, 0);
		timer_arm(&v->deadline, deadline);
	}
	vcpu_continue(v);
}

void vcpu_fetch(struct vcpu *v, u64 groups)
{
	struct cpu *c = cpu_self();

	if (c->loaded != v)
		load(c, v);
	import_dirty(v, v->run);
	export(v, groups);
}
