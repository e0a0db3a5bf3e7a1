/*
 * The journal of a vCPU's exits, by which a fresh VMM goes on where a dead one was, at whatever
 * instruction that died.
 *
 * Handling an exit is a transaction: from vcpu_run's return to journal_commit, before the next
 * vcpu_run. The journal is an undo log: before a word of what outlives the process is changed for
 * the first time in a transaction, its old value is appended. The compiler does that, as it
 * announces every store of the files that are built with JOURNAL_CFLAGS (build.mk), so no model
 * can forget it. The commit is one store; with it the entries mean nothing any more and the exit
 * counts as handled. A fresh VMM rolls back what was not committed and handles that exit anew.
 *
 * x86 makes a thread's stores visible in program order and a thread dies between two instructions,
 * so what is found is always the state after some number of stores.
 *
 * What is not rolled back, because others see it at once: guest memory (written again with the same
 * values), pending vectors and mail (sent again: at least once), virtio devices (their queues have
 * an order of their own: machine_virtio.h), and what sessions show the peer: that is published
 * after the commit from indices in the state (console.h).
 */
#pragma once

#include "guests/vmm/cpu/x86.h"
#include "kernel/abi/run.h"

struct machine;
struct vcpu;

#define JOURNAL_ENTRIES 1020u

struct journal_entry {
	u64 where; /* range << JOURNAL_RANGE_SHIFT | offset in it: no address, as these may change
		    */
	u64 old;
};

/*
 * What nearly every handler changes, kept at the start of each exit without the log, so that
 * vcpu_skip and vcpu_answer, and all of CPUID's short way, whose other registers are its results,
 * store without announcements.
 */
struct journal_exit {
	u64 sequence; /* of the exit whose values they are; the last to be stored */
	u64 rax;
	u64 rip;
	u64 reserved;
};

/* In the holder's memory, one for each vCPU; all zero at first. */
struct journal_log {
	/* JOURNAL_*: number of entries, groups fetched in this transaction, exit last committed */
	u64 word;
	u64 reserved[3];
	struct journal_exit exit;
	struct journal_entry entry[JOURNAL_ENTRIES];
};
static_assert(sizeof(struct journal_log) == 4 * 4096);

#define JOURNAL_COUNT          0xffffull
#define JOURNAL_GROUPS_SHIFT   16
#define JOURNAL_GROUPS         (0xffull << JOURNAL_GROUPS_SHIFT)
#define JOURNAL_FULL           BIT(31) /* more was changed than fits: cannot be rolled back */
#define JOURNAL_SEQUENCE_SHIFT 32

/* What an offset is in; RAM's are guest-physical addresses. */
#define JOURNAL_KIND  (3ull << 62)
#define JOURNAL_RAM   (0ull << 62)
#define JOURNAL_RUN   (1ull << 62) /* the run page */
#define JOURNAL_PAGE  (2ull << 62) /* the APIC page */
#define JOURNAL_STATE (3ull << 62) /* struct machine_state */
#define JOURNAL_SEEN  64u

/* Bytes above a thread's stack pointer in which nothing lies that is rolled back. */
#define JOURNAL_STACK 0x2000u

/* What a thread's process knows of its journal besides. */
struct journal {
	struct journal_log *log;
	u64 run; /* addresses of the run page, the APIC page, the state */
	u64 page;
	u64 state;
	u64 vcpu; /* offsets of the vCPU's own parts in it */
	u64 lapic;
	u64 round; /* counts commits */
	struct {
		u64 where;
		u64 round;
	} seen[JOURNAL_SEEN]; /* words noted of late, so that most are noted once */
};

/*
 * Makes `log` the journal of v, with `j` for this process. v's state, run page and APIC page are
 * known. Nothing is noted before journal_begin, which v's own thread calls.
 */
void journal_open(struct vcpu *v, struct journal *j, struct journal_log *log);
void journal_begin(struct vcpu *v);

/* Before anything is done for the run page's exit. */
static inline void journal_exit_keep(struct journal_log *log, const struct run_page *run)
{
	log->exit.rax = run->gpr[RAX];
	log->exit.rip = run->rip;
	log->exit.sequence = run->sequence;
	asm volatile("" : : : "memory"); /* before these change */
}

/* The exit is handled: what was changed holds, is shown to others, and the lock is given back. */
void journal_commit(struct vcpu *v);

/* Around VCPU_CTL_FETCH, which also makes the kernel take over what is dirty: what is current. */
void journal_fetching(struct vcpu *v, u64 groups);

/*
 * Rolls back the transaction that a dead process left open. Before any of the machine's threads
 * runs. False, and nothing is changed: it cannot be. Else *again tells whether the run page's exit
 * is to be handled anew.
 */
bool journal_recover(struct vcpu *v, bool *again);

/* Notes `size` bytes of guest RAM that are about to be changed and must be rolled back too. */
void journal_ram(struct vcpu *v, gpa_t gpa, u64 size);

/* What is about to be changed; called by the compiler's announcements (journal_hooks.c). */
void journal_note(u64 address, u64 size);

#ifdef HOST_TEST
extern struct journal *journal_tested; /* the thread's own */
#endif
