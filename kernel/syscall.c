/* The system calls that are not on a fast path: dispatch, objects, capabilities, the machine. */
#include "kernel/asm.h"
#include "kernel/dev.h"
#include "kernel/iommu.h"
#include "kernel/kernel.h"
#include "kernel/mem.h"

#define RESET_CONTROL 0xcf9

/*
 * Each of these makes an object of its kind; the message page of `t` says what. *out is the object
 * if a capability to it is still to be made, or if it is to be destroyed because of the status.
 */
static status_t domain_create(struct thread *t, struct domain *payer, struct kobj **out)
{
	struct msg_create_domain m = *(const struct msg_create_domain *)t->message;
	struct cap pool;
	struct cap event = {0};
	struct domain *d;
	status_t s = cap_lookup(t->domain, m.pool, KIND_MEM, RIGHT_CREATE, &pool);

	if (s == STATUS_OK && m.supervisor != CAP_NULL)
		s = cap_lookup(t->domain, m.supervisor, KIND_EVENT, 0, &event);
	if (s != STATUS_OK)
		return s;
	if (event.obj && m.supervisor_bits & ~event.data)
		return STATUS_DENIED;
	d = pool_alloc(&payer->pool, sizeof(*d));
	if (!d)
		return STATUS_NO_MEMORY;
	list_init(&d->pool_mems);
	d->obj.payer = payer;
	s = mem_to_pool(container_of(pool.obj, struct mem, obj), d);
	if (s == STATUS_OK) {
		m.name[sizeof(m.name) - 1] = 0;
		s = domain_init(d, payer, m.name);
	}
	if (s != STATUS_OK) {
		while (!list_empty(&d->pool_mems))
			mem_from_pool(container_of(d->pool_mems.next, struct mem, pool_link));
		pool_free(&payer->pool, d, sizeof(*d));
		return s;
	}
	/* If the event's thread dies now, the domain has no supervisor, as if it had died later. */
	if (event.obj)
		slot_set(&d->supervisor, event.obj, KIND_EVENT, 0, m.supervisor_bits);
	*out = &d->obj;
	return STATUS_OK;
}

static status_t sys_obj_create(struct thread *t, const struct cap *unused)
{
	static status_t (*const create[KIND_COUNT])(
		struct thread *, struct domain *, struct kobj **) = {
		[KIND_DOMAIN] = domain_create,
		[KIND_THREAD] = thread_create,
		[KIND_PORT] = port_create,
		[KIND_EVENT] = event_create,
		[KIND_MEM] = mem_create,
		[KIND_VM] = vm_create,
		[KIND_VCPU] = vcpu_create,
		[KIND_IRQ] = irq_create,
		[KIND_DEV] = dev_create,
	};
	u64 kind = arg(t, RDI);
	struct kobj *o = NULL;
	struct cap payer;
	u32 rights = RIGHT_CREATE;
	status_t s;

	(void)unused;
	if (t->op_arg[0]) /* a mem: it is not all clear yet */
		return mem_create_continue(t);
	if (kind >= KIND_COUNT || !create[kind])
		return STATUS_BAD_ARG;
	/* Whoever makes a thread says how urgent it is and where it runs. */
	if (kind == KIND_THREAD || kind == KIND_DOMAIN)
		rights |= RIGHT_SCHED;
	s = cap_lookup(t->domain, arg(t, RSI), KIND_DOMAIN, rights, &payer);
	if (s != STATUS_OK)
		return s;
	s = create[kind](t, container_of(payer.obj, struct domain, obj), &o);
	if (s == STATUS_OK && o)
		s = domain_cap_set(t->domain, arg(t, RDX), o, kind, RIGHT_ALL, 0);
	if (s != STATUS_OK && o)
		destroy_start(o, NULL);
	return s;
}

static status_t sys_cap_grant(struct thread *t, const struct cap *cap)
{
	struct domain *d = container_of(cap->obj, struct domain, obj);
	struct cap from;
	struct slot *to;
	status_t s;

	if (arg(t, RDX) == CAP_NULL) {
		spin_lock(&d->space.lock);
		s = domain_slot(d, arg(t, RSI), &to);
		if (s == STATUS_OK)
			slot_clear(to);
		spin_unlock(&d->space.lock);
		return s;
	}
	s = cap_lookup(t->domain, arg(t, RDX), KIND_NONE, RIGHT_GRANT, &from);
	if (s != STATUS_OK)
		return s;
	if (from.kind == KIND_EVENT && arg(t, R9) & ~from.data)
		return STATUS_DENIED;
	return domain_cap_set(d, arg(t, RSI), from.obj, from.kind, from.rights & (u32)arg(t, R8),
		from.kind == KIND_EVENT ? arg(t, R9) : 0);
}

