/* Tests of the table of addresses: learning, moving, ageing, and ports that try to fill it. */
#include <stdlib.h>

#include "drivers/switch/table.h"
#include "tests/unit/test.h"

#define AGE 1000u

static struct table t;

void check_failed(const char *at, int line, const char *what);
void check_failed(const char *at, int line, const char *what)
{
	test_fail(at, line, "%s", what);
	abort();
}

TEST(table_learns_and_ages)
{
	table_init(&t, 1, AGE);
	CHECK_EQ(table_find(&t, 5, 0, 0), TABLE_NO_PORT);
	table_learn(&t, 5, 0, 3, 10);
	CHECK_EQ(table_find(&t, 5, 0, 10), 3);
	CHECK_EQ(table_find(&t, 5, 1, 10), TABLE_NO_PORT); /* another VLAN */
	CHECK_EQ(table_find(&t, 5, 0, 10 + AGE), 3);
	CHECK_EQ(table_find(&t, 5, 0, 11 + AGE), TABLE_NO_PORT);
	table_learn(&t, 5, 0, 3, 500);
	CHECK_EQ(table_find(&t, 5, 0, 11 + AGE), 3);
	table_learn(&t, 5, 0, 4, 600); /* it moved */
	CHECK_EQ(table_find(&t, 5, 0, 600), 4);
	CHECK_EQ(t.count[3], 0);
	CHECK_EQ(t.count[4], 1);
	table_forget(&t, 4);
	CHECK_EQ(table_find(&t, 5, 0, 600), TABLE_NO_PORT);
	CHECK_EQ(t.count[4], 0);
}

/* A port that makes up addresses does not push out what others have shown. */
TEST(table_flooded_by_a_port)
{
	table_init(&t, 0x1234567, AGE);
	for (u64 mac = 1; mac <= 100; mac++)
		table_learn(&t, mac, 10, 1, 100);
	for (u64 mac = 1000; mac < 101000; mac++) {
		table_learn(&t, mac, 10, 2, 101);
		CHECK(t.count[2] <= TABLE_PER_PORT);
	}
	for (u64 mac = 1; mac <= 100; mac++)
		CHECK_EQ(table_find(&t, mac, 10, 101), 1);
	/* Room again when its entries have aged. */
	for (u64 mac = 200; mac < 260; mac++)
		table_learn(&t, mac, 10, 3, 102 + AGE);
	CHECK(t.count[3] >= 58);
}

/* A port beyond its share forgets its own oldest. */
TEST(table_share_of_a_port)
{
	u32 found = 0;

	table_init(&t, 99, ~0ull >> 1);
	for (u64 mac = 1; mac <= 4 * TABLE_PER_PORT; mac++)
		table_learn(&t, mac, 0, 7, mac);
	CHECK_EQ(t.count[7], TABLE_PER_PORT);
	for (u64 mac = 1; mac <= 4 * TABLE_PER_PORT; mac++)
		found += table_find(&t, mac, 0, 4 * TABLE_PER_PORT) == 7;
	CHECK_EQ(found, TABLE_PER_PORT);
}

/* Counts stay those of the entries, whatever happens. */
TEST(table_counts)
{
	u32 count[TABLE_PORTS] = {0};

	table_init(&t, 3, 50);
	for (u64 now = 0; now < 50000; now++) {
		table_learn(&t, 1 + (u64)random() % 3000, (u32)random() % 3,
			(u32)random() % TABLE_PORTS, now / 10);
		if (random() % 500 == 0)
			table_forget(&t, (u32)random() % TABLE_PORTS);
	}
	for (u32 set = 0; set < TABLE_SETS; set++) {
		for (u32 i = 0; i < TABLE_WAYS; i++) {
			if (t.entry[set][i].key != 0)
				count[t.entry[set][i].port]++;
		}
	}
	CHECK(memcmp(count, t.count, sizeof(count)) == 0);
}
