/* Configuration space of bus 0 and the ports that lead to it: see pci.h. */
#include "guests/vmm/dev/pci.h"

#define BYTE           8
#define ADDRESS_BUS    0x00ff0000u
#define ADDRESS_SHIFT  8 /* device and function */
#define REGISTER_MASK  0xfcu
#define PORTS_IN_DWORD 4u
#define ALL_ONES       0xffffffffu
#define DWORD          4u
#define FUNCTION_MASK  7u /* of devfn */

struct pci_function *pci_find(struct pci *s, u8 devfn)
{
	u8 index = s->index[devfn];

	return index && index <= PCI_FUNCTIONS ? &s->function[index - 1] : NULL;
}

static u32 get(const u8 *bytes, u32 offset, unsigned size)
{
	u32 value = 0;

	for (unsigned i = 0; i < size && offset + i < PCI_CONFIG; i++)
		value |= (u32)bytes[offset + i] << i * BYTE;
	return value;
}

static void put(u8 *bytes, u32 offset, unsigned size, u32 value)
{
	for (unsigned i = 0; i < size && offset + i < PCI_CONFIG; i++)
		bytes[offset + i] = (u8)(value >> i * BYTE);
}

u32 pci_get(const struct pci_function *f, u8 offset, unsigned size)
{
	return get(f->config, offset, size);
}

void pci_put(struct pci_function *f, u8 offset, unsigned size, u32 value)
{
	put(f->config, offset, size, value);
}

void pci_set(struct pci_function *f, u8 offset, unsigned size, u32 value, u32 writable)
{
	put(f->config, offset, size, value);
	put(f->initial, offset, size, value);
	put(f->writable, offset, size, writable);
}

bool pci_is_master(const struct pci_function *f)
{
	return pci_get(f, PCI_COMMAND, 2) & PCI_CMD_MASTER;
}

/* Function 0 of a device that has others says so, or software would not look for them. */
static void set_multi(struct pci *s, u8 devfn)
{
	u8 first = devfn & (u8)~FUNCTION_MASK;
	struct pci_function *f = pci_find(s, first);

	for (u8 i = 1; f && i <= FUNCTION_MASK; i++) {
		if (pci_find(s, first | i))
			pci_set(f, PCI_HEADER_TYPE, 1, PCI_HEADER_MULTI, 0);
	}
}

struct pci_function *pci_add(struct pci *s, u8 devfn, const struct pci_identity *id)
{
	struct pci_function *f;

	if (s->index[devfn] || s->functions >= PCI_FUNCTIONS)
		return NULL;
	f = &s->function[s->functions++];
	s->index[devfn] = s->functions;
	*f = (struct pci_function){
		.present = 1, .devfn = devfn, .capability_end = PCI_FIRST_CAPABILITY};
	pci_set(f, PCI_VENDOR_ID, 2, id->vendor, 0);
	pci_set(f, PCI_DEVICE_ID, 2, id->device, 0);
	pci_set(f, PCI_COMMAND, 2, 0, PCI_CMD_WRITABLE);
	pci_set(f, PCI_REVISION, 4, id->class_code << BYTE | id->revision, 0);
	pci_set(f, PCI_CACHE_LINE, 1, 0, 0xff);
	pci_set(f, PCI_LATENCY, 1, 0, 0xff);
	pci_set(f, PCI_SUBSYSTEM_VENDOR, 2, id->subsystem_vendor, 0);
	pci_set(f, PCI_SUBSYSTEM_ID, 2, id->subsystem, 0);
	pci_set(f, PCI_INTERRUPT_LINE, 1, 0, id->interrupt_pin ? 0xff : 0);
	pci_set(f, PCI_INTERRUPT_PIN, 1, id->interrupt_pin, 0);
	put(f->write_clear, PCI_STATUS, 2, PCI_STS_WRITE_CLEAR);
	set_multi(s, devfn);
	return f;
}

static bool bar_size_allowed(u64 size, u8 flags)
{
	if (size == 0 || size & (size - 1))
		return false;
	if (flags & PCI_BAR_IO)
		return size >= DWORD && size <= PCI_BAR_IO_LIMIT;
	return size >= PCI_BAR_MEMORY_MIN &&
	       size <= (flags & PCI_BAR_64 ? PCI_BAR_64_LIMIT : PCI_BAR_MEMORY_LIMIT);
}

