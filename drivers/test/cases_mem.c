/* Cases: cutting, mapping and giving back memory. */
#include "drivers/test/test.h"

#define SIZE 0x10000ull

static cap_t whole(void)
{
	const struct start_resource *r = start_find(info, START_MEM, 0);

	return r ? r->cap : CAP_NULL;
}

static status_t cut(cap_t parent, u64 offset, u64 size, u32 cache, cap_t slot)
{
	*(struct msg_create_mem *)thread_message() = (struct msg_create_mem){
		.parent = parent, .cache = cache, .offset = offset, .size = size};
	return sys_obj_create(KIND_MEM, START_CAP_DOMAIN, slot);
}

static void create(void)
{
	cap_t slot = slot_next();
	u64 all = start_find(info, START_MEM, 0)->size;

	want_status(cut(whole(), 0, SIZE, MEM_CACHE_WB, slot), OK);
	want_status(cut(whole(), 0, SIZE, MEM_CACHE_WB, slot_next()), OVERLAP);
	want_status(cut(whole(), SIZE - PAGE_SIZE, SIZE, MEM_CACHE_WB, slot_next()), OVERLAP);
	want_status(cut(whole(), 2 * SIZE + 1, SIZE, MEM_CACHE_WB, slot_next()), BAD_ARG);
	want_status(cut(whole(), 2 * SIZE, SIZE + 1, MEM_CACHE_WB, slot_next()), BAD_ARG);
	want_status(cut(whole(), 2 * SIZE, 0, MEM_CACHE_WB, slot_next()), BAD_ARG);
	want_status(cut(whole(), all, PAGE_SIZE, MEM_CACHE_WB, slot_next()), BAD_ARG);
	want_status(cut(whole(), PAGE_SIZE, all, MEM_CACHE_WB, slot_next()), BAD_ARG);
	want_status(cut(whole(), ~0ull << 12, 2 * PAGE_SIZE, MEM_CACHE_WB, slot_next()), BAD_ARG);
	want_status(cut(whole(), 2 * SIZE, SIZE, MEM_CACHE_UC, slot_next()), BAD_ARG);
	want_status(cut(whole(), 2 * SIZE, SIZE, 77, slot_next()), BAD_ARG);
	want_status(cut(START_CAP_DOMAIN, 0, SIZE, MEM_CACHE_WB, slot_next()), BAD_KIND);
	want_status(cut(whole(), 2 * SIZE, SIZE, MEM_CACHE_WB, slot), EXISTS);
	want_status(sys_mem_map(START_CAP_DOMAIN, whole(), 0x600000000, 0, SIZE, MAP_READ), BUSY);
}

static void map(void)
{
	cap_t mem = make_mem(SIZE, PAGE_SIZE);
	volatile u64 *at = map_mem(mem, SIZE, MAP_READ | MAP_WRITE);
	u64 sum = 0;

	if (!at)
		return;
	for (u64 i = 0; i < SIZE / 8; i++)
		sum |= at[i];
	want(sum == 0);
	at[0] = 1;
	at[SIZE / 8 - 1] = 2;
	want(at[0] == 1 && at[SIZE / 8 - 1] == 2);
	want_status(sys_mem_map(START_CAP_DOMAIN, mem, (u64)at, 0, PAGE_SIZE, MAP_READ), EXISTS);
	want_status(
		sys_mem_map(START_CAP_DOMAIN, mem, (u64)at - PAGE_SIZE, 0, SIZE, MAP_READ), EXISTS);
	want_status(sys_mem_unmap(START_CAP_DOMAIN, (u64)at + PAGE_SIZE), NOT_FOUND);
	want_status(sys_mem_unmap(START_CAP_DOMAIN, (u64)at), OK);
	want_status(sys_mem_unmap(START_CAP_DOMAIN, (u64)at), NOT_FOUND);
	want_status(
		sys_mem_map(START_CAP_DOMAIN, mem, (u64)at, PAGE_SIZE, SIZE - PAGE_SIZE, MAP_READ),
		OK);
	want(at[(SIZE - PAGE_SIZE) / 8 - 1] == 2);
	want_status(sys_mem_unmap(START_CAP_DOMAIN, (u64)at), OK);
}

