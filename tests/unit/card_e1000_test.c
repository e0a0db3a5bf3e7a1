/*
 * Tests of the driver of Intel's gigabit Ethernet cards against a model of both: frames each way,
 * connections that come and go, reset, EEPROM and PHY, and a card that does what the manuals
 * forbid.
 */
#include "drivers/e1000/e1000.h"
#include "tests/unit/card_test.h"
#include "tests/unit/fake_e1000.h"

static void came_out(const u8 *frame, u32 bytes)
{
	card_work_out(&w, frame, bytes);
}

/* Both cards, each with messages and with its line. */
#define EACH_CARD(i)                                                                               \
	u32 i = 0;                                                                                 \
	i < 4;                                                                                     \
	i++

static void init(u32 i)
{
	fake_e1000_init(i & 1, i & 2 ? 5 : 0);
	fake_e1000.sent = came_out;
}

static bool transmit(void)
{
	return fake_e1000_transmit(FAKE_E1000_GOOD);
}

static bool receive(const u8 *frame, u32 bytes, u32 act)
{
	return fake_e1000_receive(frame, bytes, (enum fake_e1000_act)act);
}

static const struct card_model model = {transmit, receive, &fake_e1000.rules};

static bool start(void)
{
	return card_work_start(&w, &e1000_driver);
}

TEST(e1000_frames)
{
	for (EACH_CARD(i)) {
		init(i);
		CHECK(start());
		CHECK(memcmp(w.facts.mac, fake_e1000.mac, 6) == 0);
		connect();
		work(300, false);
		clean();
		CHECK_EQ(w.out, w.next_sent);
		CHECK_EQ(w.got, w.next_in - fake_e1000.dropped);
		CHECK(w.out > 2000 && w.got > 2000);
		CHECK_EQ(net_transmitting(&w.client), 0);
		CHECK_EQ(w.resets, 0);
	}
}

/* What an emulator leaves to the driver: reset and addresses. */
TEST(e1000_lazy_reset)
{
	init(0);
	fake_e1000.lazy = true;
	fake_e1000.keeps_address = true;
	CHECK(start());
	CHECK(memcmp(w.facts.mac, fake_e1000.mac, 6) == 0);
	connect();
	work(100, true);
	clean();
	CHECK(w.out > 100 && w.got > 100);
}

TEST(e1000_connections)
{
	for (EACH_CARD(i)) {
		init(i);
		CHECK(start());
		work(2000, true);
		clean();
		CHECK(fake_e1000.resets > 50);
		CHECK(w.out > 2000 && w.got > 2000);
	}
}

/* No interrupt is missed: the driver only works when one has come, or the client has asked. */
TEST(e1000_interrupts)
{
	for (EACH_CARD(i)) {
		init(i);
		CHECK(start());
		connect();
		card_work_client(&w);
		for (u32 k = 0; k < 500; k++) {
			CHECK(card_work_send(&w, some_size(), 1, false));
			card_work_turn(&w);
			CHECK_EQ(fake_device.interrupts, 0);
			CHECK(fake_e1000_transmit(FAKE_E1000_GOOD));
			CHECK(fake_device.interrupts != 0);
			card_work_turn(&w);
			CHECK_EQ(net_transmitting(&w.client), 0);
			CHECK(comes_in(some_size(), FAKE_E1000_GOOD));
			CHECK(fake_device.interrupts != 0);
			card_work_turn(&w);
			card_work_client(&w);
			CHECK_EQ(w.got, k + 1);
		}
		clean();
	}
}

/* The ring runs empty: frames are dropped, and the next come when there are buffers. */
TEST(e1000_no_buffers)
{
	for (EACH_CARD(i)) {
		init(i);
		CHECK(start());
		connect();
		for (u32 round = 0; round < 5; round++) {
			for (u32 k = 0; k < 400; k++)
				comes_in(some_size(), FAKE_E1000_GOOD);
			card_work_turn(&w);
			card_work_client(&w);
			card_work_turn(&w);
			CHECK_EQ(w.got, 255 * (round + 1));
		}
		clean();
	}
}

/* The client has no pieces at first: the receiver waits for them. */
TEST(e1000_late_buffers)
{
	init(0);
	CHECK(start());
	CHECK(!comes_in(100, FAKE_E1000_GOOD));
	card_work_turn(&w);
	CHECK(!comes_in(100, FAKE_E1000_GOOD));
	connect();
	CHECK(comes_in(100, FAKE_E1000_GOOD));
	clean();
}

/* A checksum that lies where the card does not reach: the frame is not sent, and its place comes
 * free in its turn. */
TEST(e1000_far_checksum)
{
	struct net_header header = {.flags = NET_NEEDS_CSUM, .csum_start = 250, .csum_offset = 6};
	struct net_piece piece = {.length = 12 + 400};
	bool signal;

	init(1);
	CHECK(start());
	connect();
	card_work_client(&w);
	CHECK(card_work_send(&w, 300, 1, true));
	memcpy(w.client.data + 2048, &header, sizeof(header));
	piece.offset = 2048;
	CHECK(net_send(&w.client, &piece, 1, &signal));
	CHECK(card_work_send(&w, 300, 1, true));
	card_work_turn(&w);
	CHECK_EQ(net_transmitting(&w.client), 3);
	CHECK(fake_e1000_transmit(FAKE_E1000_GOOD));
	card_work_turn(&w);
	CHECK_EQ(net_transmitting(&w.client), 1);
	CHECK(fake_e1000_transmit(FAKE_E1000_GOOD));
	CHECK(!fake_e1000_transmit(FAKE_E1000_GOOD));
	card_work_turn(&w);
	CHECK_EQ(net_transmitting(&w.client), 0);
	CHECK_EQ(w.out, 2);
	clean();
}

