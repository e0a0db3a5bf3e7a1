/* The virtual machine monitor of one partition: from root's start page to a running guest. */
#include "config.h"
#include "host.h"
#include "msr.h"
#include "run.h"
#include "start.h"

#define RUN_PAGES                                                                                  \
	0x80000000ull /* a run page and an APIC page for each vCPU are mapped from here on */

static struct machine machine;
static struct config config;

_Noreturn static void give_up(void)
{
	host_stop(ROOT_STOP_ERROR);
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

static bool find_state(struct machine *m, const struct start_info *info)
{
	const struct start_resource *r = start_find(info, START_STATE, 0);

	if (!r || r->size < sizeof(struct machine_state)) {
		log_line("the state memory is missing or smaller than %u bytes",
			(u32)sizeof(struct machine_state));
		return false;
	}
	m->state = (struct machine_state *)r->address;
	return true;
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
		log_line("cpus names more than %u processor: guests have %u for now", MACHINE_VCPUS,
			MACHINE_VCPUS);
		return false;
	}
	m->vm = vm->cap;
	for (u32 i = 0; (r = start_find(info, START_VCPU, i)); i++) {
		u64 at = RUN_PAGES + i * 2 * PAGE_SIZE;
		status_t s = sys_vcpu_ctl(r->cap, VCPU_CTL_MAP, at, 0, NULL);

		if (s != STATUS_OK) {
			log_line("vcpu %u cannot be mapped: %s", i, status_text(s));
			return false;
		}
		m->vcpu[i].cap = r->cap;
		m->vcpu[i].run = (struct run_page *)at;
		m->lapic[i].page = (struct lapic_page *)(at + PAGE_SIZE);
		m->vcpus++;
	}
	return true;
}

static bool find_machine(struct machine *m, const struct start_info *info)
{
	struct msg_machine host;

	if (sys_sys_ctl(CAP_NULL, SYS_CTL_MACHINE, 0, 0, 0, NULL) != STATUS_OK) {
		log_line("the kernel does not tell what machine this is");
		return false;
	}
	memcpy(&host, thread_message(), sizeof(host));
	if (!clock_init(&m->clock, info->tsc_hz, tsc_now(), info->wall_clock, info->wall_tsc)) {
		log_line("a TSC of %llu Hz is out of range", (unsigned long long)info->tsc_hz);
		return false;
	}
	m->fpu_size = host.fpu_size;
	cpuid_build(&m->cpuid,
		&(struct cpuid_machine){
			.xcr0 = host.xcr0,
			.tsc_hz = info->tsc_hz,
			.gpa_bits = host.gpa_bits,
			.vcpus = m->vcpus,
		},
		cpuid_host);
	return true;
}

int main(struct start_info *info)
{
	struct machine *m = &machine;

	if (info->restart) {
		/* the state is in place for it: taking it over comes with driver restarts */
		log_line("a VMM that died cannot take its guest over yet: the guest is stopped");
		give_up();
	}
	if (!config_open(&config, info) || !find_memory(m, info) || !find_state(m, info) ||
		!find_vcpus(m, info) || !find_machine(m, info))
		give_up();
	machine_init(m);
	if (!config_devices(&config, m) || !start_direct(&config, m))
		give_up();
	msr_direct(m);
	run_guest(&m->vcpu[0]);
}
