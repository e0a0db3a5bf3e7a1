/* virtio devices as the nodes below `pci` describe them. */
#include <libfdt.h>

#include "node.h"

#define MAC_BYTES 6
#define MAC_LOCAL 0x02u /* locally administered, unicast */
#define MAC_GROUP 0x01u
#define FNV_BASIS 0xcbf29ce484222325ull /* FNV-1a, 64 bits */
#define FNV_PRIME 0x100000001b3ull

/* A queue, or a pair of them, for each processor. */
static u8 queues_for(const struct machine *m, u32 most)
{
	return (u8)(m->vcpus < most ? m->vcpus : most);
}

/* The parts of the guest's RAM, which a driver's device finds one by one. */
static void find_parts(const struct config *c, struct block_memory *ram)
{
	const struct start_resource *r;

	ram->parts = 0;
	while (ram->parts < BLOCK_PARTS && (r = start_find(c->info, START_RAM, ram->parts)))
		ram->part[ram->parts++] = (struct block_part){.gpa = r->value, .size = r->size};
}

bool config_disk(struct config *c, struct machine *m, int node)
{
	const struct start_resource *r = config_session(c, node, "block");
	struct virtio_blk_facts facts;
	u32 number = c->disks;
	u8 devfn;

	if (!config_devfn(c, node, &devfn))
		return false;
	if (number == MACHINE_DISKS) {
		config_complain(c, node, "this machine has four virtio disks at most: left out");
		return true;
	}
	if (!r || !backend_block_open(m, number, r)) {
		config_complain(c, node, "no volume is behind it: left out");
		return true;
	}
	c->disks++;
	m->virtio.block[number].zero_copy = fdt_getprop(c->fdt, node, "zero-copy", NULL) != NULL;
	if (m->virtio.block[number].zero_copy)
		find_parts(c, &m->virtio.ram);
	m->virtio.block[number].replay_off = fdt_getprop(c->fdt, 0, "replay-off", NULL) != NULL;
	if (m->resumed)
		return true; /* the device is in the state */
	machine_virtio_await(
		m, &m->virtio.block[number].connected, m->virtio.block[number].own_bit);
	facts = backend_block_facts(m, number);
	if (!facts.sectors)
		config_complain(c, node, "its volume does not answer yet: empty until then");
	if (!virtio_blk_init(m, &m->state->virtio.disk[number], (u8)number, devfn,
		    queues_for(m, VIRTIO_BLK_QUEUES), &facts))
		return config_place_taken(c, node);
	machine_virtio_bells(m, &m->state->virtio.disk[number].virtio);
	return true;
}

/* An address for a card that nobody gives one: always the same for this guest and place. */
static void mac_make(const struct config *c, u8 devfn, u8 mac[MAC_BYTES])
{
	u64 hash = FNV_BASIS;

	for (u32 i = 0; i < START_NAME_SIZE && c->info->name[i]; i++)
		hash = (hash ^ (u8)c->info->name[i]) * FNV_PRIME;
	hash = (hash ^ devfn) * FNV_PRIME;
	for (u32 i = 0; i < MAC_BYTES; i++)
		mac[i] = (u8)(hash >> i * 8);
	mac[0] = (u8)((mac[0] | MAC_LOCAL) & ~MAC_GROUP);
}

/* From the node, else from the server, else made. */
static bool mac_get(const struct config *c, const struct machine *m, int node, u32 number, u8 devfn,
	u8 mac[MAC_BYTES])
{
	static const u8 none[MAC_BYTES];
	const struct backend_net *b = &m->virtio.net[number];
	int length;
	const void *p = fdt_getprop(c->fdt, node, "local-mac-address", &length);

	if (p && length == MAC_BYTES)
		memcpy(mac, p, MAC_BYTES);
	else if (b->connected && memcmp(b->end.server.mac, none, MAC_BYTES) != 0)
		memcpy(mac, b->end.server.mac, MAC_BYTES);
	else
		mac_make(c, devfn, mac);
	return (!p || length == MAC_BYTES) && !(mac[0] & MAC_GROUP) &&
	       memcmp(mac, none, MAC_BYTES) != 0;
}

