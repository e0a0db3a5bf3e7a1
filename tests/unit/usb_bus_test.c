/*
 * Tests of what is behind a USB host controller, on a model of it: keyboards and their reports,
 * hubs behind hubs, plugging and pulling, a disk beside, and devices that do not keep the rules.
 */
#include <stdlib.h>

#include "drivers/xhci/descriptor.h"
#include "drivers/xhci/report.h"
#include "drivers/xhci/xhci.h"
#include "tests/unit/disk_work.h"
#include "tests/unit/fake_loop.h"
#include "tests/unit/fake_usb.h"
#include "tests/unit/test.h"

#define FULL  1u
#define LOW   2u
#define HIGH  3u
#define SUPER 4u

#define SECOND 1000000ull

static struct work w;

void check_failed(const char *at, int line, const char *what)
{
	test_fail(at, line, "%s", what);
	abort();
}

static void meanwhile(void)
{
	fake_xhci_step(FAKE_XHCI_GOOD);
}

/* A controller with nothing plugged in. */
static void begin(void)
{
	fake_xhci_init(FULL);
	fake_usb_pull(FAKE_USB_STICK);
	fake_usb_pull(FAKE_USB_OTHER);
	memset(&fake_loop, 0, sizeof(fake_loop));
	fake_loop.keyboard = true;
	fake_device.idle = meanwhile;
}

static struct device device;

static bool open_keyboards(void)
{
	fake_device_memory(&device);
	return xhci_keyboards_open(&device);
}

static void run(u64 us)
{
	u64 end = fake_device.waited + us;

	while (fake_device.waited < end)
		CHECK(xhci_keyboards_turn());
}

static void press(u32 keyboard, u8 key)
{
	fake_usb_report(keyboard, 0, key, 0);
	fake_usb_report(keyboard, 0, 0, 0);
}

static void clean(void)
{
	CHECK_EQ(fake_xhci.rules, 0);
	CHECK_EQ(fake_device.wild, 0);
}

/* --- reports --- */

static char told[200];

static void tell(u8 usage, bool pressed)
{
	size_t at = strlen(told);

	snprintf(told + at, sizeof(told) - at, "%c%02x ", pressed ? '+' : '-', usage);
}

static const char *take(struct report_keys *k, u64 now, u8 modifiers, u8 a, u8 b, u8 c)
{
	u8 report[REPORT_BYTES] = {modifiers, 0, a, b, c};

	told[0] = 0;
	report_take(k, report, now, tell);
	return told;
}

static const char *repeats(struct report_keys *k, u64 now)
{
	told[0] = 0;
	report_repeat(k, now, tell);
	return told;
}

TEST(reports)
{
	struct report_keys k = {0};

	CHECK_STR(take(&k, 0, 0, 4, 0, 0), "+04 ");
	CHECK_STR(take(&k, 0, 0, 4, 5, 0), "+05 ");
	CHECK_STR(take(&k, 0, 0, 5, 4, 0), ""); /* their order says nothing */
	CHECK_STR(take(&k, 0, 2, 5, 0, 0), "+e1 -04 ");
	CHECK_STR(take(&k, 0, 0x20, 6, 6, 0xe1), "-e1 +e5 -05 +06 ");
	CHECK_STR(take(&k, 0, 0, 1, 1, 1), "-e5 "); /* too many keys */
	CHECK_STR(take(&k, 0, 0, 7, 2, 0), "");
	CHECK_STR(take(&k, 0, 1, 0, 0, 6), "+e0 ");
	told[0] = 0;
	report_end(&k, tell);
	CHECK_STR(told, "-e0 -06 ");
}

TEST(repeats)
{
	struct report_keys k = {0};

	CHECK_STR(take(&k, 0, 0, 4, 0, 0), "+04 ");
	CHECK_STR(repeats(&k, 499999), "");
	CHECK_STR(repeats(&k, 500000), "+04 ");
	CHECK_STR(repeats(&k, 533000), "");
	CHECK_STR(repeats(&k, 533333), "+04 ");
	CHECK_STR(repeats(&k, 900000), "+04 "); /* what was missed is not made up for */
	CHECK_STR(repeats(&k, 900000), "");
	CHECK_STR(take(&k, 900000, 2, 4, 0, 0), "+e1 ");
	CHECK_STR(repeats(&k, 940000), "+04 ");
	CHECK_STR(take(&k, 950000, 2, 4, 5, 0), "+05 "); /* the last one does */
	CHECK_STR(repeats(&k, 1000000), "");
	CHECK_STR(repeats(&k, 1450000), "+05 ");
	CHECK_STR(take(&k, 1450000, 2, 4, 0, 0), "-05 ");
	CHECK_STR(repeats(&k, 3000000), "");
}

