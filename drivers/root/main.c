/*
 * Root: the partition manager. Its first thread sets up the main thread and then serves calls on
 * the boot processor; the main thread reads the description, starts what it asks for, and looks
 * after it.
 */
#include "drivers/root/bus.h"
#include "drivers/root/faults.h"
#include "drivers/root/member.h"
#include "drivers/root/operator.h"
#include "drivers/root/rom.h"

#define EXTRA_POOL      0x100000ull /* for root's own kernel objects and page tables */
#define MAIN_STACK      0x10000ull
#define MAIN_STACK_BASE (ROOT_AREA + 0x2000000ull) /* behind the service threads' areas */

int program_start(void);

const struct boot_info *const boot = (const struct boot_info *)ROOT_BOOT_INFO;
void *message = (void *)ROOT_MESSAGE;
cap_t main_thread;
cap_t main_event;

/* Hosted code (libfdt.a) finds its stack canary here. */
static struct start_thread main_block;

u64 seconds_now(void)
{
	return boot->tsc_hz ? tsc_now() / boot->tsc_hz : 0;
}

static void complain(const char *line)
{
	log_line("%s", line);
}

static void start_all(void)
{
	u32 running = 0;
	u32 waiting = 0;

	for (int class = NODE_DOMAIN; class <= NODE_PARTITION; class ++) {
		for (u32 i = 0; i < members; i++) {
			struct member *m = &member[i];

			if ((int)m->node->class != class || m->state != MEMBER_IDLE ||
				!m->node->autostart)
				continue;
			if (bus_awaited(m)) {
				waiting++;
				continue;
			}
			if (member_is_terminal(m) && member_console_lives())
				operator_take_over();
			if (member_start(m))
				running++;
			log_drain(operator_is_up());
		}
	}
	log_line("%u of %u domains and partitions run; %lu of %lu MiB of memory are free", running,
		members, memory_free_bytes() >> 20, memory_all_bytes() >> 20);
	if (waiting)
		log_line("%u wait for the bus domain", waiting);
	if (running == 0)
		log_line("nothing could be started: the lines above say why; the machine stays as "
			 "it "
			 "is until it is switched off");
}

static void begin(void)
{
	const void *fdt;

	if (boot->files < 2) {
		log_line("system.dtb: the loader gave no system description: build the image anew");
		return;
	}
	fdt = file_open(1);
	if (!fdt || !description_read(&description, fdt, boot->file[1].size, boot, complain)) {
		log_line("system.dtb: nothing is started; the machine stays as it is until it is "
			 "switched off");
		return;
	}
	members_init();
	start_all();
}

_Noreturn static void main_loop(void)
{
	static struct flood flood;

	log_start();
	begin();
	flood_init(&flood, boot->tsc_hz);
	sessions_watch(&flood);
	for (;;) {
		u64 muted = flood_muted(&flood, tsc_now());
		u64 bits = 0;
		cycles_t deadline;

		/* In this order: a program's last words and its reason come before its death. */
		service_drain();
		log_drain(operator_is_up());
		bus_run();
		faults_run();
		operator_run();
		deadline = supervise_deadline();
		if (faults_deadline() < deadline)
			deadline = faults_deadline();
		if (rom_deadline() < deadline)
			deadline = rom_deadline();
		if (flood.until < deadline)
			deadline = flood.until;
		sys_event_wait(~muted, deadline, &bits);
		flood_look(&flood, bits, tsc_now(), supervise_flood);
		service_drain();
		supervise(bits);
		operator_run();
		supervise_time();
	}
}

/* Gives root a larger pool; the memory is its own from now on. */
static void extend_pool(void)
{
	struct memory pool;
	status_t s = memory_new(ROOT_CAP_DOMAIN, EXTRA_POOL, &pool);

	if (s == STATUS_OK)
		s = sys_mem_map(ROOT_CAP_DOMAIN, pool.cap, 0, 0, 0, MAP_POOL);
	if (s != STATUS_OK)
		log_line("root's pool stays small: %s", status_text(s));
}

static void make_main_thread(u32 bsp)
{
	struct msg_create_thread *c = message;
	struct memory stack;

	check(memory_new(ROOT_CAP_DOMAIN, MAIN_STACK, &stack) == STATUS_OK);
	check(sys_mem_map(ROOT_CAP_DOMAIN, stack.cap, MAIN_STACK_BASE, 0, MAIN_STACK,
		      MAP_READ | MAP_WRITE) == STATUS_OK);
	main_block = (struct start_thread){
		.self = (u64)&main_block,
		.message = ROOT_MAIN_MESSAGE,
		.cpu = bsp,
		.canary = tsc_now() << 8,
	};
	*c = (struct msg_create_thread){
		.cpu = bsp,
		.priority = ROOT_MAIN_PRIORITY,
		.entry = (u64)main_loop,
		.stack = MAIN_STACK_BASE + MAIN_STACK - 8,
		.fs_base = (u64)&main_block,
		.message = ROOT_MAIN_MESSAGE,
	};
	check(object_new(KIND_THREAD, ROOT_CAP_DOMAIN, &main_thread) == STATUS_OK);
	check(event_new(ROOT_CAP_DOMAIN, main_thread, ~0ull, &main_event) == STATUS_OK);
}

int program_start(void)
{
	u32 bsp = 0;

	while (bsp + 1 < boot->cpus && !(boot->cpu[bsp].flags & BOOT_CPU_BSP))
		bsp++;
	memory_init();
	extend_pool();
	make_main_thread(bsp);
	check(service_init(bsp) == STATUS_OK);
	message = (void *)ROOT_MAIN_MESSAGE;
	check(sys_thread_ctl(main_thread, THREAD_CTL_RESUME, 0, 0, 0) == STATUS_OK);
	service_first();
}
