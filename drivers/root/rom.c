/*
 * Copies of expansion ROMs: see rom.h. The ROM itself is not for a guest: while it decodes, the
 * function's registers may not be accessed, for they may share a decoder (PCI Local Bus
 * Specification 3.0, 6.2.5.2), and a guest finds out neither.
 */
#include "drivers/root/rom.h"
#include "drivers/lib/mmio.h"
#include "drivers/root/bus.h"
#include "drivers/root/member.h"
#include "drivers/root/resources.h"

#define STEP 0x4000u /* bytes that are copied at once: some milliseconds */

enum rom_state {
	ROM_IDLE = 0,    /* the next one is to be asked for */
	ROM_SHOWING = 1, /* the bus domain is to let it decode */
	ROM_COPYING = 2,
	ROM_HIDING = 3,
};

static struct {
	enum rom_state state;
	u32 member, device; /* whose it is, or the next one to look at */
	u32 function;
	u32 asked;   /* how often the bus domain was asked */
	u64 address; /* bus address at which it decodes */
	u64 size;    /* bytes */
	u64 copied;
} now;

static void ask(struct bus_rom *rom, u64 address)
{
	rom->function = now.function;
	rom->address = (u32)address;
	__atomic_store_n(&rom->asked, ++now.asked, __ATOMIC_RELEASE);
	bus_signal();
}

/* The function at `now`, if there is a ROM to copy. */
static const struct bus_function *wanted(const struct bus_table *table)
{
	const struct member *m = &member[now.member];
	const struct device_node *d = &m->node->device[now.device];

	if (m->node->class != NODE_PARTITION || m->holder == CAP_NULL || d->kind != DEVICE_FUNCTION)
		return NULL;
	for (u32 i = 0; i < table->functions; i++) {
		const struct bus_function *f = &table->function[i];

		if (f->function == d->function && f->rom.size)
			return f;
	}
	return NULL;
}

static void next(void)
{
	now.state = ROM_IDLE;
	now.device++;
}

/* Asks for the first ROM from `now` on; false: there is none. */
static bool begin(const struct bus_table *table, struct bus_rom *rom)
{
	for (; now.member < members; now.member++, now.device = 0) {
		struct member *m = &member[now.member];

		for (; now.device < m->node->devices; now.device++) {
			const struct bus_function *f = wanted(table);

			if (!f)
				continue;
			now.address = bus_rom_place(table, boot, f);
			if (!now.address) {
				log_line("%s: the expansion ROM of PCI function %s cannot be read: "
					 "no place of %lu KiB is known to be free on its bus",
					m->node->name, bus_number(&m->node->device[now.device]),
					f->rom.size >> 10);
				continue;
			}
			if (!member_ok(m, memory_new(m->holder, f->rom.size, &m->rom[now.device]),
				    "copy of an expansion ROM"))
				continue;
			now.function = f->function;
			now.size = f->rom.size;
			now.copied = 0;
			now.state = ROM_SHOWING;
			ask(rom, now.address);
			return true;
		}
	}
	return false;
}

/* Maps the next part of the ROM at ROOT_ROM. */
static status_t open_part(cap_t *mem)
{
	struct msg_create_mem *c = message;
	status_t s;

	*c = (struct msg_create_mem){
		.parent = ROOT_CAP_DEVICE,
		.cache = MEM_CACHE_UC,
		.offset = ALIGN_DOWN(now.address + now.copied, PAGE_SIZE),
		.size = STEP,
	};
	s = object_new(KIND_MEM, ROOT_CAP_DOMAIN, mem);
	if (s != STATUS_OK)
		return s;
	s = sys_mem_map(ROOT_CAP_DOMAIN, *mem, ROOT_ROM, 0, STEP, MAP_READ);
	if (s != STATUS_OK)
		object_end(mem);
	return s;
}

/* Copies a part of the ROM; true: it was the last one. */
static bool copy(struct member *m)
{
	struct memory *to = &m->rom[now.device];
	const volatile u32 *from = (const volatile u32 *)(ROOT_ROM + now.address % PAGE_SIZE);
	u64 left = now.size - now.copied;
	cap_t mem = CAP_NULL;
	u32 *at;
	status_t s = open_part(&mem);

	if (!member_ok(m, s, "its expansion ROM")) {
		memory_end(to);
		return true;
	}
	at = memory_open(to);
	for (u32 i = 0; at && i < (left < STEP ? left : STEP) / sizeof(*at); i++)
		at[now.copied / sizeof(*at) + i] = mmio_read32(&from[i]);
	if (at)
		memory_close();
	check(sys_mem_unmap(ROOT_CAP_DOMAIN, ROOT_ROM) == STATUS_OK);
	object_end(&mem);
	now.copied += STEP;
	return now.copied >= now.size;
}

bool rom_run(const struct bus_table *table, struct bus_rom *rom)
{
	if (now.state != ROM_IDLE && __atomic_load_n(&rom->done, __ATOMIC_ACQUIRE) != now.asked)
		return false;
	switch (now.state) {
	case ROM_SHOWING:
		now.state = ROM_COPYING;
		return false;
	case ROM_COPYING:
		if (copy(&member[now.member])) {
			now.state = ROM_HIDING;
			ask(rom, 0);
		}
		return false;
	case ROM_HIDING:
		next();
		break;
	case ROM_IDLE:
		break;
	}
	return !begin(table, rom);
}

cycles_t rom_deadline(void)
{
	return now.state == ROM_COPYING ? tsc_now() : TIME_NEVER;
}

bool rom_add(struct member *m, struct start_info *info, u32 i, u64 size)
{
	const struct memory *rom = &m->rom[i];
	struct start_resource *r;

	if (rom->cap == CAP_NULL)
		return true;
	r = resource_add(m, info, START_REGISTERS);
	if (!r || !resource_map(m, r, rom->cap, rom->base, size, MAP_READ))
		return false;
	r->phandle = m->node->device[i].phandle;
	r->value = BUS_ROM;
	r->bit = BUS_ROM;
	return resource_grant(m, r, rom->cap, RIGHT_READ | RIGHT_EXEC, 0);
}
