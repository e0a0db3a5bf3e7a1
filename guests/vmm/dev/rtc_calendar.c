/* Calendar arithmetic: see rtc_calendar.h. */
#include "guests/vmm/dev/rtc_calendar.h"

#define MINUTE          60ll
#define HOUR            3600ll
#define DAY             86400ll
#define YEARS           10000 /* what the century and year registers hold */
#define CYCLE_YEARS     400   /* the Gregorian calendar repeats */
#define CYCLE_DAYS      146097
#define CYCLES_IN_YEARS (YEARS / CYCLE_YEARS)
#define EPOCH_DAYS      719528 /* from 0000-01-01 to 1970-01-01 */
#define EPOCH_WEEKDAY   6      /* 0000-01-01 was a Saturday; Sunday is 0 */

static const u16 days_before[13] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};

static bool is_leap(u32 year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Days from 0000-01-01 to the first of January of `year`. */
static u32 days_to_year(u32 year)
{
	if (year == 0)
		return 0;
	return 365 * year + (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400 + 1;
}

/* Days from the first of January to the first of `month` (1-13). */
static u32 days_to_month(u32 year, u32 month)
{
	return days_before[month - 1] + (month > 2 && is_leap(year));
}

struct rtc_calendar rtc_to_calendar(s64 seconds)
{
	s64 days = seconds / DAY;
	s64 rest = seconds % DAY;
	struct rtc_calendar c = {0};
	u32 day;

	if (rest < 0) {
		rest += DAY;
		days--;
	}
	days = (days + EPOCH_DAYS) % ((s64)CYCLE_DAYS * CYCLES_IN_YEARS);
	if (days < 0)
		days += (s64)CYCLE_DAYS * CYCLES_IN_YEARS;
	day = (u32)days;
	c.weekday = (u8)((day + EPOCH_WEEKDAY) % 7 + 1);
	c.year = day / 366; /* never too late, and early by few years */
	while (days_to_year(c.year + 1) <= day)
		c.year++;
	day -= days_to_year(c.year);
	c.month = 1;
	while (days_to_month(c.year, c.month + 1u) <= day)
		c.month++;
	c.day = (u8)(day - days_to_month(c.year, c.month) + 1);
	c.hour = (u8)(rest / HOUR);
	c.minute = (u8)(rest / MINUTE % 60);
	c.second = (u8)(rest % 60);
	return c;
}

s64 rtc_from_calendar(const struct rtc_calendar *c)
{
	u32 year = c->year % YEARS;
	u32 month = c->month < 1 ? 1 : c->month > 12 ? 12 : c->month;
	s64 days = (s64)days_to_year(year) + days_to_month(year, month) + c->day - 1;

	return (days - EPOCH_DAYS) * DAY + c->hour * HOUR + c->minute * MINUTE + c->second;
}
