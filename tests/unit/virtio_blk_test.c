/* virtio block device on a disk in memory whose answers the test gives when it wants. */
#include "tests/unit/virtio_medium.h"

#define HEADER DRIVER_DATA
#define DATA   (DRIVER_DATA + 0x1000)
#define STATUS (DRIVER_DATA + 0x800)
#define NONE   0xaau

static struct virtio_blk_facts facts(void)
{
	return (struct virtio_blk_facts){
		.sectors = SECTORS,
		.block_bytes = 512,
		.physical_bytes = 4096,
		.piece_sectors = 64,
		.discard_sectors = 100,
		.discard_alignment = 8,
		.zeroes_sectors = 200,
		.can_flush = 1,
		.can_unmap = 1,
		.id = "SERIAL-0123456789012", /* 20 bytes: no NUL */
	};
}

static void start_with(const struct virtio_blk_facts *f, u8 queues, u64 features)
{
	memset(pending, 0, sizeof(pending));
	memset(operations, 0, sizeof(operations));
	buffers = VIRTIO_BLK_REQUESTS;
	for (u32 i = 0; i < sizeof(medium); i++)
		medium[i] = (u8)(i / 512 + i);
	CHECK(virtio_blk_init(driver_machine(), &disk, MEDIUM_NUMBER, DRIVER_DEVFN, queues, f));
	driver_attach(&disk.virtio);
	driver_start(features, 256);
}

static void start(u64 features)
{
	const struct virtio_blk_facts f = facts();

	start_with(&f, 1, features);
}

/* Adds a request; data of `length` bytes at DATA in segments of `segment` bytes. */
static void request(u32 type, u64 sector, u32 length, u32 segment, bool write)
{
	const struct virtio_blk_header h = {type, 0, sector};
	struct driver_part part[64];
	u32 parts = 0;

	memcpy(driver_ram + HEADER, &h, sizeof(h));
	driver_ram[STATUS] = NONE;
	part[parts++] = (struct driver_part){HEADER, sizeof(h), false};
	for (u32 done = 0; done < length; done += segment)
		part[parts++] = (struct driver_part){
			DATA + done, length - done < segment ? length - done : segment, write};
	part[parts++] = (struct driver_part){STATUS, 1, true};
	driver_add(0, part, parts);
	driver_kick(0);
}

/* The status of the next request that was used, and its length; NONE: there is none. */
static u8 done(u32 *length)
{
	u32 id;

	return driver_used(0, &id, length) ? driver_ram[STATUS] : NONE;
}

TEST(configuration)
{
	struct virtio_blk_config c;

	start(VIRTIO_BLK_F_FLUSH);
	for (u32 i = 0; i < VIRTIO_BLK_CONFIG_BYTES; i += 4) {
		u32 word = driver_read(DRIVER_CONFIG + i, 4);

		memcpy((u8 *)&c + i, &word, 4);
	}
	CHECK_EQ(c.capacity, SECTORS);
	CHECK_EQ(c.seg_max, 254);
	CHECK_EQ(c.blk_size, 512);
	CHECK_EQ(c.physical_block_exp, 3);
	CHECK_EQ(c.min_io_size, 8);
	CHECK_EQ(c.num_queues, 1);
	CHECK_EQ(c.max_discard_sectors, 100);
	CHECK_EQ(c.max_discard_seg, 1);
	CHECK_EQ(c.discard_sector_alignment, 8);
	CHECK_EQ(c.max_write_zeroes_sectors, 200);
	CHECK_EQ(c.write_zeroes_may_unmap, 1);
	CHECK_EQ(c.writeback, 1);
	CHECK_EQ(c.unused0 | c.unused1[0] | c.unused1[1] | c.unused1[2], 0);
	CHECK(driver_offered() & VIRTIO_BLK_F_DISCARD);
	CHECK(!(driver_offered() & (VIRTIO_BLK_F_RO | VIRTIO_BLK_F_MQ)));
}

