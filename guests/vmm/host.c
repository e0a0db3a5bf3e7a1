/* System calls and calls to root. */
#include "host.h"

#define BROKEN_TRIES 50u /* it is said once */

void host_fetch(struct vcpu *v, u64 groups)
{
	u64 valid = v->run->valid;

	journal_fetching(v, valid);

	/* what was current stays so: the kernel only names the groups that it wrote now */
	check(sys_vcpu_ctl(v->cap, VCPU_CTL_FETCH, groups, 0, NULL) == STATUS_OK);
	journal_fetching(v, valid | groups);
	v->run->valid = valid | groups;
}

void host_signal(cap_t event, u64 bits)
{
	sys_event_signal(event, bits);
}

void host_broken(cap_t peer)
{
	root_call(ROOT_BROKEN, peer, BROKEN_TRIES);
}

void host_flooded(cap_t peer)
{
	root_call(ROOT_FLOODED, peer, 1);
}

u64 host_wait(u64 mask, cycles_t deadline)
{
	u64 bits;

	return sys_event_wait(mask, deadline, &bits) == STATUS_EVENT ? bits : 0;
}

cycles_t host_waited(struct vcpu *v)
{
	const struct msg_thread_stats *stats = thread_message();
	status_t s = sys_thread_ctl(v->thread, THREAD_CTL_STATS, 0, 0, 0);

	return s == STATUS_OK ? stats->wait_time : 0;
}

bool host_event(cap_t thread, cap_t *event)
{
	cap_t slot = slot_new();
	status_t s;

	*(struct msg_create_event *)thread_message() =
		(struct msg_create_event){.thread = thread, .mask = ~0ull << VCPU_BIT_FIRST};
	s = sys_obj_create(KIND_EVENT, START_CAP_DOMAIN, slot);
	if (s != STATUS_OK) {
		log_line("a vcpu's thread cannot be reached: %s", status_text(s));
		return false;
	}
	*event = slot;
	return true;
}

bool host_doorbell(struct machine *m, u16 port, u32 bit)
{
	cap_t *bell = &m->bell[bit % ARRAY_SIZE(m->bell)];

	if (*bell == CAP_NULL) {
		struct msg_create_event *create = thread_message();
		cap_t slot = slot_new();

		*create = (struct msg_create_event){.thread = START_CAP_THREAD, .mask = BIT(bit)};
		if (sys_obj_create(KIND_EVENT, START_CAP_DOMAIN, slot) != STATUS_OK)
			return false;
		*bell = slot;
	}
	return sys_vm_trap(m->vm, port, 1, TRAP_EVENT, *bell) == STATUS_OK;
}

void host_doorbell_remove(struct machine *m, u16 port)
{
	sys_vm_trap(m->vm, port, 1, TRAP_EXIT, CAP_NULL);
}

bool host_fpu_read(struct vcpu *v, u32 offset, void *data, u32 size)
{
	if (offset > PAGE_SIZE || size > PAGE_SIZE - offset ||
		sys_vcpu_ctl(v->cap, VCPU_CTL_FPU_GET, 0, 0, NULL) != STATUS_OK)
		return false;
	memcpy(data, (u8 *)thread_message() + offset, size);
	return true;
}

bool host_fpu_write(struct vcpu *v, u32 offset, const void *data, u32 size)
{
	if (offset > PAGE_SIZE || size > PAGE_SIZE - offset ||
		sys_vcpu_ctl(v->cap, VCPU_CTL_FPU_GET, 0, 0, NULL) != STATUS_OK)
		return false;
	memcpy((u8 *)thread_message() + offset, data, size);
	return sys_vcpu_ctl(v->cap, VCPU_CTL_FPU_SET, 0, 0, NULL) == STATUS_OK;
}

_Noreturn void host_stop(enum root_stop_reason reason)
{
	root_call(ROOT_STOP, reason, 0); /* unheard, it would be taken for a death */
	program_exit(0);
}
