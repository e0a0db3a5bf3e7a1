/* The I/O APIC as operating systems drive it. */
#include "guests/vmm/dev/ioapic.h"
#include "tests/unit/fake_machine.h"
#include "tests/unit/test.h"

static struct machine m;
static struct ioapic ioapic;

static void out(u8 number, u32 value)
{
	ioapic_write(&m, &ioapic, IOAPIC_SELECT, 4, number);
	ioapic_write(&m, &ioapic, IOAPIC_DATA, 4, value);
}

static u32 in(u8 number)
{
	ioapic_write(&m, &ioapic, IOAPIC_SELECT, 4, number);
	return ioapic_read(&m, &ioapic, IOAPIC_DATA, 4);
}

static void program(u32 pin, u32 low, u8 destination)
{
	out((u8)(0x11 + 2 * pin), (u32)destination << 24);
	out((u8)(0x10 + 2 * pin), low);
}

static void start(void)
{
	fake_init(&m);
	ioapic_init(&ioapic);
}

static void pin(u32 number, bool level)
{
	ioapic_set_pin(&m, &ioapic, number, level);
}

TEST(identity)
{
	start();
	CHECK_EQ(in(IOAPIC_REG_VERSION), 0x00170020);
	CHECK_EQ(in(IOAPIC_REG_ID), 0);
	out(IOAPIC_REG_ID, 0xffffffff);
	CHECK_EQ(in(IOAPIC_REG_ID), 0x0f000000);
	CHECK_EQ(in(IOAPIC_REG_ARBITRATION), 0x0f000000);
	out(IOAPIC_REG_VERSION, 0);
	CHECK_EQ(in(IOAPIC_REG_VERSION), 0x00170020);
	CHECK_EQ(in(0x40), 0); /* behind the last pin */
	out(0x40, 0xffffffff);
	for (u32 i = 0; i < IOAPIC_PINS; i++) {
		CHECK_EQ(in((u8)(0x10 + 2 * i)), 0x10000);
		CHECK_EQ(in((u8)(0x11 + 2 * i)), 0);
	}
}

TEST(reserved_and_read_only_bits)
{
	start();
	out(0x10, 0xffffffff);
	CHECK_EQ(in(0x10), 0x0001afff);
	out(0x11, 0xffffffff);
	CHECK_EQ(in(0x11), 0xff000000);
}

TEST(edge)
{
	start();
	program(4, 0x31, 3);
	pin(4, true);
	CHECK_EQ(m.messages, 1);
	CHECK_EQ(m.message[0].address, 0xfee03000);
	CHECK_EQ(m.message[0].data, 0x31);
	pin(4, true);
	CHECK_EQ(m.messages, 1);
	pin(4, false);
	pin(4, true);
	CHECK_EQ(m.messages, 2);
	CHECK_EQ(in(0x18), 0x31);
}

TEST(masked_edge_is_lost)
{
	start();
	program(2, 0x10030, 0);
	pin(2, true);
	program(2, 0x30, 0);
	CHECK_EQ(m.messages, 0);
	pin(2, false);
	pin(2, true);
	CHECK_EQ(m.messages, 1);
}

TEST(level_waits_for_eoi)
{
	start();
	program(16, 0xa941, 2); /* level, low, logical, lowest priority */
	pin(16, true);
	CHECK_EQ(m.messages, 1);
	CHECK_EQ(m.message[0].address, 0xfee02004);
	CHECK_EQ(m.message[0].data, 0xc141);
	CHECK_EQ(in(0x30), 0xe941); /* remote IRR */
	pin(16, false);
	pin(16, true);
	CHECK_EQ(m.messages, 1);
	ioapic_eoi(&m, &ioapic, 0x40);
	CHECK_EQ(m.messages, 1);
	ioapic_eoi(&m, &ioapic, 0x41);
	CHECK_EQ(m.messages, 2);
	pin(16, false);
	ioapic_eoi(&m, &ioapic, 0x41);
	CHECK_EQ(m.messages, 2);
	CHECK_EQ(in(0x30), 0xa941);
}