/* PM1 control registers (ACPI specification, 4.8.3.2), and the ICH's reset control. */
static bool port_is_power(u32 port)
{
	const struct boot_power *p = &boot->power;

	return port == RESET_CONTROL || (p->pm1a_control && port / 2 == p->pm1a_control / 2u) ||
	       (p->pm1b_control && port / 2 == p->pm1b_control / 2u);
}

/* 8259s, configuration. */
static bool port_is_kernel(u32 port)
{
	return port == 0x20 || port == 0x21 || port == 0xa0 || port == 0xa1 ||
	       (port >= 0xcf8 && port <= 0xcff && port != RESET_CONTROL);
}

static status_t give_ports(struct thread *t, const struct cap *sys)
{
	struct cap domain;
	u64 first = arg(t, R8), count = arg(t, R9);
	status_t s = cap_lookup(t->domain, arg(t, RDX), KIND_DOMAIN, RIGHT_FILL, &domain);
	bool power;

	if (s != STATUS_OK)
		return s;
	power = domain.obj == &t->domain->obj && sys->rights & RIGHT_POWER;
	if (first > 0xffff || !count || count > 0x10000 - first)
		return STATUS_BAD_ARG;
	for (u32 p = (u32)first; p < first + count; p++)
		if (port_is_kernel(p) || (port_is_power(p) && !power))
			return STATUS_DENIED;
	return domain_ports(container_of(domain.obj, struct domain, obj), (u32)first, (u32)count);
}

static status_t pool_state(struct thread *t)
{
	struct cap domain;
	struct pool *pool;
	status_t s = cap_lookup(t->domain, arg(t, RDX), KIND_DOMAIN, 0, &domain);

	if (s != STATUS_OK)
		return s;
	pool = &container_of(domain.obj, struct domain, obj)->pool;
	t->regs.gpr[RDI] = pool->free_frames * PAGE_SIZE;
	t->regs.gpr[RSI] = pool->total_frames * PAGE_SIZE;
	return s;
}

static status_t sys_sys_ctl(struct thread *t, const struct cap *unused)
{
	static const u32 needs[] = {
		[SYS_CTL_LOG_READ] = RIGHT_LOG,
		[SYS_CTL_LOG_EVENT] = RIGHT_LOG,
		[SYS_CTL_PORTS] = RIGHT_PORTS,
		[SYS_CTL_QUIET] = RIGHT_LOG,
		[SYS_CTL_PANIC] = RIGHT_POWER,
		[SYS_CTL_LOG_WRITE] = RIGHT_LOG,
		[SYS_CTL_DMA_FAULT] = RIGHT_LOG,
	};
	u64 op = arg(t, RSI);
	struct cap sys = {0};
	struct cap event;
	status_t s;

	(void)unused;
	if (op < ARRAY_SIZE(needs) && needs[op]) {
		s = cap_lookup(t->domain, arg(t, RDI), KIND_SYS, needs[op], &sys);
		if (s != STATUS_OK)
			return s;
	}
	switch (op) {
	case SYS_CTL_EXIT:
		thread_fault(t, FAULT_EXIT, 0, arg(t, RDX), 0);
		return STATUS_OK;
	case SYS_CTL_LOG_READ:
		t->regs.gpr[RDI] = log_read(t->message, PAGE_SIZE);
		return STATUS_OK;
	case SYS_CTL_LOG_EVENT:
		s = cap_lookup(t->domain, arg(t, RDX), KIND_EVENT, 0, &event);
		if (s == STATUS_OK)
			log_bind(&event);
		return s;
	case SYS_CTL_PORTS:
		return give_ports(t, &sys);
	case SYS_CTL_QUIET:
		log_quiet(arg(t, RDX) != 0);
		return STATUS_OK;
	case SYS_CTL_POOL:
		return pool_state(t);
	case SYS_CTL_PANIC:
		panic("asked for by %s", t->domain->name);
	case SYS_CTL_MACHINE:
		*(struct msg_machine *)t->message = machine;
		return STATUS_OK;
	case SYS_CTL_LOG_WRITE:
		if (arg(t, R8) > 256)
			return STATUS_BAD_ARG;
		log_raw((const char *)t->message, arg(t, R8), t->domain->name);
		return STATUS_OK;
	case SYS_CTL_DMA_FAULT:
		return iommu_fault((struct msg_dma_fault *)t->message) ? STATUS_OK
								       : STATUS_NOT_FOUND;
	}
	return STATUS_BAD_CALL;
}

