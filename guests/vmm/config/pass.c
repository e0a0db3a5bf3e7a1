/* Functions of the machine's own as the nodes below `pci` describe them: `backend` names one that
 * the partition has `access` to. */
#include "node.h"
#include "guests/vmm/host.h"

bool config_function(struct config *c, struct machine *m, int node)
{
	struct pass_bar bars[PCI_REGIONS] = {0};
	u32 number = c->functions;
	u32 phandle;
	u64 line;
	u8 devfn;

	if (!config_devfn(c, node, &devfn))
		return false;
	if (number == MACHINE_FUNCTIONS) {
		config_complain(
			c, node, "this machine has four functions of its own at most: left out");
		return true;
	}
	if (!config_cell(c, node, "backend", 0, &phandle) ||
		!host_function_open(c->info, (u8)number, phandle, bars, &line)) {
		config_complain(c, node, "the partition has no such function: left out");
		return true;
	}
	c->functions++;
	if (!m->resumed && !pass_init(m, &m->state->pass[number], &m->state->pci, (u8)number, devfn,
				   bars, line != 0)) {
		config_complain(c, node,
			"its place is taken, or its registers or capabilities cannot be shown");
		return false;
	}
	if (!m->resumed)
		pass_dma(m, (u8)number, false); /* until the guest wants it */
	machine_pass_bits(m, number, line);
	return true;
}
