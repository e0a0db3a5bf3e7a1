/* Takes IOMMUs' faults from the kernel: see faults.h. */
#include "drivers/root/faults.h"
#include "drivers/root/bus.h"
#include "drivers/root/machine.h"

#define LINES    4u  /* at a time */
#define LOOKED   64u /* likewise: a device can fault for ever */
#define PAUSE_US 1000000ull

static cycles_t next; /* no look before; 0: the kernel's event comes first */
static u64 unsaid;

cycles_t faults_deadline(void)
{
	return next ? next : TIME_NEVER;
}

void faults_run(void)
{
	u32 found = 0;

	if (next && tsc_now() < next)
		return;
	while (found < LOOKED &&
		sys_sys_ctl(ROOT_CAP_SYS, SYS_CTL_DMA_FAULT, 0, 0, 0, NULL) == STATUS_OK) {
		const struct msg_dma_fault f = *(const struct msg_dma_fault *)message;
		char line[FAULT_LINE];

		if (found++ >= LINES) {
			unsaid++;
			continue;
		}
		fault_text(&f, bus_requester_owner(f.function), line);
		log_line("%s", line);
	}
	if (!found && unsaid) {
		log_line("IOMMU: %lu more accesses were refused", unsaid);
		unsaid = 0;
	}
	next = found ? tsc_now() + tsc_from_us(boot->tsc_hz, PAUSE_US) : 0;
}
