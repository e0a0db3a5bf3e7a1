/*
 * Tests of the driver of SATA disks against a model of the HBA: with the disk's queue and without,
 * clients that come and go, and a disk, a link and an HBA that fail.
 */
#include <string.h>

#include "drivers/ahci/ahci.h"
#include "drivers/ahci/regs.h"
#include "tests/unit/disk_test.h"
#include "tests/unit/fake_ahci.h"

static bool step(void)
{
	return fake_ahci_step(FAKE_AHCI_GOOD);
}

static const struct disk_model model = {
	.driver = &ahci_driver,
	.step = step,
	.medium = fake_ahci.medium,
	.rules = &fake_ahci.rules,
};

TEST(ahci_works)
{
	for (u32 i = 0; i < 8; i++) {
		bool queue = i & 1;

		fake_ahci_init(queue ? 32 >> (i & 2) : 0);
		fake_ahci.firmware = i & 4;
		if (i & 4)
			fake_ahci.cap &= ~(1u << 31 | 0x1800); /* 32 bits, 8 slots */
		CHECK(start(FAKE_CLIENTS));
		CHECK_EQ(fake_ahci.hba_resets, 1);
		CHECK_EQ(fake_ahci.port_resets, 1);
		CHECK_EQ(w.geometry.unit, FAKE_AHCI_PORT);
		CHECK_EQ(w.geometry.sectors, FAKE_AHCI_SECTORS);
		CHECK_EQ(w.geometry.physical_size, 4096);
		CHECK_EQ(w.geometry.bus_top, i & 4 ? BIT(32) : 0);
		CHECK_EQ(w.geometry.tags, i & 4 ? 8 : queue ? 32 >> (i & 2) : 32);
		CHECK_EQ(w.geometry.features, BLOCK_CAN_FLUSH | BLOCK_CAN_FUA | BLOCK_CAN_DISCARD);
		work(300, false);
		for (u32 c = 0; c < w.clients; c++)
			CHECK(w.client[c].answers > 100);
		CHECK(queue ? fake_ahci.queued > 200 : fake_ahci.plain > 100);
		CHECK_EQ(queue ? fake_ahci.plain : fake_ahci.queued, 0);
	}
}

TEST(ahci_clients_come_and_go)
{
	for (u32 i = 0; i < 2; i++) {
		fake_ahci_init(i ? 32 : 0);
		CHECK(start(FAKE_CLIENTS));
		work(2000, true);
	}
}

/* What the HBA writes over its list of commands costs those under way, and no other. */
TEST(ahci_list_is_written_over)
{
	fake_ahci_init(32);
	CHECK(start(1));
	memset(fake_memory(FAKE_DMA_BUS, AHCI_SLOTS_MAX * sizeof(struct ahci_header)), 0xff,
		AHCI_SLOTS_MAX * sizeof(struct ahci_header));
	work(100, false);
	CHECK(w.client[0].answers > 100);
}

TEST(ahci_interrupts)
{
	for (u32 depth = 0; depth <= 32; depth += 32) {
		fake_ahci_init(depth);
		CHECK(start(1));
		interrupts(500);
	}
}

static enum block_status ask(u8 op, u8 flags, u64 sector, u32 sectors)
{
	struct disk_request r = {.op = op,
		.flags = flags,
		.pieces = op == BLOCK_WRITE || op == BLOCK_READ,
		.sector = sector,
		.sectors = sectors,
		.piece = {{.bus = fake_session_bus(0), .length = sectors * 512}}};

	disk_server_own(&w.server, &r, 1);
	ahci_driver.kick();
	CHECK(fake_ahci_step(FAKE_AHCI_GOOD));
	CHECK(ahci_driver.poll(&w.server, 0));
	return w.server.own;
}

/* The longest requests, writes through the cache, and ranges that are many. */
TEST(ahci_requests)
{
	for (u32 depth = 0; depth <= 32; depth += 32) {
		u8 *data = fake_session(0) + BLOCK_DATA;

		fake_ahci_init(depth);
		CHECK(start(1));
		for (u32 i = 0; i < FAKE_AHCI_SECTORS * 512; i++)
			data[i] = (u8)random();
		CHECK_EQ(ask(BLOCK_WRITE, BLOCK_FUA, 0, 2048), BLOCK_OK);
		CHECK_EQ(fake_ahci.fua, 1);
		CHECK(memcmp(fake_ahci.medium, data, 2048 * 512) == 0);
		CHECK_EQ(ask(BLOCK_WRITE, 0, 1, 2047), BLOCK_OK);
		CHECK_EQ(fake_ahci.fua, 1);
		memset(data, 0, 512);
		CHECK_EQ(ask(BLOCK_READ, 0, 1, 1), BLOCK_OK);
		CHECK(memcmp(fake_ahci.medium + 512, data, 512) == 0);
		CHECK_EQ(ask(BLOCK_DISCARD, 0, 7, 2000), BLOCK_OK);
		for (u32 i = 0; i < 2048; i++)
			CHECK_EQ(fake_ahci.medium[i * 512ull + 3] == 0x99 &&
					 fake_ahci.medium[i * 512ull + 9] == 0x99,
				i >= 7 && i < 2007);
		CHECK_EQ(ask(BLOCK_FLUSH, 0, 0, 0), BLOCK_OK);
		CHECK_EQ(fake_ahci.rules, 0);
	}
}

static void refused_anew(const char *line)
{
	refused(line);
	fake_ahci_init(32);
}

