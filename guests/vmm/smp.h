/* Several vCPUs: what their threads tell one another, and starting and stopping them. */
#pragma once

#include "guests/vmm/machine.h"

/* Is this the thread that runs `v`? */
static inline bool vcpu_is_own(const struct vcpu *v)
{
	return v->self == thread_self();
}

/*
 * Leaves mail (MAIL_*) for a vCPU; any thread, with or without the lock. Its thread comes out of
 * the guest, if it is another, and looks at it. False: it has the same waiting.
 */
bool vcpu_post(struct vcpu *v, u32 mail);

/* The vCPU's pending word has a vector that was not there: makes a guest that runs look at it. */
void vcpu_nudge(struct vcpu *v);

/* Does what the vCPU's mail asks for; its own thread, without the lock. */
void vcpu_open_mail(struct vcpu *v);

/*
 * Start-up IPI from another processor (SDM vol. 3, 9.4.4): a vCPU that waits for one begins at
 * page << 12 in real mode. Any thread.
 */
void vcpu_post_startup(struct vcpu *v, u8 page);

/* Holds the thread while its vCPU waits for a start-up IPI; also returns when the machine stops or
 * a debugger wants to hold it. */
void vcpu_wait_startup(struct vcpu *v);