void syscall_bad(void);
void syscall_bad(void)
{
	cpu_self()->current->regs.gpr[RAX] = STATUS_BAD_CALL;
}

/* The calls whose arguments go into the thread first: they may be restarted, or go on elsewhere. */
static void syscall_slow(u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
	/* KIND_NONE: a capability of any kind; KIND_COUNT: RDI is none. */
	static const struct {
		status_t (*run)(struct thread *t, const struct cap *cap);
		enum kind kind;
		u32 rights;
	} calls[SYS_COUNT] = {
		[SYS_VCPU_CTL] = {sys_vcpu_ctl, KIND_VCPU, RIGHT_CTL},
		[SYS_OBJ_CREATE] = {sys_obj_create, KIND_COUNT, 0},
		[SYS_OBJ_DESTROY] = {sys_obj_destroy, KIND_NONE, RIGHT_DESTROY},
		[SYS_CAP_GRANT] = {sys_cap_grant, KIND_DOMAIN, RIGHT_FILL},
		[SYS_MEM_MAP] = {sys_mem_map, KIND_NONE, 0},
		[SYS_MEM_UNMAP] = {sys_mem_unmap, KIND_NONE, 0},
		[SYS_VM_TRAP] = {sys_vm_trap, KIND_VM, RIGHT_CTL},
		[SYS_IRQ_CTL] = {sys_irq_ctl, KIND_IRQ, RIGHT_CTL},
		[SYS_DEV_CTL] = {sys_dev_ctl, KIND_NONE, 0},
		[SYS_THREAD_CTL] = {sys_thread_ctl, KIND_THREAD, RIGHT_CTL},
		[SYS_SYS_CTL] = {sys_sys_ctl, KIND_COUNT, 0},
	};
	struct thread *t = cpu_self()->current;
	u32 number = t->regs.gpr[RAX] & 0xff;
	struct cap cap = {0};
	status_t s = STATUS_OK;

	if (!calls[number].run)
		return syscall_bad();
	t->regs.gpr[RDI] = a;
	t->regs.gpr[RSI] = b;
	t->regs.gpr[RDX] = c;
	t->regs.gpr[R10] = d;
	t->regs.gpr[R8] = e;
	t->regs.gpr[R9] = f;
	if (calls[number].kind != KIND_COUNT)
		s = cap_lookup(t->domain, a, calls[number].kind, calls[number].rights, &cap);
	if (s == STATUS_OK)
		s = calls[number].run(t, &cap);
	if (s != STATUS_LATER)
		t->regs.gpr[RAX] = s;
}

static void syscall_ctl(u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
	if (b == SYS_CTL_NOP)
		cpu_self()->current->regs.gpr[RAX] = STATUS_OK;
	else
		syscall_slow(a, b, c, d, e, f);
}

#define FAST(f) ((void (*)(void))(f))

/* entry.S calls these with the arguments in registers. */
void (*const syscalls[SYS_COUNT])(void) = {
	[SYS_IPC_CALL] = FAST(sys_ipc_call),
	[SYS_IPC_REPLY_WAIT] = FAST(sys_ipc_reply_wait),
	[SYS_EVENT_SIGNAL] = FAST(sys_event_signal),
	[SYS_EVENT_WAIT] = FAST(sys_event_wait),
	[SYS_VCPU_RUN] = FAST(sys_vcpu_run),
	[SYS_VCPU_CTL... SYS_THREAD_CTL] = FAST(syscall_slow),
	[SYS_SYS_CTL] = FAST(syscall_ctl),
};
static_assert(SYS_COUNT == SYSCALLS);
static_assert(offsetof(struct cpu, scratch) == CPU_SCRATCH);
static_assert(offsetof(struct cpu, stack_top) == CPU_STACK_TOP);
static_assert(offsetof(struct cpu, current) == CPU_CURRENT);
static_assert(offsetof(struct cpu, resched) == CPU_RESCHED);
static_assert(offsetof(struct cpu, loaded) == CPU_LOADED);
static_assert(offsetof(struct thread, regs.rip) == T_RIP);
static_assert(offsetof(struct thread, regs.rflags) == T_RFLAGS);
static_assert(offsetof(struct thread, resume) == T_RESUME);
