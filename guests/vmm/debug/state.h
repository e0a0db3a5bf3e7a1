/* What a debugger holds of the machine: the part that outlives the process, and the rest. */
#pragma once

#include "guests/vmm/debug/packet.h"
#include "drivers/protocols/console.h"

#define DEBUG_SOFT_MAX 64u
#define DEBUG_HARD_MAX 4u   /* debug address registers */
#define DEBUG_FPU_SIZE 576u /* of an XSAVE image: legacy area and header */

/*
 * A breakpoint that is a HLT in guest memory: that exits in ring 0, and raises #GP, which is made
 * to exit, elsewhere. INT3 would be the usual one, but QEMU delivers it in a guest of AMD-V though
 * the exception is intercepted; and the guest may have INT3 for itself.
 */
struct debug_soft {
	u64 used; /* written before the guest's byte is, and cleared after it is there again */
	u64 linear;
	u64 gpa;
	u64 original; /* the guest's byte */
};

/* A debug register of all vCPUs. */
struct debug_hard {
	u64 length; /* 1, 2, 4 or 8 bytes; 0: the register is free */
	u64 linear; /* aligned to length */
	u64 type;   /* enum debug_point; not DEBUG_SOFT */
};

/* A vCPU's registers as the guest has them, while others are in their place. */
struct debug_saved {
	u64 armed; /* dr and dr7 are the guest's own */
	u64 dr[4];
	u64 dr7;
	u64 hlt;      /* HLT exits, for breakpoints or a step */
	u64 step;     /* one instruction is executed with RFLAGS.TF set */
	u64 step_own; /* the guest's own RFLAGS.TF */
	u64 step_rip;
	u64 step_kind; /* enum step_kind */
	u64 hidden;    /* irr holds interrupts that wait for the end of the step */
	u32 irr[8];
};

struct debug_state {
	struct debug_soft soft[DEBUG_SOFT_MAX];
	struct debug_hard hard[DEBUG_HARD_MAX];
	u64 strays; /* steps that left RFLAGS.TF in a frame of the guest's */
};

/* Numbered as the Z packets are. */
enum debug_point {
	DEBUG_SOFT = 0,
	DEBUG_EXEC = 1,
	DEBUG_WRITE = 2,
	DEBUG_READ = 3, /* the processor has none */
	DEBUG_ACCESS = 4,
};

enum debug_action {
	DEBUG_STAY,
	DEBUG_CONTINUE,
	DEBUG_STEP,
};

/* Why a vCPU stopped. */
enum debug_why {
	DEBUG_WHY_NONE,
	DEBUG_WHY_SOFT,
	DEBUG_WHY_STEP,
	DEBUG_WHY_HARD,   /* `point` says which register's */
	DEBUG_WHY_FAILED, /* it cannot go on: the guest ends when it is resumed */
};

/* In each vCPU. Its thread writes it while it runs, the first vCPU's while it is held. */
struct debug_vcpu {
	u32 action; /* enum debug_action: not STAY ends the hold; atomic */
	u32 why;    /* enum debug_why */
	struct debug_hard point;
	bool fpu_read;  /* `fpu` is what the vCPU has */
	bool fpu_dirty; /* and is to be written back */
	u8 fpu[DEBUG_FPU_SIZE];
};

/* In the machine. */
struct debug {
	bool attached;       /* exceptions are intercepted */
	u32 hold;            /* all vCPUs are to be held; atomic */
	u64 held;            /* vCPUs that are, by index; atomic */
	cycles_t stopped_at; /* host TSC at which the last of them was; 0: not all are */
	struct channel_end {
		struct console_session *session; /* NULL: the description asks for no debugger */
		cap_t peer;
		u64 peer_bits;
		u64 own_bit;
	} line;
	struct gdb_packet in;
	struct gdb_reply out;
	bool waiting;     /* `in` holds a packet that is to be answered when all vCPUs are held */
	bool owed;        /* the debugger waits for a stop reply */
	bool interrupted; /* it asked for the stop */
	bool silent;      /* the command in `in` has no answer, or none yet */
	u32 thread;       /* index of the vCPU whose registers are meant (Hg) */
	u32 resume;       /* of the one that `c` and `s` mean (Hc); DEBUG_ALL */
};
