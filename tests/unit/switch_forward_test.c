/*
 * Tests of the switch on the ends of real sessions: who gets which frame and how, VLANs and the
 * trunk, rates, addresses that are not the sender's, full and damaged rings, restarts.
 */
#include <stdlib.h>

#include "drivers/lib/lib.h"
#include "drivers/switch/switch.h"
#include "tests/unit/test.h"

#include "tests/unit/switch_frames.h"

#define HZ    1000000000ull
#define SLOT  2048u
#define PORTS 6u
#define ROOM  (sizeof(struct net_header) + NET_FRAME_MAX)

/* What a peer of the switch received, oldest first. */
struct got {
	struct net_header header;
	u32 size;
	u8 frame[2048]; /* its beginning */
	u32 sum;        /* over all of it */
};

struct peer {
	union {
		struct net_session session;
		u8 space[NET_SESSION_SIZE];
	} * shared;
	struct net_end end;
	bool driver; /* it is the server: the card behind the uplink */
	u32 shift;
	u32 count;
	struct got got[8];
};

static struct switch_state state;
static struct peer peer[PORTS];
static u64 now = 1000 * HZ;
static u8 buffer[ROOM];

void check_failed(const char *at, int line, const char *what)
{
	test_fail(at, line, "%s", what);
	abort();
}

static void post_all(struct peer *p)
{
	while (net_post(&p->end, (struct net_piece){.offset = (256 + p->end.free % 256) * (u64)SLOT,
					 .length = SLOT}))
		;
}

/* Connects the peer of port `i`, which takes those offloads. */
static void connect(u32 i, u32 takes)
{
	struct peer *p = &peer[i];
	bool signal = false;
	u32 hello;

	for (int round = 0; round < 5; round++) {
		if (p->driver) {
			p->end.server =
				(struct net_server){.takes = takes, .link = 1, .mtu = NET_MTU};
			if (net_server_look(&p->end, &hello) == EPOCH_HELLO)
				net_server_answer(&p->end, hello);
		} else if (net_client_look(&p->end, takes, &signal) == EPOCH_ANSWERED) {
			p->shift = p->end.free - p->end.received;
			post_all(p);
		}
		switch_round(&state, now);
	}
	CHECK(p->end.epoch.peer != 0);
}

/* Makes a switch with these ports, whose peers take these offloads. */
static void setup(const struct port_config *config, const u32 *takes, u32 count)
{
	switch_init(&state, 12345, HZ);
	for (u32 i = 0; i < count; i++) {
		struct peer *p = &peer[i];

		free(p->shared);
		*p = (struct peer){.shared = calloc(1, sizeof(*p->shared))};
		p->driver = config[i].backend != 0;
		p->end = net_open(p->shared, sizeof(*p->shared));
		/* Indices that differ, as after a long run. */
		p->shared->session.free_queue.head = (u32)random();
		p->shared->session.received_queue.tail = (u32)random();
		p->shared->session.received_queue.head = p->shared->session.received_queue.tail;
		p->shared->session.transmit_queue.head = (u32)random();
		CHECK(switch_add(
			&state, &config[i], p->shared, sizeof(*p->shared), 0x020000000000 + i));
		if (p->driver)
			net_server_start(&p->end);
		else
			net_client_start(&p->end);
	}
	for (u32 i = 0; i < count; i++)
		connect(i, takes[i]);
}

/* Puts a frame into the ring of peer `i`. */
static bool transmit(u32 i, const struct net_header *h, const u8 *frame, u32 size)
{
	static u8 whole[ROOM];
	struct net_piece piece[NET_PIECES];
	struct peer *p = &peer[i];
	u32 bytes = size + (u32)sizeof(*h);
	bool signal = false;
	bool broken;
	u32 count;

	memcpy(whole, h, sizeof(*h));
	memcpy(whole + sizeof(*h), frame, size);
	count = (bytes + SLOT - 1) / SLOT;
	if (p->driver) {
		count = net_place(&p->end, bytes, piece, &broken);
		if (count == 0)
			return false;
	}
	for (u32 k = 0, at = 0; k < count; k++) {
		if (!p->driver)
			piece[k] = (struct net_piece){
				.offset = (p->end.transmit + k) % 256 * (u64)SLOT,
				.length = bytes - at < SLOT ? bytes - at : SLOT};
		memcpy(p->end.data + piece[k].offset, whole + at, piece[k].length);
		at += piece[k].length;
	}
	if (!p->driver)
		return net_send(&p->end, piece, count, &signal);
	net_place_done(&p->end, piece, count);
	return true;
}

