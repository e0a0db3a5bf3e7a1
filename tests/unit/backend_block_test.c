/* A virtio disk on a `block` session whose server the test plays: answers, restarts, lies. */
#include <stdlib.h>
#include "tests/unit/virtio_guest.h"

#define DISK    PCI_DEVFN(4, 0)
#define OWN_BIT 5u
#define SECTORS 4096u
#define HEADER  GUEST_DATA
#define STATUS  (GUEST_DATA + 0x100)
#define DATA    (GUEST_DATA + 0x1000)

static void *memory;
static struct block_end server;
static u8 *medium;

static const struct block_facts volume = {
	.sectors = SECTORS,
	.block_size = 512,
	.physical_size = 4096,
	.features = BLOCK_CAN_FLUSH | BLOCK_CAN_DISCARD | BLOCK_CAN_WRITE_ZEROES,
	.max_sectors = 1024,
	.max_pieces = 1,
	.max_discard = 4096,
	.max_zeroes = 4096,
	.discard_block = 8,
	.name = "volume",
};

static void event(void)
{
	machine_virtio_event(&host_machine, BIT(OWN_BIT));
}

/* The server begins, and answers a client's hello. */
static void server_start(void)
{
	server = block_open(memory, BLOCK_SESSION_SIZE);
	server.facts = volume;
	block_server_start(&server);
}

static void server_look(void)
{
	u32 hello;

	if (block_server_look(&server, &hello) == EPOCH_HELLO)
		block_server_answer(&server, hello);
}

/* What the machine's start waits for. */
static void serve_hello(void)
{
	server_look();
}

/* Carries out a request that was taken. */
static enum block_status carry_out(const struct block_request *r)
{
	enum block_status s = block_check(&server.facts, r, server.data_size);
	u8 *at = medium + r->sector * BLOCK_SECTOR;

	CHECK_EQ(s, BLOCK_OK);
	if (s != BLOCK_OK)
		return s;
	for (u32 i = 0; i < r->pieces; i++) {
		u8 *data = server.data + r->piece[i].offset;

		if (r->op == BLOCK_READ)
			memcpy(data, at, r->piece[i].length);
		else
			memcpy(at, data, r->piece[i].length);
		at += r->piece[i].length;
	}
	return BLOCK_OK;
}

/* Serves what waits; returns how many requests. */
static u32 serve(void)
{
	struct block_request r;
	bool broken;
	u32 count = 0;

	while (block_take(&server, &r, &broken)) {
		block_answer(&server, r.id, carry_out(&r));
		count++;
	}
	CHECK(!broken);
	event();
	return count;
}

static void serve_all(void)
{
	while (serve())
		;
}

static void start(bool with_server)
{
	struct machine *m = &host_machine;
	const struct start_resource r = {
		.size = BLOCK_SESSION_SIZE, .bit = OWN_BIT, .value = BIT(1)};
	struct start_resource session = r;
	struct virtio_blk_facts facts;

	if (!memory) {
		memory = aligned_alloc(PAGE_SIZE, BLOCK_SESSION_SIZE);
		medium = malloc(SECTORS * 512);
	}
	for (u32 i = 0; i < SECTORS * 512; i++)
		medium[i] = (u8)(i / 512 * 3 + i);
	memset(memory, 0, BLOCK_SESSION_SIZE);
	host_setup(false);
	session.address = (u64)memory;
	if (with_server)
		server_start();
	CHECK(backend_block_open(m, 0, &session));
	host.wait = with_server ? serve_hello : NULL;
	host.wait_bits = ~0ull;
	machine_virtio_await(m, &m->virtio.block[0].connected, m->virtio.block[0].own_bit);
	CHECK_EQ(m->virtio.block[0].connected, with_server);
	facts = backend_block_facts(m, 0);
	CHECK(virtio_blk_init(m, &m->state->virtio.disk[0], 0, DISK, 1, &facts));
	machine_virtio_bells(m, &m->state->virtio.disk[0].virtio);
	pci_configure(m, &m->state->pci, PM_BASE_DEFAULT);
	guest_start(DISK, VIRTIO_BLK_F_FLUSH);
}

static void request(u32 type, u64 sector, u32 length, bool write)
{
	const struct virtio_blk_header h = {type, 0, sector};
	const struct guest_part part[] = {
		{HEADER, 16, false}, {DATA, length, write}, {STATUS, 1, true}};

	memcpy(host_ram + HEADER, &h, sizeof(h));
	host_ram[STATUS] = 0xaa;
	guest_add(DISK, 0, part, 3);
}

static bool done(u8 status)
{
	u32 id, length;

	return guest_used(0, &id, &length) && host_ram[STATUS] == status;
}