static void map_wrong(void)
{
	cap_t mem = make_mem(SIZE, PAGE_SIZE);
	cap_t weak = slot_next();
	u64 at = 0x600000000;
	static const u64 bad[] = {0, PAGE_SIZE, ABI_STUB, ABI_USER_END, 0xffff800000000000ull,
		0xffffffff80000000ull, 0xfffffffffffff000ull, 0x800000000000ull};

	for (u32 i = 0; i < ARRAY_SIZE(bad); i++)
		want(sys_mem_map(START_CAP_DOMAIN, mem, bad[i], 0, PAGE_SIZE, MAP_READ) !=
			STATUS_OK);
	want_status(
		sys_mem_map(START_CAP_DOMAIN, mem, at, 0, SIZE, MAP_READ | MAP_WRITE | MAP_EXEC),
		BAD_ARG);
	want_status(sys_mem_map(START_CAP_DOMAIN, mem, at + 1, 0, SIZE, MAP_READ), BAD_ARG);
	want_status(sys_mem_map(START_CAP_DOMAIN, mem, at, 1, PAGE_SIZE, MAP_READ), BAD_ARG);
	want_status(sys_mem_map(START_CAP_DOMAIN, mem, at, 0, PAGE_SIZE + 1, MAP_READ), BAD_ARG);
	want_status(sys_mem_map(START_CAP_DOMAIN, mem, at, 0, 0, MAP_READ), BAD_ARG);
	want_status(sys_mem_map(START_CAP_DOMAIN, mem, at, 0, SIZE + PAGE_SIZE, MAP_READ), BAD_ARG);
	want_status(sys_mem_map(START_CAP_DOMAIN, mem, at, ~0ull << 12, 2 * PAGE_SIZE, MAP_READ),
		BAD_ARG);
	want_status(sys_mem_map(START_CAP_DOMAIN, mem, at, 0, SIZE, 0x80 | MAP_READ), BAD_ARG);
	want_status(
		sys_mem_map(START_CAP_DOMAIN, START_CAP_THREAD, at, 0, SIZE, MAP_READ), BAD_KIND);
	want_status(sys_mem_map(START_CAP_THREAD, mem, at, 0, SIZE, MAP_READ), BAD_KIND);
	want_status(sys_cap_grant(START_CAP_DOMAIN, weak, mem, RIGHT_READ, 0), OK);
	want_status(sys_mem_map(START_CAP_DOMAIN, weak, at, 0, SIZE, MAP_READ | MAP_WRITE), DENIED);
	want_status(sys_mem_map(START_CAP_DOMAIN, weak, at, 0, SIZE, MAP_READ | MAP_EXEC), DENIED);
	want_status(sys_mem_map(START_CAP_DOMAIN, weak, at, 0, SIZE, MAP_READ), OK);
	want_status(cut(weak, 0, PAGE_SIZE, MEM_CACHE_WB, slot_next()), DENIED);
	want_status(sys_obj_destroy(weak), DENIED);
}

/* Memory that comes back is clean for its next user, and its capabilities and mappings are gone. */
static void give_back(void)
{
	cap_t slot = slot_next();
	cap_t copy = slot_next();
	volatile u64 *at;

	want_status(cut(whole(), 0, SIZE, MEM_CACHE_WB, slot), OK);
	want_status(sys_cap_grant(START_CAP_DOMAIN, copy, slot, RIGHT_ALL, 0), OK);
	at = map_mem(slot, SIZE, MAP_READ | MAP_WRITE);
	if (!at)
		return;
	at[5] = 0x1234;
	want_status(sys_obj_destroy(slot), OK);
	want_status(sys_obj_destroy(slot), GONE);
	want_status(sys_mem_map(START_CAP_DOMAIN, copy, (u64)at, 0, SIZE, MAP_READ), GONE);
	want_status(sys_mem_unmap(START_CAP_DOMAIN, (u64)at), NOT_FOUND);
	want_status(cut(whole(), 0, SIZE, MEM_CACHE_WB, slot), OK);
	want_status(
		sys_mem_map(START_CAP_DOMAIN, slot, (u64)at, 0, SIZE, MAP_READ | MAP_WRITE), OK);
	if (!case_failed())
		want(at[5] == 0);
}

