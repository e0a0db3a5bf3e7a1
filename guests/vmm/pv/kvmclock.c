/* Writes KVM's clock structures into the guest's memory. */
#include "kvmclock.h"
#include "guests/vmm/vcpu.h"

#define FLAG_STABLE 1u /* the TSCs of all vCPUs agree */

struct pvclock_vcpu {
	u32 version; /* odd while it is being written */
	u32 pad;
	u64 tsc_timestamp;
	u64 system_time;
	u32 multiplier;
	s8 shift;
	u8 flags;
	u8 pad2[2];
} __attribute__((packed, aligned(4))); /* guests promise no more */
static_assert(sizeof(struct pvclock_vcpu) == 32);

struct pvclock_wall {
	u32 version;
	u32 seconds;
	u32 nanoseconds;
};
static_assert(sizeof(struct pvclock_wall) == 12);

void kvmclock_scale(u64 hz, u32 *multiplier, s8 *shift)
{
	s8 by = 0;

	while (hz > UINT32_MAX) {
		hz >>= 1;
		by--;
	}
	/* above 10^9 the quotient is below 2^32, and as large as it can be */
	while (hz <= NS_PER_SECOND) {
		hz <<= 1;
		by++;
	}
	*multiplier = (u32)((NS_PER_SECOND << 32) / hz);
	*shift = by;
}

void kvmclock_update(struct vcpu *v)
{
	struct machine *m = v->machine;
	u64 msr = v->state->clock_system;
	cycles_t now = tsc_now();
	struct pvclock_vcpu *clock;
	u32 version;

	if (!(msr & KVMCLOCK_ENABLE))
		return;
	clock = gmem_at(&m->memory, msr & ~KVMCLOCK_ENABLE, sizeof(*clock));
	if (!clock)
		return;
	version = __atomic_load_n(&clock->version, __ATOMIC_RELAXED) | 1;
	__atomic_store_n(&clock->version, version, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	clock->pad = 0;
	clock->tsc_timestamp = now + v->state->tsc_offset;
	clock->system_time = clock_ns(&m->clock, now - m->clock.start);
	kvmclock_scale(m->clock.hz, &clock->multiplier, &clock->shift);
	clock->flags = FLAG_STABLE;
	__atomic_store_n(&clock->version, version + 1, __ATOMIC_RELEASE);
}

bool kvmclock_enable(struct vcpu *v, u64 value)
{
	if ((value & KVMCLOCK_ENABLE) &&
		((value & 2) || !gmem_at(&v->machine->memory, value & ~KVMCLOCK_ENABLE,
					sizeof(struct pvclock_vcpu))))
		return false;
	v->state->clock_system = value;
	kvmclock_update(v);
	return true;
}

bool kvmclock_wall(struct machine *m, u64 gpa)
{
	struct pvclock_wall *wall = gmem_at(&m->memory, gpa, sizeof(*wall));
	u32 version;

	if (!wall || (gpa & 3))
		return false;
	version = __atomic_load_n(&wall->version, __ATOMIC_RELAXED) | 1;
	__atomic_store_n(&wall->version, version, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	wall->seconds = (u32)(m->clock.wall_clock / NS_PER_SECOND);
	wall->nanoseconds = (u32)(m->clock.wall_clock % NS_PER_SECOND);
	__atomic_store_n(&wall->version, version + 1, __ATOMIC_RELEASE);
	m->state->wall_gpa = gpa;
	return true;
}
