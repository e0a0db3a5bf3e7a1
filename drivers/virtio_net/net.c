/* A virtio network device: see net.h. Sections are of VIRTIO 1.2. */
#include "drivers/virtio_net/net.h"

/* 5.1.3 */
#define F_CSUM       BIT(0)
#define F_GUEST_CSUM BIT(1)
#define F_MTU        BIT(3)
#define F_MAC        BIT(5)
#define F_GUEST_TSO4 BIT(7)
#define F_GUEST_TSO6 BIT(8)
#define F_GUEST_ECN  BIT(9)
#define F_HOST_TSO4  BIT(11)
#define F_HOST_TSO6  BIT(12)
#define F_HOST_ECN   BIT(13)
#define F_MRG_RXBUF  BIT(15)
#define F_STATUS     BIT(16)
#define F_CTRL_VQ    BIT(17)
#define F_CTRL_RX    BIT(18)
#define F_GUEST      (F_GUEST_CSUM | F_GUEST_TSO4 | F_GUEST_TSO6 | F_GUEST_ECN)
#define WANTED                                                                                     \
	(F_CSUM | F_MTU | F_MAC | F_GUEST | F_HOST_TSO4 | F_HOST_TSO6 | F_HOST_ECN | F_MRG_RXBUF | \
		F_STATUS | F_CTRL_VQ | F_CTRL_RX | VIRTIO_F_EVENT_IDX)

/* 5.1.4: struct virtio_net_config */
#define CONFIG_MAC     0u
#define CONFIG_STATUS  6u
#define CONFIG_MTU     10u
#define STATUS_LINK_UP 1u

/* 5.1.2, without VIRTIO_NET_F_MQ */
#define RECEIVE       0u
#define TRANSMIT      1u
#define CONTROL       2u
#define QUEUES        3u
#define QUEUE_SIZE    256u
#define CONTROL_SIZE  4u
#define FRAME_ENTRIES (CARD_PIECES + 1u) /* with its header */

/* 5.1.6.5 */
#define CLASS_RX   0u
#define RX_PROMISC 0u
#define ACK_OK     0u
#define ACK_NONE   0xffu /* what the driver writes before the device does */

#define CONTROL_STEP_US 100u
#define CONTROL_STEPS   10000
#define TRIES           16 /* to read a configuration that does not change meanwhile */

/* What wants an interrupt, and its message; if the function has fewer, the last is for the rest. */
#define ON_CONFIG   0u
#define ON_RECEIVE  1u
#define ON_TRANSMIT 2u
#define INTERRUPTS  3u

/* A command to receive all frames, with the device's answer. */
struct command {
	u8 class;
	u8 command;
	u8 on;
	u8 ack;
};
static_assert(sizeof(struct command) == 4);

/* The header of a frame to transmit, aligned. */
struct slot {
	struct net_header header;
	u32 reserved;
};
static_assert(sizeof(struct slot) == 16);

static struct device *device;
static struct virtio virtio;
static struct virtio_queue queue[QUEUES];
static u64 agreed; /* all features that both have */
static struct slot *slot;
static u64 slot_bus; /* CARD_FRAMES_MAX of them */
static struct command *command;
static u64 command_bus;
static struct device_interrupt interrupt[INTERRUPTS];
static u32 interrupts; /* 0: the line is interrupt[0] */

/* Reception: pieces that the device has lie from `used` to `given` in `data`, modulo its size. */
static u8 *data[NET_QUEUE];
static u32 given;
static u32 used;
static u32 parts_left; /* of the frame that is coming in */

static u16 vector_of(u32 what)
{
	if (interrupts == 0)
		return VIRTIO_NO_VECTOR;
	return (u16)(what < interrupts ? what : interrupts - 1);
}

static u64 bits_of(u32 what)
{
	return interrupts == 0 ? interrupt[0].bits : interrupt[vector_of(what)].bits;
}

static bool make_interrupts(void)
{
	u32 messages = device_messages(device);
	u32 count = messages < INTERRUPTS ? messages : INTERRUPTS;

	interrupts = count;
	for (u32 i = 0; i < count || i == 0; i++) {
		if (!device_interrupt(device, i, START_BIT_OWN + i, &interrupt[i]))
			return false;
	}
	return true;
}

static u64 of_takes(u32 takes, u64 csum, u64 tso4, u64 tso6, u64 ecn)
{
	return (takes & NET_TAKES_CSUM ? csum : 0) | (takes & NET_TAKES_TSO4 ? tso4 : 0) |
	       (takes & NET_TAKES_TSO6 ? tso6 : 0) | (takes & NET_TAKES_ECN ? ecn : 0);
}

/* What the device is told of a client that takes `takes`: large frames only if they may be spread
 * over several pieces. */
