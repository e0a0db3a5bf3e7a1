/* Starts root, the first domain: its program lies in a boot file, and its capabilities name
 * everything that is free. */
#include "kernel/abi/root.h"
#include "kernel/kernel.h"
#include "kernel/mem.h"

struct domain root_domain;

static void map(u64 va, paddr_t pa, u64 size, u64 flags)
{
	must(ptable_map(&root_domain.space.ptable, va, pa, size, flags | PTABLE_READ | PTABLE_USER,
		     MEM_CACHE_WB),
		"root: mapping");
}

static void give(u64 cap, struct kobj *o, enum kind kind)
{
	must(domain_cap_set(&root_domain, cap, o, kind, RIGHT_ALL, 0), "root: capability");
}

static void add_mem(u64 cap, paddr_t base, u64 size, u8 flags)
{
	struct mem *m = pool_alloc(&root_domain.pool, sizeof(*m));

	must(m ? STATUS_OK : STATUS_NO_MEMORY, "root: its capabilities");
	mem_init(m, base, size, flags);
	kobj_init(&m->obj, KIND_MEM, &root_domain, 0);
	give(cap, &m->obj, KIND_MEM);
}

static void give_memory(void)
{
	for (u32 i = 0; i < boot->ranges; i++)
		if (boot->range[i].type == BOOT_RANGE_FREE)
			add_mem(ROOT_CAP_RANGE + i, boot->range[i].base, boot->range[i].size, 0);
	for (u32 i = 1; i < boot->files; i++)
		if (boot->file[i].size)
			add_mem(ROOT_CAP_FILE + i, boot->file[i].base,
				ALIGN_UP(boot->file[i].size, PAGE_SIZE), MEM_KEEP);
	add_mem(ROOT_CAP_DEVICE, 0, BIT(features.paddr_bits), MEM_DEVICE);
}

void root_start(void)
{
	u64 pool_size = ALIGN_DOWN((boot_pool.fresh_end - boot_pool.fresh) / 2, PAGE_SIZE);
	struct msg_create_thread m = {
		.priority = ROOT_PRIORITY,
		.entry = boot->root_entry,
		.stack = ROOT_STACK_TOP - 8,
		.arg = ROOT_BOOT_INFO,
		.message = ROOT_MESSAGE,
	};
	struct thread *t;

	if (!boot->files)
		panic("root.elf is missing: the image was not made by tools/image");
	/* Half of the boot pool becomes root's; the rest stays for window tables. */
	boot_pool.fresh_end -= pool_size;
	boot_pool.free_frames -= pool_size / PAGE_SIZE;
	boot_pool.total_frames -= pool_size / PAGE_SIZE;
	list_init(&root_domain.pool_mems);
	pool_add(&root_domain.pool, boot_pool.fresh_end, pool_size);
	must(domain_init(&root_domain, NULL, "root"), "root: domain");
	for (unsigned i = 0; i < BOOT_MAX_SEGMENTS; i++) {
		const struct boot_segment *s = &boot->root_segment[i];
		u64 flags = s->flags & BOOT_SEGMENT_WRITE ? PTABLE_WRITE : 0;

		flags |= s->flags & BOOT_SEGMENT_EXEC ? PTABLE_EXEC : 0;
		if (s->size)
			map(s->address, boot->file[0].base + s->offset, s->size, flags);
	}
	map(ROOT_BOOT_INFO, boot->block_info, ALIGN_UP(sizeof(*boot), PAGE_SIZE), 0);
	for (u64 at = ROOT_STACK_SIZE; at; at -= PAGE_SIZE) {
		void *frame = pool_frame_alloc(&root_domain.pool);

		must(frame ? STATUS_OK : STATUS_NO_MEMORY, "root: its stack");
		map(ROOT_STACK_TOP - at, window_pa(frame), PAGE_SIZE, PTABLE_WRITE);
	}
	m.cpu = cpu_self()->index;
	t = pool_alloc(&root_domain.pool, sizeof(*t));
	must(t ? STATUS_OK : STATUS_NO_MEMORY, "root: its thread");
	must(thread_init(t, &root_domain, &m), "root: thread");
	give(ROOT_CAP_DOMAIN, &root_domain.obj, KIND_DOMAIN);
	give(ROOT_CAP_THREAD, &t->obj, KIND_THREAD);
	give(ROOT_CAP_SYS, NULL, KIND_SYS);
	give_memory();
	thread_ready(t);
}
