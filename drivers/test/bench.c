/*
 * Benchmarks of the system calls: medians of SAMPLES after a warm-up, in TSC cycles (on an emulator
 * that counts instructions, in instructions), the two RDTSC included: their own cost is
 * `tsc_overhead`.
 */
#include "drivers/test/test.h"

#define SAMPLES 1000u
#define WARM_UP 100u

static u32 sample[SAMPLES];

/* The median; sorts by counting inversions away, shell-sort wise. */
static u32 median(void)
{
	for (u32 gap = SAMPLES / 2; gap > 0; gap /= 2) {
		for (u32 i = gap; i < SAMPLES; i++) {
			u32 value = sample[i];
			u32 k = i;

			for (; k >= gap && sample[k - gap] > value; k -= gap)
				sample[k] = sample[k - gap];
			sample[k] = value;
		}
	}
	return sample[SAMPLES / 2];
}

static void report(const char *key)
{
	log_line("bench %s %u", key, median());
}

static inline __attribute__((always_inline)) void note(u32 i, cycles_t from, cycles_t to)
{
	if (i >= WARM_UP)
		sample[i - WARM_UP] = (u32)(to - from);
}

/* The kernel's own count, from its entry to the first instruction of root. */
static void bench_start(void)
{
	const struct msg_machine *machine = (const struct msg_machine *)START_MESSAGE;

	want_status(sys_sys_ctl(CAP_NULL, SYS_CTL_MACHINE, 0, 0, 0, NULL), OK);
	log_line("bench kernel_to_first_task %lu", machine->first_task_tsc);
}

static void bench_tsc(void)
{
	for (u32 i = 0; i < SAMPLES + WARM_UP; i++) {
		cycles_t from = tsc_now();

		note(i, from, tsc_now());
	}
	report("tsc_overhead");
}

static void bench_null(void)
{
	for (u32 i = 0; i < SAMPLES + WARM_UP; i++) {
		cycles_t from = tsc_now();

		sys_nop();
		note(i, from, tsc_now());
	}
	report("syscall_null");
}

static void bench_ipc(void)
{
	cap_t domain = child_make(CHILD_POOL);
	cap_t server = child_thread(domain, child_server, 0, info->cpu, 0);
	cap_t port = make_port(server, 1);
	u64 word = 0;
	bool ok = true;

	if (case_failed())
		return;
	want_status(sys_thread_ctl(server, THREAD_CTL_RESUME, 0, 0, 0), OK);
	for (u32 i = 0; i < SAMPLES + WARM_UP; i++) {
		u64 sent = word;
		cycles_t from = tsc_now();
		status_t s = sys_ipc_call_word(port, &word);

		note(i, from, tsc_now());
		ok &= s == STATUS_OK && word == sent + 1;
	}
	want(ok);
	report("ipc_call_reply_2dom_1w");
}

/* Sets the child's event and waits until it has set ours, which counts twice: half a round is
 * reported. */
static void round_trips(u32 cpu, const char *key)
{
	cap_t domain = child_make(CHILD_POOL);
	cap_t back = make_event(BIT(0) | BIT(33));
	cap_t child = child_thread(domain, child_echo_event, START_CAP_FIRST, cpu, 0);
	struct msg_create_event m = {.thread = child, .mask = BIT(0)};
	cap_t there;
	bool ok = true;

	if (case_failed())
		return;
	there = make(KIND_EVENT, START_CAP_DOMAIN, &m, sizeof(m));
	want_status(sys_cap_grant(domain, START_CAP_FIRST, back, 0, BIT(0)), OK);
	want_status(sys_thread_ctl(child, THREAD_CTL_RESUME, 0, 0, 0), OK);
	for (u32 i = 0; i < SAMPLES + WARM_UP && ok; i++) {
		u64 bits = 0;
		cycles_t from = tsc_now();

		sys_event_signal(there, BIT(0));
		ok = sys_event_wait(BIT(0), TIME_NEVER, &bits) == STATUS_EVENT;
		note(i, from, from + (tsc_now() - from) / 2);
	}
	want(ok);
	report(key);
}

static void bench_event_same(void)
{
	round_trips(info->cpu, "event_same_cpu");
}

static void bench_event_cross(void)
{
	u32 cpu = other_cpu();

	if (cpu != info->cpu)
		round_trips(cpu, "event_cross_cpu");
	else
		log_line("event_cross_cpu: this machine has one CPU");
}

void bench_run(void)
{
	static const struct test_case cases[] = {
		{"bench_start", bench_start},
		{"bench_tsc", bench_tsc},
		{"bench_null", bench_null},
		{"bench_ipc", bench_ipc},
		{"bench_event_same", bench_event_same},
		{"bench_event_cross", bench_event_cross},
		{NULL, NULL},
	};

	cases_run(cases, "");
	log_line("bench: %u done, %u failed", cases_passed, cases_failed);
}
