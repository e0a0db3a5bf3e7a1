/* Fuzzes the driver of SATA disks: see disk_fuzz.h. */
#include "drivers/ahci/ahci.h"
#include "tests/fuzz/disk_fuzz.h"
#include "tests/unit/fake_ahci.h"

static bool step(u32 kind)
{
	return fake_ahci_step((enum fake_ahci_act)kind);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	if (size < 2)
		return 0;
	fake_ahci_init(data[0] & 1 ? 32 : data[0] & 2 ? 4 : 0);
	if (data[0] & 4)
		fake_ahci.cap &= ~(1u << 31 | 0x1c00); /* 32 bits, 4 slots */
	run(data + 1, size - 1, &ahci_driver, step, FAKE_AHCI_ACTS, &fake_ahci.rules);
	return 0;
}