static u64 features_for(u32 takes)
{
	if (!(agreed & F_MRG_RXBUF) || !(agreed & F_GUEST_CSUM))
		takes &= NET_TAKES_CSUM;
	return (agreed & ~F_GUEST) |
	       (agreed & of_takes(takes, F_GUEST_CSUM, F_GUEST_TSO4, F_GUEST_TSO6, F_GUEST_ECN));
}

static void read_config(struct card_facts *f)
{
	*f = (struct card_facts){.mtu = NET_MTU};
	for (u32 i = 0; i < sizeof(f->mac) && agreed & F_MAC; i++)
		f->mac[i] = (u8)virtio_config(&virtio, CONFIG_MAC + i, 1);
	if (agreed & F_MTU) {
		f->mtu = (u16)virtio_config(&virtio, CONFIG_MTU, 2);
		f->mtu = f->mtu < NET_MTU ? f->mtu : NET_MTU;
	}
	f->takes = agreed & F_CSUM ? NET_TAKES_CSUM : 0;
	f->takes |= agreed & F_HOST_TSO4 ? NET_TAKES_TSO4 : 0;
	f->takes |= agreed & F_HOST_TSO6 ? NET_TAKES_TSO6 : 0;
	f->takes |= agreed & F_HOST_ECN ? NET_TAKES_ECN : 0;
	f->takes = net_takes(f->takes);
}

static bool read_facts(struct card_facts *f)
{
	for (int i = 0; i < TRIES; i++) {
		u8 generation = virtio_generation(&virtio);

		read_config(f);
		if (virtio_generation(&virtio) == generation)
			return true;
	}
	device_log(device, "its configuration does not stand still");
	return false;
}

/* Waits for the device's answer to a command; false: it gives none. */
static bool control_wait(void)
{
	struct virtqueue *r = &queue[CONTROL].ring;
	enum virtqueue_taken taken = VIRTQUEUE_EMPTY;
	u32 written;
	u16 tag;

	if (virtqueue_publish(r))
		virtio_notify(&queue[CONTROL]);
	for (int i = 0; i < CONTROL_STEPS && taken == VIRTQUEUE_EMPTY; i++) {
		taken = virtqueue_take(r, &tag, &written);
		if (taken == VIRTQUEUE_EMPTY)
			device_wait(device, CONTROL_STEP_US);
	}
	if (taken != VIRTQUEUE_TAKEN)
		device_log(device, "it does not answer a command");
	return taken == VIRTQUEUE_TAKEN;
}

/* Frames for all stations, as the client is a switch. Without the command the device decides. */
static bool receive_all(void)
{
	const struct virtqueue_piece piece[] = {
		{command_bus, offsetof(struct command, on), false},
		{command_bus + offsetof(struct command, on), 1, false},
		{command_bus + offsetof(struct command, ack), 1, true},
	};

	if (!(agreed & F_CTRL_VQ) || !(agreed & F_CTRL_RX))
		return true;
	*command = (struct command){
		.class = CLASS_RX, .command = RX_PROMISC, .on = 1, .ack = ACK_NONE};
	virtqueue_add(&queue[CONTROL].ring, piece, ARRAY_SIZE(piece), 0);
	if (!control_wait())
		return false;
	if (__atomic_load_n(&command->ack, __ATOMIC_RELAXED) != ACK_OK)
		device_log(device, "it does not receive frames for other stations than itself");
	return true;
}

static bool start_queues(void)
{
	if (!virtio_queue_start(&virtio, &queue[RECEIVE], RECEIVE, vector_of(ON_RECEIVE)) ||
		!virtio_queue_start(&virtio, &queue[TRANSMIT], TRANSMIT, vector_of(ON_TRANSMIT)))
		return false;
	if (agreed & F_CTRL_VQ &&
		!virtio_queue_start(&virtio, &queue[CONTROL], CONTROL, VIRTIO_NO_VECTOR))
		return false;
	if (interrupts > 0 && !virtio_config_vector(&virtio, vector_of(ON_CONFIG)))
		return false;
	if (queue[TRANSMIT].ring.size < FRAME_ENTRIES) {
		device_log(device, "its queue has %u entries: too few", queue[TRANSMIT].ring.size);
		return false;
	}
	return true;
}

static bool virtio_net_start(u32 takes)
{
	u64 features = features_for(takes);

	if (!virtio_reset(&virtio) || !virtio_negotiate(&virtio, features, features) ||
		!start_queues())
		return false;
	given = 0;
	used = 0;
	parts_left = 0;
	virtio_ready(&virtio);
	virtqueue_arm(&queue[RECEIVE].ring);
	virtqueue_arm(&queue[TRANSMIT].ring);
	return receive_all();
}

