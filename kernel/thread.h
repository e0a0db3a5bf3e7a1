/* Threads, their scheduling contexts, ports. */
#pragma once

#include "kernel/object.h"
#include "kernel/timer.h"

enum gpr { /* those that C names */
	RAX = 0,
	RDX = 2,
	RSP = 4,
	RSI = 6,
	RDI,
	R8,
	R9,
	R10,
};

enum thread_state {
	THREAD_STOPPED = 0, /* never started, stopped or faulted */
	THREAD_READY = 1,   /* runs, or would if its scheduling context were chosen */
	THREAD_WAIT_EVENT = 2,
	THREAD_WAIT_CALL = 3, /* in ipc_reply_wait */
	THREAD_CALLING = 4,   /* its call is being served */
	THREAD_QUEUED = 5,    /* its server is busy */
	THREAD_PARKED = 6,    /* waits for another CPU */
	THREAD_HALTED = 7,    /* in vcpu_run: the guest is in HLT */
	THREAD_DEAD = 8,
};

enum thread_resume {
	RESUME_SYSRET = 0, /* RCX and R11 need not be kept */
	RESUME_IRET = 1,   /* all registers */
	RESUME_GUEST = 2,  /* goes on in vcpu_run */
};

/* Whose FPU registers a CPU can hold: a vCPU, or a thread with THREAD_FPU. */
struct fpu {
	void *area; /* XSAVE image, 64-byte aligned */
	u64 xcr0;
};

#define STOP_ASKED     1 /* THREAD_CTL_STOP */
#define STOP_OVERDRAWN 2 /* its budget ended in the middle of its call */

/*
 * A thread and, in the same object, its scheduling context: priority, budget, and `active`, the
 * thread that runs on it. A call moves the caller's context to the server: the caller's `active`
 * becomes the server, whose `sc` becomes the caller.
 */
struct thread {
	struct msg_thread regs; /* first: entry.S */
	u8 resume;              /* enum thread_resume; entry.S */
	u8 state;               /* enum thread_state */
	u8 lean;                /* uses no FPU: THREAD_FPU was not given */
	u8 stop_pending; /* STOP_*: what waits until its call or the other CPU has answered */
	u32 cpu;         /* index */
	struct domain *domain;
	u64 event; /* sticky bits; atomic */
	u64 wait_mask;
	u8 *message; /* message page */

	/* ipc */
	struct thread *client; /* whose call this thread serves */
	struct thread *server; /* that this thread calls or waits for */
	struct thread *sc;     /* context that this thread runs on */
	struct list callers;   /* threads that wait for this server, by priority */
	struct list caller_link;
	u64 call_badge; /* of a queued call */
	u32 call_words; /* message words of a queued call */
	u32 ports;      /* ports that lead here */

	/* scheduling context */
	struct thread *active;
	struct list ready_link;
	u8 priority;
	u8 effective;    /* priority, or a waiting caller's if that is higher */
	u8 queued;       /* in a ready queue, or running */
	u8 depleted;     /* waits for its next period */
	cycles_t budget; /* 0: unlimited */
	cycles_t period, left;
	cycles_t debt; /* run beyond the budget, in the middle of a call: taken from the next
			  periods */
	cycles_t period_start, run_time, wait_time;
	cycles_t ready_at; /* since when it is queued and does not run */
	u64 switches;
	struct timer replenish;

	struct timer timeout;
	struct work wake; /* posted by other CPUs after setting event bits */
	u32 wake_posted;  /* atomic */
	struct work op;   /* a remote part of the current system call */
	u64 op_arg[4];

	struct kobj obj;
	struct kobj event_obj; /* capabilities of kind event name this */
	struct vcpu *vcpu;     /* that this thread runs, or NULL */
	u64 message_va;
	struct fpu fpu; /* only with THREAD_FPU */
};

struct port {
	struct kobj obj;
	struct thread *server;
	u64 badge;
	struct slot to_server; /* emptied when the server dies */
};