TEST(read)
{
	u32 length;

	start(VIRTIO_BLK_F_FLUSH);
	request(VIRTIO_BLK_T_IN, 5, 1024, 512, true);
	CHECK_EQ(done(&length), NONE);
	CHECK(answer(VIRTIO_BLK_S_OK));
	CHECK_EQ(done(&length), VIRTIO_BLK_S_OK);
	CHECK_EQ(length, 1025);
	CHECK(!memcmp(driver_ram + DATA, medium + 5 * 512, 1024));
	CHECK_EQ(disk.virtio.isr, VIRTIO_ISR_QUEUE);
}

TEST(any_framing)
{
	const struct virtio_blk_header h = {VIRTIO_BLK_T_IN, 0, 1};
	const struct driver_part part[] = {{HEADER, 7, false}, {HEADER + 7, 9, false},
		{DATA, 100, true}, {DATA + 100, 413, true}}; /* the status is behind the data */
	u32 id, length;

	start(VIRTIO_BLK_F_FLUSH);
	memcpy(driver_ram + HEADER, &h, sizeof(h));
	driver_ram[DATA + 512] = NONE;
	driver_add(0, part, 4);
	driver_kick(0);
	answer_all();
	CHECK(driver_used(0, &id, &length));
	CHECK_EQ(length, 513);
	CHECK_EQ(driver_ram[DATA + 512], VIRTIO_BLK_S_OK);
	CHECK(!memcmp(driver_ram + DATA, medium + 512, 512));
}

/* A backend that takes the guest's RAM itself gets the place of the data in the chain. */
TEST(data_in_place)
{
	u32 length;

	direct = true;
	start(VIRTIO_BLK_F_FLUSH);
	request(VIRTIO_BLK_T_IN, 5, 1024, 512, true);
	CHECK(pending[0].direct);
	answer_all();
	CHECK_EQ(done(&length), VIRTIO_BLK_S_OK);
	CHECK_EQ(length, 1025);
	CHECK(!memcmp(driver_ram + DATA, medium + 5 * 512, 1024));
	memset(driver_ram + DATA, 0x19, 1024);
	request(VIRTIO_BLK_T_OUT, 8, 1024, 300, false);
	answer_all();
	CHECK_EQ(done(&length), VIRTIO_BLK_S_OK);
	CHECK_EQ(medium[8 * 512], 0x19);
	CHECK_EQ(medium[10 * 512 - 1], 0x19);
	direct = false;
}

TEST(write_in_pieces)
{
	u32 length;

	start(VIRTIO_BLK_F_FLUSH);
	for (u32 i = 0; i < 20 * 1024; i++)
		driver_ram[DATA + i] = (u8)(i * 7);
	request(VIRTIO_BLK_T_OUT, 100, 20 * 1024, 1000, false);
	answer_all();
	CHECK_EQ(operations[VIRTIO_BLK_OP_WRITE], 5);
	CHECK_EQ(operations[VIRTIO_BLK_OP_FLUSH], 0);
	CHECK_EQ(done(&length), VIRTIO_BLK_S_OK);
	CHECK_EQ(length, 1);
	CHECK(!memcmp(driver_ram + DATA, medium + 100 * 512, 20 * 1024));
}

TEST(data_are_read_once)
{
	start(VIRTIO_BLK_F_FLUSH);
	driver_ram[DATA] = 1;
	request(VIRTIO_BLK_T_OUT, 0, 512, 512, false);
	driver_ram[DATA] = 2; /* too late */
	answer_all();
	CHECK_EQ(medium[0], 1);
}

TEST(flush)
{
	u32 length;

	start(VIRTIO_BLK_F_FLUSH);
	request(VIRTIO_BLK_T_FLUSH, 0, 0, 1, false);
	CHECK_EQ(done(&length), NONE);
	answer_all();
	CHECK_EQ(operations[VIRTIO_BLK_OP_FLUSH], 1);
	CHECK_EQ(done(&length), VIRTIO_BLK_S_OK);
}

TEST(flush_of_what_has_no_cache)
{
	struct virtio_blk_facts f = facts();
	u32 length;

	f.can_flush = 0;
	start_with(&f, 1, VIRTIO_BLK_F_FLUSH);
	request(VIRTIO_BLK_T_FLUSH, 0, 0, 1, false);
	CHECK_EQ(done(&length), VIRTIO_BLK_S_OK);
	CHECK_EQ(operations[VIRTIO_BLK_OP_FLUSH], 0);
}

