/* An Intel gigabit Ethernet card: see e1000.h. */
#include "drivers/e1000/e1000.h"
#include "drivers/e1000/chip.h"

#define HEADER ((u32)sizeof(struct net_header))

static struct e1000 card;
static struct device_interrupt interrupt;
static bool started;  /* since the last poll */
static bool too_long; /* what comes is the rest of a frame that is */

static bool open_card(struct device *d, struct card_facts *f)
{
	if (!e1000_open(&card, d) || !device_start(d) ||
		!device_interrupt(d, 0, START_BIT_OWN, &interrupt))
		return false;
	*f = (struct card_facts){
		.mtu = NET_MTU,
		.takes = NET_TAKES_CSUM,
		.frames = E1000_TX_FRAMES,
		.buffers = E1000_RX_DESCS - 1,
	};
	memcpy(f->mac, card.mac, sizeof(f->mac));
	return true;
}

static bool start_card(u32 takes)
{
	(void)takes; /* nothing is received that not every client takes */
	if (!e1000_stop(&card))
		return false;
	e1000_start(&card);
	started = true;
	too_long = false;
	return true;
}

static bool has_room(void)
{
	return e1000_tx_room(&card.tx);
}

static void transmit(u32 tag, const struct card_frame *f)
{
	e1000_tx_add(&card.tx, tag, f);
}

static void post(const struct card_buffer *b)
{
	e1000_rx_add(&card.rx, b->bus + HEADER);
}

static void kick(void)
{
	e1000_kick(&card);
}

/* False: the card broke a rule. */
static bool take_received(struct card_server *s)
{
	static const struct net_header plain;
	struct e1000_received r;

	while (e1000_rx_take(&card.rx, &r)) {
		bool bad = too_long || !r.last || !r.good || r.bytes < NET_FRAME_MIN ||
			   r.bytes > NET_MTU + NET_LINK_HEAD;

		if (r.bytes > E1000_BUFFER) {
			device_log(card.device, "it says to have written %u bytes to %u", r.bytes,
				E1000_BUFFER);
			return false;
		}
		too_long = !r.last;
		if (!(bad ? card_lost(s) : card_received(s, &plain, HEADER + r.bytes, false))) {
			device_log(card.device, "it has filled what it was not given");
			return false;
		}
	}
	return true;
}

static bool poll_card(struct card_server *s, u64 bits)
{
	u32 causes = bits & interrupt.bits ? e1000_causes(&card) : 0;
	bool good = causes != ~0u;
	u32 tag;

	if (!good)
		device_log(card.device, "it is not there any more");
	else if (started || bits == 0 || causes & E1000_INT_LSC)
		card_link(s, e1000_link(&card));
	started = false;
	while (good && e1000_tx_take(&card.tx, &tag))
		good = card_sent(s, tag);
	good = good && take_received(s);
	if (bits & interrupt.bits)
		device_interrupt_done(&interrupt);
	return good;
}

const struct card_driver e1000_driver = {
	.open = open_card,
	.operations = {.start = start_card, .room = has_room, .transmit = transmit, .post = post},
	.kick = kick,
	.poll = poll_card,
};
