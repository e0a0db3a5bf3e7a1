/* The switch between guests, and to a network card if one is its uplink. */
#include "drivers/lib/loop.h"
#include "drivers/switch/switch.h"

#define STATE_MAGIC    0x48435753u
#define MAC_LOCAL      BIT(41) /* of an address in 48 bits: locally administered */
#define MAC_GROUP      BIT(40)
#define MAC_MASK       (BIT(48) - 1)
#define MAC_MULTIPLIER 0x9e3779b97f4a7c15ull

/* What is kept over a restart of this program, in START_STATE: guests keep their addresses. */
struct kept {
	u32 magic;
	u32 reserved;
	u64 secret;
};

static struct switch_state state;
static struct port_config config[SWITCH_PORTS];
static u32 configs;
static const struct start_resource *session[SWITCH_PORTS];
static u64 damages[SWITCH_PORTS]; /* that root was told of */

/* The address that a client of port `number` is offered: another at each boot, as nothing tells
 * this machine from its like on the same network. */
static u64 make_mac(u64 secret, u32 number)
{
	u64 x = (secret + number) * MAC_MULTIPLIER;

	x = (x ^ x >> 29) * MAC_MULTIPLIER;
	return ((x >> 16 & MAC_MASK) | MAC_LOCAL) & ~MAC_GROUP;
}

static u64 find_secret(const struct start_info *info)
{
	const struct start_resource *r = start_find(info, START_STATE, 0);
	struct kept *kept = r && r->size >= sizeof(*kept) ? (struct kept *)r->address : NULL;

	if (!kept)
		return info->seed[0];
	if (kept->magic != STATE_MAGIC) {
		kept->secret = info->seed[0];
		kept->magic = STATE_MAGIC;
	}
	return kept->secret;
}

/* The port that the session belongs to, or NULL. */
static const struct port_config *find_port(const struct start_resource *r)
{
	for (u32 i = 0; i < configs; i++) {
		bool uplink = config[i].backend != 0;
		u32 phandle = uplink ? config[i].backend : config[i].phandle;

		if (phandle != 0 && phandle == r->phandle && uplink == (r->role == START_CLIENT))
			return &config[i];
	}
	return NULL;
}

static void open_session(const struct start_resource *r, u64 secret)
{
	const struct port_config *c = find_port(r);
	u64 mac = c && c->mac != 0 ? c->mac : make_mac(secret, c ? c->number : 0);

	if (!c) {
		log_line("%s: asks for a port that is not here", r->name);
		return;
	}
	if (!switch_add(&state, c, (void *)r->address, r->size, mac)) {
		log_line("%s: more than %u ports", r->name, SWITCH_PORTS);
		return;
	}
	session[state.ports - 1] = r;
	log_line("port %u: %s%s", c->number, c->backend ? "uplink " : "", r->name);
}

/* Tells the peers what the round asked for. One that is away looks when it comes back. */
static void tell_all(void)
{
	for (u32 i = 0; i < state.ports; i++) {
		struct port *p = &state.port[i];

		if (p->damages != damages[i]) {
			damages[i] = p->damages;
			loop_peer_broken(session[i]->cap);
		}
		if (!p->signal)
			continue;
		p->signal = false;
		sys_event_signal(session[i]->cap, session[i]->value);
	}
}

int main(struct start_info *info);

int main(struct start_info *info)
{
	const struct start_resource *tree = start_find(info, START_CONFIG, 0);
	const struct start_resource *r;
	u64 secret = find_secret(info);

	switch_init(&state, info->seed[1], info->tsc_hz);
	if (tree)
		configs = ports_read((const void *)tree->address, tree->size, config);
	for (u32 i = 0; (r = start_find(info, START_SESSION, i)) != NULL; i++) {
		if (strcmp(r->protocol, "net") == 0)
			open_session(r, secret);
	}
	if (state.ports == 0) {
		log_line("no port that anybody uses: nothing to do");
		return 0;
	}
	loop_open(info, NULL);
	for (;;) {
		bool again = switch_round(&state, tsc_now());

		tell_all();
		loop_wait(again ? 0 : switch_deadline(&state));
	}
}
