/* Descriptor rings: see ring.h. */
#include "drivers/e1000/ring.h"
#include "drivers/lib/lib.h"

#define OFFSET_MAX 255u /* TUCSS and TUCSO have 8 bits */

void e1000_tx_init(struct e1000_tx *t)
{
	memset(t->desc, 0, E1000_TX_DESCS * sizeof(*t->desc));
	t->head = 0;
	t->tail = 0;
	t->first = 0;
	t->frames = 0;
}

void e1000_rx_init(struct e1000_rx *r)
{
	memset(r->desc, 0, E1000_RX_DESCS * sizeof(*r->desc));
	r->head = 0;
	r->tail = 0;
}

bool e1000_tx_room(const struct e1000_tx *t)
{
	u32 used = (t->tail - t->head) % E1000_TX_DESCS;

	return t->frames < E1000_TX_FRAMES && used + CARD_PIECES + 1 < E1000_TX_DESCS;
}

static void add_desc(struct e1000_tx *t, const struct e1000_tx_desc *d)
{
	t->desc[t->tail] = *d;
	t->tail = (t->tail + 1) % E1000_TX_DESCS;
}

/* 3.3.6: the sum from `start` to the end of the frame goes to `field`, where the pseudo header's is
 * already; TUCSE 0 is the end, and no IP checksum is asked for. */
static void add_context(struct e1000_tx *t, u32 start, u32 field)
{
	struct e1000_tx_desc d = {
		.tucss = (u8)start,
		.tucso = (u8)field,
		.command = (u32)E1000_TXD_DEXT,
	};

	add_desc(t, &d);
}

void e1000_tx_add(struct e1000_tx *t, u32 tag, const struct card_frame *f)
{
	bool sum = f->header.flags & NET_NEEDS_CSUM;
	u32 field = (u32)f->header.csum_start + f->header.csum_offset;
	u32 before = t->tail;

	check(e1000_tx_room(t) && f->pieces > 0 && f->pieces <= CARD_PIECES);
	if (sum && field <= OFFSET_MAX)
		add_context(t, f->header.csum_start, field);
	for (u32 i = 0; i < f->pieces && (!sum || field <= OFFSET_MAX); i++) {
		bool last = i + 1 == f->pieces;
		struct e1000_tx_desc d = {
			.address = f->piece[i].bus,
			.command = (f->piece[i].length & E1000_TXD_LENGTH) | E1000_TXD_DATA |
				   E1000_TXD_DEXT | E1000_TXD_IFCS |
				   (last ? E1000_TXD_EOP | E1000_TXD_RS : 0),
			.options = sum ? E1000_POPTS_TXSM : 0,
		};

		add_desc(t, &d);
	}
	t->frame[(t->first + t->frames) % E1000_TX_FRAMES].tag = tag;
	t->frame[(t->first + t->frames) % E1000_TX_FRAMES].descs =
		(t->tail - before) % E1000_TX_DESCS;
	t->frames++;
}

bool e1000_tx_take(struct e1000_tx *t, u32 *tag)
{
	u32 descs = t->frame[t->first].descs;
	u32 last = (t->head + descs - 1) % E1000_TX_DESCS;

	if (t->frames == 0)
		return false;
	if (descs > 0 && !(__atomic_load_n(&t->desc[last].status, __ATOMIC_ACQUIRE) & E1000_TXD_DD))
		return false;
	*tag = t->frame[t->first].tag;
	t->head = (t->head + descs) % E1000_TX_DESCS;
	t->first = (t->first + 1) % E1000_TX_FRAMES;
	t->frames--;
	return true;
}

void e1000_rx_add(struct e1000_rx *r, u64 bus)
{
	check((r->tail - r->head) % E1000_RX_DESCS < E1000_RX_DESCS - 1);
	r->desc[r->tail] = (struct e1000_rx_desc){.address = bus};
	r->tail = (r->tail + 1) % E1000_RX_DESCS;
}

bool e1000_rx_take(struct e1000_rx *r, struct e1000_received *out)
{
	const struct e1000_rx_desc *at = &r->desc[r->head];
	u8 status;

	if (r->head == r->tail)
		return false;
	status = __atomic_load_n(&at->status, __ATOMIC_ACQUIRE);
	if (!(status & E1000_RXD_DD))
		return false;
	*out = (struct e1000_received){
		.bytes = __atomic_load_n(&at->length, __ATOMIC_RELAXED),
		.last = status & E1000_RXD_EOP,
		.good = !(__atomic_load_n(&at->errors, __ATOMIC_RELAXED) & E1000_RXE_FRAME),
	};
	r->head = (r->head + 1) % E1000_RX_DESCS;
	return true;
}
