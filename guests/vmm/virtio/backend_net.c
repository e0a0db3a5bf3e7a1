/* The client's end of `net` sessions: see backend_net.h. */
#include "backend_net.h"
#include "guests/vmm/host.h"
#include "guests/vmm/machine.h"

#define LOOKS        8u /* steps of the handshake that one event may take */
#define FRAME_MAX    ((u32)sizeof(struct net_header) + NET_FRAME_MAX)
#define FRAME_PIECES ((FRAME_MAX + NET_PIECE_MAX - 1) / NET_PIECE_MAX)
#define DATA_MIN     0x40000u

static struct backend_net *backend(struct machine *m, u32 number)
{
	return &m->virtio.net[number % MACHINE_CARDS];
}

static struct virtio_net *card(struct machine *m, u32 number)
{
	return &m->state->virtio.card[number % MACHINE_CARDS];
}

static bool is_there(struct machine *m, u32 number)
{
	return card(m, number)->virtio.queues;
}

static void tell(struct backend_net *b, bool signal)
{
	if (signal)
		host_signal(b->peer, b->peer_bits);
}

bool backend_net_open(struct machine *m, u32 number, const struct start_resource *r)
{
	struct backend_net *b = backend(m, number);
	u64 half;

	if (r->size < NET_DATA + DATA_MIN)
		return false;
	memset(b, 0, sizeof(*b));
	b->end = net_open((void *)r->address, r->size);
	half = b->end.data_size / 2;
	b->ring = half > UINT32_MAX / 2 ? UINT32_MAX / 2 : (u32)ALIGN_DOWN(half, PAGE_SIZE);
	half = b->ring / BACKEND_NET_PIECE;
	b->pieces = half < BACKEND_NET_PIECES ? (u32)half : BACKEND_NET_PIECES;
	b->peer = r->cap;
	b->peer_bits = r->value;
	b->own_bit = BIT(r->bit);
	b->used = true;
	m->wake_mask |= b->own_bit;
	net_client_start(&b->end);
	if (!m->resumed) /* else machine_virtio_resume sees to the device's state first */
		backend_net_event(m, number);
	return true;
}

/* --- transmit --- */

/* First byte of the ring that the server still has. */
static u64 ring_tail(const struct backend_net *b, u32 held)
{
	return held ? b->begin[(b->end.transmit - held) % NET_QUEUE] : b->head;
}

/* Where a frame of `bytes` would begin: at once, or at the ring's start again. */
static u64 ring_place(const struct backend_net *b, u32 bytes)
{
	u32 at = (u32)(b->head % b->ring);

	return at + bytes > b->ring ? b->head + (b->ring - at) : b->head;
}

static bool has_room(const struct backend_net *b, u32 bytes, u32 held)
{
	return NET_QUEUE - held >= FRAME_PIECES &&
	       ring_place(b, bytes) + bytes - ring_tail(b, held) <= b->ring;
}

u8 *virtio_net_backend_buffer(struct machine *m, u8 number, u32 bytes)
{
	struct backend_net *b = backend(m, number);
	u32 held;

	if (!b->connected || bytes > FRAME_MAX)
		return NULL;
	held = net_transmitting(&b->end);
	if (!held)
		b->head = 0;
	/* asks to be told of the next release, and looks whether one came meanwhile */
	for (u32 i = 0; !has_room(b, bytes, held); i++) {
		if (i == NET_QUEUE || !net_wait_room(&b->end, NET_QUEUE - held + 1))
			return NULL;
		held = net_transmitting(&b->end);
	}
	b->head = ring_place(b, bytes);
	return b->end.data + b->head % b->ring;
}

void virtio_net_backend_send(struct machine *m, u8 number, u32 bytes)
{
	struct backend_net *b = backend(m, number);
	struct net_piece piece[FRAME_PIECES] = {0};
	u32 count = 0;
	bool signal = false;

	for (u32 done = 0; done < bytes && count < FRAME_PIECES; count++) {
		u32 size = bytes - done < NET_PIECE_MAX ? bytes - done : NET_PIECE_MAX;

		piece[count].offset = b->head % b->ring + done;
		piece[count].length = size;
		b->begin[(b->end.transmit + count) % NET_QUEUE] = b->head;
		done += size;
	}
	if (net_send(&b->end, piece, count, &signal))
		b->head += bytes;
	tell(b, signal);
}

/* --- receive --- */

static void post(struct backend_net *b, u32 index)
{
	net_post(&b->end, (struct net_piece){
				  .offset = b->ring + (u64)index * BACKEND_NET_PIECE,
				  .length = BACKEND_NET_PIECE,
			  });
}

