/* See fake_machine.h. */
#include "tests/unit/fake_machine.h"
#include <stdlib.h>

void fake_init(struct machine *m)
{
	*m = (struct machine){.wall = FAKE_WALL, .room = ~0u};
	for (unsigned i = 0; i < MACHINE_TIMER_COUNT; i++)
		m->armed[i] = MACHINE_NEVER;
}

bool fake_due(struct machine *m, enum machine_timer timer)
{
	if (m->armed[timer] > m->now)
		return false;
	m->armed[timer] = MACHINE_NEVER;
	return true;
}

u64 fake_random(u64 *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

unsigned fake_random_size(u64 *seed)
{
	return 1u << (unsigned)(fake_random(seed) >> 33) % 3;
}

u64 machine_now(struct machine *m)
{
	return m->now;
}

u64 machine_wall_clock(struct machine *m)
{
	return m->wall + m->now / DEVICE_NS_PER_SECOND;
}

void machine_arm(struct machine *m, enum machine_timer timer, u64 ns)
{
	if (timer >= MACHINE_TIMER_COUNT)
		abort();
	m->armed[timer] = ns;
}

void machine_line(struct machine *m, u32 line, bool level)
{
	if (line >= FAKE_LINES)
		abort();
	m->rises[line] += level && !m->line[line];
	m->line[line] = level;
}

void machine_message(struct machine *m, u64 address, u32 data)
{
	if (m->messages < FAKE_MESSAGES)
		m->message[m->messages] = (struct fake_message){address, data};
	m->messages++;
}

void machine_intr(struct machine *m, bool level)
{
	if (m->intr == level)
		abort(); /* models call it for changes only */
	m->intr = level;
}

void machine_power_off(struct machine *m)
{
	m->power_offs++;
}

void machine_reset(struct machine *m)
{
	m->resets++;
}

bool machine_console_put(struct machine *m, u8 byte)
{
	if (m->room == 0)
		return false;
	if (m->room != ~0u)
		m->room--;
	m->console[m->console_used++ % FAKE_CONSOLE] = byte;
	return true;
}

void lapic_eoi_broadcast(struct machine *m, struct lapic *source, u8 vector)
{
	(void)source;
	m->eois++;
	m->eoi_vector = vector;
}

void lapic_send(struct machine *m, struct lapic *source, const struct lapic_ipi *ipi)
{
	(void)source;
	m->sent++;
	m->ipi = *ipi;
}

void lapic_got_nmi(struct machine *m, struct lapic *target)
{
	(void)target;
	m->nmis++;
}

void lapic_got_init(struct machine *m, struct lapic *target)
{
	(void)target;
	m->inits++;
}

void lapic_got_startup(struct machine *m, struct lapic *target, u8 page)
{
	(void)target;
	m->startups++;
	m->startup_page = page;
}

void lapic_got_vector(struct machine *m, struct lapic *target)
{
	(void)target;
	m->vectors++;
}

void ioapic_changed(struct machine *m)
{
	m->changes++;
}

void machine_level_end(struct machine *m)
{
	m->level_ends++;
}

void pci_bar_changed(
	struct machine *m, struct pci *s, u8 devfn, unsigned number, u64 old, bool was_mapped)
{
	const struct pci_bar *bar = &s->function[s->index[devfn] - 1].bar[number];

	m->bar_changes++;
	m->bar = (struct fake_bar){devfn, number, old, bar->address, was_mapped, bar->mapped};
}

void pci_written(struct machine *m, struct pci *s, u8 devfn, u32 offset, unsigned size)
{
	(void)s;
	(void)devfn;
	if (offset + size > PCI_CONFIG)
		abort();
	m->config_writes++;
	if (m->config_written)
		m->config_written(m, offset, size);
}

void pci_reading(struct machine *m, struct pci *s, u8 devfn, u32 offset, unsigned size)
{
	(void)s;
	(void)devfn;
	if (offset + size > PCI_CONFIG)
		abort();
	m->config_reads++;
	if (m->config_read)
		m->config_read(m, offset, size);
}

struct gmem *machine_memory(struct machine *m)
{
	return &m->memory;
}

struct pci *machine_pci(struct machine *m)
{
	return m->pci;
}