static void keep(struct peer *p, u32 bytes)
{
	struct got *g = &p->got[p->count % ARRAY_SIZE(p->got)];

	memcpy(&g->header, buffer, sizeof(g->header));
	g->size = bytes - (u32)sizeof(g->header);
	memcpy(g->frame, buffer + sizeof(g->header), g->size < 2048 ? g->size : 2048);
	g->sum = frames_sum(0, buffer + sizeof(g->header), g->size);
	p->count++;
}

/* Takes what peer `i` has received; returns the number of frames, of which got[] has the last. */
static u32 receive(u32 i)
{
	struct net_piece piece[NET_PIECES];
	struct peer *p = &peer[i];
	bool broken;
	u32 bytes;
	u32 n;

	p->count = 0;
	while (p->driver && (n = net_take(&p->end, piece, &bytes, &broken)) > 0) {
		for (u32 k = 0, at = 0; k < n; at += piece[k++].length)
			memcpy(buffer + at, p->end.data + piece[k].offset, piece[k].length);
		net_take_done(&p->end, n);
		keep(p, bytes);
	}
	while (!p->driver && net_received_waiting(&p->end, &broken) > 0) {
		struct net_received r;

		bytes = 0;
		n = 0;
		do {
			r = net_received_at(&p->end, n);
			memcpy(buffer + bytes,
				p->end.data +
					(256 + (p->end.received + p->shift + n) % 256) * (u64)SLOT,
				r.length);
			bytes += r.length;
			n++;
		} while (r.flags & NET_MORE);
		net_received_done(&p->end, n);
		post_all(p);
		keep(p, bytes);
	}
	return p->count;
}

/* Sends a TCP frame of `payload` bytes from station `from` at port `i` to station `to`. */
static void send_tcp(u32 i, u8 to, u8 from, u32 payload)
{
	static u8 frame[NET_FRAME_MAX];
	struct net_header h;
	u32 size = frames_tcp(&h, frame, to, from, false, payload);

	CHECK(transmit(i, &h, frame, size));
	for (int k = 0; k < 20 && switch_round(&state, now); k++)
		;
}

/* The peers that received something, one bit each; what they received is taken. */
static u32 who(u32 count)
{
	u32 mask = 0;

	for (u32 i = 0; i < count; i++)
		mask |= receive(i) > 0 ? 1u << i : 0;
	return mask;
}

static const u32 all[PORTS] = {
	NET_TAKES_ALL, NET_TAKES_ALL, NET_TAKES_ALL, NET_TAKES_ALL, NET_TAKES_ALL, NET_TAKES_ALL};

TEST(switch_learns)
{
	static const struct port_config plain[3] = {{.phandle = 1}, {.phandle = 2}, {.phandle = 3}};

	setup(plain, all, 3);
	send_tcp(0, 0xbb, 0xaa, 100);
	CHECK_EQ(who(3), 6); /* unknown: flooded */
	send_tcp(1, 0xaa, 0xbb, 100);
	CHECK_EQ(who(3), 1);
	send_tcp(0, 0xbb, 0xaa, 100);
	CHECK_EQ(who(3), 2);
	send_tcp(0, 0xaa, 0xaa, 100); /* its own side of the switch */
	CHECK_EQ(who(3), 0);
	now += (TABLE_AGE_S + 1) * HZ;
	send_tcp(0, 0xbb, 0xaa, 100);
	CHECK_EQ(who(3), 6);
	send_tcp(2, 0xaa, 0xbb, 100); /* the station has moved */
	CHECK_EQ(who(3), 1);
	send_tcp(0, 0xbb, 0xaa, 100);
	CHECK_EQ(who(3), 4);
}

TEST(switch_broadcast_and_reserved)
{
	static const struct port_config plain[3] = {{.phandle = 1}, {.phandle = 2}, {.phandle = 3}};
	u8 frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6};
	static const u8 bridge[6] = {1, 0x80, 0xc2, 0, 0, 0};
	struct net_header h = {0};

	setup(plain, all, 3);
	transmit(1, &h, frame, sizeof(frame));
	switch_round(&state, now);
	CHECK_EQ(who(3), 5);
	CHECK_EQ(peer[0].got[0].size, 60);
	memcpy(frame, bridge, 6);
	transmit(1, &h, frame, sizeof(frame));
	switch_round(&state, now);
	CHECK_EQ(who(3), 0);
	frame[5] = 0x10; /* the first that bridges forward */
	transmit(1, &h, frame, sizeof(frame));
	switch_round(&state, now);
	CHECK_EQ(who(3), 5);
	CHECK_EQ(peer[1].shared->session.server.errors, 0);
}

