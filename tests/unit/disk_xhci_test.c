/*
 * Tests of the driver of USB disks against a model of the controller and a stick: speeds, hostile
 * descriptors, clients that come and go, and what goes wrong at each layer.
 */
#include "drivers/xhci/descriptor.h"
#include "drivers/xhci/ring.h"
#include "drivers/xhci/xhci.h"
#include "tests/unit/disk_test.h"
#include "tests/unit/fake_loop.h"
#include "tests/unit/fake_usb.h"

static bool step(void)
{
	return fake_xhci_step(FAKE_XHCI_GOOD);
}

/* While the driver waits, the stick works. */
static void meanwhile(void)
{
	step();
}

static const struct disk_model model = {
	.driver = &xhci_driver,
	.step = step,
	.medium = fake_xhci.medium,
	.rules = &fake_xhci.rules,
	.idle = meanwhile,
};

TEST(xhci_works)
{
	static const u32 speeds[] = {4, 3, 1};

	for (u32 i = 0; i < 6; i++) {
		fake_xhci_init(speeds[i / 2]);
		fake_xhci.wide_contexts = i & 1;
		fake_xhci.attentions = 2; /* it tells of its reset */
		fake_xhci.no_cache = i & 1;
		CHECK(start(FAKE_CLIENTS));
		CHECK_EQ(fake_xhci.resets, 1);
		CHECK_EQ(w.geometry.unit, FAKE_XHCI_PORT);
		CHECK_EQ(w.geometry.sectors, FAKE_XHCI_SECTORS);
		CHECK_EQ(w.geometry.block_size, 512);
		CHECK_EQ(w.geometry.features, BLOCK_CAN_FLUSH);
		work_alone(300, false, 20);
		for (u32 c = 0; c < w.clients; c++)
			CHECK(w.client[c].answers > 100);
		CHECK(i & 1 ? fake_xhci.flushes == 1 : fake_xhci.flushes > 10);
	}
}

TEST(xhci_clients_come_and_go)
{
	fake_xhci_init(4);
	CHECK(start(FAKE_CLIENTS));
	work_alone(1000, true, 20);
}

TEST(xhci_interrupts)
{
	fake_xhci_init(3);
	CHECK(start(1));
	interrupts(300);
}

TEST(xhci_disks)
{
	fake_xhci_init(4);
	fake_xhci.block_size = 4096;
	fake_xhci.protected = true;
	CHECK(start(1));
	CHECK_EQ(w.geometry.sectors, FAKE_XHCI_SECTORS * 8);
	CHECK(w.geometry.features & BLOCK_READ_ONLY);
	fake_xhci_init(4);
	fake_xhci.blocks = 1ull << 33;
	CHECK(start(1));
	CHECK_EQ(w.geometry.sectors, 1ull << 33);
}

static u64 comes; /* when the stick is put in */

static void come(void)
{
	if (fake_device.waited > comes && fake_usb[FAKE_USB_STICK].kind == FAKE_NONE)
		fake_usb_plug(FAKE_STICK, 0, FAKE_XHCI_PORT, 3);
	meanwhile();
}

/* A stick that is put in later. */
TEST(xhci_waits_for_a_stick)
{
	fake_xhci_init(3);
	fake_usb_pull(FAKE_USB_STICK);
	comes = 5000000;
	fake_device.idle = come;
	CHECK(disk_work_start(&w, &xhci_driver, 1));
	CHECK(fake_device.waited > 5000000 && fake_device.waited < 6000000);
	work_alone(50, false, 20);
}

TEST(xhci_refused)
{
	fake_xhci_init(4);
	fake_xhci.never_reset = true;
	refused("does not come out of its reset");
	fake_xhci_init(4);
	fake_device.bar = 1;
	refused("not the registers");
}

/* What the stick says has failed is told of; what the transport loses is sent again, in each stage
 * of a command. */
TEST(xhci_errors)
{
	u64 resets[FAKE_XHCI_ACTS] = {0};
	u64 errors[FAKE_XHCI_ACTS] = {0};

	for (u32 i = 0; i < 8 * (FAKE_XHCI_ACTS - 1); i++) {
		enum fake_xhci_act act = FAKE_XHCI_FAIL + i / 8;
		u32 stages = i % 4;
		bool again;

		fake_xhci_init(4);
		CHECK(start(1));
		w.tolerant = true;
		ask_much();
		for (u32 k = 0; k < stages; k++) {
			CHECK(fake_xhci_step(FAKE_XHCI_GOOD));
			disk_work_turn(&w);
		}
		if (!fake_xhci_step(act))
			continue;
		again = act == FAKE_XHCI_SILENT; /* run.c finds out by the time */
		if (again) {
			CHECK(xhci_driver.reset());
			disk_server_again(&w.server, w.now);
		}
		for (u32 k = 0; k < 6; k++) {
			disk_work_turn(&w);
			fake_xhci_step(FAKE_XHCI_GOOD);
		}
		CHECK(!w.dead);
		CHECK(w.resets <= 1);
		if (act == FAKE_XHCI_UNPLUG || act == FAKE_XHCI_FATAL)
			CHECK_EQ(w.resets, 1);
		if (act == FAKE_XHCI_STRAY || act == FAKE_XHCI_FAIL || act == FAKE_XHCI_ATTENTION)
			CHECK_EQ(w.resets, 0);
		if (act == FAKE_XHCI_ERROR)
			CHECK_EQ(fake_xhci.recoveries, 1);
		CHECK_EQ(fake_xhci.resets, act == FAKE_XHCI_FATAL ? 2 : 1);
		settle();
		CHECK(w.client[0].errors <= 1);
		errors[act] += w.client[0].errors;
		resets[act] += w.resets;
		CHECK_EQ(w.wrong + w.stray, 0);
		CHECK_EQ(fake_device.wild, 0);
		CHECK_EQ(fake_xhci.rules, 0);
		w.resets = 0;
		work_alone(20, false, 20);
	}
	for (u32 act = FAKE_XHCI_FAIL; act < FAKE_XHCI_ACTS; act++) {
		bool tells = act == FAKE_XHCI_FAIL || act == FAKE_XHCI_SHORT ||
			     act == FAKE_XHCI_RESIDUE || act == FAKE_XHCI_STALL;
		bool breaks = act == FAKE_XHCI_ERROR || act == FAKE_XHCI_BAD_STATUS ||
			      act == FAKE_XHCI_UNPLUG || act == FAKE_XHCI_FATAL;

		if ((errors[act] > 0) != tells)
			test_fail(__FILE__, __LINE__, "act %u: %lu errors", act, errors[act]);
		CHECK(resets[act] > 0 || !breaks);
	}
}

