/* The virtual machine monitor of one partition: from root's start page to a running guest. */
#include "guests/vmm/config/config.h"
#include "host.h"
#include "guests/vmm/cpu/msr.h"
#include "guests/vmm/debug/debug.h"
#include "run.h"
#include "start.h"

#define RUN_PAGES                                                                                  \
	0x80000000ull /* a run page and an APIC page for each vCPU are mapped from here on */

enum vcpu_ready { /* of a further thread */
	VCPU_STARTING,
	VCPU_MAPPED,
	VCPU_FAILED,
	VCPU_GO, /* the machine is set up: run */
};

static const struct start_info *start;
static struct machine machine;
static struct config config;
static struct start_thread block[MACHINE_VCPUS];
static u32 ready[MACHINE_VCPUS]; /* enum vcpu_ready; atomic */

_Noreturn static void give_up(void)
{
	host_stop(ROOT_STOP_ERROR);
}

static void watch_peers(struct machine *m, const struct start_info *info)
{
	const struct start_resource *r;

	flood_init(&m->flood, info->tsc_hz);
	for (u32 i = 0; (r = start_find(info, START_SESSION, i)) != NULL; i++)
		flood_add(&m->flood, r);
}

static bool find_memory(struct machine *m, const struct start_info *info)
{
	const struct start_resource *r;

	for (u32 i = 0; (r = start_find(info, START_RAM, i)); i++) {
		if (!gmem_add(&m->memory, r->value, r->size, (void *)r->address)) {
			log_line("memory at %llx is malformed, or in too many pieces",
				(unsigned long long)r->value);
			return false;
		}
	}
	if (!m->memory.ranges)
		log_line("the machine has no memory");
	return m->memory.ranges != 0;
}

/* The machine's state; behind it lie the vCPUs' journals. */
static bool find_state(struct machine *m, const struct start_info *info, struct journal_log **log)
{
	const struct start_resource *r = start_find(info, START_STATE, 0);

	u64 logs = ALIGN_UP(sizeof(struct machine_state), PAGE_SIZE);
	u64 size;
	u32 vcpus = 0;

	while (start_find(info, START_VCPU, vcpus))
		vcpus++;
	size = logs + vcpus * sizeof(struct journal_log);
	if (!r || r->size < size) {
		log_line("the state memory is missing or smaller than %llu bytes",
			(unsigned long long)size);
		return false;
	}
	m->state = (struct machine_state *)r->address;
	*log = (struct journal_log *)(r->address + logs);
	return true;
}

/* Where the operator reads what the vCPUs' exits take: behind the machine's state and the journals.
 */
static bool find_watch(struct machine *m, const struct start_info *info)
{
	const struct start_resource *r = start_find(info, START_STATE, 0);
	u64 used = ALIGN_UP(sizeof(struct machine_state), PAGE_SIZE) +
		   m->vcpus * sizeof(struct journal_log);
	struct watch_vcpu *watch = watch_at((void *)r->address, r->size, used, m->vcpus);

	if (!watch)
		log_line("the state memory has no room for counters of %u vcpus", m->vcpus);
	for (u32 i = 0; watch && i < m->vcpus; i++)
		m->vcpu[i].watch = &watch[i];
	return watch != NULL;
}

/* Index of the CPU of a vCPU's thread. */
static u32 cpu_of(const struct start_info *info, u32 index)
{
	const struct start_resource *thread = start_find(info, START_THREAD, index - 1);

	return index && thread ? (u32)thread->value : info->cpu;
}

static cap_t thread_of(const struct start_info *info, u32 index)
{
	const struct start_resource *thread = start_find(info, START_THREAD, index - 1);

	if (!index)
		return START_CAP_THREAD;
	return thread ? thread->cap : CAP_NULL;
}

static bool shares_cpu(const struct start_info *info, u32 index)
{
	bool shares = false;

	for (u32 i = 0; start_find(info, START_VCPU, i); i++)
		shares |= i != index && cpu_of(info, i) == cpu_of(info, index);
	return shares;
}

/* Makes `thread`, the calling one, the vCPU's. Both can only be done on the vCPU's own CPU. */
static bool map_pages(struct vcpu *v, cap_t thread)
{
	status_t s = STATUS_OK;

	if (start->restart) /* its thread died with the VMM before */
		s = sys_vcpu_ctl(v->cap, VCPU_CTL_THREAD, thread, 0, NULL);
	if (s == STATUS_OK)
		s = sys_vcpu_ctl(v->cap, VCPU_CTL_MAP, (u64)v->run, 0, NULL);
	if (s != STATUS_OK)
		log_line("vcpu %u cannot be mapped: %s", v->index, status_text(s));
	return s == STATUS_OK;
}

static void vcpu_thread(void *arg)
{
	struct vcpu *v = arg;
	u32 *state = &ready[v->index];
	const struct start_resource *thread = start_find(start, START_THREAD, v->index - 1);

	v->self = thread_self();
	__atomic_store_n(
		state, map_pages(v, thread->cap) ? VCPU_MAPPED : VCPU_FAILED, __ATOMIC_SEQ_CST);
	host_signal(machine.vcpu[0].event, BIT(VCPU_BIT_MAIL));
	while (__atomic_load_n(state, __ATOMIC_SEQ_CST) != VCPU_GO)
		host_wait(BIT(VCPU_BIT_MAIL), TIME_NEVER);
	run_guest(v);
}

