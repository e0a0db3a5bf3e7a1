/* Converts what the firmware's clock says to Unix time (Gregorian calendar, no leap seconds). */
#include "date.h"

#define ZONE_MAX    1440 /* minutes */
#define FIRST_YEAR  1970
#define LAST_YEAR   9999
#define DAY_SECONDS 86400ll
#define NANOSECONDS 1000000000ll

/* Leap years from year 1 to this one. */
static u32 leaps_through(u32 year)
{
	return year / 4 - year / 100 + year / 400;
}

bool date_to_unix(const struct date *date, u64 *nanoseconds)
{
	static const u8 month_days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = leaps_through(date->year) != leaps_through(date->year - 1);
	s64 days, seconds;

	if (date->year < FIRST_YEAR || date->year > LAST_YEAR || date->month < 1 ||
		date->month > 12 || date->day < 1 ||
		date->day > month_days[date->month - 1] + (u32)(leap && date->month == 2) ||
		date->hour > 23 || date->minute > 59 || date->second > 59 ||
		date->nanosecond >= NANOSECONDS)
		return false;
	if (date->zone != DATE_ZONE_UNKNOWN && (date->zone < -ZONE_MAX || date->zone > ZONE_MAX))
		return false;
	days = (date->year - FIRST_YEAR) * 365 + leaps_through(date->year - 1) -
	       leaps_through(FIRST_YEAR - 1) + date->day - 1;
	for (u32 month = 1; month < date->month; month++)
		days += month_days[month - 1] + (leap && month == 2);
	seconds = days * DAY_SECONDS + date->hour * 3600 + date->minute * 60 + date->second;
	if (date->zone != DATE_ZONE_UNKNOWN)
		seconds += date->zone * 60;
	if (seconds < 0)
		return false;
	*nanoseconds = (u64)seconds * NANOSECONDS + date->nanosecond;
	return true;
}
