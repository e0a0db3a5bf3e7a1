/*
 * TLB shoot-down by generation; see tlb.h.
 *
 * The one race that matters: a CPU enters while another invalidates. The first sets its active bit
 * and then reads the generation, the second raises the generation and then reads the bits, all
 * sequentially consistent; so the first sees the new generation and flushes, or the second sees the
 * bit and sends an IPI.
 */
#include "mm/tlb.h"

#define WORD(cpu) ((cpu) / 64)
#define MASK(cpu) BIT((cpu) % 64)

void tlb_init(struct tlb_space *s)
{
	*s = (struct tlb_space){.generation = 1};
}

u64 tlb_pending(const struct tlb_space *s, unsigned cpu)
{
	u64 generation = __atomic_load_n(&s->generation, __ATOMIC_SEQ_CST);

	return __atomic_load_n(&s->flushed[cpu], __ATOMIC_RELAXED) < generation ? generation : 0;
}

void tlb_done(struct tlb_space *s, unsigned cpu, u64 generation)
{
	__atomic_store_n(&s->flushed[cpu], generation, __ATOMIC_RELEASE);
}

bool tlb_enter(struct tlb_space *s, unsigned cpu)
{
	__atomic_fetch_or(&s->active[WORD(cpu)], MASK(cpu), __ATOMIC_SEQ_CST);
	return tlb_catch_up(s, cpu);
}

void tlb_leave(struct tlb_space *s, unsigned cpu)
{
	__atomic_fetch_and(&s->active[WORD(cpu)], ~MASK(cpu), __ATOMIC_SEQ_CST);
}

u64 tlb_invalidate(struct tlb_space *s, u64 cpus[TLB_MAX_CPUS / 64])
{
	u64 generation = __atomic_add_fetch(&s->generation, 1, __ATOMIC_SEQ_CST);

	for (unsigned i = 0; i < TLB_MAX_CPUS / 64; i++)
		cpus[i] = __atomic_load_n(&s->active[i], __ATOMIC_SEQ_CST);
	return generation;
}

bool tlb_catch_up(struct tlb_space *s, unsigned cpu)
{
	u64 generation = tlb_pending(s, cpu);

	if (generation)
		tlb_done(s, cpu, generation);
	return generation != 0;
}

bool tlb_passed(const struct tlb_space *s, unsigned cpu, u64 g)
{
	return !(__atomic_load_n(&s->active[WORD(cpu)], __ATOMIC_SEQ_CST) & MASK(cpu)) ||
	       __atomic_load_n(&s->flushed[cpu], __ATOMIC_ACQUIRE) >= g;
}