/* --- keyboards --- */

TEST(keyboard)
{
	u32 k;

	begin();
	k = fake_usb_plug(FAKE_KEYBOARD, 0, 2, LOW);
	CHECK(open_keyboards());
	run(SECOND);
	CHECK_EQ(fake_usb[k].protocol, 0);
	CHECK_EQ(fake_usb[k].idle, 0);
	CHECK_EQ(fake_usb[k].leds, KEYBOARD_NUM_LOCK);
	press(k, 0x0b);
	fake_usb_report(k, 2, 0, 0);
	press(k, 0x0c);
	run(SECOND / 10);
	CHECK_STR(fake_loop.typed, "hi");
	press(k, 0x39); /* Caps Lock, held */
	fake_usb_report(k, 0, 0x39, 0);
	run(2 * SECOND);
	CHECK_EQ(fake_usb[k].leds, KEYBOARD_NUM_LOCK);
	fake_usb_report(k, 0, 0, 0);
	press(k, 0x39);
	press(k, 0x0b);
	run(SECOND / 10);
	CHECK_STR(fake_loop.typed, "hiH");
	CHECK_EQ(fake_usb[k].leds, KEYBOARD_NUM_LOCK | KEYBOARD_CAPS_LOCK);
	fake_usb_report(k, 0, 0x04, 0); /* repeats until it is pulled out */
	run(SECOND);
	fake_usb_pull(k);
	run(2 * SECOND);
	CHECK(fake_loop.size > 14 && fake_loop.size < 22);
	k = fake_usb_plug(FAKE_KEYBOARD, 0, 4, FULL);
	run(2 * SECOND);
	fake_loop.size = 0;
	press(k, 0x05);
	run(SECOND / 10);
	CHECK_STR(fake_loop.typed, "B");
	clean();
}

/* One that refuses its LEDs, or stalls, still types; one that has no boot protocol is not used. */
TEST(keyboard_fails)
{
	u32 k;

	begin();
	k = fake_usb_plug(FAKE_KEYBOARD, 0, 2, FULL);
	CHECK(open_keyboards());
	run(SECOND);
	fake_usb[k].stalls = 1;
	press(k, 0x39);
	run(SECOND / 2);
	press(k, 0x04);
	run(SECOND / 10);
	CHECK_STR(fake_loop.typed, "A");
	fake_usb[k].halted = true;
	run(SECOND / 2);
	CHECK(!fake_usb[k].halted);
	press(k, 0x05);
	run(SECOND / 10);
	CHECK_STR(fake_loop.typed, "AB");
	clean();
}

/* --- hubs --- */

TEST(hubs)
{
	u32 hub = 0;
	u32 deep;
	u32 k[7];

	begin();
	for (u32 i = 0; i < 6; i++) {
		hub = fake_usb_plug(FAKE_HUB, hub, i ? 3 : 2, i < 2 ? HIGH : FULL);
		k[i] = fake_usb_plug(FAKE_KEYBOARD, hub, 1 + i % 2, i == 1 ? LOW : FULL);
	}
	deep = hub;
	CHECK(open_keyboards());
	run(20 * SECOND);
	for (u32 i = 0; i < 6; i++)
		press(k[i], (u8)(4 + i));
	run(SECOND);
	CHECK_STR(fake_loop.typed, "abcde"); /* a sixth hub is too deep */
	CHECK(!fake_usb[deep].told);
	clean();
	/* the third is pulled out, with what is behind it, and put in elsewhere */
	fake_usb_pull(fake_usb[k[2]].parent);
	run(SECOND);
	CHECK(strstr(fake_device.last, "port 2.3.3: pulled out"));
	k[2] = fake_usb_plug(FAKE_KEYBOARD, fake_usb[k[0]].parent, 4, LOW);
	run(3 * SECOND);
	fake_loop.size = 0;
	for (u32 i = 0; i < 3; i++)
		press(k[i], (u8)(4 + i));
	run(SECOND);
	CHECK_STR(fake_loop.typed, "abc");
	clean();
}

TEST(super_hub)
{
	u32 hub;
	u32 stick;

	begin();
	hub = fake_usb_plug(FAKE_HUB, 0, 3, SUPER);
	stick = fake_usb_plug(FAKE_HUB, hub, 2, SUPER);
	CHECK(open_keyboards());
	run(3 * SECOND);
	CHECK(fake_usb[hub].told && fake_usb[hub].deep && fake_usb[stick].told);
	clean();
}