TEST(write_through)
{
	start(0); /* neither FLUSH nor CONFIG_WCE */
	request(VIRTIO_BLK_T_OUT, 0, 512, 512, false);
	answer_all();
	CHECK_EQ(operations[VIRTIO_BLK_OP_FLUSH], 1);
	start(VIRTIO_BLK_F_FLUSH | VIRTIO_BLK_F_CONFIG_WCE);
	CHECK_EQ(driver_read(DRIVER_CONFIG + 32, 1), 1);
	request(VIRTIO_BLK_T_OUT, 0, 512, 512, false);
	answer_all();
	CHECK_EQ(operations[VIRTIO_BLK_OP_FLUSH], 0);
	driver_write(DRIVER_CONFIG + 32, 1, 0);
	request(VIRTIO_BLK_T_OUT, 0, 512, 512, false);
	answer_all();
	CHECK_EQ(operations[VIRTIO_BLK_OP_FLUSH], 1);
	driver_write(DRIVER_CONFIG + 32, 1, 7); /* no such mode */
	CHECK_EQ(driver_read(DRIVER_CONFIG + 32, 1), 0);
	start(VIRTIO_BLK_F_CONFIG_WCE); /* 5.2.5.2 */
	CHECK_EQ(driver_read(DRIVER_CONFIG + 32, 1), 0);
}

TEST(get_id)
{
	u32 length;

	start(VIRTIO_BLK_F_FLUSH);
	request(VIRTIO_BLK_T_GET_ID, 0, 20, 20, true);
	CHECK_EQ(done(&length), VIRTIO_BLK_S_OK);
	CHECK_EQ(length, 21);
	CHECK(!memcmp(driver_ram + DATA, "SERIAL-0123456789012", 20));
	request(VIRTIO_BLK_T_GET_ID, 0, 19, 19, true);
	CHECK_EQ(done(&length), VIRTIO_BLK_S_IOERR);
}

static void range(u32 type, u64 sector, u32 sectors, u32 flags)
{
	const struct virtio_blk_range r = {sector, sectors, flags};

	memcpy(driver_ram + DATA, &r, sizeof(r));
	request(type, 0, sizeof(r), sizeof(r), false);
}

TEST(discard_and_write_zeroes)
{
	u32 length;

	start(VIRTIO_BLK_F_FLUSH);
	range(VIRTIO_BLK_T_WRITE_ZEROES, 10, 20, VIRTIO_BLK_UNMAP);
	CHECK(pending[0].used && pending[0].unmap);
	answer_all();
	CHECK_EQ(done(&length), VIRTIO_BLK_S_OK);
	CHECK_EQ(medium[10 * 512] | medium[30 * 512 - 1], 0);
	CHECK(medium[30 * 512 + 1] != 0);
	range(VIRTIO_BLK_T_DISCARD, 0, 100, 0);
	answer_all();
	CHECK_EQ(done(&length), VIRTIO_BLK_S_OK);
	CHECK_EQ(operations[VIRTIO_BLK_OP_DISCARD], 1);
	range(VIRTIO_BLK_T_DISCARD, 0, 8, VIRTIO_BLK_UNMAP);
	CHECK_EQ(done(&length), VIRTIO_BLK_S_UNSUPP);
	range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 2);
	CHECK_EQ(done(&length), VIRTIO_BLK_S_UNSUPP);
	range(VIRTIO_BLK_T_DISCARD, 0, 101, 0);
	CHECK_EQ(done(&length), VIRTIO_BLK_S_IOERR);
	range(VIRTIO_BLK_T_DISCARD, 0, 0, 0);
	CHECK_EQ(done(&length), VIRTIO_BLK_S_IOERR);
	range(VIRTIO_BLK_T_WRITE_ZEROES, SECTORS - 1, 2, 0);
	CHECK_EQ(done(&length), VIRTIO_BLK_S_IOERR);
	range(VIRTIO_BLK_T_WRITE_ZEROES, ~0ull, 2, 0);
	CHECK_EQ(done(&length), VIRTIO_BLK_S_IOERR);
	request(VIRTIO_BLK_T_DISCARD, 0, 32, 32, false); /* two segments */
	CHECK_EQ(done(&length), VIRTIO_BLK_S_IOERR);
}

