/* The pair of 8259As as operating systems and firmware drive it. */
#include "guests/vmm/dev/pic.h"
#include "tests/unit/fake_machine.h"
#include "tests/unit/test.h"

static struct machine m;
static struct pic pic;

#define MASTER_VECTOR 0x30
#define SLAVE_VECTOR  0x38

static void out(u16 port, u8 value)
{
	pic_write(&m, &pic, port, 1, value);
}

static u8 in(u16 port)
{
	return (u8)pic_read(&m, &pic, port, 1);
}

/* Linux's init_8259A, with all lines masked at the end; icw4 as given. */
static void start(u8 icw4)
{
	fake_init(&m);
	pic_init(&pic);
	out(PIC_MASTER_DATA, 0xff);
	out(PIC_MASTER_COMMAND, 0x11);
	out(PIC_MASTER_DATA, MASTER_VECTOR);
	out(PIC_MASTER_DATA, 0x04);
	out(PIC_MASTER_DATA, icw4);
	out(PIC_SLAVE_COMMAND, 0x11);
	out(PIC_SLAVE_DATA, SLAVE_VECTOR);
	out(PIC_SLAVE_DATA, 0x02);
	out(PIC_SLAVE_DATA, icw4);
	out(PIC_MASTER_DATA, 0x00);
	out(PIC_SLAVE_DATA, 0x00);
}

static void raise(u32 line)
{
	pic_set_line(&m, &pic, line, true);
}

static void lower(u32 line)
{
	pic_set_line(&m, &pic, line, false);
}

TEST(quiet_after_power_on)
{
	fake_init(&m);
	pic_init(&pic);
	raise(0);
	raise(8);
	CHECK(!pic_output(&pic));
	CHECK_EQ(pic.header.size * 8u, sizeof(pic));
	CHECK(device_header_is(&pic.header, PIC_MAGIC, PIC_VERSION, sizeof(pic)));
}

TEST(probe_reads_back_the_mask)
{
	/* Linux's probe_8259A */
	start(1);
	out(PIC_SLAVE_DATA, 0xff);
	out(PIC_MASTER_DATA, 0xfb);
	CHECK_EQ(in(PIC_MASTER_DATA), 0xfb);
	CHECK_EQ(in(PIC_SLAVE_DATA), 0xff);
}

TEST(edge_is_delivered_once)
{
	start(1);
	raise(4);
	CHECK(m.intr);
	CHECK_EQ(in(PIC_MASTER_COMMAND), 0x10);
	CHECK_EQ(pic_ack(&m, &pic), MASTER_VECTOR + 4);
	CHECK(!m.intr);
	out(PIC_MASTER_COMMAND, 0x0b);
	CHECK_EQ(in(PIC_MASTER_COMMAND), 0x10);
	out(PIC_MASTER_COMMAND, 0x64); /* specific EOI */
	CHECK_EQ(in(PIC_MASTER_COMMAND), 0);
	CHECK(!m.intr); /* still high: no new edge */
	lower(4);
	raise(4);
	CHECK(m.intr);
}

TEST(edge_that_goes_away_is_spurious)
{
	start(1);
	raise(3);
	CHECK(m.intr);
	lower(3);
	CHECK(!m.intr);
	CHECK_EQ(pic_ack(&m, &pic), MASTER_VECTOR + 7);
	out(PIC_MASTER_COMMAND, 0x0b);
	CHECK_EQ(in(PIC_MASTER_COMMAND), 0); /* not in service: how drivers tell */
}

TEST(masked_request_waits)
{
	start(1);
	out(PIC_MASTER_DATA, 0x02);
	raise(1);
	CHECK(!m.intr);
	CHECK_EQ(in(PIC_MASTER_COMMAND), 0x02);
	out(PIC_MASTER_DATA, 0);
	CHECK(m.intr);
	CHECK_EQ(pic_ack(&m, &pic), MASTER_VECTOR + 1);
}

TEST(slave_goes_through_the_cascade)
{
	start(1);
	raise(12);
	raise(9);
	CHECK_EQ(pic_ack(&m, &pic), SLAVE_VECTOR + 1);
	CHECK(!m.intr); /* 12 is lower, and the master serves the cascade */
	raise(8);
	CHECK(!m.intr); /* higher on the slave, but the master is not in special fully nested mode
			 */
	raise(0);
	CHECK(m.intr);
	CHECK_EQ(pic_ack(&m, &pic), MASTER_VECTOR + 0);
	out(PIC_MASTER_COMMAND, 0x60);
	out(PIC_SLAVE_COMMAND, 0x61);
	out(PIC_MASTER_COMMAND, 0x62);
	CHECK(m.intr);
	CHECK_EQ(pic_ack(&m, &pic), SLAVE_VECTOR + 0);
	out(PIC_SLAVE_COMMAND, 0x20);
	out(PIC_MASTER_COMMAND, 0x20);
	CHECK_EQ(pic_ack(&m, &pic), SLAVE_VECTOR + 4);
}

