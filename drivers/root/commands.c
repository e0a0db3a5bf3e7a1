/* The operator's commands. */
#include "drivers/protocols/root.h"
#include "drivers/root/bus.h"
#include "drivers/root/member.h"
#include "drivers/root/operator.h"
#include "drivers/root/watch.h"

#define say operator_printf

static const char *const state_name[] = {"idle", "running", "stopped", "off", "failed", "waiting"};

struct command {
	const char *name;
	const char *argument; /* NULL: takes none */
	const char *help;
	void (*run)(struct member *m);
};

/* The word behind NAME, for the command that has two. */
static const char *second_word;

static void list_member(const struct member *m)
{
	char cpus[32] = "";
	int at = 0;

	for (u32 i = 0; i < m->node->cpus && at < (int)sizeof(cpus); i++)
		at += format(cpus + at, sizeof(cpus) - (size_t)at, "%s%u", i ? "," : "",
			m->node->cpu[i]);
	say("%-16s %-9s %-8s %-8s %6lu MiB %6lu KiB %8u\n", m->node->name,
		m->node->class == NODE_PARTITION ? "partition" : "domain", state_name[m->state],
		cpus, member_ram(m) >> 20, member_frames(m) >> 10, m->restarts);
}

static void list(struct member *none)
{
	(void)none;
	say("%-16s %-9s %-8s %-8s %10s %10s %8s\n", "name", "kind", "state", "cpus", "ram", "other",
		"restarts");
	for (u32 i = 0; i < members; i++)
		list_member(&member[i]);
	say("\n%-32s %12s  sha256\n", "boot file", "bytes");
	for (u32 i = 0; i < boot->files; i++) {
		const struct boot_file *f = &boot->file[i];
		const u8 *h = f->sha256;

		say("%-32s %12lu  %02x%02x%02x%02x%02x%02x%02x%02x\n", f->name, f->size, h[0], h[1],
			h[2], h[3], h[4], h[5], h[6], h[7]);
	}
	say("\n%lu of %lu MiB of memory are free\n", memory_free_bytes() >> 20,
		memory_all_bytes() >> 20);
}

static void stop(struct member *m)
{
	if (m->state != MEMBER_RUNNING && m->state != MEMBER_WAITING)
		say("%s does not run\n", m->node->name);
	else if (member_is_way_in(m))
		say("%s carries this prompt: it can be restarted, but not stopped\n",
			m->node->name);
	else {
		member_stop(m, MEMBER_STOPPED);
		log_line("%s is stopped by the operator", m->node->name);
	}
}

static void start(struct member *m)
{
	if (m->state == MEMBER_RUNNING)
		say("%s runs already\n", m->node->name);
	else if (m->state == MEMBER_WAITING && m->node->class == NODE_DOMAIN ? member_renew(m)
									     : member_start(m))
		log_line("%s is started by the operator", m->node->name);
	else
		say("%s could not be started; \"log\" says why\n", m->node->name);
}

static void restart(struct member *m)
{
	bool ok;

	if (m->state != MEMBER_RUNNING && m->state != MEMBER_WAITING) {
		ok = member_start(m);
	} else if (m->node->class == NODE_DOMAIN) {
		ok = member_renew(m);
	} else {
		member_stop(m, MEMBER_STOPPED);
		ok = member_start(m);
	}
	if (ok)
		log_line("%s is restarted by the operator", m->node->name);
	else
		say("%s could not be restarted; \"log\" says why\n", m->node->name);
}

static void restart_vmm(struct member *m)
{
	if (m->node->class != NODE_PARTITION || m->state != MEMBER_RUNNING)
		say("%s is no partition that runs\n", m->node->name);
	else if (member_renew(m))
		log_line("%s: its VMM is restarted by the operator", m->node->name);
	else
		say("its VMM could not be restarted; \"log\" says why\n");
}

static void show_pool(const char *what, cap_t domain)
{
	struct syscall_out out;

	if (domain != CAP_NULL &&
		sys_sys_ctl(CAP_NULL, SYS_CTL_POOL, domain, 0, 0, &out) == STATUS_OK)
		say("%s pool: %lu of %lu KiB are free\n", what, out.rdi >> 10, out.rsi >> 10);
}

