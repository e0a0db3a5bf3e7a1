/* Calendar dates as Unix time. */
#pragma once

#include "kernel/abi/types.h"

#define DATE_ZONE_UNKNOWN 2047 /* UEFI: the time is the local time of nobody knows where */

struct date {
	u32 year; /* 1970-9999 */
	u32 month;
	u32 day;
	u32 hour;
	u32 minute;
	u32 second;
	u32 nanosecond;
	s32 zone; /* minutes to add for UTC, or DATE_ZONE_UNKNOWN: taken as UTC */
};

/* Converts to nanoseconds since 1970-01-01 UTC; false if `date` is none. */
bool date_to_unix(const struct date *date, u64 *nanoseconds);
