/* Packets of the remote serial protocol: framing, checksums, numbers, and noise. */
#include <stdlib.h>
#include "drivers/lib/lib.h"
#include "guests/vmm/debug/packet.h"
#include "tests/unit/test.h"

static struct gdb_packet in;
static struct gdb_reply out;

/* Feeds all but the last byte, which must come to nothing, and then that. */
static enum gdb_event feed(const char *text)
{
	for (; text[1]; text++)
		CHECK_EQ(gdb_feed(&in, (u8)*text), GDB_NOTHING);
	return gdb_feed(&in, (u8)*text);
}

TEST(packet_feeds)
{
	memset(&in, 0, sizeof(in));
	CHECK_EQ(feed("$qC#b4"), GDB_PACKET);
	CHECK(strcmp(in.data, "qC") == 0);
	CHECK_EQ(in.size, 2);
	CHECK_EQ(feed("$qC#B4"), GDB_PACKET);
	CHECK_EQ(feed("$#00"), GDB_PACKET);
	CHECK_EQ(in.size, 0);
	CHECK_EQ(feed("$qC#b5"), GDB_BAD);
	CHECK_EQ(feed("$qC#4g"), GDB_BAD);
	CHECK_EQ(feed("$qC#g4"), GDB_BAD);
	CHECK_EQ(feed("+"), GDB_ACK);
	CHECK_EQ(feed("-"), GDB_NAK);
	CHECK_EQ(feed("\x03"), GDB_INTERRUPT);
	CHECK_EQ(feed("noise #00 }$\x03#03"), GDB_PACKET); /* data, within a packet */
	CHECK_EQ(in.data[0], 3);
}

/* One that was cut off in the middle does not spoil the next. */
TEST(packet_cut_off)
{
	memset(&in, 0, sizeof(in));
	CHECK_EQ(feed("$m1234,$qC#b4"), GDB_PACKET);
	CHECK(strcmp(in.data, "qC") == 0);
	CHECK_EQ(feed("$m1234#0"), GDB_NOTHING);
	CHECK_EQ(gdb_feed(&in, '$'), GDB_BAD);
	CHECK_EQ(feed("$qC#b4"), GDB_PACKET);
}

TEST(packet_length)
{
	memset(&in, 0, sizeof(in));
	for (u32 size = GDB_PACKET_MAX; size <= GDB_PACKET_MAX + 2; size++) {
		u8 sum = 0;
		char end[4];

		gdb_feed(&in, '$');
		for (u32 i = 0; i < size; i++) {
			gdb_feed(&in, 'a');
			sum = (u8)(sum + 'a');
		}
		snprintf(end, sizeof(end), "#%02x", sum);
		CHECK_EQ(feed(end), size > GDB_PACKET_MAX ? GDB_BAD : GDB_PACKET);
	}
}

TEST(packet_reply)
{
	u8 bytes[] = {0x00, 0x9f};

	gdb_begin(&out);
	gdb_put_text(&out, "a$#}*b");
	gdb_put_hex(&out, bytes, sizeof(bytes));
	gdb_put_number(&out, 0);
	gdb_put_number(&out, 0x10f);
	gdb_put_number(&out, ~0ull);
	gdb_end(&out);
	out.text[out.size] = 0;
	CHECK(strncmp(out.text, "$a}\x04}\x03}]}\nb009f010fffffffffffffffff#", 36) == 0);
	CHECK_EQ(out.size, 38);
	/* It is a packet itself. */
	memset(&in, 0, sizeof(in));
	CHECK_EQ(feed(out.text), GDB_PACKET);
}

TEST(packet_reply_too_long)
{
	for (u32 size = GDB_PACKET_MAX - 3; size <= GDB_PACKET_MAX + 3; size++) {
		gdb_begin(&out);
		for (u32 i = 0; i < size; i++)
			gdb_put(&out, "x", 1);
		gdb_end(&out);
		CHECK(out.size <= sizeof(out.text));
		CHECK(size <= GDB_PACKET_MAX - 1 ? out.size == size + 4
						 : strncmp(out.text, "$E7e#", 5) == 0);
	}
}

TEST(packet_numbers)
{
	const char *at = "0123456789abcdef,1";
	u64 value;
	u8 bytes[2];

	CHECK(gdb_number(&at, &value));
	CHECK_EQ(value, 0x123456789abcdef);
	CHECK_EQ(*at, ',');
	at = "";
	CHECK(!gdb_number(&at, &value));
	at = "-1";
	CHECK(!gdb_number(&at, &value));
	at = "12345678901234567";
	CHECK(!gdb_number(&at, &value));
	at = "aBc";
	CHECK(!gdb_bytes(&at, bytes, 2));
	at = "aBc1x";
	CHECK(gdb_bytes(&at, bytes, 2));
	CHECK_EQ(bytes[0], 0xab);
	CHECK_EQ(bytes[1], 0xc1);
	CHECK_EQ(*at, 'x');
}
