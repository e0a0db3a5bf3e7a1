/* The 16550. */
#include "drivers/uart/uart.h"
#include "drivers/uart/uart16550.h"

/* A port that never comes to rest is broken; it is looked at again at the next interrupt or poll.
 */
#define ROUNDS_MAX 4096

static u8 get(const struct uart *u, u16 reg)
{
	return u->in((u16)(u->base + reg));
}

static void set(const struct uart *u, u16 reg, u8 value)
{
	u->out((u16)(u->base + reg), value);
}

bool uart_start(struct uart *u)
{
	if (get(u, UART_LSR) == LSR_NONE)
		return false;
	set(u, UART_IER, 0);
	set(u, UART_LCR, LCR_DLAB);
	set(u, UART_DLL, UART_DIVISOR_115K);
	set(u, UART_DLM, 0);
	set(u, UART_LCR, LCR_8N1);
	set(u, UART_FCR, FCR_ENABLE | FCR_CLEAR_RX | FCR_TRIGGER_8);
	u->fifo = (get(u, UART_IIR) & IIR_FIFO_MASK) == IIR_FIFO_MASK ? UART_FIFO_SIZE : 1;
	set(u, UART_MCR, MCR_DTR | MCR_RTS | MCR_OUT2);
	u->ier = 0;
	return true;
}

/* Sends a FIFO's worth; the transmitter is empty. */
static void send(struct uart *u)
{
	u8 bytes[UART_FIFO_SIZE];
	u32 n = u->source(bytes, u->fifo);

	for (u32 i = 0; i < n; i++)
		set(u, UART_THR, bytes[i]);
}

void uart_service(struct uart *u)
{
	u8 ier;

	/*
	 * The interrupt line is an edge: it must have been low once before the next can come. So
	 * this goes on until IIR says that nothing is pending, with every source that stays pending
	 * switched off in IER.
	 */
	for (int round = 0; round < ROUNDS_MAX; round++) {
		u8 lsr = get(u, UART_LSR);

		if (lsr & LSR_DR && u->sink_room()) {
			u->sink(get(u, UART_RBR));
			continue;
		}
		if (lsr & LSR_THRE && u->source_waits()) {
			send(u);
			continue;
		}
		ier = (u->sink_room() ? IER_RX : 0) | (u->source_waits() ? IER_TX : 0);
		if (ier != u->ier) {
			u->ier = ier;
			set(u, UART_IER, ier);
		}
		if (get(u, UART_IIR) & IIR_NONE)
			return;
	}
}
