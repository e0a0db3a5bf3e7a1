/*
 * The virtual machine: its state, which lies in the holder's memory and outlives this process, and
 * what this process knows about it besides.
 */
#pragma once

#include "guests/vmm/clock.h"
#include "guests/vmm/debug/state.h"
#include "guests/vmm/cpu/cpuid.h"
#include "guests/vmm/dev/i8042.h"
#include "guests/vmm/dev/ioapic.h"
#include "guests/vmm/dev/lapic.h"
#include "guests/vmm/dev/pci.h"
#include "guests/vmm/dev/pic.h"
#include "guests/vmm/dev/pit.h"
#include "guests/vmm/dev/pm.h"
#include "guests/vmm/dev/rtc.h"
#include "guests/vmm/dev/uart16550.h"
#include "guests/vmm/gmem.h"
#include "guests/vmm/journal.h"
#include "guests/vmm/machine_pass.h"
#include "guests/vmm/machine_virtio.h"
#include "guests/vmm/cpu/mtrr.h"
#include "guests/vmm/portio.h"
#include "drivers/lib/flood.h"
#include "drivers/lib/lib.h"
#include "drivers/protocols/console.h"
#include "drivers/protocols/root.h"
#include "drivers/protocols/watch.h"
#include "kernel/abi/run.h"

#define MACHINE_VCPUS 64u

/* Bits of each vCPU thread's own event, the last of the program's own. */
#define VCPU_BIT_FIRST 61
#define VCPU_BIT_LOCK  61 /* the machine's lock may be free */
#define VCPU_BIT_MAIL  62 /* there is mail */
#define VCPU_BIT_LOOK  63 /* nobody waits for it: the kernel looks at the pending word */

/* Registers of one vCPU that neither the kernel nor a device model keeps. */
struct vcpu_state {
	u64 tsc_offset; /* guest TSC = host TSC + this */
	u64 tsc_adjust;
	u64 misc_enable;
	u64 clock_system; /* kvmclock's MSRs as written; bit 0: enabled */
	u64 nmis;         /* that wait to be delivered: 0, 1 or 2 */
	u64 wait_startup; /* 1: after INIT, until the start-up IPI */
	u64 unhalted;     /* 1: the next HLT is none */
	u64 steal_msr;    /* MSR_KVM_STEAL_TIME as written; bit 0: enabled */
	u64 stolen;       /* cycles that the guest has been told of */
	u64 eoi_msr;      /* MSR_KVM_PV_EOI as written; bit 0: enabled */
	u64 eoi_armed;    /* 1: the guest may end an interrupt without an exit: pv/pveoi.h */
	u64 timer_set;    /* what run->timer was set to; 0: not armed */
	u64 periodic;     /* host TSC at which a periodic timer has fired; TIME_NEVER */
	struct mtrr mtrr;
	struct debug_saved debug;
};

#define MACHINE_MAGIC   DEVICE_MAGIC('B', 'H', 'V', 'M')
#define MACHINE_VERSION 4

/* What other threads leave for a vCPU's; atomic, and not rolled back (journal.h). */
struct vcpu_post {
	u32 mail;         /* MAIL_* */
	u32 startup_page; /* of the last start-up IPI */
	u64 taken;        /* mail that its thread has taken out and not yet acted upon for good */
	u64 eoi_seen;     /* enum pveoi_seen, until the commit */
};

/* The byte rings behind the serial port, as far as they are the guest's doing. */
struct serial_bytes {
	u32 written; /* to the server, ever: the ring's head, once that is committed */
	u32 taken;   /* from it: the tail */
};

/*
 * Everything that a fresh VMM must know to go on; no pointers. What lies before `virtio` is rolled
 * back when an exit was not handled to its end, the rest is not (journal.h).
 */
struct machine_state {
	struct device_header header;
	u64 start_tsc;                  /* host TSC at 0 ns of the guest's time */
	u64 timer[MACHINE_TIMER_COUNT]; /* ns at which a model wants to be called; MACHINE_NEVER */
	u64 wall_gpa;                   /* kvmclock: where the wall clock was last asked for */
	u64 serial;                     /* first port of the serial port; 0: there is none */
	u64 ready;                      /* 1: the guest was started */
	u64 stop;                       /* enum machine_stop */
	struct serial_bytes bytes;
	struct vcpu_state vcpu[MACHINE_VCPUS];
	struct lapic lapic[MACHINE_VCPUS];
	struct ioapic ioapic;
	struct pic pic;
	struct pit pit;
	struct rtc rtc;
	struct pm pm;
	struct uart uart;
	struct i8042 i8042;
	struct pci pci;
	struct pass pass[MACHINE_FUNCTIONS];
	struct machine_virtio virtio;
	struct debug_state debug;
	struct vcpu_post post[MACHINE_VCPUS];
};
DEVICE_STATE(struct machine_state);

/* What threads ask of another vCPU's (struct vcpu_post.mail). */
#define MAIL_INIT    BIT(0)
#define MAIL_STARTUP BIT(1) /* startup_page says where */
#define MAIL_NMI     BIT(2)
#define MAIL_INTR    BIT(3) /* the PIC's output changed */
#define MAIL_REARM   BIT(4) /* the machine's deadline changed */
#define MAIL_STOP    BIT(5) /* the machine stopped */
#define MAIL_UNHALT  BIT(6) /* out of HLT: pv/hypercall.h */
#define MAIL_REPORT  BIT(7) /* log the registers */
#define MAIL_HOLD    BIT(8) /* all vCPUs are to be held, or this one may go on: debug.h */
#define MAIL_NMI_TWO BIT(9) /* a second NMI */

