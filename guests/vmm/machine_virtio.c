/* virtio devices in the machine: see machine_virtio.h. */
#include "machine_virtio.h"
#include "host.h"
#include "machine.h"

#define AWAIT_US     2000000u
#define AWAIT_ROUNDS 40u
#define DRAIN_US     100000u
#define DRAIN_ROUNDS 20u
#define FIRST_CARD   MACHINE_DISKS
#define CONSOLE      (MACHINE_DISKS + MACHINE_CARDS)
#define ENTROPY      (CONSOLE + 1)
#define BELL_BITS    (VCPU_BIT_FIRST - START_BIT_OWN)
#define BELLS_LEFT   (BELL_BITS - PASS_BITS) /* beside messages of the machine's own functions */

/* Device by index; NULL: it is not there. */
static struct virtio *device(struct machine *m, u32 index)
{
	struct machine_virtio *s = &m->state->virtio;
	struct virtio *d;

	if (index < FIRST_CARD)
		d = &s->disk[index].virtio;
	else if (index < CONSOLE)
		d = &s->card[index - FIRST_CARD].virtio;
	else
		d = index == CONSOLE ? &s->console.virtio : &s->entropy.virtio;
	return d->queues ? d : NULL;
}

static struct virtio *device_of(struct machine *m, u8 devfn, u32 *index)
{
	for (*index = 0; *index < MACHINE_VIRTIO; (*index)++) {
		struct virtio *d = device(m, *index);

		if (d && d->devfn == devfn)
			return d;
	}
	return NULL;
}

struct gmem *machine_memory(struct machine *m)
{
	return &m->memory;
}

struct pci *machine_pci(struct machine *m)
{
	return &m->state->pci;
}

/* --- notify ports --- */

void machine_virtio_bells(struct machine *m, const struct virtio *d)
{
	u32 bits = m->pass.used ? BELLS_LEFT : BELL_BITS;
	u32 index;

	if (device_of(m, d->devfn, &index) != d)
		return;
	for (u32 i = 0; i < d->queues; i++) {
		u32 bit = VCPU_BIT_FIRST - 1 - m->virtio.bells++ % bits;

		m->virtio.bell[index][i] = (u8)bit;
		m->wake_mask |= BIT(bit);
	}
}

static u32 port_notify_read(struct machine *m, u16 port, unsigned size)
{
	(void)m;
	(void)port;
	return device_mask(size);
}

/* A write that has no doorbell, or came before there was one. */
static void port_notify_write(struct machine *m, u16 port, unsigned size, u32 value)
{
	(void)size;
	(void)value;
	for (u32 i = 0; i < MACHINE_VIRTIO; i++) {
		struct virtio *d = device(m, i);

		if (d && m->virtio.ports[i] && (u16)(port - m->virtio.ports[i]) < VIRTIO_IO_SIZE)
			virtio_notify(m, d, (port - m->virtio.ports[i]) / VIRTIO_NOTIFY_STEP);
	}
}

static void ports_bind(struct machine *m, u32 index, const struct virtio *d, u16 base)
{
	if (!port_add(&m->ports, &(struct port_range){base, VIRTIO_IO_SIZE, port_notify_read,
					 port_notify_write})) {
		log_line("the guest put ports of a virtio device over others, at %x", base);
		return;
	}
	m->virtio.ports[index] = base;
	for (u32 i = 0; i < d->queues; i++) {
		/* without a doorbell the write exits, which works as well */
		if (m->virtio.bell[index][i])
			host_doorbell(
				m, (u16)(base + i * VIRTIO_NOTIFY_STEP), m->virtio.bell[index][i]);
	}
}

static void ports_unbind(struct machine *m, u32 index, const struct virtio *d)
{
	u16 base = m->virtio.ports[index];

	if (!base)
		return;
	m->virtio.ports[index] = 0;
	port_remove(&m->ports, base);
	for (u32 i = 0; i < d->queues; i++)
		host_doorbell_remove(m, (u16)(base + i * VIRTIO_NOTIFY_STEP));
}

void machine_virtio_bar(struct machine *m, u8 devfn, unsigned number)
{
	const struct pci_function *f = pci_find(&m->state->pci, devfn);
	u32 index;
	const struct virtio *d = device_of(m, devfn, &index);

	if (!d || !f || number != VIRTIO_BAR_IO)
		return; /* memory BARs are looked up at each access */
	ports_unbind(m, index, d);
	if (f->bar[number].mapped)
		ports_bind(m, index, d, (u16)f->bar[number].address);
}

void machine_virtio_written(struct machine *m, u8 devfn, u32 offset, unsigned size)
{
	u32 index;
	struct virtio *d = device_of(m, devfn, &index);

	if (d)
		virtio_pci_written(m, d, offset, size);
}

