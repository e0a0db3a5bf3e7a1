/* Reports of a boot keyboard: see report.h. */
#include "drivers/xhci/report.h"

#define USAGE_MODIFIERS 0xe0u
#define USAGE_FIRST     0x04u /* below are errors: roll-over, failed test, undefined (10 of HUT) */
#define DELAY_US        500000u
#define STEP_US         33333u

static bool has(const u8 report[REPORT_BYTES], u8 usage)
{
	for (u32 i = REPORT_FIRST_KEY; i < REPORT_BYTES; i++) {
		if (report[i] == usage)
			return true;
	}
	return false;
}

static bool is_error(const u8 report[REPORT_BYTES])
{
	for (u32 i = REPORT_FIRST_KEY; i < REPORT_BYTES; i++) {
		if (report[i] != 0 && report[i] < USAGE_FIRST)
			return true;
	}
	return false;
}

static void take_modifiers(struct report_keys *k, u8 now, report_key *tell)
{
	u8 changed = k->held[0] ^ now;

	for (u32 i = 0; i < 8; i++) {
		if (changed >> i & 1)
			tell((u8)(USAGE_MODIFIERS + i), now >> i & 1);
	}
	k->held[0] = now;
}

/* The keys of a report, each once, without what is no key or has its place in the modifiers. */
static void copy_keys(u8 to[REPORT_BYTES], const u8 report[REPORT_BYTES])
{
	for (u32 i = REPORT_FIRST_KEY; i < REPORT_BYTES; i++) {
		to[i] = 0;
		if (report[i] < USAGE_MODIFIERS && !has(to, report[i]))
			to[i] = report[i];
	}
}

void report_take(struct report_keys *k, const u8 report[REPORT_BYTES], u64 now, report_key *tell)
{
	u8 new[REPORT_BYTES] = {0};

	take_modifiers(k, report[0], tell);
	if (is_error(report))
		return;
	copy_keys(new, report);
	for (u32 i = REPORT_FIRST_KEY; i < REPORT_BYTES; i++) {
		u8 usage = k->held[i];

		if (usage == 0 || has(new, usage))
			continue;
		tell(usage, false);
		if (k->repeating == usage)
			k->repeating = 0;
	}
	for (u32 i = REPORT_FIRST_KEY; i < REPORT_BYTES; i++) {
		if (new[i] == 0 || has(k->held, new[i]))
			continue;
		tell(new[i], true);
		k->repeating = new[i];
		k->due = now + DELAY_US;
	}
	new[0] = k->held[0];
	__builtin_memcpy(k->held, new, sizeof(k->held));
}

void report_repeat(struct report_keys *k, u64 now, report_key *tell)
{
	if (!k->repeating || now < k->due)
		return;
	tell(k->repeating, true);
	k->due = now + STEP_US;
}

void report_end(struct report_keys *k, report_key *tell)
{
	static const u8 none[REPORT_BYTES];

	report_take(k, none, 0, tell);
}
