/*
 * The test program. What it does stands in `args` of its node or, in the place of a partition's
 * VMM, in `bootargs` of the guest:
 * - nothing: every system call with good and bad arguments (needs `test-authority`)
 * - `bench`: the benchmarks of system calls (needs `test-authority`)
 * - `vcpu`: the cases that need VT-x or AMD-V (needs `test-authority`)
 * - `device`: the cases of a PCI function; `device held`: those of one that may do no DMA (need
 *   `test-authority`)
 * - `only P`: the cases of both kinds whose names begin with P (needs `test-authority`)
 * - `fault`, `exit N`, `check`, `loop`, `pool`, `stack`, `stack second`, `flood`, `storm`,
 *   `print`: misbehaviour, see modes.c; `keep`: who would notice it of others
 * - `wild [CALLS [SEED]]`: so many random system calls, see wild.c
 */
#include <libfdt.h>

#include "drivers/test/test.h"

const struct start_info *info;

static const char *arguments(void)
{
	const struct start_resource *config = start_find(info, START_CONFIG, 0);
	const void *fdt = config ? (const void *)config->address : NULL;
	const char *args;

	if (!fdt || fdt_check_full(fdt, config->size) != 0)
		return "";
	args = fdt_getprop(fdt, 0, "args", NULL);
	if (!args)
		args = fdt_getprop(fdt, fdt_path_offset(fdt, "/machine/boot"), "bootargs", NULL);
	return args ? args : "";
}

static void sum_up(void)
{
	log_line("test: %u passed, %u failed", cases_passed, cases_failed);
}

static void run_calls(const char *only)
{
	cases_run(system_cases, only);
	cases_run(event_cases, only);
	cases_run(mem_cases, only);
	cases_run(thread_cases, only);
	cases_run(ipc_cases, only);
	cases_run(domain_cases, only);
	cases_run(vm_cases, only);
}

static bool needs_authority(const char *mode)
{
	return !*mode || strcmp(mode, "bench") == 0 || strcmp(mode, "vcpu") == 0 ||
	       strncmp(mode, "device", 6) == 0 || strncmp(mode, "only ", 5) == 0;
}

int main(struct start_info *start);

int main(struct start_info *start)
{
	const char *mode;

	info = start;
	mode = arguments();
	if (!start_find(info, START_MEM, 0) && needs_authority(mode)) {
		log_line("\"%s\" needs \"test-authority\" in the node", mode);
		return 0;
	}
	if (strcmp(mode, "bench") == 0) {
		bench_run();
	} else if (strcmp(mode, "vcpu") == 0) {
		cases_run(apic_cases, "");
		cases_run(vcpu_cases, "");
		sum_up();
	} else if (strcmp(mode, "device") == 0) {
		cases_run(device_cases, "");
		sum_up();
	} else if (strcmp(mode, "device held") == 0) {
		cases_run(device_held_cases, "");
		sum_up();
	} else if (strncmp(mode, "only ", 5) == 0) {
		run_calls(mode + 5);
		cases_run(apic_cases, mode + 5);
		cases_run(vcpu_cases, mode + 5);
		sum_up();
	} else if (*mode) {
		mode_run(mode);
	} else {
		run_calls("");
		sum_up();
	}
	return 0;
}