/* Keys and the disk at once, both behind a hub, while another keyboard comes and goes. */
TEST(disk_and_keyboard)
{
	u32 hub;
	u32 k;
	u32 other = 0;

	begin();
	hub = fake_usb_plug(FAKE_STICK, 3, 2, FULL); /* is FAKE_USB_STICK; its hub follows */
	CHECK_EQ(hub, FAKE_USB_STICK);
	CHECK_EQ(fake_usb_plug(FAKE_OTHER, 0, 1, HIGH), FAKE_USB_OTHER);
	hub = fake_usb_plug(FAKE_HUB, 0, 3, FULL);
	CHECK_EQ(hub, 3);
	k = fake_usb_plug(FAKE_KEYBOARD, hub, 1, FULL);
	CHECK(disk_work_start(&w, &xhci_driver, FAKE_CLIENTS));
	for (u32 i = 0; i < 400; i++) {
		for (u32 c = 0; c < w.clients; c++)
			disk_work_client(&w, c, true);
		for (u32 n = 0; n < 20; n++) {
			disk_work_turn(&w);
			fake_xhci_step(FAKE_XHCI_GOOD);
			fake_device.waited += 1000;
		}
		if (i % 50 == 10)
			press(k, 4);
		if (i % 100 == 20)
			other = fake_usb_plug(FAKE_KEYBOARD, hub, 4, LOW);
		if (i % 100 == 90)
			fake_usb_pull(other);
	}
	for (u32 i = 0; i < 4000 && disk_work_open(&w) > 0; i++) {
		disk_work_turn(&w);
		for (u32 c = 0; c < w.clients; c++)
			disk_work_client(&w, c, false);
		fake_xhci_step(FAKE_XHCI_GOOD);
	}
	CHECK_EQ(disk_work_open(&w), 0);
	disk_work_compare(&w, fake_xhci.medium);
	CHECK_EQ(w.wrong + w.stray + w.resets, 0);
	CHECK_STR(fake_loop.typed, "aaaaaaaa");
	clean();
	/* the keyboard works on while the disk is away, and while it is set up anew */
	fake_usb_pull(FAKE_USB_STICK);
	press(k, 5);
	disk_work_turn(&w);
	CHECK(fake_device.waited);
	clean();
}

/* --- who does not keep the rules --- */

/* A device that answers nothing, or refuses one request after another, costs its neighbours
 * little. */
TEST(mute)
{
	u32 k;
	u64 before;
	u32 mute;

	for (u32 stalls = 0; stalls < 8; stalls++) {
		begin();
		k = fake_usb_plug(FAKE_KEYBOARD, 0, 2, FULL);
		mute = fake_usb_plug(FAKE_HUB, 0, 1, HIGH);
		fake_usb_plug(FAKE_KEYBOARD, mute, 1, FULL);
		fake_usb[mute].mute = stalls == 0;
		fake_usb[mute].stalls = stalls;
		CHECK(open_keyboards());
		run(3 * SECOND);
		before = fake_loop.size;
		for (u32 i = 0; i < 40; i++) {
			press(k, 4);
			run(SECOND / 10);
			CHECK(fake_loop.size > before + i);
		}
		CHECK_EQ(fake_usb[mute].told, stalls > 0 && stalls < 5);
		clean();
	}
}

/* Hubs that fall silent together: no turn takes long, and none is left out. */
TEST(silent_hubs)
{
	u32 hub[3];
	u32 k;

	begin();
	for (u32 i = 0; i < 3; i++) {
		hub[i] = fake_usb_plug(FAKE_HUB, 0, 1 + i, HIGH);
		fake_usb_plug(FAKE_KEYBOARD, hub[i], 1, LOW);
	}
	k = fake_usb_plug(FAKE_KEYBOARD, 0, 4, FULL);
	CHECK(open_keyboards());
	run(5 * SECOND);
	CHECK(fake_usb[hub[2]].told);
	for (u32 i = 0; i < 3; i++)
		fake_usb_pull(fake_usb_at(hub[i], 1));
	fake_xhci_step(FAKE_XHCI_GOOD);
	for (u32 i = 0; i < 3; i++)
		fake_usb[hub[i]].mute = true;
	for (u32 i = 0; i < 30; i++) {
		u64 before = fake_device.waited;

		press(k, 4);
		CHECK(xhci_keyboards_turn());
		CHECK(fake_device.waited - before < 9 * SECOND);
	}
	run(SECOND / 10);
	CHECK_EQ(fake_loop.size, 30);
	for (u32 i = 0; i < 3; i++)
		fake_usb[hub[i]].mute = false;
	fake_usb_pull(hub[1]);
	fake_usb_plug(FAKE_KEYBOARD, 0, 2, FULL);
	run(60 * SECOND);
	CHECK(strstr(fake_device.last, "port 2: a keyboard"));
	clean();
}

