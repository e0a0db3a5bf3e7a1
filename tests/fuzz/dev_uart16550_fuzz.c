/* Fuzzes the serial port's registers with bytes from outside and a backend that is full at times.
 */
#include "guests/vmm/dev/uart16550.h"
#include "tests/fuzz/device_fuzz.h"

#define BASE 0x3f8u
#define LINE 4u

static void init(void *state)
{
	uart_init(state, BASE, LINE);
}

static void reset(struct machine *m, void *state)
{
	uart_reset(m, state);
}

static u32 read(struct machine *m, void *state, u8 where, unsigned size)
{
	return uart_read(m, state, BASE + where % UART_PORTS, size);
}

static void write(struct machine *m, void *state, u8 where, unsigned size, u32 value)
{
	uart_write(m, state, BASE + where % UART_PORTS, size, value);
}

static void fire(struct machine *m, void *state)
{
	uart_timer(m, state);
}

static void outside(struct machine *m, void *state, const struct fuzz_op *op)
{
	if (op->where & 1) {
		uart_receive(m, state, (u8)op->value);
		return;
	}
	m->room = op->value % 32;
	uart_backend_ready(m, state);
	require(!m->room || !uart_waiting(state));
}

static void check(struct machine *m, void *state)
{
	const struct uart *s = state;

	require(s->base == BASE && s->line == LINE);
	require(s->receive.count <= UART_FIFO && s->receive.first < UART_FIFO);
	require(s->transmit.count <= UART_FIFO && s->transmit.first < UART_FIFO);
	require(!!s->level == m->line[LINE]);
	/* a byte is taken only if there is room for it */
	require(!uart_can_receive(s) || s->receive.count < UART_FIFO);
}

static const struct fuzz_device device = {sizeof(struct uart), sizeof(struct uart), UART_MAGIC,
	UART_VERSION, MACHINE_TIMER_SERIAL, init, reset, read, write, fire, outside, check};

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	return fuzz_device(&device, data, size);
}
