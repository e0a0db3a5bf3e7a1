/* The driver domain of a 16550: serves one `serial` session. */
#include "drivers/lib/channel.h"
#include "drivers/lib/loop.h"
#include "drivers/lib/port.h"
#include "drivers/uart/uart.h"

#define POLL_US    10000ull   /* until the first interrupt has come */
#define CONTROL_US 1000000ull /* afterwards, against a lost one */

static struct channel channel;

static u32 source(u8 *bytes, u32 count)
{
	return channel_read(&channel, bytes, count);
}

static bool source_waits(void)
{
	return channel_waits(&channel);
}

static bool sink(u8 byte)
{
	return channel_write(&channel, &byte, 1) == 1;
}

static bool sink_room(void)
{
	return channel_room(&channel) > 0;
}

/* Returns the `serial` session that this program serves, or NULL. */
static const struct start_resource *find_session(const struct start_info *info)
{
	const struct start_resource *r;

	for (u32 i = 0; (r = start_find(info, START_SESSION, i)) != NULL; i++) {
		if (r->role == START_SERVER && strcmp(r->protocol, "serial") == 0)
			return r;
	}
	return NULL;
}

int main(struct start_info *info);

int main(struct start_info *info)
{
	const struct start_resource *ports = start_find(info, START_PORTS, 0);
	const struct start_resource *irq = start_find(info, START_IRQ, 0);
	const struct start_resource *session = find_session(info);
	struct uart uart = {
		.in = port_in8,
		.out = port_out8,
		.source = source,
		.source_waits = source_waits,
		.sink = sink,
		.sink_room = sink_room,
	};
	u64 wait = POLL_US;
	bool was_broken = false;

	if (!ports || !session) {
		log_line(!ports ? "no \"access\" to a serial port: nothing to do"
				: "nobody uses the serial port");
		return 0;
	}
	uart.base = (u16)ports->value;
	channel = channel_open(session);
	if (!uart_start(&uart)) {
		log_line("there is no 16550 at port %#x", uart.base);
		return 0;
	}
	log_line("16550 at port %#x, %s, FIFO of %u bytes", uart.base,
		irq ? "with interrupt" : "polled", uart.fifo);
	channel_signal(&channel);
	loop_open(info, NULL);
	for (;;) {
		u64 bits;

		loop_look_at(&channel, &was_broken);
		uart_service(&uart);
		bits = loop_wait(tsc_now() + tsc_from_us(info->tsc_hz, wait));
		if (irq && bits & BIT(irq->bit)) {
			sys_irq_ctl(irq->cap, IRQ_CTL_ACK);
			wait = CONTROL_US;
		}
	}
}
