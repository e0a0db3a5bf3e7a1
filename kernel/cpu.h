/* A processor: what entry.S and the scheduler keep for each. */
#pragma once

#include "kernel/thread.h"

#define CPU_PRIORITIES 64

struct vcpu;

#define PORT_BITMAP_SIZE 8192    /* bytes: one bit for each port */
#define TSS_SIZE         0x3000u /* bytes that are mapped for it */

struct tss { /* SDM vol. 3, 8.7 */
	u32 reserved0;
	u64 rsp[3];
	u64 reserved1;
	u64 ist[7];
	u64 reserved2;
	u16 reserved3;
	u16 io_base;
	u8 io_bitmap[PORT_BITMAP_SIZE + 1];
} __attribute__((packed));
static_assert(offsetof(struct tss, io_bitmap) == 104);
static_assert(sizeof(struct tss) <= TSS_SIZE);

struct cpu {
	/* entry.S knows these offsets */
	struct cpu *self;       /* 0 */
	u64 scratch;            /* 8 */
	u64 stack_top;          /* 16 */
	struct thread *current; /* 24: NULL when idle */
	u64 resched;            /* 32: schedule before leaving the kernel */
	struct vcpu *loaded;    /* 40: last vcpu that ran: its control block, debug registers */

	u32 index, apic_id;
	struct thread *sc;     /* scheduling context that is running */
	struct domain *domain; /* whose address space is loaded */
	struct work *works;    /* posted; atomic stack */
	u64 ready_mask;        /* priorities with ready contexts */
	struct list ready[CPU_PRIORITIES];
	cycles_t sc_start; /* when the running context was last charged */
	struct timer_heap timers;
	cycles_t armed; /* deadline in the hardware timer */
	struct timer budget_end;

	struct fpu *fpu;         /* whose registers are loaded, or NULL */
	u8 task_switched;        /* CR0.TS is set */
	struct domain *ports_of; /* whose bitmap is in the TSS */
	u8 ports_on;             /* and in force */
	void *hw;                /* backend: VMXON region or host save area */
	struct tss *tss;
	u64 xcr0;            /* value loaded */
	u32 asid_last;       /* the ASID or VPID that was given last ... */
	u64 asid_generation; /* ... of this generation */
	u32 up;
	u32 backend[6];
};

extern struct cpu *cpus[];
extern unsigned cpu_count; /* that are up */

static inline struct cpu *cpu_self(void)
{
	struct cpu *c;

	__asm__("mov %%gs:0, %0" : "=r"(c));
	return c;
}

/* Posts work to CPU `c`, and wakes it. Locally, the work runs before this CPU leaves the kernel. */
void cpu_post(struct cpu *c, struct work *w);

/* Runs what was posted here. */
void cpu_run_works(void);
