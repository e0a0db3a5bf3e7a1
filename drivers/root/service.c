/*
 * The service threads: one on each CPU whose programs call root. A service thread only copies the
 * call into its queue, tells the main thread and replies, so a caller never waits for root's other
 * work, and no lock is needed.
 */
#include "drivers/lib/lib.h"
#include "drivers/root/member.h"
#include "drivers/root/pace.h"
#include "drivers/root/queue.h"

#define AREA_STRIDE  0x10000ull
#define STACK_OFFSET 0x8000ull /* in a CPU's area, behind the queue and a gap */
#define STACK_SIZE   0x2000ull
#define WAIT_BIT     BIT(0) /* nobody sets it: a thread without port may not wait for nothing */

struct service {
	bool ready;
	cap_t thread;
	struct queue *queue;
	const char *message; /* the thread's message page */
	struct memory memory;
	struct pace pace[NODES_MAX]; /* of each member's lines */
};

static struct service service[BOOT_MAX_CPUS];
static cap_t main_signal;
static u32 first_cpu;

static status_t serve(struct service *v, u64 badge, const struct ipc_words *io)
{
	struct record r = {.badge = (u32)badge, .op = (u16)io->word[0]};
	u32 index = BADGE_MEMBER(badge);

	switch (io->word[0]) {
	case ROOT_LOG:
		if (io->word[1] > ROOT_LOG_MAX || io->word[1] > io->message_words * 8)
			return STATUS_BAD_ARG;
		r.size = (u16)io->word[1];
		if (index >= NODES_MAX || !pace_take(&v->pace[index], boot->tsc_hz, tsc_now()))
			return STATUS_BUSY;
		break;
	case ROOT_STOP:
	case ROOT_BROKEN:
	case ROOT_FLOODED:
		r.value = io->word[1];
		break;
	default:
		return STATUS_BAD_CALL;
	}
	if (!queue_put(v->queue, &r, v->message))
		return STATUS_BUSY;
	sys_event_signal(main_signal, BIT(ROOT_BIT_SERVICE));
	return STATUS_OK;
}

_Noreturn static void loop(struct service *v)
{
	struct ipc_words io = {0};

	for (;;) {
		u64 badge;
		status_t s = sys_ipc_reply_wait(WAIT_BIT, TIME_NEVER, &io, &badge);

		io.word[0] = s == STATUS_OK ? serve(v, badge, &io) : 0;
		io.message_words = 0;
	}
}

/* Gives the CPU's service its queue and, if `stack`, a stack. */
static status_t make_memory(struct service *v, u32 cpu, bool stack)
{
	vaddr_t area = ROOT_AREA + cpu * AREA_STRIDE;
	u64 queue = ALIGN_UP(sizeof(struct queue), PAGE_SIZE);
	u64 flags = MAP_READ | MAP_WRITE;
	status_t s;

	static_assert(sizeof(struct queue) + PAGE_SIZE <= STACK_OFFSET);
	s = memory_new(ROOT_CAP_DOMAIN, queue + (stack ? STACK_SIZE : 0), &v->memory);
	if (s == STATUS_OK)
		s = sys_mem_map(ROOT_CAP_DOMAIN, v->memory.cap, area, 0, queue, flags);
	if (s == STATUS_OK && stack)
		s = sys_mem_map(ROOT_CAP_DOMAIN, v->memory.cap, area + STACK_OFFSET, queue,
			STACK_SIZE, flags);
	v->queue = (struct queue *)area;
	return s;
}

static status_t make(u32 cpu)
{
	struct service *v = &service[cpu];
	struct msg_create_thread *c = message;
	vaddr_t page = ROOT_SERVICE_MESSAGE + cpu * PAGE_SIZE;
	status_t s = make_memory(v, cpu, true);

	if (s != STATUS_OK)
		return s;
	v->message = (const char *)page;
	*c = (struct msg_create_thread){
		.cpu = cpu,
		.priority = ROOT_PRIORITY,
		.entry = (u64)loop,
		.stack = ROOT_AREA + cpu * AREA_STRIDE + STACK_OFFSET + STACK_SIZE - 8,
		.arg = (u64)v,
		.message = page,
	};
	s = object_new(KIND_THREAD, ROOT_CAP_DOMAIN, &v->thread);
	if (s == STATUS_OK)
		s = sys_thread_ctl(v->thread, THREAD_CTL_RESUME, 0, 0, 0);
	v->ready = s == STATUS_OK;
	return s;
}

status_t service_init(u32 bsp)
{
	struct service *v = &service[bsp];
	status_t s = event_new(ROOT_CAP_DOMAIN, main_thread, BIT(ROOT_BIT_SERVICE), &main_signal);

	if (s == STATUS_OK)
		s = make_memory(v, bsp, false);
	v->thread = ROOT_CAP_THREAD;
	v->message = (const char *)ROOT_MESSAGE;
	v->ready = true;
	first_cpu = bsp;
	return s;
}

void service_first(void)
{
	loop(&service[first_cpu]);
}

status_t service_port(cap_t payer, u32 cpu, u32 badge, cap_t *slot)
{
	struct msg_create_port *c = message;

	if (!service[cpu].ready) {
		status_t s = make(cpu);

		if (s != STATUS_OK)
			return s;
	}
	*c = (struct msg_create_port){.thread = service[cpu].thread, .badge = badge};
	return object_new(KIND_PORT, payer, slot);
}

void service_drain(void)
{
	for (u32 cpu = 0; cpu < BOOT_MAX_CPUS; cpu++) {
		struct service *v = &service[cpu];
		const struct record *r;

		if (!v->ready)
			continue;
		while ((r = queue_peek(v->queue)) != NULL) {
			supervise_record(r);
			queue_done(v->queue);
		}
	}
}
