/* Commands of the remote serial protocol (GDB manual, appendix E.2 to E.4), all vCPUs held. */
#include "debug.h"
#include "gdb.h"
#include "guests/vmm/smp.h"
#include "guests/vmm/vcpu.h"

#define SIGINT      2
#define SIGTRAP     5
#define SIGABRT     6
#define ERROR_ARGS  "E16" /* EINVAL */
#define ERROR_FAULT "E0e" /* EFAULT */
#define READ_MAX    ((GDB_PACKET_MAX - 8) / 2)
#define INFO_MAX    40

struct command {
	const char *name; /* how the packet begins */
	void (*run)(struct machine *m, const char *rest);
};

static struct gdb_reply *out(struct machine *m)
{
	return &m->debug.out;
}

static void say(struct machine *m, const char *text)
{
	gdb_put_text(out(m), text);
}

static struct vcpu *current(struct machine *m)
{
	return &m->vcpu[m->debug.thread];
}

/* Moves over `text` at *at; false: it is not there. */
static bool take(const char **at, const char *text)
{
	size_t length = strlen(text);

	if (strncmp(*at, text, length) != 0)
		return false;
	*at += length;
	return true;
}

/* A thread's number to a vCPU's index; -1 and 0: any, which gives DEBUG_ALL. */
static bool take_thread(struct machine *m, const char **at, u32 *index)
{
	u64 number;

	*index = DEBUG_ALL;
	if (take(at, "-1"))
		return true;
	if (!gdb_number(at, &number) || number > m->vcpus)
		return false;
	if (number)
		*index = (u32)number - 1;
	return true;
}

/* ADDRESS,LENGTH */
static bool take_range(const char **at, u64 *address, u64 *length)
{
	return gdb_number(at, address) && take(at, ",") && gdb_number(at, length);
}

void gdb_stop_reply(struct machine *m, u32 index)
{
	const struct debug_vcpu *d = &m->vcpu[index].debug;
	struct gdb_reply *r = out(m);
	u8 signal = d->why == DEBUG_WHY_NONE     ? SIGINT
		    : d->why == DEBUG_WHY_FAILED ? SIGABRT
						 : SIGTRAP;

	say(m, "T");
	gdb_put_hex(r, &signal, 1);
	if (d->why == DEBUG_WHY_SOFT) {
		say(m, "swbreak:;");
	} else if (d->why == DEBUG_WHY_HARD && d->point.type == DEBUG_EXEC) {
		say(m, "hwbreak:;");
	} else if (d->why == DEBUG_WHY_HARD) {
		say(m, d->point.type == DEBUG_WRITE ? "watch:" : "awatch:");
		gdb_put_number(r, d->point.linear);
		say(m, ";");
	}
	say(m, "thread:");
	gdb_put_number(r, index + 1);
	say(m, ";");
}

static void why_stopped(struct machine *m, const char *rest)
{
	(void)rest;
	gdb_stop_reply(m, m->debug.thread);
}

static void read_all(struct machine *m, const char *rest)
{
	(void)rest;
	for (u32 i = 0; i < GDB_REGISTERS; i++) {
		u8 value[GDB_REGISTER_SIZE];

		gdb_put_hex(out(m), value, gdb_register_read(current(m), i, value));
	}
}

static void write_all(struct machine *m, const char *rest)
{
	for (u32 i = 0; i < GDB_REGISTERS && *rest; i++) {
		u8 value[GDB_REGISTER_SIZE];
		u32 size = gdb_register_read(current(m), i, value);

		if (!gdb_bytes(&rest, value, size)) {
			say(m, ERROR_ARGS);
			return;
		}
		gdb_register_write(current(m), i, value); /* what cannot be changed stays */
	}
	say(m, "OK");
}

static void read_one(struct machine *m, const char *rest)
{
	u8 value[GDB_REGISTER_SIZE];
	u64 number;
	u32 size = 0;

	if (gdb_number(&rest, &number) && number < GDB_REGISTERS)
		size = gdb_register_read(current(m), (u32)number, value);
	if (size)
		gdb_put_hex(out(m), value, size);
	else
		say(m, ERROR_ARGS);
}

