/*
 * Reports of a boot keyboard to keys that are pressed, repeat and are released (Device Class
 * Definition for HID 1.11, appendices B.1 and C). Pure.
 */
#pragma once

#include "kernel/abi/types.h"

#define REPORT_BYTES     8u
#define REPORT_FIRST_KEY 2u /* behind the modifiers and a byte that says nothing */

/* A key: its usage of page 7. */
typedef void report_key(u8 usage, bool pressed);

struct report_keys {
	u8 held[REPORT_BYTES]; /* the last report */
	u8 repeating;          /* the key that does; 0: none */
	u64 due;               /* microseconds: when it does so next */
};

/* Takes the report that came at `now`, and tells what has changed, modifiers first. One that says
 * that too many keys are held changes the modifiers only. */
void report_take(struct report_keys *k, const u8 report[REPORT_BYTES], u64 now, report_key *tell);

/* Tells of a key that repeats by now: after half a second, then 30 times a second, but never more
 * than once in a call. */
void report_repeat(struct report_keys *k, u64 now, report_key *tell);

/* All keys are released: the keyboard is gone. */
void report_end(struct report_keys *k, report_key *tell);
