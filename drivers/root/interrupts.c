/* Reads the interrupt map of the PCI bus: where the pins of its functions lead. */
#include <libfdt.h>

#include "drivers/lib/lib.h"
#include "drivers/root/description.h"

#define MASK_CELLS  4 /* address of three cells, pin */
#define ENTRY_CELLS 7 /* the same, I/O APIC, its input, sense */
#define FUNCTIONS   0xffff00u
#define PINS        4u
#define INPUTS      240u /* of an I/O APIC: 82093AA, 3.2.2 */

/* The GSI of an input of the I/O APIC at `node`; false, with a complaint. */
static bool find_gsi(
	struct tree *t, int pci, int node, u32 input, const struct boot_info *boot, u32 *gsi)
{
	u64 address = tree_cells(t, node, "reg") == 4 ? tree_pair(t, node, "reg", 0) : 0;

	for (u32 i = 0; i < boot->ioapics && i < BOOT_MAX_IOAPICS; i++) {
		if (boot->ioapic[i].address == address && input < INPUTS) {
			*gsi = boot->ioapic[i].gsi_base + input;
			return true;
		}
	}
	tree_complain(t, pci,
		"\"interrupt-map\": this machine has no I/O APIC at %#lx with input %u", address,
		input);
	return false;
}

/* Cells from `at` on. The sense is that of the I/O APIC's binding (intel,ce4100-ioapic). */
static bool read_entry(struct description *d, int pci, int at, const struct boot_info *boot)
{
	static const u32 flags[] = {
		0, BOOT_IRQ_LEVEL | BOOT_IRQ_ACTIVE_LOW, BOOT_IRQ_LEVEL, BOOT_IRQ_ACTIVE_LOW};
	struct tree *t = &d->tree;
	struct interrupt_map *m = &d->map;
	struct interrupt_entry *e = &m->entry[m->entries];
	u32 sense = tree_cell(t, pci, "interrupt-map", at + 6);
	int ioapic = tree_target(t, pci, "interrupt-map", at + 4);

	if (ioapic < 0)
		return false;
	*e = (struct interrupt_entry){
		.address = tree_cell(t, pci, "interrupt-map", at),
		.pin = tree_cell(t, pci, "interrupt-map", at + 3),
	};
	if (e->address & ~FUNCTIONS || e->pin == 0 || e->pin > PINS || sense >= ARRAY_SIZE(flags)) {
		tree_complain(t, pci,
			"\"interrupt-map\" must be <BUS-DEVICE-FUNCTION 0 0 PIN &IOAPIC INPUT "
			"SENSE>, any number of times");
		return false;
	}
	e->to.flags = flags[sense];
	if (!find_gsi(t, pci, ioapic, tree_cell(t, pci, "interrupt-map", at + 5), boot, &e->to.gsi))
		return false;
	m->entries++;
	return true;
}

/* Devicetree Specification 0.4, 2.4.3; an I/O APIC has no address cells. */
void description_interrupts(struct description *d, const struct boot_info *boot)
{
	struct tree *t = &d->tree;
	struct interrupt_map *m = &d->map;
	int pci = fdt_path_offset(t->fdt, "/pci");
	int cells;

	*m = (struct interrupt_map){.address_mask = FUNCTIONS};
	if (pci < 0 || !tree_has(t, pci, "interrupt-map"))
		return;
	if (tree_has(t, pci, "interrupt-map-mask")) {
		if (tree_cells(t, pci, "interrupt-map-mask") != MASK_CELLS) {
			tree_complain(t, pci, "\"interrupt-map-mask\" must be <MASK 0 0 7>");
			return;
		}
		m->address_mask = tree_cell(t, pci, "interrupt-map-mask", 0) & FUNCTIONS;
	}
	cells = tree_cells(t, pci, "interrupt-map");
	if (cells <= 0 || cells % ENTRY_CELLS != 0 || cells / ENTRY_CELLS > INTERRUPT_ENTRIES) {
		tree_complain(t, pci, "\"interrupt-map\" must be 1 to %d times %d numbers",
			INTERRUPT_ENTRIES, ENTRY_CELLS);
		return;
	}
	for (int i = 0; i < cells; i += ENTRY_CELLS)
		read_entry(d, pci, i, boot);
}
