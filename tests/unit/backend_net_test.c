/* A virtio network card on a `net` session whose server the test plays. */
#include <stdlib.h>
#include "tests/unit/virtio_guest.h"

#define CARD    PCI_DEVFN(5, 0)
#define OWN_BIT 6u
#define RX      0u
#define TX      1u
#define CONTROL 2u
#define FRAME   (GUEST_DATA + 0x1000)
#define BUFFERS (GUEST_DATA + 0x20000)

static void *memory;
static struct net_end server;
static const u8 mac[6] = {2, 0, 0, 0, 0, 1};

static void event(void)
{
	machine_virtio_event(&host_machine, BIT(OWN_BIT));
}

static void server_start(void)
{
	server = net_open(memory, NET_SESSION_SIZE);
	server.server = (struct net_server){.mtu = 1500, .takes = NET_TAKES_ALL, .link = 1};
	net_server_start(&server);
}

static void server_look(void)
{
	u32 hello;

	if (net_server_look(&server, &hello) == EPOCH_HELLO)
		net_server_answer(&server, hello);
}

enum server_kind {
	ABSENT,
	MUTE, /* it starts, and answers nothing */
	SERVING,
};

/* Makes a card with such a server, which the guest takes in use. */
static void start_with(enum server_kind kind, u64 features)
{
	struct machine *m = &host_machine;
	struct start_resource r = {.size = NET_SESSION_SIZE, .bit = OWN_BIT, .value = BIT(2)};

	if (!memory)
		memory = aligned_alloc(PAGE_SIZE, NET_SESSION_SIZE);
	memset(memory, 0, NET_SESSION_SIZE);
	host_setup(false);
	r.address = (u64)memory;
	if (kind != ABSENT)
		server_start();
	CHECK(backend_net_open(m, 0, &r));
	host.wait = kind == SERVING ? server_look : NULL;
	host.wait_bits = ~0ull;
	machine_virtio_await(m, &m->virtio.net[0].connected, m->virtio.net[0].own_bit);
	CHECK_EQ(m->virtio.net[0].connected, kind == SERVING);
	CHECK(virtio_net_init(m, &m->state->virtio.card[0], 0, CARD, 1, mac));
	backend_net_attach(m, 0);
	machine_virtio_bells(m, &m->state->virtio.card[0].virtio);
	pci_configure(m, &m->state->pci, PM_BASE_DEFAULT);
	guest_start(CARD, features);
}

static void start(u64 features)
{
	start_with(SERVING, features);
	server_look(); /* what the driver takes was said anew */
	event();
	CHECK(host_machine.virtio.net[0].connected);
}

static void transmit(u32 bytes)
{
	const struct guest_part part = {FRAME, sizeof(struct net_header) + bytes, false};

	for (u32 i = 0; i < bytes; i++)
		host_ram[FRAME + sizeof(struct net_header) + i] = (u8)(i * 5);
	guest_add(CARD, TX, &part, 1);
}

/* The server takes a frame; returns its bytes with the header, 0: none. */
static u32 take(void)
{
	struct net_piece piece[NET_PIECES];
	u32 bytes;
	bool broken;
	u32 count = net_take(&server, piece, &bytes, &broken);

	CHECK(!broken);
	if (!count)
		return 0;
	CHECK(!memcmp(server.data + piece[0].offset + 20, host_ram + FRAME + 20, 40));
	net_take_done(&server, count);
	return bytes;
}

/* The server gives a frame; false: no room. */
static bool give(u32 bytes)
{
	static u8 frame[NET_FRAME_MAX + 12];
	struct net_piece piece[NET_PIECES];
	bool broken;
	u32 count = net_place(&server, bytes + 12, piece, &broken);
	u32 at = 0;

	CHECK(!broken);
	for (u32 i = 0; i < bytes; i++)
		frame[12 + i] = (u8)(i * 11);
	memcpy(frame + 12, mac, 6);
	for (u32 i = 0; i < count; i++) {
		memcpy(server.data + piece[i].offset, frame + at, piece[i].length);
		at += piece[i].length;
	}
	if (count && net_place_done(&server, piece, count))
		event();
	return count != 0;
}

