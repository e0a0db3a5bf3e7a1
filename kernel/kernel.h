/* What the kernel's files share beyond its objects: layout, boot, log, panic, interrupts, devices
 * of its own. */
#pragma once

#include <stdarg.h>
#include "kernel/abi/boot.h"
#include "kernel/cpu.h"
#include "kernel/domain.h"
#include "kernel/x86.h"

/* Layout of the upper half; the window is mm/window.h's */
#define TEMP_BASE   0xfffffd8000000000ull /* per CPU one 2 MiB leaf: frames that nobody maps */
#define DEVICE_BASE 0xfffffe0000000000ull /* the kernel's own device registers */
#define AREA_BASE   0xffffff0000000000ull /* per-CPU areas */
#define AREA_STRIDE 0x40000ull

#define VECTOR_GSI      0x30 /* + GSI */
#define MAX_GSI         160
#define VECTOR_IPI      0xf0
#define VECTOR_TIMER    0xf1
#define VECTOR_IOMMU    0xf2 /* it has refused something */
#define VECTOR_POSTED   0xf3 /* has no meaning but to a guest that runs */
#define VECTOR_ERROR    0xfe
#define VECTOR_SPURIOUS 0xff

extern const struct boot_info *boot;
extern struct pool boot_pool;
extern struct ptable kernel_ptable;
extern char image_start[], text_end[], rodata_end[], image_end[];

extern struct boot_features features; /* boot->features, where it is nearer */
extern struct msg_machine machine;

/* string.c */
void *memset(void *d, int c, size_t n);
void *memcpy(void *d, const void *s, size_t n);
int memcmp(const void *a, const void *b, size_t n);

/* log.c: lines `[seconds cpu kernel] text` in a ring that root reads; on UART and screen until root
 * says quiet */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_raw(const char *text, size_t n, const char *domain); /* a line of root's */
/* panic: without a lock */
void log_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_text_v(const char *format, va_list args);
size_t log_read(u8 *to, size_t max);
void log_quiet(bool quiet);
void log_bind(const struct cap *event);
void log_wake(void); /* sets what is bound */
void log_tail(void); /* panic: the last lines once more, for whoever has only the screen */

/* screen.c */
void screen_init(void);
void screen_put(char c);