bool pci_set_bar(struct pci_function *f, unsigned number, u64 size, u8 flags)
{
	bool wide = flags & PCI_BAR_64 && !(flags & PCI_BAR_IO);
	u64 writable = ~(size - 1);
	u8 offset;

	if (number + wide >= PCI_BARS || !bar_size_allowed(size, flags))
		return false;
	offset = (u8)(PCI_BAR0 + number * DWORD);
	pci_set(f, offset, DWORD, flags, (u32)writable);
	if (wide)
		pci_set(f, (u8)(offset + DWORD), DWORD, 0, (u32)(writable >> 32));
	f->bar[number] = (struct pci_bar){.size = size, .flags = flags};
	return true;
}

bool pci_set_rom(struct pci_function *f, u64 size)
{
	if (size < PCI_ROM_MIN || size > PCI_ROM_LIMIT || size & (size - 1))
		return false;
	pci_set(f, PCI_ROM, DWORD, 0, ~((u32)size - 1) | PCI_ROM_ENABLE);
	f->bar[PCI_ROM_BAR] = (struct pci_bar){.size = size};
	return true;
}

u8 pci_add_capability(struct pci_function *f, u8 id, u8 size)
{
	u32 start = f->capability_end;
	u8 pointer =
		f->capability_last ? f->capability_last + PCI_CAPABILITY_NEXT : PCI_CAPABILITIES;

	if (size < DWORD || size > PCI_CAPABILITY_MAX || start + size > PCI_CONFIG)
		return 0;
	pci_set(f, pointer, 1, start, 0);
	pci_set(f, (u8)start, 1, id, 0);
	pci_set(f, PCI_STATUS, 1, pci_get(f, PCI_STATUS, 1) | PCI_STS_CAPABILITIES, 0);
	f->capability_last = (u8)start;
	start = (u32)ALIGN_UP(start + size, DWORD);
	f->capability_end = (u8)(start < PCI_CONFIG ? start : PCI_CONFIG - 1);
	return f->capability_last;
}

u32 pci_bar_register(unsigned number)
{
	return number == PCI_ROM_BAR ? PCI_ROM : PCI_BAR0 + number * DWORD;
}

/* Where the registers say that a BAR is; false if it does not decode there. */
static bool bar_address(const struct pci_function *f, unsigned number, u64 *address)
{
	const struct pci_bar *bar = &f->bar[number];
	u32 offset = pci_bar_register(number);
	u32 command = get(f->config, PCI_COMMAND, 2);
	u32 low = get(f->config, offset, DWORD);
	u64 last;

	if (bar->flags & PCI_BAR_IO) {
		*address = low & ~PCI_BAR_IO_FLAGS;
		last = *address + bar->size - 1;
		return command & PCI_CMD_IO && *address && last < UINT16_MAX;
	}
	if (number == PCI_ROM_BAR && !(low & PCI_ROM_ENABLE))
		command &= ~PCI_CMD_MEMORY;
	*address = low & ~PCI_BAR_MEMORY_FLAGS;
	if (bar->flags & PCI_BAR_64)
		*address |= (u64)get(f->config, offset + DWORD, DWORD) << 32;
	last = *address + bar->size - 1;
	/* A BAR that is being sized, also by halves, ends at the end of the space. */
	return command & PCI_CMD_MEMORY && *address && last > *address && last != UINT32_MAX &&
	       last != UINT64_MAX;
}

/* Tells the machine of every BAR whose place changed. */
static void update_bars(struct machine *m, struct pci *s, struct pci_function *f)
{
	for (unsigned i = 0; i < PCI_REGIONS; i++) {
		struct pci_bar *bar = &f->bar[i];
		u64 old = bar->address;
		bool was = bar->mapped;
		u64 address;
		bool mapped;

		if (bar->size == 0)
			continue;
		mapped = bar_address(f, i, &address);
		if (mapped == was && (!mapped || address == old))
			continue;
		bar->mapped = mapped;
		bar->address = address;
		pci_bar_changed(m, s, f->devfn, i, old, was);
	}
}