static void post(u32 count)
{
	for (u32 i = 0; i < count; i++) {
		const struct guest_part part = {BUFFERS + i * 0x2000, 0x2000, true};

		guest_add(CARD, RX, &part, 1);
	}
}

TEST(frames_go_out)
{
	u32 id, length;

	start(VIRTIO_NET_F_CSUM);
	CHECK_EQ(server.takes, 0);
	for (u32 i = 0; i < 600; i++) { /* around the ring, more than once */
		transmit(1000 + i);
		CHECK(guest_used(TX, &id, &length));
		CHECK_EQ(take(), 1012 + i);
	}
	CHECK_EQ(take(), 0);
	CHECK(host.signals & BIT(2));
}

TEST(frames_wait_for_the_server)
{
	u32 id, length;
	u32 sent = 0;
	u32 taken = 0;

	start(0);
	for (u32 i = 0; i < 60; i++)
		transmit(1514);
	for (u32 i = 0; i < 600; i++) {
		while (guest_used(TX, &id, &length))
			sent++;
		if (sent > taken && take())
			taken++;
		event();
		if (sent < 500 + 60 && sent >= i)
			transmit(1514);
	}
	CHECK(taken > 300);
}

TEST(a_full_ring_asks_to_be_told)
{
	u32 id, length;
	u32 sent = 0;

	start(0);
	for (u32 i = 0; i < 400 && sent == i; i++) {
		transmit(1514);
		sent += guest_used(TX, &id, &length);
	}
	CHECK(sent > 100 && sent < 256);
	CHECK_EQ(((struct net_session *)memory)->client.waits, 1);
	CHECK(take() != 0);
	event();
	CHECK(take() != 0);
	event();
	CHECK(guest_used(TX, &id, &length));
}

TEST(frames_come_in)
{
	u32 id, length;

	start(VIRTIO_NET_F_MRG_RXBUF);
	CHECK(give(60)); /* before there are buffers */
	post(32);
	CHECK(guest_used(RX, &id, &length));
	CHECK_EQ(length, 72);
	for (u32 i = 0; i < 300; i++) { /* pieces go around */
		CHECK(give(1000));
		CHECK(guest_used(RX, &id, &length));
		CHECK_EQ(length, 1012);
		CHECK(!memcmp(host_ram + BUFFERS + (i + 1) % 32 * 0x2000 + 12, mac, 6));
		post(0);
		if (i % 16 == 15)
			for (u32 j = 0; j < 16; j++) {
				const struct guest_part part = {
					BUFFERS + (i + 1 - 15 + j) % 32 * 0x2000, 0x2000, true};

				guest_add(CARD, RX, &part, 1);
			}
	}
	CHECK(guest_read(CARD, VIRTIO_OFFSET_ISR, 1) & VIRTIO_ISR_QUEUE);
}

TEST(what_the_driver_takes_is_told)
{
	start(VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4);
	CHECK_EQ(server.takes, NET_TAKES_CSUM | NET_TAKES_TSO4);
	guest_start(CARD, VIRTIO_NET_F_GUEST_CSUM);
	server_look();
	event();
	CHECK_EQ(server.takes, NET_TAKES_CSUM);
	CHECK(host_machine.virtio.net[0].connected);
}

TEST(link)
{
	start(VIRTIO_NET_F_STATUS);
	CHECK_EQ(guest_read(CARD, VIRTIO_OFFSET_DEVICE + 6, 2), 1);
	net_set_link(&server, false);
	event();
	CHECK_EQ(guest_read(CARD, VIRTIO_OFFSET_DEVICE + 6, 2), 0);
}

