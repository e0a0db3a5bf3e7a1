/* Fuzzes the driver of USB disks: see disk_fuzz.h. Where it waits, the stick works. */
#include "drivers/xhci/xhci.h"
#include "tests/fuzz/disk_fuzz.h"
#include "tests/unit/fake_xhci.h"

#define LONG_US 20000000u

static bool step(u32 kind)
{
	return fake_xhci_step((enum fake_xhci_act)kind);
}

/* A driver that finds no disk would wait for ever. */
static void meanwhile(void)
{
	bool opens = w.clients == 0;

	fake_xhci_step(opens && fake_device.waited > LONG_US ? FAKE_XHCI_FATAL : FAKE_XHCI_GOOD);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	if (size < 2)
		return 0;
	fake_xhci_init(data[0] & 1 ? 4 : data[0] & 2 ? 3 : 1);
	fake_xhci.wide_contexts = data[0] & 4;
	fake_xhci.no_cache = data[0] & 8;
	fake_device.idle = meanwhile;
	run(data + 1, size - 1, &xhci_driver, step, FAKE_XHCI_ACTS, &fake_xhci.rules);
	return 0;
}
