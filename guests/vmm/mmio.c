/* LAPIC page, I/O APIC and memory BARs; everything else is empty. */
#include "mmio.h"
#include "lock.h"
#include "guests/vmm/pv/pveoi.h"

static bool lapic_at(const struct vcpu *v, gpa_t gpa)
{
	return ALIGN_DOWN(gpa, PAGE_SIZE) ==
		       ALIGN_DOWN(v->lapic->state->base & (BIT(52) - 1), PAGE_SIZE) &&
	       lapic_in_page_mode(v->lapic);
}

static u32 read_4(struct vcpu *v, gpa_t gpa, unsigned size)
{
	struct machine *m = v->machine;
	u32 value = device_mask(size);

	if (lapic_at(v, gpa)) {
		pveoi_sync(v);
		return lapic_read(m, v->lapic, gpa & (PAGE_SIZE - 1), size);
	}
	machine_lock(v);
	if (gpa - IOAPIC_BASE < IOAPIC_SIZE)
		value = ioapic_read(m, &m->state->ioapic, (u32)(gpa - IOAPIC_BASE), size);
	else if (!machine_virtio_read(m, gpa, size, &value))
		machine_pass_read(m, gpa, size, &value);
	return value;
}

static void write_4(struct vcpu *v, gpa_t gpa, unsigned size, u32 value)
{
	struct machine *m = v->machine;

	if (lapic_at(v, gpa)) {
		pveoi_sync(v);
		lapic_write(m, v->lapic, gpa & (PAGE_SIZE - 1), size, value);
		return;
	}
	machine_lock(v);
	if (gpa - IOAPIC_BASE < IOAPIC_SIZE)
		ioapic_write(m, &m->state->ioapic, (u32)(gpa - IOAPIC_BASE), size, value);
	else if (!machine_virtio_write(m, gpa, size, value))
		machine_pass_write(m, gpa, size, value);
}

u64 mmio_read(struct vcpu *v, gpa_t gpa, unsigned size)
{
	if (size <= 4)
		return read_4(v, gpa, size);
	return read_4(v, gpa, 4) | (u64)read_4(v, gpa + 4, 4) << 32;
}

void mmio_write(struct vcpu *v, gpa_t gpa, unsigned size, u64 value)
{
	if (size <= 4) {
		write_4(v, gpa, size, (u32)value);
		return;
	}
	write_4(v, gpa, 4, (u32)value);
	write_4(v, gpa + 4, 4, (u32)(value >> 32));
}

bool mmio_backed(const struct vcpu *v, gpa_t gpa)
{
	return lapic_at(v, gpa) || gpa - IOAPIC_BASE < IOAPIC_SIZE ||
	       machine_virtio_backed(v->machine, gpa) || machine_pass_backed(v->machine, gpa);
}
