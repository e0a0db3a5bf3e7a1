/* virtio network device: frames both ways, configuration. See net.h. */
#include "guests/vmm/virtio/net_parts.h"
#include "drivers/lib/lib.h"

#define CLASS_ETHERNET 0x020000

static const struct virtio_need needs[] = {
	/* 5.1.3.1 */
	{VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_CSUM},
	{VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_CSUM},
	{VIRTIO_NET_F_GUEST_ECN, VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6},
	{VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_CSUM},
	{VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_CSUM},
	{VIRTIO_NET_F_HOST_ECN, VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_TSO6},
	{VIRTIO_NET_F_CTRL_RX, VIRTIO_NET_F_CTRL_VQ},
	{VIRTIO_NET_F_CTRL_RX_EXTRA, VIRTIO_NET_F_CTRL_VQ},
	{VIRTIO_NET_F_CTRL_VLAN, VIRTIO_NET_F_CTRL_VQ},
	{VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, VIRTIO_NET_F_CTRL_VQ},
	{VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_NET_F_CTRL_VQ},
	{VIRTIO_NET_F_MQ, VIRTIO_NET_F_CTRL_VQ},
	{VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_VQ},
	{0, 0},
};

/* A feature and the offload of the session that it stands for. */
struct offload {
	u64 feature;
	u32 takes;
};

static const struct offload guest[] = {
	{VIRTIO_NET_F_GUEST_CSUM, NET_TAKES_CSUM},
	{VIRTIO_NET_F_GUEST_TSO4, NET_TAKES_TSO4},
	{VIRTIO_NET_F_GUEST_TSO6, NET_TAKES_TSO6},
	{VIRTIO_NET_F_GUEST_ECN, NET_TAKES_ECN},
};

static const struct offload host[] = {
	{VIRTIO_NET_F_CSUM, NET_TAKES_CSUM},
	{VIRTIO_NET_F_HOST_TSO4, NET_TAKES_TSO4},
	{VIRTIO_NET_F_HOST_TSO6, NET_TAKES_TSO6},
	{VIRTIO_NET_F_HOST_ECN, NET_TAKES_ECN},
};

static u32 takes_of(const struct offload *table, u32 entries, u64 bits)
{
	u32 takes = 0;

	for (u32 i = 0; i < entries; i++)
		takes |= bits & table[i].feature ? table[i].takes : 0;
	return takes;
}

u32 virtio_net_wants(const struct virtio_net *s)
{
	return net_takes(takes_of(guest, ARRAY_SIZE(guest), s->offloads));
}

static u64 features(const struct virtio_net *s)
{
	u64 bits = VIRTIO_NET_F_MAC | VIRTIO_NET_F_STATUS | VIRTIO_NET_F_MRG_RXBUF |
		   VIRTIO_NET_F_CTRL_VQ | VIRTIO_NET_F_CTRL_RX | VIRTIO_NET_F_CTRL_RX_EXTRA |
		   VIRTIO_NET_F_CTRL_VLAN | VIRTIO_NET_F_CTRL_MAC_ADDR |
		   VIRTIO_NET_F_CTRL_GUEST_OFFLOADS | VIRTIO_NET_F_GUEST_ANNOUNCE |
		   VIRTIO_NET_GUEST_OFFLOADS;

	for (u32 i = 0; i < ARRAY_SIZE(host); i++)
		bits |= s->takes & host[i].takes ? host[i].feature : 0;
	if (s->mtu)
		bits |= VIRTIO_NET_F_MTU;
	if (s->pairs > 1)
		bits |= VIRTIO_NET_F_MQ;
	return bits;
}

static void config(struct machine *m, const struct virtio *d, u8 *bytes)
{
	const struct virtio_net *s = (const struct virtio_net *)d;
	struct virtio_net_config c = {
		.status = (u16)((s->link ? VIRTIO_NET_S_LINK_UP : 0) |
				(s->announce ? VIRTIO_NET_S_ANNOUNCE : 0)),
		.max_virtqueue_pairs = s->pairs,
		.mtu = s->mtu,
	};

	(void)m;
	memcpy(c.mac, s->mac, sizeof(c.mac));
	memcpy(bytes, &c, sizeof(c));
}

static void negotiated(struct machine *m, struct virtio *d)
{
	struct virtio_net *s = (struct virtio_net *)d;

	s->offloads = d->accepted & VIRTIO_NET_GUEST_OFFLOADS;
	virtio_net_backend_wants(m, s->number, virtio_net_wants(s));
}

