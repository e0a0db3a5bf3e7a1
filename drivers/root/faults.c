/* Takes IOMMUs' faults from the kernel: see faults.h. */
#include "drivers/root/faults.h"
#include "drivers/root/bus.h"
#include "drivers/root/member.h"

#define LINES  4u  /* at a time */
#define LOOKED 64u /* likewise: a device can fault for ever */
#define WAITING                                                                                    \
	512u /* more than an IOMMU keeps: VT-d has at most 256 registers, AMD-Vi's log here as     \
		many entries */
#define PAUSE_US 1000000ull

static cycles_t next; /* no look before; 0: the kernel's event comes first */
static u64 unsaid;
static bool guilty[NODES_MAX]; /* members, until faults_run has judged them */

cycles_t faults_deadline(void)
{
	return next ? next : TIME_NEVER;
}

/* Takes at most `most`; returns how many there were. */
static u32 take(u32 most)
{
	u32 found = 0;

	while (found < most &&
		sys_sys_ctl(ROOT_CAP_SYS, SYS_CTL_DMA_FAULT, 0, 0, 0, NULL) == STATUS_OK) {
		const struct msg_dma_fault f = *(const struct msg_dma_fault *)message;
		const struct member *owner = bus_requester_owner(f.function);
		char line[FAULT_LINE];

		if (owner && fault_counts(&f))
			guilty[owner->index] = true;
		if (found++ >= LINES) {
			unsaid++;
			continue;
		}
		fault_text(&f, owner ? owner->node->name : NULL, line);
		log_line("%s", line);
	}
	return found;
}

static void judge(struct member *m)
{
	const struct domain_node *n = m->node;

	if (n->class == NODE_DOMAIN && m->state == MEMBER_RUNNING && !n->dma_faults_allowed)
		supervise_end(m, "let its device reach for what it was not given");
}

void faults_run(void)
{
	u32 found;

	if (next && tsc_now() < next)
		return;
	found = take(LOOKED);
	for (u32 i = 0; i < members; i++) {
		if (!guilty[i])
			continue;
		guilty[i] = false;
		judge(&member[i]);
	}
	if (!found && unsaid) {
		log_line("IOMMU: %lu more accesses were refused", unsaid);
		unsaid = 0;
	}
	next = found ? tsc_now() + tsc_from_us(boot->tsc_hz, PAUSE_US) : 0;
}

void faults_begin(const struct member *m)
{
	if (!bus_has_functions(m))
		return;
	take(WAITING);
	guilty[m->index] = false;
}
