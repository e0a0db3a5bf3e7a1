/* Fuzzes PCI configuration space through the ports, with functions that have BARs of each kind. */
#include "guests/vmm/dev/pci.h"
#include "tests/fuzz/device_fuzz.h"

#define DEVFN_A (4u << 3)
#define DEVFN_B (5u << 3 | 1)

static void init(void *state)
{
	const struct pci_identity a = {0x1af4, 0x1041, 0x1af4, 0x1100, 0x020000, 1, 1};
	const struct pci_identity b = {0x1af4, 0x1042, 0x1af4, 0x1100, 0x010000, 1, 2};
	struct pci *s = state;
	struct pci_function *f;
	u8 at;

	pci_init(s);
	f = pci_add(s, DEVFN_A, &a);
	require(f && pci_set_bar(f, 0, 0x40, PCI_BAR_IO) && pci_set_bar(f, 1, 0x1000, 0) &&
		pci_set_bar(f, 4, 0x4000, PCI_BAR_64 | PCI_BAR_PREFETCH) && pci_set_rom(f, 0x8000));
	at = pci_add_capability(f, 0x11, 12);
	require(at);
	pci_set(f, (u8)(at + 2), 2, 3, 0xc000);
	f = pci_add(s, DEVFN_B, &b);
	require(f && pci_set_bar(f, 0, PCI_BAR_64_LIMIT, PCI_BAR_64) &&
		pci_set_bar(f, 5, PCI_BAR_MEMORY_LIMIT, 0));
}

static void reset(struct machine *m, void *state)
{
	pci_reset(m, state);
}

static u32 read(struct machine *m, void *state, u8 where, unsigned size)
{
	return pci_read(m, state, 0xcf8 + where % 8, size);
}

static void write(struct machine *m, void *state, u8 where, unsigned size, u32 value)
{
	pci_write(m, state, 0xcf8 + where % 8, size, value);
}

static const u8 devfns[] = {0, 1 << 3, 1 << 3 | 3, DEVFN_A, DEVFN_B, 31 << 3};

/* Registers of functions that are there, which chance would rarely find, and interrupt pins. */
static void outside(struct machine *m, void *state, const struct fuzz_op *op)
{
	u8 devfn = devfns[op->shift % ARRAY_SIZE(devfns)];
	unsigned size = 1u << op->size % 3;

	if (op->size & 4)
		pci_intx(m, state, devfn, op->value & 1);
	else if (op->size & 8)
		pci_config_read(m, state, devfn, op->where, size);
	else
		pci_config_write(m, state, devfn, op->where, size, op->value & device_mask(size));
}

static void check_function(const struct pci_function *f)
{
	for (int i = 0; i < PCI_REGIONS; i++) {
		const struct pci_bar *bar = &f->bar[i];
		bool io = bar->flags & PCI_BAR_IO;

		if (!bar->mapped)
			continue;
		require(bar->size && !(bar->address & (bar->size - 1)));
		require(bar->address + bar->size - 1 >= bar->address);
		require(!io || bar->address + bar->size <= 0x10000);
		require(f->config[4] & (io ? PCI_CMD_IO : PCI_CMD_MEMORY));
		require(i != PCI_ROM_BAR || f->config[PCI_ROM] & PCI_ROM_ENABLE);
	}
	/* vendor, device, class, header type and subsystem are read-only */
	require(!memcmp(f->config, f->initial, 4));
	require(!memcmp(f->config + 8, f->initial + 8, 4));
	require(f->config[14] == f->initial[14]);
	require(!memcmp(f->config + 0x2c, f->initial + 0x2c, 4));
	require(f->config[0x34] == f->initial[0x34]);
}

static void check(struct machine *m, void *state)
{
	struct pci *s = state;

	(void)m;
	require(s->functions == 5);
	for (u32 i = 0; i < s->functions; i++)
		check_function(&s->function[i]);
	require(!(s->pirqs >> PCI_PIRQS));
	require(!(pci_routed_lines(s) & ~PCI_PIRQ_ALLOWED));
	require(pci_pm_base(s) % 64 == 0);
}

static const struct fuzz_device device = {sizeof(struct pci), sizeof(struct pci), PCI_MAGIC,
	PCI_VERSION, -1, init, reset, read, write, NULL, outside, check};

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	return fuzz_device(&device, data, size);
}
