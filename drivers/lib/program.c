/* What runs before main, and what a program finds in its start page. */
#include "drivers/lib/lib.h"

int main(struct start_info *info);
int program_start(struct start_info *info);
void thread_entry(void);

int program_start(struct start_info *info)
{
	const struct start_resource *heap = start_find(info, START_HEAP, 0);

	if (heap)
		heap_init((void *)heap->address, heap->size);
	return main(info);
}

const struct start_resource *start_find(const struct start_info *info, enum start_kind kind, u32 n)
{
	for (u32 i = 0; i < info->resources; i++) {
		if (info->resource[i].kind == kind && n-- == 0)
			return &info->resource[i];
	}
	return NULL;
}

const struct start_resource *start_find_name(
	const struct start_info *info, enum start_kind kind, const char *name)
{
	for (u32 i = 0; i < info->resources; i++) {
		if (info->resource[i].kind == kind &&
			strncmp(info->resource[i].name, name, START_NAME_SIZE) == 0)
			return &info->resource[i];
	}
	return NULL;
}

/* Returns root's port on CPU `cpu`, or CAP_NULL. */
static cap_t root_port(const struct start_info *info, u32 cpu)
{
	if (cpu == info->cpu)
		return START_CAP_ROOT;
	for (u32 i = 0; i < info->resources; i++) {
		if (info->resource[i].kind == START_ROOT && info->resource[i].value == cpu)
			return info->resource[i].cap;
	}
	return CAP_NULL;
}

status_t thread_start(const struct start_info *info, u32 n, struct start_thread *block,
	void (*run)(void *), void *arg)
{
	const struct start_resource *thread = start_find(info, START_THREAD, n);
	struct msg_thread *m = thread_message();
	status_t s;

	if (!thread)
		return STATUS_NOT_FOUND;
	*block = (struct start_thread){
		.self = (u64)block,
		.message = thread->address,
		.root_port = root_port(info, (u32)thread->value),
		.cpu = (u32)thread->value,
		.canary = info->first.canary,
	};
	s = sys_thread_ctl(thread->cap, THREAD_CTL_GET, 0, 0, 0);
	if (s != STATUS_OK)
		return s;
	m->rip = (u64)thread_entry;
	m->fs_base = (u64)block;
	m->gpr[4] = start_stack_top(n + 1); /* RSP */
	m->gpr[6] = (u64)run;               /* RSI */
	m->gpr[7] = (u64)arg;               /* RDI */
	s = sys_thread_ctl(thread->cap, THREAD_CTL_SET, 0, 0, 0);
	if (s != STATUS_OK)
		return s;
	return sys_thread_ctl(thread->cap, THREAD_CTL_RESUME, 0, 0, 0);
}
