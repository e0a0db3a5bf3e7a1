/* Members: made from the description, started, stopped, renewed. */
#include <libfdt.h>

#include "drivers/root/bus.h"
#include "drivers/root/config.h"
#include "drivers/root/faults.h"
#include "drivers/root/member.h"
#include "drivers/root/operator.h"
#include "drivers/root/watch.h"

#define HOLDER_POOL_DOMAIN    (64ull << 10)
#define HOLDER_POOL_PARTITION (256ull << 10)
#define HOLDER_POOL_VCPU      (96ull << 10) /* for each vCPU */
#define HOLDER_POOL_FUNCTION  (64ull << 10) /* for each PCI function: an IOMMU's tables */
#define GUEST_TABLES          (16ull << 10) /* of the levels above, and where large pages end */
#define STATE_DOMAIN          (16ull << 10)
#define STATE_PARTITION       (256ull << 10)
#define STATE_VCPU            (16ull << 10) /* the journal of each vCPU */
#define CONFIG_MAX            65536u

struct description description;
struct member member[NODES_MAX];
u32 members;

static u8 config_space[CONFIG_MAX] __attribute__((aligned(8)));

bool member_ok(const struct member *m, status_t s, const char *what)
{
	if (s == STATUS_OK)
		return true;
	if (s == STATUS_NO_MEMORY)
		log_line("%s: %s: its pool is too small: raise \"pool-kib\"", m->node->name, what);
	else if (s == STATUS_NO_SPACE)
		log_line("%s: %s: the machine's memory is used up (%lu KiB are free): describe "
			 "less, or "
			 "give the machine more",
			m->node->name, what, memory_free_bytes() >> 10);
	else
		log_line("%s: %s: %s", m->node->name, what, status_text(s));
	return false;
}

/* An IOMMU's tables, in pages of 2 MiB, of the guests' RAM that the functions of `server` may
 * reach.
 */
static u64 guest_tables(u32 server)
{
	u64 sum = 0;

	for (u32 i = 0; i < description.links; i++) {
		const struct link *l = &description.link[i];
		const struct domain_node *n;

		if (!l->zero_copy || l->server != server)
			continue;
		n = &description.node[l->client];
		for (u32 k = 0; k < n->rams; k++)
			sum += GUEST_TABLES + ALIGN_UP(n->ram[k].size >> 18, PAGE_SIZE);
	}
	return sum;
}

static bool make_holder(struct member *m)
{
	const struct domain_node *n = m->node;
	struct msg_create_domain *c = message;
	u64 size = HOLDER_POOL_DOMAIN;

	if (n->class == NODE_PARTITION)
		size = HOLDER_POOL_PARTITION + n->cpus * HOLDER_POOL_VCPU;
	if (size < (u64)n->pool_kib << 9) /* half of what the process has */
		size = ALIGN_UP((u64)n->pool_kib << 9, PAGE_SIZE);
	for (u32 i = 0; i < n->devices && boot->iommus; i++)
		size += n->device[i].kind == DEVICE_FUNCTION
				? HOLDER_POOL_FUNCTION + guest_tables(m->index)
				: 0;
	if (!member_ok(m, memory_new(ROOT_CAP_DOMAIN, size, &m->holder_pool), "holder's pool"))
		return false;
	*c = (struct msg_create_domain){.pool = m->holder_pool.cap};
	format(c->name, sizeof(c->name), "%.13s.h", n->name);
	return member_ok(m, object_new(KIND_DOMAIN, ROOT_CAP_DOMAIN, &m->holder), "holder");
}

static bool make_config(struct member *m)
{
	void *to;

	m->config_size = config_make(
		description.tree.fdt, m->node->offset, config_space, sizeof(config_space));
	if (m->config_size == 0) {
		log_line("%s: its node is larger than %u KiB: make it smaller", m->node->name,
			CONFIG_MAX >> 10);
		return false;
	}
	if (!member_ok(m, memory_new(m->holder, m->config_size, &m->config), "configuration"))
		return false;
	to = memory_open(&m->config);
	if (!to)
		return false;
	memcpy(to, config_space, m->config_size);
	memory_close();
	return true;
}