/* What does not help is followed by what is stronger; another stick is not taken for the same. */
TEST(xhci_stays_broken)
{
	static const char *const line[] = {"", "no disk", "out of its reset", "another"};

	for (u32 i = 0; i < 4; i++) {
		fake_xhci_init(3);
		CHECK(start(1));
		ask_much();
		fake_xhci.crooked_recovery = true;
		fake_xhci.never_reset = i == 2;
		fake_xhci.blocks += i == 3;
		if (i == 1) {
			fake_usb_pull(FAKE_USB_STICK);
			comes = 40000000;
			fake_device.idle = come;
		} else {
			CHECK(fake_xhci_step(i == 2 ? FAKE_XHCI_FATAL : FAKE_XHCI_ERROR));
		}
		disk_work_turn(&w);
		CHECK_EQ(w.dead, i > 0);
		CHECK_EQ(fake_xhci.resets, i == 2 ? 2 : 1);
		if (!strstr(fake_device.last, line[i]))
			test_fail(__FILE__, __LINE__, "\"%s\"", fake_device.last);
		/* the next program is not started too often, whatever is plugged in */
		CHECK(i != 1 ||
			(fake_device.waited > comes && fake_device.waited < comes + 1000000));
		CHECK(i != 3 || fake_device.waited >= 15000000);
	}
}

/* Every cut and every changed byte of a configuration: no read beyond it, and nothing else than
 * bulk endpoints is taken. */
TEST(xhci_descriptors)
{
	struct usb_interface s;
	u8 good[64];
	u32 size;

	fake_xhci_init(4);
	size = fake_xhci.config_size;
	memcpy(good, fake_xhci.config, sizeof(good));
	CHECK(usb_find(good, size, USB_STORAGE, XHCI_SUPER, &s));
	CHECK_EQ(s.in.address, 0x81);
	CHECK_EQ(s.in.burst, 3);
	CHECK_EQ(s.out.address, 2);
	CHECK_EQ(s.out.burst, 15);
	CHECK_EQ(s.out.packet, 1024);
	CHECK(!usb_find(good, size, USB_STORAGE, XHCI_HIGH, &s)); /* packets of another speed */
	CHECK(!usb_find(good, size, USB_KEYBOARD, XHCI_SUPER, &s));
	for (u32 cut = 0; cut < size; cut++) {
		u8 *copy = malloc(cut + 1);

		memcpy(copy, good, cut);
		CHECK_EQ(usb_find(copy, cut, USB_STORAGE, XHCI_SUPER, &s), cut >= 38);
		free(copy);
	}
	for (u32 i = 0; i < size * 256; i++) {
		u8 *copy = malloc(size);

		memcpy(copy, good, size);
		copy[i / 256] = (u8)i;
		if (usb_find(copy, size, USB_STORAGE, XHCI_SUPER, &s)) {
			CHECK(s.in.address & 0x80 && s.in.address & 0xf);
			CHECK(s.out.address > 0 && s.out.address < 16);
			CHECK(s.in.packet == 1024 && s.out.packet == 1024);
			CHECK(s.in.burst < 16 && s.out.burst < 16 && s.configuration);
		}
		free(copy);
	}
}

/* A transfer over the end of its ring: the link belongs to it, and its first TRB comes last. */
TEST(xhci_ring)
{
	static struct xhci_trb trb[XHCI_RING_SIZE];
	struct xhci_ring r = {.trb = trb, .bus = 0x1000};

	xhci_ring_init(&r);
	for (u32 i = 0; i < 5 * XHCI_RING_SIZE; i++) {
		u32 at = r.at;
		u32 cycle = r.cycle;

		CHECK_EQ(xhci_ring_put(&r, i, 0, XHCI_TRB_CHAIN), 0x1000 + 16 * at);
		CHECK((trb[at].control & XHCI_TRB_CYCLE) != cycle);
		xhci_ring_put(&r, i, 0, 0);
		CHECK((trb[at].control & XHCI_TRB_CYCLE) != cycle);
		xhci_ring_give(&r);
		CHECK_EQ(trb[at].control, XHCI_TRB_CHAIN | cycle);
		if (at == XHCI_RING_SIZE - 2)
			CHECK(trb[XHCI_RING_SIZE - 1].control & XHCI_TRB_CHAIN);
	}
}