/* Ports that are plugged and pulled all the time. */
TEST(restless)
{
	u32 k;
	u32 hub;
	u32 logs = 0;

	begin();
	k = fake_usb_plug(FAKE_KEYBOARD, 0, 2, FULL);
	hub = fake_usb_plug(FAKE_HUB, 0, 1, HIGH);
	CHECK(open_keyboards());
	run(3 * SECOND);
	for (u32 i = 0; i < 600; i++) {
		u32 bad = fake_usb_plug(FAKE_KEYBOARD, hub, 2, LOW);

		run(SECOND / 4);
		fake_usb_pull(bad);
		run(SECOND / 20);
		if (i == 20)
			logs = fake_device.logs;
	}
	CHECK_EQ(fake_device.logs, logs); /* it is given up soon */
	press(k, 4);
	run(SECOND / 10);
	CHECK_STR(fake_loop.typed, "a");
	fake_usb_plug(FAKE_KEYBOARD, hub, 2, LOW);
	run(60 * SECOND);
	CHECK(fake_device.logs > logs);
	clean();
}

/* More devices than there is room for. */
TEST(many)
{
	u32 hub;
	u32 k[14];

	begin();
	hub = fake_usb_plug(FAKE_HUB, 0, 1, HIGH);
	fake_usb[hub].ports = 15;
	for (u32 i = 0; i < 14; i++)
		k[i] = fake_usb_plug(FAKE_KEYBOARD, hub, i + 1, LOW);
	for (u32 i = 2; i < 5; i++)
		fake_usb_plug(FAKE_KEYBOARD, 0, i, LOW);
	CHECK(open_keyboards());
	run(20 * SECOND);
	CHECK(strstr(fake_device.last, "more than 16 devices"));
	for (u32 i = 0; i < 12; i++)
		press(k[i], 4);
	run(SECOND);
	CHECK_STR(fake_loop.typed, "aaaaaaaaaaaa");
	clean();
}

/* The controller fails: keyboards come back with it. */
TEST(controller_fails)
{
	u32 k;

	begin();
	k = fake_usb_plug(FAKE_KEYBOARD, 0, 2, FULL);
	CHECK(open_keyboards());
	run(SECOND);
	fake_usb_report(k, 2, 0, 0);
	run(SECOND / 10);
	fake_xhci_step(FAKE_XHCI_FATAL);
	run(2 * SECOND);
	press(k, 4);
	run(SECOND / 10);
	CHECK_STR(fake_loop.typed, "a"); /* not with Shift */
	for (u32 i = 0; i < 3; i++) {
		fake_xhci_step(FAKE_XHCI_FATAL);
		for (u32 n = 0; n < 10 && i < 2; n++)
			CHECK(xhci_keyboards_turn());
	}
	CHECK(!xhci_keyboards_turn());
	clean();
}

/* --- descriptors --- */

TEST(descriptors)
{
	u8 hub[USB_HUB_BYTES] = {9, 0x29, 4, 0x60, 0, 50};
	struct usb_hub_facts f;
	struct usb_interface i;
	const u8 *config;
	u32 size;

	CHECK(usb_hub_read(hub, false, &f));
	CHECK_EQ(f.ports, 4);
	CHECK_EQ(f.think, 3);
	CHECK_EQ(f.power_us, 100000);
	CHECK(!usb_hub_read(hub, true, &f));
	hub[2] = 255;
	hub[5] = 0;
	CHECK(usb_hub_read(hub, false, &f));
	CHECK_EQ(f.ports, USB_HUB_PORTS);
	CHECK_EQ(f.power_us, 20000);
	hub[2] = 0;
	CHECK(!usb_hub_read(hub, false, &f));

	begin();
	config = fake_usb[fake_usb_plug(FAKE_KEYBOARD, 0, 1, FULL)].config;
	size = config[2];
	CHECK(usb_find(config, size, USB_KEYBOARD, XHCI_LOW, &i));
	CHECK_EQ(i.in.interval, 6); /* 10 ms: 8 at least */
	CHECK(usb_find(config, size, USB_KEYBOARD, XHCI_SUPER, &i));
	CHECK_EQ(i.in.interval, 8); /* 64 ms, but 32 at most */
	CHECK(!usb_find(config, size, USB_HUB, XHCI_FULL, &i));
	for (u32 n = 0; n < size * 256 * 3; n++) {
		u32 at = n / 256 % size;
		u8 *copy = malloc(size);

		memcpy(copy, config, size);
		copy[at] = (u8)n;
		if (usb_find(copy, size, USB_KEYBOARD, (enum xhci_speed)(2 + n / 256 / size), &i)) {
			CHECK(i.in.address & 0x80 && i.in.address & 0xf && i.configuration);
			CHECK(i.in.packet > 0 && i.in.packet <= 64);
			CHECK(i.in.interval >= 3 && i.in.interval <= 8);
		}
		free(copy);
	}
}
