/*
 * Tests of the net protocol: frames in pieces both ways, room and drops, restarts, damaged entries
 * and indices.
 */
#include <stdlib.h>

#include "drivers/protocols/net.h"
#include "tests/unit/test.h"

#define PIECE 2048u

static union {
	struct net_session session;
	u8 space[NET_SESSION_SIZE];
} shared;

static struct net_end client;
static struct net_end server;

static void connect_ends(void)
{
	bool signal = false;
	u32 hello;

	memset(&shared, 0, sizeof(shared));
	client = net_open(&shared, sizeof(shared));
	server = net_open(&shared, sizeof(shared));
	server.server = (struct net_server){.mac = {2, 1, 2, 3, 4, 5},
		.mtu = NET_MTU,
		.takes = NET_TAKES_CSUM | NET_TAKES_TSO6,
		.link = 1};
	net_server_start(&server);
	net_client_start(&client);
	CHECK_EQ(net_client_look(&client, NET_TAKES_CSUM | NET_TAKES_ECN, &signal), EPOCH_HELLO);
	CHECK(signal);
	CHECK_EQ(net_server_look(&server, &hello), EPOCH_HELLO);
	net_server_answer(&server, hello);
	CHECK_EQ(net_client_look(&client, 0, &signal), EPOCH_ANSWERED);
}

static struct net_piece piece_at(u64 offset, u32 length)
{
	return (struct net_piece){.offset = offset, .length = length};
}

TEST(net_connects)
{
	connect_ends();
	CHECK_EQ(client.takes, NET_TAKES_CSUM | NET_TAKES_TSO6);
	CHECK_EQ(server.takes, NET_TAKES_CSUM); /* ECN stands on nothing */
	CHECK(client.server.mac[1] == 1 && client.server.mtu == NET_MTU);
	CHECK(net_link_up(&client));
	CHECK(net_set_link(&server, false));
	CHECK(!net_set_link(&server, false));
	CHECK(!net_link_up(&client));
	CHECK_EQ(net_takes(NET_TAKES_TSO4), 0);
	CHECK_EQ(net_takes(~0u), NET_TAKES_ALL);
}

TEST(net_transmit)
{
	struct net_piece in[NET_PIECES];
	struct net_piece out[3] = {piece_at(0, 12), piece_at(100, 1), piece_at(200, 50)};
	bool signal = false;
	bool broken;
	u32 bytes;

	connect_ends();
	CHECK(!net_send(&client, out, 0, &signal));
	CHECK(!net_send(&client, out, NET_PIECES + 1, &signal));
	CHECK(net_send(&client, out, 3, &signal) && signal);
	CHECK_EQ(net_transmitting(&client), 3);
	CHECK_EQ(net_take(&server, in, &bytes, &broken), 3);
	CHECK_EQ(bytes, 63);
	CHECK(in[2].offset == 200 && in[2].length == 50 && !broken);
	CHECK(!net_take_done(&server, 3)); /* nobody waits for room */
	CHECK_EQ(net_transmitting(&client), 0);
	CHECK_EQ(net_take(&server, in, &bytes, &broken), 0);
	/* Full, and somebody waits. */
	for (u32 i = 0; i < NET_QUEUE / 2; i++)
		CHECK(net_send(&client, out, 2, &signal));
	CHECK(!net_send(&client, out, 1, &signal));
	CHECK(!net_wait_room(&client, 2));
	CHECK_EQ(net_take(&server, in, &bytes, &broken), 2);
	CHECK(net_take_done(&server, 2));
	CHECK(net_wait_room(&client, 2));
	CHECK_EQ(shared.session.client.waits, 0);
}

TEST(net_receive)
{
	struct net_piece place[NET_PIECES];
	bool broken;

	connect_ends();
	CHECK_EQ(net_place(&server, 100, place, &broken), 0); /* nothing is posted */
	CHECK(!broken);
	for (u32 i = 0; i < NET_QUEUE; i++)
		CHECK(net_post(&client, piece_at(i * PIECE, PIECE)));
	CHECK(!net_post(&client, piece_at(0, PIECE)));
	CHECK_EQ(net_place(&server, 2 * PIECE + 1, place, &broken), 3);
	CHECK(place[0].length == PIECE && place[2].length == 1 && place[2].offset == 2 * PIECE);
	CHECK(net_place_done(&server, place, 3));
	CHECK_EQ(net_received_waiting(&client, &broken), 3);
	CHECK(net_received_at(&client, 0).flags == NET_MORE);
	CHECK(net_received_at(&client, 2).flags == 0 && net_received_at(&client, 2).length == 1);
	net_received_done(&client, 3);
	CHECK_EQ(net_received_waiting(&client, &broken), 0);
	/* 253 pieces are left: a frame of all sizes, then no room for a large one. */
	CHECK_EQ(net_place(&server, sizeof(struct net_header) + NET_FRAME_MAX, place, &broken), 33);
	for (u32 i = 0; i < 7; i++)
		CHECK_EQ(net_place_done(&server, place, 33), i == 0);
	CHECK_EQ(net_place(&server, 22 * PIECE, place, &broken), 22);
	CHECK_EQ(net_place(&server, 22 * PIECE + 1, place, &broken), 0);
	CHECK(!broken);
	/* Free pieces, but a client that does not look at what it received. */
	for (u32 i = 0; i < 231; i++)
		CHECK(net_post(&client, piece_at(i * PIECE, PIECE)));
	CHECK_EQ(net_place(&server, 25 * PIECE, place, &broken), 25);
	CHECK_EQ(net_place(&server, 26 * PIECE, place, &broken), 0);
	CHECK(!broken);
}