TEST(ahci_refused)
{
	struct disk_geometry g = {.unit = FAKE_AHCI_PORT};

	fake_ahci_init(32);
	fake_ahci.absent = true;
	refused_anew("no disk on any of its ports (0x7)");
	fake_ahci.stuck = true;
	refused_anew("no disk on any");
	fake_ahci.never_reset = true;
	refused_anew("does not come out of its reset");
	fake_ahci.mute = true;
	refused_anew("does not identify itself");
	fake_ahci.cap = ~0u;
	refused_anew("nothing answers");
	fake_device.bar = 0;
	refused_anew("not the registers");
	fake_ahci.id[83] = 0x7000;
	fake_ahci.id[60] = 2048;
	refused_anew("48-bit addresses");
	fake_ahci.id[49] = 0x100;
	refused_anew("not both DMA and LBA");
	fake_device_memory(&w.device);
	CHECK(ahci_driver.open(&w.device, &g));
	fake_ahci_init(32);
	fake_device_memory(&w.device);
	g.unit = 0; /* a packet device */
	CHECK(!ahci_driver.open(&w.device, &g));
	CHECK(strstr(fake_device.last, "no disk on port 0"));
}

/* Sectors of 4096 bytes. */
TEST(ahci_large_sectors)
{
	fake_ahci_init(32);
	fake_ahci.id[106] = 0x5000;
	fake_ahci.id[117] = 2048;
	CHECK(start(1));
	CHECK_EQ(w.geometry.block_size, 4096);
	CHECK_EQ(w.geometry.sectors, FAKE_AHCI_SECTORS * 8);
	fake_ahci.id[117] = 1024 + 1;
	CHECK(!start(1));
}

/* What fails alone is told of to its client; a queue that fails loses nothing, nor does what was
 * lost on the way. */
TEST(ahci_errors)
{
	for (u32 i = 0; i < 2 * (FAKE_AHCI_ACTS - 1); i++) {
		enum fake_ahci_act act = FAKE_AHCI_ERROR + i / 2;
		bool queue = i & 1;
		bool resets = act == FAKE_AHCI_LINK || act == FAKE_AHCI_BUS ||
			      act == FAKE_AHCI_CHANGE || act == FAKE_AHCI_SILENT;

		fake_ahci_init(queue ? 32 : 0);
		CHECK(start(1));
		w.tolerant = true;
		for (u32 k = 0; k < 1000 && fake_ahci.queued + fake_ahci.plain < 20; k++) {
			disk_work_client(&w, 0, true);
			disk_work_turn(&w);
			fake_ahci_step(FAKE_AHCI_GOOD);
		}
		settle();
		do {
			settle();
			ask_much();
		} while (!fake_ahci_step(act));
		if (act == FAKE_AHCI_SILENT) { /* run.c finds out by the time */
			CHECK(ahci_driver.reset());
			disk_server_again(&w.server, w.now);
			ahci_driver.kick();
			w.resets++;
		}
		disk_work_turn(&w);
		CHECK_EQ(w.resets, resets);
		CHECK_EQ(fake_ahci.hba_resets, 1 + resets);
		settle();
		if (resets)
			CHECK_EQ(w.client[0].errors, 0);
		CHECK(w.client[0].errors <= 1);
		if (!queue && !resets && act != FAKE_AHCI_IDLE)
			CHECK_EQ(w.client[0].errors, 1);
		CHECK_EQ(w.wrong + w.stray, 0);
		w.resets = 0;
		work(20, false);
	}
}

/* Ends the queue with an error; what was alone and failed before that does not count. */
static void queue_fails(void)
{
	u32 resets = fake_ahci.port_resets;

	while (fake_ahci.port_resets == resets) {
		settle();
		ask_much();
		CHECK(fake_ahci_step(FAKE_AHCI_ERROR));
		w.client[0].errors = 0;
		disk_work_turn(&w);
	}
	CHECK_EQ(fake_ahci.port_resets, resets + 1);
}

/* One bad sector in a queue: its command fails, and no other. A disk whose queue fails too often is
 * used without. */
TEST(ahci_queue_with_an_error)
{
	u32 queued;

	fake_ahci_init(32);
	CHECK(start(1));
	w.tolerant = true;
	for (u32 i = 0; i < 8; i++) {
		queue_fails();
		disk_work_client(&w, 0, false);
		CHECK_EQ(w.client[0].errors, 0);
		CHECK(fake_ahci_step(FAKE_AHCI_ERROR)); /* again, alone */
		disk_work_turn(&w);
		disk_work_client(&w, 0, false);
		CHECK_EQ(w.client[0].errors, 1);
		settle();
		CHECK_EQ(w.client[0].errors, 1);
	}
	queued = fake_ahci.queued;
	work(20, false);
	CHECK_EQ(fake_ahci.queued, queued);
}

TEST(ahci_stays_broken)
{
	for (u32 i = 0; i < 3; i++) {
		fake_ahci_init(32);
		CHECK(start(1));
		ask_much();
		fake_ahci.never_stops = i == 0;
		fake_ahci.absent = i == 1;
		fake_ahci.never_reset = i == 0;
		if (i == 2)
			fake_ahci.id[10]++; /* it comes back as another */
		fake_ahci_step(FAKE_AHCI_CHANGE);
		disk_work_turn(&w);
		CHECK(w.dead);
		CHECK_EQ(w.resets, 1);
		CHECK(strstr(fake_device.last, i == 0   ? "out of its reset"
					       : i == 1 ? "no disk on port 2"
							: "another"));
	}
}
