/*
 * The doorbells of a VM: ports whose writes set bits of an event instead of ending vcpu_run.
 *
 * The table of a VM only grows: an entry is freed with the VM. CPUs in the middle of an exit look
 * a port up while another CPU, which holds vm->space.lock, changes the table.
 */
#pragma once

#include "kernel/vcpu.h"

/*
 * The entry of `port`, or NULL. Of an entry whose slot is empty the doorbell was taken away, or its
 * event destroyed. Any CPU, without a lock; an entry may be given to another port meanwhile, so a
 * write that comes together with the removal of its doorbell may ring what took its place.
 */
struct doorbell *doorbell_find(struct vm *vm, u16 port);

/*
 * Makes writes to `port` set the bits that `event`, a capability, allows. vm->space.lock is held.
 * NO_SPACE: VM_MAX_DOORBELLS doorbells are in use. NO_MEMORY: of the VM's payer. GONE: the event or
 * the VM is being destroyed. After any but OK the port has no doorbell.
 */
status_t doorbell_set(struct vm *vm, u16 port, const struct cap *event);

/* Takes the doorbells of ports [first, first + count) away. vm->space.lock is held. */
void doorbell_clear(struct vm *vm, u32 first, u32 count);