/* A frame's size and header as the driver gave them; false: it is to be dropped. */
static bool transmit_check(
	const struct virtio_net *s, const struct virtqueue_chain *c, struct net_header *h)
{
	u32 takes = takes_of(host, ARRAY_SIZE(host), s->virtio.accepted) & s->takes;
	u32 mtu = virtio_has(&s->virtio, VIRTIO_NET_F_MTU) ? s->mtu : 0;

	h->num_buffers = 0;
	h->flags &= NET_NEEDS_CSUM;
	return net_header_fits(h, c->read_bytes - (u32)sizeof(*h), takes, mtu);
}

static void flow_learn(struct virtio_net *s, const struct virtqueue_chain *c, u32 pair)
{
	u32 size = c->read_bytes - (u32)sizeof(struct net_header);
	u8 head[VIRTIO_NET_HEAD];

	if (s->pairs_active < 2)
		return;
	size = size < sizeof(head) ? size : (u32)sizeof(head);
	if (virtqueue_read(c, sizeof(struct net_header), head, size))
		s->flow[virtio_net_flow(head, size)] = (u8)pair;
}

/* Sends the frame in a chain; false: it has to wait. */
static bool transmit_chain(
	struct machine *m, struct virtio_net *s, u32 pair, const struct virtqueue_chain *c)
{
	struct net_header h;
	u8 *buffer;

	virtqueue_read(c, 0, &h, sizeof(h));
	if (!s->link || !transmit_check(s, c, &h))
		return true;
	buffer = virtio_net_backend_buffer(m, s->number, c->read_bytes);
	if (!buffer)
		return false;
	memcpy(buffer, &h, sizeof(h));
	virtqueue_read(c, sizeof(h), buffer + sizeof(h), c->read_bytes - (u32)sizeof(h));
	virtio_net_backend_send(m, s->number, c->read_bytes);
	flow_learn(s, c, pair);
	return true;
}

static void transmit(struct machine *m, struct virtio_net *s, u32 pair)
{
	u32 queue = VIRTIO_NET_QUEUE_TX(pair);
	struct virtqueue_chain c;

	for (u32 i = 0; i < VIRTIO_NET_SIZE; i++) {
		if (!virtio_look(m, &s->virtio, queue, 0, &c)) {
			virtio_interrupt(m, &s->virtio, queue);
			return;
		}
		if (c.write_bytes || c.read_bytes < sizeof(struct net_header)) {
			virtio_broken(m, &s->virtio);
			return;
		}
		if (!transmit_chain(m, s, pair, &c)) {
			virtio_interrupt(m, &s->virtio, queue);
			return;
		}
		virtio_finish(m, &s->virtio, queue, c.head, 0);
	}
	virtio_interrupt(m, &s->virtio, queue);
	virtio_again(m, &s->virtio, queue);
}

static void process(struct machine *m, struct virtio *d, u32 queue)
{
	struct virtio_net *s = (struct virtio_net *)d;

	if (queue < virtio_net_control_queue(s) && queue % 2 == 0)
		virtio_net_backend_pull(m, s->number);
	else if (queue < virtio_net_control_queue(s))
		transmit(m, s, queue / 2);
	else if (queue == virtio_net_control_queue(s) && virtio_has(d, VIRTIO_NET_F_CTRL_VQ))
		virtio_net_control(m, s);
}

void virtio_net_ready(struct machine *m, struct virtio_net *s)
{
	for (u32 i = 0; i < virtio_net_pairs(s); i++)
		virtio_notify(m, &s->virtio, VIRTIO_NET_QUEUE_TX(i));
}

/* A received frame: private copies of its header and first bytes, the rest where it lies. */
struct incoming {
	const struct virtio_net_frame *frame;
	struct net_header header;
	u8 head[VIRTIO_NET_HEAD];
	u32 head_bytes;
	u32 bytes; /* of header and frame */
};

/* Copies bytes of the pieces; the range is within them. */
static void frame_copy(const struct virtio_net_frame *f, u32 offset, u8 *to, u32 size)
{
	for (u32 i = 0; i < f->pieces && size; i++) {
		u32 length = f->piece[i].length;
		u32 step;

		if (offset >= length) {
			offset -= length;
			continue;
		}
		step = length - offset < size ? length - offset : size;
		memcpy(to, f->piece[i].at + offset, step);
		offset = 0;
		to += step;
		size -= step;
	}
}

