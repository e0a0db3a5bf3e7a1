/* The journal of a vCPU's exits: see journal.h. Built without announcements of its own stores. */
#include "journal.h"
#include "console.h"
#include "guests/vmm/cpu/x86.h"
#include "lock.h"

#define WORD     8u
#define PAGE_TMR (LAPIC_TMR + 0x80u) /* behind it */

/* The calling thread's own, by its message page (lib/start.h). */
#ifdef HOST_TEST
struct journal *journal_tested;

static struct journal **own(void)
{
	return &journal_tested;
}
#else
static struct journal **own(void)
{
	static struct journal
		*by_page[(START_MESSAGES - START_MESSAGE) / PAGE_SIZE + MACHINE_VCPUS];

	return &by_page[(u64)thread_message() / PAGE_SIZE - START_MESSAGE / PAGE_SIZE];
}
#endif

void journal_open(struct vcpu *v, struct journal *j, struct journal_log *log)
{
	struct machine_state *s = v->machine->state;

	*j = (struct journal){
		.run = (u64)v->run,
		.page = (u64)v->lapic->page,
		.state = (u64)s,
		.vcpu = (u64)v->state - (u64)s,
		.lapic = (u64)v->lapic->state - (u64)s,
	};
	v->journal = j;
	v->log = log;
}

void journal_begin(struct vcpu *v)
{
	struct journal *j = v->journal;
	u64 stack = (u64)__builtin_frame_address(0);

	check(j->run - stack >= JOURNAL_STACK && j->page - stack >= JOURNAL_STACK &&
		j->state - stack >= JOURNAL_STACK);
	j->log = v->log;
	j->round++;
	*own() = j;
}

/* The count goes up when the entry is there; other fields stay. */
static inline void append(struct journal_log *log, u64 where, u64 old)
{
	u64 word = log->word;
	u64 count = word & JOURNAL_COUNT;

	if (unlikely(count == JOURNAL_ENTRIES)) {
		log->word = word | JOURNAL_FULL;
		return;
	}
	log->entry[count] = (struct journal_entry){where, old};
	__atomic_store_n(&log->word, word + 1, __ATOMIC_RELEASE);
}

static inline void note_word(struct journal *j, u64 where, u64 address)
{
	u32 at = (u32)(where / WORD % JOURNAL_SEEN);

	if (likely(j->seen[at].where == where && j->seen[at].round == j->round))
		return;
	j->seen[at].where = where;
	j->seen[at].round = j->round;
	append(j->log, where, *(const u64 *)address);
}

/*
 * Whether a word is rolled back. Left out is what the kernel, other threads or hardware write at
 * any time, and what belongs to other vCPUs. The APIC page's TMR changes with the pending vectors,
 * which are not rolled back.
 */
static inline bool run_rolls_back(u64 offset)
{
	return offset - offsetof(struct run_page, exit_kind) <
		       offsetof(struct run_page, export) - offsetof(struct run_page, exit_kind) ||
	       offset - offsetof(struct run_page, flags) <
		       offsetof(struct run_page, sequence) - offsetof(struct run_page, flags);
}

static inline bool page_rolls_back(u64 offset)
{
	return offset < LAPIC_TMR || (offset >= PAGE_TMR && offset < PAGE_SIZE);
}

static inline bool state_rolls_back(const struct journal *j, u64 offset)
{
	if (offset >= offsetof(struct machine_state, virtio))
		return false;
	return offset >= offsetof(struct machine_state, ioapic) ||
	       offset < offsetof(struct machine_state, vcpu) ||
	       offset - j->lapic < sizeof(struct lapic) ||
	       offset - j->vcpu < sizeof(struct vcpu_state);
}

/* Where that is, if it is rolled back; 0 otherwise. */
static inline u64 where_is(const struct journal *j, u64 address)
{
	u64 offset = address - j->run;

	if (offset < sizeof(struct run_page))
		return run_rolls_back(offset) ? JOURNAL_RUN | offset : 0;
	offset = address - j->state;
	if (offset < offsetof(struct machine_state, virtio))
		return state_rolls_back(j, offset) ? JOURNAL_STATE | offset : 0;
	offset = address - j->page;
	return page_rolls_back(offset) ? JOURNAL_PAGE | offset : 0;
}

static bool is_near(const struct journal *j, u64 address)
{
	return address - j->run < PAGE_SIZE || address - j->page < PAGE_SIZE ||
	       address - j->state < sizeof(struct machine_state);
}