TEST(requests_outside_the_disk)
{
	u32 length;

	start(VIRTIO_BLK_F_FLUSH);
	request(VIRTIO_BLK_T_IN, SECTORS, 512, 512, true);
	CHECK_EQ(done(&length), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(length, 0);
	request(VIRTIO_BLK_T_IN, SECTORS - 1, 1024, 512, true);
	CHECK_EQ(done(&length), VIRTIO_BLK_S_IOERR);
	request(VIRTIO_BLK_T_OUT, ~0ull, 512, 512, false);
	CHECK_EQ(done(&length), VIRTIO_BLK_S_IOERR);
	request(VIRTIO_BLK_T_OUT, 0, 511, 512, false);
	CHECK_EQ(done(&length), VIRTIO_BLK_S_IOERR);
	request(VIRTIO_BLK_T_OUT, 0, 0, 1, false);
	CHECK_EQ(done(&length), VIRTIO_BLK_S_IOERR);
	request(99, 0, 512, 512, false);
	CHECK_EQ(done(&length), VIRTIO_BLK_S_UNSUPP);
	request(VIRTIO_BLK_T_IN + 256, 0, 512, 512, true);
	CHECK_EQ(done(&length), VIRTIO_BLK_S_UNSUPP);
	CHECK(!driver_broken());
}

TEST(whole_blocks)
{
	struct virtio_blk_facts f = facts();
	u32 length;

	f.block_bytes = 4096;
	start_with(&f, 1, VIRTIO_BLK_F_FLUSH);
	request(VIRTIO_BLK_T_IN, 8, 512, 512, true);
	CHECK_EQ(done(&length), VIRTIO_BLK_S_IOERR);
	request(VIRTIO_BLK_T_IN, 4, 4096, 512, true);
	CHECK_EQ(done(&length), VIRTIO_BLK_S_IOERR);
	request(VIRTIO_BLK_T_IN, 8, 4096, 512, true);
	answer_all();
	CHECK_EQ(done(&length), VIRTIO_BLK_S_OK);
}

TEST(read_only)
{
	struct virtio_blk_facts f = facts();
	u32 length;

	f.read_only = 1;
	start_with(&f, 1, VIRTIO_BLK_F_FLUSH | VIRTIO_BLK_F_RO);
	CHECK(!(driver_offered() & (VIRTIO_BLK_F_DISCARD | VIRTIO_BLK_F_WRITE_ZEROES)));
	request(VIRTIO_BLK_T_OUT, 0, 512, 512, false);
	CHECK_EQ(done(&length), VIRTIO_BLK_S_IOERR);
	range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0);
	CHECK_EQ(done(&length), VIRTIO_BLK_S_IOERR);
	request(VIRTIO_BLK_T_IN, 0, 512, 512, true);
	answer_all();
	CHECK_EQ(done(&length), VIRTIO_BLK_S_OK);
}

