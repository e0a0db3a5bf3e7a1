/* Cases: virtual machines and vCPUs as objects; nothing of a guest runs. */
#include "drivers/test/test.h"
#include "kernel/abi/run.h"

#define RUN_PAGE 0x640000000ull

static cap_t make_vm(void)
{
	return make(KIND_VM, START_CAP_DOMAIN, NULL, 0);
}

static void vm_map(void)
{
	cap_t vm = make_vm();
	cap_t mem = make_mem(0x400000, 0x200000);

	if (case_failed())
		return;
	want_status(sys_mem_map(vm, mem, 0, 0, 0x400000, MAP_READ | MAP_WRITE | MAP_EXEC), OK);
	want_status(sys_mem_map(vm, mem, 0x200000, 0, PAGE_SIZE, MAP_READ), EXISTS);
	want_status(sys_mem_map(vm, mem, 0xfee00000, 0x1000, PAGE_SIZE, MAP_READ), OK);
	want_status(sys_mem_map(vm, mem, BIT(63), 0, PAGE_SIZE, MAP_READ), BAD_ARG);
	want_status(sys_mem_map(vm, mem, 0x800000, 0, 0x500000, MAP_READ), BAD_ARG);
	want_status(sys_mem_unmap(vm, 0), OK);
	want_status(sys_mem_unmap(vm, 0), NOT_FOUND);
	want_status(sys_mem_map(vm, mem, 0, 0, 0xa0000, MAP_READ | MAP_WRITE | MAP_EXEC), OK);
	want_status(sys_obj_destroy(mem), OK);
	want_status(sys_mem_unmap(vm, 0), NOT_FOUND);
	want_status(sys_obj_destroy(vm), OK);
	want_status(sys_mem_unmap(vm, 0), GONE);
}

static void vm_trap(void)
{
	cap_t vm = make_vm();
	cap_t event = make_event(BIT(33));

	if (case_failed())
		return;
	want_status(sys_vm_trap(vm, 0x80, 1, TRAP_EXIT, CAP_NULL), OK);
	want_status(sys_vm_trap(vm, 0x90, 2, TRAP_EVENT, event), OK);
	want_status(sys_vm_trap(vm, 0x90, 2, TRAP_EXIT, CAP_NULL), OK);
	want_status(sys_vm_trap(vm, 0xffff, 2, TRAP_EXIT, CAP_NULL), BAD_ARG);
	want_status(sys_vm_trap(vm, ~0ull, 2, TRAP_EXIT, CAP_NULL), BAD_ARG);
	want_status(sys_vm_trap(vm, 0x90, 1, TRAP_EVENT, CAP_NULL), BAD_CAP);
	want_status(sys_vm_trap(vm, 0x90, 1, TRAP_EVENT, START_CAP_THREAD), BAD_KIND);
	want_status(sys_vm_trap(vm, 0x90, 1, (enum trap_disposition)9, 0), BAD_ARG);
	/* A port of the host must not be given to a guest by somebody who has it not. */
	want_status(sys_vm_trap(vm, 0xcf8, 1, (enum trap_disposition)2, CAP_NULL), BAD_ARG);
	want_status(sys_vm_trap(START_CAP_DOMAIN, 0x80, 1, TRAP_EXIT, 0), BAD_KIND);
}

/* A range of doorbells that does not fit leaves none behind. */
static void vm_doorbells(void)
{
	cap_t vm = make_vm();
	cap_t event = make_event(BIT(33));
	u64 last = VM_MAX_DOORBELLS - 4;

	if (case_failed())
		return;
	want_status(sys_vm_trap(vm, 0x1000, last, TRAP_EVENT, event), OK);
	want_status(sys_vm_trap(vm, 0x2000, 5, TRAP_EVENT, event), NO_SPACE);
	want_status(sys_vm_trap(vm, 0x3000, 4, TRAP_EVENT, event), OK);
	want_status(sys_vm_trap(vm, 0x4000, 1, TRAP_EVENT, event), NO_SPACE);
	want_status(sys_vm_trap(vm, 0x1000, last, TRAP_EXIT, CAP_NULL), OK);
	want_status(sys_vm_trap(vm, 0x4000, 1, TRAP_EVENT, event), OK);
}

static void vcpu_objects(void)
{
	cap_t vm = make_vm();
	struct msg_create_vcpu m = {.vm = vm, .thread = START_CAP_THREAD};
	cap_t vcpu = make(KIND_VCPU, START_CAP_DOMAIN, &m, sizeof(m));
	u64 bits;

	if (case_failed())
		return;
	want_status(sys_vcpu_ctl(vcpu, VCPU_CTL_MAP, RUN_PAGE, 0, NULL), OK);
	want_status(sys_vcpu_ctl(vcpu, VCPU_CTL_MAP, RUN_PAGE + 0x10000, 0, NULL), OK);
	want_status(sys_vcpu_ctl(vcpu, VCPU_CTL_MAP, RUN_PAGE + 1, 0, NULL), BAD_ARG);
	want_status(sys_vcpu_ctl(vcpu, VCPU_CTL_MAP, BIT(63), 0, NULL), BAD_ARG);
	want_status(
		sys_vcpu_ctl(vcpu, VCPU_CTL_MAP, START_STACK_TOP - 2 * PAGE_SIZE, 0, NULL), EXISTS);
	want_status(sys_vcpu_ctl(vcpu, VCPU_CTL_STATS, 0, 0, NULL), OK);
	want(((struct msg_vcpu_stats *)thread_message())->entries == 0);
	want_status(sys_vcpu_ctl(vcpu, VCPU_CTL_BIND, BIT(33), 0x30, NULL), OK);
	want_status(sys_vcpu_ctl(vcpu, VCPU_CTL_BIND, BIT(33), 0, NULL), OK);
	want_status(sys_vcpu_ctl(vcpu, VCPU_CTL_BIND, BIT(33), 3, NULL), BAD_ARG);
	want_status(sys_vcpu_ctl(vcpu, VCPU_CTL_BIND, BIT(33), 256, NULL), BAD_ARG);
	want_status(sys_vcpu_ctl(vcpu, (enum vcpu_ctl_op)99, 0, 0, NULL), BAD_CALL);
	want_status(sys_vcpu_ctl(vm, VCPU_CTL_STATS, 0, 0, NULL), BAD_KIND);
	want_status(sys_vcpu_run(vm, 0, 0, &bits), BAD_KIND);
	want_status(sys_obj_destroy(vm), BUSY);
	want_status(sys_obj_destroy(vcpu), OK);
	want_status(sys_vcpu_run(vcpu, 0, 0, &bits), GONE);
	want_status(sys_obj_destroy(vm), OK);
}

const struct test_case vm_cases[] = {
	{"vm_map", vm_map},
	{"vm_trap", vm_trap},
	{"vm_doorbells", vm_doorbells},
	{"vcpu_objects", vcpu_objects},
	{NULL, NULL},
};
