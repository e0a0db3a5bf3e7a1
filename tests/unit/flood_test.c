/* The limit of events without cause. */
#include "drivers/lib/flood.h"
#include "drivers/lib/lib.h"
#include "drivers/protocols/block.h"
#include "drivers/protocols/bus.h"
#include "drivers/protocols/console.h"
#include "drivers/protocols/net.h"
#include "tests/unit/test.h"

#define HZ   1000000ull
#define BIT5 BIT(5)
#define BIT6 BIT(6)

static struct flood flood;
static struct block_session block;
static struct net_session net;
static struct console_session bytes;
static struct bus_table bus;
static u32 told;
static cap_t who;

static void tell(cap_t session)
{
	told++;
	who = session;
}

static struct start_resource session(const char *protocol, void *memory, u32 role, u32 bit)
{
	struct start_resource r = {
		.cap = 40 + bit, .address = (u64)memory, .bit = bit, .role = role};

	snprintf(r.protocol, sizeof(r.protocol), "%s", protocol);
	return r;
}

static void start(const char *protocol, void *memory, u32 role)
{
	struct start_resource r = session(protocol, memory, role, 5);

	flood_init(&flood, HZ);
	flood_add(&flood, &r);
	told = 0;
}

/* `count` events, one each cycle from `*now` on. */
static void events(u32 count, u64 bits, cycles_t *now)
{
	for (u32 i = 0; i < count; i++)
		flood_look(&flood, bits, ++*now, tell);
}

TEST(flood_is_muted_and_told_of_once_a_second)
{
	cycles_t now = 5 * HZ;

	start("block", &block, START_SERVER);
	events(FLOOD_EVENTS, BIT5, &now);
	CHECK(told == 0 && flood.muted == 0 && flood.until == TIME_NEVER);
	CHECK_EQ(flood_look(&flood, BIT5 | BIT(63), ++now, tell), BIT5);
	CHECK_EQ(told, 1);
	CHECK_EQ(who, 45);
	CHECK_EQ(flood.until, now + HZ / 100);
	CHECK_EQ(flood_muted(&flood, flood.until - 1), BIT5);
	CHECK_EQ(flood_muted(&flood, flood.until), 0);
	CHECK_EQ(flood.until, TIME_NEVER);
	/* in the same second: at once, and not told again */
	CHECK_EQ(flood_look(&flood, BIT5, ++now, tell), BIT5);
	CHECK_EQ(told, 1);
	now += HZ;
	flood_muted(&flood, now);
	events(FLOOD_EVENTS, BIT5, &now);
	CHECK(told == 1 && flood.muted == 0);
	events(1, BIT5, &now);
	CHECK(told == 2 && flood.muted == BIT5);
}

TEST(flood_is_not_what_comes_slowly_or_is_another)
{
	cycles_t now = 5 * HZ;

	start("block", &block, START_SERVER);
	for (u32 i = 0; i < 4 * FLOOD_EVENTS; i++) {
		now += HZ / FLOOD_EVENTS;
		flood_look(&flood, BIT5, now, tell);
	}
	events(4 * FLOOD_EVENTS, ~BIT5, &now);
	CHECK(told == 0 && flood.muted == 0);
}

/* An event for each of two entries that were seen together is none. */
TEST(flood_is_not_what_news_explain)
{
	cycles_t now = 5 * HZ;

	start("block", &block, START_SERVER);
	for (u32 i = 0; i < 3 * FLOOD_EVENTS; i++) {
		block.requests.head += 2;
		events(2, BIT5, &now);
	}
	CHECK_EQ(told, 0);
	/* nor do single news hide one */
	for (u32 i = 0; i <= FLOOD_EVENTS; i++) {
		block.requests.head++;
		events(3, BIT5, &now);
	}
	CHECK_EQ(told, 1);
}

