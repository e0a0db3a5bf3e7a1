/*
 * Tests of the driver of virtio disks against a model of the device: every feature on and off,
 * clients that come and go, and a device that does what VIRTIO forbids.
 */
#include "drivers/virtio_blk/blk.h"
#include "tests/unit/disk_test.h"
#include "tests/unit/fake_virtio_blk.h"

#define VERSION_1 BIT(32)
#define INDIRECT  BIT(28)
#define EVENT     BIT(29)
#define SEG_MAX   BIT(2)
#define RO        BIT(5)
#define BLK_SIZE  BIT(6)
#define FLUSH     BIT(9)
#define DISCARD   BIT(13)
#define ZEROES    BIT(14)
#define ALL       (VERSION_1 | INDIRECT | EVENT | SEG_MAX | BLK_SIZE | FLUSH | DISCARD | ZEROES)

static bool step(void)
{
	return fake_blk_step(FAKE_BLK_GOOD);
}

static const struct disk_model model = {
	.driver = &virtio_blk_driver,
	.step = step,
	.medium = fake_blk.medium,
	.rules = &fake_virtio.rules,
	.suppressed = true,
};

TEST(virtio_every_feature)
{
	for (u64 i = 0; i < 64; i++) {
		u64 features = VERSION_1 | (i & 1 ? INDIRECT : 0) | (i & 2 ? EVENT : 0) |
			       (i & 4 ? SEG_MAX | BLK_SIZE : 0) | (i & 8 ? FLUSH : 0) |
			       (i & 16 ? DISCARD | ZEROES : 0);

		fake_blk_init(features, i & 32 ? 1 : 3);
		CHECK(start(FAKE_CLIENTS));
		CHECK_EQ(w.geometry.sectors, FAKE_BLK_SECTORS);
		CHECK_EQ(w.geometry.features & BLOCK_CAN_FLUSH, i & 8 ? BLOCK_CAN_FLUSH : 0);
		CHECK_EQ(w.geometry.max_pieces, i & 4 ? VIRTQUEUE_PIECES - 2 : 1);
		work(100, false);
		for (u32 c = 0; c < w.clients; c++)
			CHECK(w.client[c].answers > 50);
	}
}

TEST(virtio_clients_come_and_go)
{
	fake_blk_init(ALL, 3);
	CHECK(start(FAKE_CLIENTS));
	work(2000, true);
	fake_blk_init(ALL & ~INDIRECT, 3);
	fake_virtio.queue_size = 16; /* fewer descriptors than requests */
	CHECK(start(FAKE_CLIENTS));
	work(2000, true);
}

TEST(virtio_interrupts)
{
	for (u32 event = 0; event < 2; event++) {
		fake_blk_init(event ? ALL : ALL & ~EVENT, 3);
		CHECK(start(1));
		interrupts(500);
	}
}

TEST(virtio_refused)
{
	fake_blk_init(ALL & ~VERSION_1, 3);
	CHECK(!start(1));
	fake_blk_init(ALL, 3);
	fake_virtio.refuse = true;
	CHECK(!start(1));
	fake_blk_init(ALL, 3);
	fake_virtio.no_reset = true;
	fake_virtio.status = 7;
	CHECK(!start(1));
	CHECK(fake_device.waited >= 1000000);
	for (u32 i = 0; i < 4; i++) { /* block sizes that cannot be */
		static const u32 sizes[] = {0, 256, 1000, 1u << 20};

		fake_blk_init(ALL, 3);
		fake_blk.block_size = sizes[i];
		CHECK(!start(1));
	}
	fake_blk_init(ALL, 3);
	fake_virtio.queue_size = 100;
	CHECK(!start(1));
	fake_blk_init(ALL, 3);
	fake_device.config[0x74 + 13] = 0; /* doorbells of no size */
	fake_device.config[0x74 + 12] = 1;
	CHECK(!start(1));
	fake_blk_init(ALL, 3);
	fake_device.config[0x40 + 11] = 0x80; /* registers beyond the function's */
	CHECK(!start(1));
}

TEST(virtio_read_only)
{
	fake_blk_init(ALL | RO, 3);
	CHECK(start(1));
	CHECK(w.server.client[0].end.facts.features & BLOCK_READ_ONLY);
	CHECK(!(w.server.client[0].end.facts.features & BLOCK_CAN_DISCARD));
}

TEST(virtio_blocks_of_4096)
{
	fake_blk_init(ALL, 3);
	fake_blk.block_size = 4096;
	CHECK(start(FAKE_CLIENTS));
	CHECK_EQ(w.geometry.block_size, 4096);
	work(200, false);
}

/* A device that errs is believed; one that breaks a rule is reset, and loses nothing. */
TEST(virtio_hostile_device)
{
	for (u32 act = FAKE_BLK_ERROR; act < FAKE_BLK_ACTS; act++) {
		u32 expected = act == FAKE_BLK_ERROR || act == FAKE_BLK_STATUS ? 0 : 1;

		fake_blk_init(ALL, 3);
		CHECK(start(1));
		w.tolerant = true;
		for (u32 i = 0; i < 4; i++) {
			disk_work_turn(&w);
			disk_work_client(&w, 0, i > 1);
		}
		disk_work_turn(&w);
		CHECK(disk_work_open(&w) > 3);
		fake_blk_step(act);
		if (act == FAKE_BLK_SILENT) { /* run.c finds out by the time */
			u64 since;

			CHECK(disk_server_oldest(&w.server, &since));
			CHECK(virtio_blk_driver.reset());
			disk_server_again(&w.server, w.now);
			virtio_blk_driver.kick();
			w.resets++;
		}
		disk_work_turn(&w);
		CHECK_EQ(w.resets, expected);
		settle();
		CHECK_EQ(w.client[0].errors, expected ? 0 : 1);
		CHECK_EQ(w.wrong + w.stray, 0);
		w.resets = 0;
		work(20, false);
	}
}

TEST(virtio_device_that_stays_broken)
{
	fake_blk_init(ALL, 3);
	CHECK(start(1));
	for (u32 i = 0; i < 4; i++) {
		disk_work_turn(&w);
		disk_work_client(&w, 0, i > 1);
	}
	disk_work_turn(&w);
	fake_virtio.no_reset = true;
	fake_blk_step(FAKE_BLK_JUMP);
	disk_work_turn(&w);
	CHECK(w.dead);
	CHECK(strstr(fake_device.last, "cannot be reset") != NULL);
}
