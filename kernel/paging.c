/* The kernel's own address space: image, window, per-CPU areas, its devices; built once, shared by
 * all domains. */
#include "kernel/kernel.h"
#include "mm/ptable_share.h"

#define RW    (PTABLE_READ | PTABLE_WRITE | PTABLE_GLOBAL)
#define RX    (PTABLE_READ | PTABLE_EXEC | PTABLE_GLOBAL)
#define BLOCK BOOT_BLOCK_ALIGN

struct ptable kernel_ptable;
static struct spinlock lock;
static u64 device_next = DEVICE_BASE;

static void map_image(const char *from, const char *to, u64 flags)
{
	must(ptable_map(&kernel_ptable, (u64)from, image_pa(from), (u64)(to - from), flags,
		     MEM_CACHE_WB),
		"paging: image");
}

void paging_init(void)
{
	must(ptable_init(&kernel_ptable, PTABLE_HOST, 4, &boot_pool), "paging: root");
	map_image(image_start, text_end, RX);
	map_image(text_end, rodata_end, PTABLE_READ | PTABLE_GLOBAL);
	map_image(rodata_end, image_end, RW);
	/* The image is left out: it would be writable there. */
	must(window_map(boot->block_info, boot->block_base + boot->block_size - boot->block_info),
		"paging: window");
	for (u32 i = 0; i < boot->ranges; i++) {
		if (boot->range[i].type != BOOT_RANGE_FREE)
			continue;
		if (boot->range[i].base + boot->range[i].size > WINDOW_SIZE)
			panic("paging: RAM above the window at %lx", boot->range[i].base);
		must(ptable_reserve(&kernel_ptable, WINDOW_BASE + boot->range[i].base,
			     boot->range[i].size),
			"paging: window tables");
	}
	must(ptable_reserve(&kernel_ptable, AREA_BASE, AREA_STRIDE * BOOT_MAX_CPUS),
		"paging: areas");
	must(ptable_reserve(&kernel_ptable, DEVICE_BASE, BIT(30)), "paging: devices");
	must(ptable_reserve(&kernel_ptable, TEMP_BASE, BLOCK * BOOT_MAX_CPUS), "paging: temp");
	write_cr3(kernel_ptable.root);
}

status_t window_map(paddr_t pa, u64 size)
{
	status_t s;

	spin_lock(&lock);
	s = ptable_map(&kernel_ptable, WINDOW_BASE + pa, pa, size, RW, MEM_CACHE_WB);
	spin_unlock(&lock);
	return s;
}

void window_unmap(paddr_t pa, u64 size)
{
	spin_lock(&lock);
	ptable_unmap(&kernel_ptable, WINDOW_BASE + pa, size);
	spin_unlock(&lock);
}

void *device_map(paddr_t pa, u64 size, enum mem_cache cache)
{
	u64 offset = pa & (PAGE_SIZE - 1);
	u64 va;

	size = ALIGN_UP(size + offset, PAGE_SIZE);
	spin_lock(&lock);
	va = device_next +
	     (pa & (BLOCK - 1) & ~(PAGE_SIZE - 1)); /* large leaves for framebuffers */
	device_next = ALIGN_UP(va + size, BLOCK);
	must(ptable_map(&kernel_ptable, va, pa - offset, size, RW, cache), "paging: device");
	spin_unlock(&lock);
	return (void *)(va + offset);
}

/* Maps the block of `pa` at this CPU's temporary address, which is returned for `pa`. */
static void *temp_map(paddr_t pa, enum mem_cache cache)
{
	u64 va = TEMP_BASE + cpu_self()->index * BLOCK;

	spin_lock(&lock);
	must(ptable_map(&kernel_ptable, va, ALIGN_DOWN(pa, BLOCK), BLOCK,
		     PTABLE_READ | PTABLE_WRITE, cache),
		"paging: temporary");
	spin_unlock(&lock);
	return (void *)(va + (pa & (BLOCK - 1)));
}

static void temp_unmap(void)
{
	u64 va = TEMP_BASE + cpu_self()->index * BLOCK;

	spin_lock(&lock);
	ptable_unmap(&kernel_ptable, va, BLOCK);
	spin_unlock(&lock);
	invlpg(va);
}

void temp_clear(paddr_t pa, u64 size)
{
	u64 *p = temp_map(pa, MEM_CACHE_WB);
	u64 count = size / 8;

	__asm__ volatile("rep stosq" : "+D"(p), "+c"(count) : "a"(0) : "memory");
	temp_unmap();
}

void device_write(paddr_t pa, const u32 words[4])
{
	volatile u32 *p = temp_map(pa, MEM_CACHE_UC);

	p[3] = 1; /* an entry of MSI-X is masked while it changes */
	for (u32 i = 0; i < 4; i++)
		p[i] = words[i];
	temp_unmap();
}
