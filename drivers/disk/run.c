/* The main loop of a disk driver: see run.h. */
#include "drivers/disk/run.h"
#include "drivers/disk/config.h"
#include "drivers/lib/loop.h"

#define RESETS_MAX  3u            /* without a request finished between them */
#define WILD_FIRST  0x20000000ull /* bus addresses for wild_dma: from 512 MiB on, where RAM is */
#define WILD_STEP   0x200000ull
#define WILD_PLACES 64u

static const struct disk_driver *driver;
static struct device device;
static struct disk_server server;
static u32 resets;
static u64 done_at_reset;

static struct disk_volume_config config[DISK_VOLUMES_MAX];
static u32 volumes;

static struct gpt gpt;
static enum gpt_state gpt_state;
static bool gpt_looked_for;
static u8 *page; /* for the driver's own reads */
static u64 page_bus;

static const struct start_resource *session[DISK_CLIENTS_MAX];
static struct disk_volume opened[DISK_CLIENTS_MAX];
static u64 damages[DISK_CLIENTS_MAX]; /* that root was told of */

/* The device does not do what it should: it is reset, and what was under way is submitted again. */
static void recover(void)
{
	if (server.done != done_at_reset)
		resets = 0;
	done_at_reset = server.done;
	if (++resets > RESETS_MAX) {
		device_log(&device, "%u resets did not help: given up", RESETS_MAX);
		device_fail(&device);
	}
	device_log(&device, "it is reset; %u requests are sent again", server.busy);
	if (!driver->reset())
		device_fail(&device);
	disk_server_again(&server, tsc_now());
	driver->kick();
}

/* Waits for an event, or until the oldest request is too old; then the device is reset. */
static u64 wait(void)
{
	cycles_t timeout = tsc_from_us(device.info->tsc_hz, driver->timeout_us);
	u64 us = driver->due ? driver->due() : ~0ull;
	cycles_t due = us == ~0ull ? TIME_NEVER : tsc_now() + tsc_from_us(device.info->tsc_hz, us);
	cycles_t deadline = TIME_NEVER;
	u64 since;
	u64 bits;

	if (disk_server_oldest(&server, &since))
		deadline = since + timeout;
	bits = loop_wait(us == 0 ? 0 : due < deadline ? due : deadline);
	if (bits == 0 && tsc_now() >= deadline) {
		/* what it has finished, but not told of, counts */
		if (!driver->poll(&server, 0) ||
			(disk_server_oldest(&server, &since) && tsc_now() >= since + timeout)) {
			device_log(&device, "a request was not answered in %lu s",
				driver->timeout_us / 1000000);
			recover();
		}
		return 0;
	}
	return bits;
}

/* --- the partition table --- */

/* Waits until nothing is under way. */
static void finish(void)
{
	u64 bits = 0;

	driver->kick();
	for (;;) {
		if (!driver->poll(&server, bits))
			recover();
		if (server.busy == 0)
			return;
		bits = wait();
	}
}

/* Reads sectors of the disk to where `bus` says. */
static bool read_to(u64 bus, u64 sector, u32 sectors)
{
	struct disk_request r = {.op = BLOCK_READ,
		.pieces = 1,
		.sector = sector,
		.sectors = sectors,
		.piece = {{.bus = bus, .length = sectors * BLOCK_SECTOR}}};

	disk_server_own(&server, &r, tsc_now());
	finish();
	return server.own == BLOCK_OK;
}

static bool read_page(u64 sector, u32 sectors)
{
	return read_to(page_bus, sector, sectors);
}

static bool read_blocks(const struct gpt_disk *disk, u64 at, u32 count, void *to)
{
	u32 block = disk->block_size / BLOCK_SECTOR;
	u32 most = PAGE_SIZE / BLOCK_SECTOR;
	u64 sector = at * block;
	u32 left = count * block;

	if (most > server.geometry.max_sectors)
		most = server.geometry.max_sectors;
	most -= most % block;
	while (left > 0) {
		u32 n = left < most ? left : most;

		if (!read_page(sector, n))
			return false;
		memcpy(to, page, n * BLOCK_SECTOR);
		to = (u8 *)to + n * BLOCK_SECTOR;
		sector += n;
		left -= n;
	}
	return true;
}

