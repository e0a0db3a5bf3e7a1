/* Boot files in root's own address space. */
#include "drivers/root/machine.h"

static const void *opened[BOOT_MAX_FILES];
static vaddr_t next = ROOT_FILES;

const void *file_open(u32 index)
{
	u64 size = ALIGN_UP(boot->file[index].size, PAGE_SIZE);
	status_t s;

	if (opened[index] || size == 0)
		return opened[index];
	s = sys_mem_map(ROOT_CAP_DOMAIN, ROOT_CAP_FILE + index, next, 0, size, MAP_READ);
	if (s != STATUS_OK) {
		log_line("boot file %s cannot be mapped: %s", boot->file[index].name,
			status_text(s));
		return NULL;
	}
	opened[index] = (const void *)next;
	next += size + PAGE_SIZE;
	return opened[index];
}