static bool incoming_open(struct incoming *in, const struct virtio_net_frame *frame)
{
	u64 bytes = 0;

	if (frame->pieces > NET_PIECES)
		return false;
	for (u32 i = 0; i < frame->pieces; i++)
		bytes += frame->piece[i].length;
	if (bytes < sizeof(in->header) + NET_FRAME_MIN ||
		bytes > sizeof(in->header) + NET_FRAME_MAX)
		return false;
	in->frame = frame;
	in->bytes = (u32)bytes;
	in->head_bytes = in->bytes - (u32)sizeof(in->header);
	if (in->head_bytes > sizeof(in->head))
		in->head_bytes = sizeof(in->head);
	frame_copy(frame, 0, (u8 *)&in->header, sizeof(in->header));
	frame_copy(frame, sizeof(in->header), in->head, in->head_bytes);
	return true;
}

/* Checks the header against what the driver takes, and leaves in it what the driver may see. */
static bool incoming_fits(const struct virtio_net *s, struct incoming *in)
{
	u32 wants = virtio_net_wants(s);
	u32 bytes = in->bytes - (u32)sizeof(in->header);
	u32 mtu = virtio_has(&s->virtio, VIRTIO_NET_F_MTU) ? s->mtu : 0;

	in->header.num_buffers = 1;
	in->header.flags &=
		wants & NET_TAKES_CSUM ? NET_NEEDS_CSUM | NET_DATA_VALID : NET_NEEDS_CSUM;
	if (in->header.header_length > bytes)
		in->header.header_length = (u16)bytes;
	return net_header_fits(&in->header, bytes, wants, mtu);
}

/* Copies `size` bytes at `offset` of header and frame to the start of a chain's buffers. */
static void incoming_put(
	const struct incoming *in, u32 offset, const struct virtqueue_chain *c, u32 size)
{
	const struct {
		const void *from;
		u32 start;
		u32 end;
	} copies[] = {
		{&in->header, 0, sizeof(in->header)},
		{in->head, sizeof(in->header), (u32)sizeof(in->header) + in->head_bytes},
	};
	u32 end = offset + size;
	u32 done = offset;
	u32 start = 0;

	for (u32 i = 0; i < ARRAY_SIZE(copies); i++) {
		if (done >= copies[i].end || done >= end)
			continue;
		size = (copies[i].end < end ? copies[i].end : end) - done;
		virtqueue_write(c, done - offset,
			(const u8 *)copies[i].from + (done - copies[i].start), size);
		done += size;
	}
	for (u32 i = 0; i < in->frame->pieces && done < end; i++) {
		u32 length = in->frame->piece[i].length;

		if (done < start + length) {
			size = (start + length < end ? start + length : end) - done;
			virtqueue_write(
				c, done - offset, in->frame->piece[i].at + (done - start), size);
			done += size;
		}
		start += length;
	}
}

/*
 * Puts a frame into as many chains as it needs, of which num_buffers tells; these are taken and
 * given back in one step, when all of it is there.
 */
static enum virtio_net_result deliver(
	struct machine *m, struct virtio_net *s, u32 queue, struct incoming *in)
{
	struct virtqueue *q = &s->virtio.queue[queue];
	bool merge = virtio_has(&s->virtio, VIRTIO_NET_F_MRG_RXBUF);
	struct virtqueue_chain c;
	u32 done = 0;
	u32 chains = 0;

	do {
		u32 size = in->bytes - done;

		if (!virtio_look(m, &s->virtio, queue, chains, &c))
			return VIRTIO_NET_WAIT;
		if (c.read_bytes || c.write_bytes < sizeof(in->header)) {
			virtio_broken(m, &s->virtio);
			return VIRTIO_NET_DROPPED;
		}
		if (size > c.write_bytes)
			size = c.write_bytes;
		if (size < in->bytes - done && (!merge || chains == q->size - 1u))
			return VIRTIO_NET_DROPPED; /* larger than the driver's buffers */
		incoming_put(in, done, &c, size);
		virtqueue_fill(machine_memory(m), q, chains, c.head, size);
		done += size;
		chains++;
	} while (done < in->bytes);
	in->header.num_buffers = (u16)chains;
	/* looked at again, as a second chain on the stack is much; c is it already if it is one */
	if (chains > 1 && !virtio_look(m, &s->virtio, queue, 0, &c))
		return VIRTIO_NET_DROPPED;
	virtqueue_write(&c, 0, &in->header, sizeof(in->header));
	virtqueue_advance(machine_memory(m), q, (u16)chains, (u16)chains);
	return VIRTIO_NET_TAKEN;
}

