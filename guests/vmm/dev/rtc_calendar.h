/* Unix time and the MC146818's calendar (days since 1970-01-01, proleptic Gregorian). */
#pragma once

#include "kernel/abi/types.h"

struct rtc_calendar {
	u32 year;   /* 0 to 9999 */
	u8 month;   /* 1-12 */
	u8 day;     /* 1-31 */
	u8 weekday; /* 1-7, 1 is Sunday; not looked at by rtc_from_calendar */
	u8 hour;
	u8 minute;
	u8 second;
};

/* Any time; years beyond 9999 or before 0 come out modulo 10000. */
struct rtc_calendar rtc_to_calendar(s64 seconds);

/* Any values; those out of range carry over, and month 0 counts as January, 13 and up as December.
 */
s64 rtc_from_calendar(const struct rtc_calendar *c);
