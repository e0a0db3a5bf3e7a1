/* Sessions between members: shared memory of the client's holder, and an event capability each way.
 */
#include "drivers/protocols/block.h"
#include "drivers/protocols/console.h"
#include "drivers/protocols/root.h"
#include "drivers/protocols/net.h"
#include "drivers/root/blame.h"
#include "drivers/root/bus.h"
#include "drivers/root/operator.h"
#include "drivers/root/resources.h"

#define TABLE_SPAN   0x200000ull     /* that one page table maps */
#define TABLES_EDGES (3 * PAGE_SIZE) /* of a session, and the list of attachments */
#define HEADER_SIZE  0x3000ull       /* of every session, with the words that root writes */
#define AGREE_US     10000000ull     /* how long an accusation counts */
#define SMALL        (64ull << 10)   /* sessions below it share the page tables of others */

static_assert(HEADER_SIZE <= CONSOLE_SESSION_SIZE && HEADER_SIZE <= BLOCK_DATA);
static_assert(sizeof(struct console_session) <= HEADER_SIZE && HEADER_SIZE <= NET_DATA);

static_assert(GUEST_PARTS <= BLOCK_PARTS);

static struct session session[LINKS_MAX];
static u32 sessions;

static bool is_bytes(const struct session *s)
{
	return strcmp(s->link->protocol, "console") == 0 ||
	       strcmp(s->link->protocol, "serial") == 0;
}

/* The program at the producer's end, or else the consumer's, is a fresh one. If the last one left
 * an index that cannot be, what the ring held is lost: it is empty, where the other end says. */
static void ring_repair(struct ring *r, bool producer)
{
	bool broken;

	ring_used(r, CONSOLE_RING_SIZE, &broken);
	if (!broken)
		return;
	if (producer)
		__atomic_store_n(&r->head, r->tail, __ATOMIC_RELEASE);
	else
		__atomic_store_n(&r->tail, r->head, __ATOMIC_RELEASE);
}

/* A fresh program takes over an end of a byte session. */
static void bytes_renew(const struct session *s, u32 role)
{
	struct console_session *c = memory_open_part(&s->memory, CONSOLE_SESSION_SIZE);

	if (!c)
		return;
	ring_repair(&c->to_server.ring, role == START_CLIENT);
	ring_repair(&c->to_client.ring, role == START_SERVER);
	if (role == START_SERVER)
		__atomic_store_n(&c->gone, 0, __ATOMIC_RELEASE);
	memory_close();
}

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

/* Gives the server's devices the RAM of the client's guest, if it is there: to attach, not to map.
 */
static bool add_guest(struct member *m, struct start_info *info, const struct session *s)
{
	const struct guest *g = &member[s->link->client].guest;

	for (u32 i = 0; i < g->parts; i++) {
		struct start_resource *r = resource_add(m, info, START_GUEST);

		if (!r || !resource_grant(m, r, g->ram[i].cap, RIGHT_DMA, 0))
			return false;
		r->value = g->gpa[i];
		r->size = g->ram[i].size;
		string_copy(r->name, sizeof(r->name), s->link->name);
	}
	return true;
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
	return role != START_SERVER || !s->link->zero_copy || add_guest(m, info, s);
}