void machine_virtio_reading(struct machine *m, u8 devfn, u32 offset, unsigned size)
{
	u32 index;
	struct virtio *d = device_of(m, devfn, &index);

	if (d)
		virtio_pci_reading(m, d, offset, size);
}

/* --- memory BARs --- */

static struct virtio *device_at(struct machine *m, gpa_t gpa, u64 *offset)
{
	for (u32 i = 0; i < MACHINE_VIRTIO; i++) {
		struct virtio *d = device(m, i);
		const struct pci_function *f = d ? pci_find(&m->state->pci, d->devfn) : NULL;
		const struct pci_bar *bar = f ? &f->bar[VIRTIO_BAR_MEMORY] : NULL;

		if (!bar || !bar->mapped)
			continue;
		*offset = gpa - bar->address;
		if (*offset < VIRTIO_MEMORY_SIZE)
			return d;
	}
	return NULL;
}

bool machine_virtio_read(struct machine *m, gpa_t gpa, unsigned size, u32 *value)
{
	u64 offset;
	struct virtio *d = device_at(m, gpa, &offset);

	if (!d)
		return false;
	*value = virtio_memory_read(m, d, offset, size);
	return true;
}

bool machine_virtio_write(struct machine *m, gpa_t gpa, unsigned size, u32 value)
{
	u64 offset;
	struct virtio *d = device_at(m, gpa, &offset);

	if (!d)
		return false;
	virtio_memory_write(m, d, offset, size, value);
	return true;
}

bool machine_virtio_backed(struct machine *m, gpa_t gpa)
{
	u64 offset;

	return device_at(m, gpa, &offset) != NULL;
}

/* --- events --- */

static void backends_event(struct machine *m, u64 bits)
{
	for (u32 i = 0; i < MACHINE_DISKS; i++) {
		if (m->virtio.block[i].used && bits & m->virtio.block[i].own_bit)
			backend_block_event(m, i);
	}
	for (u32 i = 0; i < MACHINE_CARDS; i++) {
		if (m->virtio.net[i].used && bits & m->virtio.net[i].own_bit)
			backend_net_event(m, i);
	}
	for (u32 i = 0; i < VIRTIO_CONSOLE_PORTS; i++) {
		if (bits & m->virtio.console[i].own_bit)
			backend_console_event(m, i);
	}
}

void machine_virtio_event(struct machine *m, u64 bits)
{
	for (u32 i = 0; bits >> START_BIT_OWN && i < MACHINE_VIRTIO; i++) {
		struct virtio *d = device(m, i);

		for (u32 j = 0; d && m->virtio.ports[i] && j < d->queues; j++) {
			if (m->virtio.bell[i][j] && bits & BIT(m->virtio.bell[i][j]))
				virtio_notify(m, d, j);
		}
	}
	backends_event(m, bits);
}

void machine_virtio_timer(struct machine *m)
{
	for (u32 i = 0; i < MACHINE_VIRTIO; i++) {
		struct virtio *d = device(m, i);

		if (d)
			virtio_timer(m, d);
	}
}

void machine_virtio_await(struct machine *m, const bool *connected, u64 bit)
{
	cycles_t deadline = m->clock.start + tsc_from_us(m->clock.hz, AWAIT_US);

	for (u32 i = 0; i < AWAIT_ROUNDS && !*connected && tsc_now() < deadline; i++)
		backends_event(m, host_wait(bit, deadline));
}

void machine_virtio_resume(struct machine *m)
{
	for (u32 i = 0; i < MACHINE_VIRTIO; i++) {
		struct virtio *d = device(m, i);
		const struct pci_function *f = d ? pci_find(&m->state->pci, d->devfn) : NULL;

		if (!f)
			continue;
		machine_virtio_bells(m, d);
		if (f->bar[VIRTIO_BAR_IO].mapped)
			ports_bind(m, i, d, (u16)f->bar[VIRTIO_BAR_IO].address);
		if (i < FIRST_CARD)
			virtio_blk_resume(m, &m->state->virtio.disk[i]);
		virtio_resume(m, d);
	}
	backends_event(m, ~0ull);
}

void machine_virtio_drain(struct machine *m)
{
	u64 bits = 0;

	for (u32 i = 0; i < VIRTIO_CONSOLE_PORTS; i++)
		bits |= m->virtio.console[i].own_bit;
	for (u32 i = 0; bits && i < DRAIN_ROUNDS && backend_console_waiting(m); i++)
		backends_event(
			m, host_wait(bits, tsc_now() + tsc_from_us(m->clock.hz, DRAIN_US)) & bits);
}