/* A server that hands on frames and pieces before it is done with them. */
TEST(net_held)
{
	struct net_piece in[NET_PIECES];
	struct net_piece out[2] = {piece_at(0, 40), piece_at(100, 60)};
	bool signal = false;
	bool broken;
	u32 bytes;

	connect_ends();
	for (u32 i = 0; i < 3; i++) {
		out[0].length = 40 + i;
		CHECK(net_send(&client, out, 2, &signal));
	}
	for (u32 i = 0; i < 3; i++) {
		CHECK_EQ(net_take_next(&server, 2 * i, in, &bytes, &broken), 2);
		CHECK_EQ(bytes, 100 + i);
	}
	CHECK_EQ(net_take_next(&server, 6, in, &bytes, &broken), 0);
	CHECK(!broken);
	CHECK_EQ(net_transmitting(&client), 6);
	net_take_done(&server, 4);
	CHECK_EQ(net_transmitting(&client), 2);
	CHECK_EQ(net_take_next(&server, 0, in, &bytes, &broken), 2);
	CHECK_EQ(bytes, 102);
	/* the client takes back what it sent */
	shared.session.transmit_queue.head--;
	CHECK_EQ(net_take_next(&server, 2, in, &bytes, &broken), 0);
	CHECK(broken);

	connect_ends();
	CHECK(!net_posted(&server, 0, in, &broken) && !broken);
	CHECK(!net_wait_free(&server, 0));
	CHECK(net_post(&client, piece_at(0, PIECE)) && net_post(&client, piece_at(PIECE, PIECE)));
	CHECK(net_post_done(&client));
	CHECK(!net_post_done(&client)); /* told once */
	CHECK(net_wait_free(&server, 0) && net_wait_free(&server, 1));
	CHECK_EQ(shared.session.server.waits, 0);
	CHECK(net_posted(&server, 1, in, &broken) && in[0].offset == PIECE);
	CHECK(!net_posted(&server, 2, in, &broken) && !broken);
	/* `received` has room for one more only */
	server.received += NET_QUEUE - 1;
	CHECK(net_posted(&server, 0, in, &broken) && !net_posted(&server, 1, in, &broken));
	CHECK(!broken);
	shared.session.free[server.free % NET_QUEUE].offset = NET_DATA_SIZE;
	CHECK(!net_posted(&server, 0, in, &broken) && broken);
}

