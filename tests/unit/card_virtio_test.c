/*
 * Tests of the driver of virtio network cards against a model of the device: its features on and
 * off, frames each way, connections that come and go, and a device that does what VIRTIO forbids.
 */
#include "drivers/virtio_net/net.h"
#include "tests/unit/card_test.h"
#include "tests/unit/fake_virtio_net.h"

#define VERSION_1  BIT(32)
#define EVENT      BIT(29)
#define CSUM       BIT(0)
#define GUEST_CSUM BIT(1)
#define MTU        BIT(3)
#define MAC        BIT(5)
#define GUEST_TSO4 BIT(7)
#define GUEST_TSO6 BIT(8)
#define HOST_TSO4  BIT(11)
#define MERGED     BIT(15)
#define STATUS     BIT(16)
#define CTRL_VQ    BIT(17)
#define CTRL_RX    BIT(18)
#define ALL                                                                                        \
	(VERSION_1 | EVENT | CSUM | GUEST_CSUM | MTU | MAC | GUEST_TSO4 | GUEST_TSO6 | HOST_TSO4 | \
		MERGED | STATUS | CTRL_VQ | CTRL_RX)
#define HEADER ((u32)sizeof(struct net_header))

static u8 last[FAKE_VNET_FRAME_MAX]; /* that came out, if it is no frame of card_work's */
static u32 last_bytes;
static bool own;

static void came_out(const u8 *frame, u32 bytes)
{
	memcpy(last, frame, bytes);
	last_bytes = bytes;
	if (!own)
		card_work_out(&w, frame + HEADER, bytes - HEADER);
}

static bool transmit(void)
{
	return fake_vnet_transmit(FAKE_VNET_GOOD);
}

static bool receive(const u8 *frame, u32 bytes, u32 act)
{
	return fake_vnet_receive(frame, bytes, (enum fake_vnet_act)act);
}

static const struct card_model model = {transmit, receive, &fake_virtio.rules};

static bool start(u64 features, u32 messages)
{
	fake_vnet.sent = came_out;
	own = false;
	fake_vnet_init(features, messages);
	return card_work_start(&w, &virtio_net_driver);
}

TEST(vnet_every_feature)
{
	for (u64 i = 0; i < 64; i++) {
		u64 features = VERSION_1 | (i & 1 ? EVENT : 0) | (i & 2 ? CSUM | GUEST_CSUM : 0) |
			       (i & 4 ? MERGED | GUEST_TSO4 : 0) | (i & 8 ? CTRL_VQ | CTRL_RX : 0) |
			       (i & 16 ? MAC | STATUS | MTU : 0);

		CHECK(start(features, i & 32 ? 3 : (u32)random() % 2 + 1));
		CHECK_EQ(w.facts.takes, i & 2 ? NET_TAKES_CSUM : 0);
		CHECK_EQ(memcmp(w.facts.mac, fake_vnet.mac, 6) == 0, (i & 16) != 0);
		connect();
		CHECK_EQ(fake_vnet.promiscuous, (i & 8) != 0);
		work(60, false);
		clean();
		CHECK_EQ(w.out, w.next_sent);
		CHECK_EQ(w.got, w.next_in - fake_vnet.dropped);
		CHECK(w.out > 300 && w.got > 300);
		CHECK_EQ(w.resets, 0);
	}
}

TEST(vnet_clients_come_and_go)
{
	CHECK(start(ALL, 3));
	connect();
	work(3000, true);
	clean();
	CHECK(w.out > 10000 && w.got > 10000);
	CHECK_EQ(w.resets, 0);
	CHECK(fake_virtio.resets > 50);
}

/* A queue that is smaller than the session's. */
TEST(vnet_small_queue)
{
	fake_vnet.sent = came_out;
	fake_vnet_init(ALL, 3);
	fake_virtio.queue_size = 16;
	CHECK(card_work_start(&w, &virtio_net_driver));
	CHECK_EQ(w.facts.buffers, 16);
	connect();
	work(1000, true);
	clean();
	fake_vnet_init(ALL, 3);
	fake_virtio.queue_size = 8;
	CHECK(!card_work_start(&w, &virtio_net_driver));
}

/* No interrupt is missed: the driver only works when one has come, or the client has sent. */
TEST(vnet_interrupts)
{
	for (u32 i = 0; i < 8; i++) {
		CHECK(start(i & 1 ? ALL : ALL & ~EVENT, 1 + i / 2 % 3));
		connect();
		for (u32 k = 0; k < 300; k++) {
			if (k & 1)
				CHECK(comes_in(some_size(), FAKE_VNET_GOOD));
			else
				CHECK(card_work_send(&w, some_size(), 2, k & 2));
			if (!(k & 1))
				card_work_turn(&w);
			while (fake_vnet_transmit(FAKE_VNET_GOOD))
				;
			CHECK(fake_device.interrupts);
			while (fake_device.interrupts)
				card_work_turn(&w);
			card_work_client(&w);
			CHECK_EQ(net_transmitting(&w.client), 0);
			CHECK_EQ(w.got, w.next_in);
			CHECK_EQ(w.out, w.next_sent);
		}
		clean();
		CHECK_EQ(w.client.server.link, 1);
		fake_vnet_link(false);
		while (fake_device.interrupts)
			card_work_turn(&w);
		CHECK(!net_link_up(&w.client));
		card_work_send(&w, 100, 1, false); /* into no cable */
		card_work_turn(&w);
		CHECK_EQ(net_transmitting(&w.client), 0);
		CHECK(!fake_vnet_transmit(FAKE_VNET_GOOD));
		fake_vnet_link(true);
		while (fake_device.interrupts)
			card_work_turn(&w);
		CHECK(net_link_up(&w.client));
	}
}

