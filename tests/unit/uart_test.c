/* Tests of the 16550 driver against a model of the chip: order, flow control, and that no interrupt
 * is left pending. */
#include <stdlib.h>

#include "drivers/uart/uart.h"
#include "drivers/uart/uart16550.h"
#include "tests/unit/test.h"

#define BASE 0x3f8

/* The chip: what of it the driver uses. */
static struct {
	bool fifo_works;
	u8 ier;
	u8 lcr;
	u8 fcr;
	u8 mcr;
	u8 divisor;
	u8 rx[16];
	u32 rx_count;
	u32 tx_count; /* bytes in the transmitter */
	bool thre_pending;
	u32 lost;
} chip;

static u8 sent[65536];
static u32 sent_count;
static u8 to_send[65536];
static u32 to_send_count;
static u32 to_send_at;
static u8 received[65536];
static u32 received_count;
static u32 sink_space;

static u32 depth(void)
{
	return chip.fifo_works && chip.fcr & FCR_ENABLE ? 16 : 1;
}

static u8 iir(void)
{
	u8 id = IIR_NONE;

	if (chip.ier & IER_RX && chip.rx_count)
		id = 4;
	else if (chip.ier & IER_TX && chip.thre_pending)
		id = 2;
	return id | (chip.fifo_works && chip.fcr & FCR_ENABLE ? IIR_FIFO_MASK : 0);
}

static u8 chip_in(u16 port)
{
	u8 value = 0;

	switch (port - BASE) {
	case UART_RBR:
		if (chip.rx_count) {
			value = chip.rx[0];
			memmove(chip.rx, chip.rx + 1, --chip.rx_count);
		}
		return value;
	case UART_IIR:
		value = iir();
		if ((value & 7) == 2)
			chip.thre_pending = false;
		return value;
	case UART_LSR:
		return (chip.rx_count ? LSR_DR : 0) | (chip.tx_count == 0 ? LSR_THRE : 0);
	}
	return 0;
}

static void chip_out(u16 port, u8 value)
{
	switch (port - BASE) {
	case UART_THR:
		if (chip.lcr & LCR_DLAB) {
			chip.divisor = value;
			return;
		}
		if (chip.tx_count == depth())
			chip.lost++;
		else
			chip.tx_count++;
		chip.thre_pending = false;
		sent[sent_count++] = value;
		return;
	case UART_IER:
		if (chip.lcr & LCR_DLAB)
			return;
		if (value & IER_TX && !(chip.ier & IER_TX) && chip.tx_count == 0)
			chip.thre_pending = true;
		chip.ier = value;
		return;
	case UART_FCR:
		chip.fcr = value;
		return;
	case UART_LCR:
		chip.lcr = value;
		return;
	case UART_MCR:
		chip.mcr = value;
		return;
	}
}

static u32 source(u8 *bytes, u32 count)
{
	u32 n = 0;

	while (n < count && to_send_at < to_send_count)
		bytes[n++] = to_send[to_send_at++];
	return n;
}

static bool source_waits(void)
{
	return to_send_at < to_send_count;
}

static bool sink(u8 byte)
{
	if (!sink_space)
		return false;
	sink_space--;
	received[received_count++] = byte;
	return true;
}

static bool sink_room(void)
{
	return sink_space > 0;
}

static struct uart setup(bool fifo)
{
	struct uart u = {BASE, 0, 0, chip_in, chip_out, source, source_waits, sink, sink_room};

	memset(&chip, 0, sizeof(chip));
	chip.fifo_works = fifo;
	sent_count = to_send_count = to_send_at = received_count = 0;
	sink_space = 1000000;
	CHECK(uart_start(&u));
	return u;
}

TEST(uart_setup)
{
	struct uart u = setup(true);

	CHECK_EQ(u.fifo, 16);
	CHECK_EQ(chip.divisor, 1);
	CHECK_EQ(chip.lcr, LCR_8N1);
	CHECK(chip.mcr & MCR_OUT2);
	u = setup(false);
	CHECK_EQ(u.fifo, 1);
}

static u8 absent_in(u16 port)
{
	(void)port;
	return 0xff;
}

TEST(uart_absent)
{
	struct uart u = {.base = BASE, .in = absent_in, .out = chip_out};

	CHECK(!uart_start(&u));
}

/* Bytes both ways with random pauses; after each service the line is low or nothing can be done. */
static void traffic(bool fifo)
{
	struct uart u = setup(fifo);
	u32 arrived = 0;
	u32 space = 0;

	sink_space = 0;
	for (int round = 0; round < 40000; round++) {
		switch (random() % 5) {
		case 0:
			for (long n = random() % 30; n > 0 && to_send_count < 60000;
				n--, to_send_count++)
				to_send[to_send_count] = (u8)(to_send_count * 7);
			break;
		case 1:
			if (chip.tx_count && --chip.tx_count == 0)
				chip.thre_pending = true;
			break;
		case 2:
			if (chip.rx_count < depth() && arrived < 60000)
				chip.rx[chip.rx_count++] = (u8)(arrived++ * 5);
			break;
		case 3:
			sink_space += (u32)random() % 3;
			space = sink_space;
			break;
		default:
			break;
		}
		uart_service(&u);
		CHECK(iir() & IIR_NONE);
		CHECK(chip.rx_count == 0 || sink_space == 0);
		CHECK(to_send_at == to_send_count || (chip.tx_count > 0 && chip.ier & IER_TX));
		CHECK(!!(chip.ier & IER_RX) == (sink_space > 0));
	}
	(void)space;
	CHECK_EQ(chip.lost, 0);
	CHECK(sent_count > 1000 && received_count > 1000);
	for (u32 i = 0; i < sent_count; i++)
		CHECK_EQ(sent[i], (u8)(i * 7));
	for (u32 i = 0; i < received_count; i++)
		CHECK_EQ(received[i], (u8)(i * 5));
}

TEST(uart_traffic_fifo)
{
	traffic(true);
}

TEST(uart_traffic_single)
{
	traffic(false);
}