bool config_net(struct config *c, struct machine *m, int node)
{
	const struct start_resource *r = config_session(c, node, "net");
	u32 number = c->cards;
	u8 mac[MAC_BYTES];
	u8 devfn;

	if (!config_devfn(c, node, &devfn))
		return false;
	if (number == MACHINE_CARDS) {
		config_complain(c, node, "this machine has four network cards at most: left out");
		return true;
	}
	if (!r || !backend_net_open(m, number, r)) {
		config_complain(c, node, "no network is behind it: left out");
		return true;
	}
	c->cards++;
	if (m->resumed)
		return true;
	machine_virtio_await(m, &m->virtio.net[number].connected, m->virtio.net[number].own_bit);
	if (!mac_get(c, m, node, number, devfn, mac)) {
		config_complain(c, node, "its MAC address is not one of a single card");
		return false;
	}
	if (!virtio_net_init(m, &m->state->virtio.card[number], (u8)number, devfn,
		    queues_for(m, VIRTIO_NET_PAIRS), mac))
		return config_place_taken(c, node);
	machine_virtio_bells(m, &m->state->virtio.card[number].virtio);
	backend_net_attach(m, number);
	return true;
}

/* Opens the session of a port, whose node has the `backend`. */
static void open_port(struct config *c, struct machine *m, int node, u32 port)
{
	const struct start_resource *r;

	if (!fdt_getprop(c->fdt, node, "backend", NULL))
		return;
	r = config_session(c, node, "console");
	if (!r || !backend_console_open(m, port, r))
		config_complain(c, node, "no console serves it: its output is dropped");
}

bool config_console(struct config *c, struct machine *m, int node)
{
	char names[VIRTIO_CONSOLE_PORTS][VIRTIO_CONSOLE_NAME] = {{0}};
	bool seen[VIRTIO_CONSOLE_PORTS] = {0};
	u32 ports = 0;
	u32 number;
	int child;
	u8 devfn;

	if (!config_devfn(c, node, &devfn))
		return false;
	if (!m->resumed && m->state->virtio.console.virtio.queues) {
		config_complain(c, node, "this machine has one virtio console at most: left out");
		return true;
	}
	fdt_for_each_subnode(child, c->fdt, node)
	{
		const char *label = config_text(c, child, "label");

		if (!config_cell(c, child, "reg", 0, &number) || number >= VIRTIO_CONSOLE_PORTS ||
			seen[number]) {
			config_complain(c, child, "reg is no port from 0 to 3, or used twice");
			return false;
		}
		seen[number] = true;
		ports = number >= ports ? number + 1 : ports;
		string_copy(names[number], VIRTIO_CONSOLE_NAME, label ? label : "");
		open_port(c, m, child, number);
	}
	if (!ports)
		open_port(c, m, node, 0);
	for (u32 i = 0; i < ports; i++) {
		if (!seen[i]) {
			config_complain(c, node, "its ports are not numbered from 0 on");
			return false;
		}
	}
	if (m->resumed)
		return true;
	if (!virtio_console_init(
		    m, &m->state->virtio.console, devfn, (u8)(ports ? ports : 1), names))
		return config_place_taken(c, node);
	machine_virtio_bells(m, &m->state->virtio.console.virtio);
	return true;
}

bool config_entropy(struct config *c, struct machine *m, int node)
{
	struct random random;
	u8 seed[RANDOM_SEED];
	u8 devfn;

	static_assert(sizeof(c->info->seed) == RANDOM_SEED);
	if (!config_devfn(c, node, &devfn))
		return false;
	if (m->resumed)
		return true;
	if (m->state->virtio.entropy.virtio.queues) {
		config_complain(c, node, "this machine has one entropy device at most: left out");
		return true;
	}
	/* the guest's bytes tell nothing of the seed itself, whoever else uses that */
	random_init(&random, (const u8 *)c->info->seed);
	random_bytes(&random, seed, sizeof(seed));
	if (!virtio_rng_init(m, &m->state->virtio.entropy, devfn, seed))
		return config_place_taken(c, node);
	machine_virtio_bells(m, &m->state->virtio.entropy.virtio);
	return true;
}
