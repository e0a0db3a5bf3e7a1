/*
 * The bus domain: finds the PCI functions and tells root of them. What it found is kept, for a
 * second look would size the registers of devices that are in use.
 */
#include "drivers/bus/scan.h"
#include "drivers/lib/loop.h"

#define SEGMENTS 16u

static cap_t pci; /* configuration space */

static u32 read(u32 function, u32 offset, u32 size)
{
	struct syscall_out out;

	if (sys_dev_ctl(pci, DEV_CTL_READ, function, offset, size, 0, &out) != STATUS_OK)
		return ~0u;
	return (u32)out.rdi;
}

static void write(u32 function, u32 offset, u32 size, u32 value)
{
	sys_dev_ctl(pci, DEV_CTL_WRITE, function, offset, size, value, NULL);
}

static const struct start_resource *find_session(const struct start_info *info)
{
	const struct start_resource *r;

	for (u32 i = 0; (r = start_find(info, START_SESSION, i)) != NULL; i++) {
		if (r->role == START_SERVER && strcmp(r->protocol, "bus") == 0)
			return r;
	}
	return NULL;
}

static const struct bus_access access = {read, write};

static void scan(struct bus_table *t)
{
	for (u32 segment = 0; segment < SEGMENTS; segment++)
		bus_scan(t, segment, &access);
	bus_isolate(t, &access);
	bus_route_piix(t, &access);
	if (t->left_out)
		log_line("%u functions are left out: the table has room for %u", t->left_out,
			BUS_FUNCTIONS);
	t->state = BUS_READY;
}

/* Does what root asks for, if there is anything. True: it did. */
static bool show_rom(struct bus_rom *rom)
{
	u32 asked = __atomic_load_n(&rom->asked, __ATOMIC_ACQUIRE);

	if (asked == rom->done)
		return false;
	bus_show_rom(rom->function, rom->address, &access);
	__atomic_store_n(&rom->done, asked, __ATOMIC_RELEASE);
	return true;
}

int main(struct start_info *info)
{
	const struct start_resource *resource = start_find(info, START_PCI, 0);
	const struct start_resource *session = find_session(info);
	const struct start_resource *state = start_find(info, START_STATE, 0);
	struct bus_table *kept;
	struct bus_session *shared;

	if (!resource || !session || !state || state->size < sizeof(*kept)) {
		log_line("no \"access\" to a PCI host bridge: nothing to do");
		return 0;
	}
	pci = resource->cap;
	kept = (struct bus_table *)state->address;
	if (kept->state != BUS_READY)
		scan(kept);
	shared = (struct bus_session *)session->address;
	memcpy(&shared->table, kept, sizeof(*kept));
	log_line("%u functions", kept->functions);
	sys_event_signal(session->cap, session->value);
	loop_open(info, NULL);
	for (;;) {
		if (show_rom(&shared->rom))
			sys_event_signal(session->cap, session->value);
		loop_wait(TIME_NEVER);
	}
}
