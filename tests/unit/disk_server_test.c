/*
 * Tests of what serves the clients of a disk: ranges, turns, connections that end while requests
 * are under way, and hostile clients. The driver is a list of requests.
 */
#include <stdlib.h>

#include "drivers/disk/server.h"
#include "tests/unit/test.h"

#define CLIENTS 3u
#define SECTORS 100u
#define TAGS    8u
#define BUS     0x40000000ull

static union {
	struct block_session session;
	u8 space[BLOCK_SESSION_SIZE];
} shared[CLIENTS] __attribute__((aligned(4096)));

/* The RAM of the last client's guest. */
static const struct block_memory guest = {.parts = 2,
	.part = {{.gpa = 0, .size = 0xa0000, .bus = 8 * BUS},
		{.gpa = 0x100000, .size = 0x10000, .bus = 9 * BUS}}};

static struct disk_server s;
static struct block_end client[CLIENTS];
static struct disk_request flying[DISK_TAGS_MAX];
static bool busy[DISK_TAGS_MAX];
static u32 submitted;
static bool full;

void check_failed(const char *at, int line, const char *what)
{
	test_fail(at, line, "%s", what);
	abort();
}

static void submit(u32 tag, const struct disk_request *r)
{
	CHECK(tag < TAGS && !busy[tag]);
	busy[tag] = true;
	flying[tag] = *r;
	submitted++;
}

static bool room(void)
{
	return !full;
}

static void start(bool read_only)
{
	static const struct disk_geometry g = {
		.sectors = 1000,
		.block_size = 512,
		.physical_size = 4096,
		.features = BLOCK_CAN_FLUSH | BLOCK_CAN_DISCARD | BLOCK_CAN_WRITE_ZEROES,
		.max_sectors = 64,
		.max_pieces = 2,
		.max_discard = 64,
		.max_zeroes = 64,
		.discard_block = 8,
		.tags = TAGS,
	};

	memset(shared, 0, sizeof(shared));
	memset(busy, 0, sizeof(busy));
	submitted = 0;
	full = false;
	CHECK(disk_geometry_ok(&g));
	disk_server_init(&s, &g, submit, room);
	for (u32 i = 0; i < CLIENTS; i++) {
		struct disk_volume v = {.first = 100 + i * SECTORS,
			.sectors = SECTORS,
			.read_only = read_only,
			.name = "v"};

		CHECK(disk_server_add(&s, &shared[i], sizeof(shared[i]), BUS + i * BIT(20),
			i == 2 ? &guest : NULL, &v));
		client[i] = block_open(&shared[i], sizeof(shared[i]));
		block_client_start(&client[i]);
	}
}

static bool connect_client(u32 n)
{
	bool signal = false;

	for (int i = 0; i < 6; i++) {
		if (block_client_look(&client[n], &signal) == EPOCH_ANSWERED)
			return true;
		disk_server_round(&s, 1);
	}
	return false;
}

static void start_all(bool read_only)
{
	start(read_only);
	for (u32 i = 0; i < CLIENTS; i++)
		CHECK(connect_client(i));
}

static void send(u32 n, struct block_request r)
{
	bool signal = false;

	CHECK(block_send(&client[n], &r, &signal));
}

static void finish(u32 tag, enum block_status status)
{
	CHECK(busy[tag]);
	busy[tag] = false;
	CHECK(disk_server_done(&s, tag, status));
}

/* The status of the only answer that client `n` has; ~0: none. */
static u32 answer(u32 n, u32 id)
{
	struct block_completion c;
	bool broken;

	if (!block_answer_take(&client[n], &c, &broken))
		return ~0u;
	CHECK_EQ(c.id, id);
	return c.status;
}

static struct block_request transfer(u8 op, u64 sector, u32 sectors)
{
	return (struct block_request){.op = op,
		.sector = sector,
		.sectors = sectors,
		.pieces = 1,
		.piece = {{.length = sectors * 512, .offset = 4096}}};
}

