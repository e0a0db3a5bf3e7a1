/* A virtio disk on a `block` session whose server the test plays: answers, restarts, lies. */
#include "tests/unit/block_server.h"

TEST(facts_reach_the_driver)
{
	disk_start(true);
	CHECK_EQ(guest_read(DISK, VIRTIO_OFFSET_DEVICE, 4), SECTORS);
	CHECK(host_machine.state->virtio.disk[0].virtio.offered & VIRTIO_BLK_F_DISCARD);
	CHECK_EQ(memcmp(host_machine.state->virtio.disk[0].facts.id, "volume", 7), 0);
}

TEST(reads_and_writes)
{
	disk_start(true);
	disk_request(VIRTIO_BLK_T_IN, 9, 512, true);
	CHECK(host.signals & BIT(1));
	CHECK_EQ(server_serve(), 1);
	CHECK(disk_done(VIRTIO_BLK_S_OK));
	CHECK(!memcmp(host_ram + DATA, server_medium + 9 * 512, 512));
	memset(host_ram + DATA, 0x77, 400 * 1024); /* more than one piece */
	disk_request(VIRTIO_BLK_T_OUT, 100, 400 * 1024, false);
	server_serve_all();
	CHECK(disk_done(VIRTIO_BLK_S_OK));
	CHECK_EQ(server_medium[100 * 512], 0x77);
	CHECK_EQ(server_medium[900 * 512 - 1], 0x77);
	CHECK_EQ(host_machine.virtio.block[0].taken, 0);
}

TEST(many_at_once)
{
	u32 used = 0;
	u32 id, length;

	disk_start(true);
	for (u32 i = 0; i < 20; i++)
		disk_request(VIRTIO_BLK_T_IN, 9, 256 * 1024, true);
	server_serve_all();
	while (guest_used(0, &id, &length))
		used++;
	CHECK_EQ(used, 20);
	CHECK_EQ(host_machine.virtio.block[0].taken, 0);
}

TEST(a_server_that_restarts_gets_all_again)
{
	struct block_request r;
	bool broken;

	disk_start(true);
	memset(host_ram + DATA, 0x33, 512);
	disk_request(VIRTIO_BLK_T_OUT, 50, 512, false);
	CHECK(block_take(&server, &r, &broken)); /* and dies with it */
	server_start();
	server_event();
	disk_request(VIRTIO_BLK_T_IN, 9, 512, true); /* waits */
	CHECK(!host_machine.virtio.block[0].connected);
	server_look();
	server_event();
	CHECK(host_machine.virtio.block[0].connected);
	server_serve_all();
	CHECK_EQ(server_medium[50 * 512], 0x33);
	CHECK(disk_done(VIRTIO_BLK_S_OK));
	CHECK(disk_done(VIRTIO_BLK_S_OK));
}

TEST(a_server_that_comes_late)
{
	disk_start(false);
	CHECK_EQ(guest_read(DISK, VIRTIO_OFFSET_DEVICE, 4), 0);
	server_start();
	server_event();
	server_look();
	server_event();
	CHECK_EQ(guest_read(DISK, VIRTIO_OFFSET_DEVICE, 4), SECTORS);
	CHECK(guest_read(DISK, VIRTIO_OFFSET_ISR, 1) & VIRTIO_ISR_CONFIG);
	disk_request(VIRTIO_BLK_T_IN, 9, 512, true);
	server_serve_all();
	CHECK(disk_done(VIRTIO_BLK_S_OK));
}

TEST(answers_that_belong_to_nothing)
{
	disk_start(true);
	disk_request(VIRTIO_BLK_T_IN, 9, 512, true);
	block_answer(&server, 63, BLOCK_OK);
	block_answer(&server, ~0u, BLOCK_OK);
	server_event();
	CHECK(!disk_done(VIRTIO_BLK_S_OK));
	block_answer(&server, 0, (enum block_status)99);
	server_event();
	CHECK(disk_done(VIRTIO_BLK_S_IOERR));
	block_answer(&server, 0, BLOCK_OK); /* twice */
	server_event();
	CHECK(!disk_done(VIRTIO_BLK_S_OK));
}

