/*
 * The log: lines in a ring; until root takes over also on the serial port and the screen, and again
 * in a panic.
 */
#include <stdarg.h>
#include "kernel/kernel.h"

#define LOG_SIZE 16384u
#define TAIL     1024u /* that a panic shows again */
#define COM1     0x3f8 /* a 16550, which the loader has set up; reads are all ones without one */
#define UART_LSR 5
#define LSR_THRE BIT(5)

static char ring[LOG_SIZE];
static u64 head;
static u64 read_at;
static struct spinlock lock;
static bool quiet_now;
static struct slot log_event;

static void put_device(char c)
{
	if (c == '\n')
		put_device('\r');
	for (unsigned i = 0; i < 100000 && !(in8(COM1 + UART_LSR) & LSR_THRE); i++)
		cpu_pause();
	out8(COM1, (u8)c);
	if (c != '\r')
		screen_put(c);
}

static void put(char c)
{
	ring[head++ % LOG_SIZE] = c;
	if (!quiet_now)
		put_device(c);
}

static void put_number(u64 n, unsigned base, unsigned width, char pad)
{
	char digits[24];
	unsigned count = 0;

	do {
		digits[count++] = "0123456789abcdef"[n % base];
		n /= base;
	} while (n);
	for (; width > count; width--)
		put(pad);
	while (count)
		put(digits[--count]);
}

/* %s %u %x %lu %lx, numbers with width and zero padding, and %% */
void log_text_v(const char *f, va_list args)
{
	for (; *f; f++) {
		unsigned width = 0;
		bool is_long;
		char pad;

		if (*f != '%') {
			put(*f);
			continue;
		}
		f++;
		pad = *f == '0' ? '0' : ' ';
		for (; *f >= '0' && *f <= '9'; f++)
			width = width * 10 + (unsigned)(*f - '0');
		is_long = *f == 'l';
		f += is_long;
		switch (*f) {
		case 's':
			for (const char *s = va_arg(args, const char *); *s; s++)
				put(*s);
			break;
		case 'u':
		case 'x':
			put_number(is_long ? va_arg(args, u64) : va_arg(args, u32),
				*f == 'u' ? 10 : 16, width, pad);
			break;
		default:
			put(*f);
		}
	}
}

void log_text(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_text_v(format, args);
	va_end(args);
}

void log_wake(void)
{
	event_set_slot(&log_event, ~0ull);
}

static void line_begin(const char *domain)
{
	u64 us;

	spin_lock(&lock);
	us = rdtsc() / (boot->tsc_hz / 1000000);
	log_text("[%5lu.%06lu %u %s] ", us / 1000000, us % 1000000,
		cpu_count ? cpu_self()->index : 0, domain);
}

static void line_end(void)
{
	put('\n');
	spin_unlock(&lock);
	log_wake();
}

void log_line(const char *format, ...)
{
	va_list args;

	line_begin("kernel");
	va_start(args, format);
	log_text_v(format, args);
	va_end(args);
	line_end();
}

void log_raw(const char *text, size_t n, const char *domain)
{
	line_begin(domain);
	for (size_t i = 0; i < n; i++) {
		char c = ((const volatile char *)text)[i]; /* ring 3 may be writing there */

		put(c >= ' ' && c < 127 ? c : '?');
	}
	line_end();
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
	u64 end = head;
	u64 from = end > TAIL ? end - TAIL : 0;

	log_text("\n--- last log lines\n");
	if (from) /* behind the line that is cut */
		while (from < end && ring[from++ % LOG_SIZE] != '\n')
			;
	for (; from < end; from++)
		put_device(ring[from % LOG_SIZE]);
}
