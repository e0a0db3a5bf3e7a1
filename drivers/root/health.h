/*
 * Whether a program still answers (protocols/pulse.h). Pure.
 *
 * A program that does not answer may be hung, or may not get its CPU because more urgent threads
 * use it, or its budget is used up. What tells them apart is its own CPU time: one that hangs in a
 * loop uses it, one that is starved does not. One that neither runs nor answers for long gets the
 * highest priority for a moment: if it runs then, it was starved; if not, it waits for something
 * that does not come.
 */
#pragma once

#include "kernel/abi/types.h"

#define HEALTH_PATIENCE 10u /* periods without an answer and without much CPU time */
#define HEALTH_START    10u /* times as much CPU time before a program's first answer */

struct health {
	u32 asked;     /* questions, ever */
	u32 late;      /* looks since the last question that has no answer */
	bool begun;    /* it has answered once */
	bool raised;   /* its priority is raised until the next look */
	bool starved;  /* it was, and that was told */
	u64 run_time;  /* its CPU time at the first of those looks, in cycles */
	u64 last_time; /* and at the last look */
};

enum health_verdict {
	HEALTH_WELL = 0,
	HEALTH_LATE = 1,    /* wait and see */
	HEALTH_DOUBT = 2,   /* raise its priority, and look again soon */
	HEALTH_STARVED = 3, /* it does not get the CPU */
	HEALTH_HUNG = 4,    /* it runs and does not answer */
	HEALTH_STUCK = 5,   /* it sleeps and does not answer */
};

/*
 * A period has passed, or the moment with a raised priority, which is over now. WELL: the program
 * has answered, and the next question, h->asked, is due. STARVED: likewise, but only now that its
 * priority was raised. LATE: health_judge says more.
 */
static inline enum health_verdict health_look(struct health *h, u32 answered)
{
	bool raised = h->raised;

	if (answered != h->asked) {
		h->late++;
		return HEALTH_LATE;
	}
	h->begun |= h->asked != 0;
	h->starved &= raised;
	h->raised = false;
	h->late = 0;
	h->asked++;
	return raised ? HEALTH_STARVED : HEALTH_WELL;
}

/* Judges a program that is late. `run_time`: its CPU time so far; `period`: of the heartbeat; both
 * in cycles. */
static inline enum health_verdict health_judge(struct health *h, u64 run_time, u64 period)
{
	u64 enough = period / 2 * (h->begun ? 1 : HEALTH_START);

	bool ran = run_time != h->last_time;

	h->last_time = run_time;
	if (h->raised) {
		h->raised = false;
		h->late = 0; /* the patience begins anew */
		return ran ? HEALTH_STARVED : HEALTH_STUCK;
	}
	if (h->late == 1) {
		h->run_time = run_time;
		return HEALTH_LATE;
	}
	if (run_time - h->run_time >= enough)
		return HEALTH_HUNG;
	if (h->late < HEALTH_PATIENCE || ran)
		return HEALTH_LATE;
	h->raised = true;
	return HEALTH_DOUBT;
}