TEST(switch_offloads)
{
	static const struct port_config plain[4] = {
		{.phandle = 1}, {.phandle = 2}, {.phandle = 3}, {.phandle = 4}};
	static const u32 takes[4] = {NET_TAKES_ALL, NET_TAKES_ALL, NET_TAKES_CSUM, 0};

	setup(plain, takes, 4);
	send_tcp(0, 0xbb, 0xaa, 30000); /* flooded to all kinds of receivers */
	CHECK_EQ(receive(1), 1);
	CHECK_EQ(peer[1].got[0].size, 30054);
	CHECK_EQ(peer[1].got[0].header.gso_type, NET_GSO_TCPV4);
	for (u32 i = 2; i < 4; i++) {
		CHECK_EQ(receive(i), 21);
		for (u32 k = 0; k < 8; k++) {
			CHECK(frames_right(peer[i].got[k].frame, peer[i].got[k].size, false));
			CHECK_EQ(peer[i].got[k].header.flags, 0);
		}
	}
	send_tcp(0, 0xbb, 0xaa, 500);
	CHECK(receive(1) == 1 && receive(2) == 1 && receive(3) == 1);
	CHECK_EQ(peer[1].got[0].header.flags, NET_NEEDS_CSUM);
	CHECK_EQ(peer[2].got[0].header.flags, NET_NEEDS_CSUM);
	CHECK_EQ(peer[3].got[0].header.flags, 0);
	CHECK(frames_right(peer[3].got[0].frame, peer[3].got[0].size, false));
}

/* VLAN 10: ports 1 and 2; VLAN 20: port 3; none: port 4; port 0 is the trunk. */
static const struct port_config vlans[5] = {{.phandle = 9, .backend = 8},
	{.phandle = 1, .vlan = 10}, {.phandle = 2, .vlan = 10}, {.phandle = 3, .vlan = 20},
	{.phandle = 4}};

TEST(switch_vlans)
{
	u8 frame[1600];
	struct net_header h;
	u32 size;

	setup(vlans, all, 5);
	send_tcp(1, 0xbb, 0xaa, 100);
	CHECK_EQ(who(5), 1 << 0 | 1 << 2);
	CHECK_EQ(frames_get16(peer[0].got[0].frame + 12), 0x8100);
	CHECK_EQ(frames_get16(peer[0].got[0].frame + 14), 10);
	CHECK_EQ(frames_get16(peer[0].got[0].frame + 16), 0x0800);
	CHECK_EQ(peer[0].got[0].size, 158);
	CHECK_EQ(peer[0].got[0].header.csum_start, 38);
	CHECK_EQ(peer[2].got[0].size, 154);
	/* Known in VLAN 10 is not known in VLAN 20. */
	send_tcp(3, 0xaa, 0xcc, 100);
	CHECK_EQ(who(5), 1 << 0);
	CHECK_EQ(frames_get16(peer[0].got[0].frame + 14), 20);
	send_tcp(4, 0xaa, 0xdd, 100);
	CHECK_EQ(who(5), 1 << 0);
	CHECK_EQ(frames_get16(peer[0].got[0].frame + 12), 0x0800);
	/* From the trunk: by its tag. */
	size = frames_tcp(&h, frame, 0xaa, 0xee, false, 100);
	memmove(frame + 16, frame + 12, size - 12);
	frames_put16(frame + 12, 0x8100);
	frames_put16(frame + 14, 0x600a); /* with a priority */
	h.csum_start += 4;
	CHECK(transmit(0, &h, frame, size + 4));
	switch_round(&state, now);
	CHECK_EQ(who(5), 1 << 1);
	CHECK_EQ(peer[1].got[0].size, 154);
	CHECK_EQ(peer[1].got[0].header.csum_start, 34);
	frames_put16(frame + 14, 20);
	frame[5] = 0x77;
	transmit(0, &h, frame, size + 4);
	switch_round(&state, now);
	CHECK_EQ(who(5), 1 << 3);
	frames_put16(frame + 14, 0xfff);
	transmit(0, &h, frame, size + 4);
	switch_round(&state, now);
	CHECK_EQ(who(5), 0);
	/* Large frames get a tag as well. */
	send_tcp(1, 0xbb, 0xaa, 65000);
	CHECK_EQ(receive(0), 1);
	CHECK_EQ(peer[0].got[0].header.header_length, 58);
	who(5);
	send_tcp(1, 0xbb, 0xaa, NET_FRAME_MAX - 54); /* no room for a tag: in segments */
	CHECK(receive(0) > 40);
	CHECK_EQ(receive(2), 1);
}

