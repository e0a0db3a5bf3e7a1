/*
 * Tests of TLB shoot-down against fake TLBs, one per CPU, that forget only what they are told to.
 * CPUs and the unmapper take small steps in random order; a page is freed as soon as the unmapper
 * was told that all CPUs passed, and from then on no CPU may use a translation to it. Variants with
 * a deliberate mistake must be caught.
 */
#include <pthread.h>
#include <stdlib.h>
#include "mm/tlb.h"
#include "tests/unit/test.h"

#define CPUS  5u
#define PAGES 4u /* virtual pages of the space */
#define NONE  0u

enum mistake {
	MISTAKE_NONE,
	MISTAKE_SKIP_IPI,       /* one CPU of the mask is neither told nor waited for */
	MISTAKE_NO_FLUSH_ENTER, /* tlb_enter's answer is ignored */
	MISTAKE_NO_FLUSH_IPI,   /* the IPI is acknowledged without a flush */
	MISTAKE_EARLY_FREE,     /* the unmapper does not wait */
	MISTAKE_NO_GENERATION, /* the unmapper tells the active CPUs only, those that come later not
				*/
	MISTAKE_SPECULATION,   /* tlb_catch_up for a space that is walked before its flush */
	MISTAKE_COUNT,
};

enum cpu_state {
	OUT,
	FLUSH_ENTER,
	RUN,
	FLUSH_IPI
};

struct cpu {
	enum cpu_state state;
	bool ipi;
	bool answer;    /* must flush */
	u64 pending;    /* generation of the flush that runs, two-step form */
	u32 tlb[PAGES]; /* frame by virtual page; NONE: no entry */
};

/* Where the unmapper stands; one page at a time, as the space's lock has it. */
enum unmap_state {
	IDLE,
	CLEARED,
	WAITING
};

struct world {
	struct tlb_space space;
	struct cpu cpu[CPUS];
	u32 table[PAGES]; /* the page table */
	u32 next_frame;   /* frames are numbered afresh, so that a stale use is told */
	u32 freed[PAGES]; /* last freed frame of the page */
	enum unmap_state state;
	unsigned page; /* being unmapped */
	u32 frame;
	u64 wait[TLB_MAX_CPUS / 64];
	u64 generation;
	u64 seed;
	enum mistake mistake;
	unsigned stale;
	unsigned used;
	unsigned unmapped;
	unsigned undisturbed; /* unmaps at which a CPU was not active, and got no IPI */
};

static u32 random_below(struct world *w, u32 limit)
{
	w->seed = w->seed * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(w->seed >> 33) % limit;
}

static void fake_flush(struct cpu *c)
{
	memset(c->tlb, 0, sizeof(c->tlb));
}

/* A memory access: by the TLB's entry if it has one, else by the table, which fills the TLB. */
static void cpu_access(struct world *w, struct cpu *c)
{
	unsigned page = random_below(w, PAGES);

	if (c->tlb[page] == NONE)
		c->tlb[page] = w->table[page];
	if (c->tlb[page] == NONE)
		return;
	w->used++;
	if (c->tlb[page] <= w->freed[page])
		w->stale++;
}

static void cpu_step(struct world *w, unsigned i)
{
	struct cpu *c = &w->cpu[i];

	switch (c->state) {
	case OUT:
		c->ipi = false; /* a late IPI finds nothing to do */
		if (random_below(w, 4))
			break;
		c->answer = tlb_enter(&w->space, i) && w->mistake != MISTAKE_NO_FLUSH_ENTER;
		c->state = FLUSH_ENTER;
		break;
	case FLUSH_ENTER: /* interrupts are off between the call and the switch */
		if (c->answer)
			fake_flush(c);
		c->state = RUN;
		break;
	case RUN:
		if (c->ipi && random_below(w, 2)) { /* it may be under way for a while */
			c->ipi = false;
			c->pending = 0;
			c->answer = false;
			if (random_below(w, 2)) {
				c->answer = tlb_catch_up(&w->space, i);
			} else {
				c->pending = tlb_pending(&w->space, i);
				c->answer = c->pending != 0;
			}
			if (w->mistake == MISTAKE_NO_FLUSH_IPI)
				c->answer = false;
			c->state = FLUSH_IPI;
		} else if (random_below(w, 16) == 0) {
			tlb_leave(&w->space, i);
			c->state = OUT;
		} else {
			cpu_access(w, c);
		}
		break;
	case FLUSH_IPI:
		if (c->pending || w->mistake == MISTAKE_SPECULATION)
			cpu_access(w, c); /* by speculation */
		if (c->answer)
			fake_flush(c);
		if (c->pending)
			tlb_done(&w->space, i, c->pending);
		c->state = RUN;
		break;
	}
}

