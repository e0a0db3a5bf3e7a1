/* The keyboard controller as Linux, firmware and boot loaders probe it. */
#include "guests/vmm/dev/i8042.h"
#include "tests/unit/fake_machine.h"
#include "tests/unit/test.h"

static struct machine m;
static struct i8042 kbc;

static void out(u16 port, u8 value)
{
	i8042_write(&m, &kbc, port, 1, value);
}

static u8 in(u16 port)
{
	return (u8)i8042_read(&m, &kbc, port, 1);
}

static void start(void)
{
	fake_init(&m);
	i8042_init(&kbc);
	i8042_reset(&m, &kbc);
}

/* Sends a command whose answer is one byte. */
static u8 ask(u8 command)
{
	out(I8042_COMMAND, command);
	CHECK(in(I8042_STATUS)&I8042_STS_OUTPUT);
	return in(I8042_DATA);
}

TEST(linux_probe)
{
	u8 control;

	start();
	/* i8042_controller_check: flushes; nothing may come for ever */
	CHECK(!(in(I8042_STATUS)&I8042_STS_OUTPUT));
	CHECK_EQ(ask(I8042_SELF_TEST), 0x55);
	CHECK(in(I8042_STATUS)&I8042_STS_SYSTEM);
	control = ask(I8042_READ_RAM);
	CHECK(control & I8042_CMD_TRANSLATE);
	control |= I8042_CMD_KBD_DISABLE;
	control &= (u8)~I8042_CMD_KBD_INT;
	out(I8042_COMMAND, I8042_WRITE_RAM);
	out(I8042_DATA, control);
	CHECK_EQ(ask(I8042_READ_RAM), control);
	/* i8042_check_aux: loop test, then disable and enable */
	out(I8042_COMMAND, I8042_LOOP_MOUSE);
	out(I8042_DATA, 0x5a);
	CHECK_EQ(in(I8042_STATUS) & (I8042_STS_OUTPUT | I8042_STS_MOUSE),
		I8042_STS_OUTPUT | I8042_STS_MOUSE);
	CHECK_EQ(in(I8042_DATA), 0x5a);
	out(I8042_COMMAND, I8042_MOUSE_OFF);
	CHECK(ask(I8042_READ_RAM) & I8042_CMD_MOUSE_DISABLE);
	out(I8042_COMMAND, I8042_MOUSE_ON);
	CHECK(!(ask(I8042_READ_RAM) & I8042_CMD_MOUSE_DISABLE));
	/* the interrupt test: a looped byte must raise line 12 */
	out(I8042_COMMAND, I8042_WRITE_RAM);
	out(I8042_DATA, (control | I8042_CMD_MOUSE_INT) & (u8)~I8042_CMD_MOUSE_DISABLE);
	out(I8042_COMMAND, I8042_LOOP_MOUSE);
	out(I8042_DATA, 0xa5);
	CHECK(m.line[12]);
	CHECK_EQ(in(I8042_DATA), 0xa5);
	CHECK(!m.line[12]);
	CHECK_EQ(ask(I8042_KBD_TEST), 0);
	CHECK_EQ(ask(I8042_MOUSE_TEST), 0);
}

TEST(no_keyboard_answers_at_once)
{
	start();
	out(I8042_COMMAND, I8042_WRITE_RAM);
	out(I8042_DATA, I8042_CMD_KBD_INT | I8042_CMD_MOUSE_INT);
	out(I8042_DATA, 0xf2); /* identify */
	CHECK(m.line[1]);
	CHECK_EQ(in(I8042_STATUS) & (I8042_STS_OUTPUT | I8042_STS_MOUSE | I8042_STS_TIMEOUT),
		I8042_STS_OUTPUT | I8042_STS_TIMEOUT);
	CHECK_EQ(in(I8042_DATA), 0xfe);
	CHECK(!m.line[1]);
	CHECK(!(in(I8042_STATUS) & (I8042_STS_OUTPUT | I8042_STS_TIMEOUT)));
	out(I8042_COMMAND, I8042_TO_MOUSE);
	out(I8042_DATA, 0xff);
	CHECK(m.line[12] && !m.line[1]);
	CHECK_EQ(in(I8042_STATUS) & (I8042_STS_OUTPUT | I8042_STS_MOUSE | I8042_STS_TIMEOUT),
		I8042_STS_OUTPUT | I8042_STS_MOUSE | I8042_STS_TIMEOUT);
	CHECK_EQ(in(I8042_DATA), 0xfe);
}

