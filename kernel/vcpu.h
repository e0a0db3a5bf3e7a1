/*
 * Virtual machines and vCPUs, and the interface that vmx/ and svm/ implement.
 *
 * vcpu.c keeps what both vendors share: the run page, interrupt delivery, doorbells, HLT, FPU and
 * debug registers. A backend keeps a vCPU's hardware structure, moves register groups between it
 * and the run page, enters the guest, and turns the hardware's exit into the run page's.
 *
 * The order of a run: ops->load when another vCPU ran here last; ops->import of dirty groups;
 * delivery, which uses ops->can_take, ops->inject, ops->window; ops->enter, which does not return:
 * after the exit, with the host's state restored, assembly calls vcpu_exited(v) on this CPU's
 * kernel stack, which calls ops->exit.
 */
#pragma once

#include "kernel/abi/run.h"
#include "kernel/cpu.h"
#include "kernel/space.h"

/* Offsets in the APIC page */
#define APIC_TPR 0x80
#define APIC_EOI 0xb0
#define APIC_ISR 0x100
#define APIC_TMR 0x180
#define APIC_IRR 0x200

struct doorbell {
	struct slot slot; /* event and its mask; empty: unused */
	u16 port;
};

struct vm {
	struct kobj obj;
	struct space space; /* its lock: doorbells too */
	struct doorbell *doorbells[VM_MAX_DOORBELLS];
	u8 doorbell_hash[256]; /* (port * 167 >> 3) & 255: index + 1 of the first candidate in
				  doorbells[] */
	u32 vcpus;
};

/* x2APIC registers, by number, that hardware may read from the APIC page, and write to it. Current
 * count is the VMM's to tell. */
#define X2APIC_BETWEEN(a, b) (BIT((b) + 1) - BIT(a))
#define X2APIC_READS                                                                               \
	(BIT(0x02) | BIT(0x03) | BIT(0x08) | BIT(0x0a) | BIT(0x0d) | X2APIC_BETWEEN(0x0f, 0x28) |  \
		BIT(0x30) | X2APIC_BETWEEN(0x32, 0x38) | BIT(0x3e))
#define X2APIC_TPR_EOI (BIT(0x08) | BIT(0x0b))

/* What ops->exit returns beyond enum exit_kind: exits for the kernel alone. */
enum vcpu_event {
	VCPU_REENTER = 64, /* handled: run on */
	/* a host interrupt is pending; it is taken as soon as interrupts are enabled */
	VCPU_INTERRUPT = 65,
	VCPU_WINDOW = 66, /* what ops->window asked for */
	VCPU_NMI_WINDOW = 67,
	VCPU_MCE = 68,
};

struct vcpu {
	/* assembly knows these offsets */
	struct run_page *run; /* 0: gpr[] are saved there at an exit and loaded from there */
	void *hw;             /* 8: its control block, in the window */
	paddr_t hw_pa;        /* 16 */
	u64 guest_cr2;        /* 24: VT-x only */
	u64 backend[24]; /* 32: the backend's own; SVM: backend[0] = physical VMCB of the host's
			    VMSAVE state */

	struct kobj obj;
	struct vm *vm;
	struct thread *thread;
	u32 cpu;
	u8 *apic; /* APIC page; the run page's frame precedes it in ring 3 only */
	paddr_t apic_pa;
	u8 vector;      /* of the host's interrupt that the exit has acknowledged, or 0 */
	u64 mask;       /* of the vcpu_run in progress */
	u64 bound_mask; /* event bits that are vectors */
	u8 bound[64];
	struct domain *map_domain; /* where the run page is mapped, or NULL */
	struct list map_link;
	u64 map_va;

	/* delivery */
	union {
		struct {
			bool irr_check;  /* IRR may hold something */
			bool halted;     /* guest is in HLT */
			bool nmi_window; /* ops->nmi_window was asked for */
			u8 window;       /* class that ops->window was asked for; 0 none; 16 any */
		};
		u32 attention; /* any of these: an entry is not plain */
	};
	struct timer timer;    /* of the run page */
	struct timer deadline; /* of vcpu_run; stays armed over exits, so it is not the thread's */

	/* hardware tags */
	u32 asid; /* ASID or VPID on this CPU ... */
	u64 asid_generation;
	u64 tlb_generation; /* of the nested tables that it last ran with */

	struct fpu fpu;
	u64 dr[4]; /* while not loaded */
	u64 dr6;

