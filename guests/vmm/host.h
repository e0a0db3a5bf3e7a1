/* What the VMM asks of the kernel and root, apart from vcpu_run itself; unit tests put a fake here.
 */
#pragma once

#include "guests/vmm/machine.h"

/* Makes register groups current in the run page. A refusal by the kernel ends the program. */
void host_fetch(struct vcpu *v, u64 groups);

/* Sets event bits of a peer. One that is away, or not there yet, is no error: it looks by itself.
 */
void host_signal(cap_t event, u64 bits);

/* Tells root that the peer with that event broke the protocol of its session. */
void host_broken(cap_t peer);

/* Tells root that the peer with that event sets our event bits without end (drivers/lib/flood.h).
 */
void host_flooded(cap_t peer);

/* Waits for bits of the thread's own event; returns those that were set, 0 after the deadline. */
u64 host_wait(u64 mask, cycles_t deadline);

/* Cycles for which the vCPU's thread could have run and did not, since it was made; 0: not known.
 */
cycles_t host_waited(struct vcpu *v);

/* Makes a capability to set the bits of vCPU threads in the event of `thread`. False: logged. */
bool host_event(cap_t thread, cap_t *event);

/*
 * Turns writes to a port into bit `bit` of the first vCPU's thread's event. Called by that thread.
 * False: refused.
 */
bool host_doorbell(struct machine *m, u16 port, u32 bit);

/* Lets writes to a port exit again. */
void host_doorbell_remove(struct machine *m, u16 port);

/*
 * Copies `size` bytes at `offset` (the range lies in the first page) of the vCPU's XSAVE image, in
 * the standard format, from or to `data`. False: refused.
 */
bool host_fpu_read(struct vcpu *v, u32 offset, void *data, u32 size);
bool host_fpu_write(struct vcpu *v, u32 offset, const void *data, u32 size);

/*
 * Takes up the function of the machine's own with that phandle as `number`, by which pass_* of
 * dev/pass.h know it then: its registers, and the event bits of its line, 0 if it has messages. It
 * does no DMA. False: logged, or root did not give it.
 */
bool host_function_open(const struct start_info *info, u8 number, u32 phandle,
	struct pass_bar bars[PCI_REGIONS], u64 *line);

/* Maps whole pages of its memory register `bar` for the guest, of its ROM (PCI_ROM_BAR) read-only;
 * false: the place is taken. Takes away what one call has mapped at `gpa`. */
bool host_map_registers(struct machine *m, u8 number, u32 bar, gpa_t gpa, u64 offset, u64 size);
void host_unmap_registers(struct machine *m, gpa_t gpa);

/* Tells root that the guest ended and ends the program. */
_Noreturn void host_stop(enum root_stop_reason reason);