static void send_ipis(struct world *w)
{
	u64 before = w->space.generation;

	CHECK_EQ(tlb_invalidate(&w->space, w->wait), before + 1);
	w->generation = before + 1;
	if (w->mistake == MISTAKE_NO_GENERATION)
		w->space.generation = w->generation = before;
	for (unsigned i = 0; i < CPUS; i++) {
		bool told = w->wait[0] & BIT(i);

		CHECK_EQ(told, w->cpu[i].state != OUT);
		w->undisturbed += !told;
		if (told && w->mistake == MISTAKE_SKIP_IPI && i == 2)
			w->wait[0] &= ~BIT(i);
		else if (told)
			w->cpu[i].ipi = true;
	}
	CHECK(!(w->wait[0] >> CPUS) && !w->wait[1] && !w->wait[2] && !w->wait[3]);
}

static bool all_passed(struct world *w)
{
	for (unsigned i = 0; i < CPUS; i++) {
		if ((w->wait[0] & BIT(i)) && !tlb_passed(&w->space, i, w->generation))
			return false;
	}
	return true;
}

static void unmapper_step(struct world *w)
{
	switch (w->state) {
	case IDLE:
		w->page = random_below(w, PAGES);
		if (w->table[w->page] == NONE) {
			w->table[w->page] = ++w->next_frame; /* a map needs no flush */
			break;
		}
		w->frame = w->table[w->page];
		w->table[w->page] = NONE;
		w->state = CLEARED;
		break;
	case CLEARED:
		send_ipis(w);
		w->state = WAITING;
		break;
	case WAITING:
		if (w->mistake != MISTAKE_EARLY_FREE && !all_passed(w))
			break;
		w->freed[w->page] = w->frame;
		w->unmapped++;
		w->state = IDLE;
		break;
	}
}

static void run_world(struct world *w, enum mistake mistake, u64 seed)
{
	memset(w, 0, sizeof(*w));
	w->seed = seed;
	w->mistake = mistake;
	tlb_init(&w->space);
	for (unsigned i = 0; i < CPUS; i++) { /* entries that a former user of the tag left */
		for (unsigned page = 0; page < PAGES; page++)
			w->cpu[i].tlb[page] = 1;
	}
	w->next_frame = 1;
	for (unsigned page = 0; page < PAGES; page++)
		w->freed[page] = 1;
	for (unsigned step = 0; step < 20000; step++) {
		unsigned who = random_below(w, CPUS + 1);

		if (who < CPUS)
			cpu_step(w, who);
		else
			unmapper_step(w);
	}
}

TEST(tlb_never_stale_in_random_interleavings)
{
	struct world w;

	for (u64 seed = 1; seed <= 50; seed++) {
		run_world(&w, MISTAKE_NONE, seed);
		CHECK_EQ(w.stale, 0);
		CHECK(w.used > 1000);
		CHECK(w.unmapped > 100); /* nobody waits for ever */
		CHECK(w.undisturbed > 100);
	}
}

TEST(tlb_mistakes_are_caught)
{
	for (unsigned mistake = MISTAKE_NONE + 1; mistake < MISTAKE_COUNT; mistake++) {
		unsigned stale = 0;
		struct world w;

		for (u64 seed = 1; seed <= 10; seed++) {
			run_world(&w, (enum mistake)mistake, seed);
			stale += w.stale;
		}
		if (stale == 0)
			test_fail(__FILE__, __LINE__, "mistake %u went unnoticed", mistake);
	}
}

TEST(tlb_first_entry_flushes_and_the_second_does_not)
{
	struct tlb_space s;

	for (unsigned cpu = 0; cpu < TLB_MAX_CPUS; cpu++) {
		tlb_init(&s);
		CHECK(tlb_enter(&s, cpu));
		CHECK(!tlb_catch_up(&s, cpu));
		tlb_leave(&s, cpu);
		CHECK(!tlb_enter(&s, cpu));
		for (unsigned i = 0; i < TLB_MAX_CPUS / 64; i++)
			CHECK_EQ(s.active[i], i == cpu / 64 ? BIT(cpu % 64) : 0);
	}
}

