/*
 * Tests of the server of a volume: a client with many requests under way, both ends restarted at
 * random, and every answered write found again; read-only volumes and hostile clients.
 */
#include <stdlib.h>

#include "drivers/ramdisk/disk.h"
#include "tests/unit/test.h"

#define SECTORS 400u
#define BYTES   (SECTORS * 512u)
#define DEPTH   32u

static union {
	struct block_session session;
	u8 space[BLOCK_SESSION_SIZE];
} shared __attribute__((aligned(4096)));

static struct disk disk;
static struct volume volume;
static struct block_end client;

void check_failed(const char *at, int line, const char *what)
{
	test_fail(at, line, "%s", what);
	abort();
}

static void start_server(void)
{
	disk_start(&disk, &shared, sizeof(shared), &volume, "scratch");
}

/* Until the client is connected. */
static void connect_client(void)
{
	bool signal = false;

	for (int i = 0; i < 8; i++) {
		if (block_client_look(&client, &signal) == EPOCH_ANSWERED)
			return;
		disk_turn(&disk);
	}
	CHECK(false);
}

static void start_all(u64 bytes, bool read_only)
{
	static u8 *memory;

	memset(&shared, 0, sizeof(shared));
	free(memory);
	memory = calloc(1, volume_state_bytes(bytes, bytes));
	volume = (struct volume){.bytes = bytes, .read_only = read_only};
	if (!read_only)
		volume_attach(&volume, memory, bytes);
	start_server();
	client = block_open(&shared, sizeof(shared));
	block_client_start(&client);
	connect_client();
}

static enum block_status ask(struct block_request r)
{
	struct block_completion got = {0, ~0u};
	bool signal = false;
	bool broken;

	r.id = (u32)random();
	CHECK(block_send(&client, &r, &signal));
	CHECK(signal);
	disk.signal = false;
	disk_turn(&disk);
	CHECK(disk.signal);
	CHECK(block_answer_take(&client, &got, &broken));
	CHECK_EQ(got.id, r.id);
	return got.status;
}

static struct block_request transfer(u8 op, u64 sector, u32 sectors)
{
	return (struct block_request){.op = op,
		.sector = sector,
		.sectors = sectors,
		.pieces = 1,
		.piece = {{.length = sectors * 512}}};
}

TEST(disk_facts)
{
	start_all(BYTES, false);
	CHECK_EQ(client.facts.sectors, SECTORS);
	CHECK(strcmp(client.facts.name, "scratch") == 0);
	CHECK(client.facts.features & BLOCK_CAN_FLUSH);
	start_all(BYTES, true);
	CHECK_EQ(client.facts.features, BLOCK_READ_ONLY);
	CHECK_EQ(ask(transfer(BLOCK_READ, 0, 1)), BLOCK_OK);
	CHECK_EQ(ask(transfer(BLOCK_WRITE, 0, 1)), BLOCK_RANGE);
}

TEST(disk_operations)
{
	struct block_request r = transfer(BLOCK_WRITE, 3, 9);

	start_all(BYTES, false);
	memset(client.data, 0x11, 16384);
	CHECK_EQ(ask(r), BLOCK_OK);
	memset(client.data, 0x22, 16384);
	r.op = BLOCK_READ;
	r.pieces = 2;
	r.piece[0] = (struct block_piece){.length = 4 * 512, .offset = 4096};
	r.piece[1] = (struct block_piece){.length = 5 * 512, .offset = 0};
	CHECK_EQ(ask(r), BLOCK_OK);
	CHECK(client.data[4096] == 0x11 && client.data[4096 + 2047] == 0x11);
	CHECK(client.data[0] == 0x11 && client.data[5 * 512 - 1] == 0x11);
	CHECK(client.data[5 * 512] == 0x22 && client.data[4096 + 2048] == 0x22);
	CHECK_EQ(ask((struct block_request){.op = BLOCK_FLUSH}), BLOCK_OK);
	CHECK_EQ(
		ask((struct block_request){
			.op = BLOCK_WRITE_ZEROES, .flags = BLOCK_UNMAP, .sector = 4, .sectors = 1}),
		BLOCK_OK);
	CHECK_EQ(ask(transfer(BLOCK_READ, 3, 3)), BLOCK_OK);
	CHECK(client.data[0] == 0x11 && client.data[512] == 0 && client.data[1024] == 0x11);
	CHECK_EQ(ask((struct block_request){.op = BLOCK_DISCARD, .sectors = 16}), BLOCK_OK);
	CHECK_EQ(volume.taken, 0);
	CHECK_EQ(ask((struct block_request){.op = 77, .sectors = 16}), BLOCK_UNSUPPORTED);
	CHECK_EQ(ask(transfer(BLOCK_READ, SECTORS, 1)), BLOCK_RANGE);
}

