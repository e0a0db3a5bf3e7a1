/* Fuzzes the driver of ATA disks: see disk_fuzz.h. */
#include "drivers/ata/ata.h"
#include "tests/fuzz/disk_fuzz.h"
#include "tests/unit/fake_ata.h"

static bool step(u32 kind)
{
	return fake_ata_step((enum fake_ata_act)kind);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	if (size < 2)
		return 0;
	fake_ata_init(FAKE_ATA_SECTORS, 0, data[0] & 1);
	run(data + 1, size - 1, &ata_driver, step, FAKE_ATA_ACTS, &fake_ata.rules);
	return 0;
}