TEST(server_ranges)
{
	start_all(false);
	send(1, transfer(BLOCK_WRITE, 90, 10));
	disk_server_round(&s, 7);
	CHECK_EQ(submitted, 1);
	CHECK_EQ(flying[0].sector, 290);
	CHECK_EQ(flying[0].piece[0].bus, BUS + BIT(20) + 4096);
	CHECK_EQ(flying[0].piece[0].length, 5120);
	finish(0, BLOCK_IO);
	CHECK_EQ(answer(1, 0), BLOCK_IO);
	for (u32 i = 0; i < 7; i++) {
		struct block_request r = transfer(BLOCK_WRITE, 0, 1);

		r.sector = i == 0 ? 100 : i == 1 ? ~0ull : i == 2 ? 0 - 100ull : 91;
		r.sectors = i == 3 ? 10 : 1;
		r.piece[0].length = r.sectors * 512;
		r.sector = i > 3 ? 0 : r.sector;
		r.piece[0].offset = i == 4 ? BLOCK_DATA_SIZE : i == 5 ? ~0ull : 4096;
		r.piece[0].region = i == 6;
		send(1, r);
		disk_server_round(&s, 7);
		CHECK_EQ(answer(1, 0), BLOCK_RANGE);
	}
	CHECK_EQ(submitted, 1);
}

/* Pieces of the guest's RAM, from its first part to its last; what is not all in one is refused. */
TEST(server_guest)
{
	static const struct {
		u32 client;
		u64 gpa;
		bool good;
	} try[] = {{2, 0, true}, {2, 0x9fe00, true}, {2, 0x9fe04, false}, {2, 0xa0000, false},
		{2, 0x100000, true}, {2, 0x10fe00, true}, {2, 0x10ff00, false}, {2, 0xffe00, false},
		{2, ~0ull - 511, false}, {2, 0x100002, false}, {1, 0, false}, {1, 0x100000, false}};

	start_all(false);
	CHECK_EQ(client[2].facts.features & BLOCK_GUEST_MEMORY, BLOCK_GUEST_MEMORY);
	CHECK_EQ(client[1].facts.features & BLOCK_GUEST_MEMORY, 0);
	for (u32 i = 0; i < ARRAY_SIZE(try); i++) {
		struct block_request r = transfer(BLOCK_WRITE, 0, 2);
		u32 before = submitted;

		r.pieces = 2;
		r.piece[0].length = r.piece[1].length = 512;
		r.piece[1].region = BLOCK_REGION_GUEST;
		r.piece[1].offset = try[i].gpa;
		send(try[i].client, r);
		disk_server_round(&s, 7);
		CHECK_EQ(submitted, before + try[i].good);
		if (!try[i].good) {
			CHECK_EQ(answer(try[i].client, 0), BLOCK_RANGE);
			continue;
		}
		CHECK_EQ(flying[0].piece[1].bus, try[i].gpa < 0x100000
							 ? 8 * BUS + try[i].gpa
							 : 9 * BUS + try[i].gpa - 0x100000);
		finish(0, BLOCK_OK);
		CHECK_EQ(answer(try[i].client, 0), BLOCK_OK);
	}
}

TEST(server_read_only)
{
	start_all(true);
	CHECK_EQ(client[0].facts.features, BLOCK_READ_ONLY);
	send(0, transfer(BLOCK_WRITE, 0, 1));
	disk_server_round(&s, 1);
	CHECK_EQ(answer(0, 0), BLOCK_RANGE);
	send(0, (struct block_request){.op = BLOCK_DISCARD, .sectors = 8});
	disk_server_round(&s, 1);
	CHECK_EQ(answer(0, 0), BLOCK_UNSUPPORTED);
	CHECK_EQ(submitted, 0);
	send(0, transfer(BLOCK_READ, 0, 1));
	disk_server_round(&s, 1);
	CHECK_EQ(submitted, 1);
}

/* One that asks for more than there are tags leaves the others their turns. */
TEST(server_turns)
{
	u32 got[CLIENTS] = {0};

	start_all(false);
	for (u32 i = 0; i < BLOCK_QUEUE; i++)
		send(0, transfer(BLOCK_READ, 0, 1));
	disk_server_round(&s, 1);
	CHECK_EQ(submitted, TAGS);
	for (u32 i = 0; i < 20; i++) {
		send(1, transfer(BLOCK_READ, 0, 1));
		send(2, transfer(BLOCK_READ, 0, 1));
	}
	for (u32 i = 0; i < 40; i++) {
		u32 tag = i % TAGS;
		u32 before = submitted;

		finish(tag, BLOCK_OK);
		disk_server_round(&s, 1);
		CHECK_EQ(submitted, before + 1);
		got[(flying[tag].sector - 100) / SECTORS]++;
	}
	CHECK(got[0] >= 13 && got[1] >= 13 && got[2] >= 13);
	full = true; /* the driver's own limit */
	finish(0, BLOCK_OK);
	CHECK(!disk_server_round(&s, 1));
	CHECK(!busy[0]);
}