	u32 until_sample; /* entries to the next that is measured */
	cycles_t left;    /* run time of the thread at the exit before that one */
	struct msg_vcpu_stats stats;
};

struct vcpu_ops {
	const char *name; /* "VT-x", "AMD-V" */
	enum ptable_format format;

	/* Can this machine run guests? NULL, or what is missing and what to do. Each CPU, before
	 * enable. */
	const char *(*probe)(void);
	/* Turns the extension on for this CPU; c->hw is the backend's to use; frames come from
	 * `pool`. */
	status_t (*enable)(struct cpu *c, struct pool *pool);

	/* Makes and frees the backend's parts; frames from the payer's pool; vm->space.ptable is
	 * there. */
	status_t (*vcpu_init)(struct vcpu *v);
	void (*vcpu_free)(struct vcpu *v); /* also after vcpu_init failed, or was not called */

	/* Makes `v` current on this CPU; takes it off again (before it dies, or before another is
	 * loaded; NULL: nothing to do). */
	void (*load)(struct vcpu *v);
	void (*unload)(struct vcpu *v);

	/* Run page to hardware, checked so that the host is safe whatever the values; and hardware
	 * to run page. */
	void (*import)(struct vcpu *v, u64 groups);
	void (*export)(struct vcpu *v, u64 groups);

	/*
	 * Takes IRR, ISR and TMR over from the APIC page, from which the hardware then delivers by
	 * itself. False, or NULL: it does not, so the kernel has to.
	 */
	bool (*sync_apic)(struct vcpu *v);
	/*
	 * The pending word of a vcpu of another CPU has a new vector, and its thread was not
	 * halted. True: if the guest runs, the hardware takes it over. NULL: never.
	 */
	bool (*post)(struct vcpu *v);

	/* Could the guest take an external interrupt now: IF, no shadow, nothing to be injected
	 * already? */
	bool (*can_take)(struct vcpu *v);
	/* Hands an event (INJECT_* of run.h, its type one of those) to the next entry. False: that
	 * has one. */
	bool (*inject)(struct vcpu *v, u64 event, u64 length);
	/* An entry that was not made: takes the event back; 0 if there is none. */
	u64 (*uninject)(struct vcpu *v, u64 *length);
	/*
	 * Exit (VCPU_WINDOW) once the guest can take an interrupt of priority class `class` (1-15:
	 * TPR counts; 16: any); 0: don't.
	 */
	void (*window)(struct vcpu *v, unsigned class);
	void (*nmi_window)(struct vcpu *v, bool on);

	/* Enters the guest. The TPR goes in from the APIC page (offset 0x80). Does not return. */
	__attribute__((noreturn)) void (*enter)(struct vcpu *v);
	/*
	 * After an exit: writes exit_kind, exit_length and exit of the run page and returns the
	 * kind, or a vcpu_event. Writes the TPR back to the APIC page; puts an interrupted delivery
	 * back into run->inject.
	 */
	unsigned (*exit)(struct vcpu *v);
	/* Moves RIP over the instruction that exited and ends its shadow. */
	void (*skip)(struct vcpu *v);

	/* Before the next entry of `v` here, no translation of its VM's nested tables or guest may
	 * be used. */
	void (*flush)(struct vcpu *v);
};

extern const struct vcpu_ops *vcpu_ops; /* chosen at boot; NULL: no guests */
extern const struct vcpu_ops vmx_ops;
extern const struct vcpu_ops svm_ops;

/* Called by the backend's assembly after an exit, on the CPU's kernel stack, interrupts off. */
void vcpu_exited(struct vcpu *v) __attribute__((noreturn));

/* Enters, or goes back to the VMM: the end of vcpu_run and of every exit that the kernel handles.
 */
void vcpu_continue(struct vcpu *v) __attribute__((noreturn));

/* Makes `t` the thread that runs `v`, in the place of another. BUSY: it has a vcpu. */
status_t vcpu_tie(struct vcpu *v, struct thread *t);

/* Flushes the translations of a loaded vcpu if entries of its VM's tables were cleared since it
 * last did. Each has a tag of its own, so each catches up for itself. */
void vcpu_flush_stale(struct vcpu *v);

/* Gives `v` a hardware tag, 1 to `last`, that no translation on this CPU bears. True: there was
 * none left, so all translations must go. */
bool vcpu_new_tag(struct vcpu *v, u32 last);

/* Loads the vcpu on this CPU, takes over what is dirty, and exports register groups to the run
 * page. */
void vcpu_fetch(struct vcpu *v, u64 groups);