static bool alloc(struct device *d)
{
	slot = device_alloc(d, CARD_FRAMES_MAX * sizeof(*slot), sizeof(*slot), &slot_bus);
	command = device_alloc(d, sizeof(*command), sizeof(*command), &command_bus);
	return slot && command && virtio_queue_alloc(&virtio, &queue[RECEIVE], QUEUE_SIZE) &&
	       virtio_queue_alloc(&virtio, &queue[TRANSMIT], QUEUE_SIZE) &&
	       virtio_queue_alloc(&virtio, &queue[CONTROL], CONTROL_SIZE);
}

static bool virtio_net_open(struct device *d, struct card_facts *f)
{
	device = d;
	if (!virtio_open(&virtio, d) || !virtio_reset(&virtio) ||
		!virtio_negotiate(&virtio, WANTED, 0))
		return false;
	agreed = virtio.features;
	/* a started queue says how many entries it has */
	if (!read_facts(f) || !alloc(d) || !device_start(d) || !make_interrupts() ||
		!virtio_net_start(0))
		return false;
	f->frames = CARD_FRAMES_MAX;
	f->buffers = queue[RECEIVE].ring.size < NET_QUEUE ? queue[RECEIVE].ring.size : NET_QUEUE;
	return true;
}

static bool virtio_net_room(void)
{
	return virtqueue_room(&queue[TRANSMIT].ring, FRAME_ENTRIES);
}

static void virtio_net_transmit(u32 tag, const struct card_frame *f)
{
	struct virtqueue_piece piece[FRAME_ENTRIES];
	u32 n = 0;

	slot[tag].header = f->header;
	piece[n++] =
		(struct virtqueue_piece){slot_bus + tag * sizeof(*slot), sizeof(f->header), false};
	for (u32 i = 0; i < f->pieces; i++)
		piece[n++] = (struct virtqueue_piece){f->piece[i].bus, f->piece[i].length, false};
	virtqueue_add(&queue[TRANSMIT].ring, piece, n, (u16)tag);
}

static void virtio_net_post(const struct card_buffer *b)
{
	struct virtqueue_piece piece = {b->bus, b->length, true};
	u32 at = given++ % NET_QUEUE;

	data[at] = b->data;
	virtqueue_add(&queue[RECEIVE].ring, &piece, 1, (u16)at);
}

static void virtio_net_kick(void)
{
	for (u32 i = RECEIVE; i <= TRANSMIT; i++) {
		if (virtqueue_publish(&queue[i].ring))
			virtio_notify(&queue[i]);
	}
}

static bool broken(const char *what)
{
	device_log(device, "%s", what);
	return false;
}

/* A piece with `written` bytes of a frame has come. */
static bool receive(struct card_server *s, u16 tag, u32 written)
{
	struct net_header header = {0};

	if (tag != used % NET_QUEUE)
		return broken("it received in another order than it was told");
	used++;
	if (parts_left == 0) { /* 5.1.6.4: a frame begins */
		if (written < sizeof(header))
			return broken("it received less than a header");
		memcpy(&header, data[tag], sizeof(header));
		parts_left = agreed & F_MRG_RXBUF ? header.num_buffers : 1;
		if (parts_left == 0 || parts_left > NET_PIECES)
			return broken("it received a frame in too many pieces");
	}
	parts_left--;
	return card_received(s, &header, written, parts_left > 0) ||
	       broken("it received a frame that cannot be");
}

static bool take_all(struct card_server *s, u32 which)
{
	struct virtqueue *r = &queue[which].ring;
	enum virtqueue_taken taken;
	u32 written;
	u16 tag;

	do {
		while ((taken = virtqueue_take(r, &tag, &written)) == VIRTQUEUE_TAKEN) {
			if (which == TRANSMIT)
				card_sent(s, tag);
			else if (!receive(s, tag, written))
				return false;
		}
		if (taken == VIRTQUEUE_BROKEN)
			return broken("it broke a queue");
	} while (virtqueue_arm(r));
	return true;
}

static bool config_changed(struct card_server *s)
{
	if (virtio_failed(&virtio))
		return broken("it asks for a reset");
	card_link(s,
		!(agreed & F_STATUS) || virtio_config(&virtio, CONFIG_STATUS, 2) & STATUS_LINK_UP);
	return true;
}

static bool virtio_net_poll(struct card_server *s, u64 bits)
{
	bool line = interrupts == 0 && bits & interrupt[0].bits;
	bool config = bits == 0 || (interrupts > 0 && bits & bits_of(ON_CONFIG));
	bool good;

	if (line)
		config |= virtio_isr(&virtio) & VIRTIO_ISR_CONFIG;
	good = (!config || config_changed(s)) && take_all(s, RECEIVE) && take_all(s, TRANSMIT);
	if (line)
		device_interrupt_done(&interrupt[0]);
	return good;
}

const struct card_driver virtio_net_driver = {
	.open = virtio_net_open,
	.operations = {.start = virtio_net_start,
		.room = virtio_net_room,
		.transmit = virtio_net_transmit,
		.post = virtio_net_post},
	.kick = virtio_net_kick,
	.poll = virtio_net_poll,
};