/* No station but the trunk's chooses its VLAN. */
TEST(switch_refuses_tags)
{
	u8 frame[100] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x81, 0, 0, 20, 8, 0};
	struct net_header h = {0};

	setup(vlans, all, 5);
	for (u32 i = 1; i < 5; i++)
		transmit(i, &h, frame, sizeof(frame));
	frame[12] = 0x88;
	frame[13] = 0xa8;
	for (u32 i = 0; i < 5; i++)
		transmit(i, &h, frame, sizeof(frame));
	frame[12] = 0x81;
	frame[13] = 0;
	frame[16] = 0x81; /* a second tag */
	frame[17] = 0;
	transmit(0, &h, frame, sizeof(frame));
	switch_round(&state, now);
	CHECK_EQ(who(5), 0);
	for (u32 i = 1; i < 5; i++)
		CHECK_EQ(peer[i].shared->session.server.errors, 2);
	CHECK_EQ(state.port[0].refused, 2);
}

TEST(switch_fixed_addresses)
{
	static const struct port_config fixed[3] = {
		{.phandle = 1, .mac = 0x0200000000aa}, {.phandle = 2}, {.phandle = 3}};

	setup(fixed, all, 3);
	send_tcp(1, 0xaa, 0xbb, 100); /* known from the start */
	CHECK_EQ(who(3), 1);
	send_tcp(1, 0xbb, 0xaa, 100); /* stolen */
	CHECK_EQ(who(3), 0);
	CHECK_EQ(state.port[1].refused, 1);
	send_tcp(2, 0xaa, 0xbb, 100);
	CHECK_EQ(who(3), 1);
	send_tcp(0, 0xbb, 0xaa, 100);
	CHECK_EQ(who(3), 4);
	send_tcp(1, 0xbb, 0x00, 100);
	CHECK_EQ(peer[1].shared->session.server.errors, 1);
}

TEST(switch_refuses_frames)
{
	static const struct port_config plain[2] = {{.phandle = 1}, {.phandle = 2}};
	u8 frame[1600] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 0};
	struct net_header h = {0};

	setup(plain, all, 2);
	CHECK(transmit(0, &h, frame, 1514));
	CHECK(transmit(0, &h, frame, 14));
	switch_round(&state, now);
	CHECK_EQ(receive(1), 2);
	CHECK(transmit(0, &h, frame, 1515));
	CHECK(transmit(0, &h, frame, 13));
	CHECK(transmit(0, &h, frame, 0));
	frame[6] = 3; /* a group as source */
	CHECK(transmit(0, &h, frame, 60));
	memset(frame + 6, 0, 6);
	CHECK(transmit(0, &h, frame, 60));
	switch_round(&state, now);
	CHECK_EQ(receive(1), 0);
	CHECK_EQ(peer[0].shared->session.server.errors, 5);
	CHECK(net_transmitting(&peer[0].end) == 0);
}

/* The rate of a port bounds what it sends, on average and in a burst, and others go on. */
TEST(switch_rate)
{
	static const struct port_config slow[2] = {
		{.phandle = 1, .max_kbps = 10000}, {.phandle = 2}};
	u64 start = now;
	u32 frames = 0;
	u64 deadline;

	setup(slow, all, 2);
	while (now < start + HZ) {
		static u8 frame[1514] = {
			0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 0};
		struct net_header h = {0};

		while (transmit(0, &h, frame, sizeof(frame)))
			;
		while (switch_round(&state, now))
			;
		frames += receive(1);
		deadline = switch_deadline(&state);
		CHECK(deadline > now && deadline < now + HZ / 100);
		now = deadline;
	}
	/* 10 Mbit and 10 ms ahead, in frames of 1526 bytes: 827. */
	CHECK(frames >= 826 && frames <= 829);
	send_tcp(1, 1, 0xbb, 100);
	CHECK_EQ(receive(0), 1);
}

