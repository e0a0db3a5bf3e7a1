/* A function of the machine's own as the guest sees it: see pass.h. */
#include "guests/vmm/dev/pass.h"

#define DWORD 4u

#define CAP_POWER       0x01 /* IDs */
#define CAP_MSI         0x05
#define CAP_EXPRESS     0x10
#define POWER_BYTES     8
#define POWER_PMC       2
#define POWER_VERSION   0x7u
#define POWER_PMCSR     4
#define POWER_STATE     0x3u
#define POWER_KEEPS     0x8u /* No_Soft_Reset: nothing happens to it in D3 */
#define MSI_BYTES       14   /* with 64-bit address */
#define MSI_CONTROL     2
#define MSI_ON          0x1u
#define MSI_WIDE        0x80u
#define MSI_LOW         4
#define MSI_HIGH        8
#define MSI_DATA        12
#define ADDRESS_LOW     0xfffffffcu
#define EXPRESS_BYTES   0x3c
#define EXPRESS_FLAGS   2
#define EXPRESS_V2      0x2u
#define EXPRESS_INSIDE  0x90u /* root complex integrated endpoint */
#define EXPRESS_DEVCAP  4
#define DEVCAP_PAYLOAD  0x8007u /* largest payload, role-based error reporting */
#define DEVCAP_FLR      BIT(28)
#define EXPRESS_DEVCTL  8
#define DEVCTL_SETTINGS 0x7fffu
#define DEVCTL_FLR      0x8000u
#define PBA_WORD        8u /* bits of a byte of pending bits */

static bool touches(u32 offset, unsigned size, u32 start, u32 length)
{
	return offset < start + length && offset + size > start;
}

/* --- setting up --- */

static bool trap_add(struct pass *p, u32 index, u32 bar, u64 offset, u64 bytes,
	const struct pass_bar bars[PCI_REGIONS])
{
	if (bar >= PCI_BARS || bars[bar].flags & PCI_BAR_IO || offset > bars[bar].size ||
		bytes > bars[bar].size - offset)
		return false;
	p->trap[index] = (struct pass_trap){.bar = bar,
		.start = ALIGN_DOWN(offset, PAGE_SIZE),
		.end = ALIGN_UP(offset + bytes, PAGE_SIZE)};
	return true;
}

static bool add_msix(struct machine *m, struct pass *p, struct pci_function *f, u32 at,
	const struct pass_bar bars[PCI_REGIONS])
{
	u32 table = pass_config(m, p->number, at + MSIX_TABLE, DWORD);
	u32 pba = pass_config(m, p->number, at + MSIX_PBA, DWORD);

	p->entries = (pass_config(m, p->number, at + MSIX_CONTROL, 2) & 0x7ff) + 1;
	p->vectors = p->entries < PASS_VECTORS ? p->entries : PASS_VECTORS;
	p->table = table & ~MSIX_BIR;
	p->table_bar = table & MSIX_BIR;
	p->pba = pba & ~MSIX_BIR;
	p->pba_bar = pba & MSIX_BIR;
	p->msix = msix_add(f, p->vectors, table, pba);
	return p->msix &&
	       trap_add(p, 0, p->table_bar, p->table, (u64)p->entries * MSIX_ENTRY, bars) &&
	       trap_add(p, 1, p->pba_bar, p->pba, ALIGN_UP(p->entries, 64u) / 8, bars);
}

static bool add_msi(struct pass *p, struct pci_function *f)
{
	p->vectors = 1;
	p->msi = pci_add_capability(f, CAP_MSI, MSI_BYTES);
	if (!p->msi)
		return false;
	pci_set(f, p->msi + MSI_CONTROL, 2, MSI_WIDE, MSI_ON);
	pci_set(f, p->msi + MSI_LOW, DWORD, 0, ADDRESS_LOW);
	pci_set(f, p->msi + MSI_HIGH, DWORD, 0, ~0u);
	pci_set(f, p->msi + MSI_DATA, 2, 0, 0xffff);
	return true;
}

static bool add_power(struct machine *m, struct pass *p, struct pci_function *f, u32 from)
{
	u8 at = pci_add_capability(f, CAP_POWER, POWER_BYTES);

	if (!at)
		return false;
	pci_set(f, at + POWER_PMC, 2,
		pass_config(m, p->number, from + POWER_PMC, 2) & POWER_VERSION, 0);
	pci_set(f, at + POWER_PMCSR, 2, POWER_KEEPS, POWER_STATE);
	return true;
}

