/*
 * The machine's log as root handles it. Every line, root's own and the programs', goes into the
 * kernel's log first, so that there is one order; root reads it back, keeps the recent part and
 * shows it on the operator's console.
 */
#include "drivers/protocols/display.h"
#include "drivers/protocols/root.h"
#include "drivers/root/machine.h"
#include "drivers/root/operator.h"

#define RECENT_SIZE  32768u /* a power of two */
#define RECENT_SHOWN 16384u

static char recent[RECENT_SIZE];
static u64 recent_head; /* bytes ever written */
static u64 shown_head;  /* what the kernel has shown itself ends here */
static cap_t log_event;

/* Writes `size` bytes that lie in the message page as a line of the log. */
static void write_message(size_t size)
{
	sys_sys_ctl(ROOT_CAP_SYS, SYS_CTL_LOG_WRITE, 0, size, 0, NULL);
}

void log_write(const char *line, size_t size)
{
	memcpy(message, line, size);
	write_message(size);
}

void log_program(const char *name, const char *text, size_t size)
{
	char line[256];
	int n = format(line, sizeof(line), "%s: %.*s", name, (int)size, text);

	log_write(line, n < (int)sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

void log_start(void)
{
	status_t s = event_new(ROOT_CAP_DOMAIN, main_thread, BIT(ROOT_BIT_LOG), &log_event);

	if (s == STATUS_OK)
		s = sys_sys_ctl(ROOT_CAP_SYS, SYS_CTL_LOG_EVENT, log_event, 0, 0, NULL);
	if (s != STATUS_OK)
		log_line("the kernel's log cannot be followed: %s", status_text(s));
}

void log_drain(bool forward)
{
	struct syscall_out out;

	for (;;) {
		const char *text = message;

		if (sys_sys_ctl(ROOT_CAP_SYS, SYS_CTL_LOG_READ, 0, 0, 0, &out) != STATUS_OK)
			return;
		if (out.rdi == 0 || out.rdi > PAGE_SIZE)
			return;
		for (u64 i = 0; i < out.rdi; i++)
			recent[recent_head++ % RECENT_SIZE] = text[i];
		if (forward)
			operator_log(text, (u32)out.rdi);
	}
}

void log_shown(void)
{
	shown_head = recent_head;
}

void log_leave(const struct memory *state)
{
	u64 from = recent_head > RECENT_SIZE ? recent_head - RECENT_SIZE : 0;
	struct display_state *d;

	if (shown_head - from > DISPLAY_LOG)
		from = shown_head - DISPLAY_LOG;
	d = from < shown_head ? memory_open_part(state, ALIGN_UP(sizeof(*d), PAGE_SIZE)) : NULL;
	if (!d)
		return;
	while (from < shown_head)
		d->log[d->log_size++] = recent[from++ % RECENT_SIZE];
	memory_close();
}

void log_recent(void (*print)(const char *text, u32 size))
{
	u64 at = recent_head > RECENT_SHOWN ? recent_head - RECENT_SHOWN : 0;

	/* The oldest line may be cut: begin behind it. */
	while (at > 0 && at < recent_head && recent[at++ % RECENT_SIZE] != '\n')
		;
	while (at < recent_head) {
		u64 n = RECENT_SIZE - at % RECENT_SIZE;

		if (n > recent_head - at)
			n = recent_head - at;
		print(&recent[at % RECENT_SIZE], (u32)n);
		at += n;
	}
}