TEST(a_broken_queue_begins_anew)
{
	disk_start(true);
	disk_request(VIRTIO_BLK_T_IN, 9, 512, true);
	((struct block_session *)server_session)->completions.head += 100000;
	server_event();
	CHECK(!host_machine.virtio.block[0].connected);
	CHECK_EQ(host.broken, 1);
	server_look(); /* an honest one again */
	server_event();
	server_serve_all();
	CHECK(disk_done(VIRTIO_BLK_S_OK));
}

/* Events that tell of nothing are told of and do not come for a moment; those with answers are
 * never too many. */
TEST(a_server_that_floods)
{
	const struct start_resource r = {.address = (u64)server_session,
		.bit = OWN_BIT,
		.role = START_CLIENT,
		.protocol = "block"};
	struct machine *m = &host_machine;
	struct vcpu *v = &m->vcpu[0];

	disk_start(true);
	v->wake_mask |= m->wake_mask;
	CHECK(v->wake_mask & BIT(OWN_BIT));
	flood_init(&m->flood, HOST_TSC_HZ << 20); /* however slow the test is */
	flood_add(&m->flood, &r);
	for (u32 i = 0; i < 3 * FLOOD_EVENTS; i++) {
		disk_request(VIRTIO_BLK_T_IN, 9, 512, true);
		server_serve();
		machine_events(v, BIT(OWN_BIT), false);
		CHECK(disk_done(VIRTIO_BLK_S_OK));
	}
	CHECK_EQ(host.flooded, 0);
	for (u32 i = 0; i < FLOOD_EVENTS; i++)
		machine_events(v, BIT(OWN_BIT), false);
	CHECK_EQ(host.flooded, 0);
	machine_events(v, BIT(OWN_BIT), false);
	CHECK_EQ(host.flooded, 1);
	CHECK(!(v->wake_mask & BIT(OWN_BIT)));
	CHECK(m->virtio.block[0].connected);
	machine_deadline(m);
	CHECK_EQ(m->deadline, m->flood.until);
	m->flood.until = tsc_now();
	machine_events(v, 0, true);
	CHECK(v->wake_mask & BIT(OWN_BIT));
	machine_deadline(m);
	CHECK(m->deadline != 0 && !m->flood.muted);
}

/* A server that is given up: what it had and what follows fails, until there is one again. */
TEST(a_server_that_is_gone)
{
	struct block_request r;
	bool broken;

	disk_start(true);
	disk_request(VIRTIO_BLK_T_OUT, 50, 512, false);
	CHECK(block_take(&server, &r, &broken));
	epoch_give_up(server_session);
	CHECK(!disk_done(VIRTIO_BLK_S_IOERR));
	server_event();
	CHECK(disk_done(VIRTIO_BLK_S_IOERR));
	disk_request(VIRTIO_BLK_T_IN, 9, 400 * 1024, true);
	CHECK(disk_done(VIRTIO_BLK_S_IOERR));
	CHECK_EQ(host_machine.virtio.block[0].taken, 0);
	server_start();
	server_event();
	disk_request(VIRTIO_BLK_T_IN, 9, 512, true); /* waits */
	CHECK(!disk_done(VIRTIO_BLK_S_IOERR));
	server_look();
	server_event();
	server_serve_all();
	CHECK(disk_done(VIRTIO_BLK_S_OK));
	CHECK_EQ(host.broken, 0);
}

/* Without replay, which only a test asks for, a request that a dead server had fails. */
/* With `zero-copy`; the guest's RAM is in two parts, which meet within DATA. */
static void start_zero_copy(u32 features)
{
	server_features = features;
	disk_start(true);
	server_features = 0;
	server_pieces = 0;
	host_machine.virtio.block[0].zero_copy = true;
	host_machine.virtio.ram = (struct block_memory){.parts = 2,
		.part = {{.gpa = 0, .size = DATA + 0x8000},
			{.gpa = DATA + 0x8000, .size = HOST_RAM - DATA - 0x8000}}};
}