/* One turn takes no more than its share. */
TEST(disk_turn_is_bounded)
{
	struct block_request r = transfer(BLOCK_READ, 0, 1);
	bool signal = false;

	start_all(BYTES, false);
	for (u32 i = 0; i < DISK_TURN + 1; i++)
		CHECK(block_send(&client, &r, &signal));
	CHECK(disk_turn(&disk));
	CHECK_EQ(shared.session.completions.head - shared.session.completions.tail, DISK_TURN);
	CHECK(!disk_turn(&disk));
}

struct op {
	bool busy;
	bool write;
	u64 sector;
	u32 sectors;
	u8 value;
};

static struct op op[DEPTH];
static int expected[SECTORS]; /* -1: nobody knows, writes are under way */

static bool overlaps(u64 sector, u32 sectors)
{
	for (u32 i = 0; i < DEPTH; i++) {
		if (op[i].busy && sector < op[i].sector + op[i].sectors &&
			op[i].sector < sector + sectors)
			return true;
	}
	return false;
}

static void send(u32 id)
{
	struct block_request r =
		transfer(op[id].write ? BLOCK_WRITE : BLOCK_READ, op[id].sector, op[id].sectors);
	bool signal = false;

	r.id = id;
	r.piece[0].offset = id * 8192ull;
	if (op[id].write)
		memset(client.data + id * 8192ull, op[id].value, op[id].sectors * 512);
	CHECK(block_send(&client, &r, &signal));
}

/* The client replays what it has not seen answered; its list outlives its process. */
static void replay(void)
{
	connect_client();
	for (u32 i = 0; i < DEPTH; i++) {
		if (op[i].busy)
			send(i);
	}
}

static void start_op(u32 id)
{
	struct op o = {true, random() % 2 == 0, (u64)random() % SECTORS, 1 + (u32)random() % 16,
		(u8)random()};

	if (o.sector + o.sectors > SECTORS || overlaps(o.sector, o.sectors))
		return;
	op[id] = o;
	send(id);
}

static void finish_ops(void)
{
	struct block_completion got;
	bool broken;

	while (block_answer_take(&client, &got, &broken)) {
		struct op *o = &op[got.id % DEPTH];
		const u8 *data = client.data + got.id * 8192ull;

		CHECK(got.id < DEPTH && o->busy && got.status == BLOCK_OK);
		for (u32 i = 0; i < o->sectors; i++) {
			if (o->write)
				expected[o->sector + i] = o->value;
			else if (data[i * 512ul] != expected[o->sector + i] ||
				 data[i * 512ul + 511] != expected[o->sector + i])
				test_fail(__FILE__, __LINE__, "sector %u", (u32)o->sector + i);
		}
		o->busy = false;
	}
	CHECK(!broken);
}

TEST(disk_restarts_of_both_ends)
{
	u32 restarts = 0;

	start_all(BYTES, false);
	memset(op, 0, sizeof(op));
	memset(expected, 0, sizeof(expected));
	for (int i = 0; i < 40000; i++) {
		u32 id = (u32)random() % DEPTH;

		switch (random() % 100) {
		case 0: /* the server's process dies: its volume's memory stays */
			volume_attach(&volume, volume.map, BYTES);
			start_server();
			restarts++;
			replay();
			break;
		case 1: /* the client's */
			client = block_open(&shared, sizeof(shared));
			block_client_start(&client);
			replay();
			restarts++;
			break;
		case 2: /* both */
			start_server();
			client = block_open(&shared, sizeof(shared));
			block_client_start(&client);
			replay();
			restarts++;
			break;
		default:
			if (random() % 3 == 0)
				disk_turn(&disk);
			else if (random() % 3 == 0)
				finish_ops();
			else if (!op[id].busy)
				start_op(id);
		}
	}
	while (disk_turn(&disk))
		finish_ops();
	finish_ops();
	for (u32 i = 0; i < DEPTH; i++)
		CHECK(!op[i].busy);
	CHECK(restarts > 100);
}

/* A client that breaks its session is told so, and another session goes on. */
TEST(disk_hostile_client)
{
	start_all(BYTES, false);
	for (int i = 0; i < 100000; i++) {
		u64 word = (u64)random() << 32 ^ (u64)random();

		switch (random() % 8) {
		case 0:
			shared.session.requests.head += (u32)random() % 300;
			break;
		case 1:
			shared.session.completions.tail = (u32)word;
			break;
		case 2:
			shared.session.epochs.client =
				epoch_pair((u32)random() % 4, disk.end.epoch.own);
			break;
		case 3:
			shared.session.epochs.server = word;
			break;
		default:
			memcpy((u8 *)shared.session.request +
					(u32)random() % sizeof(shared.session.request) / 8 * 8,
				&word, random() % 2 ? 8 : 1);
		}
		disk_turn(&disk);
		CHECK(disk.end.under_way <= BLOCK_QUEUE);
	}
	CHECK(disk.damages > 0);
	client = block_open(&shared, sizeof(shared));
	start_server();
	block_client_start(&client);
	connect_client();
	CHECK_EQ(ask(transfer(BLOCK_READ, 0, 1)), BLOCK_OK);
}
