/*
 * Tests of the driver of NVMe disks against a model of the controller: limits of all kinds, clients
 * that come and go, and a controller that does what the specification forbids.
 */
#include "drivers/nvme/nvme.h"
#include "tests/unit/disk_test.h"
#include "tests/unit/fake_nvme.h"

static bool step(void)
{
	return fake_nvme_step(FAKE_NVME_GOOD);
}

static const struct disk_model model = {
	.driver = &nvme_driver,
	.step = step,
	.medium = fake_nvme.medium,
	.rules = &fake_nvme.rules,
};

TEST(nvme_limits)
{
	for (u32 i = 0; i < 32; i++) {
		fake_nvme_init(i & 1 ? 1 : 5);
		fake_nvme.shift = i & 2 ? 12 : 9;
		fake_nvme.vwc = i & 4 ? 1 : 0;
		fake_nvme.oncs = i & 8 ? 0xc : 0;
		fake_nvme.queues = i & 16 ? 4 : 2;
		fake_nvme.mdts = i & 1;
		CHECK(start(FAKE_CLIENTS));
		CHECK_EQ(fake_nvme.made, fake_nvme.queues);
		CHECK_EQ(fake_nvme.resets, 1);
		CHECK_EQ(w.geometry.sectors, FAKE_NVME_SECTORS);
		CHECK_EQ(w.geometry.block_size, 1u << fake_nvme.shift);
		CHECK_EQ(w.geometry.max_sectors, i & 1 ? 16 : 512);
		CHECK_EQ(w.geometry.features & BLOCK_CAN_FLUSH, i & 4 ? BLOCK_CAN_FLUSH : 0);
		CHECK_EQ(w.geometry.features & BLOCK_CAN_DISCARD, i & 8 ? BLOCK_CAN_DISCARD : 0);
		w.tolerant = i & 1; /* what is too long for it is refused */
		work(100, false);
		for (u32 c = 0; c < w.clients; c++)
			CHECK(w.client[c].answers > 50);
	}
}

/* Transfers of all lengths from all offsets of a page: one entry, two, a list. */
TEST(nvme_prp)
{
	fake_nvme_init(5);
	CHECK(start(1));
	for (u32 i = 0; i < 4; i++) {
		disk_work_turn(&w);
		disk_work_client(&w, 0, false);
	}
	for (u32 i = 0; i < 600; i++) {
		struct work_client *c = &w.client[0];
		u32 sectors = i < 200 ? 1 + (u32)random() % 24 : 1 + (u32)random() % 512;
		u32 offset = 4 * ((u32)random() % 2048);
		struct block_request r = {.op = BLOCK_WRITE, .sectors = sectors, .pieces = 1};
		struct block_completion done = {0, ~0u};
		bool signal = false;
		bool broken;

		r.piece[0] = (struct block_piece){.length = sectors * 512, .offset = offset};
		for (u32 k = 0; k < sectors * 512; k++)
			c->end.data[offset + k] = (u8)random();
		CHECK(block_send(&c->end, &r, &signal));
		disk_work_turn(&w);
		CHECK(fake_nvme_step(FAKE_NVME_GOOD));
		disk_work_turn(&w);
		CHECK(block_answer_take(&c->end, &done, &broken));
		CHECK_EQ(done.status, BLOCK_OK);
		CHECK(memcmp(fake_nvme.medium, c->end.data + offset, sectors * 512) == 0);
	}
	CHECK_EQ(fake_nvme.rules, 0);
	CHECK_EQ(fake_device.wild, 0);
}

TEST(nvme_clients_come_and_go)
{
	fake_nvme_init(5);
	CHECK(start(FAKE_CLIENTS));
	work(3000, true);
	fake_nvme_init(1);
	fake_nvme.cap = (fake_nvme.cap & ~0xffffull) | 3; /* queues of four */
	CHECK(start(FAKE_CLIENTS));
	CHECK_EQ(w.geometry.tags, 12);
	work(3000, true);
}

TEST(nvme_interrupts)
{
	for (u32 messages = 1; messages <= 5; messages += 4) {
		fake_nvme_init(messages);
		CHECK(start(1));
		interrupts(500);
	}
}

TEST(nvme_refused)
{
	fake_nvme_init(5);
	fake_nvme.cap &= ~BIT(37);
	refused("capabilities");
	fake_nvme_init(5);
	fake_nvme.cap |= 1ull << 48;
	refused("capabilities");
	fake_nvme_init(5);
	fake_nvme.cap |= 0xfull << 32; /* doorbells 128 KiB apart */
	refused("doorbells");
	fake_nvme_init(5);
	fake_nvme.never_reset = true;
	refused("does not become reset");
	CHECK(fake_device.waited >= 1000000);
	fake_nvme_init(5);
	fake_nvme.never_ready = true;
	refused("does not become ready");
	fake_nvme_init(5);
	fake_nvme.mute_admin = true;
	refused("no answer");
	fake_nvme_init(5);
	fake_nvme.fail_admin = true;
	refused("status 0x6");
	fake_nvme_init(5);
	fake_nvme.lie_admin = true;
	refused("an answer that cannot be");
	fake_nvme_init(5);
	fake_nvme.nsid = 0;
	refused("no namespace");
	fake_nvme_init(5);
	fake_nvme.metadata = 8;
	refused("metadata");
	for (u32 shift = 0; shift < 64; shift++) {
		fake_nvme_init(5);
		fake_nvme.shift = shift;
		if (shift < 9 || shift > 12)
			refused(shift > 20 ? "not there" : "not supported");
	}
}

TEST(nvme_namespace_wanted)
{
	struct disk_geometry g = {.unit = 7};

	fake_nvme_init(5);
	fake_device_memory(&w.device);
	CHECK(nvme_driver.open(&w.device, &g));
	fake_nvme_init(5);
	fake_device_memory(&w.device);
	g.unit = 8;
	CHECK(!nvme_driver.open(&w.device, &g));
	CHECK(strstr(fake_device.last, "namespace 8 is not there"));
}

/* A controller that errs is believed; one that breaks a rule is reset, and loses nothing. */
TEST(nvme_hostile_controller)
{
	for (u32 act = FAKE_NVME_ERROR; act < FAKE_NVME_ACTS; act++) {
		u32 expected = act == FAKE_NVME_ERROR ? 0 : 1;

		fake_nvme_init(5);
		CHECK(start(1));
		w.tolerant = true;
		ask_much();
		fake_nvme_step(act);
		if (act == FAKE_NVME_SILENT) { /* run.c finds out by the time */
			CHECK(nvme_driver.reset());
			disk_server_again(&w.server, w.now);
			nvme_driver.kick();
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

TEST(nvme_controller_that_stays_broken)
{
	fake_nvme_init(5);
	CHECK(start(1));
	ask_much();
	fake_nvme.never_reset = true;
	fake_nvme_step(FAKE_NVME_BAD_SQ);
	disk_work_turn(&w);
	CHECK(w.dead);
	fake_nvme_init(5);
	CHECK(start(1));
	ask_much();
	fake_nvme.shift = 12; /* it comes back as another */
	fake_nvme_step(FAKE_NVME_BAD_SQ);
	disk_work_turn(&w);
	CHECK(w.dead);
	CHECK(strstr(fake_device.last, "another"));
}
