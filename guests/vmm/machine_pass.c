/* Functions of the machine's own in the guest's: see machine_pass.h. */
#include "machine_pass.h"
#include "host.h"
#include "machine.h"

/* The guest's interrupt controllers: never a device's. */
#define APICS_FIRST 0xfec00000ull
#define APICS_END   0x100000000ull

/* By number; NULL: it is not there. */
static struct pass *function(struct machine *m, u32 number)
{
	struct pass *p = &m->state->pass[number];

	return p->present ? p : NULL;
}

static struct pass *function_of(struct machine *m, u8 devfn, u32 *number)
{
	for (*number = 0; *number < MACHINE_FUNCTIONS; (*number)++) {
		struct pass *p = function(m, *number);

		if (p && p->devfn == devfn)
			return p;
	}
	return NULL;
}

void machine_pass_bits(struct machine *m, u32 number, u64 line)
{
	const struct pass *p = &m->state->pass[number];

	for (u32 i = 0; i < p->vectors && i < PASS_VECTORS; i++) {
		m->pass.bit[number][i] = (u8)(START_BIT_OWN + m->pass.bits++ % PASS_BITS);
		m->wake_mask |= BIT(m->pass.bit[number][i]);
	}
	m->pass.line[number] = line;
	m->wake_mask |= line;
}

/* --- ports --- */

/* The register whose ports `port` is one of. */
static struct pass_place *place_of_port(struct machine *m, u16 port, u32 *number, u32 *bar)
{
	for (u32 i = 0; i < MACHINE_FUNCTIONS * PCI_REGIONS; i++) {
		struct pass_place *place;

		*number = i / PCI_REGIONS;
		*bar = i % PCI_REGIONS;
		place = &m->pass.place[*number][*bar];
		if (place->ports && port - place->base < place->size)
			return place;
	}
	return NULL;
}

static u32 port_pass_read(struct machine *m, u16 port, unsigned size)
{
	u32 number, bar;
	const struct pass_place *place = place_of_port(m, port, &number, &bar);

	if (!place || size > place->size - (port - place->base))
		return device_mask(size);
	return pass_read(m, &m->state->pass[number], bar, port - place->base, size);
}

static void port_pass_write(struct machine *m, u16 port, unsigned size, u32 value)
{
	u32 number, bar;
	const struct pass_place *place = place_of_port(m, port, &number, &bar);

	if (place && size <= place->size - (port - place->base))
		pass_write(m, &m->state->pass[number], &m->state->pci, bar, port - place->base,
			size, value);
}

/* --- where registers decode --- */

static void unbind(struct machine *m, const struct pass *p, u32 bar)
{
	struct pass_place *place = &m->pass.place[p->number][bar];
	u64 start = 0, end;

	if (place->base && place->ports)
		port_remove(&m->ports, (u16)place->base);
	for (u32 i = 0; place->mapped >> i && pass_direct(p, bar, place->size, &start, &end); i++) {
		if (place->mapped & BIT(i))
			host_unmap_registers(m, place->base + start);
		start = end;
	}
	*place = (struct pass_place){0};
}

/* A part that cannot be mapped, such as one that the guest puts over its memory, stays trapped. */
static void bind_memory(struct machine *m, const struct pass *p, u32 bar)
{
	struct pass_place *place = &m->pass.place[p->number][bar];
	u64 last = place->base + place->size - 1;
	u64 start = 0, end;

	if (place->base < APICS_END && last >= APICS_FIRST)
		return;
	for (u32 i = 0; pass_direct(p, bar, place->size, &start, &end); i++) {
		if (host_map_registers(m, p->number, bar, place->base + start, start, end - start))
			place->mapped |= BIT(i);
		else
			log_line("the guest's place for registers of a device, at %#llx, is "
				 "taken: "
				 "each access exits",
				(unsigned long long)place->base + start);
		start = end;
	}
}