static void read_table(void)
{
	static const char *const text[] = {
		[GPT_NONE] = "it has no GUID partition table that can be used",
		[GPT_FIRST] = "its second GUID partition table is damaged: the first is used",
		[GPT_SECOND] = "its first GUID partition table is damaged: the second is used",
		[GPT_DIFFER] = "its two GUID partition tables differ: the first is used",
	};
	struct gpt_disk disk = {
		.blocks = server.geometry.sectors / (server.geometry.block_size / BLOCK_SECTOR),
		.block_size = server.geometry.block_size,
		.read = read_blocks,
	};

	gpt_looked_for = true;
	page = device_alloc(&device, PAGE_SIZE, PAGE_SIZE, &page_bus);
	if (page && (!server.geometry.bus_top || page_bus < server.geometry.bus_top))
		gpt_state = gpt_read(&gpt, &disk);
	if (gpt_state != GPT_BOTH)
		device_log(&device, "%s", text[gpt_state]);
}

static bool find_partition(const struct disk_volume_config *c, struct disk_volume *v)
{
	struct gpt_wanted wanted = {.name = c->kind == DISK_GPT_NAME ? c->gpt_name : NULL};
	u32 block = server.geometry.block_size / BLOCK_SECTOR;
	u64 first;
	u64 last;
	u32 found;

	if (!gpt_looked_for)
		read_table();
	if (gpt_state == GPT_NONE)
		return false;
	memcpy(wanted.guid, c->guid, sizeof(wanted.guid));
	found = gpt_find(&gpt, &wanted, &first, &last);
	if (found != 1) {
		device_log(&device, "%s: %s partition has that name or GUID", c->name,
			found ? "more than one" : "no");
		return false;
	}
	v->first = first * block;
	v->sectors = (last - first + 1) * block;
	return true;
}

/* --- volumes and sessions --- */

static bool find_range(const struct disk_volume_config *c, struct disk_volume *v)
{
	const struct disk_geometry *g = &server.geometry;

	if (c->size == 0 || (c->start | c->size) % g->block_size) {
		device_log(&device, "%s: its range is no whole number of blocks of %u", c->name,
			g->block_size);
		return false;
	}
	v->first = c->start / BLOCK_SECTOR;
	v->sectors = c->size / BLOCK_SECTOR;
	if (v->first > g->sectors || v->sectors > g->sectors - v->first) {
		device_log(
			&device, "%s: it ends beyond the disk's %lu KiB", c->name, g->sectors >> 1);
		return false;
	}
	return true;
}

/* Nobody may write what another client sees as its own; root cannot know of partitions. */
static bool is_free(const struct disk_volume *v)
{
	for (u32 i = 0; i < server.clients; i++) {
		const struct disk_volume *o = &opened[i];

		if ((!v->read_only || !o->read_only) && v->first < o->first + o->sectors &&
			o->first < v->first + v->sectors) {
			device_log(&device, "%s: it overlaps %s, and not both are read-only",
				v->name, o->name);
			return false;
		}
	}
	return true;
}

/* The next part, from the n-th START_GUEST on, of the RAM of that session's guest. */
static const struct start_resource *guest_part(const struct start_resource *of, u32 *n)
{
	const struct start_resource *r;

	while ((r = start_find(device.info, START_GUEST, *n)) != NULL &&
		strcmp(r->name, of->name) != 0)
		(*n)++;
	return r;
}

/* Attaches what root gives of the RAM of the client's guest: all of it or nothing, for the client
 * gives any. */
static void open_guest(const struct start_resource *of, struct block_memory *guest)
{
	const struct start_resource *r;
	u64 top = server.geometry.bus_top;
	u64 sum = 0;
	bool good = true;

	guest->parts = 0;
	for (u32 i = 0; good && (r = guest_part(of, &i)) != NULL; i++) {
		struct block_part *part = &guest->part[guest->parts];

		good = guest->parts < BLOCK_PARTS && device_guest(&device, r, &part->bus);
		if (!good)
			break;
		part->gpa = r->value;
		part->size = r->size;
		guest->parts++;
		sum += r->size;
		good = !top || part->bus + r->size <= top;
		if (!good)
			device_log(
				&device, "the memory of %s lies where it does not reach", of->name);
	}
	for (u32 i = 0, n = 0; !good && n < guest->parts && (r = guest_part(of, &i)) != NULL; i++)
		device_guest_end(&device, r, guest->part[n++].bus);
	if (!good) {
		guest->parts = 0;
		device_log(&device, "%s: its data are copied", of->name);
	}
	if (guest->parts > 0)
		device_log(&device, "%s: zero-copy: it reaches the guest's %lu KiB of memory",
			of->name, sum >> 10);
}