/* Starts the thread of a further vCPU and waits until it has mapped its pages. */
static bool start_thread(const struct start_info *info, struct vcpu *v)
{
	const struct start_resource *thread = start_find(info, START_THREAD, v->index - 1);
	status_t s = STATUS_NO_MEMORY;
	u32 state = VCPU_STARTING;

	if (thread && host_event(thread->cap, &v->event))
		s = thread_start(info, v->index - 1, &block[v->index], vcpu_thread, v);
	if (s != STATUS_OK) {
		log_line("vcpu %u has no thread: %s", v->index, status_text(s));
		return false;
	}
	while (state == VCPU_STARTING) {
		host_wait(BIT(VCPU_BIT_MAIL), TIME_NEVER);
		state = __atomic_load_n(&ready[v->index], __ATOMIC_SEQ_CST);
	}
	return state == VCPU_MAPPED;
}

static bool find_vcpus(struct machine *m, const struct start_info *info)
{
	const struct start_resource *vm = start_find(info, START_VM, 0);
	const struct start_resource *r;

	if (!vm || !start_find(info, START_VCPU, 0)) {
		log_line("there is no virtual machine to run");
		return false;
	}
	if (start_find(info, START_VCPU, MACHINE_VCPUS)) {
		log_line("cpus names more than %u processors", MACHINE_VCPUS);
		return false;
	}
	m->vm = vm->cap;
	if (!host_event(START_CAP_THREAD, &m->vcpu[0].event))
		return false;
	for (u32 i = 0; (r = start_find(info, START_VCPU, i)); i++) {
		struct vcpu *v = &m->vcpu[i];
		u64 at = RUN_PAGES + i * 2 * PAGE_SIZE;

		v->index = i;
		v->cap = r->cap;
		v->run = (struct run_page *)at;
		m->lapic[i].page = (struct lapic_page *)(at + PAGE_SIZE);
		v->shares_cpu = shares_cpu(info, i);
		v->thread = thread_of(info, i);
		if (!(i == 0 ? map_pages(v, START_CAP_THREAD) : start_thread(info, v)))
			return false;
		m->vcpus++;
	}
	return true;
}

/* The machine is set up: the others wait for the guest to start them. */
static void release_threads(struct machine *m)
{
	for (u32 i = 1; i < m->vcpus; i++) {
		__atomic_store_n(&ready[i], VCPU_GO, __ATOMIC_SEQ_CST);
		host_signal(m->vcpu[i].event, BIT(VCPU_BIT_MAIL));
	}
}

static bool shared_cpus(const struct machine *m)
{
	bool shared = false;

	for (u32 i = 0; i < m->vcpus; i++)
		shared |= m->vcpu[i].shares_cpu;
	return shared;
}

static bool find_machine(struct machine *m, const struct start_info *info)
{
	struct msg_machine host;

	if (sys_sys_ctl(CAP_NULL, SYS_CTL_MACHINE, 0, 0, 0, NULL) != STATUS_OK) {
		log_line("the kernel does not tell what machine this is");
		return false;
	}
	memcpy(&host, thread_message(), sizeof(host));
	if (!clock_init(&m->clock, info->tsc_hz, m->state->ready ? m->state->start_tsc : tsc_now(),
		    info->wall_clock, info->wall_tsc)) {
		log_line("a TSC of %llu Hz is out of range", (unsigned long long)info->tsc_hz);
		return false;
	}
	m->fpu_size = host.fpu_size;
	m->hardware_interrupts = config_flag(&config, "hardware-interrupts");
	if (m->hardware_interrupts && !host.hardware) {
		log_line("\"hardware-interrupts\": this machine has neither posted interrupts nor "
			 "x2AVIC");
		m->hardware_interrupts = false;
	}
	cpuid_build(&m->cpuid,
		&(struct cpuid_machine){
			.xcr0 = host.features.xcr0,
			.tsc_hz = info->tsc_hz,
			.gpa_bits = host.features.paddr_bits,
			.vcpus = m->vcpus,
			.shared_cpus = shared_cpus(m),
			.delivery = host.delivery || m->hardware_interrupts,
		},
		cpuid_host);
	return true;
}

/* A guest whose VMM died goes on; one that had not begun begins. */
static bool set_up(struct machine *m, const struct start_info *info)
{
	if (!m->state->ready) {
		machine_init(m);
		return config_devices(&config, m) && start_direct(&config, m);
	}
	if (!machine_resume(m))
		return false;
	debug_take_over(m);
	if (!config_devices(&config, m))
		return false;
	machine_virtio_resume(m);
	machine_pass_resume(m);
	log_line("a fresh VMM has taken the guest over (%u)", info->restart);
	return true;
}

int main(struct start_info *info)
{
	struct machine *m = &machine;
	struct journal_log *log;

	start = info;
	if (!config_open(&config, info) || !find_memory(m, info) || !find_state(m, info, &log) ||
		!find_vcpus(m, info) || !find_watch(m, info) || !find_machine(m, info))
		give_up();
	for (u32 i = 0; i < m->vcpus; i++) {
		struct journal *j = heap_alloc(sizeof(*j));

		check(j);
		machine_journal(m, i, j, &log[i]);
	}
	watch_peers(m, info);
	if (!set_up(m, info))
		give_up();
	m->state->ready = 1;
	release_threads(m);
	run_guest(&m->vcpu[0]);
}