TEST(a_server_that_restarts)
{
	u32 id, length;

	start(VIRTIO_NET_F_STATUS | VIRTIO_NET_F_CTRL_VQ | VIRTIO_NET_F_GUEST_ANNOUNCE);
	post(4);
	server_start();
	event();
	transmit(100); /* waits */
	CHECK(!guest_used(TX, &id, &length));
	CHECK_EQ(guest_read(CARD, VIRTIO_OFFSET_DEVICE + 6, 2), 1); /* the link stays */
	server_look();
	event();
	CHECK(guest_used(TX, &id, &length));
	CHECK_EQ(take(), 112);
	CHECK_EQ(guest_read(CARD, VIRTIO_OFFSET_DEVICE + 6, 2), 3); /* announce */
	CHECK(give(60));
	CHECK(guest_used(RX, &id, &length));
}

/* To the driver a card whose server has never served, whatever events come of it, is one without a
 * link: what it sends is dropped, and what it commands is carried out. */
TEST(a_server_that_never_serves)
{
	const struct guest_part command[] = {{FRAME, 3, false}, {BUFFERS, 1, true}};
	u32 id, length;

	for (enum server_kind kind = ABSENT; kind <= MUTE; kind++) {
		start_with(kind, VIRTIO_NET_F_STATUS | VIRTIO_NET_F_CTRL_VQ | VIRTIO_NET_F_CTRL_RX);
		for (u32 i = 0; i < FLOOD_EVENTS; i++)
			event();
		CHECK_EQ(guest_read(CARD, VIRTIO_OFFSET_DEVICE + 6, 2), 0);
		transmit(100);
		CHECK(guest_used(TX, &id, &length));
		memcpy(host_ram + FRAME, (const u8[]){VIRTIO_NET_CTRL_RX, VIRTIO_NET_RX_PROMISC, 1},
			3);
		host_ram[BUFFERS] = 0xff;
		guest_add(CARD, CONTROL, command, 2);
		CHECK(guest_used(CONTROL, &id, &length));
		CHECK_EQ(host_ram[BUFFERS], VIRTIO_NET_OK);
	}
}

/* A server that is given up: the link is down until there is one again. */
TEST(a_server_that_is_gone)
{
	start(VIRTIO_NET_F_STATUS);
	epoch_give_up(memory);
	event();
	CHECK_EQ(guest_read(CARD, VIRTIO_OFFSET_DEVICE + 6, 2), 0);
	server_start();
	event();
	server_look();
	event();
	CHECK_EQ(guest_read(CARD, VIRTIO_OFFSET_DEVICE + 6, 2), 1);
	CHECK_EQ(host.broken, 0);
}

TEST(lengths_that_cannot_be)
{
	static const struct net_received wrong[] = {
		{0, 0}, {BACKEND_NET_PIECE + 1, 0}, {100, NET_MORE}, {~0u, 0}};

	for (u32 i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct net_session *s = memory;

		start(0);
		s = memory;
		post(4);
		s->received[server.received % NET_QUEUE] = wrong[i];
		entries_publish(&s->received_queue, &server.received, 1);
		event();
		CHECK(!host_machine.virtio.net[0].connected); /* it began anew */
		CHECK_EQ(host.broken, 1);
		server_look();
		event();
		CHECK(host_machine.virtio.net[0].connected);
	}
}

TEST(noise_in_the_session)
{
	u64 seed = 3;

	start(VIRTIO_NET_F_MRG_RXBUF);
	for (u32 i = 0; i < 3000; i++) {
		u32 *word = (u32 *)memory;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		word[(seed >> 33) % (NET_DATA / 4)] = (u32)(seed >> 20) % 3 ? (u32)(seed >> 40) : 0;
		if (i % 50 == 0)
			transmit(100);
		if (i % 60 == 0)
			post(1);
		event();
	}
	CHECK_EQ(host_machine.state->virtio.card[0].virtio.queues, 3);
}
