/*
 * Tests of the driver of ATA disks against a model of the disk and its bus master: small and large
 * addresses, clients that come and go, and a disk that fails.
 */
#include "drivers/ata/ata.h"
#include "tests/unit/disk_test.h"
#include "tests/unit/fake_ata.h"

static bool step(void)
{
	return fake_ata_step(FAKE_ATA_GOOD);
}

static const struct disk_model model = {
	.driver = &ata_driver,
	.step = step,
	.medium = fake_ata.medium,
	.rules = &fake_ata.rules,
};

TEST(ata_works)
{
	for (u32 i = 0; i < 2; i++) {
		fake_ata_init(FAKE_ATA_SECTORS, 0, i);
		CHECK(start(FAKE_CLIENTS));
		CHECK_EQ(fake_ata.resets, 1);
		CHECK_EQ(w.geometry.sectors, FAKE_ATA_SECTORS);
		CHECK_EQ(w.geometry.physical_size, 4096);
		CHECK_EQ(w.geometry.features, BLOCK_CAN_FLUSH);
		CHECK_EQ(w.geometry.bus_top, BIT(32));
		work_alone(400, false, 10);
		for (u32 c = 0; c < w.clients; c++)
			CHECK(w.client[c].answers > 100);
		CHECK_EQ(fake_ata.large, 0);
	}
	fake_ata_init(FAKE_ATA_SECTORS, 0, true);
	CHECK(start(FAKE_CLIENTS));
	work_alone(1500, true, 10);
}

static enum block_status ask(u64 sector, u32 sectors, u8 op)
{
	struct disk_request r = {.op = op,
		.pieces = 2,
		.sector = sector,
		.sectors = sectors,
		.piece = {{.bus = fake_session_bus(0) + 0xfe00, .length = 512},
			{.bus = fake_session_bus(0) + 0x20e00, .length = (sectors - 1) * 512}}};

	disk_server_own(&w.server, &r, 1);
	CHECK(fake_ata_step(FAKE_ATA_GOOD));
	CHECK(ata_driver.poll(&w.server, 0));
	return w.server.own;
}

/* Across the end of what 28 bits address, and beyond; regions across 64 KiB. */
TEST(ata_addresses)
{
	u8 *data = fake_session(0) + BLOCK_DATA;

	fake_ata_init(BIT(40), BIT(28) - 1024, true);
	CHECK(start(1));
	for (u32 i = 0; i < 4; i++) {
		static const u64 offset[] = {0, 768, 1000, 1024};

		for (u32 k = 0; k < 256 * 512; k++)
			data[(k < 512 ? 0xfe00 : 0x20e00 - 512) + k] = (u8)random();
		CHECK_EQ(ask(BIT(28) - 1024 + offset[i], 256, BLOCK_WRITE), BLOCK_OK);
		CHECK_EQ(fake_ata.large, i > 1 ? 2 * i - 3 : 0);
		CHECK(memcmp(fake_ata.medium + offset[i] * 512, data + 0xfe00, 512) == 0);
		CHECK(memcmp(fake_ata.medium + offset[i] * 512 + 512, data + 0x20e00, 255 * 512) ==
			0);
		memset(data, 0, 0x60000);
		CHECK_EQ(ask(BIT(28) - 1024 + offset[i], 256, BLOCK_READ), BLOCK_OK);
		CHECK(memcmp(fake_ata.medium + offset[i] * 512, data + 0xfe00, 512) == 0);
		CHECK(memcmp(fake_ata.medium + offset[i] * 512 + 512, data + 0x20e00, 255 * 512) ==
			0);
	}
	CHECK_EQ(fake_ata.rules, 0);
	CHECK_EQ(fake_device.wild, 0);
}

TEST(ata_refused)
{
	fake_ata_init(FAKE_ATA_SECTORS, 0, true);
	fake_ata.absent = true;
	refused("does not become ready");
	CHECK(fake_device.waited >= 31000000);
	fake_ata_init(FAKE_ATA_SECTORS, 0, true);
	fake_ata.stuck = true;
	refused("does not become ready");
	fake_ata_init(FAKE_ATA_SECTORS, 0, true);
	fake_ata.id[49] = 0x200;
	refused("not both DMA and LBA");
	fake_ata_init(FAKE_ATA_SECTORS, 0, true);
	fake_ata.id[106] = 0x5000;
	fake_ata.id[117] = 2048;
	refused("not supported");
	fake_ata_init(FAKE_ATA_SECTORS, 0, true);
	fake_ata.id[106] = 0x5000; /* sectors of no bytes */
	refused("of such a size");
	fake_ata_init(0, 0, true);
	refused("no number of sectors");
	fake_ata_init(FAKE_ATA_SECTORS, 0, false);
	fake_ata.id[61] = 0x1000; /* one would be named by an address of another */
	refused("no number of sectors");
}

/* What fails is told of to the client; what never ends, or goes on too long, is ended by a reset.
 */
TEST(ata_disk_that_fails)
{
	for (u32 act = FAKE_ATA_ERROR; act < FAKE_ATA_ACTS; act++) {
		u32 expected = act >= FAKE_ATA_DRQ ? 1 : 0;

		fake_ata_init(FAKE_ATA_SECTORS, 0, true);
		CHECK(start(1));
		w.tolerant = true;
		ask_much();
		CHECK(fake_ata_step(act));
		if (act == FAKE_ATA_SILENT) { /* run.c finds out by the time */
			CHECK(ata_driver.reset());
			disk_server_again(&w.server, w.now);
			w.resets++;
		}
		disk_work_turn(&w);
		CHECK_EQ(w.resets, expected);
		settle();
		if (act != FAKE_ATA_MASTER) /* which a flush does not use */
			CHECK_EQ(w.client[0].errors, 1 - expected);
		CHECK_EQ(w.wrong + w.stray, 0);
		w.resets = 0;
		work_alone(20, false, 10);
	}
}

TEST(ata_disk_that_stays_broken)
{
	fake_ata_init(FAKE_ATA_SECTORS, 0, true);
	CHECK(start(1));
	ask_much();
	fake_ata_step(FAKE_ATA_DRQ);
	fake_ata.stuck = true;
	disk_work_turn(&w);
	fake_ata.stuck = false;
	disk_work_turn(&w);
	CHECK_EQ(w.resets, 1);
	fake_ata_step(FAKE_ATA_DRQ);
	fake_ata.id[100]++; /* it comes back as another */
	disk_work_turn(&w);
	CHECK(w.dead);
	CHECK(strstr(fake_device.last, "another"));
}
