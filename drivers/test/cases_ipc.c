/* Cases: ports and calls. */
#include "drivers/test/test.h"

#define PORT_SLOT 20 /* in a child's table */
#define BADGE     0x1234567890abcdefull

/* Makes a server and a port with BADGE to it; a thread without port may not wait for calls. */
static cap_t start_server(const char *entry, u32 cpu, cap_t *domain, cap_t *port)
{
	cap_t server;

	*domain = child_make(CHILD_POOL);
	server = child_thread(*domain, entry, 0, cpu, 0);
	*port = make_port(server, BADGE);
	want_status(sys_thread_ctl(server, THREAD_CTL_RESUME, 0, 0, 0), OK);
	return server;
}

static void words(void)
{
	struct ipc_words io = {{1, 2, 3, 4}, 0};
	u64 *message = thread_message();
	cap_t domain;
	cap_t port;

	start_server(child_echo, info->cpu, &domain, &port);
	want_status(sys_ipc_call(port, &io), OK);
	want(io.word[0] == 1 && io.word[1] == 2 && io.word[2] == 3);
	want(io.word[3] == BADGE);
	want(io.message_words == 0);
	for (u64 i = 0; i < IPC_MAX_WORDS; i++)
		message[i] = i * i;
	io.message_words = IPC_MAX_WORDS;
	want_status(sys_ipc_call(port, &io), OK);
	want(io.message_words == IPC_MAX_WORDS);
	for (u64 i = 0; i < IPC_MAX_WORDS; i++)
		want(message[i] == i * i);
	io.message_words = 1;
	want_status(sys_ipc_call(port, &io), OK);
	want(io.message_words == 1);
}

static void many(void)
{
	struct ipc_words io = {0};
	cap_t domain;
	cap_t port;

	start_server(child_server, info->cpu, &domain, &port);
	for (u64 i = 0; i < 1000 && !case_failed(); i++) {
		want_status(sys_ipc_call(port, &io), OK);
		want(io.word[0] == i + 1);
	}
}

static void refused(void)
{
	struct ipc_words io = {0};
	cap_t domain;
	cap_t port;
	cap_t server = start_server(child_server, info->cpu, &domain, &port);
	cap_t weak = slot_next();

	want_status(sys_cap_grant(START_CAP_DOMAIN, weak, port, RIGHT_GRANT, 0), OK);
	want_status(sys_ipc_call(weak, &io), DENIED);
	want_status(sys_ipc_call(START_CAP_DOMAIN, &io), BAD_KIND);
	want_status(sys_ipc_call(CAP_NULL, &io), BAD_CAP);
	want_status(sys_ipc_call(CAP_MAX + 5, &io), BAD_CAP);
	want_status(sys_obj_destroy(port), OK);
	want_status(sys_ipc_call(port, &io), GONE);
	port = make_port(server, 0);
	want_status(sys_obj_destroy(domain), OK);
	want_status(sys_ipc_call(port, &io), GONE);
}

static void other(void)
{
	u32 cpu = other_cpu();
	struct ipc_words io = {0};
	cap_t domain;
	cap_t port;

	if (cpu == info->cpu)
		return;
	start_server(child_server, cpu, &domain, &port);
	want_status(sys_ipc_call(port, &io), BAD_CPU);
}

/* A caller whose server dies during the call is told so. */
static void server_dies(void)
{
	cap_t domain;
	cap_t port;
	cap_t server = start_server(child_bad_server, info->cpu, &domain, &port);
	cap_t client_domain = child_make(CHILD_POOL);
	cap_t client = child_thread(client_domain, child_caller, PORT_SLOT, info->cpu, 0);
	struct msg_thread *m = thread_message();
	struct msg_thread state;

	want_status(sys_cap_grant(client_domain, PORT_SLOT, port, RIGHT_CALL, 0), OK);
	/* The server faults in the call; the client waits on. */
	want_status(sys_thread_ctl(client, THREAD_CTL_RESUME, 0, 0, 0), OK);
	want(wait_bits(BIT(EVENT_CHILD), 1000000) != 0);
	want_status(sys_thread_ctl(server, THREAD_CTL_GET, 0, 0, 0), OK);
	memcpy(&state, m, sizeof(state));
	want(state.fault == FAULT_EXCEPTION);
	want_status(sys_thread_ctl(client, THREAD_CTL_GET, 0, 0, 0), BAD_STATE);
	want_status(sys_obj_destroy(domain), OK);
	want(wait_bits(BIT(EVENT_CHILD), 1000000) != 0);
	want_status(sys_thread_ctl(client, THREAD_CTL_GET, 0, 0, 0), OK);
	want(m->fault == FAULT_EXIT && m->error == STATUS_GONE);
}

/* A client that dies during its call leaves the server in order. */
static void client_dies(void)
{
	cap_t client_domain = child_make(CHILD_POOL);
	cap_t client = child_thread(client_domain, child_caller, PORT_SLOT, info->cpu, 0);
	struct ipc_words io = {{5, 0, 0, 0}, 0};
	cap_t domain;
	cap_t port;

	start_server(child_echo, info->cpu, &domain, &port);
	want_status(sys_cap_grant(client_domain, PORT_SLOT, port, RIGHT_CALL, 0), OK);
	/* Less urgent than this program, so that it is destroyed wherever it happens to be. */
	want_status(sys_thread_ctl(client, THREAD_CTL_SCHED, 1, 0, 0), OK);
	want_status(sys_thread_ctl(client, THREAD_CTL_RESUME, 0, 0, 0), OK);
	want_status(sys_obj_destroy(client_domain), OK);
	want_status(sys_ipc_call(port, &io), OK);
	want(io.word[0] == 5);
}

