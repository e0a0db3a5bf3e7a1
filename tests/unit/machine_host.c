/* The fake host, and machines made for tests. */
#include <stdlib.h>
#include "guests/vmm/boot/boot.h"
#include "guests/vmm/entry.h"
#include "tests/unit/machine_host.h"

struct host host;
u8 *host_ram;
struct machine host_machine;
static struct run_page *run_page[HOST_VCPUS];
static struct lapic_page *apic_page[HOST_VCPUS];
static struct watch_vcpu watch[HOST_VCPUS];
static struct journal journal[HOST_VCPUS];
static struct journal_log journal_log[HOST_VCPUS];

void log_line(const char *text, ...)
{
	size_t used = strlen(host.log);
	va_list args;

	if (used + 256 > sizeof(host.log))
		return;
	va_start(args, text);
	vsnprintf(host.log + used, 255, text, args);
	va_end(args);
	strcat(host.log, "\n");
}

_Noreturn void check_failed(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: check failed: %s\n", file, line, what);
	abort();
}

void host_fetch(struct vcpu *v, u64 groups)
{
	u64 valid = v->run->valid;

	host.fetched |= groups;
	journal_fetching(v, valid);
	if (host.fetch)
		host.fetch(v, groups);
	journal_fetching(v, valid | groups);
	v->run->valid = valid | groups;
}

void host_signal(cap_t event, u64 bits)
{
	host.signals |= bits;
	if (event <= HOST_VCPUS)
		host.signals_to[event] |= bits;
}

void host_broken(cap_t peer)
{
	(void)peer;
	host.broken++;
}

void host_flooded(cap_t peer)
{
	(void)peer;
	host.flooded++;
}

u64 host_wait(u64 mask, cycles_t deadline)
{
	(void)deadline;
	if (host.wait)
		host.wait();
	return host.wait_bits & mask;
}

cycles_t host_waited(struct vcpu *v)
{
	(void)v;
	return host.waited;
}

bool host_doorbell(struct machine *m, u16 port, u32 bit)
{
	(void)m;
	host.doorbells++;
	host.doorbell_bits[port] = BIT(bit);
	return true;
}

void host_doorbell_remove(struct machine *m, u16 port)
{
	(void)m;
	host.doorbells--;
	host.doorbell_bits[port] = 0;
}

/* The machine's own functions: dev_pass_test has one. */
u32 pass_config(struct machine *m, u8 number, u32 offset, unsigned size)
{
	(void)m;
	(void)number;
	(void)offset;
	return device_mask(size);
}

u32 pass_capability(struct machine *m, u8 number, u8 id)
{
	(void)m;
	(void)number;
	(void)id;
	return 0;
}

bool pass_can_reset(struct machine *m, u8 number)
{
	(void)m;
	(void)number;
	return false;
}

void pass_dma(struct machine *m, u8 number, bool on)
{
	(void)m;
	(void)number;
	(void)on;
}

void pass_reset(struct machine *m, u8 number)
{
	(void)m;
	(void)number;
}

void pass_want(struct machine *m, u8 number, u32 vector)
{
	(void)m;
	(void)number;
	(void)vector;
}

void pass_line_done(struct machine *m, u8 number)
{
	(void)m;
	(void)number;
	host.lines_done++;
}

u32 pass_register_read(struct machine *m, u8 number, u32 bar, u64 offset, unsigned size)
{
	(void)m;
	(void)number;
	(void)bar;
	return (u32)(offset + 1) & device_mask(size);
}

void pass_register_write(
	struct machine *m, u8 number, u32 bar, u64 offset, unsigned size, u32 value)
{
	(void)m;
	(void)number;
	(void)size;
	host.register_bar = bar;
	host.register_offset = offset;
	host.register_value = value;
}

bool host_map_registers(struct machine *m, u8 number, u32 bar, gpa_t gpa, u64 offset, u64 size)
{
	(void)m;
	(void)number;
	(void)bar;
	(void)offset;
	if (gpa < HOST_RAM || host.mappings == ARRAY_SIZE(host.mapping))
		return false;
	host.mapping[host.mappings++] = (struct host_mapping){gpa, size};
	return true;
}

void host_unmap_registers(struct machine *m, gpa_t gpa)
{
	u32 i = 0;

	(void)m;
	while (i < host.mappings && host.mapping[i].gpa != gpa)
		i++;
	CHECK(i < host.mappings);
	host.mapping[i] = host.mapping[--host.mappings];
}