/* A large segment goes to a device that cuts it, in one piece for slots that adjoin. */
TEST(vnet_large_frames)
{
	struct net_header h = {.flags = NET_NEEDS_CSUM,
		.gso_type = NET_GSO_TCPV4,
		.header_length = 54,
		.gso_size = 1448,
		.csum_start = 34,
		.csum_offset = 16};
	struct net_piece piece[20];
	bool signal = false;

	CHECK(start(ALL, 3));
	CHECK_EQ(w.facts.takes, NET_TAKES_CSUM | NET_TAKES_TSO4);
	connect();
	own = true;
	for (u32 i = 0; i < 20; i++) {
		piece[i] = (struct net_piece){.offset = i * 2048, .length = 2048};
		memset(w.client.data + i * 2048, (int)i, 2048);
	}
	memcpy(w.client.data, &h, HEADER);
	CHECK(net_send(&w.client, piece, 20, &signal));
	card_work_turn(&w);
	CHECK(fake_vnet_transmit(FAKE_VNET_GOOD));
	CHECK_EQ(last_bytes, 20 * 2048);
	CHECK(last[5000] == 2 && last[40000] == 19 && last[1] == NET_GSO_TCPV4);
	card_work_turn(&w);
	CHECK_EQ(net_transmitting(&w.client), 0);
	/* what the device does not take, or in too many places, is refused and released */
	h.gso_type = NET_GSO_TCPV6;
	memcpy(w.client.data, &h, HEADER);
	CHECK(net_send(&w.client, piece, 20, &signal));
	h.gso_type = NET_GSO_TCPV4;
	memcpy(w.client.data + 20 * 2048, &h, HEADER);
	for (u32 i = 0; i < 20; i++)
		piece[i] = (struct net_piece){.offset = (20 + 2 * i) * 2048, .length = 2048};
	CHECK(net_send(&w.client, piece, 20, &signal));
	card_work_turn(&w);
	CHECK(!fake_vnet_transmit(FAKE_VNET_GOOD));
	CHECK_EQ(net_transmitting(&w.client), 0);
	CHECK_EQ(w.server.end.server.errors, 2);
	clean();
}

TEST(vnet_refused)
{
	CHECK(!start(ALL & ~VERSION_1, 3));
	fake_vnet_init(ALL, 3);
	fake_virtio.refuse = true;
	CHECK(!card_work_start(&w, &virtio_net_driver));
	fake_vnet_init(ALL, 3);
	fake_vnet.no_control = true;
	CHECK(!card_work_start(&w, &virtio_net_driver));
	CHECK(fake_device.waited >= 1000000);
	CHECK(strstr(fake_device.last, "does not answer a command") != NULL);
	fake_vnet_init(ALL, 3);
	fake_vnet.mtu = 20;
	CHECK(!card_work_start(&w, &virtio_net_driver));
	fake_vnet_init(ALL, 3);
	fake_vnet.refuses = true; /* it does what it can */
	CHECK(card_work_start(&w, &virtio_net_driver));
}

/* A device that breaks a rule is reset, and what follows is as it should be. */
TEST(vnet_hostile_device)
{
	for (u32 act = FAKE_VNET_BAD_ID; act < FAKE_VNET_ACTS; act++) {
		for (u32 receives = 0; receives < 2; receives++) {
			bool only_in = act >= FAKE_VNET_SHORT && act <= FAKE_VNET_ORDER;

			if (!receives && (only_in || act == FAKE_VNET_LONG))
				continue;
			CHECK(start(ALL, 3));
			connect();
			work(10, false);
			CHECK(card_work_send(&w, 100, 1, false) &&
				card_work_send(&w, 100, 2, false));
			card_work_turn(&w);
			if (receives)
				CHECK(comes_in(200, act));
			else
				CHECK(fake_vnet_transmit(act));
			card_work_turn(&w);
			/* a header that claims too much is the frame's end only */
			CHECK_EQ(w.resets, act == FAKE_VNET_CLAIM ? 0 : 1);
			CHECK(!w.dead);
			settle();
			CHECK_EQ(net_transmitting(&w.client), 0);
			CHECK_EQ(w.empty, act == FAKE_VNET_CLAIM ? 1 : 0);
			w.resets = 0;
			work(50, false);
			clean();
			CHECK_EQ(w.resets, 0);
		}
	}
}

TEST(vnet_device_that_stays_broken)
{
	CHECK(start(ALL, 3));
	connect();
	fake_virtio.no_reset = true;
	CHECK(comes_in(200, FAKE_VNET_JUMP));
	card_work_turn(&w);
	CHECK(w.dead);
	CHECK(strstr(fake_device.last, "cannot be reset") != NULL);
}

/* What was written after a connection's end touches nobody. */
TEST(vnet_damage_by_the_client)
{
	CHECK(start(ALL, 3));
	connect();
	for (u32 i = 0; i < 5; i++)
		CHECK(comes_in(100, FAKE_VNET_GOOD));
	card_work_turn(&w);
	w.client.session->free_queue.head += 1000;
	CHECK(comes_in(100, FAKE_VNET_GOOD)); /* so that it looks for another piece */
	card_work_turn(&w);
	CHECK_EQ(w.server.damages, 1);
	CHECK(!w.server.connected);
	CHECK(comes_in(100, FAKE_VNET_GOOD)); /* the card has the pieces still */
	card_work_turn(&w);
	card_work_client(&w);
	card_work_restart(&w);
	connect();
	w.next_got = w.next_in; /* what came is lost */
	work(50, false);
	CHECK_EQ(fake_virtio.rules + fake_device.wild + w.wrong, 0);
}
