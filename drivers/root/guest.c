/* A partition's guest: VM, RAM and vCPUs, all charged to the holder. */
#include "drivers/root/member.h"
#include "kernel/abi/run.h"

#define PIECE_MAX (32ull << 30) /* bytes that one mapping covers */

static u64 wanted(const struct member *m)
{
	u64 sum = 0;

	for (u32 i = 0; i < m->node->rams; i++)
		sum += m->node->ram[i].size;
	return sum;
}

/* Cuts and maps one region, in as few pieces as the free memory allows. */
static bool make_region(struct member *m, const struct ram_node *r)
{
	struct guest *g = &m->guest;
	u64 done = 0;

	while (done < r->size) {
		struct memory *part = &g->ram[g->parts];
		u64 size = r->size - done < PIECE_MAX ? r->size - done : PIECE_MAX;
		status_t s;

		if (g->parts == GUEST_PARTS)
			return member_ok(m, STATUS_NO_SPACE, "RAM, cut in too many pieces");
		s = memory_new(m->holder, size, part);
		if (s == STATUS_NO_SPACE && memory_largest() < size)
			s = memory_new(m->holder, memory_largest(), part);
		if (!member_ok(m, s, "RAM"))
			return false;
		g->gpa[g->parts] = r->gpa + done;
		g->parts++;
		s = sys_mem_map(g->vm, part->cap, r->gpa + done, 0, part->size,
			MAP_READ | MAP_WRITE | MAP_EXEC);
		if (!member_ok(m, s, "RAM of the VM"))
			return false;
		done += part->size;
	}
	return true;
}

bool guest_make(struct member *m)
{
	struct guest *g = &m->guest;

	if (wanted(m) > memory_free_bytes()) {
		log_line("%s: memory: %lu MiB are described, but only %lu MiB of the machine's %lu "
			 "MiB "
			 "are free: describe less, or give the machine more",
			m->node->name, wanted(m) >> 20, memory_free_bytes() >> 20,
			memory_all_bytes() >> 20);
		return false;
	}
	if (!member_ok(m, object_new(KIND_VM, m->holder, &g->vm), "VM"))
		return false;
	for (u32 i = 0; i < m->node->rams; i++) {
		if (!make_region(m, &m->node->ram[i]))
			return false;
	}
	for (u32 i = 0; i < m->node->cpus; i++) {
		struct msg_create_vcpu *c = message;

		*c = (struct msg_create_vcpu){.vm = g->vm, .thread = m->process.thread[i]};
		if (!member_ok(m, object_new(KIND_VCPU, m->holder, &g->vcpu[i]), "vCPU"))
			return false;
		g->vcpus++;
	}
	return true;
}

void guest_end(struct member *m)
{
	struct guest *g = &m->guest;

	for (u32 i = 0; i < g->vcpus; i++)
		object_end(&g->vcpu[i]);
	object_end(&g->vm);
	for (u32 i = 0; i < g->parts; i++)
		memory_end(&g->ram[i]);
	*g = (struct guest){0};
}

u64 guest_exits(const struct member *m, u32 vcpu)
{
	const struct msg_vcpu_stats *stats = message;
	u64 sum = 0;

	if (sys_vcpu_ctl(m->guest.vcpu[vcpu], VCPU_CTL_STATS, 0, 0, NULL) != STATUS_OK)
		return 0;
	for (u32 i = 0; i < EXIT_KIND_COUNT; i++)
		sum += stats->exits[i];
	return sum;
}
