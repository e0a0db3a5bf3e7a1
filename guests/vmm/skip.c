/*
 * The end of an instruction that exited. Built without announcements of its stores: RAX and RIP are
 * kept for each exit (journal_exit_keep), and `dirty` is never rolled back.
 */
#include "journal.h"
#include "vcpu.h"

static inline void skip(struct vcpu *v, struct run_page *run)
{
	if (unlikely(run->shadow & ~SHADOW_NMI))
		journal_note((u64)&run->shadow, sizeof(run->shadow));
	vcpu_skip_in(v, run);
}

void vcpu_skip(struct vcpu *v)
{
	skip(v, v->run);
}

void vcpu_answer(struct vcpu *v, u64 rax)
{
	struct run_page *run = v->run;

	run->gpr[RAX] = rax;
	skip(v, run);
}