TEST(e1000_link)
{
	for (EACH_CARD(i)) {
		init(i);
		fake_e1000.link = false;
		CHECK(start());
		card_work_turn(&w);
		card_work_client(&w);
		card_work_turn(&w);
		card_work_client(&w);
		CHECK(!net_link_up(&w.client));
		fake_e1000_set_link(true);
		card_work_turn(&w);
		CHECK(net_link_up(&w.client));
		fake_e1000_set_link(false);
		card_work_turn(&w);
		CHECK(!net_link_up(&w.client));
		clean();
	}
}

/* A PHY that the firmware switched off; one that works is left alone. */
TEST(e1000_phy)
{
	for (EACH_CARD(i)) {
		init(i);
		CHECK(start());
		CHECK_EQ(fake_e1000.phy_control, 0x1140);
		init(i);
		fake_e1000.phy_control = 0x0d40; /* off and isolated, no negotiation */
		CHECK(start());
		CHECK_EQ(fake_e1000.phy_control, 0x1140);
		init(i);
		fake_e1000.mute_phy = true;
		CHECK(start());
		CHECK(strstr(fake_device.last, "PHY does not answer"));
		CHECK_EQ(fake_e1000.rules, 0);
	}
}

/* Refused with a line in the log. */
static void refused(const char *line)
{
	fake_device.last[0] = 0;
	CHECK(!start());
	if (!strstr(fake_device.last, line))
		test_fail(__FILE__, __LINE__, "\"%s\" is not \"%s\"", fake_device.last, line);
}

TEST(e1000_refused)
{
	init(0);
	fake_device.config[2] = 0x0f; /* an 82545EM */
	refused("pci8086,100f is no card");
	for (EACH_CARD(i)) {
		init(i);
		fake_e1000.never_reset = true;
		refused("does not become reset");
		init(i);
		fake_e1000.never_stops = true;
		fake_e1000.lazy = true;
		refused("does not stop");
		init(i);
		fake_e1000.keeps_address = true;
		fake_e1000.bad_sum = true;
		refused("checksum of its EEPROM");
		init(i);
		fake_e1000.keeps_address = true;
		fake_e1000.mute_eeprom = true;
		refused("cannot be read");
		init(i);
		fake_e1000.keeps_address = true;
		fake_e1000.mac[0] = 1; /* an address of many */
		refused("no address");
		init(i);
		fake_e1000.gone = true;
		refused("does not become reset: 0xffffffff");
		init(i);
		fake_e1000.master = true; /* goes on with its DMA: the reset ends it */
		CHECK(start());
	}
}

/* A frame of which the card says that it is not good is dropped, and those after it come. */
TEST(e1000_bad_frames)
{
	static const enum fake_e1000_act bad[] = {
		FAKE_E1000_ERROR, FAKE_E1000_PARTS, FAKE_E1000_EMPTY};

	for (u32 k = 0; k < ARRAY_SIZE(bad); k++) {
		init(3);
		CHECK(start());
		connect();
		for (u32 i = 0; i < 50; i++) {
			comes_in(some_size(), bad[k]);
			if (bad[k] == FAKE_E1000_PARTS) /* the rest of it */
				comes_in(some_size(), FAKE_E1000_GOOD);
			comes_in(some_size(), FAKE_E1000_GOOD);
			card_work_turn(&w);
			card_work_client(&w);
		}
		CHECK_EQ(w.got, 50);
		CHECK_EQ(w.empty, bad[k] == FAKE_E1000_PARTS ? 100 : 50);
		CHECK_EQ(w.resets, 0);
		clean();
	}
}

/* A card that breaks a rule is reset, and works on. */
TEST(e1000_hostile_card)
{
	static const enum fake_e1000_act acts[] = {
		FAKE_E1000_LONG, FAKE_E1000_SILENT, FAKE_E1000_ALL};

	for (u32 k = 0; k < ARRAY_SIZE(acts); k++) {
		init(3);
		CHECK(start());
		connect();
		for (u32 i = 0; i < 20; i++)
			card_work_send(&w, some_size(), 2, true);
		card_work_turn(&w);
		comes_in(some_size(), acts[k]);
		fake_e1000_transmit(acts[k]);
		card_work_turn(&w);
		CHECK_EQ(w.resets, acts[k] == FAKE_E1000_LONG ? 1 : 0);
		CHECK(!w.dead);
		card_work_reset(&w); /* run.c finds the silent one out by the time */
		settle();
		w.wrong = 0; /* what a liar says of memory that it did not write */
		w.next_got = w.next_in;
		w.resets = 0;
		w.out = w.got = 0;
		work(50, false);
		clean();
		CHECK(w.out > 100 && w.got > 100);
		CHECK_EQ(w.resets, 0);
	}
}

TEST(e1000_gone)
{
	init(3);
	CHECK(start());
	connect();
	comes_in(100, FAKE_E1000_GOOD);
	fake_e1000.gone = true;
	card_work_turn(&w);
	CHECK(w.dead);
	CHECK_EQ(w.resets, 1);
}