/* All messages of a device are muted together; what it has done counts one by one. */
TEST(flood_of_a_device)
{
	cycles_t now = 5 * HZ;
	u64 sent = 0;
	u64 received = 0;

	start("block", &block, START_SERVER);
	flood_add_device(&flood, ~0ull << 32, &sent, &received);
	for (u32 i = 0; i < FLOOD_EVENTS; i++) {
		sent += 5;
		events(6, BIT(40), &now);
		received += 5;
		events(6, BIT(63), &now);
	}
	CHECK_EQ(told, 0);
	events(2 * FLOOD_EVENTS, BIT(40), &now);
	CHECK(told == 1 && who == CAP_NULL && flood.muted == ~0ull << 32);
}

/* Each index that the peer writes is news when it moves; the own ones are not, nor other words. */
static void check_index(const char *protocol, void *memory, u32 role, u32 *index, bool news)
{
	cycles_t now = 5 * HZ;

	start(protocol, memory, role);
	for (u32 i = 0; i <= FLOOD_EVENTS; i++) {
		++*index;
		events(1, BIT5, &now);
	}
	CHECK_EQ(told, news ? 0 : 1);
}

TEST(flood_knows_the_indices_of_the_peer)
{
	u32 other = 0;

	for (u32 role = START_CLIENT; role <= START_SERVER; role++) {
		bool server = role == START_SERVER;

		check_index("block", &block, role, &block.requests.head, server);
		check_index("block", &block, role, &block.completions.tail, server);
		check_index("block", &block, role, &block.requests.tail, !server);
		check_index("block", &block, role, &block.completions.head, !server);
		check_index("block", &block, role, (u32 *)&block.epochs.client, false);
		check_index("net", &net, role, &net.transmit_queue.head, server);
		check_index("net", &net, role, &net.free_queue.head, server);
		check_index("net", &net, role, &net.received_queue.tail, server);
		check_index("net", &net, role, &net.transmit_queue.tail, !server);
		check_index("net", &net, role, &net.free_queue.tail, !server);
		check_index("net", &net, role, &net.received_queue.head, !server);
		check_index("net", &net, role, &net.server.link, false);
		check_index("bus", &bus, role, &bus.functions, false);
		for (u32 i = 0; i < 2; i++) {
			const char *protocol = i ? "serial" : "console";

			check_index(protocol, &bytes, role, &bytes.to_server.ring.head, server);
			check_index(protocol, &bytes, role, &bytes.to_client.ring.tail, server);
			check_index(protocol, &bytes, role, &bytes.to_server.ring.tail, !server);
			check_index(protocol, &bytes, role, &bytes.to_client.ring.head, !server);
			check_index(protocol, &bytes, role, &other, false);
		}
	}
}

/* Of two that have the same bit, nobody knows which; news of either count for both. */
TEST(flood_accuses_nobody_for_a_shared_bit)
{
	struct start_resource a = session("block", &block, START_SERVER, 6);
	struct start_resource b = session("net", &net, START_SERVER, 6);
	cycles_t now = 5 * HZ;

	start("console", &bytes, START_CLIENT);
	flood_add(&flood, &a);
	flood_add(&flood, &b);
	for (u32 i = 0; i <= FLOOD_EVENTS; i++) {
		net.free_queue.head++;
		events(1, BIT6, &now);
	}
	CHECK(told == 0 && flood.muted == 0);
	now += HZ;
	events(FLOOD_EVENTS + 1, BIT6, &now);
	CHECK(told == 0 && flood.muted == BIT6);
	events(FLOOD_EVENTS + 1, BIT5, &now);
	CHECK(told == 1 && flood.muted == (BIT5 | BIT6));
}

TEST(flood_leaves_out_what_it_cannot_watch)
{
	struct start_resource r;
	cycles_t now = 5 * HZ;

	start("input", &bytes, START_CLIENT);
	CHECK_EQ(flood.peers, 0);
	r = session("block", &block, START_CLIENT, 6);
	for (u32 i = 0; i < FLOOD_PEERS + 2; i++)
		flood_add(&flood, &r);
	CHECK_EQ(flood.peers, FLOOD_PEERS);
	events(2 * FLOOD_EVENTS, ~0ull, &now);
	CHECK_EQ(flood.muted, BIT6);
}
