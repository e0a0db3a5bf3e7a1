/* The journal of a vCPU's exits: see journal.h. Built without announcements of its own stores. */
#include "journal.h"
#include "console.h"
#include "guests/vmm/cpu/x86.h"
#include "lock.h"

#define WORD     8u
#define PAGE_TMR (LAPIC_TMR + 0x80u) /* behind it */

static struct journal *journals[MACHINE_VCPUS];

#ifdef HOST_TEST
struct journal *journal_tested;

static struct journal *own(void)
{
	return journal_tested;
}
#else
/* A thread's message page tells which one it is (lib/start.h). */
static struct journal *own(void)
{
	u64 message = (u64)thread_message();

	return journals[message < START_MESSAGES ? 0 : (message - START_MESSAGES) / PAGE_SIZE + 1];
}
#endif

static void range_set(struct journal *j, u32 index, const void *base, u64 from, u64 to)
{
	j->range[index].base = (u64)base + from;
	j->range[index].size = to - from;
}

void journal_open(struct vcpu *v, struct journal *j, struct journal_log *log)
{
	const struct machine_state *s = v->machine->state;

	*j = (struct journal){0};
	v->journal = j;
	v->log = log;
	journals[v->index] = j;
	/*
	 * Left out: what the kernel, other threads or hardware write at any time. The APIC page's
	 * TMR changes with the pending vectors, which are not rolled back.
	 */
	range_set(j, 0, v->run, offsetof(struct run_page, exit_kind),
		offsetof(struct run_page, export));
	range_set(j, 1, v->run, offsetof(struct run_page, flags),
		offsetof(struct run_page, sequence));
	range_set(j, 2, s, offsetof(struct machine_state, ioapic),
		offsetof(struct machine_state, virtio));
	range_set(j, 3, v->lapic->state, 0, sizeof(struct lapic));
	range_set(j, 4, v->state, 0, sizeof(struct vcpu_state));
	range_set(j, 5, s, 0, offsetof(struct machine_state, vcpu));
	range_set(j, 6, v->lapic->page, 0, LAPIC_TMR);
	range_set(j, 7, v->lapic->page, PAGE_TMR, PAGE_SIZE);
}

void journal_begin(struct vcpu *v)
{
	v->journal->round++;
	v->journal->log = v->log;
}

/* The count goes up when the entry is there; other fields stay. */
static void append(struct journal *j, u64 where, u64 old)
{
	struct journal_log *log = j->log;
	u64 count = log->word & JOURNAL_COUNT;

	if (count == JOURNAL_ENTRIES) {
		log->word |= JOURNAL_FULL;
		return;
	}
	log->entry[count] = (struct journal_entry){where, old};
	__atomic_store_n(&log->word, log->word + 1, __ATOMIC_RELEASE);
}

static bool seen(struct journal *j, u64 where)
{
	u32 at = (u32)(where / WORD % JOURNAL_SEEN);

	if (j->seen[at].where == where && j->seen[at].round == j->round)
		return true;
	j->seen[at].where = where;
	j->seen[at].round = j->round;
	return false;
}

static void note_words(struct journal *j, u32 range, u64 offset, u64 size)
{
	u64 end = offset + size;

	if (end > j->range[range].size)
		end = j->range[range].size;
	for (offset = ALIGN_DOWN(offset, WORD); offset < end; offset += WORD) {
		u64 where = (u64)range << JOURNAL_RANGE_SHIFT | offset;

		if (!seen(j, where))
			append(j, where, *(const u64 *)(j->range[range].base + offset));
	}
}

void journal_note(u64 address, u64 size)
{
	struct journal *j = own();

	if (!j || !j->log)
		return;
	for (u32 i = 0; i < JOURNAL_RANGES; i++) {
		u64 offset = address - j->range[i].base;

		if (offset < j->range[i].size) {
			note_words(j, i, offset, size);
			return;
		}
	}
}

void journal_ram(struct vcpu *v, gpa_t gpa, u64 size)
{
	u64 end = gpa + size;

	for (gpa = ALIGN_DOWN(gpa, WORD); v->journal->log && gpa < end; gpa += WORD) {
		const u64 *word = gmem_at(&v->machine->memory, gpa, WORD);

		if (word)
			append(v->journal, (u64)JOURNAL_RAM << JOURNAL_RANGE_SHIFT | gpa, *word);
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
	if (v->locked) {
		console_publish(v->machine);
		machine_unlock(v);
	}
}

static u64 *place(struct vcpu *v, u64 where)
{
	u64 range = where >> JOURNAL_RANGE_SHIFT;
	u64 offset = where & (BIT(JOURNAL_RANGE_SHIFT) - 1);

	if (range == JOURNAL_RAM)
		return gmem_at(&v->machine->memory, offset, WORD);
	if (range >= JOURNAL_RANGES || offset >= v->journal->range[range].size)
		return NULL;
	return (u64 *)(v->journal->range[range].base + offset);
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
	} else {
		roll_back(v, count);
		if (*again && log->quick.sequence == run->sequence) {
			run->gpr[RAX] = log->quick.rax;
			run->gpr[RCX] = log->quick.rcx;
			run->rip = log->quick.rip;
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
