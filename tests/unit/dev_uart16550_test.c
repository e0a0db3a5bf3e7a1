/* The 16550A as Linux's 8250 driver and firmware drive it. */
#include "guests/vmm/dev/uart16550.h"
#include "tests/unit/fake_machine.h"
#include "tests/unit/test.h"

static struct machine m;
static struct uart uart;

#define BASE 0x3f8
#define LINE 4

static void out(u16 offset, u8 value)
{
	uart_write(&m, &uart, BASE + offset, 1, value);
}

static u8 in(u16 offset)
{
	return (u8)uart_read(&m, &uart, BASE + offset, 1);
}

static void start(void)
{
	fake_init(&m);
	uart_init(&uart, BASE, LINE);
	uart_reset(&m, &uart);
}

/* FIFOs on with a trigger level of 8, interrupts on, 115200 baud. */
static void start_driver(u8 ier)
{
	start();
	out(UART_LCR, 0x83);
	out(UART_DATA, 1);
	out(UART_IER, 0);
	out(UART_LCR, 0x03);
	out(UART_FCR, 0x87);
	out(UART_MCR, 0x0b);
	out(UART_IER, ier);
}

TEST(linux_autoconfig)
{
	start();
	out(UART_IER, 0);
	CHECK_EQ(in(UART_IER), 0);
	out(UART_IER, 0x0f);
	CHECK_EQ(in(UART_IER), 0x0f);
	out(UART_IER, 0xff);
	CHECK_EQ(in(UART_IER), 0x0f);
	out(UART_IER, 0);
	out(UART_MCR, UART_MCR_LOOP | 0x0a);
	CHECK_EQ(in(UART_MSR)&0xf0, 0x90);
	out(UART_MCR, 0);
	/* FIFO detection: 16550A */
	out(UART_FCR, UART_FCR_ENABLE);
	CHECK_EQ(in(UART_IIR) >> 6, 3);
	out(UART_FCR, 0);
	CHECK_EQ(in(UART_IIR) >> 6, 0);
	out(UART_SCR, 0xa5);
	CHECK_EQ(in(UART_SCR), 0xa5);
	CHECK_EQ(in(UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
}

TEST(fifo_size_in_loopback)
{
	/* size_fifo(): fills the FIFO through the loopback and counts */
	unsigned count = 0;

	start();
	out(UART_FCR, 0x07);
	out(UART_MCR, UART_MCR_LOOP);
	for (unsigned i = 0; i < 256; i++)
		out(UART_DATA, (u8)i);
	CHECK(in(UART_LSR)&UART_LSR_OE);
	CHECK(!(in(UART_LSR)&UART_LSR_OE));
	while (in(UART_LSR)&UART_LSR_DR && count < 256) {
		CHECK_EQ(in(UART_DATA), count);
		count++;
	}
	CHECK_EQ(count, 16);
	CHECK_EQ(m.console_used, 0);
}

TEST(divisor)
{
	start();
	out(UART_LCR, UART_LCR_DLAB | 3);
	out(UART_DATA, 0x34);
	out(UART_IER, 0x12);
	CHECK_EQ(in(UART_DATA), 0x34);
	CHECK_EQ(in(UART_IER), 0x12);
	out(UART_LCR, 3);
	CHECK_EQ(in(UART_IER), 0);
	CHECK_EQ(uart.divisor, 0x1234);
	CHECK_EQ(m.console_used, 0);
}

TEST(polled_output)
{
	start();
	for (const char *s = "hello"; *s; s++) {
		CHECK(in(UART_LSR)&UART_LSR_THRE);
		out(UART_DATA, (u8)*s);
	}
	CHECK_EQ(m.console_used, 5);
	CHECK(memcmp(m.console, "hello", 5) == 0);
	CHECK_EQ(m.rises[LINE], 0);
}

TEST(transmit_interrupt)
{
	start_driver(0);
	CHECK(!m.line[LINE]);
	out(UART_IER, UART_IER_THRE); /* empty already: it interrupts when it is enabled */
	CHECK(m.line[LINE]);
	CHECK_EQ(in(UART_IIR), 0xc0 | UART_IIR_THRE);
	CHECK(!m.line[LINE]); /* reading IIR clears it */
	CHECK_EQ(in(UART_IIR), 0xc0 | UART_IIR_NONE);
	out(UART_DATA, 'a');
	CHECK(m.line[LINE]);
	out(UART_IER, 0);
	CHECK(!m.line[LINE]);
	out(UART_IER, UART_IER_THRE);
	CHECK(m.line[LINE]);
}

TEST(nothing_is_lost_when_the_backend_is_full)
{
	start_driver(UART_IER_THRE);
	in(UART_IIR);
	m.room = 3;
	for (u8 i = 0; i < 16; i++)
		out(UART_DATA, 'a' + i); /* THRE was set: 16 bytes are allowed */
	CHECK_EQ(m.console_used, 3);
	CHECK(!(in(UART_LSR) & (UART_LSR_THRE | UART_LSR_TEMT)));
	CHECK(uart_waiting(&uart));
	in(UART_IIR);
	CHECK(!m.line[LINE]);
	out(UART_FCR, 0x87); /* a reset of the FIFO loses nothing either */
	out(UART_FCR, 0x00);
	out(UART_FCR, 0x87);
	m.room = 5;
	uart_backend_ready(&m, &uart);
	CHECK_EQ(m.console_used, 8);
	CHECK(!m.line[LINE]);
	m.room = ~0u;
	uart_backend_ready(&m, &uart);
	CHECK_EQ(m.console_used, 16);
	CHECK(memcmp(m.console, "abcdefghijklmnop", 16) == 0);
	CHECK(in(UART_LSR)&UART_LSR_THRE);
	CHECK(m.line[LINE]);
	CHECK_EQ(in(UART_IIR), 0xc0 | UART_IIR_THRE);
	uart_backend_ready(&m, &uart); /* no change, no interrupt */
	CHECK(!m.line[LINE]);
}

TEST(order_is_kept_when_room_comes_between)
{
	start_driver(0);
	m.room = 0;
	out(UART_DATA, '1');
	out(UART_DATA, '2');
	m.room = ~0u; /* the backend has not told yet */
	out(UART_DATA, '3');
	CHECK_EQ(m.console_used, 3);
	CHECK(memcmp(m.console, "123", 3) == 0);
}

TEST(receive_without_fifo)
{
	start();
	out(UART_MCR, UART_MCR_OUT2);
	out(UART_IER, UART_IER_RDA | UART_IER_LSR);
	CHECK(uart_can_receive(&uart));
	uart_receive(&m, &uart, 'x');
	CHECK(!uart_can_receive(&uart));
	CHECK(m.line[LINE]);
	CHECK_EQ(in(UART_IIR), UART_IIR_RDA);
	uart_receive(&m, &uart, 'y'); /* overruns the holding register */
	CHECK_EQ(in(UART_IIR), UART_IIR_LSR);
	CHECK_EQ(in(UART_LSR) & (UART_LSR_OE | UART_LSR_DR), UART_LSR_OE | UART_LSR_DR);
	CHECK_EQ(in(UART_IIR), UART_IIR_RDA);
	CHECK_EQ(in(UART_DATA), 'y');
	CHECK(!m.line[LINE]);
	CHECK_EQ(m.armed[MACHINE_TIMER_SERIAL], MACHINE_NEVER);
}

TEST(receive_with_trigger_level)
{
	start_driver(UART_IER_RDA);
	for (u8 i = 0; i < 7; i++)
		uart_receive(&m, &uart, i);
	CHECK(!m.line[LINE]);
	uart_receive(&m, &uart, 7);
	CHECK(m.line[LINE]);
	CHECK_EQ(in(UART_IIR), 0xc0 | UART_IIR_RDA);
	for (u8 i = 0; i < 8; i++)
		CHECK_EQ(in(UART_DATA), i);
	CHECK(!m.line[LINE]);
	CHECK_EQ(in(UART_DATA), 0);
	for (u8 i = 0; i < 16; i++) {
		CHECK(uart_can_receive(&uart));
		uart_receive(&m, &uart, i);
	}
	CHECK(!uart_can_receive(&uart));
	out(UART_FCR, 0x83); /* clears the receive FIFO */
	CHECK(uart_can_receive(&uart));
	CHECK(!(in(UART_LSR)&UART_LSR_DR));
}

TEST(receive_timeout)
{
	start_driver(UART_IER_RDA);
	uart_receive(&m, &uart, 'a');
	CHECK(!m.line[LINE]);
	/* four characters of ten bits at 115200 baud */
	CHECK_EQ(m.armed[MACHINE_TIMER_SERIAL], 4 * (10 * 1000000000ull / 115200));
	m.now = 100000;
	uart_receive(&m, &uart, 'b');
	CHECK(m.armed[MACHINE_TIMER_SERIAL] > 400000); /* begins anew */
	m.now = m.armed[MACHINE_TIMER_SERIAL];
	CHECK(fake_due(&m, MACHINE_TIMER_SERIAL));
	uart_timer(&m, &uart);
	CHECK(m.line[LINE]);
	CHECK_EQ(in(UART_IIR), 0xc0 | UART_IIR_TIMEOUT);
	CHECK_EQ(in(UART_DATA), 'a');
	CHECK(!m.line[LINE]);
	CHECK(m.armed[MACHINE_TIMER_SERIAL] != MACHINE_NEVER);
	CHECK_EQ(in(UART_DATA), 'b');
	CHECK_EQ(m.armed[MACHINE_TIMER_SERIAL], MACHINE_NEVER);
}

TEST(out2_gates_the_interrupt)
{
	start_driver(UART_IER_RDA);
	out(UART_MCR, 0x03);
	for (u8 i = 0; i < 8; i++)
		uart_receive(&m, &uart, i);
	CHECK(!m.line[LINE]);
	CHECK_EQ(in(UART_IIR), 0xc0 | UART_IIR_RDA);
	out(UART_MCR, 0x0b);
	CHECK(m.line[LINE]);
	out(UART_MCR, 0x1b); /* loopback disconnects the pin, and the line */
	CHECK(!m.line[LINE]);
	CHECK(!uart_can_receive(&uart));
	uart_receive(&m, &uart, 'z');
	CHECK_EQ(uart.receive.count, 8);
}

TEST(modem_status)
{
	start_driver(UART_IER_MSR);
	CHECK_EQ(in(UART_MSR), UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD);
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_OUT1);
	CHECK_EQ(in(UART_IIR), 0xc0 | UART_IIR_MSR);
	CHECK_EQ(in(UART_MSR), UART_MSR_RI | UART_MSR_DCTS | UART_MSR_DDSR | UART_MSR_DDCD);
	CHECK_EQ(in(UART_MSR), UART_MSR_RI);
	out(UART_MCR, UART_MCR_LOOP);
	CHECK_EQ(in(UART_MSR), UART_MSR_TERI);
	out(UART_MSR, 0xff);
	CHECK_EQ(in(UART_MSR), 0);
}

TEST(break_in_loopback)
{
	start_driver(UART_IER_LSR);
	out(UART_MCR, UART_MCR_LOOP);
	out(UART_LCR, 0x43);
	CHECK_EQ(in(UART_IIR), 0xc0 | UART_IIR_LSR);
	CHECK(in(UART_LSR)&UART_LSR_BI);
	CHECK_EQ(in(UART_DATA), 0);
	out(UART_LCR, 0x03);
}

TEST(wide_and_foreign_accesses)
{
	start();
	CHECK_EQ(uart_read(&m, &uart, BASE + 6, 4) >> 16, 0xffff);
	CHECK_EQ(uart_read(&m, &uart, BASE - 1, 1), 0xff);
	uart_write(&m, &uart, BASE + 7, 4, 0x11223344);
	CHECK_EQ(in(UART_SCR), 0x44);
	CHECK_EQ(in(UART_LCR), 0);
	uart_init(&uart, 0xfffc, 3);
	CHECK_EQ(uart_read(&m, &uart, 0xfffc + 2, 1), UART_IIR_NONE);
}

TEST(hammer)
{
	u64 seed = 8;

	start();
	for (unsigned i = 0; i < 200000; i++) {
		u64 r = fake_random(&seed);
		u16 port = (u16)(BASE - 2 + (r & 0xf));
		unsigned size = fake_random_size(&seed);

		m.now += r >> 40;
		if ((r >> 4 & 31) == 0)
			m.room = r >> 32 & 0x1f;
		switch (r >> 9 & 7) {
		case 0:
		case 1:
		case 2:
			uart_write(&m, &uart, port, size, (u32)(r >> 32));
			break;
		case 3:
			uart_receive(&m, &uart, (u8)r);
			break;
		case 4:
			uart_backend_ready(&m, &uart);
			break;
		default:
			uart_read(&m, &uart, port, size);
		}
		if (fake_due(&m, MACHINE_TIMER_SERIAL))
			uart_timer(&m, &uart);
		if (uart.transmit.count > UART_FIFO || uart.receive.count > UART_FIFO ||
			uart.transmit.first >= UART_FIFO) {
			CHECK(!"the FIFOs are in order");
			break;
		}
	}
}
