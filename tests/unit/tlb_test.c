/*
 * Tests of TLB shoot-down against fake TLBs, one per CPU, that forget only what they are told to.
 * CPUs and the unmapper take small steps in random order; a page is freed as soon as every CPU was
 * visited, and from then on no CPU may use a translation to it. Variants with a deliberate mistake
 * must be caught.
 */
#include <pthread.h>
#include <sched.h>
#include "mm/tlb.h"
#include "tests/unit/test.h"

#define CPUS  5u
#define PAGES 4u /* virtual pages of the space */
#define NONE  0u

enum mistake {
	MISTAKE_NONE,
	MISTAKE_SKIP_VISIT,     /* one CPU is not visited */
	MISTAKE_NO_FLUSH_ENTER, /* stale entries stay when a CPU enters */
	MISTAKE_NO_FLUSH_VISIT, /* a visit does not flush */
	MISTAKE_EARLY_FREE,     /* the unmapper does not wait */
	MISTAKE_NO_GENERATION,  /* the unmapper only visits */
	MISTAKE_COUNT,
};

enum cpu_state {
	OUT,
	ENTER,
	RUN,
};

struct cpu {
	enum cpu_state state;
	bool visit;     /* posted */
	u32 tlb[PAGES]; /* frame by virtual page; NONE: no entry */
};

/* Where the unmapper stands; one page at a time, as the space's lock has it. */
enum unmap_state {
	IDLE,
	CLEARED,
	VISITING
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
	unsigned visited; /* CPUs so far */
	u64 seed;
	enum mistake mistake;
	unsigned stale;
	unsigned used;
	unsigned unmapped;
	unsigned flushes;
};

static u32 random_below(struct world *w, u32 limit)
{
	w->seed = w->seed * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(w->seed >> 33) % limit;
}

static void catch_up(struct world *w, unsigned i, enum mistake forgets)
{
	bool stale = tlb_stale(&w->space, i);

	CHECK_EQ(tlb_catch_up(&w->space, i), stale);
	CHECK(!tlb_stale(&w->space, i));
	if (stale && w->mistake != forgets) {
		memset(w->cpu[i].tlb, 0, sizeof(w->cpu[i].tlb));
		w->flushes++;
	}
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

/* A visit comes between two programs: not between the loading of tables and the look at them. */
static void cpu_step(struct world *w, unsigned i)
{
	struct cpu *c = &w->cpu[i];

	if (c->visit && c->state != ENTER && random_below(w, 2)) {
		if (c->state == RUN)
			catch_up(w, i, MISTAKE_NO_FLUSH_VISIT);
		c->visit = false;
		return;
	}
	switch (c->state) {
	case OUT:
		if (!random_below(w, 4))
			c->state = ENTER;
		break;
	case ENTER:
		catch_up(w, i, MISTAKE_NO_FLUSH_ENTER);
		c->state = RUN;
		break;
	case RUN:
		if (random_below(w, 16) == 0)
			c->state = OUT;
		else
			cpu_access(w, c);
		break;
	}
}

/* The job goes from CPU to CPU. True when it has been everywhere. */
static bool visit_step(struct world *w)
{
	if (w->visited && w->cpu[w->visited - 1].visit)
		return false;
	if (w->visited == CPUS)
		return true;
	w->cpu[w->visited].visit = w->mistake != MISTAKE_SKIP_VISIT || w->visited != 2;
	w->visited++;
	return false;
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
		if (w->mistake != MISTAKE_NO_GENERATION)
			tlb_invalidate(&w->space);
		w->visited = 0;
		w->state = VISITING;
		break;
	case VISITING:
		if (!visit_step(w) && w->mistake != MISTAKE_EARLY_FREE)
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
		CHECK(w.flushes > 100);
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

TEST(tlb_each_cpu_flushes_once_a_generation)
{
	struct tlb_space s;

	tlb_init(&s);
	for (unsigned cpu = 0; cpu < TLB_MAX_CPUS; cpu++) {
		CHECK(tlb_catch_up(&s, cpu)); /* the first time always */
		CHECK(!tlb_catch_up(&s, cpu));
	}
	tlb_invalidate(&s);
	tlb_invalidate(&s); /* one flush serves both */
	for (unsigned cpu = 0; cpu < TLB_MAX_CPUS; cpu++) {
		CHECK(tlb_stale(&s, cpu));
		CHECK(tlb_catch_up(&s, cpu));
		CHECK(!tlb_catch_up(&s, cpu));
	}
}

/* The same with real threads: the race between entering and invalidating. */
static struct {
	struct tlb_space space;
	u32 table;
	u32 freed;
	bool visit[2];
	bool stop;
	unsigned stale;
	unsigned used;
} shared;

static void thread_uses(u32 *entry)
{
	if (*entry == NONE)
		*entry = __atomic_load_n(&shared.table, __ATOMIC_SEQ_CST);
	if (*entry == NONE)
		return;
	__atomic_fetch_add(&shared.used, 1, __ATOMIC_RELAXED);
	if (*entry <= __atomic_load_n(&shared.freed, __ATOMIC_SEQ_CST))
		__atomic_fetch_add(&shared.stale, 1, __ATOMIC_RELAXED);
}

static void *thread_cpu(void *arg)
{
	unsigned cpu = (unsigned)(size_t)arg;
	u32 entry = NONE;

	for (unsigned i = 0; !__atomic_load_n(&shared.stop, __ATOMIC_ACQUIRE); i++) {
		bool inside = i % 16 < 12;
		bool visit = __atomic_load_n(&shared.visit[cpu], __ATOMIC_SEQ_CST);

		if (inside && (visit || i % 16 == 0) && tlb_catch_up(&shared.space, cpu))
			entry = NONE;
		if (visit)
			__atomic_store_n(&shared.visit[cpu], false, __ATOMIC_SEQ_CST);
		if (inside)
			thread_uses(&entry);
		else if (i % 16 == 15)
			sched_yield();
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
	for (u32 frame = 1; frame <= 2000; frame++) {
		__atomic_store_n(&shared.table, frame, __ATOMIC_SEQ_CST);
		while (frame % 2 && __atomic_load_n(&shared.used, __ATOMIC_RELAXED) < frame)
			sched_yield(); /* so that some of them are in use */
		__atomic_store_n(&shared.table, NONE, __ATOMIC_RELEASE);
		tlb_invalidate(&shared.space);
		for (unsigned cpu = 0; cpu < 2; cpu++) {
			__atomic_store_n(&shared.visit[cpu], true, __ATOMIC_SEQ_CST);
			while (__atomic_load_n(&shared.visit[cpu], __ATOMIC_SEQ_CST))
				sched_yield();
		}
		__atomic_store_n(&shared.freed, frame, __ATOMIC_SEQ_CST);
	}
	__atomic_store_n(&shared.stop, true, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	CHECK_EQ(shared.stale, 0);
}
