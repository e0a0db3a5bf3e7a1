/* Starts root, the first domain: its program lies in a boot file, and its capabilities name
 * everything that is free. */
#include "kernel/abi/root.h"
#include "kernel/kernel.h"
#include "kernel/mem.h"

#define ELF_MAGIC 0x464c457fu
#define PT_LOAD   1
#define PF_X      1
#define PF_W      2

struct elf_header {
	u32 magic;
	u8 ident[12];
	u16 type, machine;
	u32 version;
	u64 entry, phoff, shoff;
	u32 flags;
	u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf_segment {
	u32 type, flags;
	u64 offset, vaddr, paddr, filesz, memsz, align;
};

struct domain root_domain;

static void must(status_t s, const char *what)
{
	if (s != STATUS_OK)
		panic("root: %s: %s", what, status_text(s));
}

static void map(u64 va, paddr_t pa, u64 size, u64 flags)
{
	must(ptable_map(&root_domain.ptable, va, pa, size, flags | PTABLE_READ | PTABLE_USER,
		     MEM_CACHE_WB),
		"mapping");
}

static struct mem *add_mem(u64 cap, paddr_t base, u64 size, u8 flags)
{
	struct mem *m = pool_alloc(&root_domain.pool, sizeof(*m));

	if (!m)
		panic("root: no memory for its capabilities");
	m->base = base;
	m->size = size;
	m->flags = flags;
	list_init(&m->parts);
	list_init(&m->part_link);
	list_init(&m->attaches);
	list_init(&m->pool_link);
	kobj_init(&m->obj, KIND_MEM, &root_domain);
	must(domain_cap_set(&root_domain, cap, &m->obj, KIND_MEM, RIGHT_ALL, 0), "capability");
	return m;
}

/* The file's frames are mapped as they are; its first page is read at the temporary address of this
 * CPU. */
static u64 load_elf(const struct boot_file *f)
{
	static u8 page[PAGE_SIZE];
	const struct elf_header *h = (const struct elf_header *)page;
	const struct elf_segment *s;

	temp_read(f->base, page, PAGE_SIZE);
	if (f->size < sizeof(*h) || h->magic != ELF_MAGIC || h->phentsize != sizeof(*s) ||
		h->phoff > PAGE_SIZE || h->phnum * sizeof(*s) > PAGE_SIZE - h->phoff)
		panic("root.elf is damaged: not an ELF file with its headers in the first page");
	s = (const struct elf_segment *)(page + h->phoff);
	for (unsigned i = 0; i < h->phnum; i++) {
		u64 flags = 0;

		if (s[i].type != PT_LOAD || !s[i].memsz)
			continue;
		if (!IS_ALIGNED(s[i].vaddr | s[i].offset, PAGE_SIZE) || s[i].filesz != s[i].memsz ||
			s[i].offset > f->size || s[i].filesz > f->size - s[i].offset ||
			s[i].vaddr < ABI_USER_MIN || s[i].vaddr >= BIT(40))
			panic("root.elf is damaged: segment %u", i);
		flags |= s[i].flags & PF_W ? PTABLE_WRITE : 0;
		flags |= s[i].flags & PF_X ? PTABLE_EXEC : 0;
		map(s[i].vaddr, f->base + s[i].offset, ALIGN_UP(s[i].memsz, PAGE_SIZE), flags);
	}
	return h->entry;
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
	pool_init(&root_domain.pool);
	list_init(&root_domain.pool_mems);
	pool_add(&root_domain.pool, boot_pool.fresh_end, pool_size);
	must(domain_init(&root_domain, NULL, "root"), "domain");
	m.entry = load_elf(&boot->file[0]);
	map(ROOT_BOOT_INFO, boot->block_info, ALIGN_UP(sizeof(*boot), PAGE_SIZE), 0);
	for (u64 at = ROOT_STACK_SIZE; at; at -= PAGE_SIZE) {
		void *frame = pool_frame_alloc(&root_domain.pool);

		if (!frame)
			panic("root: no memory for its stack");
		map(ROOT_STACK_TOP - at, window_pa(frame), PAGE_SIZE, PTABLE_WRITE);
	}
	m.cpu = cpu_self()->index;
	t = pool_alloc(&root_domain.pool, sizeof(*t));
	if (!t)
		panic("root: no memory for its thread");
	must(thread_init(t, &root_domain, &m), "thread");
	must(domain_cap_set(
		     &root_domain, ROOT_CAP_DOMAIN, &root_domain.obj, KIND_DOMAIN, RIGHT_ALL, 0),
		"domain capability");
	must(domain_cap_set(&root_domain, ROOT_CAP_THREAD, &t->obj, KIND_THREAD, RIGHT_ALL, 0),
		"thread capability");
	must(domain_cap_set(&root_domain, ROOT_CAP_SYS, NULL, KIND_SYS, RIGHT_ALL, 0),
		"system capability");
	give_memory();
	thread_ready(t);
}