static void stats(struct member *m)
{
	const struct process *p = &m->process;

	say("%s: %s, started %u times\n", m->node->name, state_name[m->state], m->starts);
	for (u32 i = 0; i < p->threads; i++) {
		const struct msg_thread_stats *t = message;
		u64 us_cycles = boot->tsc_hz / 1000000 ? boot->tsc_hz / 1000000 : 1;

		if (sys_thread_ctl(p->thread[i], THREAD_CTL_STATS, 0, 0, 0) != STATUS_OK)
			continue;
		say("thread %u: CPU %u, priority %u, run time %lu us, %lu switches\n", i, t->cpu,
			t->priority, t->run_time / us_cycles, t->calls);
	}
	health_show(m);
	watch_show(m);
	show_pool("holder", m->holder);
	show_pool("process", p->domain);
}

static void times(struct member *none)
{
	(void)none;
	say("%-16s %16s %16s %16s\n", "cycles", "all", "outside a guest", "in a VMM");
	for (u32 i = 0; i < members; i++)
		watch_times(&member[i]);
}

static void inject(struct member *m)
{
	health_inject(m, second_word);
}

static void regs(struct member *m)
{
	if (m->node->class != NODE_PARTITION || m->state != MEMBER_RUNNING)
		say("%s is no partition that runs\n", m->node->name);
	else
		sys_event_signal(m->process.event, BIT(ROOT_BIT_REPORT));
}

static void show_log(struct member *none)
{
	(void)none;
	log_recent(operator_print);
}

static void list_pci(struct member *none)
{
	(void)none;
	bus_list();
}

static void describe(struct member *none)
{
	(void)none;
	bus_describe();
}

static void command_power_off(struct member *none)
{
	(void)none;
	log_line("the operator powers the machine off");
	power_off();
}

static void command_reboot(struct member *none)
{
	(void)none;
	log_line("the operator resets the machine");
	power_reset();
}

static void help(struct member *none);

static const struct command command[] = {
	{"list", NULL, "domains, partitions and boot files", list},
	{"start", "NAME", "start a domain or partition from scratch", start},
	{"stop", "NAME", "stop it", stop},
	{"restart", "NAME",
		"a domain: a fresh program with the same sessions; a partition: from scratch",
		restart},
	{"restart-vmm", "NAME", "a fresh monitor under a partition's guest, which notices nothing",
		restart_vmm},
	{"stats", "NAME", "run time; of vCPUs, shares of time and exits with cycles in the VMM",
		stats},
	{"times", NULL, "cycles that each domain and partition ran, and where", times},
	{"inject", "NAME FAULT",
		"a fault, to try the rest: kill, hang, wild-write, bad-ring, stale-ring, wild-dma",
		inject},
	{"regs", "NAME", "the registers of a partition's vCPUs, in the log", regs},
	{"lspci", NULL, "the PCI functions, and whose they are", list_pci},
	{"describe", NULL, "this machine as nodes of a description", describe},
	{"log", NULL, "the recent lines of the log", show_log},
	{"poweroff", NULL, "switch the machine off, whatever runs", command_power_off},
	{"reboot", NULL, "reset the machine, whatever runs", command_reboot},
	{"help", NULL, "this list", help},
};

static void help(struct member *none)
{
	(void)none;
	for (u32 i = 0; i < ARRAY_SIZE(command); i++)
		say("%-11s %-10s %s\n", command[i].name,
			command[i].argument ? command[i].argument : "", command[i].help);
}

/* The next word of *at, NUL-terminated; empty at the end of the line. */
static char *word(char **at)
{
	char *start = *at;

	while (*start == ' ')
		start++;
	*at = start;
	while (**at && **at != ' ')
		(*at)++;
	if (**at)
		*(*at)++ = 0;
	return start;
}

static void run(const struct command *c, const char *name, const char *word, const char *rest)
{
	bool two = c->argument && strchr(c->argument, ' ');
	struct member *m = NULL;

	second_word = word;
	if (*rest || (*word && !two) || (*name && !c->argument)) {
		say("too many words; usage: %s%s%s\n", c->name, c->argument ? " " : "",
			c->argument ? c->argument : "");
		return;
	}
	if (c->argument && !*name) {
		say("which one? usage: %s %s; \"list\" shows the names\n", c->name, c->argument);
		return;
	}
	if (c->argument) {
		m = member_find(name);
		if (!m) {
			say("no domain or partition is called \"%s\"; \"list\" shows the names\n",
				name);
			return;
		}
	}
	c->run(m);
}

void command_run(char *line)
{
	char *name = word(&line);
	char *argument = word(&line);
	char *second = word(&line);
	char *rest = word(&line);

	if (!*name)
		return;
	for (u32 i = 0; i < ARRAY_SIZE(command); i++) {
		if (strcmp(command[i].name, name) == 0) {
			run(&command[i], argument, second, rest);
			return;
		}
	}
	say("\"%s\" is no command; \"help\" lists them\n", name);
}