bool host_fpu_read(struct vcpu *v, u32 offset, void *data, u32 size)
{
	(void)v;
	memcpy(data, host.fpu + offset, size);
	return true;
}

bool host_fpu_write(struct vcpu *v, u32 offset, const void *data, u32 size)
{
	(void)v;
	memcpy(host.fpu + offset, data, size);
	return true;
}

_Noreturn void host_stop(enum root_stop_reason reason)
{
	host.stopped = (int)reason;
	abort();
}

static bool is_amd;

static struct cpuid_regs cpuid_fake(u32 leaf, u32 subleaf)
{
	(void)subleaf;
	if (leaf == 0)
		return is_amd ? (struct cpuid_regs){0xd, 0x68747541, 0x444d4163, 0x69746e65}
			      : (struct cpuid_regs){0x16, 0x756e6547, 0x6c65746e, 0x49656e69};
	if (leaf == 0x80000000)
		return (struct cpuid_regs){0x80000008, 0, 0, 0};
	if (leaf == 0x80000008)
		return (struct cpuid_regs){48 << 8 | 40, 0, 0, 0};
	if (leaf == 0xd && subleaf == 2)
		return (struct cpuid_regs){256, 576, 0, 0};
	return (struct cpuid_regs){~0u, ~0u, ~0u, ~0u};
}

struct vcpu *host_setup(bool amd)
{
	return host_setup_smp(amd, 1);
}

static void make_pages(void)
{
	for (u32 i = 0; i < HOST_VCPUS; i++) {
		run_page[i] = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
		apic_page[i] = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
	}
}

struct vcpu *host_setup_smp(bool amd, u32 vcpus)
{
	struct machine *m = &host_machine;
	struct vcpu *v = &m->vcpu[0];
	const struct boot_entry entry = {
		.mode = BOOT_MODE_LONG, .rip = 0x10000, .rsp = 0x20000, .cr3 = BOOT_PAGING};

	if (!host_ram) {
		host_ram = aligned_alloc(PAGE_SIZE, HOST_RAM);
		make_pages();
		m->state = calloc(1, sizeof(struct machine_state));
	}
	struct machine_state *state = m->state;

	memset(host_ram, 0, HOST_RAM);
	memset(&host, 0, sizeof(host));
	host.stopped = -1;
	memset(m, 0, sizeof(*m));
	m->state = state;
	m->vcpus = vcpus;
	m->fpu_size = sizeof(host.fpu);
	gmem_add(&m->memory, 0, HOST_RAM, host_ram);
	clock_init(&m->clock, HOST_TSC_HZ, tsc_now(), 1704067200ull * NS_PER_SECOND, tsc_now());
	is_amd = amd;
	cpuid_build(&m->cpuid, &(struct cpuid_machine){7, HOST_TSC_HZ, 40, vcpus, false, false},
		cpuid_fake);
	for (u32 i = 0; i < vcpus; i++) {
		memset(run_page[i], 0, PAGE_SIZE);
		memset(apic_page[i], 0, PAGE_SIZE);
		m->vcpu[i].run = run_page[i];
		m->vcpu[i].event = i + 1;
		m->vcpu[i].watch = &watch[i];
		m->lapic[i].page = apic_page[i];
		m->vcpu[i].index = i;
	}
	memset(journal_log, 0, sizeof(journal_log));
	for (u32 i = 0; i < vcpus; i++)
		machine_journal(m, i, &journal[i], &journal_log[i]);
	machine_init(m);
	CHECK(boot_put_paging(&m->memory));
	entry_set(v, &entry);
	exit_export(v->run);
	machine_settle(v);
	v->run->dirty = 0;
	return v;
}

void host_exit(struct vcpu *v, enum exit_kind kind, u32 length)
{
	struct run_page *run = v->run;

	run->dirty = 0;
	run->inject = 0;
	run->valid = run->export[kind];
	run->exit_kind = kind;
	run->exit_length = length;
	run->sequence++;
	exit_handle(v);
}

bool host_raised(const struct vcpu *v, u8 vector)
{
	u64 inject = v->run->inject;

	return (inject & INJECT_VALID) && (inject & INJECT_TYPE_MASK) == INJECT_TYPE_EXCEPT &&
	       (u8)inject == vector && (v->run->dirty & GROUP_INJECT);
}

bool host_logged(const char *text)
{
	return strstr(host.log, text) != NULL;
}
