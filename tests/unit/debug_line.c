/* A debugger's line on the fake host. */
#include "tests/unit/debug_line.h"
#include "guests/vmm/debug/debug.h"
#include "guests/vmm/debug/gdb.h"
#include "guests/vmm/smp.h"

#define LINE_MAX 8192

struct console_session line_session;
static const struct start_resource resource = {.address = (u64)&line_session,
	.size = sizeof(line_session),
	.cap = 9,
	.value = 1,
	.bit = 3};

static void open(bool wait)
{
	memset(&line_session, 0, sizeof(line_session));
	CHECK(gdb_open(&host_machine, &resource, wait));
}

void line_open(void)
{
	open(false);
}

void line_open_waiting(void)
{
	open(true);
}

struct vcpu *line_setup(u32 vcpus)
{
	struct vcpu *v = host_setup_smp(false, vcpus);

	line_open();
	v->run->valid = GROUP_ALL_REG;
	return v;
}

void line_send(const char *bytes, u32 count)
{
	CHECK_EQ(ring_write(&line_session.to_client.ring, CONSOLE_RING_SIZE, bytes, count), count);
}

void line_packet(const char *text)
{
	char end[4];
	u8 sum = 0;

	for (const char *p = text; *p; p++)
		sum = (u8)(sum + (u8)*p);
	snprintf(end, sizeof(end), "#%02x", sum);
	line_send("$", 1);
	line_send(text, (u32)strlen(text));
	line_send(end, 3);
}

void line_hold(void)
{
	struct machine *m = &host_machine;

	for (u32 i = 0; i < m->vcpus; i++) {
		if (debug_wanted(&m->vcpu[i]) && !(m->debug.held & BIT(i)))
			debug_park(&m->vcpu[i]);
	}
	gdb_attend(m);
}

void line_leave(struct vcpu *v)
{
	CHECK(v->debug.action != DEBUG_STAY);
	v->pause = false;
	debug_leave(v);
}

char *line_answer(void)
{
	static char text[LINE_MAX];
	u32 count =
		ring_read(&line_session.to_server.ring, CONSOLE_RING_SIZE, text, sizeof(text) - 1);

	text[count] = 0;
	return text;
}

/* Cuts the data out of `text`, which may begin with an acknowledgement, and checks the sum. */
static char *data_of(char *text)
{
	char *start = strchr(text, '$');
	char *end = start ? strchr(start, '#') : NULL;
	u8 sum = 0;

	if (!end)
		return "";
	for (const char *p = start + 1; p < end; p++)
		sum = (u8)(sum + (u8)*p);
	CHECK_EQ(sum, strtoul(end + 1, NULL, 16));
	*end = 0;
	return start + 1;
}

char *line_ask(const char *text)
{
	char *answer;

	line_packet(text);
	gdb_attend(&host_machine);
	answer = line_answer();
	CHECK(*answer == '+');
	return data_of(answer);
}

char *line_data(void)
{
	return data_of(line_answer());
}

char *line_next(void)
{
	line_hold();
	return line_data();
}

bool line_attach(void)
{
	line_packet("?");
	gdb_attend(&host_machine);
	line_hold();
	return strcmp(line_data(), "T02thread:1;") == 0;
}