TEST(spurious_on_the_slave_serves_the_cascade)
{
	start(1);
	raise(10);
	pic.chip[1].irr = 0; /* the line falls between the two INTA cycles */
	CHECK_EQ(pic_ack(&m, &pic), SLAVE_VECTOR + 7);
	out(PIC_MASTER_COMMAND, 0x0b);
	out(PIC_SLAVE_COMMAND, 0x0b);
	CHECK_EQ(in(PIC_MASTER_COMMAND), 0x04);
	CHECK_EQ(in(PIC_SLAVE_COMMAND), 0);
}

TEST(special_fully_nested_mode)
{
	start(0x11);
	raise(12);
	CHECK_EQ(pic_ack(&m, &pic), SLAVE_VECTOR + 4);
	raise(9);
	CHECK(m.intr);
	CHECK_EQ(pic_ack(&m, &pic), SLAVE_VECTOR + 1);
	raise(14);
	CHECK(!m.intr);
}

TEST(level_lines_request_while_they_last)
{
	start(1);
	out(PIC_ELCR_SLAVE, 0xff);
	CHECK_EQ(in(PIC_ELCR_SLAVE), PIC_ELCR_SLAVE_MASK);
	out(PIC_ELCR_MASTER, 0xff);
	CHECK_EQ(in(PIC_ELCR_MASTER), PIC_ELCR_MASTER_MASK);
	raise(11);
	CHECK_EQ(pic_ack(&m, &pic), SLAVE_VECTOR + 3);
	out(PIC_SLAVE_COMMAND, 0x20);
	out(PIC_MASTER_COMMAND, 0x20);
	CHECK(m.intr);
	lower(11);
	CHECK(!m.intr);
}

TEST(elcr_change_senses_the_line)
{
	start(1);
	raise(5);
	pic_ack(&m, &pic);
	out(PIC_MASTER_COMMAND, 0x20);
	CHECK(!m.intr);
	out(PIC_ELCR_MASTER, 0x20);
	CHECK(m.intr);
}

TEST(automatic_eoi)
{
	start(3);
	raise(6);
	CHECK_EQ(pic_ack(&m, &pic), MASTER_VECTOR + 6);
	out(PIC_MASTER_COMMAND, 0x0b);
	CHECK_EQ(in(PIC_MASTER_COMMAND), 0);
}

TEST(rotation_in_automatic_eoi)
{
	start(3);
	out(PIC_MASTER_COMMAND, 0x80);
	raise(0);
	raise(1);
	CHECK_EQ(pic_ack(&m, &pic), MASTER_VECTOR + 0);
	lower(0);
	raise(0); /* now the lowest */
	CHECK_EQ(pic_ack(&m, &pic), MASTER_VECTOR + 1);
	CHECK_EQ(pic_ack(&m, &pic), MASTER_VECTOR + 0);
}

TEST(rotation_and_priority_commands)
{
	start(1);
	out(PIC_MASTER_COMMAND, 0xc4); /* 4 becomes the lowest, 5 the highest */
	raise(3);
	raise(5);
	CHECK_EQ(pic_ack(&m, &pic), MASTER_VECTOR + 5);
	out(PIC_MASTER_COMMAND, 0xa0); /* EOI with rotation: 5 becomes the lowest */
	CHECK_EQ(pic.chip[0].lowest, 5);
	CHECK_EQ(pic_ack(&m, &pic), MASTER_VECTOR + 3);
	out(PIC_MASTER_COMMAND, 0xe3); /* specific, with rotation */
	CHECK_EQ(pic.chip[0].lowest, 3);
	CHECK_EQ(pic.chip[0].isr, 0);
	out(PIC_MASTER_COMMAND, 0x20); /* nothing to end */
	CHECK_EQ(pic.chip[0].lowest, 3);
}