/* Reads sectors 7 and on to buffers of the guest; whether the data are there. */
static bool reads_to(const struct guest_part *to, u32 parts)
{
	struct guest_part part[8] = {{HEADER, 16, false}};
	const struct virtio_blk_header h = {VIRTIO_BLK_T_IN, 0, 7};
	u32 sector = 7 * 512;
	bool good;

	memcpy(host_ram + HEADER, &h, sizeof(h));
	host_ram[STATUS] = 0xaa;
	for (u32 i = 0; i < parts; i++)
		part[1 + i] = to[i];
	part[1 + parts] = (struct guest_part){STATUS, 1, true};
	guest_add(DISK, 0, part, parts + 2);
	server_serve_all();
	good = disk_done(VIRTIO_BLK_S_OK);
	for (u32 i = 0; i < parts; i++) {
		good = good &&
		       !memcmp(host_ram + to[i].address, server_medium + sector, to[i].length);
		sector += to[i].length;
	}
	return good;
}

TEST(zero_copy)
{
	static const struct {
		struct guest_part to[4];
		u32 parts;
		u32 direct; /* pieces of RAM; 0: copied */
		u32 pages;  /* the same if pieces meet on pages */
	} try[] = {
		{{{DATA, 4096, true}}, 1, 1, 1},
		{{{DATA + 512, 512, true}, {DATA + 0x3000, 4096, true}}, 2, 2, 0},
		{{{DATA + 512, 0xe00, true}, {DATA + 0x3000, 4096, true}}, 2, 2, 2},
		{{{DATA, 4096, true}, {DATA + 4096, 4096, true}}, 2, 1, 1},
		{{{DATA + 4, 4096, true}}, 1, 1, 1}, {{{DATA + 2, 4096, true}}, 1, 0, 0},
		{{{DATA, 500, true}, {DATA + 500, 12, true}}, 2, 1, 1},
		{{{DATA, 500, true}, {DATA + 600, 12, true}}, 2, 0, 0},
		{{{DATA, 512, true}, {DATA + 1024, 512, true}, {DATA + 2048, 512, true},
			 {DATA + 3072, 512, true}},
			4, 0, 0}, /* more than the server takes */
		{{{DATA + 0x7000, 4096, true}, {DATA + 0x8000, 4096, true}}, 2, 2, 2},
		{{{DATA + 0x7e00, 1024, true}}, 1, 0, 0}, /* in two parts of the RAM */
	};

	for (u32 i = 0; i < 2 * ARRAY_SIZE(try); i++) {
		u32 k = i % ARRAY_SIZE(try);
		bool pages = i >= ARRAY_SIZE(try);

		start_zero_copy(BLOCK_GUEST_MEMORY | (pages ? BLOCK_WHOLE_PAGES : 0));
		CHECK(reads_to(try[k].to, try[k].parts));
		CHECK_EQ(server_pieces, pages ? try[k].pages : try[k].direct);
	}
	start_zero_copy(BLOCK_GUEST_MEMORY);
	memset(host_ram + DATA, 0x42, 4096);
	disk_request(VIRTIO_BLK_T_OUT, 50, 4096, false);
	server_serve_all();
	CHECK(disk_done(VIRTIO_BLK_S_OK));
	CHECK_EQ(server_pieces, 1);
	CHECK_EQ(server_medium[50 * 512 + 4095], 0x42);
}

TEST(zero_copy_that_is_not_granted)
{
	static const struct guest_part page = {DATA, 4096, true};

	start_zero_copy(0); /* the server has not got the RAM */
	CHECK(reads_to(&page, 1));
	CHECK_EQ(server_pieces, 0);
	start_zero_copy(BLOCK_GUEST_MEMORY); /* it says so, but the description does not */
	host_machine.virtio.block[0].zero_copy = false;
	CHECK(reads_to(&page, 1));
	CHECK_EQ(server_pieces, 0);
}

/* What a server died over is sent to the next one: as it was, or copied if that one has not the
 * guest's RAM. */