/* Parts of parts. */
static void nested(void)
{
	cap_t outer = make_mem(SIZE, PAGE_SIZE);
	cap_t inner = slot_next();

	want_status(cut(outer, PAGE_SIZE, PAGE_SIZE, MEM_CACHE_WB, inner), OK);
	want_status(sys_obj_destroy(outer), BUSY);
	want_status(sys_mem_map(START_CAP_DOMAIN, outer, 0x600000000, 0, SIZE, MAP_READ), BUSY);
	want_status(sys_obj_destroy(inner), OK);
	want(map_mem(outer, SIZE, MAP_READ) != NULL);
	want_status(cut(outer, 0, PAGE_SIZE, MEM_CACHE_WB, slot_next()), BUSY);
}

/* Large pages: 2 MiB-aligned memory at a 2 MiB-aligned address, and a hole punched by unmapping. */
static void large(void)
{
	cap_t mem = make_mem(0x400000, 0x200000);
	volatile u8 *at = (volatile u8 *)0x680000000ull;

	want_status(
		sys_mem_map(START_CAP_DOMAIN, mem, (u64)at, 0, 0x400000, MAP_READ | MAP_WRITE), OK);
	if (case_failed())
		return;
	at[0] = 1;
	at[0x3fffff] = 2;
	want(at[0] == 1 && at[0x3fffff] == 2 && at[0x200000] == 0);
	want_status(sys_mem_unmap(START_CAP_DOMAIN, (u64)at), OK);
	want_status(sys_mem_map(START_CAP_DOMAIN, mem, (u64)at + PAGE_SIZE, 0x3ff000, PAGE_SIZE,
			    MAP_READ),
		OK);
	if (!case_failed())
		want(at[PAGE_SIZE + 0xfff] == 2);
}

/* What was a pool holds the kernel's objects: neither it nor what it was cut from can be read, but
 * parts that are clear. */
static void was_pool(void)
{
	cap_t outer = make_mem(2 * CHILD_POOL, PAGE_SIZE);
	cap_t pool = slot_next();
	cap_t part = slot_next();
	cap_t domain;
	volatile u64 *at;
	u64 sum = 0;

	want_status(cut(outer, 0, CHILD_POOL, MEM_CACHE_WB, pool), OK);
	domain = make(KIND_DOMAIN, START_CAP_DOMAIN,
		&(struct msg_create_domain){.pool = pool, .name = "was"},
		sizeof(struct msg_create_domain));
	want_status(sys_mem_map(START_CAP_DOMAIN, pool, 0x600000000, 0, PAGE_SIZE, MAP_READ), BUSY);
	want_status(sys_obj_destroy(domain), OK);
	want_status(sys_mem_map(START_CAP_DOMAIN, pool, 0x600000000, 0, PAGE_SIZE, MAP_READ),
		BAD_STATE);
	want_status(cut(pool, 0, CHILD_POOL, MEM_CACHE_WB, part), OK);
	at = map_mem(part, CHILD_POOL, MAP_READ);
	for (u64 i = 0; at && i < CHILD_POOL / 8; i++)
		sum |= at[i];
	want(at && sum == 0);
	want_status(sys_obj_destroy(part), OK);
	want_status(sys_obj_destroy(pool), OK);
	want_status(sys_mem_map(START_CAP_DOMAIN, outer, 0x600000000, 0, PAGE_SIZE, MAP_READ),
		BAD_STATE);
}

const struct test_case mem_cases[] = {
	{"mem_create", create},
	{"mem_map", map},
	{"mem_map_wrong", map_wrong},
	{"mem_give_back", give_back},
	{"mem_nested", nested},
	{"mem_large", large},
	{"mem_was_pool", was_pool},
	{NULL, NULL},
};
