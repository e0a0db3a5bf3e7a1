/* Calendar dates as Unix time. */
#include "test.h"
#include "boot/date.h"

#define NANOSECONDS 1000000000ull

static u64 seconds(struct date date)
{
	u64 nanoseconds = 0;

	CHECK(date_to_unix(&date, &nanoseconds));
	return nanoseconds / NANOSECONDS;
}

static int refused(struct date date)
{
	u64 nanoseconds;

	return !date_to_unix(&date, &nanoseconds);
}

TEST(date_known)
{
	CHECK_EQ(seconds((struct date){1970, 1, 1, 0, 0, 0, 0, 0}), 0);
	CHECK_EQ(seconds((struct date){2000, 2, 29, 12, 0, 0, 0, 0}), 951825600);
	CHECK_EQ(seconds((struct date){2000, 3, 1, 0, 0, 0, 0, 0}), 951868800);
	CHECK_EQ(seconds((struct date){2024, 1, 1, 0, 0, 0, 0, DATE_ZONE_UNKNOWN}), 1704067200);
	CHECK_EQ(seconds((struct date){2024, 12, 31, 23, 59, 59, 0, 0}), 1735689599);
	CHECK_EQ(seconds((struct date){2100, 3, 1, 0, 0, 0, 0, 0}), 4107542400);
}

/* UEFI: local time = UTC - zone. */
TEST(date_zone)
{
	CHECK_EQ(seconds((struct date){2024, 1, 1, 1, 0, 0, 0, -60}), 1704067200);
	CHECK_EQ(seconds((struct date){2023, 12, 31, 16, 0, 0, 0, 480}), 1704067200);
	CHECK(refused((struct date){1970, 1, 1, 0, 30, 0, 0, -60}));
	CHECK(refused((struct date){2024, 1, 1, 0, 0, 0, 0, 1441}));
}

TEST(date_refused)
{
	CHECK(refused((struct date){1969, 12, 31, 0, 0, 0, 0, 0}));
	CHECK(refused((struct date){2023, 2, 29, 0, 0, 0, 0, 0}));
	CHECK(refused((struct date){2100, 2, 29, 0, 0, 0, 0, 0}));
	CHECK(refused((struct date){2024, 0, 1, 0, 0, 0, 0, 0}));
	CHECK(refused((struct date){2024, 13, 1, 0, 0, 0, 0, 0}));
	CHECK(refused((struct date){2024, 4, 31, 0, 0, 0, 0, 0}));
	CHECK(refused((struct date){2024, 1, 0, 0, 0, 0, 0, 0}));
	CHECK(refused((struct date){2024, 1, 1, 24, 0, 0, 0, 0}));
	CHECK(refused((struct date){2024, 1, 1, 0, 60, 0, 0, 0}));
	CHECK(refused((struct date){2024, 1, 1, 0, 0, 0, NANOSECONDS, 0}));
	CHECK(refused((struct date){0, 1, 1, 0, 0, 0, 0, 0}));
}