TEST(masked_level_is_delivered_on_unmasking)
{
	start();
	program(10, 0x18050, 0);
	pin(10, true);
	CHECK_EQ(m.messages, 0);
	program(10, 0x08050, 0);
	CHECK_EQ(m.messages, 1);
	program(10, 0x18050, 0); /* masking leaves remote IRR */
	CHECK_EQ(in(0x24), 0x1c050);
	ioapic_eoi(&m, &ioapic, 0x50);
	CHECK_EQ(m.messages, 1);
	CHECK_EQ(in(0x24), 0x18050);
}

TEST(eoi_register)
{
	start();
	program(9, 0x8060, 0);
	pin(9, true);
	ioapic_write(&m, &ioapic, IOAPIC_EOI, 4, 0x60);
	CHECK_EQ(m.messages, 2);
}

TEST(eoi_by_a_turn_to_edge)
{
	/* Linux's __eoi_ioapic_pin for version 0x1x */
	start();
	program(9, 0x8060, 0);
	pin(9, true);
	out(0x22, 0x10060);
	CHECK_EQ(in(0x22), 0x10060);
	out(0x22, 0x08060);
	CHECK_EQ(m.messages, 2);
}

TEST(level_nmi_is_sent_once)
{
	start();
	program(1, 0x8400, 0);
	pin(1, true);
	CHECK_EQ(m.messages, 1);
	CHECK_EQ(m.message[0].data, 0xc400);
	CHECK_EQ(in(0x12), 0x8400);
}

TEST(vectors_of_level_pins)
{
	u64 vectors[4];

	start();
	program(1, 0x31, 0);
	program(16, 0x8041, 0);
	program(17, 0x180ff, 0);
	ioapic_level_vectors(&ioapic, vectors);
	CHECK_EQ(vectors[0], 0);
	CHECK_EQ(vectors[1], 2);
	CHECK_EQ(vectors[3], 0);
	CHECK(m.changes > 0);
}

TEST(narrow_and_misplaced_accesses)
{
	start();
	ioapic_write(&m, &ioapic, IOAPIC_SELECT, 1, 0x01);
	CHECK_EQ(ioapic_read(&m, &ioapic, IOAPIC_DATA, 4), 0x00170020);
	CHECK_EQ(ioapic_read(&m, &ioapic, IOAPIC_DATA, 1), 0x20);
	CHECK_EQ(ioapic_read(&m, &ioapic, IOAPIC_DATA + 2, 2), 0x17);
	CHECK_EQ(ioapic_read(&m, &ioapic, 0x20, 4), 0);
	ioapic_write(&m, &ioapic, IOAPIC_SELECT, 4, 0x10);
	ioapic_write(&m, &ioapic, IOAPIC_DATA, 2, 0x31);
	ioapic_write(&m, &ioapic, IOAPIC_DATA + 1, 4, 0x31);
	CHECK_EQ(in(0x10), 0x10000);
}

TEST(reset_masks)
{
	start();
	program(3, 0x33, 0);
	pin(3, true);
	ioapic_reset(&m, &ioapic);
	CHECK_EQ(in(0x16), 0x10000);
	pin(24, true);
	pin(~0u, true);
}

TEST(hammer)
{
	u64 seed = 2;

	start();
	for (unsigned i = 0; i < 200000; i++) {
		u64 r = fake_random(&seed);
		u32 offset = (u32)(r & 0x73);
		unsigned size = fake_random_size(&seed);
		u32 before = m.messages;

		switch (r >> 8 & 3) {
		case 0:
			ioapic_write(&m, &ioapic, offset, size, (u32)(r >> 32));
			break;
		case 1:
			ioapic_write(&m, &ioapic, IOAPIC_SELECT, 4, r >> 32 & 0x4f);
			ioapic_read(&m, &ioapic, offset, size);
			break;
		case 2:
			ioapic_eoi(&m, &ioapic, (u8)(r >> 32));
			break;
		default:
			ioapic_set_pin(&m, &ioapic, r >> 16 & 31, r & 0x80000000);
		}
		if (m.messages - before > IOAPIC_PINS) {
			CHECK(!"one access sends at most once for each pin");
			break;
		}
	}
}
