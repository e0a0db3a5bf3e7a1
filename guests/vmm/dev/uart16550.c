/* 16550A: see uart16550.h. */
#include "guests/vmm/dev/uart16550.h"

#define START_BIT      1
#define SHORTEST       5 /* data bits */
#define TIMEOUT_CHARS  4
#define DIVISOR_MODULO 0x10000u
#define BYTE           8
#define DELTA_MASK     (UART_MSR_DCTS | UART_MSR_DDSR | UART_MSR_TERI | UART_MSR_DDCD)

static const u8 triggers[4] = {1, 4, 8, 14};

static void push(struct uart_fifo *f, u8 byte)
{
	if (f->count >= UART_FIFO)
		return;
	f->data[(f->first + f->count) % UART_FIFO] = byte;
	f->count++;
}

static u8 pop(struct uart_fifo *f)
{
	u8 byte = f->data[f->first % UART_FIFO];

	if (f->count == 0)
		return 0;
	f->first = (f->first + 1) % UART_FIFO;
	f->count--;
	return byte;
}

static bool has_fifo(const struct uart *s)
{
	return s->fcr & UART_FCR_ENABLE;
}

static bool is_looped(const struct uart *s)
{
	return s->mcr & UART_MCR_LOOP;
}

static u8 trigger(const struct uart *s)
{
	return has_fifo(s) ? triggers[(s->fcr & UART_FCR_TRIGGER) >> UART_FCR_SHIFT] : 1;
}

/* Returns the identification of the interrupt with the highest priority (table IV). */
static u8 interrupt_id(const struct uart *s)
{
	if (s->ier & UART_IER_LSR && (s->overrun || s->break_latch))
		return UART_IIR_LSR;
	if (s->ier & UART_IER_RDA && s->receive.count >= trigger(s))
		return UART_IIR_RDA;
	if (s->ier & UART_IER_RDA && s->timeout && s->receive.count)
		return UART_IIR_TIMEOUT;
	if (s->ier & UART_IER_THRE && s->thre_latch)
		return UART_IIR_THRE;
	if (s->ier & UART_IER_MSR && s->delta)
		return UART_IIR_MSR;
	return UART_IIR_NONE;
}

/* On a PC the pin OUT2 gates the interrupt; in loopback mode the pin is inactive. */
static void update(struct machine *m, struct uart *s)
{
	bool level = interrupt_id(s) != UART_IIR_NONE && s->mcr & UART_MCR_OUT2 && !is_looped(s);

	if (level == s->level)
		return;
	s->level = level;
	machine_line(m, s->line, level);
}

static u64 character_ns(const struct uart *s)
{
	u64 bits = START_BIT + SHORTEST + (s->lcr & UART_LCR_LENGTH) + 1;

	if (s->lcr & UART_LCR_STOP)
		bits++;
	if (s->lcr & UART_LCR_PARITY)
		bits++;
	return bits * (s->divisor ? s->divisor : DIVISOR_MODULO) * DEVICE_NS_PER_SECOND /
	       UART_CLOCK;
}

/* The time-out counts from the last byte that came in or was read. */
static void restart_timeout(struct machine *m, struct uart *s)
{
	bool wanted = has_fifo(s) && s->receive.count && s->receive.count < trigger(s);

	s->timeout = 0;
	machine_arm(m, MACHINE_TIMER_SERIAL,
		wanted ? machine_now(m) + TIMEOUT_CHARS * character_ns(s) : MACHINE_NEVER);
}

void uart_timer(struct machine *m, struct uart *s)
{
	s->timeout = s->receive.count != 0;
	update(m, s);
}

static void receive(struct machine *m, struct uart *s, u8 byte)
{
	u8 room = has_fifo(s) ? UART_FIFO : 1;

	if (s->receive.count >= room) {
		s->overrun = 1;
		if (!has_fifo(s))
			s->receive.data[s->receive.first % UART_FIFO] = byte;
	} else {
		push(&s->receive, byte);
	}
	restart_timeout(m, s);
}

bool uart_can_receive(const struct uart *s)
{
	return !is_looped(s) && s->receive.count < (has_fifo(s) ? UART_FIFO : 1);
}

void uart_receive(struct machine *m, struct uart *s, u8 byte)
{
	if (is_looped(s))
		return;
	receive(m, s, byte);
	update(m, s);
}

/* Sends what waits as far as the backend takes it. */
static void drain(struct machine *m, struct uart *s)
{
	if (s->transmit.count == 0)
		return;
	while (s->transmit.count &&
		machine_console_put(m, s->transmit.data[s->transmit.first % UART_FIFO]))
		pop(&s->transmit);
	if (s->transmit.count == 0)
		s->thre_latch = 1;
}

void uart_backend_ready(struct machine *m, struct uart *s)
{
	drain(m, s);
	update(m, s);
}

bool uart_waiting(const struct uart *s)
{
	return s->transmit.count != 0;
}

static void write_thr(struct machine *m, struct uart *s, u8 byte)
{
	s->thre_latch = 0;
	if (is_looped(s)) {
		receive(m, s, byte);
		s->thre_latch = s->transmit.count == 0;
		return;
	}
	push(&s->transmit, byte);
	drain(m, s);
}

