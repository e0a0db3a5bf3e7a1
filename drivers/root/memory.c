/* Root's memory: cuts mems from the free ranges that the kernel gave it. */
#include "drivers/root/extents.h"
#include "drivers/root/machine.h"

static struct extents ram;

void memory_init(void)
{
	for (u32 i = 0; i < boot->ranges; i++) {
		const struct boot_range *r = &boot->range[i];

		if (r->type == BOOT_RANGE_FREE && r->size > 0)
			check(extents_add(&ram, i, r->base, r->size));
	}
}

status_t memory_new(cap_t payer, u64 size, struct memory *m)
{
	struct msg_create_mem *c = message;
	struct extent e;
	status_t s;

	*m = (struct memory){.size = ALIGN_UP(size, PAGE_SIZE)};
	if (m->size == 0 || !extents_take(&ram, m->size, &e))
		return STATUS_NO_SPACE;
	*c = (struct msg_create_mem){
		.parent = ROOT_CAP_RANGE + e.range,
		.cache = MEM_CACHE_WB,
		.offset = e.base - boot->range[e.range].base,
		.size = m->size,
	};
	s = object_new(KIND_MEM, payer, &m->cap);
	if (s != STATUS_OK) {
		extents_give(&ram, e.base);
		return s;
	}
	m->base = e.base;
	return STATUS_OK;
}

void memory_end(struct memory *m)
{
	if (m->cap == CAP_NULL)
		return;
	object_end(&m->cap);
	check(extents_give(&ram, m->base));
	m->size = 0;
}

void *memory_open(const struct memory *m)
{
	return memory_open_part(m, m->size);
}

void *memory_open_part(const struct memory *m, u64 size)
{
	status_t s =
		sys_mem_map(ROOT_CAP_DOMAIN, m->cap, ROOT_WINDOW, 0, size, MAP_READ | MAP_WRITE);

	if (s == STATUS_OK)
		return (void *)ROOT_WINDOW;
	log_line("memory cannot be mapped: %s", status_text(s));
	return NULL;
}

void memory_close(void)
{
	check(sys_mem_unmap(ROOT_CAP_DOMAIN, ROOT_WINDOW) == STATUS_OK);
}

u64 memory_free_bytes(void)
{
	return extents_free(&ram);
}

u64 memory_all_bytes(void)
{
	return extents_total(&ram);
}

u64 memory_largest(void)
{
	return extents_largest(&ram);
}