static void write_one(struct machine *m, const char *rest)
{
	u8 value[GDB_REGISTER_SIZE];
	u64 number;
	bool good = gdb_number(&rest, &number) && take(&rest, "=") && number < GDB_REGISTERS;

	good = good && gdb_bytes(&rest, value, gdb_register_read(current(m), (u32)number, value)) &&
	       gdb_register_write(current(m), (u32)number, value);
	say(m, good ? "OK" : ERROR_ARGS);
}

static void read_memory(struct machine *m, const char *rest)
{
	static u8 data[READ_MAX];
	u64 address, length;
	u32 count;

	if (!take_range(&rest, &address, &length)) {
		say(m, ERROR_ARGS);
		return;
	}
	count = debug_read(
		current(m), address, data, length < READ_MAX ? (u32)length : (u32)READ_MAX);
	if (count || !length)
		gdb_put_hex(out(m), data, count);
	else
		say(m, ERROR_FAULT);
}

static void write_memory(struct machine *m, const char *rest)
{
	static u8 data[READ_MAX];
	u64 address, length;

	if (!take_range(&rest, &address, &length) || !take(&rest, ":") || length > READ_MAX ||
		!gdb_bytes(&rest, data, (u32)length))
		say(m, ERROR_ARGS);
	else
		say(m, debug_write(current(m), address, data, (u32)length) == length ? "OK"
										     : ERROR_FAULT);
}

/* Bytes as they are, escaped. */
static void write_binary(struct machine *m, const char *rest)
{
	static u8 data[GDB_PACKET_MAX];
	const char *end = m->debug.in.data + m->debug.in.size;
	u64 address, length;
	u32 count = 0;

	if (!take_range(&rest, &address, &length) || !take(&rest, ":")) {
		say(m, ERROR_ARGS);
		return;
	}
	for (; rest < end; rest++) {
		bool escaped = *rest == '}' && rest + 1 < end;

		data[count++] = escaped ? (u8)(*++rest ^ 0x20) : (u8)*rest;
	}
	if (count != length)
		say(m, ERROR_ARGS);
	else
		say(m, debug_write(current(m), address, data, count) == count ? "OK" : ERROR_FAULT);
}

static void points(struct machine *m, const char *rest, bool set)
{
	u64 type, address, length;
	bool good;

	if (!gdb_number(&rest, &type) || !take(&rest, ",") ||
		!take_range(&rest, &address, &length)) {
		say(m, ERROR_ARGS);
		return;
	}
	if (type == DEBUG_READ || type > DEBUG_ACCESS)
		return; /* an empty answer: not supported */
	good = set ? debug_point_set(current(m), (enum debug_point)type, address, length)
		   : debug_point_clear(current(m), (enum debug_point)type, address, length);
	say(m, good ? "OK" : ERROR_FAULT);
}

static void point_set(struct machine *m, const char *rest)
{
	points(m, rest, true);
}

static void point_clear(struct machine *m, const char *rest)
{
	points(m, rest, false);
}

/* A watchpoint's trap is not made again: who resumes that vCPU is told of it first. */
static bool has_news(struct machine *m, const u8 *action)
{
	for (u32 i = 0; i < m->vcpus; i++) {
		const struct debug_vcpu *d = &m->vcpu[i].debug;

		if (action[i] != DEBUG_STAY && i != m->debug.thread && d->why == DEBUG_WHY_HARD &&
			d->point.type != DEBUG_EXEC)
			return true;
	}
	return false;
}

static void resume(struct machine *m, const u8 *action)
{
	bool any = false;

	for (u32 i = 0; i < m->vcpus; i++)
		any |= action[i] != DEBUG_STAY;
	if (!any) {
		say(m, ERROR_ARGS);
		return;
	}
	m->debug.silent = true; /* the answer comes when it stops */
	m->debug.owed = true;
	m->debug.interrupted = false;
	if (has_news(m, action))
		m->vcpu[m->debug.thread].debug.why = DEBUG_WHY_NONE;
	else
		debug_resume(m, action);
}

