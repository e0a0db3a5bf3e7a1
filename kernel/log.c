/*
 * The log: lines in a ring; until root takes over also on the serial port and the screen, and again
 * in a panic.
 */
#include <stdarg.h>
#include "kernel/kernel.h"

#define LOG_SIZE    16384u
#define LINE_MAX    256u
#define COM1        0x3f8
#define UART_LSR    5 /* register offsets of a 16550 */
#define UART_LCR    3
#define UART_FCR    2
#define UART_MCR    4
#define UART_IER    1
#define LSR_THRE    BIT(5)
#define UART_ABSENT 0xff

static char ring[LOG_SIZE];
static u64 head;
static u64 read_at;
static struct spinlock lock;
static bool quiet_now;
static bool uart_present;
static struct slot log_event;

void log_init(void)
{
	uart_present = in8(COM1 + UART_LSR) != UART_ABSENT;
	if (!uart_present)
		return;
	out8(COM1 + UART_IER, 0);
	out8(COM1 + UART_LCR, 0x80); /* DLAB */
	out8(COM1, 1);               /* 115200 */
	out8(COM1 + 1, 0);
	out8(COM1 + UART_LCR, 3); /* 8N1 */
	out8(COM1 + UART_FCR, 7);
	out8(COM1 + UART_MCR, 3);
}

static void put_device(char c)
{
	if (uart_present) {
		if (c == '\n')
			put_device('\r');
		for (unsigned i = 0; i < 100000 && !(in8(COM1 + UART_LSR) & LSR_THRE); i++)
			cpu_pause();
		out8(COM1, (u8)c);
	}
	if (c != '\r')
		screen_put(c);
}

struct line {
	char *text;
	size_t used;
	size_t max;
};

static void put(struct line *l, char c)
{
	if (l->used < l->max)
		l->text[l->used++] = c;
}

static void put_number(struct line *l, u64 n, unsigned base, unsigned width, char pad)
{
	char digits[24];
	unsigned count = 0;

	do {
		digits[count++] = "0123456789abcdef"[n % base];
		n /= base;
	} while (n);
	while (width > count) {
		put(l, pad);
		width--;
	}
	while (count)
		put(l, digits[--count]);
}

/* %s %u %x with width, zero padding, l and ll, and %% */
static void format_text(struct line *l, const char *f, va_list args)
{
	for (; *f; f++) {
		char pad = ' ';
		unsigned width = 0;
		unsigned longs = 0;
		const char *s;

		if (*f != '%') {
			put(l, *f);
			continue;
		}
		f++;
		if (*f == '0')
			pad = '0';
		while (*f >= '0' && *f <= '9')
			width = width * 10 + (unsigned)(*f++ - '0');
		while (*f == 'l' || *f == 'z') {
			longs++;
			f++;
		}
		switch (*f) {
		case 's':
			for (s = va_arg(args, const char *); *s; s++)
				put(l, *s);
			break;
		case 'u':
		case 'x':
			put_number(l, longs ? va_arg(args, u64) : va_arg(args, u32),
				*f == 'u' ? 10 : 16, width, pad);
			break;
		default:
			put(l, *f);
		}
	}
}

static void put_prefix(struct line *l, const char *domain)
{
	u64 us = boot && boot->tsc_hz
			 ? rdtsc() / (boot->tsc_hz / 1000000 ? boot->tsc_hz / 1000000 : 1)
			 : 0;

	put(l, '[');
	put_number(l, us / 1000000, 10, 5, ' ');
	put(l, '.');
	put_number(l, us % 1000000, 10, 6, '0');
	put(l, ' ');
	put_number(l, cpu_count ? cpu_self()->index : 0, 10, 1, ' ');
	put(l, ' ');
	while (*domain)
		put(l, *domain++);
	put(l, ']');
	put(l, ' ');
}

void log_wake(void)
{
	event_set_slot(&log_event, ~0ull);
}

static void emit(struct line *l)
{
	spin_lock(&lock);
	for (size_t i = 0; i < l->used; i++) {
		ring[head++ % LOG_SIZE] = l->text[i];
		if (!quiet_now)
			put_device(l->text[i]);
	}
	spin_unlock(&lock);
	log_wake();
}

void log_line(const char *format, ...)
{
	char text[LINE_MAX];
	struct line l = {text, 0, LINE_MAX - 1};
	va_list args;

	put_prefix(&l, "kernel");
	va_start(args, format);
	format_text(&l, format, args);
	va_end(args);
	l.max = LINE_MAX;
	put(&l, '\n');
	emit(&l);
}

void log_raw(const char *from, size_t n, const char *domain)
{
	char text[LINE_MAX + 64];
	struct line l = {text, 0, sizeof(text) - 1};

	put_prefix(&l, domain);
	for (size_t i = 0; i < n; i++)
		put(&l, from[i] >= ' ' && from[i] < 127 ? from[i] : '?');
	l.max = sizeof(text);
	put(&l, '\n');
	emit(&l);
}

void log_text_v(const char *format, va_list args)
{
	char text[LINE_MAX];
	struct line l = {text, 0, LINE_MAX};

	format_text(&l, format, args);
	for (size_t i = 0; i < l.used; i++)
		put_device(text[i]);
}

void log_text(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_text_v(format, args);
	va_end(args);
}

size_t log_read(u8 *to, size_t max)
{
	size_t n = 0;

	spin_lock(&lock);
	if (head - read_at > LOG_SIZE)
		read_at = head - LOG_SIZE;
	while (n < max && read_at < head)
		to[n++] = (u8)ring[read_at++ % LOG_SIZE];
	spin_unlock(&lock);
	return n;
}

void log_quiet(bool quiet)
{
	quiet_now = quiet;
}

void log_bind(const struct cap *event)
{
	static struct spinlock binding; /* not `lock`: clearing a slot may take long */

	spin_lock(&binding);
	slot_clear(&log_event);
	slot_set(&log_event, event->obj, KIND_EVENT, event->rights, event->data);
	spin_unlock(&binding);
}

void log_tail(void)
{
	u64 from = head > 1024 ? head - 1024 : 0;

	while (from < head && from > 0 && ring[from % LOG_SIZE] != '\n')
		from++;
	if (from)
		from++; /* behind the line that is cut */
	for (; from < head; from++)
		put_device(ring[from % LOG_SIZE]);
}