static u8 modem_status(const struct uart *s)
{
	if (!is_looped(s))
		return UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD;
	return (u8)((s->mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) |
		    (s->mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
		    (s->mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) |
		    (s->mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0));
}

static void write_mcr(struct uart *s, u8 value)
{
	u8 before = modem_status(s);
	u8 changed;

	s->mcr = value & UART_MCR_MASK;
	changed = before ^ modem_status(s);
	if (changed & UART_MSR_CTS)
		s->delta |= UART_MSR_DCTS;
	if (changed & UART_MSR_DSR)
		s->delta |= UART_MSR_DDSR;
	if (changed & before & UART_MSR_RI) /* the trailing edge only */
		s->delta |= UART_MSR_TERI;
	if (changed & UART_MSR_DCD)
		s->delta |= UART_MSR_DDCD;
}

/* The transmit FIFO cannot be cleared: what is in it counts as sent. */
static void write_fcr(struct machine *m, struct uart *s, u8 value)
{
	bool changes = (value ^ s->fcr) & UART_FCR_ENABLE;

	s->fcr = value & UART_FCR_ENABLE ? value & UART_FCR_KEPT : 0;
	if (changes || value & UART_FCR_CLEAR_RX)
		s->receive.count = 0;
	restart_timeout(m, s);
}

static void write_ier(struct uart *s, u8 value)
{
	bool enables = value & ~s->ier & UART_IER_THRE;

	s->ier = value & UART_IER_MASK;
	if (enables && s->transmit.count == 0)
		s->thre_latch = 1;
}

static void write_lcr(struct machine *m, struct uart *s, u8 value)
{
	bool breaks = value & ~s->lcr & UART_LCR_BREAK;

	s->lcr = value;
	if (!breaks || !is_looped(s))
		return;
	s->break_latch = 1;
	receive(m, s, 0);
}

static u8 read_lsr(struct uart *s)
{
	u8 value = 0;

	if (s->receive.count)
		value |= UART_LSR_DR;
	if (s->overrun)
		value |= UART_LSR_OE;
	if (s->break_latch)
		value |= UART_LSR_BI;
	if (s->transmit.count == 0)
		value |= UART_LSR_THRE | UART_LSR_TEMT;
	s->overrun = 0;
	s->break_latch = 0;
	return value;
}

static u8 read_iir(struct uart *s)
{
	u8 id = interrupt_id(s);

	if (id == UART_IIR_THRE)
		s->thre_latch = 0;
	return has_fifo(s) ? id | UART_IIR_FIFO : id;
}

static u8 read_data(struct machine *m, struct uart *s)
{
	u8 byte;

	if (s->lcr & UART_LCR_DLAB)
		return (u8)s->divisor;
	byte = pop(&s->receive);
	restart_timeout(m, s);
	return byte;
}

static u8 read_msr(struct uart *s)
{
	u8 value = modem_status(s) | s->delta;

	s->delta = 0;
	return value;
}

static u8 read_byte(struct machine *m, struct uart *s, unsigned offset)
{
	switch ((enum uart_register)offset) {
	case UART_DATA:
		return read_data(m, s);
	case UART_IER:
		return s->lcr & UART_LCR_DLAB ? (u8)(s->divisor >> BYTE) : s->ier;
	case UART_IIR:
		return read_iir(s);
	case UART_LCR:
		return s->lcr;
	case UART_MCR:
		return s->mcr;
	case UART_LSR:
		return read_lsr(s);
	case UART_MSR:
		return read_msr(s);
	case UART_SCR:
		return s->scr;
	}
	return DEVICE_NOTHING;
}

static void write_byte(struct machine *m, struct uart *s, unsigned offset, u8 value)
{
	bool dlab = s->lcr & UART_LCR_DLAB;

	switch ((enum uart_register)offset) {
	case UART_DATA:
		if (dlab)
			s->divisor = (u16)((s->divisor & ~0xffu) | value);
		else
			write_thr(m, s, value);
		break;
	case UART_IER:
		if (dlab)
			s->divisor = (u16)((s->divisor & 0xffu) | (u32)value << BYTE);
		else
			write_ier(s, value);
		break;
	case UART_FCR:
		write_fcr(m, s, value);
		break;
	case UART_LCR:
		write_lcr(m, s, value);
		break;
	case UART_MCR:
		write_mcr(s, value);
		break;
	case UART_LSR: /* read-only */
	case UART_MSR:
		break;
	case UART_SCR:
		s->scr = value;
		break;
	}
}

u32 uart_read(struct machine *m, struct uart *s, u16 port, unsigned size)
{
	u32 value = 0;

	for (unsigned i = 0; i < size; i++) {
		u16 offset = (u16)(port + i - s->base);
		u8 byte = offset < UART_PORTS ? read_byte(m, s, offset) : DEVICE_NOTHING;

		value |= (u32)byte << i * BYTE;
	}
	update(m, s);
	return value;
}

void uart_write(struct machine *m, struct uart *s, u16 port, unsigned size, u32 value)
{
	for (unsigned i = 0; i < size; i++) {
		u16 offset = (u16)(port + i - s->base);

		if (offset < UART_PORTS)
			write_byte(m, s, offset, (u8)(value >> i * BYTE));
	}
	update(m, s);
}

void uart_init(struct uart *s, u16 base, u8 line)
{
	*s = (struct uart){
		.header = device_header(UART_MAGIC, UART_VERSION, sizeof(*s)),
		.base = base,
		.line = line,
		.divisor = UART_DIVISOR_9600,
	};
}

/* Master reset (table I); bytes that wait for the backend still go out. */
void uart_reset(struct machine *m, struct uart *s)
{
	struct uart_fifo transmit = s->transmit;

	uart_init(s, s->base, s->line);
	s->transmit = transmit;
	machine_line(m, s->line, false);
	machine_arm(m, MACHINE_TIMER_SERIAL, MACHINE_NEVER);
}
