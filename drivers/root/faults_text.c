/* An IOMMU's fault in words, and what it means. */
#include "drivers/root/faults.h"

void fault_text(const struct msg_dma_fault *f, const char *owner, char line[FAULT_LINE])
{
	const char *act = f->write ? "write" : "read";
	int at = format(line, FAULT_LINE, "%s: PCI function %02x:%02x.%x ",
		owner ? owner : "nobody's", f->function >> 8 & 0xff, f->function >> 3 & 31,
		f->function & 7);
	char *to = line + at;
	size_t size = FAULT_LINE - (size_t)at;

	switch (f->kind) {
	case DMA_FAULT_BLOCKED:
		format(to, size, "tried to %s memory at %#lx while its DMA was not started", act,
			f->address);
		break;
	case DMA_FAULT_ADDRESS:
		format(to, size, "tried to %s memory at %#lx, which it was not given for that", act,
			f->address);
		break;
	case DMA_FAULT_INTERRUPT:
		format(to, size, "tried to send an interrupt that is not its own");
		break;
	default:
		format(to, size, "was stopped by the IOMMU at %#lx (code %u)", f->address,
			f->reason);
	}
}

bool fault_counts(const struct msg_dma_fault *f)
{
	return f->kind == DMA_FAULT_ADDRESS || f->kind == DMA_FAULT_INTERRUPT;
}
