/* The table of learnt addresses: sets of a few entries, chosen by a keyed hash. */
#include "drivers/switch/table.h"
#include "drivers/lib/lib.h"

#define HASH_MULTIPLIER 0x9e3779b97f4a7c15ull /* 2^64 / golden ratio, odd: mixes into high bits */

static u64 key_of(u64 mac, u32 vlan)
{
	return (u64)vlan << 48 | mac;
}

static struct table_entry *set_of(struct table *t, u64 key)
{
	u64 x = key ^ t->secret;

	x *= HASH_MULTIPLIER;
	x ^= x >> 32;
	x *= HASH_MULTIPLIER ^ t->secret << 1;
	return t->entry[x >> 32 & (TABLE_SETS - 1)];
}

static bool is_old(const struct table *t, const struct table_entry *e, u64 now)
{
	return now - e->seen > t->age;
}

void table_init(struct table *t, u64 secret, u64 age)
{
	memset(t, 0, sizeof(*t));
	t->secret = secret;
	t->age = age;
}

static void drop(struct table *t, struct table_entry *e)
{
	if (e->key != 0)
		t->count[e->port]--;
	e->key = 0;
}

/* The entry that gives way to a new one of `port`: a free or aged one, else that port's own that
 * was seen longest ago; NULL if all are other ports'. */
static struct table_entry *victim(struct table *t, struct table_entry *set, u32 port, u64 now)
{
	struct table_entry *own = NULL;

	for (u32 i = 0; i < TABLE_WAYS; i++) {
		struct table_entry *e = &set[i];

		if (e->key != 0 && is_old(t, e, now))
			drop(t, e);
		if (e->key == 0 && t->count[port] < TABLE_PER_PORT)
			return e;
		if (e->key != 0 && e->port == port && (!own || now - e->seen > now - own->seen))
			own = e;
	}
	return own;
}

void table_learn(struct table *t, u64 mac, u32 vlan, u32 port, u64 now)
{
	u64 key = key_of(mac, vlan);
	struct table_entry *set = set_of(t, key);
	struct table_entry *e = NULL;

	for (u32 i = 0; i < TABLE_WAYS && !e; i++) {
		if (set[i].key == key)
			e = &set[i];
	}
	if (e && e->port == port) {
		e->seen = now;
		return;
	}
	if (e) /* the station has moved */
		drop(t, e);
	e = victim(t, set, port, now);
	if (!e)
		return;
	drop(t, e);
	*e = (struct table_entry){.key = key, .seen = now, .port = port};
	t->count[port]++;
}

u32 table_find(const struct table *t, u64 mac, u32 vlan, u64 now)
{
	u64 key = key_of(mac, vlan);
	const struct table_entry *set = set_of((struct table *)t, key);

	for (u32 i = 0; i < TABLE_WAYS; i++) {
		if (set[i].key == key)
			return is_old(t, &set[i], now) ? TABLE_NO_PORT : set[i].port;
	}
	return TABLE_NO_PORT;
}

void table_forget(struct table *t, u32 port)
{
	for (u32 set = 0; set < TABLE_SETS; set++) {
		for (u32 i = 0; i < TABLE_WAYS; i++) {
			if (t->entry[set][i].key != 0 && t->entry[set][i].port == port)
				drop(t, &t->entry[set][i]);
		}
	}
}