/* vCont;ACTION[:THREAD]...: the first that fits a thread counts. */
static void vcont(struct machine *m, const char *rest)
{
	u8 action[MACHINE_VCPUS] = {DEBUG_STAY};
	bool set[MACHINE_VCPUS] = {false};

	while (take(&rest, ";")) {
		enum debug_action what = *rest == 's' || *rest == 'S' ? DEBUG_STEP : DEBUG_CONTINUE;
		bool signal = *rest == 'C' || *rest == 'S';
		u32 index = DEBUG_ALL;
		u64 number;

		if (!signal && *rest != 'c' && *rest != 's')
			break;
		rest++;
		if ((signal && !gdb_number(&rest, &number)) || /* it has no meaning here */
			(take(&rest, ":") && !take_thread(m, &rest, &index)))
			break;
		for (u32 i = 0; i < m->vcpus; i++) {
			if (set[i] || (index != DEBUG_ALL && index != i))
				continue;
			set[i] = true;
			action[i] = (u8)what;
		}
	}
	if (*rest)
		say(m, ERROR_ARGS);
	else
		resume(m, action);
}

static void vcont_what(struct machine *m, const char *rest)
{
	(void)rest;
	say(m, "vCont;c;C;s;S");
}

/* c, s, C, S as they were before vCont: [SIGNAL;][ADDRESS]; Hc says which thread. */
static void resume_old(struct machine *m, const char *rest, bool step, bool signal)
{
	u8 action[MACHINE_VCPUS] = {DEBUG_STAY};
	u32 one = m->debug.resume;
	u64 number;
	u64 rip;

	if ((signal && (!gdb_number(&rest, &number) || (*rest && !take(&rest, ";")))) ||
		(*rest &&
			(!gdb_number(&rest, &rip) || !gdb_register_write(current(m), 16, &rip)))) {
		say(m, ERROR_ARGS);
		return;
	}
	for (u32 i = 0; i < m->vcpus; i++) {
		if (step && (one == DEBUG_ALL ? m->debug.thread : one) == i)
			action[i] = DEBUG_STEP;
		else if (one == DEBUG_ALL || one == i)
			action[i] = DEBUG_CONTINUE;
	}
	resume(m, action);
}

static void go_on(struct machine *m, const char *rest)
{
	resume_old(m, rest, false, false);
}

static void go_on_signal(struct machine *m, const char *rest)
{
	resume_old(m, rest, false, true);
}

static void step(struct machine *m, const char *rest)
{
	resume_old(m, rest, true, false);
}

static void step_signal(struct machine *m, const char *rest)
{
	resume_old(m, rest, true, true);
}

static void select_thread(struct machine *m, const char *rest)
{
	bool registers = *rest == 'g';
	u32 index;

	if ((!registers && *rest != 'c') || (rest++, !take_thread(m, &rest, &index))) {
		say(m, ERROR_ARGS);
		return;
	}
	if (!registers)
		m->debug.resume = index;
	else if (index != DEBUG_ALL)
		m->debug.thread = index;
	say(m, "OK");
}

static void thread_alive(struct machine *m, const char *rest)
{
	u32 index;

	say(m, take_thread(m, &rest, &index) && index != DEBUG_ALL ? "OK" : ERROR_ARGS);
}

static void thread_current(struct machine *m, const char *rest)
{
	(void)rest;
	say(m, "QC");
	gdb_put_number(out(m), m->debug.thread + 1);
}

static void thread_list(struct machine *m, const char *rest)
{
	(void)rest;
	for (u32 i = 0; i < m->vcpus; i++) {
		say(m, i ? "," : "m");
		gdb_put_number(out(m), i + 1);
	}
}