/* Begins a new connection, since this one is damaged, or to say what we take now. */
static void begin_anew(struct backend_net *b)
{
	bool signal = false;

	b->connected = false;
	b->said = b->wants;
	net_client_reset(&b->end, b->wants, &signal);
	tell(b, signal);
}

/* The next frame that was received; 0 pieces: none, or the server did damage: *broken. */
static void frame_get(struct backend_net *b, struct virtio_net_frame *frame, bool *broken)
{
	u32 waiting = net_received_waiting(&b->end, broken);

	frame->pieces = 0;
	for (u32 i = 0; i < waiting && i < NET_PIECES; i++) {
		struct net_received r = net_received_at(&b->end, i);
		u64 offset = b->ring + (u64)((b->next + i) % b->pieces) * BACKEND_NET_PIECE;

		if (r.length == 0 || r.length > BACKEND_NET_PIECE || i >= b->pieces)
			break;
		frame->piece[i].at = b->end.data + offset;
		frame->piece[i].length = r.length;
		if (!(r.flags & NET_MORE)) {
			frame->pieces = i + 1;
			return;
		}
	}
	*broken |= waiting != 0;
}

void virtio_net_backend_pull(struct machine *m, u8 number)
{
	struct backend_net *b = backend(m, number);
	struct virtio_net *s = card(m, number);
	struct virtio_net_frame frame;
	bool broken = false;
	u32 i;

	for (i = 0; i < NET_QUEUE && b->connected; i++) {
		frame_get(b, &frame, &broken);
		if (!frame.pieces || virtio_net_receive(m, s, &frame) == VIRTIO_NET_WAIT)
			break;
		net_received_done(&b->end, frame.pieces);
		for (u32 j = 0; j < frame.pieces; j++)
			post(b, (b->next + j) % b->pieces);
		b->next = (b->next + frame.pieces) % b->pieces;
	}
	if (i > 0)
		tell(b, net_post_done(&b->end));
	virtio_net_received(m, s);
	if (broken) {
		host_broken(b->peer);
		begin_anew(b);
	} else if (i == NET_QUEUE)
		virtio_net_more(m, s);
}

/* --- connection --- */

void virtio_net_backend_wants(struct machine *m, u8 number, u32 takes)
{
	struct backend_net *b = backend(m, number);

	if (!b->used || b->wants == takes)
		return;
	b->wants = takes;
	if (b->connected) /* else the hello is still to come, or is said again when it is answered
			   */
		begin_anew(b);
}

static void connected(struct machine *m, struct backend_net *b, u32 number)
{
	if (b->said != b->wants) {
		begin_anew(b);
		return;
	}
	b->connected = true;
	b->head = 0;
	b->next = 0;
	for (u32 i = 0; i < b->pieces; i++)
		post(b, i);
	tell(b, net_post_done(&b->end));
	if (is_there(m, number))
		virtio_net_connected(m, card(m, number), b->end.takes, b->end.server.mtu);
	if (is_there(m, number) && b->lost)
		virtio_net_announce(m, card(m, number));
	b->lost = false;
}

void backend_net_attach(struct machine *m, u32 number)
{
	struct backend_net *b = backend(m, number);

	if (!b->connected)
		return;
	virtio_net_connected(m, card(m, number), b->end.takes, b->end.server.mtu);
	virtio_net_link(m, card(m, number), net_link_up(&b->end));
}

void backend_net_event(struct machine *m, u32 number)
{
	struct backend_net *b = backend(m, number);
	enum epoch_state state = EPOCH_HELLO;
	bool signal = false;

	for (u32 i = 0;
		i < LOOKS && state != EPOCH_AWAY && state != EPOCH_CONNECTED && state != EPOCH_GONE;
		i++) {
		state = net_client_look(&b->end, b->wants, &signal);
		if (state == EPOCH_ANSWERED)
			connected(m, b, number);
		else if (state != EPOCH_CONNECTED)
			b->connected = false;
		if (state == EPOCH_HELLO)
			b->said = b->wants;
		b->lost |= state == EPOCH_LOST;
	}
	tell(b, signal);
	if (state == EPOCH_GONE && is_there(m, number))
		virtio_net_link(m, card(m, number), false);
	if (!b->connected || !is_there(m, number))
		return;
	virtio_net_link(m, card(m, number), net_link_up(&b->end));
	virtio_net_ready(m, card(m, number));
	virtio_net_backend_pull(m, (u8)number);
}