static bool add_express(struct machine *m, struct pass *p, struct pci_function *f, u32 from)
{
	u32 able = pass_config(m, p->number, from + EXPRESS_DEVCAP, DWORD) & DEVCAP_PAYLOAD;
	u32 control = pass_config(m, p->number, from + EXPRESS_DEVCTL, 2) & DEVCTL_SETTINGS;

	p->express = pci_add_capability(f, CAP_EXPRESS, EXPRESS_BYTES);
	if (!p->express)
		return false;
	if (pass_can_reset(m, p->number))
		able |= (u32)DEVCAP_FLR;
	pci_set(f, p->express + EXPRESS_FLAGS, 2, EXPRESS_V2 | EXPRESS_INSIDE, 0);
	pci_set(f, p->express + EXPRESS_DEVCAP, DWORD, able, 0);
	pci_set(f, p->express + EXPRESS_DEVCTL, 2, control, DEVCTL_SETTINGS | DEVCTL_FLR);
	return true;
}

static bool add_capabilities(struct machine *m, struct pass *p, struct pci_function *f,
	const struct pass_bar bars[PCI_REGIONS])
{
	u32 power = pass_capability(m, p->number, CAP_POWER);
	u32 msix = pass_capability(m, p->number, MSIX_CAPABILITY);
	u32 express = pass_capability(m, p->number, CAP_EXPRESS);
	bool msi = !msix && pass_capability(m, p->number, CAP_MSI); /* the kernel gives one */

	return (!power || add_power(m, p, f, power)) && (!msi || add_msi(p, f)) &&
	       (!express || add_express(m, p, f, express)) &&
	       (!msix || add_msix(m, p, f, msix, bars));
}

static void forget_messages(struct pass *p)
{
	p->pending = 0;
	p->wanted = 0;
	for (u32 i = 0; i < PASS_VECTORS; i++)
		p->vector[i] = (struct msix_vector){.control = MSIX_VECTOR_MASKED};
}

bool pass_init(struct machine *m, struct pass *p, struct pci *bus, u8 number, u8 devfn,
	const struct pass_bar bar[PCI_REGIONS], bool line)
{
	const struct pci_identity identity = {
		.vendor = (u16)pass_config(m, number, PCI_VENDOR_ID, 2),
		.device = (u16)pass_config(m, number, PCI_DEVICE_ID, 2),
		.subsystem_vendor = (u16)pass_config(m, number, PCI_SUBSYSTEM_VENDOR, 2),
		.subsystem = (u16)pass_config(m, number, PCI_SUBSYSTEM_ID, 2),
		.class_code = pass_config(m, number, PCI_REVISION, DWORD) >> 8,
		.revision = (u8)pass_config(m, number, PCI_REVISION, 1),
		.interrupt_pin = line,
	};
	struct pci_function *f = pci_add(bus, devfn, &identity);

	*p = (struct pass){
		.header = device_header(PASS_MAGIC, PASS_VERSION, sizeof(*p)),
		.number = number,
		.devfn = devfn,
	};
	forget_messages(p);
	if (!f)
		return false;
	for (u32 i = 0; i < PCI_BARS; i++) {
		if (bar[i].size && !pci_set_bar(f, i, bar[i].size, bar[i].flags))
			return false;
	}
	if (bar[PCI_ROM_BAR].size && !pci_set_rom(f, bar[PCI_ROM_BAR].size))
		return false;
	p->present = add_capabilities(m, p, f, bar);
	return p->present;
}

/* --- messages --- */

/* Is the function to be able to send message `i`? The first one as soon as the guest has MSI-X on,
 * masked or not: a function may look for it when it is told to start. */
static bool is_on(const struct pass *p, const struct pci_function *f, u32 i)
{
	if (p->msi)
		return pci_get(f, p->msi + MSI_CONTROL, 2) & MSI_ON;
	return pci_get(f, p->msix + MSIX_CONTROL, 2) & MSIX_ENABLE &&
	       (i == 0 || !(p->vector[i].control & MSIX_VECTOR_MASKED));
}

static void send_pending(
	struct machine *m, struct pass *p, const struct pci_function *f, u32 vector)
{
	const struct msix_vector *v = &p->vector[vector];

	if (!(p->pending & BIT(vector)) ||
		!(p->msi ? is_on(p, f, vector) && pci_is_master(f) : msix_sendable(f, p->msix, v)))
		return;
	p->pending &= ~BIT(vector);
	machine_message(m, v->address, v->data);
}

/* After any change of what the guest wants of messages. */
static void update(struct machine *m, struct pass *p, const struct pci_function *f)
{
	for (u32 i = 0; i < p->vectors && i < PASS_VECTORS; i++) {
		if (!(p->wanted & BIT(i)) && is_on(p, f, i)) {
			p->wanted |= BIT(i);
			pass_want(m, p->number, i);
		}
		send_pending(m, p, f, i);
	}
}

void pass_message(struct machine *m, struct pass *p, struct pci *bus, u32 vector)
{
	const struct pci_function *f = pci_find(bus, p->devfn);

	if (!f || vector >= p->vectors || vector >= PASS_VECTORS)
		return;
	p->pending |= BIT(vector);
	send_pending(m, p, f, vector);
}

