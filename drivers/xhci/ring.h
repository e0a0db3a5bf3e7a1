/*
 * Rings of transfer request blocks (xHCI 1.2, 4.9). Pure.
 *
 * The controller may be hostile: what stands in a ring that the driver fills is only written, and
 * an event is copied once before it is looked at.
 */
#pragma once

#include "drivers/xhci/regs.h"

#define XHCI_RING_SIZE  64u  /* TRBs, the last of which leads back to the first */
#define XHCI_EVENT_SIZE 256u /* of the event ring */
#define XHCI_RING_BYTES (XHCI_RING_SIZE * sizeof(struct xhci_trb))

struct xhci_ring {
	struct xhci_trb *trb;
	u64 bus;
	u32 at;    /* where the next goes */
	u32 cycle; /* its cycle bit */
	u32 first; /* of the TD that is being put together: it is given over last */
	u32 first_control;
	bool open;
};

/* Begins anew, empty. The controller does not use it. */
void xhci_ring_init(struct xhci_ring *r);

/* Appends a TRB, `control` without its cycle bit, and returns its bus address. All up to
 * xhci_ring_give belong to one transfer descriptor, fewer than XHCI_RING_SIZE. */
u64 xhci_ring_put(struct xhci_ring *r, u64 parameter, u32 status, u32 control);

/* Gives over what was put since the last call. */
void xhci_ring_give(struct xhci_ring *r);

struct xhci_events {
	struct xhci_trb *trb;
	u64 bus;
	u32 at;
	u32 cycle;
};

/* Takes the next event; false: there is none. */
bool xhci_event_take(struct xhci_events *e, struct xhci_trb *out);
