/* Timers of known frequency to measure the TSC against, and the local APIC's own. */
#pragma once

#include "kernel/abi/boot.h"

/* A counter that goes up. */
struct timer {
	const char *name;
	u64 hz;
	u64 place; /* address or port of the counter */
	u32 mask;  /* of the bits that count */
	u32 (*read)(const struct timer *timer);
	/* Undoes what starting the timer changed; NULL if nothing. */
	void (*stop)(const struct timer *timer);
	/* Whether it ran over its end since it was started; NULL if it cannot within a second. */
	bool (*overran)(const struct timer *timer);
	u32 saved;
};

/* Each starts its timer if the machine has it, and then returns true; the caller stops it. */
bool timer_start_hpet(struct timer *timer, const struct boot_info *info);
bool timer_start_pm(struct timer *timer, const struct boot_info *info);
bool timer_start_pit(struct timer *timer, const struct boot_info *info);

/* The local APIC's timer while it is borrowed from the firmware. */
struct lapic_timer {
	paddr_t base; /* of the registers; 0: x2APIC mode */
	bool there;
	u32 lvt, divide, initial; /* what the firmware had */
};

/* Lets the timer run down from its largest value, masked, one-shot, undivided. */
void lapic_timer_start(struct lapic_timer *timer);

/* Ticks since the start, modulo 2^32; 0 without a local APIC. */
u32 lapic_timer_read(const struct lapic_timer *timer);

/* Gives the timer back as it was. */
void lapic_timer_stop(const struct lapic_timer *timer);
