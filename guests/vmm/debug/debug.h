/*
 * A debugger's hold on the guest: stopping and resuming its vCPUs, their traps, breakpoints and
 * memory. The protocol (gdb.h) is above it.
 *
 * All vCPUs stop together: whoever stops sets `hold` and leaves MAIL_HOLD for the others. Each
 * vCPU's own thread makes all registers current in its run page, sets its bit in `held`, and waits
 * until its action is not STAY. While all are held, guest time stands still and the first vCPU's
 * thread, which talks to the debugger, may read and write every run page. While only some run, it
 * serves the devices as always.
 */
#pragma once

#include "guests/vmm/machine.h"

#define DEBUG_ALL     (~0u)
#define DEBUG_HIDE_US 2000u

/* Has all vCPUs stop. Any thread, with or without the lock. */
void debug_halt(struct machine *m);

/* Is v's thread to be held? */
static inline bool debug_wanted(const struct vcpu *v)
{
	return unlikely(__atomic_load_n(&v->machine->debug.hold, __ATOMIC_SEQ_CST)) &&
	       !__atomic_load_n(&v->machine->stop, __ATOMIC_SEQ_CST);
}

/* Holds v's thread while it is to be held; its own thread, without the lock. */
void debug_hold(struct vcpu *v);

/* The two ends of a hold: registers become current; what the debugger wants is put into them. */
void debug_park(struct vcpu *v);
void debug_leave(struct vcpu *v);

/* Are all vCPUs held? */
bool debug_all_held(const struct machine *m);

/*
 * Resumes each vCPU as action[index] (enum debug_action) says; DEBUG_STAY: it stays held. All are
 * held. The first vCPU's thread, under the lock.
 */
void debug_resume(struct machine *m, const u8 *action);

/* Exceptions that exit while a debugger is attached or a step left its mark; v's own thread. */
u32 debug_exceptions(const struct machine *m);

/* An exception exited. True: it was the debugger's. False: the guest is to have it. */
bool debug_exception(struct vcpu *v);

/* The guest cannot go on. True: a debugger is attached, and the vCPUs will be held for it. */
bool debug_failed(struct vcpu *v);

/* #DB for the guest: its DR6 and DR7 become what they are at delivery, and it is raised. */
void debug_reflect(struct vcpu *v, u64 status);

/* The VMM completed an instruction with RFLAGS.TF set. True: it was a step of the debugger's. */
bool debug_stepped(struct vcpu *v);

/* Puts debug registers and RFLAGS.TF for `action` into the run page, and the guest's back. */
void debug_arm(struct vcpu *v, enum debug_action action);
void debug_disarm(struct vcpu *v);

/*
 * A VMM died, and its debugger is gone with it: each vCPU gets its own registers back, and the
 * breakpoints go. Before any of the machine's threads runs.
 */
void debug_take_over(struct machine *m);

/* After INIT: the debugger's settings stay. */
void debug_init_signal(struct vcpu *v);

/*
 * Do v's interrupts wait for a step? Not for long: one that leads into a handler, or SYSCALL, may
 * need them, so that they come back at HLT and after DEBUG_HIDE_US.
 */
static inline bool debug_hides(const struct vcpu *v)
{
	return v->state->debug.hidden;
}
void debug_show_interrupts(struct vcpu *v);

/*
 * Guest memory at a linear address of a held vCPU, as its supervisor would reach it but without
 * looking at write protection; only RAM. Breakpoints are neither seen nor overwritten. Returns how
 * many bytes were moved before the first that is not there.
 */
u32 debug_read(struct vcpu *v, u64 linear, void *data, u32 size);
u32 debug_write(struct vcpu *v, u64 linear, const void *data, u32 size);

/* Sets a breakpoint or watchpoint of `length` bytes, or removes it; false: there is no room for it,
 * or no memory. One that is there, or not there, already is no error. */
bool debug_point_set(struct vcpu *v, enum debug_point type, u64 linear, u64 length);
bool debug_point_clear(struct vcpu *v, enum debug_point type, u64 linear, u64 length);

/* Removes all; also those that a VMM before this one left behind. */
void debug_points_clear(struct machine *m);

/* HLT exited. True: it was a breakpoint. */
bool debug_hlt(struct vcpu *v);

/* Must HLT exit? */
static inline bool debug_wants_hlt(const struct vcpu *v)
{
	return v->state->debug.hlt;
}

/* Is there any software breakpoint? */
bool debug_soft_any(const struct machine *m);

/* Is there a software breakpoint at a guest-physical address? */
bool debug_soft_at(const struct machine *m, gpa_t gpa);

/* Guest-physical address of a linear one; false: it is not mapped. */
bool debug_translate(struct vcpu *v, u64 linear, gpa_t *gpa);

/* DR7 for the debugger's registers; 0: there are none. */
u64 debug_dr7(const struct machine *m);
