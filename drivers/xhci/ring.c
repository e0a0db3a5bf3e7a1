/* Rings of transfer request blocks: see ring.h. */
#include "drivers/xhci/ring.h"

static u32 load(const u32 *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void store(u32 *word, u32 value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

void xhci_ring_init(struct xhci_ring *r)
{
	__builtin_memset(r->trb, 0, XHCI_RING_BYTES);
	r->at = 0;
	r->cycle = XHCI_TRB_CYCLE;
	r->open = false;
}

u64 xhci_ring_put(struct xhci_ring *r, u64 parameter, u32 status, u32 control)
{
	struct xhci_trb *t = &r->trb[r->at];
	u64 bus = r->bus + r->at * sizeof(*t);

	t->parameter = parameter;
	t->status = status;
	if (r->open) {
		store(&t->control, control | r->cycle);
	} else {
		r->open = true;
		r->first = r->at;
		r->first_control = control | r->cycle;
	}
	if (++r->at == XHCI_RING_SIZE - 1) {
		struct xhci_trb *link = &r->trb[r->at];

		link->parameter = r->bus;
		link->status = 0;
		store(&link->control, XHCI_TRB_TYPE(XHCI_LINK) | (u32)XHCI_TRB_TOGGLE |
					      (control & (u32)XHCI_TRB_CHAIN) | r->cycle);
		r->at = 0;
		r->cycle ^= XHCI_TRB_CYCLE;
	}
	return bus;
}

void xhci_ring_give(struct xhci_ring *r)
{
	if (r->open)
		store(&r->trb[r->first].control, r->first_control);
	r->open = false;
}

bool xhci_event_take(struct xhci_events *e, struct xhci_trb *out)
{
	struct xhci_trb *t = &e->trb[e->at];
	u32 control = load(&t->control);

	if ((control & XHCI_TRB_CYCLE) != e->cycle)
		return false;
	*out = (struct xhci_trb){
		.parameter = __atomic_load_n(&t->parameter, __ATOMIC_RELAXED),
		.status = __atomic_load_n(&t->status, __ATOMIC_RELAXED),
		.control = control,
	};
	if (++e->at == XHCI_EVENT_SIZE) {
		e->at = 0;
		e->cycle ^= XHCI_TRB_CYCLE;
	}
	return true;
}