static void thread_list_end(struct machine *m, const char *rest)
{
	(void)rest;
	say(m, "l");
}

static void thread_info(struct machine *m, const char *rest)
{
	char text[INFO_MAX];
	const char *does = "runs";
	u32 index;

	if (!take_thread(m, &rest, &index) || index == DEBUG_ALL) {
		say(m, ERROR_ARGS);
		return;
	}
	if (m->vcpu[index].state->wait_startup)
		does = "waits for a start-up IPI";
	else if (m->vcpu[index].run->activity == ACTIVITY_HLT)
		does = "halted";
	format(text, sizeof(text), "vcpu %u, %s", index, does);
	gdb_put_hex(out(m), text, (u32)strlen(text));
}

static void supported(struct machine *m, const char *rest)
{
	(void)rest;
	say(m, "PacketSize=");
	gdb_put_number(out(m), GDB_PACKET_MAX - 4);
	say(m, ";qXfer:features:read+;vContSupported+;swbreak+;hwbreak+");
}

static void features(struct machine *m, const char *rest)
{
	u64 size = strlen(gdb_target_xml);
	u64 offset, length;

	if (!take(&rest, "target.xml:") || !take_range(&rest, &offset, &length)) {
		say(m, "E00");
		return;
	}
	if (offset > size)
		offset = size;
	if (length > READ_MAX)
		length = READ_MAX; /* some of it may be escaped */
	if (length > size - offset)
		length = size - offset;
	say(m, offset + length < size ? "m" : "l");
	gdb_put(out(m), gdb_target_xml + offset, (u32)length);
}

static void attached(struct machine *m, const char *rest)
{
	(void)rest;
	say(m, "1"); /* so that a debugger that ends detaches, and does not kill */
}

static void let_go(struct machine *m)
{
	u8 action[MACHINE_VCPUS];

	debug_points_clear(m);
	m->debug.attached = false;
	m->debug.owed = false;
	memset(action, DEBUG_CONTINUE, sizeof(action));
	debug_resume(m, action);
}

static void detach(struct machine *m, const char *rest)
{
	(void)rest;
	say(m, "OK");
	log_line("the debugger detached");
	let_go(m);
}

static void kill(struct machine *m, const char *rest)
{
	(void)rest;
	log_line("the debugger ended the guest");
	m->debug.silent = true;
	machine_end(m, MACHINE_POWERED_OFF);
	let_go(m);
}

static void kill_with_answer(struct machine *m, const char *rest)
{
	kill(m, rest);
	m->debug.silent = false;
	say(m, "OK");
}

/* Longer names before those that they begin with. What is not here gets the empty answer. */
static const struct command commands[] = {
	{"?", why_stopped},
	{"g", read_all},
	{"G", write_all},
	{"p", read_one},
	{"P", write_one},
	{"m", read_memory},
	{"M", write_memory},
	{"X", write_binary},
	{"Z", point_set},
	{"z", point_clear},
	{"vCont?", vcont_what},
	{"vCont", vcont},
	{"vKill", kill_with_answer},
	{"c", go_on},
	{"C", go_on_signal},
	{"s", step},
	{"S", step_signal},
	{"H", select_thread},
	{"T", thread_alive},
	{"qSupported", supported},
	{"qXfer:features:read:", features},
	{"qAttached", attached},
	{"qCRC:", NULL},
	{"qC", thread_current},
	{"qfThreadInfo", thread_list},
	{"qsThreadInfo", thread_list_end},
	{"qThreadExtraInfo,", thread_info},
	{"D", detach},
	{"k", kill},
};

bool gdb_command(struct machine *m)
{
	const char *text = m->debug.in.data;

	m->debug.silent = false;
	gdb_begin(out(m));
	for (u32 i = 0; i < ARRAY_SIZE(commands); i++) {
		if (take(&text, commands[i].name)) {
			if (commands[i].run)
				commands[i].run(m, text);
			break;
		}
	}
	gdb_end(out(m));
	return !m->debug.silent;
}