TEST(facts_reach_the_driver)
{
	start(true);
	CHECK_EQ(guest_read(DISK, VIRTIO_OFFSET_DEVICE, 4), SECTORS);
	CHECK(host_machine.state->virtio.disk[0].virtio.offered & VIRTIO_BLK_F_DISCARD);
	CHECK_EQ(memcmp(host_machine.state->virtio.disk[0].facts.id, "volume", 7), 0);
}

TEST(reads_and_writes)
{
	start(true);
	request(VIRTIO_BLK_T_IN, 9, 512, true);
	CHECK(host.signals & BIT(1));
	CHECK_EQ(serve(), 1);
	CHECK(done(VIRTIO_BLK_S_OK));
	CHECK(!memcmp(host_ram + DATA, medium + 9 * 512, 512));
	memset(host_ram + DATA, 0x77, 400 * 1024); /* more than one piece */
	request(VIRTIO_BLK_T_OUT, 100, 400 * 1024, false);
	serve_all();
	CHECK(done(VIRTIO_BLK_S_OK));
	CHECK_EQ(medium[100 * 512], 0x77);
	CHECK_EQ(medium[900 * 512 - 1], 0x77);
	CHECK_EQ(host_machine.virtio.block[0].taken, 0);
}

TEST(many_at_once)
{
	u32 used = 0;
	u32 id, length;

	start(true);
	for (u32 i = 0; i < 20; i++)
		request(VIRTIO_BLK_T_IN, 9, 256 * 1024, true);
	serve_all();
	while (guest_used(0, &id, &length))
		used++;
	CHECK_EQ(used, 20);
	CHECK_EQ(host_machine.virtio.block[0].taken, 0);
}

TEST(a_server_that_restarts_gets_all_again)
{
	struct block_request r;
	bool broken;

	start(true);
	memset(host_ram + DATA, 0x33, 512);
	request(VIRTIO_BLK_T_OUT, 50, 512, false);
	CHECK(block_take(&server, &r, &broken)); /* and dies with it */
	server_start();
	event();
	request(VIRTIO_BLK_T_IN, 9, 512, true); /* waits */
	CHECK(!host_machine.virtio.block[0].connected);
	server_look();
	event();
	CHECK(host_machine.virtio.block[0].connected);
	serve_all();
	CHECK_EQ(medium[50 * 512], 0x33);
	CHECK(done(VIRTIO_BLK_S_OK));
	CHECK(done(VIRTIO_BLK_S_OK));
}

TEST(a_server_that_comes_late)
{
	start(false);
	CHECK_EQ(guest_read(DISK, VIRTIO_OFFSET_DEVICE, 4), 0);
	server_start();
	event();
	server_look();
	event();
	CHECK_EQ(guest_read(DISK, VIRTIO_OFFSET_DEVICE, 4), SECTORS);
	CHECK(guest_read(DISK, VIRTIO_OFFSET_ISR, 1) & VIRTIO_ISR_CONFIG);
	request(VIRTIO_BLK_T_IN, 9, 512, true);
	serve_all();
	CHECK(done(VIRTIO_BLK_S_OK));
}

TEST(answers_that_belong_to_nothing)
{
	start(true);
	request(VIRTIO_BLK_T_IN, 9, 512, true);
	block_answer(&server, 63, BLOCK_OK);
	block_answer(&server, ~0u, BLOCK_OK);
	event();
	CHECK(!done(VIRTIO_BLK_S_OK));
	block_answer(&server, 0, (enum block_status)99);
	event();
	CHECK(done(VIRTIO_BLK_S_IOERR));
	block_answer(&server, 0, BLOCK_OK); /* twice */
	event();
	CHECK(!done(VIRTIO_BLK_S_OK));
}

TEST(a_broken_queue_begins_anew)
{
	start(true);
	request(VIRTIO_BLK_T_IN, 9, 512, true);
	((struct block_session *)memory)->completions.head += 100000;
	event();
	CHECK(!host_machine.virtio.block[0].connected);
	server_look(); /* an honest one again */
	event();
	serve_all();
	CHECK(done(VIRTIO_BLK_S_OK));
}

TEST(facts_that_cannot_be)
{
	start(false);
	server_start();
	server.facts.block_size = 3;
	event();
	server_look();
	event();
	CHECK(!host_machine.virtio.block[0].connected);
	CHECK_EQ(guest_read(DISK, VIRTIO_OFFSET_DEVICE, 4), 0);
}

TEST(noise_in_the_session)
{
	u64 seed = 7;

	start(true);
	for (u32 i = 0; i < 3000; i++) {
		u32 *word = (u32 *)memory;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		word[(seed >> 33) % (BLOCK_DATA / 4)] =
			(u32)(seed >> 20) % 3 ? (u32)(seed >> 40) : 0;
		if (i % 7 == 0)
			request(VIRTIO_BLK_T_IN, i, 512, true);
		event();
	}
	CHECK(host_machine.state->virtio.disk[0].virtio.queues == 1);
}