TEST(each_byte_is_an_edge)
{
	start();
	out(I8042_COMMAND, I8042_WRITE_RAM);
	out(I8042_DATA, I8042_CMD_KBD_INT);
	out(I8042_DATA, 0xed);
	out(I8042_DATA, 0x00); /* without reading in between */
	CHECK_EQ(m.rises[1], 2);
}

TEST(resets)
{
	start();
	out(I8042_COMMAND, 0xfe);
	CHECK_EQ(m.resets, 1);
	out(I8042_COMMAND, 0xff); /* pulses nothing */
	CHECK_EQ(m.resets, 1);
	out(I8042_COMMAND, I8042_WRITE_OUTPUT);
	out(I8042_DATA, 0x02);
	CHECK_EQ(m.resets, 2);
	out(I8042_PORT92, 0x02);
	CHECK_EQ(m.resets, 2);
	out(I8042_PORT92, 0x03);
	CHECK_EQ(m.resets, 3);
}

TEST(address_line_20)
{
	start();
	CHECK(i8042_a20(&kbc));
	CHECK_EQ(in(I8042_PORT92), I8042_P92_A20);
	out(I8042_PORT92, 0);
	CHECK(!i8042_a20(&kbc));
	CHECK(!(ask(I8042_READ_OUTPUT) & I8042_OUT_A20));
	/* GRUB's way */
	out(I8042_COMMAND, I8042_WRITE_OUTPUT);
	out(I8042_DATA, 0xdf);
	CHECK(i8042_a20(&kbc));
	CHECK_EQ(in(I8042_PORT92), I8042_P92_A20);
	out(I8042_COMMAND, I8042_A20_OFF);
	CHECK(!i8042_a20(&kbc));
	out(I8042_COMMAND, I8042_A20_ON);
	CHECK(i8042_a20(&kbc));
	CHECK_EQ(m.resets, 0);
}

TEST(memory_and_loops)
{
	start();
	out(I8042_COMMAND, 0x7f);
	out(I8042_DATA, 0x99);
	CHECK_EQ(ask(0x3f), 0x99);
	out(I8042_COMMAND, I8042_LOOP_KBD);
	out(I8042_DATA, 0x33);
	CHECK(!(in(I8042_STATUS)&I8042_STS_MOUSE));
	CHECK_EQ(in(I8042_DATA), 0x33);
	CHECK_EQ(in(I8042_DATA), 0x33); /* the buffer keeps its last byte */
	CHECK_EQ(ask(I8042_READ_INPUT), 0x80);
	out(I8042_COMMAND, I8042_LOOP_KBD); /* a command drops one that waits for data */
	out(I8042_COMMAND, I8042_KBD_OFF);
	out(I8042_DATA, 0x44);
	CHECK_EQ(in(I8042_DATA), 0xfe);
	CHECK_EQ(in(I8042_STATUS)&I8042_STS_COMMAND, 0);
	out(I8042_COMMAND, I8042_KBD_ON);
	CHECK(in(I8042_STATUS)&I8042_STS_COMMAND);
	CHECK_EQ(i8042_read(&m, &kbc, 0x61, 1), 0xff);
}

TEST(hammer)
{
	static const u16 ports[] = {0x60, 0x64, 0x92, 0x60, 0x64, 0x62, 0xffff};
	u64 seed = 9;

	start();
	for (unsigned i = 0; i < 200000; i++) {
		u64 r = fake_random(&seed);
		u16 port = ports[r % ARRAY_SIZE(ports)];
		unsigned size = fake_random_size(&seed);

		if (r & 0x100)
			i8042_write(&m, &kbc, port, size, (u32)(r >> 32));
		else
			i8042_read(&m, &kbc, port, size);
		if (m.line[1] && m.line[12]) {
			CHECK(!"one buffer, one interrupt");
			break;
		}
	}
}