TEST(net_header)
{
	struct net_header h = {0};

	CHECK(net_header_fits(&h, NET_FRAME_MIN, 0, NET_MTU));
	CHECK(!net_header_fits(&h, NET_FRAME_MIN - 1, 0, NET_MTU));
	CHECK(net_header_fits(&h, NET_MTU + NET_LINK_HEAD, 0, NET_MTU));
	CHECK(!net_header_fits(&h, NET_MTU + NET_LINK_HEAD + 1, 0, NET_MTU));
	CHECK(net_header_fits(&h, NET_FRAME_MAX, 0, 0) &&
		!net_header_fits(&h, NET_FRAME_MAX + 1, 0, 0));
	h = (struct net_header){.flags = NET_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
	CHECK(net_header_fits(&h, 52, NET_TAKES_CSUM, NET_MTU));
	CHECK(!net_header_fits(&h, 51, NET_TAKES_CSUM, NET_MTU));
	CHECK(!net_header_fits(&h, 52, NET_TAKES_ALL & ~NET_TAKES_CSUM, NET_MTU));
	h.gso_type = NET_GSO_TCPV4;
	CHECK(!net_header_fits(&h, 9000, NET_TAKES_ALL, NET_MTU)); /* segments of nothing */
	h.gso_size = 1448;
	CHECK(net_header_fits(&h, 9000, NET_TAKES_ALL, NET_MTU));
	CHECK(!net_header_fits(&h, 9000, NET_TAKES_CSUM | NET_TAKES_TSO6, NET_MTU));
	h.gso_type |= NET_GSO_ECN;
	CHECK(!net_header_fits(&h, 9000, NET_TAKES_CSUM | NET_TAKES_TSO4, NET_MTU));
	h.gso_type = 3; /* UDP */
	CHECK(!net_header_fits(&h, 9000, NET_TAKES_ALL, NET_MTU));
	h.flags = 0;
	h.gso_type = NET_GSO_TCPV4;
	CHECK(!net_header_fits(&h, 9000, NET_TAKES_ALL, NET_MTU));
}

TEST(net_restarts)
{
	struct net_piece place[NET_PIECES];
	struct net_piece out = piece_at(0, 100);
	bool signal = false;
	bool broken;
	u32 hello;
	u32 bytes;

	connect_ends();
	CHECK(net_send(&client, &out, 1, &signal));
	CHECK(net_post(&client, piece_at(0, PIECE)));
	net_server_start(&server);
	CHECK_EQ(net_take(&server, place, &bytes, &broken), 0);
	CHECK_EQ(net_client_look(&client, 0, &signal), EPOCH_LOST);
	CHECK_EQ(net_transmitting(&client), NET_QUEUE); /* nothing may be sent */
	CHECK(!net_post(&client, piece_at(0, PIECE)));
	CHECK_EQ(net_client_look(&client, 0, &signal), EPOCH_HELLO);
	CHECK_EQ(net_server_look(&server, &hello), EPOCH_HELLO);
	net_server_answer(&server, hello);
	CHECK_EQ(net_client_look(&client, 0, &signal), EPOCH_ANSWERED);
	/* Clean queues. */
	CHECK_EQ(net_transmitting(&client), 0);
	CHECK_EQ(net_take(&server, place, &bytes, &broken), 0);
	CHECK_EQ(net_place(&server, 10, place, &broken), 0);
	/* A fresh client, with pieces posted by its predecessor. */
	CHECK(net_post(&client, piece_at(0, PIECE)));
	client = net_open(&shared, sizeof(shared));
	net_client_start(&client);
	CHECK_EQ(net_client_look(&client, NET_TAKES_ALL, &signal), EPOCH_HELLO);
	CHECK_EQ(net_server_look(&server, &hello), EPOCH_HELLO);
	net_server_answer(&server, hello);
	CHECK_EQ(server.takes, NET_TAKES_ALL);
	CHECK_EQ(net_client_look(&client, NET_TAKES_ALL, &signal), EPOCH_ANSWERED);
	CHECK_EQ(net_place(&server, 10, place, &broken), 0);
}

TEST(net_damage)
{
	static const struct net_piece wrong[] = {
		{.offset = NET_DATA_SIZE, .length = 1024},
		{.offset = NET_DATA_SIZE - 1023, .length = 1024},
		{.offset = ~0ull, .length = 1024},
		{.offset = 0, .length = 0},
		{.offset = 0, .length = NET_PIECE_MAX + 1},
		{.offset = 0, .length = 1024, .region = 1},
		{.offset = 0, .length = 1024, .flags = 2},
	};
	struct net_piece place[NET_PIECES];
	bool signal = false;
	bool broken;
	u32 bytes;

	for (u32 i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		connect_ends();
		CHECK(net_send(&client, &wrong[i], 1, &signal));
		shared.session.transmit[(client.transmit - 1) % NET_QUEUE].flags = wrong[i].flags;
		CHECK_EQ(net_take(&server, place, &bytes, &broken), 0);
		CHECK(broken);
		CHECK(net_post(&client, wrong[i]));
		shared.session.free[(client.free - 1) % NET_QUEUE].flags = wrong[i].flags;
		CHECK_EQ(net_place(&server, 10, place, &broken), 0);
		CHECK(broken);
		net_server_close(&server);
		CHECK_EQ(net_take(&server, place, &bytes, &broken), 0);
		CHECK(!broken);
		CHECK_EQ(net_client_look(&client, 0, &signal), EPOCH_LOST);
	}
	connect_ends();
	CHECK(net_post(&client, piece_at(0, NET_PIECE_MIN - 1)));
	CHECK(net_place(&server, 10, place, &broken) == 0 && broken);
	/* Frames without an end, and too large ones. */
	for (u32 kind = 0; kind < 3; kind++) {
		connect_ends();
		for (u32 i = 0; i < NET_PIECES; i++) {
			shared.session.transmit[i] = (struct net_piece){
				.length = kind == 2 ? NET_PIECE_MAX : 1, .flags = NET_MORE};
		}
		shared.session.transmit_queue.head = kind == 0 ? 5 : NET_PIECES;
		CHECK_EQ(net_take(&server, place, &bytes, &broken), 0);
		CHECK(broken);
	}
	connect_ends();
	shared.session.transmit_queue.head = NET_QUEUE + 1;
	CHECK(net_take(&server, place, &bytes, &broken) == 0 && broken);
	shared.session.free_queue.head = NET_QUEUE + 1;
	CHECK(net_place(&server, 10, place, &broken) == 0 && broken);
	shared.session.free_queue.head = 1;
	shared.session.free[0] = piece_at(0, PIECE);
	CHECK_EQ(net_place(&server, 10, place, &broken), 1);
	shared.session.received_queue.tail = 5;
	CHECK(net_place(&server, 10, place, &broken) == 0 && broken);
	shared.session.received_queue.head = NET_QUEUE + 1;
	CHECK(net_received_waiting(&client, &broken) == 0 && broken);
	shared.session.transmit_queue.tail = 7;
	CHECK_EQ(net_transmitting(&client), NET_QUEUE);
}