TEST(tlb_unmap_while_away_flushes_on_return)
{
	u64 cpus[TLB_MAX_CPUS / 64];
	struct tlb_space s;

	tlb_init(&s);
	tlb_enter(&s, 200);
	tlb_leave(&s, 200);
	CHECK_EQ(tlb_invalidate(&s, cpus), 2);
	CHECK(!cpus[0] && !cpus[1] && !cpus[2] && !cpus[3]);
	CHECK(tlb_passed(&s, 200, 2));
	CHECK(tlb_enter(&s, 200));
	CHECK(tlb_passed(&s, 200, 2));
}

TEST(tlb_active_cpu_passes_only_after_its_flush)
{
	u64 cpus[TLB_MAX_CPUS / 64];
	struct tlb_space s;
	u64 g;

	tlb_init(&s);
	tlb_enter(&s, 130);
	g = tlb_invalidate(&s, cpus);
	CHECK_EQ(cpus[2], BIT(2));
	CHECK(!tlb_passed(&s, 130, g));
	CHECK_EQ(tlb_pending(&s, 130), g);
	CHECK(!tlb_passed(&s, 130, g));
	tlb_done(&s, 130, g);
	CHECK(tlb_passed(&s, 130, g));
	CHECK_EQ(tlb_pending(&s, 130), 0);
	tlb_invalidate(&s, cpus);
	g = tlb_invalidate(&s, cpus);
	CHECK(tlb_catch_up(&s, 130)); /* one flush serves both */
	CHECK(!tlb_catch_up(&s, 130));
	CHECK(tlb_passed(&s, 130, g) && tlb_passed(&s, 130, g - 1));
	CHECK(!tlb_passed(&s, 130, g + 1));
	tlb_leave(&s, 130);
	CHECK(tlb_passed(&s, 130, g + 1));
}

/* The same with real threads: the race between entering and invalidating. */
static struct {
	struct tlb_space space;
	u32 table;
	u32 freed;
	bool ipi[2];
	bool stop;
	unsigned stale;
	unsigned used;
} shared;

static void *thread_cpu(void *arg)
{
	unsigned cpu = (unsigned)(size_t)arg;
	u32 entry = NONE;

	while (!__atomic_load_n(&shared.stop, __ATOMIC_ACQUIRE)) {
		if (tlb_enter(&shared.space, cpu))
			entry = NONE;
		for (unsigned i = 0; i < 8; i++) {
			if (__atomic_exchange_n(&shared.ipi[cpu], false, __ATOMIC_SEQ_CST)) {
				u64 g = tlb_pending(&shared.space, cpu);

				entry = NONE;
				if (g)
					tlb_done(&shared.space, cpu, g);
			}
			if (entry == NONE)
				entry = __atomic_load_n(&shared.table, __ATOMIC_SEQ_CST);
			if (entry == NONE)
				continue;
			__atomic_fetch_add(&shared.used, 1, __ATOMIC_RELAXED);
			if (entry <= __atomic_load_n(&shared.freed, __ATOMIC_SEQ_CST))
				__atomic_fetch_add(&shared.stale, 1, __ATOMIC_RELAXED);
		}
		tlb_leave(&shared.space, cpu);
	}
	return NULL;
}

TEST(tlb_threads)
{
	pthread_t thread[2];

	memset(&shared, 0, sizeof(shared));
	tlb_init(&shared.space);
	for (size_t i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, thread_cpu, (void *)i), 0);
	for (u32 frame = 1; frame <= 20000; frame++) {
		u64 cpus[TLB_MAX_CPUS / 64];
		u64 g;

		__atomic_store_n(&shared.table, frame, __ATOMIC_SEQ_CST);
		for (unsigned i = 0; i < frame % 64; i++)
			__builtin_ia32_pause();
		__atomic_store_n(&shared.table, NONE, __ATOMIC_RELEASE);
		g = tlb_invalidate(&shared.space, cpus);
		for (unsigned cpu = 0; cpu < 2; cpu++) {
			if (!(cpus[0] & BIT(cpu)))
				continue;
			__atomic_store_n(&shared.ipi[cpu], true, __ATOMIC_SEQ_CST);
			while (!tlb_passed(&shared.space, cpu, g))
				__builtin_ia32_pause();
		}
		__atomic_store_n(&shared.freed, frame, __ATOMIC_SEQ_CST);
	}
	__atomic_store_n(&shared.stop, true, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	CHECK_EQ(shared.stale, 0);
	CHECK(shared.used > 1000);
}