/* One processor of the guest; the thread that runs it is the only one to touch it but for `post`.
 */
struct vcpu {
	struct run_page *run;
	const struct cpuid_policy *cpuid;
	struct machine *machine;
	struct vcpu_state *state;
	struct lapic_view *lapic;
	cap_t cap;
	struct vcpu_post *post;
	struct journal *journal;
	struct journal_log *log;
	u32 index;
	bool again;          /* a VMM died over the exit in the run page */
	bool locked;         /* has the machine's lock */
	bool eoi_looked;     /* pveoi_take has looked since the last commit */
	bool pause;          /* the machine stopped, INIT, or a debugger: the thread must not enter
				the guest */
	bool shares_cpu;     /* with another vCPU: one that spins gives the CPU up */
	cap_t event;         /* the thread's event, for the others; CAP_NULL if there are none */
	const void *self;    /* thread_self() of its thread */
	u64 wake_mask;       /* event bits that end vcpu_run */
	cycles_t deadline;   /* of vcpu_run */
	cycles_t steal_seen; /* of host_waited, that are in state->stolen */
	cycles_t steal_next; /* host TSC at which to look again */
	cap_t thread;        /* its thread */
	struct watch_vcpu *watch; /* what the operator sees of its exits */
	struct debug_vcpu debug;
};

/* The console session behind the serial port. */
struct console {
	struct console_session *session; /* NULL: what the guest writes is dropped */
	cap_t peer;
	u64 peer_bits;
	u64 own_bit;
	bool unsignalled;  /* bytes were written and the peer was not told */
	bool unpublished;  /* the ring's indices are behind the state's */
	bool tell;         /* the peer is told when they are published */
	bool broken;       /* the server's indices cannot be, and root was told */
	cycles_t flush_at; /* when to tell it at the latest */
};

enum machine_stop {
	MACHINE_RUNS,
	MACHINE_POWERED_OFF,
	MACHINE_RESET,
	MACHINE_FAILED, /* the VMM cannot go on and has logged why */
};

enum lock_word {
	LOCK_OPEN = 0,
	LOCK_HELD = 1,
	LOCK_WANTED = 2, /* and somebody may be waiting */
};

struct machine_lock {
	u32 word;    /* enum lock_word */
	u64 waiters; /* by vCPU index */
};

struct machine {
	struct machine_state *state;
	struct machine_lock lock; /* of all that the vCPUs share: lock.h */
	struct gmem memory;
	struct clock clock;
	struct cpuid_policy cpuid;
	u32 vcpus;
	struct vcpu vcpu[MACHINE_VCPUS];
	struct lapic_view lapic[MACHINE_VCPUS];
	cap_t vm;
	cap_t bell[64];    /* capability to each event bit that doorbells set; CAP_NULL: none yet */
	cycles_t deadline; /* host TSC at which some timer of `state` or the console is due: the
			      first vCPU's thread does them */
	bool rearm;        /* `deadline` must be computed anew */
	bool resumed;      /* its state is from a VMM that died */
	u16 pm_base;       /* where the PM block's ports are bound; 0: nowhere */
	u64 wake_mask;     /* event bits of the first vCPU's thread that end its vcpu_run */
	u32 stop;          /* enum machine_stop */
	u32 ending;        /* a thread has taken it upon itself to tell root; atomic */
	struct port_map ports;
	struct console console;
	struct virtio_host virtio;
	struct pass_host pass;
	struct flood flood;       /* peers of all sessions; muted bits are not in the first vCPU's
				     wake_mask */
	u32 fpu_size;             /* bytes of an XSAVE image */
	bool hardware_interrupts; /* RUN_HARDWARE */
	struct debug debug;
};

/*
 * Sets up the power-on state of all devices in m->state, and the ports.
 * m: clock, memory, cpuid, vcpus and the vcpus' run and APIC pages are there.
 */
void machine_init(struct machine *m);

/*
 * Instead, in a fresh process: takes the machine over as m->state has it, rolls back what a dead
 * process left half done, and sets up the ports. The vCPUs' journals are there, no thread runs.
 * False: that cannot be, and the log says why.
 */
bool machine_resume(struct machine *m);

/* Gives vCPU `index` its parts of the state, and its journal `log`, for which `j` is memory. */
void machine_journal(struct machine *m, u32 index, struct journal *j, struct journal_log *log);

/* The guest ends, for the first reason given; all its threads come to a stop. Any thread. */
void machine_end(struct machine *m, enum machine_stop why);

/* Calls the models whose time has come. */
void machine_timers(struct machine *m);

/*
 * What the first vCPU's thread does when event bits are set, or m->deadline has passed: consoles,
 * backends, timers, root's wish for a report. Without the lock.
 */
void machine_events(struct vcpu *v, u64 bits, bool timeout);

/* Has m->deadline computed anew, on the first vCPU's thread. Under the lock. */
void machine_rearm(struct machine *m);

/* Computes m->deadline anew. */
void machine_deadline(struct machine *m);

/* Adds the serial port; false: there is one already, or its ports are taken. */
bool machine_add_serial(struct machine *m, u16 base, u8 line);

/* Binds the PM block's ports to where the guest's PCI function has it. */
void machine_pm_bind(struct machine *m);
