/* The machine of iommu_unit.h. */
#include <stdlib.h>
#include "tests/unit/iommu_unit.h"

#define FRAMES  4096u
#define PA_BASE 0x7000000ull

u8 unit_registers[IOMMU_SIZE] __attribute__((aligned(PAGE_SIZE)));
struct boot_info unit_info;
struct unit_entry unit_cache[UNIT_CACHED];
u8 unit_config[256];
u32 unit_message_address, unit_message_data;

const struct boot_info *boot = &unit_info;
struct pool boot_pool;
__typeof__(features) features;

static u8 *arena;
static pthread_t thread;
static bool running;
static void (*step_of)(void);
static u32 next_entry;

void *device_map(paddr_t pa, u64 size, enum mem_cache cache)
{
	CHECK(pa == unit_info.iommu[0].base && size == IOMMU_SIZE && cache == MEM_CACHE_UC);
	return unit_registers;
}

void log_line(const char *format, ...)
{
	(void)format;
}

void panic(const char *format, ...)
{
	printf("panic: %s\n", format);
	exit(1);
}

u64 unit_get(u32 reg)
{
	return __atomic_load_n((u64 *)&unit_registers[reg], __ATOMIC_SEQ_CST);
}

void unit_set(u32 reg, u64 value)
{
	__atomic_store_n((u64 *)&unit_registers[reg], value, __ATOMIC_SEQ_CST);
}

u32 unit_get32(u32 reg)
{
	return __atomic_load_n((u32 *)&unit_registers[reg], __ATOMIC_SEQ_CST);
}

void unit_set32(u32 reg, u32 value)
{
	__atomic_store_n((u32 *)&unit_registers[reg], value, __ATOMIC_SEQ_CST);
}

static void *play(void *unused)
{
	(void)unused;
	while (__atomic_load_n(&running, __ATOMIC_SEQ_CST)) {
		step_of();
		sched_yield();
	}
	return NULL;
}

void unit_begin(u32 type)
{
	if (!arena)
		arena = aligned_alloc(PAGE_SIZE, FRAMES * PAGE_SIZE);
	memset(arena, 0xcc, FRAMES * PAGE_SIZE);
	window_offset = (u64)arena - PA_BASE;
	memset(&boot_pool, 0, sizeof(boot_pool));
	pool_add(&boot_pool, PA_BASE, FRAMES * PAGE_SIZE);
	memset(unit_registers, 0, sizeof(unit_registers));
	memset(&unit_info, 0, sizeof(unit_info));
	unit_forget_all();
	memset(&features, 0, sizeof(features));
	unit_info.tsc_hz = 3000000000;
	unit_info.iommus = 1;
	unit_info.iommu[0] = (struct boot_iommu){.base = 0xfed90000,
		.type = type,
		.flags = BOOT_IOMMU_INTREMAP | BOOT_IOMMU_INCLUDE_ALL};
}

void unit_run(void (*step)(void))
{
	step_of = step;
	running = true;
	CHECK_EQ(pthread_create(&thread, NULL, play, NULL), 0);
}

void unit_end(void)
{
	__atomic_store_n(&running, false, __ATOMIC_SEQ_CST);
	pthread_join(thread, NULL);
}

void unit_forget_domain(u32 domain)
{
	for (u32 i = 0; i < UNIT_CACHED; i++)
		unit_cache[i].valid &= unit_cache[i].domain != domain;
}

void unit_forget_all(void)
{
	memset(unit_cache, 0, sizeof(unit_cache));
}

struct unit_entry *unit_find(u32 requester, u64 address)
{
	for (u32 i = 0; i < UNIT_CACHED; i++) {
		struct unit_entry *e = &unit_cache[i];

		if (e->valid && e->requester == requester && e->page == address / PAGE_SIZE)
			return e;
	}
	return NULL;
}

void unit_keep(u32 requester, u32 domain, u64 address, u64 to, bool write)
{
	unit_cache[next_entry++ % UNIT_CACHED] = (struct unit_entry){
		requester, domain, address / PAGE_SIZE, to & ~(PAGE_SIZE - 1ull), write, true};
}

void source_open(struct iommu_source *s, struct ptable *t, u32 requester, u32 domain)
{
	*s = (struct iommu_source){.requester = requester, .domain = domain};
	*t = (struct ptable){0};
	CHECK_EQ(iommu_open(s, t, &boot_pool), STATUS_OK);
}

u32 pci_read(u32 function, u32 offset, u32 size)
{
	u32 value = 0;

	CHECK(function == unit_info.iommu[0].bdf && offset + size <= sizeof(unit_config));
	memcpy(&value, unit_config + offset, size);
	return value;
}

void pci_message(u32 function, u32 at, u32 address, u32 data, bool masked)
{
	CHECK(function == unit_info.iommu[0].bdf && at == 0x50 && !masked);
	unit_message_address = address;
	unit_message_data = data;
}
