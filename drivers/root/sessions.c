/* Sessions between members: shared memory of the client's holder, and an event capability each way.
 */
#include "drivers/protocols/block.h"
#include "drivers/protocols/console.h"
#include "drivers/protocols/root.h"
#include "drivers/protocols/net.h"
#include "drivers/root/bus.h"
#include "drivers/root/operator.h"
#include "drivers/root/resources.h"

#define TABLE_SPAN   0x200000ull     /* that one page table maps */
#define TABLES_EDGES (3 * PAGE_SIZE) /* of a session, and the list of attachments */
#define SMALL        (64ull << 10)   /* sessions below it share the page tables of others */

static struct session session[LINKS_MAX];
static u32 sessions;

static u64 session_size(const char *protocol)
{
	if (strcmp(protocol, "block") == 0)
		return BLOCK_SESSION_SIZE;
	if (strcmp(protocol, "net") == 0)
		return NET_SESSION_SIZE;
	if (strcmp(protocol, "bus") == 0)
		return BUS_SESSION_SIZE;
	check(strcmp(protocol, "console") == 0 || strcmp(protocol, "serial") == 0);
	return CONSOLE_SESSION_SIZE;
}

static bool usable(u32 node)
{
	return node == NODE_ROOT || member[node].holder != CAP_NULL;
}

static bool is_bus(const struct link *l)
{
	return strcmp(l->protocol, "bus") == 0;
}

/* The next bit of a node for sessions. */
static u32 end_bit(const struct link *l, u32 node)
{
	if (node == NODE_ROOT)
		return is_bus(l) ? ROOT_BIT_BUS : ROOT_BIT_CONSOLE;
	return member[node].session_bits++ % ROOT_BIT_REPORT;
}

void sessions_init(void)
{
	for (u32 i = 0; i < description.links; i++) {
		const struct link *l = &description.link[i];
		struct session *s = &session[sessions];
		bool of_root = l->client == NODE_ROOT;
		status_t status;

		if (!usable(l->client) || !usable(l->server))
			continue;
		*s = (struct session){.link = l};
		s->client.bit = end_bit(l, l->client);
		s->server.bit = end_bit(l, l->server);
		status = memory_new(of_root ? ROOT_CAP_DOMAIN : member[l->client].holder,
			session_size(l->protocol), &s->memory);
		if (status == STATUS_OK && of_root)
			status = is_bus(l) ? bus_attach(s) : operator_attach(s);
		if (status == STATUS_OK)
			sessions++;
		else
			log_line(
				"%s: no %s session: %s", l->name, l->protocol, status_text(status));
	}
}

u64 sessions_tables(const struct member *m)
{
	u64 sum = 0;

	for (u32 i = 0; i < sessions; i++) {
		u64 tables = session[i].memory.size / TABLE_SPAN * PAGE_SIZE + TABLES_EDGES;

		if (session[i].memory.size < SMALL)
			continue;
		if (session[i].link->client == m->index)
			sum += tables;
		if (session[i].link->server == m->index)
			sum += tables;
	}
	return sum;
}

u64 sessions_bytes(const struct member *m)
{
	u64 sum = 0;

	for (u32 i = 0; i < sessions; i++) {
		if (session[i].link->client == m->index)
			sum += session[i].memory.size;
	}
	return sum;
}

static bool add_end(struct member *m, struct start_info *info, struct session *s, u32 role)
{
	struct session_end *own = role == START_CLIENT ? &s->client : &s->server;
	struct session_end *peer = role == START_CLIENT ? &s->server : &s->client;
	struct start_resource *r = resource_add(m, info, START_SESSION);

	if (!r || !resource_map(m, r, s->memory.cap, s->memory.base, s->memory.size,
			  MAP_READ | MAP_WRITE))
		return false;
	own->slot = m->process.next_cap++;
	own->open = true;
	r->cap = own->slot;
	r->bit = own->bit;
	r->value = BIT(peer->bit);
	if (role == START_SERVER && bus_has_functions(m)) {
		r->mem = m->process.next_cap++;
		if (!member_ok(m,
			    sys_cap_grant(m->process.domain, r->mem, s->memory.cap, RIGHT_DMA, 0),
			    "memory of a session"))
			return false;
	}
	r->role = role;
	r->phandle = s->link->phandle;
	string_copy(r->name, sizeof(r->name), s->link->name);
	string_copy(r->protocol, sizeof(r->protocol), s->link->protocol);
	return true;
}

bool sessions_add(struct member *m, struct start_info *info)
{
	for (u32 i = 0; i < sessions; i++) {
		struct session *s = &session[i];

		if (s->link->client == m->index && !add_end(m, info, s, START_CLIENT))
			return false;
		if (s->link->server == m->index && !add_end(m, info, s, START_SERVER))
			return false;
	}
	return true;
}

/* Gives `holder` of `end` the right to set `bit` of `event`. */
static void give(struct member *holder, struct session_end *end, cap_t event, u32 bit)
{
	cap_t domain = holder->process.domain;

	if (!end->open || domain == CAP_NULL)
		return;
	sys_cap_grant(domain, end->slot, CAP_NULL, 0, 0);
	member_ok(holder, sys_cap_grant(domain, end->slot, event, 0, BIT(bit)), "session");
}

static cap_t event_of(u32 node)
{
	return node == NODE_ROOT ? main_event : member[node].process.event;
}

void sessions_connect(struct member *m)
{
	for (u32 i = 0; i < sessions; i++) {
		struct session *s = &session[i];
		u32 client = s->link->client;
		u32 server = s->link->server;

		if (client != m->index && server != m->index)
			continue;
		if (event_of(client) == CAP_NULL || event_of(server) == CAP_NULL)
			continue;
		give(&member[server], &s->server, event_of(client), s->client.bit);
		if (client != NODE_ROOT)
			give(&member[client], &s->client, event_of(server), s->server.bit);
		if (client == m->index || client == NODE_ROOT)
			sys_event_signal(event_of(server), BIT(s->server.bit));
		else
			sys_event_signal(event_of(client), BIT(s->client.bit));
	}
}

void sessions_disconnect(struct member *m)
{
	for (u32 i = 0; i < sessions; i++) {
		if (session[i].link->client == m->index)
			session[i].client.open = false;
		if (session[i].link->server == m->index)
			session[i].server.open = false;
	}
}