/* A port whose ring is full loses frames; the sender and the others do not wait. */
TEST(switch_full_port)
{
	static const struct port_config plain[3] = {{.phandle = 1}, {.phandle = 2}, {.phandle = 3}};
	u8 frame[1000] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 0};
	struct net_header h = {0};
	u32 sum = 0;

	setup(plain, all, 3);
	for (u32 i = 0; i < 600; i++) {
		CHECK(transmit(0, &h, frame, sizeof(frame)));
		switch_round(&state, now);
		sum += receive(2);
	}
	CHECK_EQ(sum, 600);
	CHECK_EQ(peer[1].shared->session.server.dropped, 600 - NET_QUEUE);
	CHECK_EQ(receive(1), NET_QUEUE);
}

/* A port that always has frames gets its turn only: the other's frame goes in the same round. */
TEST(switch_turns)
{
	static const struct port_config plain[3] = {{.phandle = 1}, {.phandle = 2}, {.phandle = 3}};
	u8 frame[100] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 0};
	struct net_header h = {0};

	setup(plain, all, 3);
	while (transmit(0, &h, frame, sizeof(frame)))
		;
	transmit(1, &h, frame, sizeof(frame));
	CHECK(switch_round(&state, now));
	CHECK_EQ(receive(0), 1);
	CHECK_EQ(receive(1), SWITCH_TURN);
	CHECK_EQ(receive(2), SWITCH_TURN + 1);
}

TEST(switch_restarts)
{
	static const struct port_config plain[2] = {{.phandle = 9, .backend = 8}, {.phandle = 2}};
	struct peer *p = &peer[1];

	setup(plain, all, 2);
	send_tcp(1, 0xaa, 0xbb, 9000);
	CHECK_EQ(who(2), 1);
	/* A fresh client, then a fresh driver. */
	p->end = net_open(p->shared, sizeof(*p->shared));
	net_client_start(&p->end);
	connect(1, 0);
	send_tcp(0, 0xbb, 0xaa, 3000);
	CHECK_EQ(receive(1), 3);
	peer[0].end = net_open(peer[0].shared, sizeof(*p->shared));
	net_server_start(&peer[0].end);
	send_tcp(1, 0xaa, 0xbb, 100); /* while the driver is away */
	connect(0, 0);
	CHECK_EQ(receive(0), 0);
	send_tcp(1, 0xaa, 0xbb, 3000);
	CHECK_EQ(receive(0), 3);
	CHECK(frames_right(peer[0].got[0].frame, peer[0].got[0].size, false));
	/* A fresh switch. */
	switch_init(&state, 7, HZ);
	for (u32 i = 0; i < 2; i++)
		CHECK(switch_add(&state, &plain[i], peer[i].shared, sizeof(*p->shared), 1));
	CHECK(state.port[0].signal && state.port[1].signal);
	connect(0, NET_TAKES_ALL);
	connect(1, NET_TAKES_ALL);
	send_tcp(0, 0xbb, 0xaa, 60000);
	CHECK_EQ(receive(1), 1);
	CHECK_EQ(peer[1].got[0].size, 60054);
}

/* Peers that write anything anywhere hurt nobody else's frames. */
TEST(switch_hostile_peers)
{
	static const struct port_config plain[4] = {
		{.phandle = 9, .backend = 8}, {.phandle = 1}, {.phandle = 2}, {.phandle = 3}};

	setup(plain, all, 4);
	for (u32 i = 0; i < 60000; i++) {
		struct peer *p = &peer[i % 2];
		u32 *word =
			(u32 *)p->shared->space + (u32)random() % (sizeof(p->shared->session) / 4);

		if (random() % 8 == 0)
			word = (u32 *)&p->shared->session.transmit_queue + random() % 96;
		*word = random() % 2 ? *word + (u32)random() % 4 : (u32)random();
		if (random() % 16 == 0)
			p->shared->session.epochs.client =
				epoch_pair((u32)random(), state.port[1].end.epoch.own);
		switch_round(&state, now);
		if (i % 100 == 0) {
			receive(3);
			send_tcp(2, 0xdd, 0xcc, 20000);
			CHECK(receive(3) >= 1);
		}
	}
	CHECK(state.port[1].damages > 0);
}
