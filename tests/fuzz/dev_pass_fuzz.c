/*
 * Fuzzes a function of the machine's own as a guest sees it: its configuration space, its registers
 * and ROM as far as they exit, its interrupts, and fresh VMMs. No access reaches the function's
 * MSI-X table, no write its ROM, and its DMA is on if and only if the guest's bus-master bit is.
 */
#include "tests/fuzz/device_fuzz.h"
#include "tests/unit/pass_function.h"

struct state {
	struct pci bus; /* first: its header is the state's */
	struct pass pass;
};

static void init(void *state)
{
	struct state *s = state;
	struct pass_bar bars[PCI_REGIONS];

	pci_init(&s->bus);
	pass_function_reset(PASS_WITH_MSIX, bars);
	require(pass_init(NULL, &s->pass, &s->bus, 0, PASS_DEVFN, bars, true));
}

static void reset(struct machine *m, void *state)
{
	init(state);
	(void)m;
}

static u32 read(struct machine *m, void *state, u8 where, unsigned size)
{
	struct state *s = state;

	return pci_config_read(m, &s->bus, PASS_DEVFN, where, size);
}

static void write(struct machine *m, void *state, u8 where, unsigned size, u32 value)
{
	struct state *s = state;

	pci_config_write(m, &s->bus, PASS_DEVFN, where, size, value);
	if ((u32)where + size <= PCI_CONFIG)
		pass_written(m, &s->pass, &s->bus, where, size);
}

static void outside(struct machine *m, void *state, const struct fuzz_op *op)
{
	struct state *s = state;
	unsigned size = 1u << op->size % 3;
	u32 bar = op->shift & 1 ? PASS_PORTS : op->shift & 2 ? PCI_ROM_BAR : PASS_MEMORY;
	u64 at = bar == PASS_PORTS ? op->where % (PASS_PORT_SIZE - 3u)
				   : PASS_TABLE - 8 + (op->value >> 8 & 0x1fff) % (PASS_SIZE / 2);

	switch (op->size >> 4 & 7) {
	case 0:
		pass_message(m, &s->pass, &s->bus, op->where);
		break;
	case 1:
		pass_line(m, &s->pass, &s->bus);
		break;
	case 2:
		pass_line_end(m, &s->pass, &s->bus);
		break;
	case 3:
		pass_resume(m, &s->pass, &s->bus);
		break;
	case 4:
	case 5:
		require(!(pass_read(m, &s->pass, bar, at, size) & ~device_mask(size)));
		break;
	default:
		pass_write(m, &s->pass, &s->bus, bar, at, size, op->value);
	}
}

static void check(struct machine *m, void *state)
{
	struct state *s = state;
	const struct pci_function *f = pci_find(&s->bus, PASS_DEVFN);
	u64 start = 0, end;

	(void)m;
	require(f && s->pass.vectors == PASS_VECTORS);
	require(!pass_function.in_msix);
	require(pass_function.bar != PCI_ROM_BAR);
	require(pass_function.dma == pci_is_master(f));
	require(!(s->pass.wanted & ~pass_function.wanted));
	require(!(s->pass.pending >> PASS_VECTORS));
	require(!memcmp(f->config, f->initial, 4));
	while (pass_direct(&s->pass, PASS_MEMORY, PASS_SIZE, &start, &end)) {
		require(start < end && end <= PASS_SIZE && !((start | end) % PAGE_SIZE));
		require(end <= ALIGN_DOWN(PASS_TABLE, PAGE_SIZE) || start > PASS_PBA);
		start = end;
	}
}

static const struct fuzz_device device = {sizeof(struct state), sizeof(struct pci), PCI_MAGIC,
	PCI_VERSION, -1, init, reset, read, write, NULL, outside, check};

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	return fuzz_device(&device, data, size);
}