static void open_session(const struct start_resource *r)
{
	const struct disk_volume_config *c = NULL;
	static struct block_memory guest;
	struct disk_volume v;
	u64 bus;

	for (u32 i = 0; i < volumes && !c; i++) {
		if (r->phandle != 0 && config[i].phandle == r->phandle)
			c = &config[i];
	}
	if (!c) {
		device_log(&device, "%s: asks for a volume that is not here", r->name);
		return;
	}
	v = (struct disk_volume){.read_only = c->read_only, .name = c->name};
	if (server.clients == DISK_CLIENTS_MAX ||
		!(c->kind == DISK_FIXED ? find_range(c, &v) : find_partition(c, &v)) ||
		!is_free(&v) ||
		!device_session(
			&device, r, BLOCK_DATA, ALIGN_DOWN(r->size - BLOCK_DATA, PAGE_SIZE), &bus))
		return;
	if (server.geometry.bus_top && bus + r->size > server.geometry.bus_top) {
		device_log(
			&device, "%s: its session lies where the device does not reach", r->name);
		return;
	}
	session[server.clients] = r;
	opened[server.clients] = v;
	open_guest(r, &guest);
	disk_server_add(
		&server, (void *)r->address, ALIGN_DOWN(r->size, PAGE_SIZE), bus, &guest, &v);
	device_log(&device, "%s: %lu KiB from %lu KiB on%s, for %s", v.name, v.sectors >> 1,
		v.first >> 1, v.read_only ? ", read-only" : "", r->name);
}

static void open_sessions(const struct start_info *info)
{
	const struct start_resource *r;

	for (u32 i = 0; (r = start_find(info, START_SESSION, i)) != NULL; i++) {
		if (r->role == START_SERVER && strcmp(r->protocol, "block") == 0 &&
			r->size >= BLOCK_DATA + PAGE_SIZE)
			open_session(r);
	}
}

/* Tells the client what its turn asked for. A client that is away looks when it comes back. */
static void tell(u32 i)
{
	struct disk_client *c = &server.client[i];

	if (c->damages != damages[i]) {
		damages[i] = c->damages;
		loop_peer_broken(session[i]->cap);
	}
	if (!c->signal)
		return;
	c->signal = false;
	sys_event_signal(session[i]->cap, session[i]->value);
}

static void read_config(const struct start_info *info, struct disk_geometry *g)
{
	const struct start_resource *r = start_find(info, START_CONFIG, 0);
	u32 phandle = device.function->phandle;

	if (!r)
		return;
	volumes = disk_config_read((const void *)r->address, r->size, phandle, config);
	if (driver->unit)
		g->unit = disk_config_number(
			(const void *)r->address, r->size, phandle, driver->unit, DISK_UNIT_FIRST);
}

/* A fault to order: the device is told to write where the driver has no memory. Nobody's data on
 * the disk are touched. */
static void wild_dma(u32 number)
{
	u64 bus = WILD_FIRST + number % WILD_PLACES * WILD_STEP;
	bool done;

	finish();
	done = read_to(bus, 0, server.geometry.block_size / BLOCK_SECTOR);
	/* A disk may not notice, or not say, that an IOMMU refused what it wrote. */
	device_log(&device, "told to write to bus address %#lx, it says that it %s", bus,
		done ? "did" : "failed");
}

int disk_run(struct start_info *info, const struct disk_driver *of)
{
	static const struct loop_faults faults = {.wild_dma = wild_dma};
	struct disk_geometry g = {.unit = DISK_UNIT_FIRST};
	u64 bits = 0;

	driver = of;
	if (!device_open(&device, info, 0))
		return 1;
	read_config(info, &g);
	if (!driver->open(&device, &g))
		device_fail(&device);
	if (!disk_geometry_ok(&g)) {
		device_log(&device, "what it says of itself makes no sense");
		device_fail(&device);
	}
	device_log(&device, "a disk of %lu KiB, blocks of %u%s", g.sectors >> 1, g.block_size,
		g.features & BLOCK_READ_ONLY ? ", read-only" : "");
	disk_server_init(&server, &g, driver->submit, driver->room);
	open_sessions(info);
	if (server.clients == 0 && !(driver->serves_others && driver->serves_others())) {
		device_log(&device, "no volume that anybody uses: nothing to do");
		device_stop(&device);
		return 0;
	}
	loop_open(info, &faults);
	loop_watch_device(&server.done, driver->progress);
	for (;;) {
		bool again;

		if (!driver->poll(&server, bits))
			recover();
		again = disk_server_round(&server, tsc_now());
		driver->kick();
		for (u32 i = 0; i < server.clients; i++)
			tell(i);
		bits = again ? loop_wait(0) : wait();
	}
}