u32 pci_config_read(struct machine *m, struct pci *s, u8 devfn, u32 offset, unsigned size)
{
	const struct pci_function *f = pci_find(s, devfn);

	if (!f || offset >= PCI_CONFIG || offset + size > PCI_CONFIG)
		return ALL_ONES & device_mask(size);
	pci_reading(m, s, devfn, offset, size);
	return get(f->config, offset, size);
}

static bool touches(u32 offset, unsigned size, u32 start, u32 length)
{
	return offset < start + length && offset + size > start;
}

void pci_config_write(
	struct machine *m, struct pci *s, u8 devfn, u32 offset, unsigned size, u32 value)
{
	struct pci_function *f = pci_find(s, devfn);

	if (!f || offset >= PCI_CONFIG || offset + size > PCI_CONFIG)
		return;
	for (unsigned i = 0; i < size; i++) {
		u8 *byte = &f->config[offset + i];
		u8 mask = f->writable[offset + i];
		u8 written = (u8)(value >> i * BYTE);

		*byte = (u8)((*byte & ~mask) | (written & mask));
		*byte &= (u8) ~(written & f->write_clear[offset + i]);
	}
	if (touches(offset, size, PCI_COMMAND, 2) ||
		touches(offset, size, PCI_BAR0, PCI_BARS * DWORD) ||
		touches(offset, size, PCI_ROM, DWORD))
		update_bars(m, s, f);
	if (touches(offset, size, PCI_COMMAND, 2) ||
		(devfn == PCI_DEVFN_ISA && touches(offset, size, PCI_PIRQ, PCI_PIRQS)))
		pci_update_lines(m, s);
	pci_written(m, s, devfn, offset, size);
}

/* Returns whether the address register selects configuration space of bus 0. */
static bool is_selected(const struct pci *s, u8 *devfn)
{
	*devfn = (u8)(s->address >> ADDRESS_SHIFT);
	return s->address & PCI_ADDRESS_ENABLE && !(s->address & ADDRESS_BUS);
}

static bool is_data(u16 port, unsigned size)
{
	return port >= PCI_DATA && port - PCI_DATA + size <= PORTS_IN_DWORD;
}

u32 pci_read(struct machine *m, struct pci *s, u16 port, unsigned size)
{
	u8 devfn;

	if (port == PCI_ADDRESS && size == DWORD)
		return s->address;
	if (port == PCI_RESET_CONTROL && size == 1)
		return s->reset_control;
	if (!is_data(port, size) || !is_selected(s, &devfn))
		return ALL_ONES & device_mask(size);
	return pci_config_read(
		m, s, devfn, (s->address & REGISTER_MASK) + (u32)(port - PCI_DATA), size);
}

static void write_reset_control(struct machine *m, struct pci *s, u8 value)
{
	s->reset_control = value & PCI_RESET_WRITABLE;
	if (value & PCI_RESET_CPU)
		machine_reset(m);
}

void pci_write(struct machine *m, struct pci *s, u16 port, unsigned size, u32 value)
{
	u8 devfn;

	if (port == PCI_ADDRESS && size == DWORD)
		s->address = value & PCI_ADDRESS_WRITABLE;
	else if (port == PCI_RESET_CONTROL && size == 1)
		write_reset_control(m, s, (u8)value);
	else if (is_data(port, size) && is_selected(s, &devfn))
		pci_config_write(m, s, devfn, (s->address & REGISTER_MASK) + (u32)(port - PCI_DATA),
			size, value);
}

void pci_function_reset(struct machine *m, struct pci *s, struct pci_function *f)
{
	for (unsigned j = 0; j < PCI_CONFIG; j++)
		f->config[j] = f->initial[j];
	f->intx = 0;
	update_bars(m, s, f);
	pci_update_lines(m, s);
}

void pci_reset(struct machine *m, struct pci *s)
{
	s->address = 0;
	s->reset_control = 0;
	for (unsigned i = 0; i < s->functions && i < PCI_FUNCTIONS; i++)
		pci_function_reset(m, s, &s->function[i]);
	pci_update_lines(m, s);
}
