/* The operator's console: output waits in a buffer of root's own, so that a slow console never
 * holds root up. */
#include "drivers/protocols/console.h"
#include "drivers/protocols/root.h"
#include "drivers/root/operator.h"
#include "drivers/root/prompt.h"

#define OUT_SIZE 32768u /* a power of two */
#define OUT_LEFT 4096u  /* of what a console that is gone has not shown, so much is shown again */

static struct console_session *rings;
static const struct session *session;
static bool up;
static char out[OUT_SIZE];
static u32 out_head;
static u32 out_tail;
static u32 out_lost;
static struct prompt prompt = {.print = operator_print, .command = command_run};

status_t operator_attach(struct session *s)
{
	status_t status = sys_mem_map(ROOT_CAP_DOMAIN, s->memory.cap, ROOT_SESSION, 0,
		s->memory.size, MAP_READ | MAP_WRITE);

	if (status == STATUS_OK) {
		rings = (struct console_session *)ROOT_SESSION;
		session = s;
	}
	return status;
}

static void signal_server(void)
{
	cap_t event = member[session->link->server].process.event;

	if (event != CAP_NULL)
		sys_event_signal(event, BIT(session->server.bit));
}

void operator_take_over(void)
{
	if (up || !session)
		return;
	sys_sys_ctl(ROOT_CAP_SYS, SYS_CTL_QUIET, 1, 0, 0, NULL);
	/* What the kernel has shown itself need not be shown again. */
	log_drain(false);
	log_shown();
	up = true;
}

/* Has the kernel show the last lines that the console did not: why it is gone stands there. */
static void show_rest(void)
{
	char line[ROOT_LOG_MAX];
	u32 n = 0;

	if (out_head - out_tail > OUT_LEFT)
		out_tail = out_head - OUT_LEFT;
	while (out_tail != out_head) {
		char c = out[out_tail++ % OUT_SIZE];

		if (c != '\n' && n < sizeof(line))
			line[n++] = c;
		if (c != '\n')
			continue;
		log_write(line, n);
		n = 0;
	}
}

void operator_give_up(void)
{
	if (!up)
		return;
	log_drain(true);
	up = false;
	sys_sys_ctl(ROOT_CAP_SYS, SYS_CTL_QUIET, 0, 0, 0, NULL);
	log_line("the console is gone: the log is shown here, and there is no prompt");
	show_rest();
}

bool operator_is_up(void)
{
	return up;
}

void operator_print(const char *text, u32 size)
{
	for (u32 i = 0; i < size; i++) {
		if (out_head - out_tail == OUT_SIZE) {
			out_lost += size - i;
			return;
		}
		out[out_head++ % OUT_SIZE] = text[i];
	}
}

void operator_printf(const char *text, ...)
{
	char line[256];
	va_list args;
	int n;

	va_start(args, text);
	n = format_list(line, sizeof(line), text, args);
	va_end(args);
	operator_print(line, n < (int)sizeof(line) ? (u32)n : sizeof(line) - 1);
}

void operator_log(const char *text, u32 size)
{
	/* The other half is for answers; what is lost here is still in the recent log. */
	if (out_head - out_tail > OUT_SIZE / 2) {
		out_lost += size;
		return;
	}
	prompt_hide(&prompt);
	operator_print(text, size);
	prompt_show(&prompt);
}

/* Moves what fits from the buffer to the ring; true if anything went. */
static bool flush_once(void)
{
	u32 before = out_tail;
	u32 went = 1;

	while (out_tail != out_head && went > 0) {
		u32 n = OUT_SIZE - out_tail % OUT_SIZE;

		if (n > out_head - out_tail)
			n = out_head - out_tail;
		went = ring_write(
			&rings->to_server.ring, CONSOLE_RING_SIZE, &out[out_tail % OUT_SIZE], n);
		out_tail += went;
	}
	return out_tail != before;
}

static bool flush(void)
{
	bool moved = flush_once();

	if (out_lost && out_head - out_tail < OUT_SIZE / 2) {
		operator_printf("\n[%u bytes lost]\n", out_lost);
		out_lost = 0;
	}
	return moved;
}

void operator_run(void)
{
	u8 typed[64];
	u32 n;
	bool moved = false;
	bool broken_in;
	bool broken_out;

	if (!up)
		return;
	ring_used(&rings->to_client.ring, CONSOLE_RING_SIZE, &broken_in);
	ring_used(&rings->to_server.ring, CONSOLE_RING_SIZE, &broken_out);
	if (broken_in || broken_out) {
		supervise_console();
		return;
	}
	while ((n = ring_read(&rings->to_client.ring, CONSOLE_RING_SIZE, typed, sizeof(typed))) >
		0) {
		moved = true;
		for (u32 i = 0; i < n; i++)
			prompt_byte(&prompt, typed[i]);
	}
	moved |= flush();
	if (moved)
		signal_server();
}

bool operator_is_drained(void)
{
	bool broken;

	if (!up)
		return true;
	return out_head == out_tail &&
	       ring_used(&rings->to_server.ring, CONSOLE_RING_SIZE, &broken) == 0;
}