static void bind(struct machine *m, const struct pass *p, u32 bar, const struct pci_bar *b)
{
	struct pass_place *place = &m->pass.place[p->number][bar];

	*place = (struct pass_place){.base = b->address, .size = b->size};
	if (!(b->flags & PCI_BAR_IO)) {
		bind_memory(m, p, bar);
		return;
	}
	place->ports = port_add(&m->ports, &(struct port_range){(u16)b->address, (u16)b->size,
						   port_pass_read, port_pass_write});
	if (!place->ports)
		log_line("the guest put ports of a device over others, at %x", (u32)b->address);
}

void machine_pass_bar(struct machine *m, u8 devfn, unsigned bar)
{
	const struct pci_function *f = pci_find(&m->state->pci, devfn);
	u32 number;
	const struct pass *p = function_of(m, devfn, &number);

	if (!p || !f)
		return;
	unbind(m, p, bar);
	if (f->bar[bar].mapped)
		bind(m, p, bar, &f->bar[bar]);
}

void machine_pass_written(struct machine *m, u8 devfn, u32 offset, unsigned size)
{
	u32 number;
	struct pass *p = function_of(m, devfn, &number);

	if (p)
		pass_written(m, p, &m->state->pci, offset, size);
}

/* --- memory that exits --- */

static struct pass *function_at(struct machine *m, gpa_t gpa, unsigned size, u32 *bar, u64 *offset)
{
	for (u32 i = 0; i < MACHINE_FUNCTIONS; i++) {
		struct pass *p = function(m, i);

		for (*bar = 0; p && *bar < PCI_REGIONS; (*bar)++) {
			const struct pass_place *place = &m->pass.place[i][*bar];

			*offset = gpa - place->base;
			if (place->base && !place->ports && *offset < place->size &&
				size <= place->size - *offset)
				return p;
		}
	}
	return NULL;
}

bool machine_pass_read(struct machine *m, gpa_t gpa, unsigned size, u32 *value)
{
	u32 bar;
	u64 offset;
	struct pass *p = function_at(m, gpa, size, &bar, &offset);

	if (p)
		*value = pass_read(m, p, bar, offset, size);
	return p != NULL;
}

bool machine_pass_write(struct machine *m, gpa_t gpa, unsigned size, u32 value)
{
	u32 bar;
	u64 offset;
	struct pass *p = function_at(m, gpa, size, &bar, &offset);

	if (p)
		pass_write(m, p, &m->state->pci, bar, offset, size, value);
	return p != NULL;
}

bool machine_pass_backed(struct machine *m, gpa_t gpa)
{
	u32 bar;
	u64 offset;

	return function_at(m, gpa, 1, &bar, &offset) != NULL;
}

/* --- interrupts --- */

void machine_pass_event(struct machine *m, u64 bits)
{
	for (u32 i = 0; i < MACHINE_FUNCTIONS; i++) {
		struct pass *p = function(m, i);

		for (u32 k = 0; p && k < p->vectors && k < PASS_VECTORS; k++) {
			if (bits & BIT(m->pass.bit[i][k]) && p->wanted & BIT(k))
				pass_message(m, p, &m->state->pci, k);
		}
		if (p && bits & m->pass.line[i])
			pass_line(m, p, &m->state->pci);
	}
}

void machine_level_end(struct machine *m)
{
	for (u32 i = 0; i < MACHINE_FUNCTIONS; i++) {
		struct pass *p = function(m, i);

		if (p)
			pass_line_end(m, p, &m->state->pci);
	}
}

void machine_pass_resume(struct machine *m)
{
	for (u32 i = 0; i < MACHINE_FUNCTIONS; i++) {
		struct pass *p = function(m, i);
		const struct pci_function *f = p ? pci_find(&m->state->pci, p->devfn) : NULL;

		if (!f)
			continue;
		for (u32 bar = 0; bar < PCI_REGIONS; bar++) {
			if (f->bar[bar].mapped)
				bind(m, p, bar, &f->bar[bar]);
		}
		pass_resume(m, p, &m->state->pci);
	}
}