enum virtio_net_result virtio_net_receive(
	struct machine *m, struct virtio_net *s, const struct virtio_net_frame *frame)
{
	struct incoming in;
	u32 pair = 0;

	if (!virtio_live(m, &s->virtio, VIRTIO_NET_QUEUE_RX(0)) || !incoming_open(&in, frame) ||
		!virtio_net_wanted(s, in.head, in.head_bytes) || !incoming_fits(s, &in))
		return VIRTIO_NET_DROPPED;
	if (s->pairs_active > 1)
		pair = s->flow[virtio_net_flow(in.head, in.head_bytes)] % s->pairs_active;
	if (!virtio_live(m, &s->virtio, VIRTIO_NET_QUEUE_RX(pair)))
		pair = 0;
	return deliver(m, s, VIRTIO_NET_QUEUE_RX(pair), &in);
}

void virtio_net_received(struct machine *m, struct virtio_net *s)
{
	for (u32 i = 0; i < virtio_net_pairs(s); i++)
		virtio_interrupt(m, &s->virtio, VIRTIO_NET_QUEUE_RX(i));
}

void virtio_net_more(struct machine *m, struct virtio_net *s)
{
	virtio_again(m, &s->virtio, VIRTIO_NET_QUEUE_RX(0));
}

/* What the driver has set is gone. */
static void forget(struct virtio_net *s)
{
	memcpy(s->mac, s->own_mac, sizeof(s->mac));
	memset(s->mode, 0, sizeof(s->mode));
	memset(&s->unicast, 0, sizeof(s->unicast));
	memset(&s->multicast, 0, sizeof(s->multicast));
	memset(s->vlan, 0, sizeof(s->vlan));
	memset(s->flow, 0, sizeof(s->flow));
	s->pairs_active = 1;
	s->announce = 0;
	s->offloads = 0;
}

static void reset(struct machine *m, struct virtio *d)
{
	struct virtio_net *s = (struct virtio_net *)d;

	(void)m;
	forget(s);
	d->offered = features(s) | VIRTIO_F_ALL;
}

const struct virtio_model virtio_net_model = {
	.class_code = CLASS_ETHERNET,
	.config_bytes = sizeof(struct virtio_net_config),
	.needs = needs,
	.config = config,
	.negotiated = negotiated,
	.process = process,
	.reset = reset,
};

bool virtio_net_init(
	struct machine *m, struct virtio_net *s, u8 number, u8 devfn, u8 pairs, const u8 mac[6])
{
	const struct virtio_setup setup = {
		.magic = VIRTIO_NET_MAGIC,
		.bytes = sizeof(*s),
		.type = VIRTIO_TYPE_NET,
		.devfn = devfn,
		.queues = (u8)(pairs * 2 + 1),
		.size = VIRTIO_NET_SIZE,
	};

	memset(s, 0, sizeof(*s));
	s->number = number;
	s->pairs = pairs;
	memcpy(s->own_mac, mac, sizeof(s->own_mac));
	forget(s);
	if (pairs == 0 || pairs > VIRTIO_NET_PAIRS || !virtio_init(m, &s->virtio, &setup))
		return false;
	s->virtio.offered |= features(s);
	return true;
}

void virtio_net_connected(struct machine *m, struct virtio_net *s, u32 takes, u16 mtu)
{
	(void)m;
	s->takes = net_takes(takes);
	if (mtu >= VIRTIO_NET_MTU_MIN && !s->mtu)
		s->mtu = mtu; /* never changes once the driver may have read it (5.1.4.1) */
	if (!s->virtio.status)
		s->virtio.offered = features(s) | VIRTIO_F_ALL;
}

void virtio_net_link(struct machine *m, struct virtio_net *s, bool up)
{
	if (s->link == up)
		return;
	s->link = up;
	virtio_config_changed(m, &s->virtio);
	virtio_net_ready(m, s);
}

void virtio_net_announce(struct machine *m, struct virtio_net *s)
{
	if (!virtio_has(&s->virtio, VIRTIO_NET_F_GUEST_ANNOUNCE) || s->announce)
		return;
	s->announce = 1;
	virtio_config_changed(m, &s->virtio);
}
