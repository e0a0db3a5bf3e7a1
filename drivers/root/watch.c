/* Where the time of a partition's vCPUs goes: the kernel's counters and the VMM's. */
#include "drivers/root/watch.h"
#include "drivers/protocols/watch.h"
#include "drivers/root/operator.h"
#include "kernel/abi/run.h"

#define say operator_printf

/* Exit kinds by enum exit_kind, as the operator reads them. */
static const char *const exit_name[EXIT_KIND_COUNT] = {"event", "io", "memory", "cpuid", "rdmsr",
	"wrmsr", "hlt", "cr", "dr", "hypercall", "window", "shutdown", "exception", "instruction",
	"entry-failed", "task-switch", "xsetbv", "wbinvd", "pause", "eoi", "init", "unknown"};

u64 watch_room(u64 state, u32 vcpus)
{
	return state + ALIGN_UP(vcpus * sizeof(struct watch_vcpu), PAGE_SIZE);
}

/* Reads a vCPU's counters; its thread is stopped for that moment if it is in the guest. */
static status_t vcpu_stats(const struct member *m, u32 i, struct msg_vcpu_stats *stats)
{
	status_t s = sys_vcpu_ctl(m->guest.vcpu[i], VCPU_CTL_STATS, 0, 0, NULL);

	if (s == STATUS_BUSY) {
		sys_thread_ctl(m->process.thread[i], THREAD_CTL_STOP, 0, 0, 0);
		s = sys_vcpu_ctl(m->guest.vcpu[i], VCPU_CTL_STATS, 0, 0, NULL);
		memcpy(stats, message, sizeof(*stats));
		sys_thread_ctl(m->process.thread[i], THREAD_CTL_RESUME, 0, 0, 0);
		return s;
	}
	memcpy(stats, message, sizeof(*stats));
	return s;
}

/* `part` of `whole` in tenths of a per cent, whatever the two are. */
static u32 permille(u64 part, u64 whole)
{
	if (part >= whole)
		return whole ? 1000 : 0;
	while (whole > UINT32_MAX) {
		part >>= 1;
		whole >>= 1;
	}
	return (u32)(part * 1000 / whole);
}

static u64 in_the_vmm(const struct watch_vcpu *w)
{
	u64 vmm = 0;

	for (u32 k = 0; k < EXIT_KIND_COUNT; k++)
		vmm += w->kind[k].sum;
	return vmm > w->waited ? vmm - w->waited : 0;
}

/*
 * The thread runs in the guest, in the VMM or in the kernel. `outside` is the time in the last two;
 * the VMM's is what its exits took less what it waited, by its own word.
 */
static void show_shares(const struct member *m, u32 i, u64 outside, const struct watch_vcpu *w)
{
	const struct msg_thread_stats *t = message;
	u64 ms_cycles = boot->tsc_hz / 1000 ? boot->tsc_hz / 1000 : 1;
	u32 not_guest, in_vmm;

	if (sys_thread_ctl(m->process.thread[i], THREAD_CTL_STATS, 0, 0, 0) != STATUS_OK)
		return;
	not_guest = permille(outside, t->run_time);
	in_vmm = permille(in_the_vmm(w), t->run_time);
	if (in_vmm > not_guest)
		in_vmm = not_guest;
	say("  ran %lu ms: guest %u.%u %%, VMM %u.%u %%, kernel %u.%u %%; waited %lu ms for its "
	    "CPU\n",
		t->run_time / ms_cycles, (1000 - not_guest) / 10, (1000 - not_guest) % 10,
		in_vmm / 10, in_vmm % 10, (not_guest - in_vmm) / 10, (not_guest - in_vmm) % 10,
		t->wait_time / ms_cycles);
}

static void show_kinds(const struct watch_vcpu *w)
{
	say("  %-14s %10s %12s %12s %12s\n", "exits", "number", "median", "99 %", "most");
	for (u32 k = 0; k < EXIT_KIND_COUNT; k++) {
		const struct watch_kind *kind = &w->kind[k];
		u64 count = watch_count(kind);

		if (count)
			say("  %-14s %10lu %12lu %12lu %12lu\n", exit_name[k], count,
				watch_quantile(kind, 500), watch_quantile(kind, 990), kind->max);
	}
}

static void show_vcpu(const struct member *m, u32 i, const struct watch_vcpu *w)
{
	struct msg_vcpu_stats stats;
	status_t s = vcpu_stats(m, i, &stats);

	if (s != STATUS_OK) {
		say("vcpu %u: %s\n", i, status_text(s));
		return;
	}
	say("vcpu %u: entries %lu, host interrupts %lu, injections %lu, windows %lu, doorbells "
	    "%lu, "
	    "halts %lu\n",
		i, stats.entries, stats.interrupts, stats.injections, stats.windows,
		stats.doorbells, stats.halts);
	show_shares(m, i, stats.outside, w);
	show_kinds(w);
}

void watch_show(const struct member *m)
{
	void *state = m->guest.vcpus ? memory_open(&m->kept) : NULL;
	const struct watch_vcpu *w;

	if (!state)
		return;
	w = watch_at(state, m->kept.size, 0, m->guest.vcpus);
	for (u32 i = 0; w && i < m->guest.vcpus; i++)
		show_vcpu(m, i, &w[i]);
	memory_close();
}

void watch_times(const struct member *m)
{
	void *state = m->guest.vcpus ? memory_open(&m->kept) : NULL;
	const struct watch_vcpu *w = NULL;
	u64 ran = 0;
	u64 outside = 0;
	u64 vmm = 0;

	if (state)
		w = watch_at(state, m->kept.size, 0, m->guest.vcpus);
	for (u32 i = 0; w && i < m->guest.vcpus; i++) {
		struct msg_vcpu_stats stats;

		if (vcpu_stats(m, i, &stats) == STATUS_OK)
			outside += stats.outside;
		vmm += in_the_vmm(&w[i]);
	}
	for (u32 i = 0; i < m->process.threads; i++) {
		const struct msg_thread_stats *t = message;

		if (sys_thread_ctl(m->process.thread[i], THREAD_CTL_STATS, 0, 0, 0) == STATUS_OK)
			ran += t->run_time;
	}
	if (state)
		memory_close();
	say("%-16s %16lu %16lu %16lu\n", m->node->name, ran, outside, vmm);
}