TEST(errors_of_the_medium)
{
	u32 length;

	start(VIRTIO_BLK_F_FLUSH);
	request(VIRTIO_BLK_T_IN, 0, 3 * PIECE, PIECE, true);
	CHECK(answer(VIRTIO_BLK_S_OK));
	CHECK(answer(VIRTIO_BLK_S_IOERR));
	CHECK_EQ(done(&length), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(length, PIECE); /* what was read before */
	CHECK(!answer(VIRTIO_BLK_S_OK));
	request(VIRTIO_BLK_T_IN, 0, 512, 512, true);
	virtio_blk_answered(&driver.m, &disk, 0, (enum virtio_blk_status)77);
	CHECK_EQ(done(&length), VIRTIO_BLK_S_IOERR);
	virtio_blk_answered(&driver.m, &disk, 0, VIRTIO_BLK_S_OK); /* nothing is under way */
	virtio_blk_answered(&driver.m, &disk, ~0u, VIRTIO_BLK_S_OK);
	CHECK_EQ(done(&length), NONE);
}

TEST(malformed_requests_break_the_device)
{
	const struct driver_part no_status[] = {{HEADER, 16, false}, {DATA, 512, false}};
	const struct driver_part short_header[] = {{HEADER, 15, false}, {STATUS, 1, true}};

	start(VIRTIO_BLK_F_FLUSH);
	driver_add(0, no_status, 2);
	driver_kick(0);
	CHECK(driver_broken());
	start(VIRTIO_BLK_F_FLUSH);
	driver_add(0, short_header, 2);
	driver_kick(0);
	CHECK(driver_broken());
	CHECK(!answer(VIRTIO_BLK_S_OK));
}

TEST(a_chain_that_changes_under_way)
{
	u32 length;

	start(VIRTIO_BLK_F_FLUSH);
	request(VIRTIO_BLK_T_IN, 0, 512, 512, true);
	driver_descriptor(0, 1)->length = 100;
	CHECK(answer(VIRTIO_BLK_S_OK));
	CHECK(driver_broken());
	CHECK_EQ(done(&length), NONE);
	CHECK_EQ(driver_ram[DATA], 0);
	start(VIRTIO_BLK_F_FLUSH);
	request(VIRTIO_BLK_T_IN, 0, 512, 512, true);
	driver_descriptor(0, 1)->address = DRIVER_RAM;
	CHECK(answer(VIRTIO_BLK_S_OK));
	CHECK(driver_broken());
}

TEST(more_requests_than_places)
{
	const struct virtio_blk_header h = {VIRTIO_BLK_T_IN, 0, 0};
	const struct driver_part part[] = {
		{HEADER, 16, false}, {DATA, 512, true}, {STATUS, 1, true}};
	u32 id, length;
	u32 used = 0;

	start(VIRTIO_BLK_F_FLUSH);
	memcpy(driver_ram + HEADER, &h, sizeof(h));
	for (u32 i = 0; i < 80; i++)
		driver_add(0, part, 3);
	driver_kick(0);
	CHECK_EQ(disk.virtio.queue[0].at.avail, VIRTIO_BLK_REQUESTS);
	answer_all();
	while (driver_used(0, &id, &length))
		used++;
	CHECK_EQ(used, 80);
}

TEST(requests_wait_for_buffers)
{
	u32 length;

	start(VIRTIO_BLK_F_FLUSH);
	buffers = 0;
	request(VIRTIO_BLK_T_IN, 0, 512, 512, true);
	request(VIRTIO_BLK_T_FLUSH, 0, 0, 1, false);
	CHECK(!answer(VIRTIO_BLK_S_OK));
	buffers = 1;
	virtio_blk_ready(&driver.m, &disk);
	answer_all();
	CHECK_EQ(done(&length), VIRTIO_BLK_S_OK);
	CHECK_EQ(done(&length), VIRTIO_BLK_S_OK);
}

TEST(reset_with_requests_under_way)
{
	u32 length;

	start(VIRTIO_BLK_F_FLUSH);
	request(VIRTIO_BLK_T_IN, 7, 512, 512, true);
	memset(driver_ram + DATA, 0x55, 512);
	driver_start(VIRTIO_BLK_F_FLUSH, 256);
	CHECK_EQ(disk.orphans, 1);
	request(VIRTIO_BLK_T_OUT, 7, 512, 512, false);
	CHECK_EQ(disk.virtio.queue[0].at.avail, 0); /* not before the old one is over */
	CHECK(answer(VIRTIO_BLK_S_OK));
	CHECK_EQ(driver_ram[DATA], 0x55); /* not a byte of the old read */
	answer_all();
	CHECK_EQ(done(&length), VIRTIO_BLK_S_OK);
	CHECK_EQ(medium[7 * 512], 0x55);
	CHECK_EQ(disk.orphans, 0);
}

TEST(queue_reset_with_requests_under_way)
{
	struct virtio_blk_facts f = facts();
	u32 length;

	start_with(&f, 2, VIRTIO_BLK_F_FLUSH | VIRTIO_BLK_F_MQ | VIRTIO_F_RING_RESET);
	CHECK(driver_offered() & VIRTIO_BLK_F_MQ);
	request(VIRTIO_BLK_T_IN, 7, 512, 512, true);
	driver_write(VIRTIO_QUEUE_SELECT, 2, 0);
	driver_write(VIRTIO_QUEUE_RESET, 2, 1);
	CHECK(answer(VIRTIO_BLK_S_OK));
	driver_queue(0, 256);
	CHECK_EQ(done(&length), NONE);
	request(VIRTIO_BLK_T_IN, 7, 512, 512, true);
	answer_all();
	CHECK_EQ(done(&length), VIRTIO_BLK_S_OK);
}

TEST(another_volume)
{
	struct virtio_blk_facts f = {0}; /* not there yet */

	start_with(&f, 1, VIRTIO_BLK_F_FLUSH);
	CHECK_EQ(driver_read(DRIVER_CONFIG, 4), 0);
	f = facts();
	virtio_blk_facts(&driver.m, &disk, &f);
	CHECK_EQ(driver_read(VIRTIO_OFFSET_ISR, 1), VIRTIO_ISR_CONFIG);
	CHECK_EQ(driver_read(DRIVER_CONFIG, 4), SECTORS);
	CHECK(!(driver_offered() & VIRTIO_BLK_F_DISCARD)); /* with the next reset */
	driver_write(VIRTIO_STATUS, 1, 0);
	CHECK(driver_offered() & VIRTIO_BLK_F_DISCARD);
}

/* A process takes over, and its session is there. */
static void resume(void)
{
	memset(pending, 0, sizeof(pending));
	virtio_blk_resume(&driver.m, &disk);
	virtio_resume(&driver.m, &disk.virtio);
	virtio_blk_ready(&driver.m, &disk);
}

TEST(a_fresh_process_goes_on)
{
	struct virtio_blk saved;
	u32 length;

	start(VIRTIO_BLK_F_FLUSH);
	request(VIRTIO_BLK_T_IN, 3, 512, 512, true); /* at the backend */
	saved = disk;
	memset(&disk, 0, sizeof(disk));
	disk = saved;
	resume();
	answer_all();
	CHECK_EQ(done(&length), VIRTIO_BLK_S_OK);
	CHECK(!memcmp(driver_ram + DATA, medium + 3 * 512, 512));
}

TEST(a_process_that_died_at_the_steps_of_giving_back)
{
	struct virtio_blk_request *r = &disk.request[0];
	u32 id, length;

	for (u32 step = 0; step < 3; step++) {
		start(VIRTIO_BLK_F_FLUSH);
		request(VIRTIO_BLK_T_FLUSH, 0, 0, 1, false);
		*r = (struct virtio_blk_request){
			.state = VIRTIO_BLK_DONE, .written = 1, .used_at = 0};
		if (step > 0)
			virtqueue_fill(&driver.m.memory, &disk.virtio.queue[0], 0, 0, 1);
		if (step > 1)
			disk.virtio.queue[0].at.used = 1;
		resume();
		CHECK(driver_used(0, &id, &length));
		CHECK_EQ(length, 1);
		CHECK_EQ(driver_used_ring(0)[1], 1);
		CHECK_EQ(r->state, VIRTIO_BLK_FREE);
	}
}

TEST(a_process_that_died_between_taking_and_advancing)
{
	u32 length;

	start(VIRTIO_BLK_F_FLUSH);
	request(VIRTIO_BLK_T_IN, 3, 512, 512, true);
	disk.virtio.queue[0].at.avail = 0;
	resume();
	answer_all();
	CHECK_EQ(done(&length), VIRTIO_BLK_S_OK);
	CHECK_EQ(done(&length), NONE); /* once */
}

/* A read of two pieces whose first was done, but not noted to the end. */
TEST(a_process_that_died_between_pieces)
{
	u32 length;

	start(VIRTIO_BLK_F_FLUSH);
	disk.facts.piece_sectors = 1;
	request(VIRTIO_BLK_T_IN, 3, 1024, 1024, true);
	CHECK_EQ(disk.request[0].piece, 512);
	memcpy(driver_ram + DATA, medium + 3 * 512, 512);
	disk.request[0].done = 512;
	resume();
	answer_all();
	CHECK_EQ(done(&length), VIRTIO_BLK_S_OK);
	CHECK(!memcmp(driver_ram + DATA, medium + 3 * 512, 1024));
}