/* panic.c */
void panic(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void must(status_t s, const char *what); /* a panic unless OK */
void panic_regs(const u64 *frame, const char *what) __attribute__((noreturn));
void halt(void) __attribute__((noreturn));
extern u32 panicking;

/* paging.c */
void paging_init(void);
void *device_map(paddr_t pa, u64 size, enum mem_cache cache);
void device_write(paddr_t pa, const u32 words[4]); /* 16-byte aligned; an entry of MSI-X */
status_t window_map(paddr_t pa, u64 size);
void window_unmap(paddr_t pa, u64 size);
void temp_clear(paddr_t pa, u64 size); /* within one 2 MiB-aligned block */

/* cpu.c */
void cpu_patch(void); /* takes out of the entry paths what this CPU does not have */
struct cpu *cpu_make(unsigned index, u32 apic_id);
void cpu_init(struct cpu *c);
void cpus_start(void);
extern u32 cpus_go; /* the other CPUs may run threads */
void cpu_resume(void) __attribute__((noreturn));
void return_to(struct thread *t) __attribute__((noreturn));
void return_sysret_to(struct thread *t) __attribute__((noreturn));
void idle_wait(void) __attribute__((noreturn));
void interrupts_take(void);
void interrupt_handle(u64 vector); /* trap.c: one that was acknowledged */

/* lapic.c */
void lapic_init_bsp(void);
void lapic_init_cpu(void);
void lapic_eoi(void);
void lapic_ipi(u32 apic_id, u32 vector);
void lapic_timer_arm(cycles_t deadline);
void lapic_refresh(void);

/* irq.c */
void irq_init(void);
void irq_handle(unsigned vector);
status_t irq_create(struct thread *t, struct domain *payer, struct kobj **out);
void irq_stop(struct kobj *o);

/* sched.c */
void sched_enqueue(struct cpu *c, struct thread *sc);
void sched_dequeue(struct cpu *c, struct thread *sc);
void sched_charge(struct cpu *c);
cycles_t sched_run_time(struct cpu *c); /* of what runs there, up to now */
void sched_boost(struct thread *sc, u8 priority);
void thread_ready(struct thread *t);           /* its wait is over; on its CPU */
void thread_block(struct thread *t, u8 state); /* the current thread waits */
void thread_block_switch(struct cpu *c, struct thread *t, u8 state); /* likewise, at once */
void sched_init_cpu(struct cpu *c);
void sched_init_thread(struct thread *t);
/* Could a context have these? sched_set gives them to `t`, on its CPU or before it runs. */
bool sched_valid(u64 priority, u64 budget, u64 period);
void sched_set(struct thread *t, u64 priority, u64 budget, u64 period);

/* thread.c */
status_t thread_create(struct thread *t, struct domain *payer, struct kobj **out);
status_t thread_init(struct thread *t, struct domain *d, const struct msg_create_thread *m);
status_t port_create(struct thread *t, struct domain *payer, struct kobj **out);
status_t event_create(struct thread *t, struct domain *payer, struct kobj **out);
void thread_fault(struct thread *t, u32 kind, u32 vector, u64 error, u64 address);
void thread_stop_pending(struct thread *t); /* its call or its wait for another CPU is over */
void thread_kill(struct thread *t);
void event_timeout(struct timer *timer);    /* of thread.timeout */
void event_set(struct thread *t, u64 bits); /* from any CPU */
void event_set_slot(
	const struct slot *s, u64 bits); /* through an embedded slot; bits limited by it */

/* ipc.c */
void ipc_abort(struct thread *t);

/* fpu.c */
#define FPU_AREA_SIZE (machine.fpu_size < 576 ? 576 : machine.fpu_size)
void fpu_init_cpu(struct cpu *c);
void fpu_load_vcpu(struct cpu *c, struct vcpu *v);
/* CR0.TS, and the registers of threads that use them */
void fpu_switch(struct cpu *c, struct thread *t);
/* Learns XCR0 anew from the processor: QEMU 7.2 does not intercept XSETBV, so its guests change it
 * unseen. */
void fpu_sync(struct cpu *c);
/* If the registers of `f` are here, saves them and leaves them to nobody. */
void fpu_evict(struct cpu *c, struct fpu *f);
void fpu_area_init(void *area);
bool fpu_area_check(void *area); /* made safe to restore; false: it was not */

/* destroy.c */
void destroy_start(struct kobj *o, struct thread *waiter);
void thread_park(struct thread *t);
void thread_unpark(struct thread *t, status_t s);

/* vcpu.c, vm.c */
status_t vm_create(struct thread *t, struct domain *payer, struct kobj **out);
status_t vcpu_create(struct thread *t, struct domain *payer, struct kobj **out);
void vcpu_stop(struct vcpu *v);
void vcpu_free(struct vcpu *v);
void vcpu_unmap(struct vcpu *v);
/* ends vcpu_run of a halted or interrupted thread */
void vcpu_leave(struct vcpu *v, status_t s, u64 bits);
void vcpu_wake(struct vcpu *v);

/*
 * System calls. The first are entered from assembly with their arguments in registers, and write
 * RAX themselves. Of the others RAX is the status that they return, unless it is STATUS_LATER: then
 * the call is made again, or whoever ends it writes RAX.
 */
#define STATUS_LATER ((status_t)0x100)
void sys_ipc_call(u64 cap, u64 w0, u64 w1, u64 unused, u64 w2, u64 w3);
void sys_ipc_reply_wait(u64 mask, u64 w0, u64 w1, u64 deadline, u64 w2, u64 w3);
void sys_event_signal(u64 cap, u64 bits);
void sys_event_wait(u64 mask, u64 deadline);
void sys_vcpu_run(u64 cap, u64 mask, u64 deadline);
/* `cap` is a copy of what RDI names, with the kind and rights that syscall.c wants. */
status_t sys_vcpu_ctl(struct thread *t, const struct cap *cap);
status_t sys_obj_destroy(struct thread *t, const struct cap *cap);
status_t sys_mem_map(struct thread *t, const struct cap *cap);
status_t sys_mem_unmap(struct thread *t, const struct cap *cap);
status_t sys_vm_trap(struct thread *t, const struct cap *cap);
status_t sys_irq_ctl(struct thread *t, const struct cap *cap);
status_t sys_thread_ctl(struct thread *t, const struct cap *cap);

/* root.c */
void root_start(void);

/* Of something in the image. */
static inline paddr_t image_pa(const void *p)
{
	return boot->block_base + ((u64)p - KERNEL_BASE);
}

static inline bool overlaps(paddr_t a, u64 a_size, paddr_t b, u64 b_size)
{
	return a < b + b_size && b < a + a_size;
}

/* Do only ranges of `types`, bits by enum boot_range_type, lie in [base, base + size)? */
static inline bool ranges_only(paddr_t base, u64 size, u64 types)
{
	for (const struct boot_range *r = boot->range; r < boot->range + boot->ranges; r++)
		if (!(types & BIT(r->type)) && overlaps(base, size, r->base, r->size))
			return false;
	return true;
}

/* At each switch: ring 3 can change it behind the kernel's back. GS is cleared at each return. */
static inline void fs_load(const struct thread *t)
{
	if (features.fsgsbase)
		__asm__ volatile("wrfsbase %0" : : "r"(t->regs.fs_base));
	else
		write_msr(MSR_FS_BASE, t->regs.fs_base);
}

/* Everything that thread_switch leaves out: stale translations, I/O permissions, the FPU. */
void thread_switch_slow(struct cpu *c, struct thread *t);

/*
 * Makes `t` the thread that runs on this CPU, in its address space. The generation is looked at
 * after CR3 was written, which serialises: an unmapper either finds this CPU in the space, or is
 * found here. In a tail position this needs no stack.
 */
static inline void thread_switch(struct cpu *c, struct thread *t)
{
	struct domain *d = t->domain;

	c->current = t;
	if (c->domain != d) {
		c->domain = d;
		write_cr3(d->cr3);
		if (unlikely(tlb_stale(&d->space.tlb, c->index) || d->ports || c->ports_on))
			return thread_switch_slow(c, t);
	}
	if (unlikely(!(t->lean & c->task_switched)))
		return thread_switch_slow(c, t);
	fs_load(t);
}

/* Brings back what the run of a guest has changed, when `t` goes on without a switch of threads. */
static inline void thread_restore(struct cpu *c, struct thread *t)
{
	if (unlikely(!t->lean))
		fpu_switch(c, t);
	fs_load(t);
}

/* syscall.c: helpers of the slow calls */
static inline u64 arg(const struct thread *t, enum gpr r)
{
	return t->regs.gpr[r];
}