void pass_line(struct machine *m, struct pass *p, struct pci *bus)
{
	p->raised = 1;
	pci_intx(m, bus, p->devfn, true);
}

void pass_line_end(struct machine *m, struct pass *p, struct pci *bus)
{
	if (!p->raised)
		return;
	p->raised = 0;
	pci_intx(m, bus, p->devfn, false);
	pass_line_done(m, p->number);
}

/* --- configuration space --- */

static void function_reset(
	struct machine *m, struct pass *p, struct pci *bus, struct pci_function *f)
{
	pass_line_end(m, p, bus);
	forget_messages(p);
	p->dma = 0;
	pass_reset(m, p->number);
	pci_function_reset(m, bus, f);
}

void pass_written(struct machine *m, struct pass *p, struct pci *bus, u32 offset, unsigned size)
{
	struct pci_function *f = pci_find(bus, p->devfn);
	u32 control = p->express + EXPRESS_DEVCTL;

	if (!f)
		return;
	if (p->express && touches(offset, size, control, 2)) {
		u32 value = pci_get(f, (u8)control, 2);

		pci_put(f, (u8)control, 2, value & DEVCTL_SETTINGS);
		if (value & DEVCTL_FLR && pass_can_reset(m, p->number)) {
			function_reset(m, p, bus, f);
			return;
		}
	}
	if (touches(offset, size, PCI_COMMAND, 2) && p->dma != pci_is_master(f)) {
		p->dma = pci_is_master(f);
		pass_dma(m, p->number, p->dma);
	}
	if (p->msi) {
		p->vector[0].address = pci_get(f, p->msi + MSI_LOW, DWORD) |
				       (u64)pci_get(f, p->msi + MSI_HIGH, DWORD) << 32;
		p->vector[0].data = pci_get(f, p->msi + MSI_DATA, 2);
	}
	if (p->msix || p->msi)
		update(m, p, f);
}

void pass_resume(struct machine *m, struct pass *p, struct pci *bus)
{
	const struct pci_function *f = pci_find(bus, p->devfn);

	if (!f)
		return;
	pass_dma(m, p->number, p->dma);
	for (u32 i = 0; i < PASS_VECTORS; i++) {
		if (p->wanted & BIT(i))
			pass_want(m, p->number, i);
	}
	p->pending |= p->wanted;
	if (p->msix || p->msi)
		update(m, p, f);
}

/* --- registers --- */

static bool in_table(const struct pass *p, u32 bar, u64 offset, unsigned size)
{
	return p->msix && bar == p->table_bar && offset + size > p->table &&
	       offset < p->table + (u64)p->entries * MSIX_ENTRY;
}

static bool in_pending(const struct pass *p, u32 bar, u64 offset, unsigned size)
{
	return p->msix && bar == p->pba_bar && offset + size > p->pba &&
	       offset < p->pba + ALIGN_UP(p->entries, 64u) / 8;
}

u32 pass_read(struct machine *m, struct pass *p, u32 bar, u64 offset, unsigned size)
{
	if (in_table(p, bar, offset, size))
		return msix_table_read(p->vector, p->vectors, (u32)(offset - p->table), size);
	if (!in_pending(p, bar, offset, size))
		return pass_register_read(m, p->number, bar, offset, size) & device_mask(size);
	if (size != DWORD || (offset != p->pba && offset != p->pba + DWORD))
		return 0;
	return (u32)(p->pending >> (offset - p->pba) * PBA_WORD);
}

void pass_write(struct machine *m, struct pass *p, struct pci *bus, u32 bar, u64 offset,
	unsigned size, u32 value)
{
	const struct pci_function *f = pci_find(bus, p->devfn);

	if (in_table(p, bar, offset, size)) {
		msix_table_write(p->vector, p->vectors, (u32)(offset - p->table), size, value);
		if (f)
			update(m, p, f);
	} else if (bar != PCI_ROM_BAR && !in_pending(p, bar, offset, size)) {
		pass_register_write(m, p->number, bar, offset, size, value & device_mask(size));
	}
}

bool pass_direct(const struct pass *p, u32 bar, u64 size, u64 *start, u64 *end)
{
	u64 at = *start;

	for (u32 i = 0; i < 2 * PASS_TRAPS; i++) { /* one may end where the other begins */
		const struct pass_trap *t = &p->trap[i % PASS_TRAPS];

		if (t->bar == bar && t->end > at && t->start <= at)
			at = t->end;
	}
	if (size < PAGE_SIZE || at >= size)
		return false;
	*start = at;
	*end = size;
	for (u32 i = 0; i < PASS_TRAPS; i++) {
		const struct pass_trap *t = &p->trap[i];

		if (t->bar == bar && t->end && t->start > at && t->start < *end)
			*end = t->start;
	}
	return true;
}