TEST(zero_copy_over_restarts)
{
	struct block_request r;
	bool broken;

	for (u32 again = 0; again < 2; again++) {
		start_zero_copy(BLOCK_GUEST_MEMORY);
		memset(host_ram + DATA, 0x21, 4096);
		disk_request(VIRTIO_BLK_T_OUT, 50, 4096, false);
		CHECK(block_take(&server, &r, &broken));
		CHECK_EQ(r.piece[0].region, BLOCK_REGION_GUEST);
		server_features = again ? BLOCK_GUEST_MEMORY : 0;
		server_start();
		server_event();
		server_look();
		server_event();
		server_serve_all();
		CHECK(disk_done(VIRTIO_BLK_S_OK));
		CHECK_EQ(server_pieces, again);
		CHECK_EQ(server_medium[50 * 512 + 4095], 0x21);
		CHECK_EQ(host_machine.virtio.block[0].taken, 0);
	}
	server_features = 0;
}

/* The device's reset is over when nothing writes to the guest's RAM any more. */
TEST(zero_copy_and_reset)
{
	start_zero_copy(BLOCK_GUEST_MEMORY);
	disk_request(VIRTIO_BLK_T_IN, 50, 4096, true);
	guest_write(DISK, VIRTIO_STATUS, 1, 0);
	CHECK(guest_read(DISK, VIRTIO_STATUS, 1) != 0);
	server_serve_all();
	CHECK_EQ(guest_read(DISK, VIRTIO_STATUS, 1), 0);
	CHECK(!disk_done(VIRTIO_BLK_S_OK));
	host_machine.virtio.block[0].settled = false; /* as in a fresh process */
	CHECK(guest_read(DISK, VIRTIO_STATUS, 1) != 0);
	server_start();
	server_event();
	server_look();
	server_event();
	CHECK_EQ(guest_read(DISK, VIRTIO_STATUS, 1), 0);
}

TEST(replay_off)
{
	struct block_request r;
	bool broken;

	disk_start(true);
	host_machine.virtio.block[0].replay_off = true;
	disk_request(VIRTIO_BLK_T_OUT, 50, 512, false);
	CHECK(block_take(&server, &r, &broken));
	server_start();
	server_event();
	server_look();
	server_event();
	CHECK(disk_done(VIRTIO_BLK_S_IOERR));
	disk_request(VIRTIO_BLK_T_IN, 9, 512, true);
	server_serve_all();
	CHECK(disk_done(VIRTIO_BLK_S_OK));
}

/* What root counts when a server has died. */
TEST(requests_under_way)
{
	const struct block_session *s;
	struct block_request r;
	bool broken;

	disk_start(true);
	s = (const struct block_session *)server_session;
	CHECK_EQ(block_under_way(s), 0);
	for (u32 i = 0; i < 3; i++)
		disk_request(VIRTIO_BLK_T_IN, i, 512, true);
	CHECK_EQ(block_under_way(s), 3);
	CHECK(block_take(&server, &r, &broken));
	CHECK_EQ(block_under_way(s), 3);
	block_answer(&server, r.id, BLOCK_OK);
	CHECK_EQ(block_under_way(s), 2);
	server_start(); /* what was under way is sent again to the next one */
	CHECK_EQ(block_under_way(s), 0);
	server_event();
	server_look();
	server_event();
	CHECK_EQ(block_under_way(s), 3);
	server_serve_all();
	CHECK_EQ(block_under_way(s), 0);
	((struct block_session *)server_session)->completions.head += 100000;
	CHECK_EQ(block_under_way(s), 0);
}

TEST(facts_that_cannot_be)
{
	disk_start(false);
	server_start();
	server.facts.block_size = 3;
	server_event();
	server_look();
	server_event();
	CHECK(!host_machine.virtio.block[0].connected);
	CHECK_EQ(guest_read(DISK, VIRTIO_OFFSET_DEVICE, 4), 0);
}

TEST(noise_in_the_session)
{
	u64 seed = 7;

	disk_start(true);
	for (u32 i = 0; i < 3000; i++) {
		u32 *word = (u32 *)server_session;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		word[(seed >> 33) % (BLOCK_DATA / 4)] =
			(u32)(seed >> 20) % 3 ? (u32)(seed >> 40) : 0;
		if (i % 7 == 0)
			disk_request(VIRTIO_BLK_T_IN, i, 512, true);
		server_event();
	}
	CHECK(host_machine.state->virtio.disk[0].virtio.queues == 1);
}