/* A round ends, whatever a client does. */
TEST(server_bounded)
{
	start_all(false);
	for (u32 i = 0; i < BLOCK_QUEUE; i++)
		send(0, transfer(BLOCK_READ, 1000, 1));
	CHECK(disk_server_round(&s, 1));
	CHECK_EQ(submitted, 0);
}

/* The next connection is answered when the device has finished what the last one asked. */
TEST(server_connection_ends)
{
	bool signal = false;

	start_all(false);
	send(0, transfer(BLOCK_READ, 0, 1));
	send(0, transfer(BLOCK_READ, 1, 1));
	disk_server_round(&s, 1);
	block_client_reset(&client[0], &signal);
	disk_server_round(&s, 1);
	CHECK(!connect_client(0));
	finish(0, BLOCK_OK);
	CHECK(!connect_client(0));
	CHECK_EQ(answer(0, 0), ~0u);
	send(1, transfer(BLOCK_READ, 0, 1)); /* the others go on */
	disk_server_round(&s, 1);
	finish(0, BLOCK_OK);
	CHECK_EQ(answer(1, 0), BLOCK_OK);
	finish(1, BLOCK_OK);
	CHECK(connect_client(0));
	CHECK_EQ(answer(0, 0), ~0u);
	send(0, transfer(BLOCK_READ, 0, 1));
	disk_server_round(&s, 1);
	finish(0, BLOCK_OK);
	CHECK_EQ(answer(0, 0), BLOCK_OK);
}

/* After a reset of the device what is waited for is submitted again, and nothing else. */
TEST(server_again)
{
	bool signal = false;
	u64 since;

	start_all(false);
	CHECK(!disk_server_oldest(&s, &since));
	send(0, transfer(BLOCK_READ, 0, 1));
	send(1, transfer(BLOCK_WRITE, 5, 1));
	disk_server_round(&s, 3);
	CHECK(disk_server_oldest(&s, &since) && since == 3);
	block_client_reset(&client[0], &signal);
	disk_server_round(&s, 4);
	memset(busy, 0, sizeof(busy));
	submitted = 0;
	disk_server_again(&s, 5);
	CHECK_EQ(submitted, 1);
	CHECK_EQ(flying[1].sector, 205);
	CHECK(disk_server_oldest(&s, &since) && since == 5);
	CHECK(connect_client(0));
	finish(1, BLOCK_OK);
	CHECK_EQ(answer(1, 0), BLOCK_OK);
	CHECK_EQ(s.busy, 0);
}

TEST(server_wrong_tags)
{
	start_all(false);
	send(0, transfer(BLOCK_READ, 0, 1));
	disk_server_round(&s, 1);
	CHECK(!disk_server_done(&s, 1, BLOCK_OK));
	CHECK(!disk_server_done(&s, TAGS, BLOCK_OK));
	CHECK(!disk_server_done(&s, ~0u, BLOCK_OK));
	finish(0, BLOCK_OK);
	CHECK(!disk_server_done(&s, 0, BLOCK_OK));
}

/* A client that breaks its queue is cut off, and only it. */
TEST(server_damage)
{
	start_all(false);
	send(0, transfer(BLOCK_READ, 0, 1));
	disk_server_round(&s, 1);
	shared[0].session.requests.head += 1000;
	disk_server_round(&s, 1);
	CHECK_EQ(s.client[0].damages, 1);
	finish(0, BLOCK_OK);
	shared[1].session.completions.tail += 77;
	disk_server_round(&s, 1);
	CHECK_EQ(s.client[1].damages, 1);
	send(2, transfer(BLOCK_READ, 0, 1));
	disk_server_round(&s, 1);
	finish(0, BLOCK_OK);
	CHECK_EQ(answer(2, 0), BLOCK_OK);
	shared[0].session.requests.head = 0;
	CHECK(connect_client(0));
	send(0, transfer(BLOCK_READ, 0, 1));
	disk_server_round(&s, 1);
	finish(0, BLOCK_OK);
	CHECK_EQ(answer(0, 0), BLOCK_OK);
}

/* A request of the driver's own, before there are clients. */
TEST(server_own)
{
	struct disk_request r = {.op = BLOCK_READ, .sectors = 1};

	start(false);
	disk_server_own(&s, &r, 1);
	CHECK_EQ(s.busy, 1);
	finish(0, BLOCK_OK);
	CHECK_EQ(s.own, BLOCK_OK);
	disk_server_own(&s, &r, 1);
	disk_server_again(&s, 2); /* the device was reset */
	CHECK_EQ(s.busy, 0);
	CHECK_EQ(s.own, BLOCK_IO);
}