void members_init(void)
{
	for (u32 i = 0; i < description.nodes; i++) {
		struct member *m = &member[i];

		m->node = &description.node[i];
		m->index = i;
		if (m->node->bad || !make_holder(m) || !make_config(m))
			m->state = MEMBER_FAILED;
	}
	members = description.nodes;
	sessions_init();
	for (u32 i = 0; i < members; i++) {
		if (member[i].state == MEMBER_FAILED)
			sessions_give_up(&member[i]);
	}
}

struct member *member_find(const char *name)
{
	u32 i = description_find(&description, name);

	return i == NODE_NONE ? NULL : &member[i];
}

/* Starts a process; takes everything back if that fails. A guest that is there already stays. */
static bool run(struct member *m)
{
	bool make_guest = m->node->class == NODE_PARTITION && m->guest.vm == CAP_NULL;

	faults_begin(m);
	if (process_make(m) && (!make_guest || (guest_make(m) && bus_guest_attach(m))) &&
		process_run(m)) {
		m->state = MEMBER_RUNNING;
		if (make_guest)
			sessions_guest_changes(m);
		return true;
	}
	member_stop(m, MEMBER_FAILED);
	return false;
}

bool member_start(struct member *m)
{
	u64 size = m->node->class == NODE_PARTITION ? STATE_PARTITION : STATE_DOMAIN;

	if (m->node->class == NODE_PARTITION)
		size += m->node->cpus * STATE_VCPU;
	if (size < m->node->state)
		size = m->node->state;
	if (m->node->class == NODE_PARTITION)
		size = watch_room(size, m->node->cpus);
	if (m->node->bad || m->config.cap == CAP_NULL) {
		log_line("%s: cannot be started: its node in system.dtb is wrong, see the log's "
			 "beginning",
			m->node->name);
		return false;
	}
	if (bus_awaited(m)) {
		log_line("%s: waits for the bus domain, which has not told yet what is there",
			m->node->name);
		return false;
	}
	m->restarts = 0;
	m->death = (struct death){0};
	if (!member_ok(m, memory_new(m->holder, size, &m->kept), "state")) {
		member_stop(m, MEMBER_FAILED);
		return false;
	}
	if (m->index == description.display)
		log_leave(&m->kept);
	if (!bus_devices_make(m)) {
		member_stop(m, MEMBER_FAILED);
		return false;
	}
	return run(m);
}

bool member_renew(struct member *m)
{
	if (m->state != MEMBER_WAITING)
		member_suspend(m);
	m->restarts++;
	return run(m);
}

void member_suspend(struct member *m)
{
	process_end(m);
	if (m->node->class == NODE_DOMAIN) /* a guest's are in the middle of its work */
		bus_devices_reset(m);
	m->state = MEMBER_WAITING;
}

static bool lives(u32 i)
{
	return i != NODE_NONE && member[i].state != MEMBER_FAILED && member[i].state != MEMBER_OFF;
}

/* True if the console server and one of its terminals run, or may yet. */
static bool has_way_in(void)
{
	return lives(description.console) &&
	       (lives(description.serial) || lives(description.display));
}

void member_stop(struct member *m, enum member_state state)
{
	process_end(m);
	bus_devices_end(m);
	if (m->guest.parts > 0)
		sessions_guest_changes(m); /* no device writes to its RAM any more */
	guest_end(m);
	memory_end(&m->kept);
	m->state = state;
	if (state != MEMBER_STOPPED)
		sessions_give_up(m);
	if (state != MEMBER_STOPPED && member_is_way_in(m) && !has_way_in())
		operator_give_up();
}

bool member_is_terminal(const struct member *m)
{
	return m->index == description.serial || m->index == description.display;
}

bool member_is_way_in(const struct member *m)
{
	return m->index == description.console || member_is_terminal(m);
}

bool member_console_lives(void)
{
	return lives(description.console);
}

u64 member_ram(const struct member *m)
{
	u64 sum = 0;

	for (u32 i = 0; i < m->guest.parts; i++)
		sum += m->guest.ram[i].size;
	return sum;
}

u64 member_frames(const struct member *m)
{
	u64 sum = m->holder_pool.size + m->kept.size + m->config.size + m->process.pool.size;

	return sum + sessions_bytes(m) + m->process.frames;
}