TEST(special_mask_mode)
{
	start(1);
	raise(1);
	pic_ack(&m, &pic);
	raise(6);
	CHECK(!m.intr);
	out(PIC_MASTER_DATA, 0x02);
	CHECK(!m.intr);
	out(PIC_MASTER_COMMAND, 0x68);
	CHECK(m.intr); /* the masked line in service no longer blocks */
	CHECK_EQ(pic_ack(&m, &pic), MASTER_VECTOR + 6);
	out(PIC_MASTER_COMMAND, 0x20); /* ends 6, not the masked 1 */
	CHECK_EQ(pic.chip[0].isr, 0x02);
	out(PIC_MASTER_COMMAND, 0x48);
	out(PIC_MASTER_COMMAND, 0x20);
	CHECK_EQ(pic.chip[0].isr, 0);
}

TEST(poll_acknowledges)
{
	start(1);
	out(PIC_MASTER_COMMAND, 0x0c);
	CHECK_EQ(in(PIC_MASTER_COMMAND), 0);
	raise(5);
	out(PIC_MASTER_COMMAND, 0x0c);
	CHECK_EQ(in(PIC_MASTER_COMMAND), 0x85);
	CHECK(!m.intr);
	CHECK_EQ(pic.chip[0].isr, 0x20);
	CHECK_EQ(in(PIC_MASTER_COMMAND), 0); /* IRR again */
	raise(13);
	out(PIC_SLAVE_COMMAND, 0x0c);
	CHECK_EQ(in(PIC_SLAVE_COMMAND), 0x85);
}

TEST(icw1_forgets_edges)
{
	start(1);
	raise(3);
	raise(4);
	pic_ack(&m, &pic);
	out(PIC_MASTER_COMMAND, 0x11);
	CHECK(!m.intr);
	out(PIC_MASTER_DATA, 0x08);
	out(PIC_MASTER_DATA, 0x04);
	out(PIC_MASTER_DATA, 0x01);
	CHECK(!m.intr);
	CHECK_EQ(in(PIC_MASTER_COMMAND), 0);
	lower(4);
	raise(4);
	CHECK_EQ(pic_ack(&m, &pic), 0x08 + 4);
}

TEST(icw_sequences)
{
	start(1);
	out(PIC_MASTER_COMMAND, 0x13); /* single, with ICW4 */
	out(PIC_MASTER_DATA, 0x60);
	out(PIC_MASTER_DATA, 0x03);
	CHECK_EQ(pic.chip[0].step, PIC_READY);
	CHECK_EQ(pic.chip[0].icw4, 3);
	out(PIC_MASTER_COMMAND, 0x10); /* cascade, without ICW4: it counts as 0 */
	out(PIC_MASTER_DATA, 0x67);
	out(PIC_MASTER_DATA, 0x04);
	CHECK_EQ(pic.chip[0].step, PIC_READY);
	CHECK_EQ(pic.chip[0].icw4, 0);
	out(PIC_MASTER_DATA, 0x5a);
	CHECK_EQ(in(PIC_MASTER_DATA), 0x5a);
	out(PIC_MASTER_DATA, 0x00);
	raise(1);
	CHECK_EQ(pic_ack(&m, &pic), 0x61); /* the low bits of ICW2 are the input's */
}

TEST(wide_access_takes_two_ports)
{
	start(1);
	pic_write(&m, &pic, PIC_ELCR_MASTER, 2, 0x0c20);
	CHECK_EQ(pic_read(&m, &pic, PIC_ELCR_MASTER, 2), 0x0c20);
}

TEST(reset_keeps_lines)
{
	start(1);
	raise(5);
	pic_reset(&m, &pic);
	CHECK(!m.intr);
	CHECK_EQ(pic.chip[0].lines, 0x20);
}

TEST(hammer)
{
	static const u16 ports[] = {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x1f, 0xffff};
	u64 seed = 1;

	start(1);
	for (unsigned i = 0; i < 200000; i++) {
		u64 r = fake_random(&seed);
		u16 port = ports[r % ARRAY_SIZE(ports)];
		unsigned size = fake_random_size(&seed);

		switch (r >> 8 & 7) {
		case 0:
		case 1:
		case 2:
			pic_write(&m, &pic, port, size, (u32)(r >> 32));
			break;
		case 3:
			pic_read(&m, &pic, port, size);
			break;
		case 4:
			if (pic_output(&pic))
				pic_ack(&m, &pic);
			break;
		default:
			pic_set_line(&m, &pic, r >> 16 & 31, r & 0x80000000);
		}
		if (m.intr != pic_output(&pic) || pic.chip[0].lowest > 7 || pic.chip[1].step > 3) {
			CHECK(!"state is in order");
			break;
		}
	}
}