bool sessions_add(struct member *m, struct start_info *info)
{
	for (u32 i = 0; i < sessions; i++) {
		struct session *s = &session[i];

		if (is_bytes(s) && s->link->client == m->index)
			bytes_renew(s, START_CLIENT);
		if (is_bytes(s) && s->link->server == m->index)
			bytes_renew(s, START_SERVER);
		if (s->link->client == m->index || s->link->server == m->index)
			s->client.accuses = s->server.accuses = 0;
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

void sessions_guest_changes(const struct member *m)
{
	for (u32 i = 0; i < sessions; i++) {
		struct member *server = &member[session[i].link->server];

		if (session[i].link->client != m->index || !session[i].link->zero_copy ||
			server->state != MEMBER_RUNNING)
			continue;
		log_line("%s is started anew, for its device may reach the memory of %s",
			server->node->name, m->node->name);
		member_suspend(server);
		server->restart_at = tsc_now();
	}
}

void sessions_give_up(const struct member *m)
{
	for (u32 i = 0; i < sessions; i++) {
		struct session *s = &session[i];
		cap_t client = event_of(s->link->client);
		void *memory;

		if (s->link->server != m->index || is_bus(s->link))
			continue;
		memory = memory_open_part(&s->memory, HEADER_SIZE);
		if (!memory)
			continue;
		if (is_bytes(s))
			__atomic_store_n(
				&((struct console_session *)memory)->gone, 1, __ATOMIC_RELEASE);
		else
			epoch_give_up(memory);
		memory_close();
		if (client == CAP_NULL)
			continue;
		log_line("%s: what it has of %s fails until \"start %s\"", s->link->name,
			m->node->name, m->node->name);
		sys_event_signal(client, BIT(s->client.bit));
	}
}

u32 sessions_under_way(const struct member *m)
{
	u32 sum = 0;

	for (u32 i = 0; i < sessions; i++) {
		const struct session *s = &session[i];
		const struct block_session *b;

		if (s->link->server != m->index || strcmp(s->link->protocol, "block") != 0)
			continue;
		b = memory_open_part(&s->memory, BLOCK_DATA);
		if (!b)
			continue;
		sum += block_under_way(b);
		memory_close();
	}
	return sum;
}

bool sessions_have_rings(const struct member *m)
{
	for (u32 i = 0; i < sessions; i++) {
		const struct link *l = session[i].link;

		if ((l->client == m->index || l->server == m->index) && !is_bus(l))
			return true;
	}
	return false;
}

struct member *sessions_accuse(struct member *m, cap_t cap, bool floods)
{
	for (u32 i = 0; i < sessions; i++) {
		struct session *s = &session[i];
		u32 own = m ? m->index : NODE_ROOT;
		bool client = s->link->client == own && (!m || s->client.slot == cap);
		bool server = s->link->server == own && m && s->server.slot == cap;
		struct session_end *end = client ? &s->client : &s->server;
		u32 peer = client ? s->link->server : s->link->client;

		if ((!client && !server) || is_bus(s->link))
			continue;
		if (!end->accuses && peer != NODE_ROOT)
			log_line("%s: %s %s their %s session%s", m ? m->node->name : "root",
				member[peer].node->name, floods ? "floods" : "broke",
				s->link->protocol, floods ? " with events" : "");
		end->accuses = tsc_now();
		return peer == NODE_ROOT ? NULL : &member[peer];
	}
	return NULL;
}

void sessions_watch(struct flood *f)
{
	for (u32 i = 0; i < sessions; i++) {
		const struct session *s = &session[i];
		struct start_resource r = {.cap = s->link->server,
			.address = is_bus(s->link) ? ROOT_BUS : ROOT_SESSION,
			.bit = s->client.bit,
			.role = START_CLIENT};

		string_copy(r.protocol, sizeof(r.protocol), s->link->protocol);
		if (s->link->client == NODE_ROOT)
			flood_add(f, &r);
	}
}

bool sessions_agree(const struct member *m)
{
	struct blame_peer peer[LINKS_MAX];
	u32 peers = 0;

	for (u32 i = 0; i < sessions; i++) {
		const struct session *s = &session[i];
		bool server = s->link->server == m->index;
		u32 other = server ? s->link->client : s->link->server;

		if ((!server && s->link->client != m->index) || is_bus(s->link))
			continue;
		peer[peers++] = (struct blame_peer){
			.root = other == NODE_ROOT,
			.runs = other == NODE_ROOT || member[other].state == MEMBER_RUNNING,
			.accused = server ? s->client.accuses : s->server.accuses,
		};
	}
	return blame_agreed(peer, peers, tsc_now(), tsc_from_us(boot->tsc_hz, AGREE_US));
}
