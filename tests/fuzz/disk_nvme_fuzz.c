/* Fuzzes the driver of NVMe disks: see disk_fuzz.h. */
#include "drivers/nvme/nvme.h"
#include "tests/fuzz/disk_fuzz.h"
#include "tests/unit/fake_nvme.h"

static bool step(u32 kind)
{
	return fake_nvme_step((enum fake_nvme_act)kind);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	if (size < 2)
		return 0;
	fake_nvme_init(data[0] & 1 ? 1 : 5);
	fake_nvme.queues = data[0] & 2 ? 4 : 1;
	fake_nvme.shift = data[0] & 4 ? 9 : 12;
	if (data[0] & 8)
		fake_nvme.cap = (fake_nvme.cap & ~0xffffull) | 3;
	run(data + 1, size - 1, &nvme_driver, step, FAKE_NVME_ACTS, &fake_nvme.rules);
	return 0;
}
