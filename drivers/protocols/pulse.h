/*
 * The page that root shares with each program of a domain: the heartbeat, injected faults, and when
 * the program serves again.
 *
 * Root adds one to `asked` and sets the event bit of the START_PULSE resource. The program's main
 * loop (drivers/lib/loop.h) copies `asked` to `answered` once in each turn, so a loop that hangs
 * does not answer. Each side writes its own words only; root keeps its own in private memory, and a
 * program that lies can but pass for alive, or for dead.
 */
#pragma once

#include "kernel/abi/types.h"

/* `value` of the START_PULSE resource. */
#define PULSE_INJECT BIT(0) /* `inject` counts: the description has "fault-injection" */

enum pulse_fault {
	PULSE_NONE = 0,
	PULSE_HANG = 1,       /* the loop never comes round again */
	PULSE_WILD_WRITE = 2, /* writes where it has no memory, or none to write to */
	PULSE_BAD_RING = 3,   /* nonsense in its words of all its sessions */
	PULSE_WILD_DMA = 4,   /* its device is told to reach beyond its memory */
	PULSE_STALE_RING = 5, /* indices of the past in all its sessions */
	PULSE_FAULTS = 6,
};

/* pulse.can */
#define PULSE_CAN_DMA BIT(0) /* it has a device for PULSE_WILD_DMA */

struct pulse {
	/* root's */
	u32 asked __attribute__((aligned(64)));
	u32 inject; /* a number that changes << 8 | enum pulse_fault */
	/* the program's */
	u32 answered __attribute__((aligned(64)));
	u32 opened; /* not 0: the program has a loop that answers */
	u32 can;    /* PULSE_CAN_*, before `opened` is set */
	u64 served; /* TSC at which the loop first had a client connected, or began if it has no
		       such clients; 0: not yet */
};
static_assert(offsetof(struct pulse, answered) == 64);
static_assert(sizeof(struct pulse) <= PAGE_SIZE);