/* More than one word. */
static void note_more(struct journal *j, u64 address, u64 end)
{
	bool much = end - address > 2 * WORD;

	for (; address < end; address += WORD) {
		u64 where = where_is(j, address);

		if (where)
			note_word(j, where, address);
		else if (much && !is_near(j, address))
			return; /* of other memory */
	}
}

void journal_note(u64 address, u64 size)
{
	struct journal *j = *own();
	u64 end = address + size;
	u64 where;

	if (unlikely(!j))
		return;
	address &= ~(u64)(WORD - 1);
	if (unlikely(end - address > WORD)) {
		note_more(j, address, end);
		return;
	}
	where = where_is(j, address);
	if (where)
		note_word(j, where, address);
}

void journal_ram(struct vcpu *v, gpa_t gpa, u64 size)
{
	struct journal *j = v->journal;
	u64 end = gpa + size;

	for (gpa = ALIGN_DOWN(gpa, WORD); j->log && gpa < end; gpa += WORD) {
		const u64 *word = gmem_at(&v->machine->memory, gpa, WORD);

		if (word)
			append(j->log, JOURNAL_RAM | gpa, *word);
	}
}

void journal_fetching(struct vcpu *v, u64 groups)
{
	__atomic_store_n(
		&v->log->word, v->log->word | groups << JOURNAL_GROUPS_SHIFT, __ATOMIC_RELEASE);
}

void journal_commit(struct vcpu *v)
{
	__atomic_store_n(
		&v->log->word, v->run->sequence << JOURNAL_SEQUENCE_SHIFT, __ATOMIC_RELEASE);
	v->journal->round++;
	if (unlikely(v->post->taken))
		v->post->taken = 0;
	if (v->eoi_looked) {
		v->post->eoi_seen = 0;
		v->eoi_looked = false;
	}
	if (v->locked) {
		console_publish(v->machine);
		machine_unlock(v);
	}
}

static u64 *place(struct vcpu *v, u64 where)
{
	const struct journal *j = v->journal;
	u64 offset = where & ~JOURNAL_KIND;

	switch (where & JOURNAL_KIND) {
	case JOURNAL_RUN:
		return run_rolls_back(offset) ? (u64 *)(j->run + offset) : NULL;
	case JOURNAL_STATE:
		return state_rolls_back(j, offset) ? (u64 *)(j->state + offset) : NULL;
	case JOURNAL_PAGE:
		return page_rolls_back(offset) ? (u64 *)(j->page + offset) : NULL;
	default:
		return gmem_at(&v->machine->memory, offset, WORD);
	}
}

static void roll_back(struct vcpu *v, u64 count)
{
	while (count) {
		const struct journal_entry *e = &v->log->entry[--count];
		u64 *word = place(v, e->where);

		if (word)
			*word = e->old;
	}
}

/*
 * Each step may be made again, should this process die too: what is current in the run page is
 * known from `word` until that is settled.
 */
bool journal_recover(struct vcpu *v, bool *again)
{
	struct journal_log *log = v->log;
	struct run_page *run = v->run;
	u64 word = log->word;
	u64 count = word & JOURNAL_COUNT;
	u64 groups = (word & JOURNAL_GROUPS) >> JOURNAL_GROUPS_SHIFT;

	if (word & JOURNAL_FULL || count > JOURNAL_ENTRIES)
		return false;
	*again = (u32)(word >> JOURNAL_SEQUENCE_SHIFT) != (u32)run->sequence;
	if (!*again && !count) {
		/* The guest may have run since: nothing is current but what is still dirty. */
		run->valid = 0;
		v->post->eoi_seen = 0;
	} else {
		roll_back(v, count);
		if (*again && log->exit.sequence == run->sequence) {
			run->gpr[RAX] = log->exit.rax;
			run->rip = log->exit.rip;
		}
		/* The kernel may have taken over what is undone now, when it was asked for more. */
		if (!groups)
			groups = run->valid & GROUP_ALL_REG;
		run->dirty |= groups | GROUP_INJECT;
		run->valid = groups;
	}
	run->dirty |= GROUP_CONTROL | GROUP_APIC; /* its timers stopped with the thread */
	__atomic_store_n(&log->word, word & ~(JOURNAL_COUNT | JOURNAL_GROUPS), __ATOMIC_RELEASE);
	return true;
}