/* The middle one of a chain of calls dies: its caller is told, and its server goes on by itself. */
static void middle_dies(void)
{
	struct ipc_words io = {{5, 0, 0, 0}, 0};
	struct msg_thread *m = thread_message();
	cap_t last_domain, last_port;
	cap_t last = start_server(child_bad_server, info->cpu, &last_domain, &last_port);
	cap_t middle_domain, middle_port;
	cap_t client_domain = child_make(CHILD_POOL);
	cap_t client = child_thread(client_domain, child_caller, PORT_SLOT, info->cpu, 0);

	start_server(child_forward, info->cpu, &middle_domain, &middle_port);
	want_status(sys_cap_grant(middle_domain, PORT_SLOT, last_port, RIGHT_CALL, 0), OK);
	want_status(sys_cap_grant(client_domain, PORT_SLOT, middle_port, RIGHT_CALL, 0), OK);
	want_status(sys_thread_ctl(client, THREAD_CTL_RESUME, 0, 0, 0), OK);
	/* The last server has faulted in the call. */
	want(wait_bits(BIT(EVENT_CHILD), 1000000) != 0);
	want_status(sys_obj_destroy(middle_domain), OK);
	want(wait_bits(BIT(EVENT_CHILD), 1000000) != 0);
	want_status(sys_thread_ctl(client, THREAD_CTL_GET, 0, 0, 0), OK);
	want(m->fault == FAULT_EXIT && m->error == STATUS_GONE);
	want_status(sys_thread_ctl(last, THREAD_CTL_GET, 0, 0, 0), OK);
	want(m->fault == FAULT_EXCEPTION);
	m->rip = (u64)child_server;
	want_status(sys_thread_ctl(last, THREAD_CTL_SET, 0, 0, 0), OK);
	want_status(sys_thread_ctl(last, THREAD_CTL_RESUME, 0, 0, 0), OK);
	want_status(sys_ipc_call(last_port, &io), OK);
	want(io.word[0] == 6);
}

/* A caller with a budget does not get more time by being in a call when it ends. */
static void budget(void)
{
	const struct msg_thread_stats *stats = thread_message();
	cycles_t ms = tsc_from_us(info->tsc_hz, 1000);
	cap_t client_domain = child_make(CHILD_POOL);
	cap_t client = child_thread(client_domain, child_calls, PORT_SLOT, info->cpu, 0);
	cap_t domain, port;
	cycles_t from, took;

	start_server(child_server, info->cpu, &domain, &port);
	want_status(sys_cap_grant(client_domain, PORT_SLOT, port, RIGHT_CALL, 0), OK);
	want_status(sys_thread_ctl(client, THREAD_CTL_SCHED, 40, 2 * ms, 10 * ms), OK);
	from = tsc_now();
	want_status(sys_thread_ctl(client, THREAD_CTL_RESUME, 0, 0, 0), OK);
	wait_bits(BIT(35), 200000);
	want_status(sys_thread_ctl(client, THREAD_CTL_STATS, 0, 0, 0), OK);
	took = tsc_now() - from;
	if (stats->run_time <= took / 10 || stats->run_time >= took / 3)
		log_line("a budget of a fifth gave %lu of %lu cycles", stats->run_time, took);
	want(stats->run_time > took / 10);
	want(stats->run_time < took / 3);
}

static void deadlock(void)
{
	cap_t domain = child_make(CHILD_POOL);
	cap_t thread = child_thread(domain, child_caller, PORT_SLOT, info->cpu, 0);
	cap_t port = make_port(thread, 0);
	struct msg_thread state;

	want_status(sys_cap_grant(domain, PORT_SLOT, port, RIGHT_CALL, 0), OK);
	want(child_run(thread, &state));
	want(state.fault == FAULT_EXIT && state.error == STATUS_DEADLOCK);
}

static void reply_wait(void)
{
	cap_t event = make_event(EVENT_BITS);
	struct ipc_words io = {0};
	u64 out = 0;

	want_status(sys_ipc_reply_wait(0, TIME_NEVER, &io, &out), BAD_STATE);
	want_status(sys_ipc_reply_wait(EVENT_BITS, 0, &io, &out), TIMEOUT);
	want_status(sys_event_signal(event, BIT(34)), OK);
	want_status(sys_ipc_reply_wait(EVENT_BITS, TIME_NEVER, &io, &out), EVENT);
	want(out == BIT(34));
}

static void port_create(void)
{
	struct msg_create_port *m = thread_message();

	*m = (struct msg_create_port){.thread = START_CAP_DOMAIN};
	want_status(sys_obj_create(KIND_PORT, START_CAP_DOMAIN, slot_next()), BAD_KIND);
	*m = (struct msg_create_port){.thread = 30000};
	want_status(sys_obj_create(KIND_PORT, START_CAP_DOMAIN, slot_next()), BAD_CAP);
	*m = (struct msg_create_port){.thread = START_CAP_THREAD};
	want_status(sys_obj_create(KIND_PORT, START_CAP_ROOT, slot_next()), BAD_KIND);
}

const struct test_case ipc_cases[] = {
	{"ipc_words", words},
	{"ipc_many", many},
	{"ipc_refused", refused},
	{"ipc_other_cpu", other},
	{"ipc_server_dies", server_dies},
	{"ipc_client_dies", client_dies},
	{"ipc_middle_dies", middle_dies},
	{"ipc_budget", budget},
	{"ipc_deadlock", deadlock},
	{"ipc_reply_wait", reply_wait},
	{"port_create", port_create},
	{NULL, NULL},
};
